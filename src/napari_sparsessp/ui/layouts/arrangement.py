"""Layouts of a viewer: side by side, overlay, gallery, swipe, checkerboard."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_sparsessp.ui.layers.contrast import (
    ContrastLink,
    FlatTruth,
    Scale,
    lies_flat,
)
from napari_sparsessp.ui.layers.metadata import COMPOSED, ERROR, KEY, role_of
from napari_sparsessp.ui.napari_compat import (
    background_of,
    camera_of,
    canvas_size,
    drawn_once,
    fit_to_view,
    grid_of,
    layer_key,
    layer_with_key,
    scale_bar_of,
    set_background,
    set_gridded,
    set_shown,
)
from napari_sparsessp.ui.widgets.structures import StructureRow

OVERLAY, SIDE_BY_SIDE, SWIPE = "overlay", "side", "swipe"
CHECKERBOARD, GALLERY = "checkerboard", "gallery"
COMPOSITIONS = (SWIPE, CHECKERBOARD)
"""Layouts that need a layer composed of truth and prediction."""

# A column, or a square, must show cells clearly larger than the row that is asked for.
_COLUMN_GAIN, _SQUARE_GAIN = 1.3, 1.1
# Points; the largest is napari's own.
_SMALLEST_NAME, _LARGEST_NAME = 7.0, 10.0
# Under additive colours a bright-field at full strength washes everything out.
_DIMMED = 0.5
_SPACING = 4
_GRID_FIELDS = ("enabled", "stride", "shape", "spacing")
_CAMERA_FIELDS = ("center", "zoom", "angles")

_Cells = Sequence[Sequence[Any]]
_Shape = Callable[[int, float, tuple[int, int]], tuple[int, int]]


def arrange(cells: _Cells, others: Sequence[Any]) -> tuple[list[Any], int] | None:
    """Order layers so that napari's grid puts each cell's layers together.

    The grid takes a fixed number of layers (the stride) for each cell, hidden ones
    included: cells with fewer layers are filled up with hidden `others`. Return
    (order, stride), or None where those are too few.
    """
    stride = max((len(cell) for cell in cells), default=1)
    fillers = list(others)
    order: list[Any] = []
    for cell in cells:
        missing = stride - len(cell)
        if missing > len(fillers):
            return None
        order += fillers[:missing]
        fillers = fillers[missing:]
        order += cell
    return order + fillers, stride


def best_shape(count: int, aspect: float, canvas: tuple[int, int]) -> tuple[int, int]:
    """Return (rows, columns): a row, unless another shape shows cells clearly larger.

    `aspect` is width over height of the image; the canvas is (height, width).
    """
    in_row = _cell_height((1, count), aspect, canvas)
    in_column = _cell_height((count, 1), aspect, canvas)
    # four cells in a row are slits on a canvas that a square of them would fill
    square = best_grid(count, aspect, canvas)
    best = max(in_row, in_column)
    if count > 3 and _cell_height(square, aspect, canvas) > _SQUARE_GAIN * best:
        return square
    return (count, 1) if in_column > _COLUMN_GAIN * in_row else (1, count)


def best_grid(count: int, aspect: float, canvas: tuple[int, int]) -> tuple[int, int]:
    """Return (rows, columns) in which cells are largest; arguments as `best_shape`."""
    shapes = [(-(-count // columns), columns) for columns in range(1, count + 1)]
    return max(shapes, key=lambda shape: _cell_height(shape, aspect, canvas))


def _cell_height(
    shape: tuple[int, int], aspect: float, canvas: tuple[int, int]
) -> float:
    """Return the height of the image in a cell."""
    rows, columns = shape
    return min(canvas[1] / columns / aspect, canvas[0] / rows)


def _aspect_of(layer: Any, dims: Any) -> float:
    """Return width over height of what a layer shows in 2D."""
    low, high = np.asarray(layer.extent.world)
    shown = [axis - dims.ndim for axis in dims.displayed[-2:]]
    height, width = (high - low)[shown]
    return float(width / height) if height > 0 and width > 0 else 1.0


class ViewState:
    """The user's own view: grid, camera, layer order and states, bar, background."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._grid: dict[str, Any] = {}
        # visibility, opacity and name (on, points), in the order of the layer list
        self._layers: dict[str, tuple[bool, float, bool, float]] = {}

    @property
    def saved(self) -> bool:
        """Whether there is a view to go back to."""
        return bool(self._grid)

    def save(self) -> None:
        """Save the view, once; later calls add only layers that are new since."""
        if not self.saved:
            grid, bar = grid_of(self._viewer), scale_bar_of(self._viewer)
            camera = camera_of(self._viewer)
            self._grid = {name: getattr(grid, name) for name in _GRID_FIELDS}
            self._camera = {name: getattr(camera, name) for name in _CAMERA_FIELDS}
            self._ndisplay = self._viewer.dims.ndisplay
            self._canvas = canvas_size(self._viewer)
            self._background = background_of(self._viewer)
            self._bar = bar.visible, bar.gridded, bar.font_size
        for layer in self._viewer.layers:
            if role_of(layer) not in (ERROR, COMPOSED):
                name = layer.name_overlay
                state = layer.visible, layer.opacity, name.visible, name.font_size
                self._layers.setdefault(layer_key(layer), state)

    def opacity_of(self, layer: Any) -> float:
        """Return the opacity that the user gave a layer."""
        return self._layers.get(layer_key(layer), (True, layer.opacity))[1]

    def restore(self) -> None:
        """Show all as it was; what came since stays, what a layout made is hidden."""
        grid, bar = grid_of(self._viewer), scale_bar_of(self._viewer)
        grid.enabled = False
        for name in reversed(_GRID_FIELDS):
            setattr(grid, name, self._grid[name])
        set_background(self._viewer, self._background)
        bar.visible, gridded, bar.font_size = self._bar
        set_gridded(bar, gridded)
        for layer in self._viewer.layers:
            state = self._layers.get(layer_key(layer))
            if state is not None:
                visible, layer.opacity, named, size = state
                set_shown(layer, visible)
                _show_name(layer, named, size)
                continue
            _show_name(layer, False)
            if role_of(layer) in (ERROR, COMPOSED):
                set_shown(layer, False)
        _sort(self._viewer, list(self._layers))
        self._restore_camera()
        self._grid, self._layers = {}, {}

    def _restore_camera(self) -> None:
        if self._viewer.dims.ndisplay != self._ndisplay:
            return
        # a dock that came or went has changed the canvas: show the same of it
        sizes = zip(canvas_size(self._viewer), self._canvas, strict=True)
        self._camera["zoom"] *= min(now / max(was, 1) for now, was in sizes)
        camera = camera_of(self._viewer)
        for name, value in self._camera.items():
            if not np.array_equal(getattr(camera, name), value):
                setattr(camera, name, value)


