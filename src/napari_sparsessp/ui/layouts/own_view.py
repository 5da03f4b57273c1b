"""*My view*: how the user had arranged things, kept while a layout is on."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sparsessp.ui.layers.marks import COMPOSED, ERROR, role_of
from napari_sparsessp.ui.napari_compat import (
    background_of,
    camera_of,
    canvas_size,
    grid_of,
    layer_key,
    scale_bar_of,
    set_background,
    set_gridded,
)

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
