"""The viewer in a comparison: layouts, errors, truth and prediction composed."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_sparsessp.evaluation.figures import ERROR_LIMIT, TOO_HIGH, TOO_LOW
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.compare.comparison import TRUTH, Comparison, Pair
from napari_sparsessp.ui.compare.form import SECTIONS, CompareForm
from napari_sparsessp.ui.layers.contrast import limits_of
from napari_sparsessp.ui.layers.metadata import (
    COMPOSED,
    ERROR,
    KEY,
    SCHEMA,
    add_to,
    model_of,
    role_of,
)
from napari_sparsessp.ui.layers.reading import shear_matrix
from napari_sparsessp.ui.layers.viewport import data_position
from napari_sparsessp.ui.layouts.arrangement import (
    COMPOSITIONS,
    GALLERY,
    OVERLAY,
    SIDE_BY_SIDE,
    SWIPE,
    Scene,
    layouts_of,
)
from napari_sparsessp.ui.napari_compat import (
    camera_of,
    fit_to_view,
    layer_key,
    layer_with_key,
)

OUTDATED = " · outdated"
"""Ends the name of an error whose prediction or truth has changed."""
# Black on black says "no error"; blue and orange are told apart by all eyes.
_ERROR_COLOURS = {
    "name": "underestimated – correct – overestimated",
    "colors": [
        [*(value / 255 for value in TOO_LOW), 1.0],
        [0.0, 0.0, 0.0, 1.0],
        [*(value / 255 for value in TOO_HIGH), 1.0],
    ],
}
# Screen pixels on either side of the border in which it can be grasped.
_REACH = 12.0


Pattern = Callable[[int, int], np.ndarray]
"""Returns where the truth is shown in planes of a height and width, bool."""


def swipe(share: float) -> Pattern:
    """Show the truth left of a border at a share of the width."""
    return lambda height, width: np.broadcast_to(
        np.arange(width) < round(share * width), (height, width)
    )


def checkerboard(field: float) -> Pattern:
    """Show truth and prediction in alternate fields; `field` is a side in pixels."""

    def shown(height: int, width: int) -> np.ndarray:
        rows, columns = (np.arange(n) // max(field, 1) for n in (height, width))
        return (rows[:, None] + columns).astype(int) % 2 == 0

    return shown


class Composed:
    """A stack composed of truth and prediction, plane by plane as it is looked at.

    It serves napari as an array: a border is dragged without a voxel being copied.
    """

    ndim = 3
    dtype = np.dtype(np.float32)

    def __init__(self, truth: Any, prediction: Any, pattern: Pattern) -> None:
        self._truth, self._prediction = truth, prediction
        self.pattern = pattern
        self.shape = tuple(int(n) for n in prediction.shape)
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        mask = np.broadcast_to(self.pattern(*self.shape[1:]), self.shape)
        predicted = np.asarray(self._prediction[key], np.float32)
        return np.where(mask[key], self._truth[key], predicted)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


class CompareLayers:
    """Adds, updates and removes the layers of a comparison."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._composed: dict[str, str] = {}

    def show_error(self, pair: Pair, values: np.ndarray) -> None:
        """Add or update the error, (D, H, W), of a prediction that is still there."""
        prediction = layer_with_key(self._viewer, pair.prediction_key)
        if prediction is None:
            return
        about = _about(ERROR, pair, prediction)
        when = "" if pair.time is None else f" · time {pair.time + 1}"
        for layer in self._viewer.layers:
            of = layer.metadata[KEY].get("of_id") if role_of(layer) == ERROR else None
            if of == pair.prediction_key:
                layer.data = values
                layer.metadata = {**layer.metadata, KEY: about}
                # the user's name stays but for the time point
                name = str(layer.name).removesuffix(OUTDATED).rsplit(" · time ", 1)[0]
                layer.name = f"{name}{when}"
                return
        limits = -ERROR_LIMIT, ERROR_LIMIT
        look = {"colormap": _ERROR_COLOURS, "contrast_limits": limits}
        self._add(values, pair, f"error{when}", about, prediction, look)

    def outdate_errors(self, key: str) -> None:
        """Mark the errors of a prediction or truth that has changed."""
        for layer in list(self._viewer.layers):
            about = layer.metadata.get(KEY, {})
            of = about.get("of_id"), about.get("truth_id")
            if role_of(layer) == ERROR and key in of:
                add_to(layer, state="outdated")
                if not str(layer.name).endswith(OUTDATED):
                    layer.name = f"{layer.name}{OUTDATED}"

    def compose(self, pair: Pair, stacks: tuple[Any, Any], pattern: Pattern) -> None:
        """Compose truth and prediction, (D, H, W), both in units of the truth."""
        prediction = layer_with_key(self._viewer, pair.prediction_key)
        if prediction is None:
            return
        self.remove_composed([pair.structure])
        names = ("colormap", "contrast_limits", "gamma")
        look = {name: getattr(prediction, name) for name in names}
        if stacks[1] is not pair.prediction.array:  # the layer's limits are in others
            look["contrast_limits"] = limits_of(stacks[0])
        data = Composed(*stacks, pattern)
        about = _about(COMPOSED, pair, prediction)
        layer = self._add(data, pair, "truth | predicted", about, prediction, look)
        self._composed[pair.structure] = layer_key(layer)

    def composed(self) -> dict[str, Any]:
        """Return the composed layers that are still there, by structure."""
        layers = {
            id_: layer_with_key(self._viewer, key)
            for id_, key in self._composed.items()
        }
        return {id_: layer for id_, layer in layers.items() if layer is not None}

    def set_pattern(self, pattern: Pattern) -> None:
        """Divide all composed layers in another way."""
        for layer in self.composed().values():
            layer.data.pattern = pattern
            layer.refresh(thumbnail=False, highlight=False, extent=False)

    def remove_composed(self, structures: list[str] | None = None) -> None:
        """Remove these composed layers, or all: they are a view, not a result."""
        for id_ in list(self._composed) if structures is None else structures:
            layer = layer_with_key(self._viewer, self._composed.pop(id_, None))
            if layer is not None:
                self._viewer.layers.remove(layer)

    def _add(
        self, data: Any, pair: Pair, what: str, about: Any, prediction: Any, look: Any
    ) -> Any:
        """Add a layer where the prediction lies; the user's layer stays active."""
        active = self._viewer.layers.selection.active
        layer = self._viewer.add_image(
            data,
            name=f"{structure_or_custom(pair.structure).label} · {what}",
            blending="additive",
            metadata={KEY: about},
            **_place_of(prediction, 3),
            **look,
        )
        if active is not None:
            self._viewer.layers.selection.active = active
        return layer


