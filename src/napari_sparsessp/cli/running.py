"""Run a request and show how far it is; shared by ``predict`` and ``demo``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sparsessp.cli.console import Console, clock
from napari_sparsessp.prediction.events import (
    Event,
    Finished,
    Planned,
    Started,
    TileDone,
)

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.report import Report
    from napari_sparsessp.prediction.request import PredictionRequest
    from napari_sparsessp.volume import Volume


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished prediction.

    Attributes
    ----------
    volume : Volume
        All structures, one channel each.
    report : Report
    """

    volume: "Volume"
    report: "Report"


def run(
    console: Console,
    request: "PredictionRequest",
    card: "ModelCard",
    volume: "Volume",
    truth: Mapping[str, "Volume"],
) -> Outcome:
    """Predict, with progress on standard error.

    What can be known before torch is loaded is checked before.

    Raises
    ------
    SparseSSPError
        Anything that the user can mend.
    """
    from napari_sparsessp.prediction.plan import plan_prediction

    plan = plan_prediction(card, volume, request, dict(truth))
    console.progress("loading the model")

    from napari_sparsessp.models.store import load_model
    from napari_sparsessp.prediction.engine import predict_stream
    from napari_sparsessp.prediction.result import output_volume

    model = load_model(request.model, request.topology)
    planned, report = None, None
    for event in predict_stream(model, volume, request=request, truth=dict(truth)):
        if isinstance(event, Started):
            # Not before: an image that is refused is told in one line.
            for warning in plan.warnings:
                console.warning(warning)
        _show(console, event)
        if isinstance(event, Planned):
            planned = event
        elif isinstance(event, Finished):
            report = event.report
    assert planned is not None
    assert report is not None, "an uncancelled run ends with its report"
    for warning in report.warnings:
        if warning not in plan.warnings:
            console.warning(warning)
    return Outcome(output_volume(planned), report)


def _show(console: Console, event: Event) -> None:
    if isinstance(event, Started):
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
