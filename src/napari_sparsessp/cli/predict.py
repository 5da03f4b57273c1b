"""``sparsessp predict``: one image in, one image with a channel a structure out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from napari_sparsessp.cli.console import Console
from napari_sparsessp.cli.options import (
    Channel,
    Debug,
    Device,
    MaskInvalid,
    MemoryLimit,
    ModelName,
    Normalisation,
    Overlap,
    Precision,
    Quiet,
    Scene,
    TileSize,
    Topology,
    Truth,
    Turns,
    Uncertainty,
    Version,
    VoxelSize,
    console_of,
)
from napari_sparsessp.cli.report_file import check_report_path, write_report
from napari_sparsessp.cli.request_file import (
    make_request,
    options_given,
    read_request,
    request_fields,
)
from napari_sparsessp.cli.running import Outcome, run
from napari_sparsessp.cli.table import score_table
from napari_sparsessp.cli.truth import load_truth
from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.tasks import Cancelled

if TYPE_CHECKING:
    from napari_sparsessp.io.streaming import PredictionWriter
    from napari_sparsessp.prediction.request import PredictionRequest


def predict(
    context: typer.Context,
    out: Annotated[
        Path, Option("--out", "-o", help="Where to: .ome.tif or .ome.zarr.")
    ],
    input: Annotated[  # noqa: A002 - the request's own word
        str | None, Argument(help="A z-stack: OME-TIFF, TIFF, OME-Zarr or ND2.")
    ] = None,
    channel: Channel = None,
    scene: Scene = None,
    time: Annotated[
        str | None, Option(help="Time points: 3, or a slice such as 0:10:2.")
    ] = None,
    model: ModelName = "default",
    topology: Topology = None,
    structures: Annotated[str, Option(help="Names, parted by commas, or all.")] = "all",
    ratio: Annotated[
        float | None,
        Option(help="Sparsity r: planes of the dense grid for each plane imaged."),
    ] = None,
    simulate_sparse: Annotated[
        bool,
        Option(
            "--simulate-sparse", help="The stack is dense: use every r-th plane only."
        ),
    ] = False,
    voxel_size: VoxelSize = None,
    grid: Annotated[
        str, Option(help="Voxels of the result in y and x: model or input.")
    ] = "model",
    truth: Truth = None,
    device: Device = "auto",
    precision: Precision = "auto",
    tile: TileSize = None,
    overlap: Overlap = None,
    memory_limit: MemoryLimit = None,
    tta: Turns = False,
    uncertainty: Uncertainty = False,
    normalisation: Normalisation = None,
    mask_invalid: MaskInvalid = False,
    resume: Annotated[
        bool,
        Option("--resume", help="Go on with an unfinished output of the same request."),
    ] = False,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace an existing or unfinished output.")
    ] = False,
    ngff: Annotated[
        str, Option(help="Version of an .ome.zarr: 0.5, or 0.4 for older programs.")
    ] = "0.5",
    report: Annotated[Path | None, Option(help="Write the report as JSON.")] = None,
    request: Annotated[
        Path | None,
        Option(help="A saved request (YAML); options given here override it."),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Predict structures from a transmitted-light z-stack."""
    console = console_of(context)
    fields = read_request(request) if request else {}
    asked = make_request(fields | request_fields(options_given(context)))
    if not asked.input:
        raise InputError("there is no input; name an image file")
    if ngff not in ("0.5", "0.4"):
        raise InputError(f"--ngff {ngff!r} cannot be written; choose 0.5 or 0.4")
    check_report_path(report, overwrite)
    _check_not_read(out, asked)
    with _sink(out, overwrite=overwrite, resume=resume, ngff=ngff) as sink:
        outcome = _predict(console, asked, sink)
    if report is not None:
        write_report(report, outcome.report.to_json())
    _tell(console, outcome, out)


def _check_not_read(out: Path, asked: "PredictionRequest") -> None:
    """An image that is replaced while it is read is lost, whatever was allowed."""
    for source in (asked.input, *asked.truth.values()):
        try:
            same = out.samefile(source)
        except (OSError, ValueError):  # one of them is not there
            continue
        if same:
            raise OutputError(
                f"{out} is an input of this prediction; give the output another name"
            )


def _sink(out: Path, *, overwrite: bool, resume: bool, ngff: str) -> "PredictionWriter":
    from napari_sparsessp.io.streaming import PredictionWriter

    return PredictionWriter(out, overwrite=overwrite, resume=resume, ngff=ngff)


def _predict(
    console: Console, asked: "PredictionRequest", sink: "PredictionWriter"
) -> Outcome:
    """Check everything, predict, and give it its name when all of it is there."""
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.models.registry import read_card

    try:
        card = read_card(asked.model, asked.topology)
        console.progress(f"opening {asked.input}")
        volume = load_volume(asked.input, scene=asked.scene, need_channel=False)
        truth = load_truth(asked.truth, card.structures)
        outcome = run(console, asked, card, volume, truth, sink)
        console.progress(f"completing {sink.path}")
        sink.finish(outcome.report.provenance())
    except KeyboardInterrupt:
        left = (
            "what is done is kept: the same command with --resume goes on"
            if sink.keeps_something
            else "no unfinished file is left"
        )
        raise Cancelled(f"interrupted; {left}") from None
    return outcome


def _tell(console: Console, outcome: Outcome, out: Path) -> None:
    table = score_table(outcome.report.structures)
    if table:
        console.result(table)
    size = " × ".join(map(str, outcome.plan.output_shape))
    console.result(f"{out}: {size} ({outcome.plan.output_axes})")
