"""How R² falls as planes are left out: one dense stack, predicted at several ratios.

For each ratio every r-th plane of the stack is kept and the rest is never looked at;
all predictions are scored on the same dense grid. The first plane that is kept (the
phase) is the stack's first, or each of the r possible ones in turn. What they are
scored against is a truth or, where there is none, the prediction from all planes.
"""

import threading
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.dense_reference import DenseReference
from napari_sparsessp.evaluation.yardsticks import with_fitted
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.prediction.plan import Plan, plan_prediction
from napari_sparsessp.prediction.report import mean_scores
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.store import Model
    from napari_sparsessp.prediction.report import Report

RATIOS = (1, 2, 4, 8)
"""The paper's."""

FEWEST_PLANES = 2
"""One plane is no stack: nothing in it tells how deep it lies."""


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """One prediction of the sweep, checked but not begun.

    Attributes
    ----------
    ratio, phase : int
        Planes phase, phase + ratio, … of the dense stack are kept.
    volume : Volume
        The dense stack.
    truth : dict
        Structure id to its truth; empty where the dense prediction takes its place.
    plan : Plan
    """

    ratio: int
    phase: int
    volume: Volume
    truth: dict[str, Volume]
    plan: Plan


@dataclass(frozen=True)
class Phase:
    """Scores of one phase.

    Attributes
    ----------
    phase : int
    measured_planes : tuple of int
        Of the dense stack.
    seconds : float
    structures : dict
        Structure id to its scores, as in the report of a run, with ``r2_fitted``.
    """

    phase: int
    measured_planes: tuple[int, ...]
    seconds: float
    structures: dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class RatioResult:
    """All there is of one ratio.

    Attributes
    ----------
    ratio : int
    phases : tuple of Phase
    report : Report
        Of the first phase's run.
    """

    ratio: int
    phases: tuple[Phase, ...]
    report: "Report"

    @property
    def planes(self) -> int:
        """How many planes were imaged; the most of any phase."""
        return max(len(phase.measured_planes) for phase in self.phases)

    @property
    def structures(self) -> dict[str, dict[str, Any]]:
        """Structure id to scores; over several phases their means."""
        return mean_scores([phase.structures for phase in self.phases])


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is.

    Attributes
    ----------
    ratio, phase : int
        What is being predicted.
    done, total : int
        Tiles over all predictions.
    seconds_left : float
    """

    ratio: int
    phase: int
    done: int
    total: int
    seconds_left: float


def ratios_for(depth: int, wanted: Sequence[int] = RATIOS) -> tuple[int, ...]:
    """Choose the ratios that leave a stack of this many planes at least two.

    Parameters
    ----------
    depth : int
        Planes of the dense stack.
    wanted : sequence of int

    Returns
    -------
    tuple of int
        Ascending.
    """
    fitting = {one for one in wanted if one >= 1 and -(-depth // one) >= FEWEST_PLANES}
    return tuple(sorted(fitting))


def plan_sweep(
    card: ModelCard,
    volume: Volume,
    truth: Mapping[str, Volume],
    request: PredictionRequest,
    ratios: Sequence[int] = RATIOS,
    *,
    all_phases: bool = False,
    against_dense: bool = False,
) -> list[PlannedRun]:
    """Check everything that can be checked before a voxel is read.

    Parameters
    ----------
    card : ModelCard
    volume : Volume
        The dense stack, ZYX, one channel.
    truth : mapping
        Structure id to its ground truth, ZYX.
    request : PredictionRequest
        Everything but ratio and sparsity; structures count where there is no truth.
    ratios : sequence of int
    all_phases : bool
        Start at each of the first r planes in turn, not at the first alone.
    against_dense : bool
        There is no truth: score against the prediction from all planes. Ratio 1 is
        swept whether it is asked for or not.

    Returns
    -------
    list of PlannedRun
        By ratio, ascending, then by phase.

    Raises
    ------
    InputError
        No truth, a ratio that leaves no plane, a stack that is sparse already, or
        whatever a prediction would refuse.
    """
    if volume.axes != "ZYX":
        raise InputError(
            f"a sweep takes one stack, not axes {volume.axes}; choose a channel and a "
            "time point"
        )
    if not truth and not against_dense:
        raise InputError(
            "a sweep needs a truth; add --truth STRUCTURE=FILE[:CHANNEL], or "
            "--against-dense to learn how much the prediction alone changes"
        )
    if truth and against_dense:
        raise InputError(
            "a sweep is scored against a truth or against the dense prediction, not "
            "both; leave --truth or --against-dense out"
        )
    depth = volume.shape[0]
    wanted = sorted({*ratios, *([1] if against_dense else [])})
    if not ratios or wanted[0] < 1 or wanted[-1] > depth:
        raise InputError(
            f"ratios {', '.join(map(str, ratios)) or '(none)'} cannot be swept; give "
            f"whole numbers from 1 to {depth}, the planes of the stack"
        )
    fields: dict[str, Any] = {"simulate_sparse": True, "time": None}
    if truth:
        fields["structures"] = tuple(truth)
    runs = []
    for ratio in wanted:
        asked = request.model_copy(update={**fields, "ratio": float(ratio)})
        for phase in range(ratio if all_phases else 1):
            one = asked.model_copy(update={"phase": phase})
            plan = plan_prediction(card, volume, one, truth)
            runs.append(PlannedRun(ratio, phase, volume, dict(truth), plan))
    return runs


def run_sweep(
    model: "Model",
    runs: Sequence[PlannedRun],
    tell: Callable[[SweepProgress], None] = lambda now: None,
    cancel: threading.Event | None = None,
) -> Iterator[tuple[RatioResult, Volume]]:
    """Predict and score, ratio by ratio.

    Parameters
    ----------
    model : Model
    runs : sequence of PlannedRun
        As `plan_sweep` gives them.
    tell : callable
        Called after each tile.
    cancel : threading.Event, optional
        Once set, the sweep ends before the network's next layer; ratios that were
        given stay as they are, the one that was begun is not given.

    Yields
    ------
    result : RatioResult
        As soon as all phases of a ratio are done.
    prediction : Volume
        CZYX, of the first phase. Against the dense prediction: in its units, that
        prediction itself first.
    """
    from napari_sparsessp.prediction.inference import cancellable_network

    watch = _Watch(runs, tell)
    reference: DenseReference | None = None
    phases: list[Phase] = []
    first: tuple[Volume, Report] | None = None
    with cancellable_network(model.network, cancel):
        for number, run in enumerate(runs):
            done = _predicted(model, run, watch, cancel)
            if done is None:
                return
            prediction, report = done
            scores = report.structures
            if not run.truth:
                reference = _compared(reference, prediction)
                try:
                    scores = reference.scores(prediction, _check(cancel))
                except _Cancelled:
                    return
            phases.append(_phase(run, report, scores))
            first = first or (prediction, report)
            del prediction, done
            if number + 1 == len(runs) or runs[number + 1].ratio != run.ratio:
                result = RatioResult(run.ratio, tuple(phases), first[1])
                yield result, first[0]
                phases, first = [], None


class _Cancelled(Exception):
    """The scoring was stopped; never reaches the user."""


class _Watch:
    """Tells how far a sweep is, over all its predictions."""

    def __init__(
        self, runs: Sequence[PlannedRun], tell: Callable[[SweepProgress], None]
    ) -> None:
        self._tell = tell
        self._total = sum(run.plan.total_tiles for run in runs)
        self._began = clock.perf_counter()
        self._done = 0

    def tile_done(self, run: PlannedRun) -> None:
        """Count a tile."""
        self._done += 1
        each = (clock.perf_counter() - self._began) / self._done
        left = each * (self._total - self._done)
        self._tell(SweepProgress(run.ratio, run.phase, self._done, self._total, left))


def _predicted(
    model: "Model", run: PlannedRun, watch: _Watch, cancel: threading.Event | None
) -> "tuple[Volume, Report] | None":
    """Predict one run; None where it was cancelled."""
    from napari_sparsessp.prediction.engine import (
        Finished,
        Planned,
        TileDone,
        output_volume,
        predict_stream,
    )

    planned, report = None, None
    for event in predict_stream(model, run.volume, plan=run.plan, cancel=cancel):
        if isinstance(event, Planned):
            planned = event
        elif isinstance(event, TileDone):
            watch.tile_done(run)
        elif isinstance(event, Finished):
            report = event.report
    if report is None:
        return None
    assert planned is not None
    return output_volume(planned), report


def _compared(reference: DenseReference | None, prediction: Volume) -> DenseReference:
    """Bring a prediction into the units of the first, which is the reference."""
    if reference is None:
        return DenseReference(prediction)
    reference.rescale(prediction)
    return reference


def _check(cancel: threading.Event | None) -> Callable[[], None]:
    def check() -> None:
        if cancel is not None and cancel.is_set():
            raise _Cancelled

    return check


def light_of(run: PlannedRun) -> Volume:
    """The stack with the place in space that the prediction took it to have."""
    step = _step(run.plan.card, run.volume, run.plan.request)
    voxel = (step, *run.plan.input_pixel)
    return run.volume.with_(voxel_size=voxel)


def _phase(
    run: PlannedRun, report: "Report", scores: Mapping[str, dict[str, Any]]
) -> Phase:
    return Phase(
        phase=run.phase,
        measured_planes=report.measured_planes,
        seconds=report.seconds.total,
        structures={name: with_fitted(one) for name, one in scores.items()},
    )


def _step(card: ModelCard, volume: Volume, request: PredictionRequest) -> float:
    """The z step of the stack in µm; the dense grid's where it is unknown."""
    voxel = request.voxel_size or volume.voxel_size or card.voxel_size
    return voxel[0]
