"""Measure how R² falls as planes are left out of one dense stack.

For each ratio every r-th plane of the stack is kept and the rest is never looked at;
all predictions are scored on the same dense grid. The first plane that is kept (the
phase) is the stack's first, or each of the r possible ones in turn. Predictions are
scored against a truth or, where there is none, the prediction from all planes.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.agreement import moments
from napari_sparsessp.evaluation.baselines import (
    noise_ceiling,
    score_baselines,
    with_fitted,
)
from napari_sparsessp.evaluation.sampling_advice import KeepShare, Rule
from napari_sparsessp.evaluation.sweep_report import (
    Baselines,
    PhaseScores,
    RatioScores,
    Scores,
    SweepReport,
    judged,
)
from napari_sparsessp.metrics import PixelSums
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.prediction.ground_truth import survey_truth
from napari_sparsessp.prediction.plan import Plan, plan_prediction
from napari_sparsessp.prediction.report import Report
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.scoring import onto_grid
from napari_sparsessp.tasks import Cancelled, Progress, cancellable, no_progress
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.library import Model

RATIOS = (1, 2, 4, 8)
"""The paper's."""

FEWEST_PLANES = 2
"""A single plane is no stack: nothing in it tells how deep it lies."""

_HASHED_AT_ONCE = 64 * 2**20  # bytes

# Fields of a request that change no score.
_IRRELEVANT = frozenset(
    ("input", "truth", "memory_limit", "scene", "channel", "model", "topology")
)


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """One prediction of the sweep, checked but not begun."""

    # ratio, phase: Planes phase, phase + ratio, … of the dense stack are kept
    ratio: int
    phase: int
    volume: Volume  # The dense stack
    # Structure id to its truth; empty where the dense prediction takes its place
    truth: dict[str, Volume]
    plan: Plan


@dataclass(frozen=True, eq=False)
class RatioResult:
    """The scores of a ratio that is done, and the report of its first phase's run."""

    scores: RatioScores
    report: Report


