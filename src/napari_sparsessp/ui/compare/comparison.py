"""What is compared, against what, and what is known of it by now.

Results belong to the layers that they came from, as they were: another run, another
truth or another place of a layer lets them go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.structures import match_channel, structure_or_custom
from napari_sparsessp.ui.layers.metadata import (
    ERROR,
    KEY,
    PREDICTION,
    UNCERTAINTY,
    LayerWatch,
    add_to,
    model_of,
    role_of,
)
from napari_sparsessp.ui.layers.reading import (
    LeadingAxis,
    micrometres,
    read_layer,
    truth_choices,
)
from napari_sparsessp.ui.layers.viewport import layer_index
from napari_sparsessp.ui.layouts.arrangement import layouts_of
from napari_sparsessp.ui.napari_compat import layer_key, layer_with_key
from napari_sparsessp.ui.tasks import TaskProgress, TaskQueue, readable_error
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.agreement import Agreement


@dataclass(frozen=True, eq=False)
class Family:
    """All that one model has made of one input.

    Attributes
    ----------
    key : str
        Names it for as long as its layers live.
    label : str
        For people: input and model.
    source : Layer or None
        The input, where it is still there.
    predictions, uncertainties, errors : dict
        Structure id to layer.
    """

    key: str
    label: str
    source: Any | None
    predictions: dict[str, Any] = field(default_factory=dict)
    uncertainties: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pair:
    """A prediction and its truth at one time point, as they were when it was taken.

    Attributes
    ----------
    structure : str
    prediction, truth : Volume
        ZYX; placed so that what lies over one another on screen is compared.
    prediction_key, truth_key : str
        Keys of their layers.
    time : int or None
    """

    structure: str
    prediction: Volume
    truth: Volume
    prediction_key: str
    truth_key: str
    time: int | None


def families(viewer: Any) -> list[Family]:
    """Find what can be compared, lowest layer first.

    Parameters
    ----------
    viewer : napari.Viewer
    """
    found: dict[str, Family] = {}
    errors = []
    for layer in viewer.layers:
        role = role_of(layer)
        if role == ERROR:
            errors.append(layer)
        if role not in (PREDICTION, UNCERTAINTY):
            continue
        about = layer.metadata[KEY]
        if about.get("state") == "outdated":
            continue
        source_id, model = about.get("source_id"), model_of(layer)
        key = f"{source_id or about.get('source', '')}|{model}"
        if key not in found:
            source = layer_with_key(viewer, source_id)
            name = str(about.get("source", "")) if source is None else source.name
            label = " · ".join(filter(None, [str(name), model])) or str(layer.name)
            found[key] = Family(key, label, source)
        mine = found[key]
        kind = mine.predictions if role == PREDICTION else mine.uncertainties
        kind[str(about["structure"])] = layer
    for layer in errors:
        of = layer.metadata[KEY].get("of_id")
        for one in found.values():
            for id_, prediction in one.predictions.items():
                if layer_key(prediction) == of:
                    one.errors[id_] = layer
    return [one for one in found.values() if one.predictions]


def truth_of(
    viewer: Any, family: Family, structure: str, chosen: Mapping[str, str | None]
) -> Any | None:
    """Find the truth of a structure: the user's choice, the run's, or one of its name.

    Parameters
    ----------
    viewer : napari.Viewer
    family : Family
    structure : str
    chosen : mapping
        Structure id to the key of a layer, or None for none, where the user chose.
    """
    if structure in chosen:
        return layer_with_key(viewer, chosen[structure])
    about = family.predictions[structure].metadata[KEY]
    linked = layer_with_key(viewer, about.get("truth_id"))
    if linked is not None:
        return linked
    source = None if family.source is None else layer_key(family.source)
    offers = truth_choices(viewer, source)
    found = match_channel(structure_or_custom(structure), [name for _, name in offers])
    return None if found is None else layer_with_key(viewer, offers[found][0])


def time_of(viewer: Any, prediction: Any) -> int | None:
    """Time point of a prediction that is on screen; None for one without times."""
    return int(layer_index(viewer, prediction)[0]) if prediction.ndim == 4 else None


def pair_of(
    structure: str,
    prediction: Any,
    truth: Any,
    source: Any | None,
    time: int | None,
) -> Pair:
    """Freeze a prediction and its truth for a thread; no voxel is read.

    Parameters
    ----------
    structure : str
    prediction, truth, source : Layer
        The input may be None.
    time : int or None
        Time point to take.

    Raises
    ------
    InputError
        The two cannot be compared.
    """
    return _pair(structure, prediction, truth, source, time)


def _pair(
    structure: str,
    prediction: Any,
    truth: Any,
    source: Any | None,
    time: int | None,
    channel: int | str | None = None,
) -> Pair:
    # four axes without names: those of a prediction say what the others' are
    leading: LeadingAxis | None = None if time is None else "T"
    found = read_layer(prediction, leading=leading).volume
    found = _one_time(found, time, "the prediction")
    true = read_layer(truth, leading=leading).volume
    if "C" in true.axes and channel is not None:
        true = true.channel(channel)
    elif "C" in true.axes:
        raise InputError(
            f"layer {truth.name!r} has several channels; split it (right click > Split "
            "Stack) and choose one of them as truth"
        )
    true = _one_time(true, time, f"truth {truth.name!r}")
    if not has_length(prediction) and not has_length(truth):
        # both in the same pixels of one world
        found = found.with_(voxel_size=_steps(prediction), pixel_size=None)
        true = true.with_(voxel_size=_steps(truth), pixel_size=None)
    elif true.voxel_size is None:
        true = _placed_like(true, found, source, truth)
    found = found.with_(origin=_origin(prediction))
    if true.voxel_size is not None and _placed(truth):
        if not _as_turned(prediction, truth):
            raise InputError(
                f"layer {truth.name!r} is turned or mirrored against the prediction; "
                "give it the same rotation and affine transformation"
            )
        true = true.with_(origin=_origin(truth))
    return Pair(structure, found, true, layer_key(prediction), layer_key(truth), time)


def _one_time(volume: Volume, time: int | None, what: str) -> Volume:
    times = volume.sizes.get("T", 1)
    if time is None and times > 1:
        raise InputError(f"{what} has {times} time points, the other none; take one")
    if time is not None and "T" not in volume.axes:
        raise InputError(f"{what} has no time points; give one that has as many")
    return volume if time is None else volume.time(time)


def has_length(layer: Any) -> bool:
    """Whether a layer is measured in µm and the like, not in pixels."""
    return micrometres(layer.units[-1]) is not None


def _placed(layer: Any) -> bool:
    """Whether somebody has told where the layer lies: its place counts."""
    return has_length(layer) or not np.allclose(layer.scale[-3:], 1)


def _steps(layer: Any) -> tuple[float, float, float]:
    z, y, x = ([1.0, *map(abs, layer.scale)])[-3:]
    return float(z), float(y), float(x)


def _placed_like(
    truth: Volume, prediction: Volume, source: Any | None, layer: Any
) -> Volume:
    """Put a truth without a voxel size where its shape says that it belongs."""
    shape = truth.shape[-3:]
    flat = shape[0] == prediction.shape[-3] == 1  # they lie nowhere in z
    if flat and truth.pixel_size is not None and prediction.voxel_size is not None:
        return truth.with_(voxel_size=(prediction.voxel_size[0], *truth.pixel_size))
    if shape == prediction.shape[-3:]:
        return truth.with_(voxel_size=prediction.voxel_size, origin=prediction.origin)
    if source is not None:
        light = read_layer(source).volume
        if shape == light.shape[-3:] and light.voxel_size is not None:
            return truth.with_(voxel_size=light.voxel_size, origin=_origin(source))
    raise InputError(
        f"layer {layer.name!r} has {'×'.join(map(str, shape))} voxels, as neither the "
        "prediction nor its input, and no voxel size; set its scale and units"
    )


def _turn(layer: Any) -> np.ndarray:
    """Rotation and shear of z, y and x."""
    rotate = np.asarray(layer.rotate)[-3:, -3:]
    shear = np.eye(layer.ndim)
    values = np.asarray(layer.shear, float)
    if values.ndim == 1:
        shear[np.triu_indices(layer.ndim, 1)] = values
    else:
        shear = values
    return rotate @ shear[-3:, -3:]


def _as_turned(one: Any, other: Any) -> bool:
    if one.ndim < 3 or other.ndim < 3:
        return True
    same = np.allclose(_turn(one), _turn(other))
    signs, other_signs = (np.sign(layer.scale[-3:]) for layer in (one, other))
    affine, other_affine = (
        np.asarray(layer.affine)[-4:, -4:] for layer in (one, other)
    )
    return (
        same
        and np.array_equal(signs, other_signs)
        and np.allclose(affine, other_affine)
    )


def _origin(layer: Any) -> tuple[float, float, float]:
    """Centre of voxel 0 along the layer's own axes, in µm or the world's pixels."""
    number = min(layer.ndim, 3)
    place = np.asarray(layer.translate, float)[-number:]
    if number == 3:
        place = np.linalg.solve(_turn(layer), place)
    units = [micrometres(unit) or 1.0 for unit in layer.units[-number:]]
    place = place * units * np.sign(layer.scale[-number:])
    z, y, x = ([0.0, *map(float, place)])[-3:]
    return z, y, x


def light_of(family: Family, structure: str, time: int | None) -> Volume | None:
    """Give the input, placed as a prediction's truth would be; None where it is gone.

    Parameters
    ----------
    family : Family
    structure : str
        Any of its predictions.
    time : int or None
    """
    source, prediction = family.source, family.predictions[structure]
    if source is None:
        return None
    about = prediction.metadata[KEY].get("request") or {}
    try:
        return _pair(
            structure, prediction, source, source, time, about.get("channel") or 0
        ).truth
    except InputError:
        return None


SCORES, ERROR_COMPARISON, TRUTH = "scores", "error", "truth"
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
        self.queue = TaskQueue(self)
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
        self.queue.cancel(lambda task: not {task.which[0], task.which[1]} <= there)
        self.watch.follow([*self._predictions().values(), *self.truths().values()])
        return found

    def choose(self, key: str) -> None:
        """Compare another family."""
        self._wanted = key
        self.queue.cancel()
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
        self._problems[task.which] = readable_error(error, "the comparison")
        self.failed.emit(task.structure)

    def _on_changed(self, key: str) -> None:
        """Let go of what a layer held before."""
        if layouts_of(self._viewer).arranging:
            return  # a truth of one plane is moved to where it is seen, and back
        for known in (self._results, self._problems):
            for which in [one for one in known if key in one[:2]]:
                del known[which]  # type: ignore[attr-defined]
        self.queue.cancel(lambda task: key in task.which[:2])
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


def _judge(pair: Pair, progress: TaskProgress) -> "Agreement":
    from napari_sparsessp.evaluation.agreement import agreement

    label = structure_or_custom(pair.structure).label

    def watch(done: float, total: float | None = None, what: str = "") -> None:
        progress(done, total, f"Scoring {label}…")

    return agreement(pair.truth, pair.prediction, pair.structure, watch)


def _error(pair: Pair, progress: TaskProgress) -> np.ndarray:
    from napari_sparsessp.evaluation.agreement import error_of

    progress(0.0, what=f"Error of {structure_or_custom(pair.structure).label}…")
    return error_of(pair.truth, pair.prediction)


def _truth(pair: Pair, progress: TaskProgress) -> np.ndarray:
    from napari_sparsessp.evaluation.agreement import aligned_truth

    progress(0.0, what=f"Truth of {structure_or_custom(pair.structure).label}…")
    return aligned_truth(pair.truth, pair.prediction)


_WORK: dict[str, Callable[..., Any]] = {
    SCORES: _judge,
    ERROR_COMPARISON: _error,
    TRUTH: _truth,
}