def _place_of(layer: Any, ndim: int) -> dict[str, Any]:
    """Return the arguments that put a layer of the last axes where this one lies."""
    return {
        "scale": layer.scale[-ndim:],
        "translate": layer.translate[-ndim:],
        "rotate": np.asarray(layer.rotate)[-ndim:, -ndim:],
        "shear": shear_matrix(layer)[-ndim:, -ndim:][np.triu_indices(ndim, 1)],
        "affine": np.asarray(layer.affine)[-ndim - 1 :, -ndim - 1 :],
        "units": layer.units[-ndim:],
        "axis_labels": layer.axis_labels[-ndim:],
    }


def _about(role: str, pair: Pair, prediction: Any) -> dict[str, Any]:
    of = prediction.metadata[KEY]
    return {
        "schema_version": SCHEMA,
        "role": role,
        "structure": pair.structure,
        "channel": f"{pair.structure}_{role}",
        "source": of.get("source", ""),
        "source_id": of.get("source_id"),
        "model": model_of(prediction),
        "of_id": pair.prediction_key,
        "truth_id": pair.truth_key,
        "time": pair.time,
        "state": "done",
    }


class SwipeHandle(QObject):
    """The border across a composed layer, a line that follows the mouse."""

    moved = Signal(float)  # share of the width, by the user

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._over: str | None = None
        self._line: str | None = None
        self._share = 0.5
        self._grasped = False

    @property
    def on(self) -> bool:
        """Whether there is a border."""
        return self._over is not None

    def show(self, layer: Any, share: float) -> None:
        """Draw the border over a composed layer, (D, H, W), and listen to the mouse."""
        self.hide()
        self._over, self._share = layer_key(layer), share
        active = self._viewer.layers.selection.active
        line = self._viewer.add_shapes(
            self._shapes(layer),
            shape_type=["line", "rectangle", "rectangle"],
            edge_color=["white", "transparent", "transparent"],
            face_color="transparent",
            opacity=1.0,
            edge_width=max(layer.data.shape[-1] / 400, 0.4),
            name="border · drag it",
            text={
                "string": ["", "truth", "predicted"],
                "color": "white",
                "size": 11,
                "anchor": "center",
            },
            metadata={KEY: {"schema_version": SCHEMA, "role": COMPOSED}},
            **_place_of(layer, 2),
        )
        self._line = layer_key(line)
        self._viewer.layers.selection.active = layer if active is None else active
        for event in self._turns():
            event.connect(self.follow_view)
        self.follow_view()
        self._viewer.mouse_move_callbacks.append(self._on_move)
        self._viewer.mouse_drag_callbacks.append(self._on_drag)

    def hide(self) -> None:
        """Remove the border and leave the mouse to napari."""
        for callbacks, mine in (
            (self._viewer.mouse_move_callbacks, self._on_move),
            (self._viewer.mouse_drag_callbacks, self._on_drag),
        ):
            if mine in callbacks:
                callbacks.remove(mine)
        if self.on:
            for event in self._turns():
                event.disconnect(self.follow_view)
        self._release()
        line = layer_with_key(self._viewer, self._line)
        self._over = self._line = None
        if line is not None:
            self._viewer.layers.remove(line)

    def _turns(self) -> tuple[Any, Any]:
        events = self._viewer.dims.events
        return events.ndisplay, events.order

    def put(self, share: float) -> None:
        """Put the border somewhere else; emits nothing."""
        self._share = share
        layer = layer_with_key(self._viewer, self._over)
        line = layer_with_key(self._viewer, self._line)
        if layer is not None and line is not None and self._is_flat():
            line.data = self._shapes(layer)

    def _is_flat(self) -> bool:
        """Return whether y and x are shown, in 2D."""
        dims = self._viewer.dims
        return tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1)

    def follow_view(self, _event: Any = None) -> None:
        """A border lies in the plane that is seen: in 3D there is none."""
        line = layer_with_key(self._viewer, self._line)
        if line is not None:
            line.visible = self._is_flat()
            self.put(self._share)

    def _shapes(self, layer: Any) -> list[np.ndarray]:
        """Return the border, and on each side an unseen box that carries a word."""
        height, width = layer.data.shape[-2:]
        x = round(self._share * width) - 0.5
        sides = (min(-0.5, x - 1), x), (x, max(width - 0.5, x + 1))
        low = 0.1 * height
        boxes = (
            np.array([[0, left], [0, right], [low, right], [low, left]])
            for left, right in sides
        )
        return [np.array([[-0.5, x], [height - 0.5, x]]), *boxes]

    def _near(self, event: Any) -> bool:
        """Return whether the mouse is at the border, in a 2D view of y and x."""
        layer = layer_with_key(self._viewer, self._over)
        if layer is None or not self._is_flat():
            return False
        border = round(self._share * layer.data.shape[-1]) - 0.5
        away = abs(self._x(layer, event) - border) * abs(float(layer.scale[-1]))
        return bool(away * camera_of(self._viewer).zoom <= _REACH)

    def _x(self, layer: Any, event: Any) -> float:
        return float(data_position(self._viewer, layer, event.position)[-1])

    def _on_move(self, _viewer: Any, event: Any) -> None:
        """Show by the cursor that the border can be grasped, and hold the camera."""
        near = self._near(event)
        if near and not self._grasped:
            self._grasped = True
            camera_of(self._viewer).mouse_pan = False
            self._viewer.cursor.style = "pointing"
        elif not near and self._grasped:
            self._release()

    def _on_drag(self, _viewer: Any, event: Any) -> Iterator[None]:
        if not self._near(event):
            return
        yield
        while event.type == "mouse_move":
            layer = layer_with_key(self._viewer, self._over)
            if layer is None:
                return
            share = (self._x(layer, event) + 0.5) / layer.data.shape[-1]
            self.put(float(np.clip(share, 0, 1)))
            self.moved.emit(self._share)
            yield

    def _release(self) -> None:
        if self._grasped:
            self._grasped = False
            camera_of(self._viewer).mouse_pan = True
            self._viewer.cursor.style = "standard"


