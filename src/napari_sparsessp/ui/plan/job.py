"""From what the user chose in the Plan dock to a sweep, measured in the background.

`preview_plan` reads layers' metadata, never a pixel, and changes nothing;
`measure_plan` runs in a worker thread and must not touch the viewer.
"""

import importlib
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from napari_sparsessp.evaluation.sweep import RATIOS, ratios_for, sweep_key
from napari_sparsessp.prediction.plan import one_channel
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.tasks import TimeLeft
from napari_sparsessp.ui.napari_compat import layer_with_key
from napari_sparsessp.ui.predict.planning import (
    FormState,
    PlanningEngine,
    PredictionPreview,
    pixels_of,
    preview_prediction,
)
from napari_sparsessp.ui.preferences import model_news
from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.ui.widgets.style import duration_text
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.html import Gallery
    from napari_sparsessp.evaluation.sweep import PlannedRun
    from napari_sparsessp.evaluation.sweep_report import SweepReport
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.library import Model

SWEEPS_KEPT = 12
"""Sweeps that are remembered; the pictures of one take some 10 MB."""

# The engine refuses to thin out a stack whose planes are further apart than this.
_SPARSE = 1.5
_NO_TRUTH = "Choose a truth layer, or compare with the dense prediction."


@dataclass(frozen=True)
class PlanChoice:
    """Everything that the user has chosen in the dock."""

    stack: FormState
    against_dense: bool = False  # truths do not count then
    ratios: tuple[int, ...] = RATIOS
    all_phases: bool = False  # start at each of the first r planes in turn
    time: int = 0

    @property
    def identity(self) -> tuple[Any, ...]:
        """Hashable key of a choice, time point aside."""
        card = self.stack.card
        return (
            repr(replace(self.stack, card=None)),
            None if card is None else (card.id, card.version),
            self.against_dense,
            self.ratios,
            self.all_phases,
        )


@dataclass(frozen=True, eq=False)
class PlanJob:
    """All that the worker thread may know; volumes are lazy and ZYX."""

    card: "ModelCard"
    volume: Volume
    truth: dict[str, Volume]
    request: PredictionRequest
    ratios: tuple[int, ...]
    all_phases: bool
    against_dense: bool


@dataclass(frozen=True, eq=False)
class PlanPreview:
    """Preview of a measurement."""

    # of the prediction from every plane
    seen: PredictionPreview = field(default_factory=PredictionPreview)
    job: PlanJob | None = None
    offered: tuple[int, ...] = ()
    sparse: str = ""  # why this stack cannot be thinned out, and what to do
    waiting: str = ""


def preview_plan(
    viewer: Any, engine: PlanningEngine, choice: PlanChoice, wanted: tuple[int, ...]
) -> PlanPreview:
    """Return what would be measured; `wanted` are the ratios that the dock offers."""
    stack = replace(choice.stack, ratio=1.0, simulate=True)
    if choice.against_dense:
        stack = replace(stack, truths={}, insisted=frozenset())
    elif stack.truths:
        kept = tuple(id_ for id_ in stack.structures if id_ in stack.truths)
        stack = replace(stack, structures=kept)
    seen = preview_prediction(viewer, engine, stack)
    if seen.reading is None:
        return PlanPreview(seen, waiting=seen.waiting)
    depth = seen.reading.volume.sizes["Z"]
    plan = PlanPreview(seen, offered=ratios_for(depth, wanted))
    if sparse := _why_sparse(stack.card, seen, depth):
        return replace(plan, sparse=sparse)
    if seen.plan is None or seen.request is None or stack.card is None:
        return replace(plan, waiting=seen.waiting)
    if not choice.against_dense and not seen.truth:
        return replace(plan, waiting=_NO_TRUTH)
    ratios = tuple(sorted({1, *choice.ratios} & {1, *plan.offered}))
    if len(ratios) < 2:
        return replace(plan, waiting="Choose at least one ratio above 1.")

    def at_time(volume: Volume) -> Volume:
        # a truth without a time axis stands for every time point
        return volume.time(min(choice.time, volume.sizes.get("T", 1) - 1))

    structures = tuple(seen.truth) or stack.structures
    job = PlanJob(
        card=stack.card,
        volume=at_time(one_channel(seen.reading.volume, choice.stack.channel)),
        truth={id_: at_time(one) for id_, one in seen.truth.items()},
        request=seen.request.model_copy(update={"structures": structures}),
        ratios=ratios,
        all_phases=choice.all_phases,
        against_dense=choice.against_dense,
    )
    return replace(plan, job=job)


def _why_sparse(card: "ModelCard | None", seen: PredictionPreview, depth: int) -> str:
    """Say why there is nothing to leave out, and what to do."""
    assert seen.reading is not None
    size = seen.reading.volume.voxel_size
    if depth < 3:
        count = "one plane" if depth == 1 else f"{depth} planes"
        return (
            f"This image has {count}: none can be left out. Open a dense z-stack of "
            "typical cells."
        )
    if card is None or size is None or size[0] <= _SPARSE * card.voxel_size[0]:
        return ""
    dense = card.voxel_size[0]
    planes = round(depth * size[0] / dense)
    return (
        f"This stack is sparse already: its planes are {size[0]:.3g} µm apart, the "
        f"network's {dense:.3g} µm. It cannot tell what leaving out planes would cost, "
        "for the planes between were never imaged.\n"
        f"Record one dense stack of typical cells, a plane every {dense:.3g} µm (some "
        f"{planes} planes here), and open it. Once is enough; all others may then be "
        "as sparse as it tells. This one can be predicted as it is, in Predict."
    )