def ratios_for(depth: int, wanted: Sequence[int] = RATIOS) -> tuple[int, ...]:
    """Return the ratios, ascending, that leave a stack of `depth` planes at least 2."""
    fitting = {r for r in wanted if r >= 1 and -(-depth // r) >= FEWEST_PLANES}
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
    volume
        The dense stack, ZYX, one channel.
    truth
        Structure id to its ground truth, ZYX.
    request
        Everything but ratio and sparsity; structures count where there is no truth.
    all_phases
        Start at each of the first r planes in turn, not at the first alone.
    against_dense
        There is no truth: score against the prediction from all planes. Ratio 1 is
        swept whether it is asked for or not.

    Returns
    -------
    By ratio, ascending, then by phase.
    """
    _check_sweep(volume, truth, against_dense)
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
        for phase in range(ratio if all_phases else 1):
            sampling = {"ratio": float(ratio), "phase": phase}
            asked = request.model_copy(update={**fields, **sampling})
            plan = plan_prediction(card, volume, asked, truth)
            runs.append(PlannedRun(ratio, phase, volume, dict(truth), plan))
    return runs


def _check_sweep(
    volume: Volume, truth: Mapping[str, Volume], against_dense: bool
) -> None:
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


def run_sweep(
    model: Model,
    runs: Sequence[PlannedRun],
    progress: Progress = no_progress,
    cancel: threading.Event | None = None,
) -> Iterator[tuple[RatioResult, Volume]]:
    """Predict and score, ratio by ratio; `progress` is called after each tile.

    Yields
    ------
    result
        As soon as all phases of a ratio are done.
    prediction
        CZYX, of the first phase; in units of the dense prediction against that.

    Raises
    ------
    Cancelled
        `cancel` was set: before the network's next layer. Of the ratio that was begun
        nothing is yielded.
    """
    from napari_sparsessp.prediction.inference import cancellable_network

    total, done = sum(run.plan.total_tiles for run in runs), 0
    step = ""

    def tile_done() -> None:
        nonlocal done
        done += 1
        progress(done, total, step)

    dense: DenseReference | None = None
    # A bundle loads networks on the way, and ends before the next tile.
    ends = (
        nullcontext()
        if model.card.members
        else cancellable_network(model.network, cancel)
    )
    with ends:
        for ratio, its_runs in groupby(runs, key=lambda run: run.ratio):
            phases: list[PhaseScores] = []
            first: tuple[Volume, Report] | None = None
            for run in its_runs:
                step = f"r = {ratio}" + f", from plane {run.phase}" * (run.phase > 0)
                prediction, report = _predict(model, run, tile_done, cancel)
                scores = report.structures
                if not run.truth and dense is None:
                    dense = DenseReference(prediction)
                elif dense is not None:
                    dense.rescale(prediction)
                if dense is not None:
                    scores = dense.scores(prediction, cancellable(no_progress, cancel))
                phase = PhaseScores(
                    phase=run.phase,
                    measured_planes=report.measured_planes,
                    seconds=report.seconds.total,
                    structures={name: with_fitted(its) for name, its in scores.items()},
                )
                phases.append(phase)
                first = first or (prediction, report)
                del prediction
            assert first is not None
            yield RatioResult(RatioScores.of(ratio, phases), first[1]), first[0]


def _predict(
    model: Model,
    run: PlannedRun,
    tile_done: Callable[[], None],
    cancel: threading.Event | None,
) -> tuple[Volume, Report]:
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
            tile_done()
        elif isinstance(event, Finished):
            report = event.report
    if planned is None or report is None:
        raise Cancelled
    return output_volume(planned), report


class DenseReference:
    """A dense prediction as the reference of sparser ones, where there is no truth.

    It tells how much a prediction changes as planes are left out, nothing of whether
    it is right. R² is 1 − SSE / SST with the dense prediction as the truth, nothing
    refitted; MSE and MAE are in units of its standard deviation, structure by
    structure.
    """

    def __init__(self, prediction: Volume) -> None:
        self.volume = prediction
        self._scales = [moments(stack) for stack in prediction.array]
        self.rescale(prediction)

    def rescale(self, prediction: Volume) -> None:
        """Bring a prediction on the same grid into the reference's units, in place."""
        pairs = zip(prediction.array, self._scales, strict=True)
        for stack, (mean, deviation) in pairs:
            stack -= np.float32(mean)
            stack /= np.float32(deviation or 1.0)

    def scores(self, prediction: Volume, progress: Progress = no_progress) -> Scores:
        """Score a prediction that was rescaled, as `metrics.score` defines scores.

        ``r2``, ``mse``, ``mae``, ``pcc``, ``pcc_plane`` and ``r2_per_plane`` are None
        where either prediction is constant. `progress` is called after each plane.
        """
        scores: Scores = {}
        names = self.volume.channel_names
        for name, stack in zip(names, self.volume.array, strict=True):
            whole, within = PixelSums(), []
            planes = zip(prediction.channel(name).array, stack, strict=True)
            for done, (plane, reference) in enumerate(planes, 1):
                within.append(PixelSums().update(plane, reference))
                whole.merge(within[-1])
                progress(done, len(stack), name)
            known = [sums.pcc for sums in within if sums.pcc is not None]
            scores[name] = {
                "r2": whole.r2,
                "mse": whole.mse,
                "mae": whole.mae,
                "pcc": whole.pcc,
                "pcc_plane": sum(known) / len(known) if known else None,
                "r2_per_plane": [sums.r2 for sums in within],
            }
        return scores


def measure_baselines(
    run: PlannedRun,
) -> tuple[Baselines, dict[str, np.ndarray], np.ndarray]:
    """Score the trivial predictors and estimate the ceilings.

    truth
        Structure id to its z-scored truth on the grid, (D, H, W); empty where the dense
        prediction will take its place, and no baseline is measured then.
    light
        The transmitted light on the same grid.
    """
    from napari_sparsessp.prediction.scoring import align_truth

    plan = run.plan
    voxel = plan.request.voxel_size or run.volume.voxel_size or plan.card.voxel_size
    # The stack with the place in space that the prediction took it to have.
    light = run.volume.with_(voxel_size=(voxel[0], *plan.input_pixel))
    if not run.truth:
        names = plan.structures
        nothing = Baselines(
            trivial={name: {} for name in names}, ceiling=dict.fromkeys(names)
        )
        return nothing, {}, onto_grid(light, plan.grid)
    truth = align_truth(plan.truth, plan.grid, None)
    ceilings: dict[str, dict[str, float | None] | None] = {}
    for name, volume in plan.truth.items():
        try:
            ceilings[name] = asdict(
                noise_ceiling(survey_truth(volume).truth, plan.grid)
            )
        except InputError:  # too small an image for an estimate; scores stand alone
            ceilings[name] = None
    trivial = score_baselines(light, truth, plan.grid)
    on_grid = onto_grid(light, plan.grid)
    return Baselines(trivial=trivial, ceiling=ceilings), truth, on_grid


def sweep_report(
    results: Sequence[RatioResult],
    runs: Sequence[PlannedRun],
    baselines: Baselines,
    rule: Rule | None = None,
) -> SweepReport:
    """Return the report after some ratios, at least one, or after all."""
    first = results[0].report
    report = SweepReport(
        model=first.model,
        input=first.input,
        finished={result.scores.ratio for result in results}
        == {run.ratio for run in runs},
        request=first.request,
        device=first.device,
        precision=first.precision,
        depth=runs[0].volume.shape[0],
        voxel_size=first.voxel_size,
        reference="truth" if runs[0].truth else "dense prediction",
        answer="",
        planes_needed={},
        ratios=tuple(result.scores for result in results),
        baselines=baselines,
        warnings=tuple(
            dict.fromkeys(text for result in results for text in result.report.warnings)
        ),
    )
    return judged(report, rule or KeepShare())


def sweep_key(
    sha256: str, runs: Sequence[PlannedRun], progress: Progress = no_progress
) -> str:
    """Return a hash of all that the scores depend on; reads every pixel once."""
    requests = [
        run.plan.request.model_dump(mode="json", exclude=set(_IRRELEVANT))
        for run in runs
    ]
    digest = hashlib.sha256(json.dumps([sha256, requests], sort_keys=True).encode())
    for name, volume in [("", runs[0].volume), *sorted(runs[0].truth.items())]:
        place = (volume.voxel_size, volume.pixel_size, volume.origin, volume.shape)
        digest.update(repr((name, *place, str(volume.array.dtype))).encode())
        depth, height, width = volume.shape
        at_once = _HASHED_AT_ONCE // (height * width * volume.array.dtype.itemsize)
        for begin in range(0, depth, max(1, at_once)):
            planes = range(begin, min(begin + max(1, at_once), depth))
            digest.update(volume.region(planes, slice(None), slice(None)).tobytes())
            progress(planes.stop, depth, name)
    return digest.hexdigest()
