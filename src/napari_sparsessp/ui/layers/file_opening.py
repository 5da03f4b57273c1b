"""Open a stack from a file into layers, with its voxel size, off the interface.

What was saved with its predictions comes back with them.
"""

from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget
from superqt.utils import create_worker

from napari_sparsessp.ui.layers.links import link_orphans
from napari_sparsessp.ui.layers.marks import role_of
from napari_sparsessp.ui.layers.opening import OpenedFile, read_file
from napari_sparsessp.ui.napari_compat import layer_key

FILTER = (
    "Image stacks (*.ome.tif *.ome.tiff *.tif *.tiff *.nd2 zarr.json .zattrs);;"
    "All files (*)"
)

_OF_ZARR = ("zarr.json", ".zattrs", ".zgroup")


class FileOpening(QObject):
    """Asks for a file, reads its header in a worker thread and adds layers.

    Signals
    -------
    opened : str
        Key of the first layer that was added and is no prediction, if there is one.
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
        """Open a file or folder; `opened` or `failed` follows.

        A file of Zarr's own stands for its folder: dialogs choose files only.
        """
        path = Path(path)
        create_worker(
            read_file,
            path.parent if path.name in _OF_ZARR else path,
            _connect={"returned": self._on_read, "errored": self._on_error},
            _start_thread=True,
            _ignore_errors=True,
        )

    def _on_error(self, error: Exception) -> None:
        self.failed.emit(error)

    def _on_read(self, opened: OpenedFile) -> None:
        try:
            layers = opened.layers()
            for layer in layers:
                self._viewer.add_layer(layer)
        except Exception as error:  # of napari, about what the file says
            self.failed.emit(error)
            return
        link_orphans(self._viewer)
        sources = [one for one in layers if not role_of(one)]
        for layer in sources[:1]:
            self.opened.emit(layer_key(layer))