@dataclass(frozen=True, eq=False)
class SweepRecord:
    """A sweep as it is kept: scores, and small pictures where they are drawn."""

    report: "SweepReport"
    gallery: "Gallery | None" = None


@dataclass(frozen=True)
class Measurement:
    """A whole sweep, its `sweep_key`, and whether the same pixels were swept before."""

    record: SweepRecord
    key: str
    remembered: bool = False


class MeasuredChoice:
    """A choice and the arrays it was measured with, which it does not keep alive."""

    def __init__(self, choice: PlanChoice, arrays: Sequence[Any]) -> None:
        self.choice = choice
        self._references = [_reference(one) for one in arrays]

    def fits(self, choice: PlanChoice, arrays: Sequence[Any]) -> bool:
        """Return whether this is the same choice of the same arrays."""
        if choice.identity != self.choice.identity:
            return False
        same = len(self._references) == len(arrays)
        pairs = zip(self._references, arrays, strict=False)
        return same and all(reference() is one for reference, one in pairs)


class SweepMemory:
    """The last sweeps of a session.

    Without reading a pixel, images are told apart by being the same arrays: what was
    painted into an array since is only noticed by measuring again.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[MeasuredChoice, Measurement]] = []

    def keep(self, measured: MeasuredChoice, measurement: Measurement) -> None:
        """Keep the sweep of a choice."""
        self._kept = [*self._kept, (measured, measurement)][-SWEEPS_KEPT:]

    def with_key(self, key: str) -> SweepRecord | None:
        """Return the sweep of the same pixels; None where it was not done."""
        same = (one.record for _, one in self._kept if one.key == key)
        return next(same, None)

    def find(self, choice: PlanChoice, arrays: Sequence[Any]) -> SweepRecord | None:
        """Return the sweep of a choice; None where these images were not swept so."""
        same = (one.record for seen, one in self._kept if seen.fits(choice, arrays))
        return next(same, None)

    def forget(self, model: str) -> None:
        """Drop what a model has predicted, or all for "": its file has changed."""
        other = (one for one in self._kept if one[1].record.report.model.id != model)
        self._kept = list(other) if model else []


def measure_plan(
    engine: Any, job: PlanJob, memory: SweepMemory, progress: TaskProgress
) -> Measurement:
    """Sweep, unless the same was swept before; publishes a record after each ratio."""
    from napari_sparsessp.evaluation.sweep import plan_sweep

    progress(0.0, what="Loading the network…")
    # The first curve needs it, and the interface would stand still for its import.
    importlib.import_module("pyqtgraph")
    model = engine.model(job.request)
    stack = job.card, job.volume, job.truth, job.request, job.ratios
    phases, dense = job.all_phases, job.against_dense
    runs = plan_sweep(*stack, all_phases=phases, against_dense=dense)
    progress(0.0, what="Reading the stack…")
    key = sweep_key(model.sha256, runs, lambda *_: progress.check())
    known = memory.with_key(key)
    if known is not None:
        return Measurement(known, key, remembered=True)
    return Measurement(_measured(model, runs, progress), key)


def _measured(
    model: "Model", runs: "list[PlannedRun]", progress: TaskProgress
) -> SweepRecord:
    from napari_sparsessp.evaluation.html import SweepResults
    from napari_sparsessp.evaluation.sweep import run_sweep

    count = len({run.ratio for run in runs})
    if runs[0].truth:
        progress(0.0, what="Scoring what needs no network…")
    results = SweepResults(runs, pictures=True)
    time_left = TimeLeft()

    def report(done: float, total: float | None = None, what: str = "") -> None:
        assert total is not None
        left = time_left(done / total)
        rest = f" · {duration_text(left)} left" if left else ""
        which = "every plane" if what == "r = 1" else what
        progress(done, total, f"{which}: tile {done:.0f} of {total:.0f}{rest}")

    try:
        for result, prediction in run_sweep(model, runs, report, progress.cancelled):
            results.take(result)
            progress.publish(SweepRecord(results.report()))
            if len(results.results) == count:
                progress(1.0, what="Drawing the report's pictures…")
            results.draw(result.scores.ratio, prediction, lambda *_: progress.check())
    finally:
        if results.gallery is not None:
            results.gallery.release()
        if results.drawn:
            progress.publish(SweepRecord(results.report(), results.gallery))
    return SweepRecord(results.report(), results.gallery)


@cache
def session_memory() -> SweepMemory:
    """Return the sweeps of this session, of all viewers: pixels tell them apart."""
    memory = SweepMemory()
    model_news().changed.connect(memory.forget)
    return memory


def arrays_of(viewer: Any, choice: PlanChoice) -> list[Any]:
    """Return the arrays that a choice depends on: the stack, then its truths."""
    truths = {} if choice.against_dense else choice.stack.truths
    keys = [choice.stack.layer, *(truths[id_] for id_ in sorted(truths))]
    layers = [layer_with_key(viewer, key) for key in keys]
    return [pixels_of(layer) for layer in layers if layer is not None]


def _reference(array: Any) -> Callable[[], Any]:
    """Return what finds an array while it lives; some cannot be followed."""
    try:
        return weakref.ref(array)
    except TypeError:
        return object
