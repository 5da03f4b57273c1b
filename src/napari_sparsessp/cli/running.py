"""Run a request and show how far it is; shared by ``predict`` and ``demo``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sparsessp.cli.console import Console, clock
from napari_sparsessp.prediction.engine import (
    Event,
    Finished,
    Planned,
    PredictionCancelled,
    Started,
    TileDone,
)
from napari_sparsessp.tasks import Cancelled, cancel_on_interrupt

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.engine import Writer
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Report
    from napari_sparsessp.prediction.request import PredictionRequest
    from napari_sparsessp.volume import Volume


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished prediction.

    Attributes
    ----------
    plan : Plan
    report : Report
    volume : Volume or None
        All structures, one channel each; None where a sink has taken the voxels.
    """

    plan: "Plan"
    report: "Report"
    volume: "Volume | None"


def run(
    console: Console,
    request: "PredictionRequest",
    card: "ModelCard",
    volume: "Volume",
    truth: Mapping[str, "Volume"],
    sink: "Writer | None" = None,
) -> Outcome:
    """Predict, with progress on standard error.

    What can be known before torch is loaded is checked before.

    Raises
    ------
    SparseSSPError
        Anything that the user can mend.
    PredictionCancelled
        The user ended it with Ctrl-C.
    """
    from napari_sparsessp.prediction.plan import plan_prediction

    cut = None if sink is None else sink.tile_size
    plan = plan_prediction(
        card, volume, request, dict(truth), stored=sink is not None, tile_size=cut
    )
    console.progress("loading the model")

    from napari_sparsessp.models.store import load_model
    from napari_sparsessp.prediction.engine import output_volume, predict_stream

    model = load_model(request.model, request.topology)
    planned, report = None, None
    told: tuple[str, ...] = ()
    with cancel_on_interrupt() as cancel:
        for event in predict_stream(
            model,
            volume,
            plan=plan,
            writer=sink,
            cancel=cancel,
        ):
            if isinstance(event, Started):
                # Not before: an image that is refused is told in one line.
                told = (*plan.warnings, *event.warnings)
                for warning in told:
                    console.warning(warning)
            _show(console, event)
            if isinstance(event, Planned):
                planned, plan = event, event.plan
            elif isinstance(event, Finished):
                report = event.report
            elif isinstance(event, PredictionCancelled):
                raise Cancelled(
                    _stopped(event, kept=sink is not None and event.done > 0)
                )
    assert planned is not None
    assert report is not None, "an uncancelled run ends with its report"
    for warning in report.warnings:
        if warning not in told:
            console.warning(warning)
    predicted = output_volume(planned) if planned.buffer is not None else None
    return Outcome(planned.plan, report, predicted)


def _stopped(event: PredictionCancelled, *, kept: bool) -> str:
    if not kept:
        return "interrupted; no unfinished file is left"
    return (
        f"interrupted; {event.done} of {event.total} tiles are done and kept: the same "
        "command with --resume goes on"
    )


def _show(console: Console, event: Event) -> None:
    if isinstance(event, Started):
        if event.done:
            console.note(f"going on: {event.done} tiles are done already")
        console.progress(f"predicting on {event.device}, {event.precision}")
    elif isinstance(event, TileDone):
        text = (
            f"tile {event.done} of {event.total}, {clock(event.seconds_left)} left"
            + "".join(
                f", R² {structure} {score['r2']:.2f}"
                for structure, score in list(event.scores.items())[:3]
                if score.get("r2") is not None
            )
        )
        console.progress(text, last=event.done == event.total)
