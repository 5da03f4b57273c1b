"""One layer for each structure, filled while the prediction runs.

The layers look into one shared buffer that the worker writes to; they are refreshed
now and then, never made anew, so that what the user changed on them stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.compat import layer_key, layer_with_key
from napari_sparsessp.ui.contrast import FIRST_LIMITS
from napari_sparsessp.ui.layer_volume import LayerReading
from napari_sparsessp.ui.placement import placement
from napari_sparsessp.ui.viewport import layer_index

if TYPE_CHECKING:
    from napari_sparsessp.prediction.events import TileDone
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.ui.stream_worker import ContrastEstimated

KEY = "sparsessp"
"""The one key of ``layer.metadata`` that belongs to us."""

SCHEMA = 1

# A refresh in 2D costs 2 ms; in 3D the whole volume goes to the graphics card again.
REFRESH_2D_MS = 100
REFRESH_3D_MS = 700


def is_prediction(layer: Any) -> bool:
    """Tell whether a layer is one of ours."""
    about = layer.metadata.get(KEY)
    return isinstance(about, dict) and about.get("role") == "prediction"


def model_of(layer: Any) -> str:
    """Id of the model that made a prediction; "" where the layer does not say."""
    about = layer.metadata[KEY]
    for part in (about.get("request"), (about.get("provenance") or {}).get("model")):
        if isinstance(part, dict):
            return str(part.get("model") or part.get("id") or "")
    return ""


class StreamLayers(QObject):
    """The layers of one input's prediction by one model.

    Another model's predictions have layers of their own, to be compared.

    Signals
    -------
    all_removed
        The user deleted the last layer.
    visible_changed : str, bool
        A structure's layer was shown or hidden in napari's own list.
    complete
        All layers of a run are there.
    """

    all_removed = Signal()
    visible_changed = Signal(str, bool)
    complete = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._keys: dict[str, str] = {}
        self._limits: dict[str, tuple[float, float]] = {}  # that we have set
        self._wanted: dict[str, tuple[float, float]] = {}  # that are right by now
        self._dirty: set[str] = set()
        self._busy = False
        self._pending: list[_ToCome] = []
        self._maker = QTimer(self)
        self._maker.setSingleShot(True)
        self._maker.timeout.connect(self._make_next)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.refresh)
        viewer.layers.events.removed.connect(self._on_removed)

    def prepare(
        self,
        plan: "Plan",
        buffer: np.ndarray,
        source: Any,
        reading: LayerReading,
        visible: tuple[str, ...],
    ) -> None:
        """Make the layers, or give new data to those of a former run.

        A new layer takes napari a good part of a second on a slow machine: the first
        comes at once, the others one by one, shown ones first; then `complete`.

        Parameters
        ----------
        plan : Plan
        buffer : ndarray
            float32, shape ((T,) S, D, H, W).
        source : napari.layers.Image
        reading : LayerReading
            What was read from `source`.
        visible : tuple of str
            Structures to show.
        """
        place = placement(source, reading, plan)
        former = self._former(layer_key(source), plan.card.id)
        self._keys, self._dirty, self._busy = {}, set(), True
        self._hide_others(layer_key(source), plan.card.id)
        self._pending, self._wanted = [], {}
        structure_axis = plan.output_axes.index("C")
        for number, id_ in enumerate(plan.structures):
            view = buffer[(slice(None),) * structure_axis + (number,)]
            about = _about(plan, id_, source)
            layer = former.get(id_)
            if layer is not None and layer.ndim == view.ndim:
                self._renew(layer, view, place, about)
                self._follow(id_, layer)
            else:
                shown = id_ in visible
                self._pending.append(_ToCome(id_, view, place, about, shown))
        self._pending.sort(key=lambda one: not one.visible)
        self._make_next()

    def adopt(self, source_key: str | None, model: str) -> dict[str, Any]:
        """Take over the layers that an earlier run made from a source.

        Parameters
        ----------
        source_key : str or None
            Key of the input layer.
        model : str
            Id of the model. Where it has no layers, those count that were opened
            from a file.

        Returns
        -------
        dict
            Structure id to layer.
        """
        if not self._busy and source_key is not None:
            found = self._former(source_key, model) or self._opened(source_key)
            self._keys = {id_: layer_key(layer) for id_, layer in found.items()}
            for layer in found.values():
                layer.events.visible.connect(self._on_visible)
        return self.layers()

    def come_forward(self, visible: tuple[str, ...]) -> None:
        """Show the adopted layers in place of those of other models.

        Parameters
        ----------
        visible : tuple of str
            Structures that the user wants to see.
        """
        first = next(iter(self.layers().values()), None)
        if first is not None and not self._busy:
            self._hide_others(first.metadata[KEY].get("source_id"), model_of(first))
            for id_ in self._keys:
                self.set_visible(id_, id_ in visible)

    def tile_done(self, event: "TileDone") -> None:
        """Refresh soon what this tile changed, if it can be seen."""
        for id_ in event.structures:
            layer = self.layer(id_)
            if layer is not None and layer.visible and self._in_sight(layer, event):
                self._dirty.add(id_)
        if self._dirty and not self._timer.isActive():
            three = self._viewer.dims.ndisplay == 3
            self._timer.start(REFRESH_3D_MS if three else REFRESH_2D_MS)

    def refresh(self) -> None:
        """Draw what changed: pixels only, no thumbnails or extents."""
        dirty, self._dirty = self._dirty, set()
        for id_ in dirty:
            layer = self.layer(id_)
            if layer is not None:
                layer.refresh(thumbnail=False, highlight=False, extent=False)

    def set_limits(self, estimate: "ContrastEstimated") -> None:
        """Set contrast limits on layers whose limits the user has left alone."""
        self._wanted.update(estimate.limits)
        for id_, pair in estimate.limits.items():
            layer = self.layer(id_)
            if layer is None:
                continue
            now = tuple(layer.contrast_limits)
            if np.allclose(now, self._limits.get(id_, (np.nan, np.nan))):
                layer.contrast_limits = pair
                self._limits[id_] = tuple(layer.contrast_limits)

    def finish(
        self,
        state: str,
        about: Mapping[str, Any] | None = None,
        scores: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """End a run: draw everything once and write down what it was.

        Parameters
        ----------
        state : {"done", "cancelled", "failed"}
        about : mapping, optional
            Provenance, added to the layers' metadata.
        scores : mapping, optional
            Structure id to its scores, added to its own layer.
        """
        for timer in (self._timer, self._maker):
            timer.stop()
        late = bool(self._pending) and state == "done"
        while late and self._pending:
            self._add(self._pending.pop(0))
        if late:
            self.complete.emit()
        self._dirty, self._pending, self._busy = set(), [], False
        for id_ in self._keys:
            layer = self.layer(id_)
            if layer is None:
                continue
            extra = {**layer.metadata.get(KEY, {}), **(about or {}), "state": state}
            if scores and id_ in scores:
                extra["scores"] = dict(scores[id_])
            layer.metadata = {**layer.metadata, KEY: extra}
            layer.refresh()

    def layer(self, id_: str) -> Any | None:
        """Layer of a structure; None where there is none, or it is deleted."""
        return layer_with_key(self._viewer, self._keys.get(id_))

    def layers(self) -> dict[str, Any]:
        """All layers that are still there, by structure."""
        found = {id_: self.layer(id_) for id_ in self._keys}
        return {id_: layer for id_, layer in found.items() if layer is not None}

    def set_visible(self, id_: str, visible: bool) -> None:
        """Show or hide a structure's layer."""
        layer = self.layer(id_)
        if layer is not None and layer.visible != visible:
            layer.visible = visible

    def release(self) -> None:
        """Listen to the viewer no more."""
        self._timer.stop()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _from(self, source_key: str | None) -> list[Any]:
        """All predictions from a source, by whatever model."""
        return [
            layer
            for layer in self._viewer.layers
            if is_prediction(layer)
            and layer.metadata[KEY].get("source_id") == source_key
        ]

    def _former(self, source_key: str, model: str) -> dict[str, Any]:
        """Layers of a model's earlier prediction from a source, by structure."""
        layers = [one for one in self._from(source_key) if model_of(one) == model]
        return {layer.metadata[KEY]["structure"]: layer for layer in layers}

    def _opened(self, source_key: str) -> dict[str, Any]:
        """Layers of a prediction that came from a file, by structure."""
        layers = [o for o in self._from(source_key) if "request" not in o.metadata[KEY]]
        return {layer.metadata[KEY]["structure"]: layer for layer in layers}

    def _hide_others(self, source_key: str | None, model: str) -> None:
        """Hide what other models made of a source: colours would add up."""
        for layer in self._from(source_key):
            if model_of(layer) != model and layer.visible:
                layer.visible = False

    def _renew(
        self, layer: Any, view: np.ndarray, place: dict[str, Any], about: dict[str, Any]
    ) -> None:
        if not np.may_share_memory(layer.data, view):  # else it goes on with its own
            layer.data = view
        for name, value in place.items():
            setattr(layer, name, value)
        layer.metadata = {**layer.metadata, KEY: about}

    def _make_next(self) -> None:
        """Make one layer that is still to come, and let the window breathe."""
        if self._pending:
            self._add(self._pending.pop(0))
        if self._pending:
            self._maker.start(0)
        elif self._busy:
            self.complete.emit()

    def _add(self, one: "_ToCome") -> None:
        structure = structure_or_custom(one.id)
        name = f"{structure.label} · predicted"
        if any(layer.name == name for layer in self._from(one.about["source_id"])):
            name = f"{structure.label} · {one.about['request']['model']}"
        layer = self._viewer.add_image(
            one.view,
            name=name,
            colormap=structure.colour,
            contrast_limits=self._wanted.get(one.id, FIRST_LIMITS),
            blending="additive",
            visible=one.visible,
            metadata={KEY: one.about},
            **one.place,
        )
        self._limits[one.id] = tuple(layer.contrast_limits)
        self._follow(one.id, layer)

    def _follow(self, id_: str, layer: Any) -> None:
        layer.events.visible.connect(self._on_visible)
        self._keys[id_] = layer_key(layer)

    def _in_sight(self, layer: Any, event: "TileDone") -> bool:
        """Tell whether a tile touches the slice that is shown."""
        if self._viewer.dims.ndisplay == 3 and event.time is None:
            return True
        offset = self._viewer.dims.ndim - layer.ndim
        displayed = {axis - offset for axis in self._viewer.dims.displayed}
        index = layer_index(self._viewer, layer)
        if event.time is not None and index[0] != event.time:
            return False
        return all(
            first + layer.ndim - 3 in displayed
            or part.start - 1 <= index[first + layer.ndim - 3] <= part.stop
            for first, part in enumerate(event.box)
        )

    def _on_visible(self, event: Any) -> None:
        about = event.source.metadata.get(KEY, {})
        id_ = about.get("structure")
        if id_ in self._keys and self._keys[id_] == layer_key(event.source):
            self.visible_changed.emit(id_, bool(event.source.visible))

    def _on_removed(self, event: Any) -> None:
        gone = layer_key(event.value)
        if gone in self._keys.values():
            self._keys = {i: key for i, key in self._keys.items() if key != gone}
            if not self._keys and not self._pending:
                self.all_removed.emit()


@dataclass(frozen=True, eq=False)
class _ToCome:
    """A layer that is still to be made."""

    id: str
    view: np.ndarray
    place: dict[str, Any]
    about: dict[str, Any]
    visible: bool


def _about(plan: "Plan", id_: str, source: Any) -> dict[str, Any]:
    """Say in values that JSON can hold what a layer is."""
    return {
        "schema_version": SCHEMA,
        "role": "prediction",
        "structure": id_,
        "source": str(source.name),
        "source_id": layer_key(source),
        "request": plan.request.model_dump(mode="json"),
        "measured_planes": list(plan.view.planes),
        "ratio": plan.view.ratio,
        "state": "running",
    }
