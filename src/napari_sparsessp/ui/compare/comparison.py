"""Which layers are compared, and the scores, errors and truths computed from them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

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
    run_of,
)
from napari_sparsessp.ui.layers.reading import (
    LayerReading,
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
class PredictionSet:
    """All predictions of one model from one input; layers by structure id."""

    key: str
    label: str
    source: Any | None
    predictions: dict[str, Any] = field(default_factory=dict)
    uncertainties: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pair:
    """A prediction and its truth at one time point, ZYX, placed as on screen."""

    structure: str
    prediction: Volume
    truth: Volume
    prediction_key: str
    truth_key: str
    time: int | None


def prediction_sets(viewer: Any) -> list[PredictionSet]:
    """Return what can be compared, lowest layer first."""
    sets: dict[str, PredictionSet] = {}
    owners: dict[str | None, tuple[PredictionSet, str]] = {}
    for layer in viewer.layers:
        about = layer.metadata.get(KEY, {})
        shown = role_of(layer) in (PREDICTION, UNCERTAINTY)
        if not shown or about.get("state") == "outdated":
            continue
        source_id, model = about.get("source_id"), model_of(layer)
        key = str(run_of(layer))
        if key not in sets:
            source = layer_with_key(viewer, source_id)
            name = str(about.get("source", "")) if source is None else source.name
            label = " · ".join(filter(None, [str(name), model])) or str(layer.name)
            if any(one.label == label for one in sets.values()):
                label = f"{name} · {run_of(layer).text()}"
            sets[key] = PredictionSet(key, label, source)
        structure = str(about["structure"])
        if role_of(layer) == PREDICTION:
            sets[key].predictions[structure] = layer
            owners[layer_key(layer)] = sets[key], structure
        else:
            sets[key].uncertainties[structure] = layer
    for layer in viewer.layers:
        of = layer.metadata[KEY].get("of_id") if role_of(layer) == ERROR else None
        if of in owners:
            owner, structure = owners[of]
            owner.errors[structure] = layer
    return [one for one in sets.values() if one.predictions]


def pair_of(
    structure: str,
    prediction: Any,
    truth: Any,
    source: Any | None,
    time: int | None,
    channel: int | str | None = None,
) -> Pair:
    """Freeze the layers of a prediction and its truth; no voxel is read."""
    # four axes without names: those of a prediction say what the others' are
    leading: LeadingAxis | None = None if time is None else "T"
    reading = read_layer(prediction, leading=leading)
    if source is not None:  # it lies where its input does, as far as that is known
        light = read_layer(source)
        placed = reading.volume.with_(placed=light.volume.placed)
        reading = replace(reading, volume=placed, moved=light.moved)
    other = read_layer(truth, leading=leading, onto=reading)
    predicted = _one_time(reading.volume, time, "the prediction")
    about = prediction.metadata[KEY]
    ours = bool(about.get("request") or about.get("provenance"))
    units = about.get("units") or (about.get("provenance") or {}).get("units")
    predicted = predicted.with_(zscored=ours, in_iqrs=units == "iqr")
    true = other.volume
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
        predicted = predicted.with_(voxel_size=reading.steps)
        true = true.with_(voxel_size=other.steps)
    elif true.voxel_size is None:
        true = _placed_like(true, predicted, source, truth)
    keys = layer_key(prediction), layer_key(truth)
    return Pair(structure, predicted, true, *keys, time)


def light_of(
    compared: PredictionSet, structure: str, time: int | None
) -> Volume | None:
    """Return the input, placed as a truth would be; None where it is gone."""
    source, prediction = compared.source, compared.predictions[structure]
    if source is None:
        return None
    about = prediction.metadata[KEY].get("request") or {}
    channel = about.get("channel") or 0
    try:
        return pair_of(structure, prediction, source, source, time, channel).truth
    except InputError:
        return None


def has_length(layer: Any) -> bool:
    """Return whether a layer is measured in µm and the like, not in pixels."""
    return micrometres(layer.units[-1]) is not None


def _one_time(volume: Volume, time: int | None, what: str) -> Volume:
    times = volume.sizes.get("T", 1)
    if time is None and times > 1:
        raise InputError(f"{what} has {times} time points, the other none; take one")
    if time is not None and "T" not in volume.axes:
        raise InputError(f"{what} has no time points; give one that has as many")
    return volume if time is None else volume.time(time)


def _placed_like(
    truth: Volume, prediction: Volume, source: Any | None, layer: Any
) -> Volume:
    """Put a truth without a voxel size where its shape says that it belongs."""
    shape = truth.shape[-3:]
    flat = shape[0] == prediction.shape[-3] == 1  # they lie nowhere in z
    if flat and truth.pixel_size is not None and prediction.voxel_size is not None:
        return truth.with_(voxel_size=(prediction.voxel_size[0], *truth.pixel_size))
    likes = [prediction]
    if source is not None:
        likes.append(read_layer(source).volume)
    for like in likes:
        if shape == like.shape[-3:] and like.voxel_size is not None:
            # a place that somebody has set counts
            origin = truth.origin if has_length(layer) else like.origin
            return truth.with_(voxel_size=like.voxel_size, origin=origin)
    raise InputError(
        f"layer {layer.name!r} has {'×'.join(map(str, shape))} voxels, as neither the "
        "prediction nor its input, and no voxel size; set its scale and units"
    )


SCORES, TRUTH = "scores", "truth"
"""With `ERROR`, what can be computed of a pair."""
UNASKED_VOXELS = 60_000_000
"""Of all pairs: up to so many are scored without being asked, in some ten seconds."""
Which = tuple[str, str, int | None]
"""Keys of prediction and truth, and the time point."""


class Computation(NamedTuple):
    """Tag of the queue: what is computed of a pair."""

    what: str
    structure: str
    which: Which


class Comparison(QObject):
    """The state of one Compare dock: the compared set, its truths and results."""

    changed = Signal()  # layers or choices: the dock has to refresh
    scored = Signal(str)  # structure
    failed = Signal(str)  # structure; `problem` says why
    # `ERROR` or `TRUTH`, pair, the error's voxels or those of truth and prediction
    computed = Signal(str, object, object)
    outdated = Signal(str)  # key of a layer whose results were discarded

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.queue = TaskQueue(self)
        self.compared: PredictionSet | None = None
        self._watch = LayerWatch(self)
        self._wanted = ""
        self._truths: dict[str, dict[str, str | None]] = {}
        self._results: dict[Which, Agreement | SparseSSPError] = {}
        self._watch.changed.connect(self._on_layer_changed)
        self._watch.linked.connect(self.changed)
        self.queue.done.connect(self._on_done)
        self.queue.failed.connect(self._on_failed)

    def refresh(self) -> list[PredictionSet]:
        """Return what the viewer holds now; the compared set stays where it can."""
        sets = prediction_sets(self._viewer)
        visible = [
            one for one in sets if any(p.visible for p in one.predictions.values())
        ]
        wanted = [one for one in sets if one.key == self._wanted]
        self.compared = next(iter(wanted or visible or sets), None)
        self._wanted = self._wanted if self.compared is None else self.compared.key
        there = {layer_key(layer) for layer in self._viewer.layers}
        self._discard(lambda which: not {*which[:2]} <= there)
        self._watch.follow([*self.predictions().values(), *self.truths().values()])
        return sets

    def choose(self, key: str) -> None:
        """Compare another set."""
        self._wanted = key
        self.queue.cancel()
        self.changed.emit()

    def choose_truth(self, structure: str, key: str | None) -> None:
        """Compare a structure with the truth in this layer, or with none."""
        if self.compared is not None:
            self._truths.setdefault(self.compared.key, {})[structure] = key
            self.changed.emit()

    def truth_choices(self) -> list[tuple[str, str]]:
        """Return the layers that may hold the truth of a prediction: (key, name)."""
        source = None if self.compared is None else self.compared.source
        key = None if source is None else layer_key(source)
        return truth_choices(self._viewer, key)

    def predictions(self) -> dict[str, Any]:
        """Return structure id to the layer of its prediction."""
        return {} if self.compared is None else self.compared.predictions

    def truth(self, structure: str) -> Any | None:
        """Return the truth of a structure: the user's choice, the run's, or by name."""
        compared, viewer = self.compared, self._viewer
        if compared is None or structure not in compared.predictions:
            return None
        chosen = self._truths.get(compared.key, {})
        if structure in chosen:
            return layer_with_key(viewer, chosen[structure])
        about = compared.predictions[structure].metadata[KEY]
        linked = layer_with_key(viewer, about.get("truth_id"))
        if linked is not None:
            return linked
        offers = self.truth_choices()
        names = [name for _, name in offers]
        place = match_channel(structure_or_custom(structure), names)
        return None if place is None else layer_with_key(viewer, offers[place][0])

    def truths(self) -> dict[str, Any]:
        """Return structure id to the layer of its truth, where there is one."""
        truths = {id_: self.truth(id_) for id_ in self.predictions()}
        return {id_: layer for id_, layer in truths.items() if layer is not None}

    def time(self) -> int | None:
        """Return the time point on screen; None where there are none."""
        first = next(iter(self.predictions().values()), None)
        lapse = first is not None and first.ndim == 4
        return int(layer_index(self._viewer, first)[0]) if lapse else None

    def agreement(self, structure: str) -> "Agreement | None":
        """Return the agreement of a structure's layers as they are now."""
        result = self._result(structure)
        return None if isinstance(result, SparseSSPError) else result

    def problem(self, structure: str) -> SparseSSPError | None:
        """Return why a structure cannot be compared; None where it can."""
        result = self._result(structure)
        return result if isinstance(result, SparseSSPError) else None

    def scores(self, structure: str) -> dict[str, Any] | None:
        """Return computed scores, or those on the layer against this truth."""
        agreement, truth = self.agreement(structure), self.truth(structure)
        if agreement is not None:
            return agreement.scores
        if truth is None or self.time() is not None or self._running(structure):
            return None
        about = self.predictions()[structure].metadata[KEY]
        known = about.get("truth_id") == layer_key(truth)
        return (about.get("scores") or None) if known else None

    def state(self, structure: str) -> str:
        """Return why there are no scores: a state of `table.STATES`, or ""."""
        which = self._which(structure)
        if self._running(structure):
            return "predicting"
        if which is None:
            return "no truth"
        if self.problem(structure) is not None:
            return "cannot"
        queued = self.queue.has(Computation(SCORES, structure, which))
        return "computing" if queued else ""

    def unscored(self) -> list[str]:
        """Return the structures with a truth whose scores are to be computed."""
        ids = self.truths()
        return [i for i in ids if self._result(i) is None and not self._running(i)]

    def voxels(self) -> int:
        """Return how many voxels are to be scored."""
        layers = self.predictions()
        shapes = [layers[id_].data.shape[-3:] for id_ in self.unscored()]
        return int(sum(np.prod(shape, dtype=float) for shape in shapes))

    def compute(self, what: str, structure: str) -> None:
        """Compute `SCORES`, `ERROR` or `TRUTH` in the background, if it is possible."""
        which = self._which(structure)
        if which is None or self._running(structure) or self.problem(structure):
            return
        tag = Computation(what, structure, which)
        if self.queue.has(tag):
            return
        try:
            self.queue.add(tag, _compute, what, self.pair(structure))
        except InputError as error:
            self._on_failed(tag, error)

    def volumes(self, structure: str) -> tuple[Volume, Volume | None]:
        """Freeze a structure's prediction, and its truth where there is one."""
        if self.truth(structure) is not None:
            pair = self.pair(structure)
            return pair.prediction, pair.truth
        reading = self.reading(structure)
        return _one_time(reading.volume, self.time(), "the prediction"), None

    def reading(self, structure: str) -> LayerReading:
        """Read the layer of a prediction."""
        leading: LeadingAxis | None = None if self.time() is None else "T"
        return read_layer(self.predictions()[structure], leading=leading)

    def pair(self, structure: str) -> Pair:
        """Freeze a structure's prediction and truth for a thread."""
        truth = self.truth(structure)
        if self.compared is None or truth is None:
            raise InputError(f"{structure} has no truth; choose a layer that shows it")
        prediction = self.compared.predictions[structure]
        return pair_of(structure, prediction, truth, self.compared.source, self.time())

    def _on_done(self, tag: Computation, result: tuple[Pair, Any]) -> None:
        pair, value = result
        if tag.what != SCORES:
            self.computed.emit(tag.what, pair, value)
            return
        self._results[tag.which] = value
        truth, scores = self.truth(tag.structure), dict(value.scores)
        if tag.which == self._which(tag.structure) and tag.which[2] is None:
            assert truth is not None
            # kept with the layer, so that they are saved and opened with it
            about = {"scores": scores, "truth_id": layer_key(truth)}
            prediction = self.predictions()[tag.structure]
            if not about.items() <= prediction.metadata[KEY].items():
                add_to(prediction, **about, truth=str(truth.name))
        self.scored.emit(tag.structure)

    def _on_failed(self, tag: Computation, error: Exception) -> None:
        self._results[tag.which] = readable_error(error, "the comparison")
        self.failed.emit(tag.structure)

    def _on_layer_changed(self, key: str) -> None:
        """Discard the results of a layer."""
        if layouts_of(self._viewer).arranging:
            return  # a truth of one plane is moved to where it is seen, and back
        self._discard(lambda which: key in which[:2])
        self.outdated.emit(key)
        self.changed.emit()

    def _discard(self, unwanted: Callable[[Which], bool]) -> None:
        """Forget results and cancel computations."""
        for which in list(filter(unwanted, self._results)):
            del self._results[which]
        self.queue.cancel(lambda tag: unwanted(tag.which))

    def _running(self, structure: str) -> bool:
        """Return whether a structure is being predicted right now."""
        layer = self.predictions().get(structure)
        return layer is not None and layer.metadata[KEY].get("state") == "running"

    def _which(self, structure: str) -> Which | None:
        truth = self.truth(structure)
        if truth is None:
            return None
        prediction = self.predictions()[structure]
        return layer_key(prediction), layer_key(truth), self.time()

    def _result(self, structure: str) -> "Agreement | SparseSSPError | None":
        which = self._which(structure)
        return None if which is None else self._results.get(which)


def _compute(what: str, pair: Pair, progress: TaskProgress) -> tuple[Pair, Any]:
    from napari_sparsessp.evaluation import agreement

    label = structure_or_custom(pair.structure).label
    doing = {SCORES: "Scoring", ERROR: "Error of", TRUTH: "Truth of"}[what]
    progress(0.0, what=f"{doing} {label}…")
    if what == SCORES:
        volumes = pair.truth, pair.prediction
        return pair, agreement.agreement(*volumes, pair.structure, progress)
    function = agreement.error_of if what == ERROR else agreement.aligned_stacks
    return pair, function(pair.truth, pair.prediction)
