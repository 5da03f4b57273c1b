"""Open a stack from a file into layers, with its voxel size, off the interface."""

from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget
from superqt.utils import create_worker

from napari_sparsessp.ui.compat import layer_key
from napari_sparsessp.ui.volume_layers import LayerData, layers_of

FILTER = (
    "Image stacks (*.ome.tif *.ome.tiff *.tif *.tiff *.nd2 *.ome.zarr *.zarr);;"
    "All files (*)"
)


class FileOpening(QObject):
    """Asks for a file, reads its header in a worker thread and adds layers.

    Signals
    -------
    opened : str
        Key of the first layer that was added.
    failed : Exception
    """

    opened = Signal(str)
    failed = Signal(object)

    def __init__(self, viewer: Any, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer = viewer

    def ask(self) -> None:
        """Let the user choose a file."""
        parent = self.parent()
        path, _ = QFileDialog.getOpenFileName(parent, "Open a z-stack", "", FILTER)
        if path:
            self.open(path)

    def open(self, path: str | Path) -> None:
        """Open a file; `opened` or `failed` follows."""
        create_worker(
            _read,
            Path(path),
            _connect={"returned": self._on_read, "errored": self._on_error},
            _start_thread=True,
            _ignore_errors=True,
        )

    def _on_error(self, error: Exception) -> None:
        self.failed.emit(error)

    def _on_read(self, layers: list[LayerData]) -> None:
        first = None
        for data, attributes, _ in layers:
            layer = self._viewer.add_image(data, **attributes)
            first = first if first is not None else layer
        if first is not None:
            self.opened.emit(layer_key(first))


def _read(path: Path) -> list[LayerData]:
    from napari_sparsessp.io.reading import load_volume

    volume = load_volume(path)
    return layers_of(volume.with_(name=volume.name or path.name.split(".")[0]))
