"""``sparsessp benchmark``: how fast the networks are, and how good the models."""

from typing import Annotated, Literal

import typer
from typer import Option

from napari_sparsessp.cli.field_speed import measure_field_of_view
from napari_sparsessp.cli.options import (
    Debug,
    JsonFile,
    OverwriteJson,
    Quiet,
    Version,
    console_of,
)
from napari_sparsessp.cli.quality import quality
from napari_sparsessp.cli.report_file import check_report_path
from napari_sparsessp.cli.row_by_row import follow_rows, row_teller
from napari_sparsessp.errors import InputError

app = typer.Typer(rich_markup_mode=None)

Rows = Annotated[
    str | None,
    Option(
        help="Only rows with these words, choices separated by commas: "
        "'dodnet 3to2d,slim'."
    ),
]


@app.callback(invoke_without_command=True)
def benchmark(
    context: typer.Context,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Measure the networks and the models."""
    if context.invoked_subcommand is None:
        print(context.get_help())


app.command("quality")(quality)


@app.command("speed")
def speed(
    context: typer.Context,
    json: JsonFile = None,
    rows: Rows = None,
    threads: Annotated[
        int | None, Option(min=1, max=1024, help="CPU threads; by default all.")
    ] = None,
    precision: Annotated[Literal["fp32", "bf16"], Option()] = "fp32",
    quick: Annotated[
        bool, Option("--quick", help="A handful of rows on a 32×64×64 patch.")
    ] = False,
    field: Annotated[
        bool,
        Option(
            "--field",
            help="Instead: one field of view (65×232×344 voxels, 12 structures) by "
            "the model that ships, FNet, RepMode 3D and SparseSSP, and what share of "
            "this machine's peak ours reaches.",
        ),
    ] = False,
    device: Annotated[
        Literal["cpu", "cuda", "mps"], Option(help="With --field.")
    ] = "cpu",
    resume: Annotated[
        bool,
        Option("--resume", help="With --field: go on with an unfinished JSON file."),
    ] = False,
    overwrite: OverwriteJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Time, cost and memory of every combination for one patch, on the CPU.

    With --field, of a whole field of view beside the published ways.

    One row after the other, each in a fresh process; Ctrl-C stops at once and keeps
    what was measured.
    """
    from napari_sparsessp.evaluation.speed import (
        SpeedOptions,
        all_threads,
        choose_rows,
        measure_speed,
    )
    from napari_sparsessp.evaluation.speed_tables import speed_text

    console = console_of(context)
    if field and (rows or quick):
        raise InputError("--rows and --quick are of a patch; leave them or --field out")
    if not field and (resume or device != "cpu"):
        raise InputError("--device and --resume are of --field; add it")
    if field:
        values = {"threads": threads or all_threads(), "device": device}
        measure_field_of_view(console, json, overwrite, resume, values)
        return
    check_report_path(json, overwrite)
    chosen = choose_rows(rows.split(",") if rows else (), quick)
    options = SpeedOptions(
        size=(64, 64) if quick else (128, 128),
        threads=threads or all_threads(),
        precision=precision,
        repeats=2 if quick else 3,
        quick=quick,
    )

    follow_rows(
        console,
        measure_speed(chosen, options, row_teller(console)),
        json,
        speed_text,
        lambda done: f"{len(done['rows'])} of {len(chosen)} rows were measured",
    )
