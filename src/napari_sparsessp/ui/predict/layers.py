"""One layer for each structure, filled while the prediction runs, and the view of them.

Layers show one buffer that the thread writes to; the user's changes on them stay.
"""

import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

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
    is_prediction,
    made_from,
    mark_doubts,
    role_of,
    run_of,
    set_truth,
    truth_of,
)
from napari_sparsessp.ui.layers.reading import placement
from napari_sparsessp.ui.layers.stacks import StackFocus, stack_name
from napari_sparsessp.ui.layers.viewport import layer_index
from napari_sparsessp.ui.layouts.arrangement import SIDE_BY_SIDE, layouts_of, scene_of
from napari_sparsessp.ui.napari_compat import (
    camera_of,
    fit_to_view,
    grid_of,
    layer_key,
    layer_with_key,
    set_shown,
)
from napari_sparsessp.ui.predict.planning import (
    FormState,
    ResumableRun,
    is_made_as,
    pixels_of,
)
from napari_sparsessp.ui.preferences import preferences
from napari_sparsessp.ui.widgets.basic import single_shot

if TYPE_CHECKING:
    from napari_sparsessp.prediction.engine import TileDone
    from napari_sparsessp.ui.layers.contrast import Scale
    from napari_sparsessp.ui.predict.form import PredictForm

Limits = tuple[float, float]

# The window is free for three quarters of the time, however slowly it draws.
_FREE = 3
# Later than the drawing that a refresh asks for.
_DRAWN_MS = 20
# All others come after the first tile, which their making would keep waiting.
_PATIENCE_MS = 1000


