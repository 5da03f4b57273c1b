"""How layers are put into the cells of napari's grid, and how many of them in a row."""

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
    fit_to_view,
    grid_of,
    layer_key,
    layer_with_key,
    scale_bar_of,
    set_background,
    set_gridded,
)
from napari_sparsessp.ui.widgets.structures import StructureRow

# Side by side is what is asked for: a column must be worth it.
_CLEARLY = 1.3
_SQUARE = 1.1
LARGEST_NAME = 10.0
"""Points; napari's own."""
_SMALLEST_NAME = 7.0


def arrange(
    cells: Sequence[Sequence[Any]], others: Sequence[Any]
) -> tuple[list[Any], int] | None:
    """Order layers so that napari's grid puts each cell's layers together.

    The grid takes a fixed number of layers (the stride) for each cell, hidden ones
    included: cells with fewer layers are filled up with hidden ones.

    Parameters
    ----------
    cells : sequence of sequences of layers
    others : sequence of layers
        To be hidden; they serve as fillers.

    Returns
    -------
    (order, stride) or None
        None where there are not enough fillers.
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
    """Put cells in a row, or in a column where that shows them clearly larger.

    Parameters
    ----------
    count : int
        Cells.
    aspect : float
        Width over height of the image.
    canvas : tuple of int
        (height, width) in pixels.

    Returns
    -------
    (rows, columns)
    """
    height, width = canvas
    in_row = min(width / count / aspect, height)
    in_column = min(width / aspect, height / count)
    shape = (count, 1) if in_column > _CLEARLY * in_row else (1, count)
    # four cells in a row are slits on a canvas that a square of them would fill
    square = best_grid(count, aspect, canvas)
    if count > 3 and _cell(square, aspect, canvas) > _SQUARE * max(in_row, in_column):
        return square
    return shape


def best_grid(count: int, aspect: float, canvas: tuple[int, int]) -> tuple[int, int]:
    """Give the rows and columns in which cells are largest.

    Parameters
    ----------
    count, aspect, canvas
        As `best_shape` takes them.
    """
    shapes = [(-(-count // columns), columns) for columns in range(1, count + 1)]
    return max(shapes, key=lambda shape: _cell(shape, aspect, canvas))


def name_size(width: float) -> float:
    """Give the size in points of a name in a cell of so many pixels."""
    return float(np.clip(round(width / 22), _SMALLEST_NAME, LARGEST_NAME))


def aspect_of(layer: Any) -> float:
    """Width over height of what a layer shows in 2D."""
    low, high = np.asarray(layer.extent.world)
    height, width = (high - low)[-2:]
    return float(width / height) if height > 0 and width > 0 else 1.0


def _cell(shape: tuple[int, int], aspect: float, canvas: tuple[int, int]) -> float:
    """Height of the image in a cell."""
    rows, columns = shape
    return min(canvas[1] / columns / aspect, canvas[0] / rows)


_GRID_FIELDS = ("enabled", "stride", "shape", "spacing")
_CAMERA_FIELDS = ("center", "zoom", "angles")


@dataclass(frozen=True)
class LayerLook:
    """How a layer was shown."""

    visible: bool
    opacity: float
    name_shown: bool
    name_size: float = 10.0


class OwnView:
    """Remembers grid, camera, order, visibility, opacity, names, bar and background.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._grid: dict[str, Any] | None = None
        self._camera: dict[str, Any] = {}
        self._ndisplay = 2
        self._canvas = (1, 1)
        self._bar: tuple[bool, bool, float] = (False, False, 10.0)
        self._background: Any | None = None
        self._looks: dict[str, LayerLook] = {}
        self._order: list[str] = []

    @property
    def kept(self) -> bool:
        """Whether there is a view to go back to."""
        return self._grid is not None

    def remember(self) -> None:
        """Keep how things are, once, and what is new since."""
        if self._grid is None:
            grid, bar = grid_of(self._viewer), scale_bar_of(self._viewer)
            camera = camera_of(self._viewer)
            self._grid = {name: getattr(grid, name) for name in _GRID_FIELDS}
            self._camera = {name: getattr(camera, name) for name in _CAMERA_FIELDS}
            self._ndisplay = self._viewer.dims.ndisplay
            self._canvas = canvas_size(self._viewer)
            self._background = background_of(self._viewer)
            self._bar = (
                bool(bar.visible),
                bool(getattr(bar, "gridded", False)),
                float(bar.font_size),
            )
        for layer in self._viewer.layers:
            key = layer_key(layer)
            if key not in self._looks and role_of(layer) not in (ERROR, COMPOSED):
                self._looks[key] = self.look_of(layer)
                self._order.append(key)

    def look_of(self, layer: Any) -> LayerLook:
        """How the user had this layer."""
        known = self._looks.get(layer_key(layer))
        if known is not None:
            return known
        overlay = getattr(layer, "name_overlay", None)
        return LayerLook(
            bool(layer.visible),
            float(layer.opacity),
            bool(overlay is not None and overlay.visible),
            float(getattr(overlay, "font_size", 10.0)),
        )

    def restore(self) -> None:
        """Give everything back as it was; what came since is left as it is.

        Errors and compositions were made for a layout: they are hidden.
        """
        if self._grid is None:
            return
        grid, camera = grid_of(self._viewer), camera_of(self._viewer)
        grid.enabled = False
        for name in reversed(_GRID_FIELDS):
            setattr(grid, name, self._grid[name])
        bar = scale_bar_of(self._viewer)
        set_background(self._viewer, self._background)
        bar.visible = self._bar[0]
        set_gridded(bar, self._bar[1])
        bar.font_size = self._bar[2]
        for layer in self._viewer.layers:
            look = self._looks.get(layer_key(layer))
            if look is not None:
                show(layer, look.visible)
                layer.opacity = look.opacity
                show_name(layer, look.name_shown, look.name_size)
            else:
                show_name(layer, False)
                if role_of(layer) in (ERROR, COMPOSED):
                    show(layer, False)
        sort(self._viewer, self._order)
        if self._viewer.dims.ndisplay == self._ndisplay:
            # a dock that came or went has changed the canvas: show the same of it
            sizes = zip(canvas_size(self._viewer), self._canvas, strict=True)
            self._camera["zoom"] *= min(now / max(was, 1) for now, was in sizes)
            for name, value in self._camera.items():
                if not np.array_equal(getattr(camera, name), value):
                    setattr(camera, name, value)
        self._grid, self._looks, self._order = None, {}, []


