"""What is compared, against what, and what is known of it by now.

Results belong to the layers that they came from, as they were: another run, another
truth or another place of a layer lets them go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.compare.pairs import (
    Family,
    Pair,
    families,
    pair_of,
    time_of,
    truth_of,
)
from napari_sparsessp.ui.compat import layer_key
from napari_sparsessp.ui.errand_queue import ErrandQueue
from napari_sparsessp.ui.error_details import as_told
from napari_sparsessp.ui.layers.marks import KEY, add_to
from napari_sparsessp.ui.layers.watch import LayerWatch
from napari_sparsessp.ui.layouts.layouts import layouts_of

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.agreement import Agreement

SCORES, ERROR, TRUTH = "scores", "error", "truth"
"""What can be computed of a pair."""

AT_ONCE = 60_000_000
"""Voxels, of all pairs, up to which scores are computed unasked: some ten seconds."""

Which = tuple[str, str, int | None]
"""Keys of prediction and truth, and the time point."""


@dataclass(frozen=True)
class Task:
    """Something that is computed of a pair."""

    what: str
    structure: str
    which: Which


class Comparison(QObject):
    """The state of one Compare dock.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject, optional

    Signals
    -------
    changed
        Rows are to be written anew.
    judged : str
        A structure has scores now.
    made : str, object, object
        Of what kind (`ERROR`, `TRUTH`), the pair, and its voxels.
    stale : str
        Key of a layer that holds something else now.
    failed : str
        A structure that cannot be compared; `problem` says why.
    """

    changed = Signal()
    judged = Signal(str)
    made = Signal(str, object, object)
    stale = Signal(str)
    failed = Signal(str)

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.queue = ErrandQueue(self)
        self.watch = LayerWatch(self)
        self.family: Family | None = None
        self._wanted = ""
        self._chosen: dict[str, dict[str, str | None]] = {}
        self._results: dict[Which, Agreement] = {}
        self._problems: dict[Which, SparseSSPError] = {}
        self._pairs: dict[Task, Pair] = {}
        self.watch.changed.connect(self._on_changed)
        self.watch.linked.connect(self.changed)
        self.queue.done.connect(self._on_done)
        self.queue.failed.connect(self._on_failed)

    # what is there ------------------------------------------------------------

    def look(self) -> list[Family]:
        """Take what the viewer holds now; the chosen one stays where it can."""
        found = families(self._viewer)
        mine = next((one for one in found if one.key == self._wanted), None)
        shown = [
            one
            for one in found
            if any(layer.visible for layer in one.predictions.values())
        ]
        self.family = mine or next(iter(shown or found), None)
        if self.family is not None:
            self._wanted = self.family.key
        there = {layer_key(layer) for layer in self._viewer.layers}
        for known in (self._results, self._problems):
            for which in [one for one in known if not {one[0], one[1]} <= there]:
                del known[which]  # type: ignore[attr-defined]
        self.queue.drop(lambda task: not {task.which[0], task.which[1]} <= there)
        self.watch.follow([*self._predictions().values(), *self.truths().values()])
        return found

    def choose(self, key: str) -> None:
        """Compare another family."""
        self._wanted = key
        self.queue.stop()
        self.changed.emit()

    def choose_truth(self, structure: str, key: str | None) -> None:
        """Compare a structure with the truth in this layer, or with none."""
        if self.family is not None:
            self._chosen.setdefault(self.family.key, {})[structure] = key
            self.changed.emit()

    def structures(self) -> tuple[str, ...]:
        """Ids of what was predicted."""
        return tuple(self._predictions())

    def truth(self, structure: str) -> Any | None:
        """Layer that a structure is compared with."""
        if self.family is None or structure not in self.family.predictions:
            return None
        chosen = self._chosen.get(self.family.key, {})
        return truth_of(self._viewer, self.family, structure, chosen)

    def truths(self) -> dict[str, Any]:
        """Structure id to the layer of its truth, where there is one."""
        found = {id_: self.truth(id_) for id_ in self._predictions()}
        return {id_: layer for id_, layer in found.items() if layer is not None}

    def time(self) -> int | None:
        """Time point that is on screen; None where there are none."""
        first = next(iter(self._predictions().values()), None)
        return None if first is None else time_of(self._viewer, first)

    def running(self, structure: str) -> bool:
        """Whether a structure is being predicted right now."""
        layer = self._predictions().get(structure)
        return layer is not None and layer.metadata[KEY].get("state") == "running"

    # what is known ------------------------------------------------------------

    def result(self, structure: str) -> "Agreement | None":
        """What was found for a structure, as its layers are now."""
        which = self._which(structure)
        return None if which is None else self._results.get(which)

    def scores(self, structure: str) -> dict[str, Any] | None:
        """Scores that were computed, or that stand on the layer for this truth."""
        result, truth = self.result(structure), self.truth(structure)
        if result is not None:
            return result.scores
        if truth is None or self.time() is not None or self.running(structure):
            return None
        about = self._predictions()[structure].metadata[KEY]
        if about.get("truth_id") != layer_key(truth):
            return None
        return about.get("scores") or None

    def state(self, structure: str) -> str:
        """What is to be said in place of scores."""
        which = self._which(structure)
        if self.running(structure):
            return "predicting"
        if which is None:
            return "no truth"
        if which in self._problems:
            return "cannot"
        return "computing" if self._busy_with(structure) else ""

    def problem(self, structure: str) -> SparseSSPError | None:
        """Why a structure cannot be compared; None where it can."""
        which = self._which(structure)
        return None if which is None else self._problems.get(which)

    # what is to be computed ---------------------------------------------------

    def unknown(self) -> list[str]:
        """Structures with a truth whose scores are not known."""
        return [
            id_
            for id_ in self.truths()
            if self.result(id_) is None
            and not self.problem(id_)
            and not self.running(id_)
        ]

    def voxels(self) -> int:
        """How many voxels would have to be scored."""
        layers = self._predictions()
        shapes = [layers[id_].data.shape[-3:] for id_ in self.unknown()]
        return int(sum(np.prod(shape, dtype=float) for shape in shapes))

    def ask(self, what: str, structure: str) -> None:
        """Compute something, off the interface's thread.

        Parameters
        ----------
        what : str
            `SCORES`, `ERROR` or `TRUTH`.
        structure : str
        """
        which = self._which(structure)
        if which is None or self.running(structure) or which in self._problems:
            return
        task = Task(what, structure, which)
        if self.queue.has(task):
            return
        try:
            pair = self.pair(structure)
        except InputError as error:
            self._on_failed(task, error)
            return
        self._pairs[task] = pair
        self.queue.add(task, _WORK[what], pair)

    def pair(self, structure: str) -> Pair:
        """Freeze a structure's prediction and truth for a thread.

        Raises
        ------
        InputError
            They cannot be compared, or there is no truth.
        """
        truth = self.truth(structure)
        if self.family is None or truth is None:
            raise InputError(f"{structure} has no truth; choose a layer that shows it")
        prediction = self.family.predictions[structure]
        time = time_of(self._viewer, prediction)
        return pair_of(structure, prediction, truth, self.family.source, time)

    def _on_done(self, task: Task, value: Any) -> None:
        pair = self._pairs.pop(task)
        if task.what != SCORES:
            self.made.emit(task.what, pair, value)
            return
        self._results[task.which] = value
        self._write_down(task, value)
        self.judged.emit(task.structure)

    def _write_down(self, task: Task, result: "Agreement") -> None:
        """Keep scores with the layer, so that they are saved and opened with it."""
        prediction = self._predictions().get(task.structure)
        truth = self.truth(task.structure)
        if task.which != self._which(task.structure) or task.which[2] is not None:
            return
        if prediction is not None and truth is not None:
            about = prediction.metadata[KEY]
            linked = {"truth": str(truth.name), "truth_id": task.which[1]}
            if about.get("scores") != result.scores or about.get(
                "truth_id"
            ) != layer_key(truth):
                add_to(prediction, scores=dict(result.scores), **linked)

    def _on_failed(self, task: Task, error: Exception) -> None:
        self._pairs.pop(task, None)
        self._problems[task.which] = as_told(error, "the comparison")
        self.failed.emit(task.structure)

    def _on_changed(self, key: str) -> None:
        """Let go of what a layer held before."""
        if layouts_of(self._viewer).arranging:
            return  # a truth of one plane is moved to where it is seen, and back
        for known in (self._results, self._problems):
            for which in [one for one in known if key in one[:2]]:
                del known[which]  # type: ignore[attr-defined]
        self.queue.drop(lambda task: key in task.which[:2])
        self.stale.emit(key)
        self.changed.emit()

    def _busy_with(self, structure: str) -> bool:
        which = self._which(structure)
        return which is not None and self.queue.has(Task(SCORES, structure, which))

    def _which(self, structure: str) -> Which | None:
        truth = self.truth(structure)
        if truth is None:
            return None
        prediction = self._predictions()[structure]
        return layer_key(prediction), layer_key(truth), self.time()

    def _predictions(self) -> dict[str, Any]:
        return {} if self.family is None else self.family.predictions


def _judge(pair: Pair, meter: Callable[[str, float], None]) -> "Agreement":
    from napari_sparsessp.evaluation.agreement import agreement

    label = structure_or_custom(pair.structure).label

    def progress(done: float, total: float | None = None, what: str = "") -> None:
        meter(f"Scoring {label}…", done)

    return agreement(pair.truth, pair.prediction, pair.structure, progress)


def _error(pair: Pair, meter: Callable[[str, float], None]) -> np.ndarray:
    from napari_sparsessp.evaluation.agreement import error_of

    meter(f"Error of {structure_or_custom(pair.structure).label}…", 0.0)
    return error_of(pair.truth, pair.prediction)


def _truth(pair: Pair, meter: Callable[[str, float], None]) -> np.ndarray:
    from napari_sparsessp.evaluation.agreement import aligned_truth

    meter(f"Truth of {structure_or_custom(pair.structure).label}…", 0.0)
    return aligned_truth(pair.truth, pair.prediction)


_WORK: dict[str, Callable[..., Any]] = {SCORES: _judge, ERROR: _error, TRUTH: _truth}
