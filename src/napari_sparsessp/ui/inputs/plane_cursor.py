"""Ties the drawing of the z-axis to the viewer: which plane is looked at, and go there.

While one scrubs through a prediction one wants to know whether the plane on screen was
imaged or is the network's.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_sparsessp.ui.inputs.z_axis_drawing import ZAxisDrawing

if TYPE_CHECKING:
    from napari_sparsessp.sparse import SparseView

_SETTLE_MS = 25


class PlaneCursor(QObject):
    """Moves a mark on the drawing with the z slider, and the slider with a click.

    Parameters
    ----------
    viewer : napari.Viewer
    drawing : ZAxisDrawing
    parent : QObject, optional
    """

    def __init__(
        self, viewer: Any, drawing: ZAxisDrawing, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._drawing = drawing
        self._layer: Any | None = None
        self._axis = 0
        self._view: SparseView | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.timeout.connect(self.look)
        viewer.dims.events.point.connect(self._on_moved)
        viewer.dims.events.ndisplay.connect(self._on_moved)
        drawing.plane_asked.connect(self.go)

    def follow(self, layer: Any | None, axis: int, view: "SparseView | None") -> None:
        """Follow the z slider in terms of this input.

        Parameters
        ----------
        layer : napari.layers.Image or None
            The input; None follows nothing.
        axis : int
            Its z axis.
        view : SparseView or None
        """
        self._layer = layer if view is not None and axis >= 0 else None
        self._axis, self._view = axis, view
        self.look()

    def look(self) -> None:
        """Mark the plane that is on screen."""
        place = None
        if self._layer is not None and self._viewer.dims.ndisplay == 2:
            place = self._dense_position()
        self._drawing.show_position(place)

    def go(self, position: float) -> None:
        """Show the plane at a position, in dense planes."""
        if self._layer is None or self._view is None:
            return
        layer, view = self._layer, self._view
        index = np.zeros(layer.ndim)
        index[self._axis] = view.planes[0] + (position - view.positions[0]) / self._pace
        world = float(np.asarray(layer.data_to_world(index))[self._axis])
        offset = self._viewer.dims.ndim - layer.ndim
        self._viewer.dims.set_point(
            offset + self._axis, world * self._world_per_layer_unit()
        )

    @property
    def _pace(self) -> float:
        """Dense planes from one plane of the input to the next."""
        view = self._view
        if view is None or len(view.planes) < 2:
            return 1.0 if view is None else view.ratio
        rise = view.positions[1] - view.positions[0]
        return rise / (view.planes[1] - view.planes[0])

    def _dense_position(self) -> float | None:
        layer, view, dims = self._layer, self._view, self._viewer.dims
        if layer is None or view is None or layer not in self._viewer.layers:
            return None
        point = np.asarray(dims.point[dims.ndim - layer.ndim :], float)
        point[self._axis] /= self._world_per_layer_unit()
        index = float(np.asarray(layer.world_to_data(point))[self._axis])
        place = view.positions[0] + (index - view.planes[0]) * self._pace
        return place if -1 < place < view.depth + self._pace else None

    def _world_per_layer_unit(self) -> float:
        """How many of the viewer's units one of the layer's is, along z."""
        world = getattr(self._viewer.dims, "units", None)
        if self._layer is None or world is None:
            return 1.0
        unit = world[self._viewer.dims.ndim - self._layer.ndim + self._axis]
        own = self._layer.units[self._axis]
        try:
            return float((1 * own).to(unit).magnitude)
        except Exception:  # pint's errors of several kinds: pixels against µm
            return 1.0

    def _on_moved(self, _event: object = None) -> None:
        self._timer.start()