def sort(viewer: Any, keys: list[str]) -> None:
    """Move layers into an order; those that are not named stay behind."""
    layers = viewer.layers
    now = [layer_key(layer) for layer in layers]
    wanted = [key for key in keys if key in now]
    wanted += [key for key in now if key not in wanted]
    if wanted == now:
        return
    emitter = layers.events.reordered
    with emitter.blocker():  # napari draws all anew after each move: once is enough
        for place, key in enumerate(wanted):
            at = now.index(key)
            if at != place:
                layers.move(at, place)
                now.insert(place, now.pop(at))
    emitter(value=getattr(layers, "__wrapped__", layers))


def show(layer: Any, on: bool) -> None:
    """Show or hide; napari draws anew even where nothing changes."""
    if layer.visible != on:
        layer.visible = on


def show_name(layer: Any, on: bool, size: float = 10.0) -> None:
    """Write a layer's name into its cell, in points, or take it away."""
    overlay = getattr(layer, "name_overlay", None)
    if overlay is None:
        return
    # a name in the colour of its structure is the legend of a cell with several
    coloured = on and layer.blending == "additive" and role_of(layer) != ERROR
    overlay.color = tuple(layer.colormap.colors[-1]) if coloured else None
    if getattr(overlay, "font_size", size) != size:
        overlay.font_size = size
    if overlay.visible != on:
        overlay.visible = on


