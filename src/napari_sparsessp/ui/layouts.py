"""Two ways to look at a prediction, and the way back to how things were.

*Overlay*: the structures in colour on the transmitted light. *Side by side*: one cell
with the transmitted light, one with the ground truth, one with the prediction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_sparsessp.ui.compat import (
    background_of,
    canvas_size,
    fit_to_view,
    grid_of,
    layer_key,
    layer_with_key,
    scale_bar_of,
    set_background,
    set_gridded,
)
from napari_sparsessp.ui.flat_truth import FlatTruth, lies_flat
from napari_sparsessp.ui.linked_contrast import ContrastLink, Scale
from napari_sparsessp.ui.structure_row import Row

OVERLAY, SIDE_BY_SIDE = "overlay", "side"

# Under additive colours a bright-field at full strength washes everything out.
_DIMMED = 0.5
# Side by side is what is asked for: a column must be worth it.
_CLEARLY = 1.3
_GRID_FIELDS = ("enabled", "stride", "shape", "spacing")


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
    uncertainties : dict
        Structure id to the layer of its uncertainty.
    unsure : tuple of str
        Structures whose uncertainty the user wants to see.
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

    def cells(self) -> list[list[Any]]:
        """Give the layers of each cell; a cell without layers is left out."""
        cells = [
            [] if self.source is None else [self.source],
            [self.truths[i] for i in self.shown if i in self.truths],
            [self.predictions[i] for i in self.shown if i in self.predictions],
            [self.uncertainties[i] for i in self.unsure if i in self.uncertainties],
        ]
        return [cell for cell in cells if cell]


def scene_of(
    viewer: Any,
    source: Any | None,
    rows: Sequence[Row],
    predictions: dict[str, Any],
    scales: Mapping[tuple[str, str], Scale] | None = None,
) -> Scene:
    """Collect the layers that belong together and are still there.

    Parameters
    ----------
    viewer : napari.Viewer
    source : Layer or None
        The input.
    rows : sequence of Row
        Structures with their truth layers and eyes.
    predictions : dict
        Structure id to layer.
    scales : mapping, optional
        Structure id and truth layer's key to the truth's mean and deviation.
    """
    known = scales or {}
    truths = {row.structure.id: layer_with_key(viewer, row.truth) for row in rows}
    key = None if source is None else layer_key(source)
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
    )


@dataclass(frozen=True)
class _LayerLook:
    visible: bool
    opacity: float
    name_shown: bool


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
    return (count, 1) if in_column > _CLEARLY * in_row else (1, count)


def _aspect(layer: Any) -> float:
    """Width over height of what a layer shows in 2D."""
    low, high = np.asarray(layer.extent.world)
    height, width = (high - low)[-2:]
    return float(width / height) if height > 0 and width > 0 else 1.0


class Layouts:
    """Applies a layout to a viewer and can undo it.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._grid: dict[str, Any] | None = None
        self._bar: tuple[bool, bool] = (False, False)
        self._background: Any | None = None
        self._looks: dict[str, _LayerLook] = {}
        self._order: list[str] = []
        self._links: list[ContrastLink | FlatTruth] = []
        self.current: str | None = None

    def overlay(self, scene: Scene) -> None:
        """Show the wanted structures in colour on the transmitted light."""
        self._remember()
        self._unlink()
        grid_of(self._viewer).enabled = False
        for layer in scene.truths.values():
            _show(layer, False)
        self._spread(scene)
        self._show_predictions(scene)
        if scene.source is not None:
            _show(scene.source, True)
            scene.source.opacity = _DIMMED
        for layer in self._viewer.layers:
            _show_name(layer, False)
        self._dress()
        if self.current != OVERLAY:
            fit_to_view(self._viewer)
        self.current = OVERLAY

    def side_by_side(self, scene: Scene) -> None:
        """Show transmitted light | truth | prediction | uncertainty, a cell each."""
        self._remember()
        self._unlink()
        cells = scene.cells()
        if not cells:
            return
        plan = self._plan(scene, cells)
        if plan is None:  # too many colours for the grid: the first one alone
            first = scene.shown[:1]
            unsure = tuple(id_ for id_ in scene.unsure if id_ in first)
            scene = replace(scene, shown=first, unsure=unsure)
            cells = scene.cells()
            plan = self._plan(scene, cells) or ([], 1)
        order, stride = plan
        shown = {layer_key(layer) for cell in cells for layer in cell}
        for layer in self._viewer.layers:
            _show(layer, layer_key(layer) in shown)
        if scene.source is not None:
            scene.source.opacity = self._look_of(scene.source).opacity
        self._sort([layer_key(layer) for layer in order])
        for cell in cells:
            for layer in cell:
                _show_name(layer, True)
        grid = grid_of(self._viewer)
        grid.stride = stride
        grid.shape = best_shape(len(cells), _aspect(cells[0][0]), self._canvas())
        grid.spacing = 4
        grid.enabled = True
        self._dress()
        self._spread(scene)
        self._link(scene)
        if self.current != SIDE_BY_SIDE:
            fit_to_view(self._viewer)
        self.current = SIDE_BY_SIDE

    def apply(self, name: str, scene: Scene) -> None:
        """Apply a layout by its name."""
        if name == OVERLAY:
            self.overlay(scene)
        elif name == SIDE_BY_SIDE:
            self.side_by_side(scene)

    def restore(self) -> None:
        """Give the user's own view back: grid, order, visibility, names, scale bar."""
        if self._grid is None:
            return
        self._unlink()
        grid = grid_of(self._viewer)
        grid.enabled = False
        for name in reversed(_GRID_FIELDS):
            setattr(grid, name, self._grid[name])
        bar = scale_bar_of(self._viewer)
        set_background(self._viewer, self._background)
        bar.visible = self._bar[0]
        set_gridded(bar, self._bar[1])
        for layer in self._viewer.layers:
            look = self._looks.get(layer_key(layer))
            if look is not None:
                _show(layer, look.visible)
                layer.opacity = look.opacity
                _show_name(layer, look.name_shown)
            else:
                _show_name(layer, False)
        self._sort(self._order)
        self._grid, self._looks, self._order = None, {}, []
        self.current = None
        fit_to_view(self._viewer)

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

    def _canvas(self) -> tuple[int, int]:
        return canvas_size(self._viewer)

    def _plan(
        self, scene: Scene, cells: Sequence[Sequence[Any]]
    ) -> tuple[list[Any], int] | None:
        shown = {layer_key(layer) for cell in cells for layer in cell}
        others = [
            layer for layer in self._viewer.layers if layer_key(layer) not in shown
        ]
        return arrange(cells, others)

    def _remember(self) -> None:
        """Keep how things are, once, and what is new since."""
        if self._grid is None:
            grid, bar = grid_of(self._viewer), scale_bar_of(self._viewer)
            self._grid = {name: getattr(grid, name) for name in _GRID_FIELDS}
            self._background = background_of(self._viewer)
            self._bar = (bool(bar.visible), bool(getattr(bar, "gridded", False)))
        for layer in self._viewer.layers:
            key = layer_key(layer)
            if key not in self._looks:
                self._looks[key] = self._look_of(layer)
                self._order.append(key)

    def _look_of(self, layer: Any) -> _LayerLook:
        known = self._looks.get(layer_key(layer))
        if known is not None:
            return known
        overlay = getattr(layer, "name_overlay", None)
        return _LayerLook(
            bool(layer.visible),
            float(layer.opacity),
            bool(overlay is not None and overlay.visible),
        )

    def _show_predictions(self, scene: Scene) -> None:
        for id_, layer in scene.predictions.items():
            _show(layer, id_ in scene.shown)
        for id_, layer in scene.uncertainties.items():
            _show(layer, id_ in scene.unsure)

    def _sort(self, keys: Sequence[str]) -> None:
        """Move layers into an order; those that are not named stay behind."""
        layers = self._viewer.layers
        now = [layer_key(layer) for layer in layers]
        wanted = [key for key in keys if key in now]
        wanted += [key for key in now if key not in wanted]
        for place, key in enumerate(wanted):
            at = now.index(key)
            if at != place:
                layers.move(at, place)
                now.insert(place, now.pop(at))


def _show(layer: Any, on: bool) -> None:
    """Show or hide; napari draws anew even where nothing changes."""
    if layer.visible != on:
        layer.visible = on


def _show_name(layer: Any, on: bool) -> None:
    overlay = getattr(layer, "name_overlay", None)
    if overlay is None:
        return
    # a name in the colour of its structure is the legend of a cell with several
    coloured = on and layer.blending == "additive"
    overlay.color = tuple(layer.colormap.colors[-1]) if coloured else None
    if overlay.visible != on:
        overlay.visible = on
