"""The border between truth and prediction, to be dragged in the canvas."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_sparsessp.ui.compare.layers import place_of
from napari_sparsessp.ui.layers.marks import COMPOSED, KEY, SCHEMA
from napari_sparsessp.ui.layers.plane_link import data_position
from napari_sparsessp.ui.napari_compat import camera_of, layer_key, layer_with_key

# Screen pixels on either side of the border in which it can be grasped.
_REACH = 12.0


class SwipeHandle(QObject):
    """A line across a composed layer that follows the mouse.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject, optional

    Signals
    -------
    moved : float
        Share of the width at which the user has put the border.
    """

    moved = Signal(float)

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

    def lay_over(self, layer: Any, share: float) -> None:
        """Draw the border over a composed layer, and listen to the mouse.

        Parameters
        ----------
        layer : napari.layers.Image
            (D, H, W).
        share : float
        """
        self.take_away()
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
            **place_of(layer, 2),
        )
        self._line = layer_key(line)
        self._viewer.layers.selection.active = layer if active is None else active
        self._viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        self._on_ndisplay()
        self._viewer.mouse_move_callbacks.append(self._on_move)
        self._viewer.mouse_drag_callbacks.append(self._on_drag)

    def take_away(self) -> None:
        """Remove the border and leave the mouse to napari."""
        for callbacks, mine in (
            (self._viewer.mouse_move_callbacks, self._on_move),
            (self._viewer.mouse_drag_callbacks, self._on_drag),
        ):
            if mine in callbacks:
                callbacks.remove(mine)
        if self.on:
            self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        self._release()
        line = layer_with_key(self._viewer, self._line)
        self._over = self._line = None
        if line is not None:
            self._viewer.layers.remove(line)

    def put(self, share: float) -> None:
        """Put the border somewhere else, without telling anyone."""
        self._share = share
        layer = layer_with_key(self._viewer, self._over)
        line = layer_with_key(self._viewer, self._line)
        flat = self._viewer.dims.ndisplay == 2
        if layer is not None and line is not None and flat:
            line.data = self._shapes(layer)

    def _on_ndisplay(self, _event: Any = None) -> None:
        """A border lies in the plane that is seen: in 3D there is none."""
        line = layer_with_key(self._viewer, self._line)
        if line is not None:
            line.visible = self._viewer.dims.ndisplay == 2
            self.put(self._share)

    def _shapes(self, layer: Any) -> list[np.ndarray]:
        """The border, and on each side an unseen box that carries a word."""
        height, width = layer.data.shape[-2:]
        x = round(self._share * width) - 0.5
        deep = 0.1 * height
        return [
            np.array([[-0.5, x], [height - 0.5, x]]),
            _box(min(-0.5, x - 1), x, deep),
            _box(x, max(width - 0.5, x + 1), deep),
        ]

    def _near(self, event: Any) -> bool:
        """Whether the mouse is at the border, in a 2D view of y and x."""
        layer, dims = layer_with_key(self._viewer, self._over), self._viewer.dims
        if layer is None or dims.ndisplay != 2:
            return False
        if tuple(dims.displayed) != (dims.ndim - 2, dims.ndim - 1):
            return False
        border = round(self._share * layer.data.shape[-1]) - 0.5
        away = abs(self._x(layer, event) - border) * abs(float(layer.scale[-1]))
        return bool(away * camera_of(self._viewer).zoom <= _REACH)

    def _x(self, layer: Any, event: Any) -> float:
        return float(data_position(self._viewer, layer, event.position)[-1])

    def _on_move(self, _viewer: Any, event: Any) -> None:
        """Say by the cursor that the border can be grasped, and hold the camera."""
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
            width = layer.data.shape[-1]
            share = (self._x(layer, event) + 0.5) / width
            self.put(float(np.clip(share, 0, 1)))
            self.moved.emit(self._share)
            yield

    def _release(self) -> None:
        if self._grasped:
            self._grasped = False
            camera_of(self._viewer).mouse_pan = True
            self._viewer.cursor.style = "standard"


def _box(left: float, right: float, deep: float) -> np.ndarray:
    return np.array([[0, left], [0, right], [deep, right], [deep, left]])
