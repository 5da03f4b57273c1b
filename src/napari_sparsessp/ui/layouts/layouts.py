"""Ways to look at a prediction, one click each, and the way back to how things were.

*Overlay*: the structures in colour on the transmitted light. *Side by side*: one cell
with the transmitted light, one with the truth, one with the prediction, one with its
error. *Swipe* and *Checkerboard*: truth and prediction in one picture. *Gallery*: a
cell for each structure. A viewer has one layout, whichever of its docks asked for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.ui.layers.flat_truth import FlatTruth, lies_flat
from napari_sparsessp.ui.layers.linked_contrast import ContrastLink
from napari_sparsessp.ui.layers.marks import COMPOSED, role_of
from napari_sparsessp.ui.layouts.cells import (
    LARGEST_NAME,
    arrange,
    aspect_of,
    best_grid,
    best_shape,
    name_size,
)
from napari_sparsessp.ui.layouts.own_view import OwnView, show, show_name, sort
from napari_sparsessp.ui.layouts.scene import Scene
from napari_sparsessp.ui.napari_compat import (
    canvas_size,
    fit_to_view,
    grid_of,
    layer_key,
    scale_bar_of,
    set_background,
    set_gridded,
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
