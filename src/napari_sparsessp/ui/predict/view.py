"""How a prediction is looked at from the Predict dock: layouts, eyes, and the way back.

The dock tells what is predicted; napari's own list and the dock's eyes stay in step.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.ui.layers.marks import UNCERTAINTY
from napari_sparsessp.ui.layouts.layouts import SIDE_BY_SIDE, layouts_of
from napari_sparsessp.ui.layouts.scene import Scene, scene_of
from napari_sparsessp.ui.napari_compat import camera_of, grid_of
from napari_sparsessp.ui.predict.form import PredictForm
from napari_sparsessp.ui.predict.stream_layers import StreamLayers

if TYPE_CHECKING:
    from napari_sparsessp.ui.layers.linked_contrast import Scale


class PredictView(QObject):
    """Arranges the viewer's layers as the user asks in the dock.

    Parameters
    ----------
    viewer : napari.Viewer
    form : PredictForm
    layers : StreamLayers
    source : callable
        Gives the input layer, or None.
    scales : dict
        Mean and deviation of truths, by structure and truth layer's key.
    parent : QObject, optional
    """

    def __init__(
        self,
        viewer: Any,
        form: PredictForm,
        layers: StreamLayers,
        source: Callable[[], Any | None],
        scales: "dict[tuple[str, str], Scale]",
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._form = form
        self._layers = layers
        self._source = source
        self._scales = scales
        self.layouts = layouts_of(viewer)
        self._at_work = False
        form.structures.visibility_changed.connect(self._on_eye)
        form.structures.spread_changed.connect(self._on_spread)
        form.foot.layout_asked.connect(self.show)
        form.foot.restore_asked.connect(self.restore)
        self.layouts.changed.connect(form.foot.show_layout)
        layers.complete.connect(self.settle)
        layers.visible_changed.connect(self._on_layer_eye)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Meanwhile layers are shown and hidden by us, not by the user."""
        before, self._at_work = self._at_work, True
        try:
            yield
        finally:
            self._at_work = before

    @property
    def arranging(self) -> bool:
        """Whether layers are shown, hidden or moved by us right now."""
        return self._at_work or self.layouts.arranging

    def scene(self) -> Scene:
        """Tell which layers belong together."""
        predictions = self._layers.layers()
        rows = self._form.structures.rows
        scene = scene_of(self._viewer, self._source(), rows, predictions, self._scales)
        return replace(scene, uncertainties=self._layers.uncertainties())

    def show(self, name: str) -> None:
        """Show overlay or side by side."""
        self.layouts.apply(name, self.scene())
        self._form.foot.show_layout(self.layouts.current)

    def show_where_one_is(self, name: str) -> None:
        """Show a layout and stay where the user has zoomed to."""
        camera = camera_of(self._viewer)
        center, zoom = camera.center, camera.zoom
        self.show(name)
        if not grid_of(self._viewer).enabled:
            camera.center, camera.zoom = center, zoom

    def restore(self) -> None:
        """Give the user's own view back."""
        self.layouts.restore()
        self._form.foot.show_layout(None)

    def settle(self) -> None:
        """Let layers that came one by one find their place."""
        self.offer_spreads()
        if self.layouts.current is not None:
            self.show(self.layouts.current)
        made = self._layers.layers()
        shown = [made[id_] for id_ in self._form.structures.visible() if id_ in made]
        if shown:
            self._viewer.layers.selection.active = shown[0]

    def offer_spreads(self) -> None:
        """Let the table show which structures have a layer of uncertainty."""
        found = self._layers.uncertainties()
        shown = {id_: bool(layer.visible) for id_, layer in found.items()}
        self._form.structures.set_spreads(shown)

    def _on_eye(self, id_: str, visible: bool) -> None:
        if self.layouts.current == SIDE_BY_SIDE:
            self.show(SIDE_BY_SIDE)
        elif self.layouts.eyes_hold:
            self._layers.set_visible(id_, visible)

    def _on_spread(self, id_: str, shown: bool) -> None:
        if self.layouts.current == SIDE_BY_SIDE:
            self.show(SIDE_BY_SIDE)
        elif self.layouts.eyes_hold:
            self._layers.set_visible(deviation_channel(id_), shown)

    def _on_layer_eye(self, structure: str, role: str, visible: bool) -> None:
        if not self.arranging and self.layouts.eyes_hold:
            table = self._form.structures
            tell = table.set_spread if role == UNCERTAINTY else table.set_visible
            tell(structure, visible, tell=False)