class DrawPace(QObject):
    """Measures the cost of a refresh and returns the pause before the next one."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cost_ms = 0.0
        self._began = 0.0
        self._timer = single_shot(self, self._on_drawn, _DRAWN_MS)

    def pause_ms(self, *, three: bool) -> int:
        """Return milliseconds to wait before the next refresh, of a 3D view if so."""
        chosen = preferences()
        least = chosen.refresh_3d_ms if three else chosen.refresh_2d_ms
        return max(least, round(_FREE * self._cost_ms))

    def begin(self) -> None:
        """Start the clock at a refresh; it stops when Qt is back."""
        self._began = time.perf_counter()
        self._timer.start()

    def _on_drawn(self) -> None:
        spent = 1000 * (time.perf_counter() - self._began)
        self._cost_ms = max(0.0, spent - _DRAWN_MS)


class Stamp:
    """Pixels and place of a layer at the time when something was made of it."""

    def __init__(self, layer: Any) -> None:
        pixels = pixels_of(layer)
        try:  # without keeping a large image alive
            self._pixels: Callable[[], Any] = weakref.ref(pixels)
        except TypeError:
            self._pixels = lambda: pixels
        self._place = _place_of(layer)

    def holds(self, layer: Any) -> bool:
        """Return whether a layer is still as it was."""
        return self._pixels() is pixels_of(layer) and self._place == _place_of(layer)


def _place_of(layer: Any) -> list[bytes]:
    names = ("scale", "translate", "rotate", "shear", "affine")
    return [np.asarray(getattr(layer, name), float).tobytes() for name in names]


@dataclass(frozen=True, eq=False)
class PendingLayer:
    """A layer that is not there yet, or an old one that still gets its new data."""

    id: str
    view: np.ndarray
    place: dict[str, Any]
    about: dict[str, Any]
    made_of: dict[str, Stamp]
    visible: bool
    old: str | None


class PredictionLayers(QObject):
    """The layers of one run, one for each channel.

    Where `fits` is false they are not what the form says, but still on screen.
    """

    all_removed = Signal()
    visible_changed = Signal(str, str, bool)
    complete = Signal()
    failed = Signal(object)

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._keys: dict[str, str] = {}
        self.fits = False
        self._made_of: dict[str, dict[str, Stamp]] = {}
        self._limits: dict[str, Limits] = {}  # that we have set
        self._wanted: dict[str, Limits] = {}  # that are right by now
        self._dirty: set[str] = set()
        self._busy = self._filled = False
        self._doubts: tuple[str, ...] = ()
        self.pending: list[PendingLayer] = []
        self._maker = single_shot(self, self._make_next)
        self._timer = single_shot(self, self.refresh)
        self._pace = DrawPace(self)
        Recolouring(viewer, self)
        viewer.layers.events.removed.connect(self._on_removed)

    def prepare(self, run: ResumableRun, visible: tuple[str, ...]) -> None:
        """Make or renew the layers of a run: the first at once, others one by one."""
        plan, source = run.request.plan, run.request.layer
        place = placement(source, run.request.reading, plan)
        made = made_from(self._viewer, layer_key(source))
        own = [one for one in made if is_made_as(one, run.state, plan.view.ratio)]
        former = {channel_of(one): one for one in own}
        self._keys, self._dirty, self._busy, self._filled = {}, set(), True, False
        for layer in made:
            if layer not in own:  # colours would add up
                set_shown(layer, False)
                _rename(layer, source)
        self.fits, self.pending, self._wanted, self._doubts = True, [], {}, ()
        rows = np.moveaxis(run.buffer, plan.output_axes.index("C"), 0)
        for id_, view in zip(plan.channels, rows, strict=True):
            compared = run.state.truths.get(id_) if id_ in plan.truth else None
            truth = layer_with_key(self._viewer, compared)
            about = about_layer(plan, id_, source, truth)
            of = [one for one in (source, truth) if one is not None]
            made_of = {layer_key(one): Stamp(one) for one in of}
            layer = former.pop(id_, None)
            fits = layer is not None and not layer.multiscale
            if fits and layer.ndim == view.ndim:
                self._follow(id_, layer)
                old, shown = layer_key(layer), bool(layer.visible)
            else:
                old, shown = None, id_ in visible
            pending = PendingLayer(id_, view, place, about, made_of, shown, old)
            self.pending.append(pending)
        for layer in former.values():
            if role_of(layer) == UNCERTAINTY:  # of a prediction that is no more
                layer.visible = False
                add_to(layer, state="outdated")
        self.pending.sort(key=lambda pending: not pending.visible)
        self._make_next()

    def _make_next(self) -> None:
        if self.pending:
            first = self.pending.pop(0)
            try:
                self._add(first) if first.old is None else self._renew(first)
            except Exception as error:
                self._give_up()
                self.failed.emit(error)
                return
        if self.pending:
            following = self.pending[0]
            soon = following.old is not None or self._filled
            self._maker.start(0 if soon else _PATIENCE_MS)
        elif self._busy:
            self.complete.emit()

    def _give_up(self) -> None:
        """Make no more layers; old ones must not go on showing an earlier run."""
        self._maker.stop()
        pending, self.pending = self.pending, []
        for one in pending:
            if one.old is not None:
                self._renew(one)

    def _renew(self, pending: PendingLayer) -> None:
        """Set new data on an old layer; its looks stay as the user has made them."""
        layer = layer_with_key(self._viewer, pending.old)
        if layer is None:  # deleted meanwhile
            return
        own = isinstance(layer.data, np.ndarray)  # an opened one may be lazy
        if not (own and np.may_share_memory(layer.data, pending.view)):
            layer.data = pending.view
        for name, value in pending.place.items():
            if not np.array_equal(getattr(layer, name), value):
                setattr(layer, name, value)
        layer.metadata = {**layer.metadata, KEY: pending.about}
        self._made_of[layer_key(layer)] = pending.made_of
        mark_doubts(layer, self._doubts)

    def _add(self, pending: PendingLayer) -> None:
        about = pending.about
        source = layer_with_key(self._viewer, about["source_id"])
        layer = self._viewer.add_image(
            pending.view,
            contrast_limits=self._wanted.get(pending.id, FIRST_LIMITS),
            visible=pending.visible,
            metadata={KEY: about},
            **first_look(about["structure"], about["role"]),
            **pending.place,
        )
        made = made_from(self._viewer, about["source_id"])
        rivals = any(run_of(one) != run_of(layer) for one in made)
        layer.name = _name(layer, source, among_others=rivals)
        mark_doubts(layer, self._doubts)
        self._limits[pending.id] = tuple(layer.contrast_limits)
        self._made_of[layer_key(layer)] = pending.made_of
        self._follow(pending.id, layer)

    def _follow(self, id_: str, layer: Any) -> None:
        layer.events.visible.connect(self._on_visible)
        self._keys[id_] = layer_key(layer)

    def adopt(self, state: FormState, ratio: float | None) -> bool:
        """Take over the run that was made so, or the stack's that is on screen.

        Return whether another run of the stack has to make room for it.
        """
        made = [
            one
            for one in made_from(self._viewer, state.layer)
            if state.layer and one.metadata[KEY].get("state") != "outdated"
        ]
        own = [
            one
            for one in made
            if is_made_as(one, state, ratio) and self._holds(one, state.layer)
        ]
        before, self.fits = set(self._keys.values()), bool(own)
        kept = [one for one in made if layer_key(one) in before]
        last = [one for one in made if run_of(one) == run_of(made[-1])]
        self._keys = {}
        for layer in own or kept or last:
            self._follow(channel_of(layer), layer)
        return bool(own and kept) and not before & set(self._keys.values())

    def _holds(self, layer: Any, key: str | None) -> bool:
        """Whether what a layer was made of, or compared with, is as it was then."""
        stamp = self._made_of.get(layer_key(layer), {}).get(str(key))
        now = layer_with_key(self._viewer, key)
        return now is not None and (stamp is None or stamp.holds(now))

    def come_forward(self, visible: tuple[str, ...]) -> None:
        """Show the adopted layers of these structures, and none of other runs."""
        for layer in self.other_runs():
            set_shown(layer, False)
        for id_ in self._keys:
            self.set_visible(id_, id_ in visible)

    def other_runs(self) -> list[Any]:
        """Return what other runs made of the stack, uncertainties included."""
        own = next(iter(self.all().values()), None)
        made = [] if own is None else made_from(self._viewer, run_of(own).source)
        return [one for one in made if layer_key(one) not in self._keys.values()]

    def run_text(self) -> str:
        """Say what the layers were made with; "" where there are none."""
        first = next(iter(self.layers().values()), None)
        return "" if first is None else run_of(first).text()

    def scores(self, truths: Mapping[str, str | None]) -> dict[str, dict[str, Any]]:
        """Return what was reached against these truths as they are, by structure."""
        scores = {}
        for id_, layer in self.layers().items() if self.fits else ():
            truth, found = truth_of(layer), layer.metadata[KEY].get("scores")
            same = truth is not None and truth == truths.get(id_)
            if same and isinstance(found, dict) and self._holds(layer, truth):
                scores[id_] = {key: found.get(key) for key in ("r2", "pcc")}
        return scores

    def remove_all(self) -> None:
        """Take the layers out of the viewer."""
        for layer in self.all().values():
            self._viewer.layers.remove(layer)

    def tile_done(self, event: "TileDone") -> None:
        """Refresh soon the layers that a tile changed, if it can be seen."""
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
        """Draw changed layers: pixels only, no thumbnails or extents."""
        dirty, self._dirty = self._dirty, set()
        self._pace.begin()
        for id_ in dirty:
            layer = self.layer(id_)
            if layer is not None:
                layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _in_sight(self, layer: Any, event: "TileDone") -> bool:
        """Whether a tile touches the slice that is shown."""
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

    def set_limits(self, limits: Mapping[str, Limits]) -> None:
        """Set contrast limits on layers whose limits the user has left alone."""
        self._wanted.update(limits)
        for id_, pair in limits.items():
            layer = self.layer(id_)
            if layer is None:
                continue
            now = tuple(layer.contrast_limits)
            if np.allclose(now, self._limits.get(id_, (np.nan, np.nan))):
                layer.contrast_limits = pair
                self._limits[id_] = tuple(layer.contrast_limits)

    def set_doubts(self, doubts: Sequence[str]) -> None:
        """Mark all layers, pending ones too: the input is unlike the training data."""
        self._doubts = tuple(doubts)
        for layer in self.all().values():
            mark_doubts(layer, doubts)

    def finish(
        self,
        state: str,
        about: Mapping[str, Any] | None = None,
        scores: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """End a run: draw everything once and complete the metadata."""
        self._timer.stop()
        self._give_up()
        self._dirty, self._busy = set(), False
        for id_, layer in self.all().items():
            own = {"scores": dict(scores[id_])} if scores and id_ in scores else {}
            add_to(layer, **(about or {}), state=state, **own)
            layer.refresh()

    def doubts(self) -> dict[str, list[str]]:
        """Marks of an input unlike the training data, by structure."""
        return {
            id_: list(layer.metadata[KEY].get("unfamiliar", ()))
            for id_, layer in self.layers().items()
        }

    def layer(self, id_: str) -> Any | None:
        """Layer of a channel; None where there is none, or it is deleted."""
        return layer_with_key(self._viewer, self._keys.get(id_))

    def all(self) -> dict[str, Any]:
        """All layers that are still there, by channel."""
        layers = {id_: self.layer(id_) for id_ in self._keys}
        return {id_: layer for id_, layer in layers.items() if layer is not None}

    def layers(self, role: str = PREDICTION) -> dict[str, Any]:
        """Layers of a role that are still there, by structure."""
        return {
            layer.metadata[KEY]["structure"]: layer
            for layer in self.all().values()
            if role_of(layer) == role
        }

    def set_visible(self, id_: str, visible: bool) -> None:
        """Show or hide the layer of a channel."""
        layer = self.layer(id_)
        if layer is not None:
            set_shown(layer, visible)

    def set_truth(self, structure: str, key: str | None) -> None:
        """Record with which layer the user compares a prediction from now on."""
        layer = self.layers().get(structure)
        if layer is not None and self.fits:
            set_truth(layer, layer_with_key(self._viewer, key))

    def _on_visible(self, event: Any) -> None:
        layer = event.source
        if layer_key(layer) in self._keys.values():
            structure = str(layer.metadata[KEY]["structure"])
            self.visible_changed.emit(structure, role_of(layer), bool(layer.visible))

    def _on_removed(self, event: Any) -> None:
        gone = layer_key(event.value)
        if gone in self._keys.values():
            self._keys = {i: key for i, key in self._keys.items() if key != gone}
            if not self._keys and not self.pending:
                self.all_removed.emit()


def _name(layer: Any, source: Any, *, among_others: bool) -> str:
    """Name a layer of ours by its stack, and by its run where that has rivals."""
    about, run = layer.metadata[KEY], run_of(layer)
    name = first_look(about["structure"], about["role"])["name"]
    if among_others:
        name = f"{name.removesuffix(' · predicted')} · {run.text()}"
    place = "" if source is None else stack_name(source)  # deleted meanwhile
    return " · ".join(filter(None, [name, place]))


def _rename(layer: Any, source: Any) -> None:
    """Name a run apart from its new rivals, unless the user has named its layers."""
    doubtful = DOUBTFUL if str(layer.name).endswith(DOUBTFUL) else ""
    if layer.name == _name(layer, source, among_others=False) + doubtful:
        layer.name = _name(layer, source, among_others=True) + doubtful


class PredictView(QObject):
    """Arranges the viewer's layers as the user asks in the dock."""

    def __init__(
        self,
        viewer: Any,
        form: "PredictForm",
        layers: PredictionLayers,
        source: Callable[[], Any | None],
        scales: "dict[tuple[str, str], Scale]",
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._form, self._layers = viewer, form, layers
        self._source, self._scales = source, scales
        self._stacks, self._stack = StackFocus(viewer), ""
        self.layouts = layouts_of(viewer)
        self._at_work = False
        form.structures.visibility_changed.connect(self._on_eye)
        form.structures.spread_changed.connect(self._on_spread)
        form.foot.layout_asked.connect(self.show)
        form.foot.restore_asked.connect(self.restore)
        self.layouts.changed.connect(form.foot.show_layout)
        layers.complete.connect(self.settle)
        layers.visible_changed.connect(self._on_layer_eye)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Meanwhile layers are shown and hidden by us, not by the user."""
        before, self._at_work = self._at_work, True
        try:
            yield
        finally:
            self._at_work = before

    @property
    def arranging(self) -> bool:
        """Whether layers are shown, hidden or moved by us right now."""
        return self._at_work or self.layouts.arranging

    def focus(self, source: Any | None, *, alone: bool = False) -> str:
        """Leave the layout of another stack, and return it; hide that stack.

        Where nothing was predicted, only a stack that is to be `alone` hides others:
        until then the user may look at several.
        """
        gone, key = "", "" if source is None else layer_key(source)
        other = self._stack not in ("", key)
        with self.at_work():
            if other:
                gone = self.layouts.current or ""
                self.layouts.restore()
            predicted = other and any(map(role_of, self._viewer.layers))
            if source is not None and (alone or predicted):
                self._stacks.on(source)
            if source is not None and predicted:
                fit_to_view(self._viewer, source)
        self._stack = key
        return gone

    def show(self, name: str) -> None:
        """Show overlay or side by side."""
        predictions, rows = self._layers.layers(), self._form.structures.rows
        scene = scene_of(self._viewer, self._source(), rows, predictions, self._scales)
        runs: dict[Any, dict[str, Any]] = {}
        for layer in filter(is_prediction, self._layers.other_runs()):
            runs.setdefault(run_of(layer), {})[layer.metadata[KEY]["structure"]] = layer
        doubts = self._layers.layers(UNCERTAINTY)
        scene = replace(scene, uncertainties=doubts, others=tuple(runs.values()))
        self.layouts.apply(name, scene)
        self._form.foot.show_layout(self.layouts.current)

    def show_in_place(self, name: str) -> None:
        """Show a layout and stay where the user has zoomed to."""
        camera = camera_of(self._viewer)
        center, zoom = camera.center, camera.zoom
        self.show(name)
        if not grid_of(self._viewer).enabled:
            camera.center, camera.zoom = center, zoom

    def restore(self) -> None:
        """Restore the user's own view."""
        self.layouts.restore()
        self._form.foot.show_layout(None)

    def settle(self) -> None:
        """Let layers that came one by one find their place."""
        self.offer_uncertainties()
        if self.layouts.current is not None:
            self.show(self.layouts.current)
        made = self._layers.layers()
        shown = [made[id_] for id_ in self._form.structures.visible() if id_ in made]
        if shown:
            self._viewer.layers.selection.active = shown[0]

    def offer_uncertainties(self) -> None:
        """Let the table show which structures have a layer of uncertainty."""
        layers = self._layers.layers(UNCERTAINTY)
        shown = {id_: bool(layer.visible) for id_, layer in layers.items()}
        self._form.structures.set_spreads(shown)

    def _on_eye(self, id_: str, visible: bool) -> None:
        if self.layouts.current == SIDE_BY_SIDE:
            self.show(SIDE_BY_SIDE)
        elif self.layouts.eyes_hold:
            self._layers.set_visible(id_, visible)

    def _on_spread(self, id_: str, shown: bool) -> None:
        self._on_eye(deviation_channel(id_), shown)

    def _on_layer_eye(self, structure: str, role: str, visible: bool) -> None:
        if not self.arranging and self.layouts.eyes_hold:
            table = self._form.structures
            show = table.set_spread if role == UNCERTAINTY else table.set_visible
            show(structure, visible, tell=False)
