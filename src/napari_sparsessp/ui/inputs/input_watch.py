"""Notices when the input layer itself changes: its image, its voxel size, its place."""

from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.ui.napari_compat import layer_key

_EVENTS = ("data", "scale", "translate", "units", "axis_labels")


class InputWatch(QObject):
    """Watches one layer at a time.

    Parameters
    ----------
    parent : QObject, optional

    Signals
    -------
    changed
        What a plan was made of is not what it was.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layer: Any | None = None

    def follow(self, layer: Any | None) -> None:
        """Watch this layer and no other; None watches none."""
        if self._key(layer) == self._key(self._layer):
            return
        for emitter in self._emitters():
            emitter.disconnect(self._on_changed)
        self._layer = layer
        for emitter in self._emitters():
            emitter.connect(self._on_changed)

    def _key(self, layer: Any | None) -> str | None:
        return None if layer is None else layer_key(layer)

    def _emitters(self) -> list[Any]:
        events = getattr(self._layer, "events", None)
        found = [getattr(events, name, None) for name in _EVENTS]
        return [one for one in found if one is not None]

    def _on_changed(self, _event: Any = None) -> None:
        self.changed.emit()
