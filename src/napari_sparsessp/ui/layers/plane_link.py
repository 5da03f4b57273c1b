"""Which plane of a layer is on screen, and the way to another."""

from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

_SETTLE_MS = 25


class PlaneLink(QObject):
    """Follows z and time of the viewer in terms of one layer.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject, optional

    Signals
    -------
    plane_changed : object
        Plane that is on screen, a float; None where no single one is.
    time_changed
        Another time point of the layer is on screen.
    """

    plane_changed = Signal(object)
    time_changed = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Any | None = None
        self._time: int | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.timeout.connect(self.look)
        self._emitters = (
            viewer.dims.events.point,
            viewer.dims.events.ndisplay,
            viewer.dims.events.order,
        )
        for emitter in self._emitters:
            emitter.connect(self._on_moved)

    def follow(self, layer: Any | None) -> None:
        """Follow a prediction, ((T,) Z, Y, X), or nothing."""
        self._layer = layer
        self._time = self._time_now()
        self.look()

    def look(self) -> None:
        """Tell what is on screen now."""
        layer, dims = self._layer, self._viewer.dims
        if layer is None or layer not in self._viewer.layers:
            self.plane_changed.emit(None)
            return
        at = dims.ndim - 3
        shown = dims.ndisplay == 2 and at not in dims.displayed
        plane = float(data_position(self._viewer, layer)[-3])
        inside = -0.5 <= plane <= layer.data.shape[-3] - 0.5
        self.plane_changed.emit(plane if shown and inside else None)
        time = self._time_now()
        if time != self._time:
            self._time = time
            self.time_changed.emit()

    def go(self, plane: float) -> None:
        """Show a plane of the layer."""
        layer = self._layer
        if layer is None or layer not in self._viewer.layers:
            return
        last = layer.data.shape[-3] - 1
        index = data_position(self._viewer, layer)
        index[-3] = np.clip(round(plane), 0, last)
        world = np.asarray(layer.data_to_world(index), float)
        axis = self._viewer.dims.ndim - 3
        self._viewer.dims.set_point(
            axis, world[-3] / _own_per_world(self._viewer, layer)[-3]
        )

    def release(self) -> None:
        """Listen to the viewer no more."""
        self._timer.stop()
        for emitter in self._emitters:
            emitter.disconnect(self._on_moved)

    def _time_now(self) -> int | None:
        if self._layer is None or self._layer.ndim < 4:
            return None
        return round(float(data_position(self._viewer, self._layer)[0]))

    def _on_moved(self, _event: object = None) -> None:
        self._timer.start()


def data_position(viewer: Any, layer: Any, point: Any = None) -> np.ndarray:
    """Give where a point of the world lies in a layer's data, shape (ndim,).

    Parameters
    ----------
    viewer : napari.Viewer
    layer : Layer
    point : sequence of float, optional
        In the viewer's units; what the sliders say where left out.
    """
    offset = viewer.dims.ndim - layer.ndim
    world = viewer.dims.point if point is None else point
    there = np.asarray(world, float)[offset:] * _own_per_world(viewer, layer)
    return np.asarray(layer.world_to_data(there), float)


def _own_per_world(viewer: Any, layer: Any) -> np.ndarray:
    """How many of the layer's units one of the viewer's is, along each axis."""
    world = getattr(viewer.dims, "units", None)
    factors = np.ones(layer.ndim)
    if world is None or len(world) != viewer.dims.ndim:
        return factors
    for axis, own in enumerate(layer.units):
        unit = world[viewer.dims.ndim - layer.ndim + axis]
        try:
            factors[axis] = float((1 * unit).to(own).magnitude)
        except Exception:  # pint's errors of several kinds: pixels against µm
            return np.ones(layer.ndim)
    return factors