def _sort(viewer: Any, keys: list[str]) -> None:
    """Move layers into an order; those that are not named stay behind."""
    layers = viewer.layers
    now = [layer_key(layer) for layer in layers]
    wanted = [key for key in keys if key in now]
    wanted += [key for key in now if key not in wanted]
    if wanted == now:
        return
    emitter = layers.events.reordered
    with emitter.blocker():  # napari draws everything after each move: once is enough
        for place, key in enumerate(wanted):
            at = now.index(key)
            if at != place:
                layers.move(at, place)
                now.insert(place, now.pop(at))
    emitter(value=getattr(layers, "__wrapped__", layers))


def _show_name(layer: Any, on: bool, size: float = _LARGEST_NAME) -> None:
    """Write a layer's name into its cell, in points, or take it away."""
    overlay = layer.name_overlay
    # a name in the colour of its structure is the legend of a cell with several
    coloured = on and layer.blending == "additive" and role_of(layer) != ERROR
    overlay.color = tuple(layer.colormap.colors[-1]) if coloured else None
    if overlay.font_size != size:
        overlay.font_size = size
    if overlay.visible != on:
        overlay.visible = on


@dataclass(frozen=True)
class Scene:
    """The layers that a layout arranges, by structure id where there are several."""

    source: Any | None
    truths: dict[str, Any]
    predictions: dict[str, Any]
    shown: tuple[str, ...]
    uncertainties: dict[str, Any] = field(default_factory=dict)
    shown_uncertainties: tuple[str, ...] = ()
    scales: dict[str, Scale] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)
    shown_errors: tuple[str, ...] = ()
    composed: dict[str, Any] = field(default_factory=dict)
    others: tuple[dict[str, Any], ...] = ()  # predictions of other runs

    def only(self, structure: str) -> "Scene":
        """Return the scene with one structure shown at most."""
        errors, spreads = self.shown_errors, self.shown_uncertainties
        return replace(
            self,
            shown=(structure,),
            shown_errors=(structure,) if structure in errors else (),
            shown_uncertainties=(structure,) if structure in spreads else (),
        )

    def cells(self) -> list[list[Any]]:
        """Return the layers of each cell side by side, without empty cells."""
        parts = (
            (self.truths, self.shown),
            (self.predictions, self.shown),
            *((layers, self.shown) for layers in self.others),
            (self.errors, self.shown_errors),
            (self.uncertainties, self.shown_uncertainties),
        )
        cells = [[layers[id_] for id_ in ids if id_ in layers] for layers, ids in parts]
        cells.insert(0, [] if self.source is None else [self.source])
        return [cell for cell in cells if cell]

    def gallery(self) -> list[list[Any]]:
        """Return a cell for the input and one for each prediction."""
        first = [] if self.source is None else [[self.source]]
        return first + [[layer] for layer in self.predictions.values()]