@dataclass(frozen=True)
class Scene:
    """The layers that a layout is about, by structure where there are several.

    Attributes
    ----------
    source : Layer or None
        The transmitted light.
    truths, predictions : dict
        Structure id to layer.
    shown : tuple of str
        Structures that the user wants to see.
    uncertainties, errors : dict
        Structure id to the layer of its uncertainty, or of its error.
    unsure, wrong : tuple of str
        Structures whose uncertainty, or error, the user wants to see.
    composed : dict
        Structure id to the layer that shows truth and prediction in turns.
    scales : dict
        Mean and standard deviation of a truth, by structure, where they are known.
    """

    source: Any | None
    truths: dict[str, Any]
    predictions: dict[str, Any]
    shown: tuple[str, ...]
    uncertainties: dict[str, Any] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()
    scales: dict[str, Scale] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    composed: dict[str, Any] = field(default_factory=dict)

    def cells(self) -> list[list[Any]]:
        """Give the layers of each cell; a cell without layers is left out."""
        cells = [
            [] if self.source is None else [self.source],
            _of(self.truths, self.shown),
            _of(self.predictions, self.shown),
            _of(self.errors, self.wrong),
            _of(self.uncertainties, self.unsure),
        ]
        return [cell for cell in cells if cell]

    def gallery(self) -> list[list[Any]]:
        """Give a cell to the input and to each prediction."""
        first = [] if self.source is None else [[self.source]]
        return first + [[layer] for layer in self.predictions.values()]


def _of(layers: Mapping[str, Any], ids: Sequence[str]) -> list[Any]:
    return [layers[id_] for id_ in ids if id_ in layers]


def scene_of(
    viewer: Any,
    source: Any | None,
    rows: Sequence[StructureRow],
    predictions: dict[str, Any],
    scales: Mapping[tuple[str, str], Scale] | None = None,
) -> Scene:
    """Collect the layers that belong together and are still there.

    Parameters
    ----------
    viewer : napari.Viewer
    source : Layer or None
        The input.
    rows : sequence of StructureRow
        Structures with their truth layers and eyes.
    predictions : dict
        Structure id to layer.
    scales : mapping, optional
        Structure id and truth layer's key to the truth's mean and deviation.
    """
    known = scales or {}
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
        unsure=tuple(row.structure.id for row in rows if row.spread),
        scales={
            row.structure.id: known[row.structure.id, row.truth]
            for row in rows
            if row.truth is not None and (row.structure.id, row.truth) in known
        },
        errors=errors,
        wrong=tuple(id_ for id_, layer in errors.items() if layer.visible),
    )


OVERLAY, SIDE_BY_SIDE, SWIPE = "overlay", "side", "swipe"
CHECKERBOARD, GALLERY = "checkerboard", "gallery"
COMPOSITIONS = (SWIPE, CHECKERBOARD)
"""Layouts that need a layer composed of truth and prediction."""
# Under additive colours a bright-field at full strength washes everything out.
_DIMMED = 0.5
_SPACING = 4
_Shape = Callable[[int, float, tuple[int, int]], tuple[int, int]]


