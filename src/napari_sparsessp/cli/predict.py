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
from napari_sparsessp.errors import InputError

if TYPE_CHECKING:
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
    tta: Turns = False,
    uncertainty: Uncertainty = False,
    normalisation: Normalisation = None,
    mask_invalid: MaskInvalid = False,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace an existing output.")
    ] = False,
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
    outcome = _predict(console, asked, out, report, overwrite)
    _tell(console, outcome, out)


def _predict(
    console: Console,
    asked: "PredictionRequest",
    out: Path,
    report: Path | None,
    overwrite: bool,
) -> Outcome:
    """Check everything, predict, and write only when all of it is there."""
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.io.writing import check_output, write_prediction
    from napari_sparsessp.models.registry import read_card

    check_output(out, overwrite)
    check_report_path(report, overwrite)
    card = read_card(asked.model, asked.topology)
    console.progress(f"opening {asked.input}")
    volume = load_volume(asked.input, scene=asked.scene, need_channel=False)
    truth = load_truth(asked.truth, card.structures)
    outcome = run(console, asked, card, volume, truth)
    console.progress(f"writing {out}")
    write_prediction(
        out,
        outcome.volume,
        outcome.volume.channel_names,
        outcome.report.provenance(),
        overwrite=overwrite,
    )
    if report is not None:
        write_report(report, outcome.report.to_json())
    return outcome


def _tell(console: Console, outcome: Outcome, out: Path) -> None:
    table = score_table(outcome.report.structures)
    if table:
        console.result(table)
    size = " × ".join(map(str, outcome.volume.shape))
    console.result(f"{out}: {size} ({outcome.volume.axes})")
