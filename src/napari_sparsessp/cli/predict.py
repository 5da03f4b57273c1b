"""``sparsessp predict``: one image in, one image with a channel a structure out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from napari_sparsessp.cli import options
from napari_sparsessp.cli.console import Console, check_output, score_rows, write_report
from napari_sparsessp.cli.options import console_of, load_truth, request_of
from napari_sparsessp.errors import InputError, OutputError, PredictionError
from napari_sparsessp.models.card import made_for
from napari_sparsessp.prediction.engine import (
    Finished,
    Looking,
    Planned,
    PredictionCancelled,
    Started,
    TileDone,
)
from napari_sparsessp.tasks import Cancelled, cancel_on_interrupt, no_progress

if TYPE_CHECKING:
    from napari_sparsessp.io.streaming import PredictionWriter
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Report
    from napari_sparsessp.prediction.request import PredictionRequest
    from napari_sparsessp.prediction.writer import Writer
    from napari_sparsessp.volume import Volume


def predict(
    context: typer.Context,
    out: Annotated[
        Path, Option("--out", "-o", help="Where to: .ome.tif or .ome.zarr.")
    ],
    input: options.Stack = None,  # noqa: A002 - the request's own word
    channel: options.Channel = None,
    scene: options.Scene = None,
    time: Annotated[
        str | None, Option(help="Time points: 3, or a slice such as 0:10:2.")
    ] = None,
    model: options.ModelName = "default",
    topology: options.Topology = None,
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
    axes: options.Axes = None,
    voxel_size: options.VoxelSize = None,
    grid: Annotated[
        str, Option(help="Voxels of the result in y and x: model or input.")
    ] = "model",
    truth: options.Truth = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    tile: options.TileSize = None,
    overlap: options.Overlap = None,
    memory_limit: options.MemoryLimit = None,
    tta: options.Tta = False,
    uncertainty: options.Uncertainty = False,
    normalisation: options.Normalisation = None,
    mask_invalid: options.MaskInvalid = False,
    reconstruct: options.Reconstruct = None,
    na: options.ObjectiveNa = None,
    na_condenser: options.CondenserNa = None,
    wavelength: options.Wavelength = None,
    index: options.Index = None,
    planes_downwards: options.PlanesDownwards = False,
    regularisation: options.Regularisation = 1e-2,
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
) -> None:
    """Predict structures from a transmitted-light z-stack."""
    from napari_sparsessp.io.streaming import PredictionWriter

    console = console_of(context)
    asked = request_of(context, request)
    if not asked.input:
        raise InputError("there is no input; name an image file")
    if ngff not in ("0.5", "0.4"):
        raise InputError(f"--ngff {ngff!r} cannot be written; choose 0.5 or 0.4")
    check_output(report, overwrite)
    _check_not_read(out, asked)
    with PredictionWriter(out, overwrite=overwrite, resume=resume, ngff=ngff) as sink:
        try:
            outcome = _predict_file(console, asked, sink)
        except KeyboardInterrupt:
            rest = _KEPT if sink.keeps_something else "no unfinished file is left"
            raise Cancelled(f"interrupted; {rest}") from None
        except (InputError, PredictionError) as error:
            if not (sink.done and sink.keeps_something):
                raise
            raise type(error)(f"{error}; {_KEPT}") from error
    if report is not None:
        write_report(report, outcome.report.to_json())
    if rows := score_rows(outcome.report.structures):
        console.table(rows)
    size = " × ".join(map(str, outcome.plan.output_shape))
    console.result(f"{out}: {size} ({outcome.plan.output_axes})")


_KEPT = "what is done is kept: the same command with --resume goes on"


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


def _predict_file(
    console: Console, asked: "PredictionRequest", sink: "PredictionWriter"
) -> "Outcome":
    """Check everything, predict, and give the file its name when it is complete."""
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.models.library import read_card
    from napari_sparsessp.prediction.device import load_meanwhile

    card = read_card(asked.model, asked.topology)
    load_meanwhile()
    console.progress(f"opening {asked.input}")
    volume = load_volume(asked.input, scene=asked.scene, axes=asked.axes)
    truth = load_truth(asked.truth, card.structures)
    outcome = run_request(console, asked, card, volume, truth, sink)
    console.progress(f"completing {sink.path}")
    sink.finish(outcome.report.provenance())
    return outcome


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished prediction."""

    plan: "Plan"
    report: "Report"
    # All structures, one channel each; None where a sink has taken the voxels
    volume: "Volume | None"


def run_request(
    console: Console,
    request: "PredictionRequest",
    card: "ModelCard",
    volume: "Volume",
    truth: Mapping[str, "Volume"],
    sink: "Writer | None" = None,
) -> Outcome:
    """Predict, with progress on standard error.

    What can be known before torch is loaded is checked before.
    """
    from napari_sparsessp.prediction.plan import plan_prediction

    plan = plan_prediction(
        card,
        volume,
        request,
        dict(truth),
        stored=sink is not None,
        tile_size=() if sink is None else sink.tile_size,
    )
    if purpose := made_for(card):
        console.note(f"{card.id} was made for: {purpose}")
    console.progress("loading the model")

    from napari_sparsessp.models.library import load_model
    from napari_sparsessp.prediction.engine import output_volume, predict_stream

    model = load_model(request.model, request.topology)
    planned, report, tiles = None, None, no_progress
    warned: tuple[str, ...] = ()
    with cancel_on_interrupt() as cancel:
        for event in predict_stream(
            model, volume, plan=plan, writer=sink, cancel=cancel
        ):
            if isinstance(event, Planned):
                planned, plan = event, event.plan
            elif isinstance(event, Started):
                # Not before: an image that is refused gets one line.
                warned = (*plan.warnings, *event.warnings)
                for warning in warned:
                    console.warning(warning)
                if event.done:
                    console.note(f"going on: {event.done} tiles are done already")
                place = f"predicting on {event.device}, {event.precision}"
                tiles = console.progress(place, "tile")
                tiles(event.done, plan.total_tiles)
            elif isinstance(event, Looking):
                look = console.progress("looking at the whole stack", "tile")
                look(event.done, event.total)
            elif isinstance(event, TileDone):
                tiles(event.done, event.total, _running_scores(event))
            elif isinstance(event, Finished):
                report = event.report
            elif isinstance(event, PredictionCancelled):
                raise Cancelled(_interrupted(event, sink is not None))
    assert planned is not None
    assert report is not None, "an uncancelled run ends with its report"
    for warning in report.warnings:
        if warning not in warned:
            console.warning(warning)
    predicted = output_volume(planned) if planned.buffer is not None else None
    return Outcome(planned.plan, report, predicted)


def _interrupted(event: PredictionCancelled, stored: bool) -> str:
    if not stored or not event.done:
        return "interrupted; no unfinished file is left"
    return (
        f"interrupted; {event.done} of {event.total} tiles are done and kept: the same "
        "command with --resume goes on"
    )


def _running_scores(event: TileDone) -> str:
    scores = list(event.scores.items())[:3]
    texts = [
        f"{structure} {score['r2']:.2f}"
        for structure, score in scores
        if score.get("r2") is not None
    ]
    return f"R² {', '.join(texts)}" if texts else ""