class Layouts(QObject):
    """Applies a layout to a viewer and can undo it; `layouts_of` gives a viewer's own.

    Parameters
    ----------
    viewer : napari.Viewer

    Attributes
    ----------
    current : str or None
        The layout that is on; None for the user's own view.
    arranging : bool
        Layers are being shown, hidden and moved: that is not the user's doing.

    Signals
    -------
    changed : str
        The layout that is on now; "" for the user's own view.
    """

    changed = Signal(str)

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._own = OwnView(viewer)
        self._links: list[ContrastLink | FlatTruth] = []
        self.current: str | None = None
        self.arranging = False

    @property
    def viewer(self) -> Any:
        """The viewer that is arranged."""
        return self._viewer

    def apply(self, name: str, scene: Scene) -> None:
        """Apply a layout by its name; an unknown one changes nothing.

        Parameters
        ----------
        name : str
        scene : Scene
        """
        arranged = {
            OVERLAY: self._overlay,
            SIDE_BY_SIDE: self._side_by_side,
            SWIPE: self._composition,
            CHECKERBOARD: self._composition,
            GALLERY: self._gallery,
        }.get(name)
        if arranged is None:
            return
        fresh = self.current != name
        cells = self._cells()
        self.arranging = True
        try:
            self._own.remember()
            self._unlink()
            self._dress()  # first: in a grid each change is made in every cell
            if not arranged(scene):
                if self.current is None:  # nothing was changed
                    self._own.restore()
                return
            self.current = name
            if fresh or self._cells() != cells:
                fit_to_view(self._viewer)
        finally:
            self.arranging = False
        if fresh:
            self.changed.emit(name)

    @property
    def eyes_hold(self) -> bool:
        """Whether a structure is wanted where its layer is visible: not in all."""
        return self.current in (None, OVERLAY, SIDE_BY_SIDE)

    def overlay(self, scene: Scene) -> None:
        """Show the wanted structures in colour on the transmitted light."""
        self.apply(OVERLAY, scene)

    def side_by_side(self, scene: Scene) -> None:
        """Show transmitted light | truth | prediction | error, a cell each."""
        self.apply(SIDE_BY_SIDE, scene)

    def gallery(self, scene: Scene) -> None:
        """Show the input and each prediction in a cell of its own."""
        self.apply(GALLERY, scene)

    def restore(self) -> None:
        """Give the user's own view back: grid, order, camera, looks, scale bar."""
        if not self._own.kept:
            return
        self.arranging = True
        try:
            self._unlink()
            self._own.restore()
        finally:
            self.arranging = False
        self.current = None
        self.changed.emit("")

    def _cells(self) -> tuple[int, int] | None:
        grid = grid_of(self._viewer)
        return tuple(grid.shape) if grid.enabled else None

    # the layouts --------------------------------------------------------------

    def _overlay(self, scene: Scene) -> bool:
        self._leave_grid()
        for layer in (*scene.truths.values(), *scene.composed.values()):
            show(layer, False)
        self._spread(scene)
        self._show_predictions(scene)
        if scene.source is not None:
            show(scene.source, True)
            scene.source.opacity = _DIMMED
        wanted = [scene.predictions[i] for i in scene.shown if i in scene.predictions]
        legend = {layer_key(layer) for layer in wanted}
        for layer in self._viewer.layers:
            show_name(layer, layer_key(layer) in legend)
        return True

    def _side_by_side(self, scene: Scene) -> bool:
        cells = scene.cells()
        if not cells:
            return False
        plan = self._plan(cells)
        if plan is None:  # too many colours for the grid: one alone
            first = (scene.wrong or scene.unsure or scene.shown)[:1]
            scene = replace(
                scene,
                shown=first,
                unsure=tuple(id_ for id_ in scene.unsure if id_ in first),
                wrong=tuple(id_ for id_ in scene.wrong if id_ in first),
            )
            cells = scene.cells()
            plan = self._plan(cells) or ([], 1)
        self._fill(scene, cells, plan, best_shape)
        self._spread(scene)
        self._link(scene)
        return True

    def _gallery(self, scene: Scene) -> bool:
        cells = scene.gallery()
        plan = self._plan(cells)
        if not cells or plan is None:
            return False
        self._fill(scene, cells, plan, best_grid)
        return True

    def _composition(self, scene: Scene) -> bool:
        """Show nothing but truth and prediction in turns: light would mix in."""
        if not scene.composed:
            return False
        self._leave_grid()
        for layer in self._viewer.layers:
            border = role_of(layer) == COMPOSED and layer.ndim == 2
            flat = self._viewer.dims.ndisplay == 2
            show(layer, role_of(layer) == COMPOSED and (flat or not border))
            show_name(layer, False)
        return True

    def _leave_grid(self) -> None:
        grid_of(self._viewer).enabled = False
        scale_bar_of(self._viewer).font_size = LARGEST_NAME

    # their parts --------------------------------------------------------------

    def _fill(
        self,
        scene: Scene,
        cells: Sequence[Sequence[Any]],
        plan: tuple[list[Any], int],
        shape: _Shape,
    ) -> None:
        order, stride = plan
        canvas = canvas_size(self._viewer)
        rows, columns = shape(len(cells), aspect_of(cells[0][0]), canvas)
        size = name_size(canvas[1] / columns)
        shown = {layer_key(layer) for cell in cells for layer in cell}
        grid = grid_of(self._viewer)
        keys = [layer_key(layer) for layer in order]
        there = grid.enabled and (grid.stride, tuple(grid.shape)) == (
            stride,
            (rows, columns),
        )
        if not (there and self._stands(keys, shown)):
            grid.enabled = False  # napari makes all cells anew at each change
        for layer in self._viewer.layers:
            on = layer_key(layer) in shown
            show(layer, on)
            show_name(layer, on, size)
        if scene.source is not None:
            scene.source.opacity = self._own.look_of(scene.source).opacity
        sort(self._viewer, keys)
        grid.stride = stride
        grid.shape = rows, columns
        grid.spacing = _SPACING
        scale_bar_of(self._viewer).font_size = size
        grid.enabled = True

    def _stands(self, keys: Sequence[str], shown: set[str]) -> bool:
        """Whether layers are in this order, and just these are visible."""
        layers = list(self._viewer.layers)
        now = [layer_key(layer) for layer in layers]
        visible = {layer_key(layer) for layer in layers if layer.visible}
        return now == list(keys) and visible == shown

    def _spread(self, scene: Scene) -> None:
        """Show truths of one plane wherever their predictions are seen."""
        for id_, truth in scene.truths.items():
            prediction = scene.predictions.get(id_)
            if prediction is not None and lies_flat(truth, prediction):
                self._links.append(FlatTruth(truth, prediction))

    def _link(self, scene: Scene) -> None:
        """Show truths as bright as their predictions."""
        for id_ in scene.shown:
            pair = scene.truths.get(id_), scene.predictions.get(id_)
            if None not in pair and id_ in scene.scales:
                self._links.append(ContrastLink(*pair, scene.scales[id_]))

    def _unlink(self) -> None:
        for link in self._links:
            link.undo()
        self._links = []

    def _dress(self) -> None:
        """Fluorescence wants a black ground, also in a light theme, and a scale."""
        set_background(self._viewer, "black")
        bar = scale_bar_of(self._viewer)
        bar.visible = True
        set_gridded(bar, True)

    def _plan(self, cells: Sequence[Sequence[Any]]) -> tuple[list[Any], int] | None:
        shown = {layer_key(layer) for cell in cells for layer in cell}
        others = [
            layer for layer in self._viewer.layers if layer_key(layer) not in shown
        ]
        return arrange(cells, others)

    def _show_predictions(self, scene: Scene) -> None:
        for id_, layer in scene.predictions.items():
            show(layer, id_ in scene.shown)
        for id_, layer in scene.uncertainties.items():
            show(layer, id_ in scene.unsure)
        for id_, layer in scene.errors.items():
            show(layer, id_ in scene.wrong)


_known: WeakValueDictionary[int, Layouts] = WeakValueDictionary()


def layouts_of(viewer: Any) -> Layouts:
    """Give the one `Layouts` of a viewer, which all its docks share.

    Parameters
    ----------
    viewer : napari.Viewer
        Or napari's proxy of it.

    Returns
    -------
    Layouts
        Lives as long as a dock holds it.
    """
    raw = getattr(viewer, "__wrapped__", viewer)
    found = _known.get(id(raw))
    if found is None or getattr(found.viewer, "__wrapped__", found.viewer) is not raw:
        found = _known[id(raw)] = Layouts(viewer)
    return found