_NEEDS_TRUTH = "It needs a truth: choose one below the table."
_NO_UNCERTAINTY = (
    "There is no uncertainty of this prediction; it is asked for in Predict."
)


def _order_of(section: str, ndim: int) -> tuple[int, ...]:
    """Return the order of axes that shows a section: rows and columns come last."""
    last = {"xy": (3, 2, 1), "xz": (2, 3, 1), "yz": (1, 2, 3)}[section]
    return (*range(ndim - 3), *(ndim - axis for axis in last))


class CompareView(QObject):
    """Shows what the user asks for in the Compare dock."""

    def __init__(
        self,
        viewer: Any,
        form: CompareForm,
        comparison: Comparison,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._form = form
        self._comparison = comparison
        self._asked = ""  # a composition that waits for its truths
        self._order: tuple[int, ...] = ()  # of the axes, before they were turned
        self.layouts = layouts_of(viewer)
        self.layers = CompareLayers(viewer)
        self.handle = SwipeHandle(viewer, self)
        form.picker.asked.connect(self.show)
        form.section.chosen.connect(self.turn)
        form.composition.changed.connect(self._on_composition)
        form.cells.changed.connect(self.update)
        form.table.shown_changed.connect(self.update)
        form.table.chosen.connect(self._on_chosen)
        self.layouts.changed.connect(self._on_layout)
        self.handle.moved.connect(self._on_moved)
        comparison.computed.connect(self._on_computed)
        comparison.outdated.connect(self._on_outdated)
        self._on_layout(self.layouts.current or "")

    def show(self, name: str) -> None:
        """Show a layout; "" for the user's own view."""
        self._asked = ""
        if not name:
            self.layouts.restore()
        elif name in COMPOSITIONS:
            self._compose(name)
        else:
            self.layouts.apply(name, self.scene(name))
            if name == SIDE_BY_SIDE and self._form.cells.get("error"):
                for id_ in {*self._chosen()} - {*self._errors()}:
                    self._comparison.compute(ERROR, id_)

    def turn(self, section: str) -> None:
        """Show other axes in all cells: a key of `form.SECTIONS`."""
        dims = self.layouts.viewer.dims
        self._order = self._order or tuple(dims.order)
        dims.order = _order_of(section, dims.ndim)
        self.update()  # other cells may fit now
        fit_to_view(self.layouts.viewer)

    def show_section(self, *_: object) -> None:
        """Show which axes are shown, whoever has turned the view."""
        dims = self.layouts.viewer.dims
        self._form.section.setVisible(dims.ndim > 2)
        self._form.section.clear()
        for section in SECTIONS if dims.ndim > 2 else ():
            if tuple(dims.order) == _order_of(section, dims.ndim):
                self._form.section.set_value(section)

    def update(self, *_: object) -> None:
        """Show the layout that is on with the layers and options of now."""
        current = self._asked or self.layouts.current or ""
        if current:
            self.show(current)
        self._show_options(current)

    def _show_options(self, layout: str) -> None:
        truths, why = self._comparison.truths(), ""
        if layout == SIDE_BY_SIDE and not set(self._chosen()) <= set(truths):
            label = structure_or_custom(self._chosen()[0]).label
            why = f"Error: {label} has no truth; choose one below the table."
        self._form.show_options(layout, why)

    def offer(self) -> None:
        """Offer the layouts that can be shown."""
        compared = self._comparison.compared
        if compared is None:
            return
        views = {OVERLAY, SIDE_BY_SIDE, GALLERY}
        views |= set(COMPOSITIONS) if self._comparison.truths() else set()
        self._form.picker.set_possible(views, _NEEDS_TRUTH)
        why_not = "" if compared.uncertainties else _NO_UNCERTAINTY
        self._form.cells.enable_row("uncertainty", not why_not, why_not)

    def scene(self, name: str = SIDE_BY_SIDE) -> Scene:
        """Return the layers that belong together, for a layout."""
        compared = self._comparison.compared
        shown = self._form.table.shown()
        if compared is None:
            return Scene(None, {}, {}, ())
        options = self._form.cells.values()
        chosen = self._chosen() if name == SIDE_BY_SIDE else ()
        agreements = {id_: self._comparison.agreement(id_) for id_ in shown}
        return Scene(
            source=compared.source,
            truths=self._comparison.truths(),
            predictions=compared.predictions,
            shown=shown,
            uncertainties=compared.uncertainties,
            shown_uncertainties=chosen if options.uncertainty else (),
            scales={id_: a.moments for id_, a in agreements.items() if a is not None},
            errors=self._errors(),
            shown_errors=chosen if options.error else (),
            composed=self.layers.composed(),
        )

    def _chosen(self) -> tuple[str, ...]:
        """Return the structure whose error is shown: several in a cell say nothing."""
        shown, chosen = self._form.table.shown(), self._form.table.structure()
        truths = self._comparison.truths()
        first = sorted(shown, key=lambda id_: id_ not in truths)[:1]
        return (chosen,) if chosen in shown else tuple(first)

    def _errors(self) -> dict[str, Any]:
        """Return the errors of predictions and truths as they are now, at this time."""
        compared = self._comparison.compared
        truths, time = self._comparison.truths(), self._comparison.time()
        errors = {}
        for id_, layer in ({} if compared is None else compared.errors).items():
            about = layer.metadata[KEY]
            same = about.get("state") == "done" and about.get("time") == time
            if same and id_ in truths and about["truth_id"] == layer_key(truths[id_]):
                errors[id_] = layer
        return errors

    def _compose(self, name: str) -> None:
        """Show truths and predictions composed; truths that are needed come later."""
        self._asked = name
        self._show_options(name)
        truths = self._comparison.truths()
        wanted = [id_ for id_ in self._form.table.shown() if id_ in truths]
        composed = self.layers.composed()
        self.layers.remove_composed([id_ for id_ in composed if id_ not in wanted])
        time = self._comparison.time()
        for id_ in wanted:
            if id_ not in composed or composed[id_].metadata[KEY]["time"] != time:
                self._comparison.compute(TRUTH, id_)
        self._show_composed()

    def _show_composed(self) -> None:
        first, name = next(iter(self.layers.composed().values()), None), self._asked
        if first is None or not name:
            return
        self._set_pattern()
        self.layouts.apply(name, self.scene(name))
        if name == SWIPE and not self.handle.on:
            self.handle.show(first, self._form.composition.get("border"))
        self.handle.follow_view()

    def _set_pattern(self) -> None:
        for layer in list(self.layers.composed().values())[:1]:
            self.layers.set_pattern(self._pattern(layer.data.shape))

    def _pattern(self, shape: tuple[int, ...]) -> Pattern:
        """Return what divides truth and prediction in planes (…, height, width)."""
        options = self._form.composition.values()
        if (self._asked or self.layouts.current) == SWIPE:
            return swipe(options.border)
        return checkerboard(max(shape[-2:]) / options.fields)

    def _on_composition(self) -> None:
        self._set_pattern()
        self.handle.put(self._form.composition.get("border"))

    def _on_moved(self, share: float) -> None:
        self._form.composition.update(border=share)
        self._set_pattern()

    def _on_chosen(self, _structure: object) -> None:
        if self.layouts.current == SIDE_BY_SIDE:
            self.update()

    def _on_layout(self, name: str) -> None:
        """Follow the viewer: another dock may have asked."""
        self._form.picker.show_layout(name)
        self._show_options(name)
        if name not in COMPOSITIONS:
            self.layers.remove_composed()
        if name != SWIPE:
            self.handle.hide()
        if not name and self._order:
            self.layouts.viewer.dims.order, self._order = self._order, ()

    def _on_computed(self, what: str, pair: Pair, values: Any) -> None:
        if what == ERROR:
            self.layers.show_error(pair, values)
            self._comparison.refresh()
            if self.layouts.current == SIDE_BY_SIDE:
                self.layouts.apply(SIDE_BY_SIDE, self.scene())
        elif what == TRUTH and self._asked:
            self.layers.compose(pair, values, self._pattern(pair.prediction.shape))
            self._show_composed()

    def _on_outdated(self, key: str) -> None:
        """Mark errors of a layer that has changed; remove composed layers."""
        self.layers.outdate_errors(key)
        if self.layers.composed() and not self.layouts.arranging:
            self._asked = self.layouts.current or ""
            self.handle.hide()
            self.layers.remove_composed()
