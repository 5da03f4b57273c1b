"""The part on screen: its tiles are predicted first, plots follow its plane."""

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sparsessp.ui.napari_compat import camera_of

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.ui.layers.reading import LayerReading


Viewport = tuple[int | None, tuple[slice, slice, slice]]
"""Time index of the output, None without a time axis, and (z, y, x) output voxels."""
# One box after the user has stopped moving, not one for each frame of a drag.
_DEBOUNCE_MS = 150
# A layer is made in less, and what the engine loads meanwhile takes longer.
_PATIENCE_S = 1.0


class ViewportHolder:
    """A box that one thread writes and another reads."""

    def __init__(self) -> None:
        self._box: Viewport | None = None
        self._is_set = threading.Event()
        self._is_set.set()

    def expect(self) -> None:
        """Let the next call wait for the first box, while layers are being made."""
        self._is_set.clear()

    def set(self, box: Viewport | None) -> None:
        """Set the box that is on screen."""
        self._box = box
        self._is_set.set()

    def __call__(self) -> Viewport | None:
        """Return (time, box in output voxels), or None."""
        if not self._is_set.wait(_PATIENCE_S):
            self._is_set.set()  # once is enough
        return self._box


def layer_index(viewer: Any, layer: Any) -> np.ndarray:
    """Return the data index of the viewer's current point in a layer, shape (ndim,)."""
    index = np.round(data_position(viewer, layer))
    return np.clip(index, 0, np.asarray(layer.data.shape) - 1).astype(int)


def visible_box(viewer: Any, layer: Any, has_time: bool) -> Viewport:
    """Return the part of a prediction, ((T,) Z, Y, X), that is on screen."""
    shape = layer.data.shape
    index = layer_index(viewer, layer)
    offset = viewer.dims.ndim - layer.ndim
    displayed = {axis - offset for axis in viewer.dims.displayed}
    corners = np.asarray(layer.corner_pixels)
    box = []
    for axis in range(layer.ndim - 3, layer.ndim):
        low, high = int(index[axis]), int(index[axis]) + 1
        if axis in displayed:
            low, high = int(corners[0, axis]), int(corners[1, axis]) + 1
            if viewer.dims.ndisplay == 3 or high - low < 2:
                low, high = 0, shape[axis]
        box.append(slice(max(low, 0), max(min(high, shape[axis]), low + 1)))
    return (int(index[0]) if has_time else None), (box[0], box[1], box[2])


def part_in_sight(
    viewer: Any, layer: Any, reading: "LayerReading", plan: "Plan"
) -> Viewport | None:
    """Return the field of an input on screen, in all planes of its output, or None."""
    offset = viewer.dims.ndim - layer.ndim
    displayed = {axis - offset for axis in viewer.dims.displayed}
    corners = np.asarray(layer.corner_pixels, float)
    if getattr(layer, "multiscale", False):  # they count the level that is shown
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])
    flat = viewer.dims.ndisplay == 2 and bool(corners.any())
    box = [slice(0, plan.output_shape[-3])]
    sizes = zip(plan.input_pixel, plan.voxel_size[1:], strict=True)
    for letter, size, (own, wanted) in zip(
        "YX", plan.output_shape[-2:], sizes, strict=True
    ):
        axis = reading.letters.find(letter)
        low, high = 0.0, float(size)
        if flat and axis in displayed:
            if corners[1, axis] <= corners[0, axis]:
                return None
            low = corners[0, axis] * own / wanted
            high = (corners[1, axis] + 1) * own / wanted
        box.append(slice(max(int(low), 0), min(int(np.ceil(high)), size)))
    time = None
    if plan.output_axes.startswith("T"):
        time = int(layer_index(viewer, layer)[reading.letters.find("T")])
    return time, (box[0], box[1], box[2])


class _Follower(QObject):
    """Calls `look` once the user has stopped moving in the viewer."""

    def __init__(self, viewer: Any, parent: QObject | None, after_ms: int) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Any | None = None
        self._timer = QTimer(self, singleShot=True, interval=after_ms)
        self._timer.timeout.connect(self.look)
        self._emitters: list[Any] = []

    def look(self) -> None:
        """Take what is on screen now."""
        raise NotImplementedError

    def _listen(self, *emitters: Any) -> None:
        dims = self._viewer.dims.events
        self._emitters = [dims.point, dims.ndisplay, dims.order, *emitters]
        for emitter in self._emitters:
            emitter.connect(self._on_moved)

    def release(self) -> None:
        """Listen to the viewer no more."""
        self._timer.stop()
        for emitter in self._emitters:
            emitter.disconnect(self._on_moved)
        self._emitters = []

    def _on_moved(self, _event: object = None) -> None:
        self._timer.start()


class ViewportTracker(_Follower):
    """Follow camera and sliders while a prediction runs."""

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(viewer, parent, _DEBOUNCE_MS)
        self.holder = ViewportHolder()
        self._has_time = False

    def follow(self, layer: Any, *, has_time: bool) -> None:
        """Follow what is seen of a prediction layer."""
        self.stop()
        self._layer, self._has_time = layer, has_time
        camera = camera_of(self._viewer).events
        self._listen(camera.center, camera.zoom)
        self.look()

    def stop(self) -> None:
        """Follow nothing any more."""
        self.release()
        self._layer = None
        self.holder.set(None)

    def look(self) -> None:
        """Take the box now."""
        if self._layer is None:
            return
        try:
            box = visible_box(self._viewer, self._layer, self._has_time)
        except (RuntimeError, IndexError, ValueError):
            # the layer is on its way out; the engine goes on in its own order
            box = None
        self.holder.set(box)


_SETTLE_MS = 25


class PlaneLink(_Follower):
    """Follow z and time of the viewer in terms of one layer."""

    plane_changed = Signal(object)  # a float; None where no single plane is seen
    time_changed = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(viewer, parent, _SETTLE_MS)
        self._time: int | None = None
        self._listen()

    def follow(self, layer: Any | None) -> None:
        """Follow a prediction, ((T,) Z, Y, X), or nothing."""
        self._layer = layer
        self._time = self._time_now()
        self.look()

    def look(self) -> None:
        """Emit what is on screen now."""
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
        go_to(self._viewer, layer, index, layer.ndim - 3)

    def _time_now(self) -> int | None:
        if self._layer is None or self._layer.ndim < 4:
            return None
        return round(float(data_position(self._viewer, self._layer)[0]))


def data_position(viewer: Any, layer: Any, point: Any = None) -> np.ndarray:
    """Return where a point lies in a layer's data, shape (ndim,).

    ``layer.world_to_data`` knows nothing of units, and ``dims.current_step`` counts in
    steps of the finest layer: both are made up for here.
    """
    offset = viewer.dims.ndim - layer.ndim
    world = viewer.dims.point if point is None else point
    there = np.asarray(world, float)[offset:] * _own_per_world(viewer, layer)
    return np.asarray(layer.world_to_data(there), float)


def go_to(viewer: Any, layer: Any, index: np.ndarray, axis: int) -> None:
    """Move one slider to an index of a layer's data."""
    world = np.asarray(layer.data_to_world(index), float)[axis]
    offset = viewer.dims.ndim - layer.ndim
    viewer.dims.set_point(offset + axis, world / _own_per_world(viewer, layer)[axis])


def _own_per_world(viewer: Any, layer: Any) -> np.ndarray:
    """Return how many of the layer's units a unit of the viewer is, along each axis."""
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
