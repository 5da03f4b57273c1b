"""One layer for each structure, filled while the prediction runs.

The layers look into one shared buffer that the worker writes to; they are refreshed
now and then, never made anew, so that what the user changed on them stays.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.ui.layers.contrast import FIRST_LIMITS, Recolouring
from napari_sparsessp.ui.layers.metadata import (
    DOUBTFUL,
    KEY,
    PREDICTION,
    UNCERTAINTY,
    about_layer,
    add_to,
    channel_of,
    first_look,
    made_from,
    mark_doubts,
    model_of,
    role_of,
    set_truth,
)
from napari_sparsessp.ui.layers.reading import LayerReading, placement
from napari_sparsessp.ui.layers.viewport import layer_index
from napari_sparsessp.ui.napari_compat import layer_key, layer_with_key
from napari_sparsessp.ui.preferences import preferences

if TYPE_CHECKING:
    from napari_sparsessp.prediction.engine import TileDone
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.ui.engine.stream_worker import ContrastEstimated

# The window is free for three quarters of the time, however slowly it draws.
_FREE = 3
# Later than the drawing that a refresh asks for.
_LOOK_MS = 20
PATIENCE_MS = 1000
"""Hidden layers come after the first tile, which their making would keep waiting."""


class DrawPace(QObject):
    """Measures what a refresh costs and gives the pause before the next one.

    Parameters
    ----------
    parent : QObject, optional
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cost_ms = 0.0
        self._began = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._look)

    def pause_ms(self, *, three: bool) -> int:
        """Milliseconds to wait before the next refresh; `three`: of a 3D view."""
        wish = preferences()
        least = wish.refresh_3d_ms if three else wish.refresh_2d_ms
        return max(least, round(_FREE * self._cost_ms))

    def begin(self) -> None:
        """Tell that a refresh begins; what it costs is known when Qt is back."""
        self._began = time.perf_counter()
        self._timer.start()

    def _look(self) -> None:
        spent = 1000 * (time.perf_counter() - self._began)
        self._cost_ms = max(0.0, spent - _LOOK_MS)


@dataclass(frozen=True, eq=False)
class ToCome:
    """What a layer will be.

    Attributes
    ----------
    id : str
        Channel.
    view : ndarray
        Its voxels, filled while the prediction runs.
    place : dict
        Where it lies: scale, translate and the rest.
    about : dict
        What is written on it.
    visible : bool
    old : str or None
        Key of the layer of an earlier run that gets new data.
    """

    id: str
    view: np.ndarray
    place: dict[str, Any]
    about: dict[str, Any]
    visible: bool
    old: str | None

    def renew(self, layer: Any) -> None:
        """Give an old layer the data; its looks stay as the user has made them."""
        own = isinstance(layer.data, np.ndarray)  # what was opened may be lazy
        if not (own and np.may_share_memory(layer.data, self.view)):
            layer.data = self.view
        for name, value in self.place.items():
            if not np.array_equal(getattr(layer, name), value):
                setattr(layer, name, value)
        layer.metadata = {**layer.metadata, KEY: self.about}


