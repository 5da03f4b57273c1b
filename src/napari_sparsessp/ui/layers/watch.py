"""Tells that a layer holds something else than before."""

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.ui.layers.marks import KEY
from napari_sparsessp.ui.napari_compat import layer_key

_EVENTS = ("data", "scale", "translate", "metadata")


class LayerWatch(QObject):
    """Watches the voxels of layers, their place, and the run that they came from.

    Signals
    -------
    changed : str
        Key of the layer.
    linked
        A prediction was given another truth.
    """

    changed = Signal(str)
    linked = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers: dict[str, Any] = {}
        self._made: dict[str, tuple[Any, ...]] = {}
        self._truth: dict[str, Any] = {}

    def follow(self, layers: Sequence[Any]) -> None:
        """Watch these layers and no others."""
        wanted = {layer_key(layer): layer for layer in layers}
        for key in [key for key in self._layers if key not in wanted]:
            self._connect(self._layers.pop(key), on=False)
        for key, layer in wanted.items():
            if key not in self._layers:
                self._layers[key] = layer
                self._made[key] = _made(layer)
                self._truth[key] = _truth(layer)
                self._connect(layer, on=True)

    def release(self) -> None:
        """Watch nothing more."""
        self.follow(())

    def _connect(self, layer: Any, *, on: bool) -> None:
        for name in _EVENTS:
            emitter = getattr(layer.events, name)
            slot = self._on_metadata if name == "metadata" else self._on_changed
            if on:
                emitter.connect(slot)
            else:
                emitter.disconnect(slot)

    def _on_changed(self, event: Any) -> None:
        key = layer_key(event.source)
        if key in self._layers:
            self.changed.emit(key)

    def _on_metadata(self, event: Any) -> None:
        """Of what stands on a layer, only another run makes it another one."""
        key = layer_key(event.source)
        made = _made(event.source)
        if key not in self._layers:
            return
        truth = _truth(event.source)
        if made != self._made.get(key):
            self._made[key], self._truth[key] = made, truth
            self.changed.emit(key)
        elif truth != self._truth.get(key):
            self._truth[key] = truth
            self.linked.emit()


def _made(layer: Any) -> tuple[Any, ...]:
    about = layer.metadata.get(KEY)
    if not isinstance(about, dict):
        return ()
    provenance = about.get("provenance") or {}
    return about.get("state"), provenance.get("created")


def _truth(layer: Any) -> Any:
    about = layer.metadata.get(KEY)
    return about.get("truth_id") if isinstance(about, dict) else None
