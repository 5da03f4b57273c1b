"""How R² falls as planes are left out: one dense stack, predicted at several ratios.

For each ratio every r-th plane of the stack is kept and the rest is never looked at;
all predictions are scored on the same dense grid. The first plane that is kept (the
phase) is the stack's first, or each of the r possible ones in turn.
"""

import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError
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
        Structure id to its truth.
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


def plan_sweep(
    card: ModelCard,
    volume: Volume,
    truth: Mapping[str, Volume],
    request: PredictionRequest,
    ratios: Sequence[int] = RATIOS,
    *,
    all_phases: bool = False,
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
        Everything but ratio, sparsity and structures.
    ratios : sequence of int
    all_phases : bool
        Start at each of the first r planes in turn, not at the first alone.

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
    if not truth:
        raise InputError("a sweep needs a truth; add --truth STRUCTURE=FILE[:CHANNEL]")
    depth = volume.shape[0]
    wanted = sorted(set(ratios))
    if not wanted or wanted[0] < 1 or wanted[-1] > depth:
        raise InputError(
            f"ratios {', '.join(map(str, ratios)) or '(none)'} cannot be swept; give "
            f"whole numbers from 1 to {depth}, the planes of the stack"
        )
    fields = {"simulate_sparse": True, "structures": tuple(truth), "time": None}
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
) -> Iterator[tuple[RatioResult, Volume]]:
    """Predict and score, ratio by ratio.

    Parameters
    ----------
    model : Model
    runs : sequence of PlannedRun
        As `plan_sweep` gives them.
    tell : callable
        Called after each tile.

    Yields
    ------
    result : RatioResult
        As soon as all phases of a ratio are done.
    prediction : Volume
        CZYX, of the first phase.
    """
    from napari_sparsessp.prediction.engine import predict_stream
    from napari_sparsessp.prediction.events import Finished, Planned, TileDone
    from napari_sparsessp.prediction.result import output_volume

    total = sum(run.plan.total_tiles for run in runs)
    began, before = clock.perf_counter(), 0
    phases: list[Phase] = []
    first: tuple[Volume, Report] | None = None
    for number, run in enumerate(runs):
        planned, report = None, None
        for event in predict_stream(
            model, run.volume, request=run.plan.request, truth=run.truth
        ):
            if isinstance(event, Planned):
                planned = event
            elif isinstance(event, TileDone):
                done = before + event.done
                left = (clock.perf_counter() - began) / done * (total - done)
                tell(SweepProgress(run.ratio, run.phase, done, total, left))
            elif isinstance(event, Finished):
                report = event.report
        assert planned is not None
        assert report is not None, "an uncancelled run ends with its report"
        before += run.plan.total_tiles
        phases.append(_phase(run, report))
        if first is None:
            first = output_volume(planned), report
        if number + 1 == len(runs) or runs[number + 1].ratio != run.ratio:
            prediction, its_report = first
            yield RatioResult(run.ratio, tuple(phases), its_report), prediction
            phases, first = [], None


def light_of(run: PlannedRun) -> Volume:
    """The stack with the place in space that the prediction took it to have."""
    step = _step(run.plan.card, run.volume, run.plan.request)
    voxel = (step, *run.plan.input_pixel)
    return run.volume.with_(voxel_size=voxel)


def _phase(run: PlannedRun, report: "Report") -> Phase:
    return Phase(
        phase=run.phase,
        measured_planes=report.measured_planes,
        seconds=report.seconds.total,
        structures={
            name: with_fitted(scores) for name, scores in report.structures.items()
        },
    )


def _step(card: ModelCard, volume: Volume, request: PredictionRequest) -> float:
    """The z step of the stack in µm; the dense grid's where it is unknown."""
    voxel = request.voxel_size or volume.voxel_size or card.voxel_size
    return voxel[0]