def scene_of(
    viewer: Any,
    source: Any | None,
    rows: Sequence[StructureRow],
    predictions: dict[str, Any],
    scales: Mapping[tuple[str, str], Scale],
) -> Scene:
    """Collect the layers of a prediction that are still there."""
    truths = {row.structure.id: layer_with_key(viewer, row.truth) for row in rows}
    key = None if source is None else layer_key(source)
    errors = {
        str(layer.metadata[KEY]["structure"]): layer
        for layer in viewer.layers
        if role_of(layer) == ERROR and layer.metadata[KEY].get("source_id") == key
    }
    return Scene(
        source=layer_with_key(viewer, key),
        truths={id_: layer for id_, layer in truths.items() if layer is not None},
        predictions=predictions,
        shown=tuple(row.structure.id for row in rows if row.visible),
        shown_uncertainties=tuple(row.structure.id for row in rows if row.spread),
        scales={
            row.structure.id: scales[row.structure.id, row.truth]
            for row in rows
            if row.truth is not None and (row.structure.id, row.truth) in scales
        },
        errors=errors,
        shown_errors=tuple(id_ for id_, layer in errors.items() if layer.visible),
    )


class Layouts(QObject):
    """Applies a layout to a viewer and can undo it; `layouts_of` returns a viewer's."""

    changed = Signal(str)  # the layout that is on, "" for the user's own view

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        self.current: str | None = None
        self.arranging = (
            False  # layers are shown and moved by a layout, not by the user
        )
        self._own = ViewState(viewer)
        self._links: list[ContrastLink | FlatTruth] = []

    @property
    def eyes_hold(self) -> bool:
        """Whether a structure is wanted where its layer is visible: not in all."""
        return self.current in (None, OVERLAY, SIDE_BY_SIDE)

    def apply(self, name: str, scene: Scene) -> None:
        """Apply a layout; an unknown one, or one without layers, changes nothing."""
        layout = {
            OVERLAY: self._overlay,
            SIDE_BY_SIDE: self._side_by_side,
            GALLERY: self._gallery,
            **dict.fromkeys(COMPOSITIONS, self._composition),
        }.get(name)
        if layout is None:
            return
        fresh = self.current != name
        shape = self._grid_shape()
        self.arranging = True
        try:
            with drawn_once(self.viewer):
                self._own.save()
                self._unlink()
                # first: in a grid each change is made in every cell. Fluorescence wants
                # a black ground, also in a light theme, and a scale.
                set_background(self.viewer, "black")
                bar = scale_bar_of(self.viewer)
                bar.visible = True
                set_gridded(bar, True)
                if not layout(scene):
                    if self.current is None:
                        self._own.restore()
                    return
            self.current = name
            if fresh or self._grid_shape() != shape:
                fit_to_view(self.viewer)
        finally:
            self.arranging = False
        if fresh:
            self.changed.emit(name)

    def restore(self) -> None:
        """Show the user's own view: grid, order, camera, layer states, scale bar."""
        if not self._own.saved:
            return
        self.arranging = True
        try:
            with drawn_once(self.viewer):
                self._unlink()
                self._own.restore()
        finally:
            self.arranging = False
        self.current = None
        self.changed.emit("")

    def _grid_shape(self) -> tuple[int, int] | None:
        grid = grid_of(self.viewer)
        return tuple(grid.shape) if grid.enabled else None

    # the layouts: each returns whether there was something to arrange ---------

    def _overlay(self, scene: Scene) -> bool:
        self._leave_grid()
        others = (layer for run in scene.others for layer in run.values())
        for layer in (*scene.truths.values(), *scene.composed.values(), *others):
            set_shown(layer, False)
        self._link(scene)
        for layers, ids in (
            (scene.predictions, scene.shown),
            (scene.uncertainties, scene.shown_uncertainties),
            (scene.errors, scene.shown_errors),
        ):
            for id_, layer in layers.items():
                set_shown(layer, id_ in ids)
        if scene.source is not None:
            # in 3D transmitted light is a bright block before everything
            set_shown(scene.source, self.viewer.dims.ndisplay == 2)
            scene.source.opacity = _DIMMED
        wanted = [scene.predictions[i] for i in scene.shown if i in scene.predictions]
        legend = {layer_key(layer) for layer in wanted}
        for layer in self.viewer.layers:
            _show_name(layer, layer_key(layer) in legend)
        return True

    def _side_by_side(self, scene: Scene) -> bool:
        if not scene.cells():
            return False
        if not self._fill_grid(scene, scene.cells(), best_shape):
            # too many colours for the grid: show one structure alone
            first = (scene.shown_errors or scene.shown_uncertainties or scene.shown)[0]
            scene = scene.only(first)
            self._fill_grid(scene, scene.cells(), best_shape)
        self._link(scene, contrast=True)
        return True

    def _gallery(self, scene: Scene) -> bool:
        cells = scene.gallery()
        return bool(cells) and self._fill_grid(scene, cells, best_grid)

    def _composition(self, scene: Scene) -> bool:
        """Show nothing but truth and prediction by turns: light would mix in."""
        if not scene.composed:
            return False
        self._leave_grid()
        for layer in self.viewer.layers:
            border = role_of(layer) == COMPOSED and layer.ndim == 2
            flat = self.viewer.dims.ndisplay == 2
            set_shown(layer, role_of(layer) == COMPOSED and (flat or not border))
            _show_name(layer, False)
        return True

    def _leave_grid(self) -> None:
        grid_of(self.viewer).enabled = False
        scale_bar_of(self.viewer).font_size = _LARGEST_NAME

    def _fill_grid(self, scene: Scene, cells: _Cells, shape: _Shape) -> bool:
        """Show these cells; return False where hidden layers are too few."""
        shown = {layer_key(layer) for cell in cells for layer in cell}
        layers = list(self.viewer.layers)
        plan = arrange(cells, [one for one in layers if layer_key(one) not in shown])
        if plan is None:
            return False
        order, stride = plan
        keys = [layer_key(layer) for layer in order]
        canvas = canvas_size(self.viewer)
        rows, columns = shape(
            len(cells), _aspect_of(cells[0][0], self.viewer.dims), canvas
        )
        width = canvas[1] / columns
        size = float(np.clip(round(width / 22), _SMALLEST_NAME, _LARGEST_NAME))
        grid = grid_of(self.viewer)
        same_grid = (grid.stride, tuple(grid.shape)) == (stride, (rows, columns))
        same_order = keys == [layer_key(layer) for layer in layers]
        same_layers = shown == {layer_key(layer) for layer in layers if layer.visible}
        if not (grid.enabled and same_grid and same_order and same_layers):
            grid.enabled = False  # napari makes all cells again at each change
        for layer in layers:
            on = layer_key(layer) in shown
            set_shown(layer, on)
            _show_name(layer, on, size)
        if scene.source is not None:
            scene.source.opacity = self._own.opacity_of(scene.source)
        _sort(self.viewer, keys)
        grid.stride, grid.shape, grid.spacing = stride, (rows, columns), _SPACING
        scale_bar_of(self.viewer).font_size = size
        grid.enabled = True
        return True

    def _link(self, scene: Scene, contrast: bool = False) -> None:
        """Show truths of one plane where their predictions are seen, and as bright."""
        for id_, truth in scene.truths.items():
            prediction = scene.predictions.get(id_)
            if prediction is not None and lies_flat(truth, prediction):
                self._links.append(FlatTruth(truth, prediction))
        runs = scene.predictions, *scene.others
        for id_ in scene.shown if contrast else ():
            made = [run[id_] for run in runs if id_ in run]
            truth = scene.truths.get(id_) if id_ in scene.scales else None
            if made and (truth is not None or len(made) > 1):
                scale = scene.scales.get(id_, (0.0, 1.0))
                self._links.append(ContrastLink(truth, made, scale))

    def _unlink(self) -> None:
        for link in self._links:
            link.undo()
        self._links = []


# each lives as long as a dock holds it
_layouts: WeakValueDictionary[int, Layouts] = WeakValueDictionary()


def layouts_of(viewer: Any) -> Layouts:
    """Return the `Layouts` of a viewer, or of napari's proxy, that its docks share."""
    raw = getattr(viewer, "__wrapped__", viewer)
    layouts = _layouts.get(id(raw))
    held = None if layouts is None else layouts.viewer
    if layouts is None or getattr(held, "__wrapped__", held) is not raw:
        layouts = _layouts[id(raw)] = Layouts(viewer)
    return layouts
