"""The voxel size that a layer's own file records, where the layer has none.

napari's own readers, which take what is dropped onto its window, leave it out.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.tasks import BackgroundTask

if TYPE_CHECKING:
    from napari_sparsessp.ui.layers.volume import LayerReading

Size = tuple[float, float, float]


class RecordedSize(QObject):
    """Looks into files, one look a layer, in a thread.

    Parameters
    ----------
    parent : QObject, optional

    Signals
    -------
    found : str, tuple
        Key of the layer, and (z, y, x) in µm.
    """

    found = Signal(str, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._known: dict[str, Size | None] = {}

    def look(self, layer: Any | None, reading: "LayerReading | None") -> None:
        """Look into the file of a layer whose size nobody knows; `found` may follow.

        Parameters
        ----------
        layer : napari.layers.Image or None
        reading : LayerReading or None
            What was read from it.
        """
        if layer is None or reading is None or reading.volume.voxel_size is not None:
            return
        key, path = layer_key(layer), getattr(layer.source, "path", None)
        if key in self._known:
            self._tell(key)
        elif path and Path(path).exists():
            self._known[key] = None
            task = BackgroundTask(size_in, Path(path), parent=self)
            task.returned.connect(lambda size: self._on_size(key, size))
            task.start()

    def _on_size(self, key: str, size: Size | None) -> None:
        self._known[key] = size
        self._tell(key)

    def _tell(self, key: str) -> None:
        size = self._known[key]
        if size is not None:
            self.found.emit(key, size)


def size_in(path: Path, _progress: object = None) -> Size | None:
    """Read (z, y, x) in µm from a file's header; None where it records none.

    For a worker thread: it imports the readers.
    """
    from napari_sparsessp.io.reading import load_volume

    return load_volume(path).voxel_size