class StreamLayers(QObject):
    """The layers of one input's prediction by one model, one for each channel.

    A structure's layer is named by its id; that of its uncertainty, hidden at first,
    by the channel's (``dna_std``). Another model's predictions have layers of their
    own, to be compared.

    Signals
    -------
    all_removed
        The user deleted the last layer.
    visible_changed : str, str, bool
        The layer of this structure and role was shown or hidden in napari's own list.
    complete
        All layers of a run are there.
    failed : Exception
        A layer cannot be made; no others are tried.
    """

    all_removed = Signal()
    visible_changed = Signal(str, str, bool)
    complete = Signal()
    failed = Signal(object)

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._keys: dict[str, str] = {}
        self._limits: dict[str, tuple[float, float]] = {}  # that we have set
        self._wanted: dict[str, tuple[float, float]] = {}  # that are right by now
        self._dirty: set[str] = set()
        self._busy = self._filled = False
        self._doubts: tuple[str, ...] = ()
        self._pending: list[ToCome] = []
        self._maker = QTimer(self)
        self._maker.setSingleShot(True)
        self._maker.timeout.connect(self._make_next)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.refresh)
        self._pace = DrawPace(self)
        self._recolouring = Recolouring(viewer, self)
        viewer.layers.events.removed.connect(self._on_removed)

    def prepare(
        self,
        plan: "Plan",
        buffer: np.ndarray,
        source: Any,
        reading: LayerReading,
        visible: tuple[str, ...],
        truths: Mapping[str, str],
    ) -> None:
        """Make the layers, or give new data to those of a former run.

        A new layer takes napari a good part of a second on a slow machine, and new
        data for an old one some of it: the first comes at once, the others one by
        one, shown ones first; then `complete`.

        Parameters
        ----------
        plan : Plan
        buffer : ndarray
            float32, shape ((T,) C, D, H, W).
        source : napari.layers.Image
        reading : LayerReading
            What was read from `source`.
        visible : tuple of str
            Channels to show.
        truths : mapping
            Structure id to the key of the layer that it is compared with.
        """
        place = placement(source, reading, plan)
        former = self._former(layer_key(source), plan.card.id)
        self._keys, self._dirty, self._busy, self._filled = {}, set(), True, False
        self._hide_others(layer_key(source), plan.card.id)
        self._pending, self._wanted, self._doubts = [], {}, ()
        rows = np.moveaxis(buffer, plan.output_axes.index("C"), 0)
        for id_, view in zip(plan.channels, rows, strict=True):
            truth = layer_with_key(self._viewer, truths.get(id_))
            about = about_layer(plan, id_, source, truth)
            layer = former.pop(id_, None)
            fits = layer is not None and not layer.multiscale
            if fits and layer.ndim == view.ndim:
                self._follow(id_, layer)
                old, shown = layer_key(layer), bool(layer.visible)
            else:
                old, shown = None, id_ in visible
            self._pending.append(ToCome(id_, view, place, about, shown, old))
        for layer in former.values():
            if role_of(layer) == UNCERTAINTY:  # of a prediction that is no more
                layer.visible = False
                add_to(layer, state="outdated")
        self._pending.sort(key=lambda one: not one.visible)
        self._make_one()

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
            Structure id to the layer of its prediction.
        """
        if not self._busy and source_key is not None:
            found = self._former(source_key, model) or self._opened(source_key)
            self._keys = {}
            for id_, layer in found.items():
                if layer.metadata[KEY].get("state") != "outdated":
                    self._follow(id_, layer)
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
        if not self._filled and self._maker.isActive():
            self._maker.start(0)
        self._filled = True
        for structure in event.structures:
            for id_ in (structure, deviation_channel(structure)):
                layer = self.layer(id_)
                if layer is not None and layer.visible and self._in_sight(layer, event):
                    self._dirty.add(id_)
        if self._dirty and not self._timer.isActive():
            three = self._viewer.dims.ndisplay == 3
            self._timer.start(self._pace.pause_ms(three=three))

    def refresh(self) -> None:
        """Draw what changed: pixels only, no thumbnails or extents."""
        dirty, self._dirty = self._dirty, set()
        self._pace.begin()
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
        state : {"done", "partial", "cancelled", "failed"}
        about : mapping, optional
            Provenance, added to the layers' metadata.
        scores : mapping, optional
            Structure id to its scores, added to its own layer.
        """
        self._timer.stop()
        self._give_up()
        self._dirty, self._busy = set(), False
        for id_, layer in self.all().items():
            known = {"scores": dict(scores[id_])} if scores and id_ in scores else {}
            add_to(layer, **(about or {}), state=state, **known)
            layer.refresh()

    @property
    def pending(self) -> bool:
        """Whether there are layers still to come."""
        return bool(self._pending)

    def set_doubts(self, doubts: Sequence[str]) -> None:
        """Mark the layers, and those to come: the input is unlike what is known."""
        self._doubts = tuple(doubts)
        for layer in self.all().values():
            mark_doubts(layer, doubts)

    def doubts(self) -> dict[str, list[str]]:
        """What the layers say of an unfamiliar input, by structure."""
        return {
            id_: list(layer.metadata[KEY].get("unfamiliar", ()))
            for id_, layer in self.layers().items()
        }

    def layer(self, id_: str) -> Any | None:
        """Layer of a channel; None where there is none, or it is deleted."""
        return layer_with_key(self._viewer, self._keys.get(id_))

    def all(self) -> dict[str, Any]:
        """All layers that are still there, by channel."""
        found = {id_: self.layer(id_) for id_ in self._keys}
        return {id_: layer for id_, layer in found.items() if layer is not None}

    def layers(self) -> dict[str, Any]:
        """Predictions that are still there, by structure."""
        return self._with_role(PREDICTION)

    def uncertainties(self) -> dict[str, Any]:
        """Uncertainties that are still there, by structure."""
        return self._with_role(UNCERTAINTY)

    def _with_role(self, role: str) -> dict[str, Any]:
        return {
            layer.metadata[KEY]["structure"]: layer
            for layer in self.all().values()
            if role_of(layer) == role
        }

    def set_visible(self, id_: str, visible: bool) -> None:
        """Show or hide the layer of a channel."""
        layer = self.layer(id_)
        if layer is not None and layer.visible != visible:
            layer.visible = visible

    def set_truth(self, structure: str, key: str | None) -> None:
        """Note on a prediction with which layer the user compares it from now on."""
        layer = self.layers().get(structure)
        if layer is not None:
            set_truth(layer, layer_with_key(self._viewer, key))

    def release(self) -> None:
        """Listen to the viewer no more."""
        self._timer.stop()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _former(self, source_key: str, model: str) -> dict[str, Any]:
        """Layers of a model's earlier prediction from a source, by channel."""
        made = made_from(self._viewer, source_key)
        return {channel_of(one): one for one in made if model_of(one) == model}

    def _opened(self, source_key: str) -> dict[str, Any]:
        """Layers of a prediction that came from a file, by channel."""
        made = made_from(self._viewer, source_key)
        return {channel_of(o): o for o in made if "request" not in o.metadata[KEY]}

    def _hide_others(self, source_key: str | None, model: str) -> None:
        """Hide what other models made of a source: colours would add up."""
        for layer in made_from(self._viewer, source_key):
            if model_of(layer) != model and layer.visible:
                layer.visible = False

    def _make_next(self) -> None:
        try:
            self._make_one()
        except Exception as error:
            self.failed.emit(error)

    def _make_one(self) -> None:
        """Make one layer that is still to come, and let the window breathe."""
        if self._pending:
            one = self._pending.pop(0)
            try:
                self._add(one) if one.old is None else self._renew(one)
            except Exception:
                self._give_up()
                raise
        if self._pending:
            one = self._pending[0]
            soon = one.visible or one.old is not None or self._filled
            self._maker.start(0 if soon else PATIENCE_MS)
        elif self._busy:
            self.complete.emit()

    def _give_up(self) -> None:
        """Make no more layers; old ones must not go on showing an earlier run."""
        self._maker.stop()
        pending, self._pending = self._pending, []
        for one in pending:
            if one.old is not None:
                self._renew(one)

    def _renew(self, one: ToCome) -> None:
        layer = layer_with_key(self._viewer, one.old)
        if layer is not None:  # else deleted meanwhile
            one.renew(layer)
            mark_doubts(layer, self._doubts)

    def _add(self, one: ToCome) -> None:
        look = first_look(one.about["structure"], one.about["role"])
        rivals = made_from(self._viewer, one.about["source_id"])
        if look["name"] in [layer.name.removesuffix(DOUBTFUL) for layer in rivals]:
            model = one.about["request"]["model"]
            look["name"] = look["name"].replace(" · predicted", f" · {model}")
        layer = self._viewer.add_image(
            one.view,
            contrast_limits=self._wanted.get(one.id, FIRST_LIMITS),
            visible=one.visible,
            metadata={KEY: one.about},
            **look,
            **one.place,
        )
        mark_doubts(layer, self._doubts)
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
        layer = event.source
        if layer_key(layer) in self._keys.values():
            structure = str(layer.metadata[KEY]["structure"])
            self.visible_changed.emit(structure, role_of(layer), bool(layer.visible))

    def _on_removed(self, event: Any) -> None:
        gone = layer_key(event.value)
        if gone in self._keys.values():
            self._keys = {i: key for i, key in self._keys.items() if key != gone}
            if not self._keys and not self._pending:
                self.all_removed.emit()
