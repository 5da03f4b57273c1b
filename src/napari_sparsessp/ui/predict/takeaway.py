"""Take a prediction out of napari: its command, its request, or all of its layers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QProgressDialog, QWidget

from napari_sparsessp.io.writing import disk_error
from napari_sparsessp.prediction.command_line import (
    command_of,
    request_text,
    shell_text,
)
from napari_sparsessp.ui.compat import layer_key, layer_with_key
from napari_sparsessp.ui.errand import Errand, Stopped
from napari_sparsessp.ui.error_details import as_told
from napari_sparsessp.ui.layers.file import FilePlace, file_of
from napari_sparsessp.ui.layers.marks import COMPOSED, KEY, role_of, truth_of
from napari_sparsessp.ui.layers.saving import records_of, with_ending
from napari_sparsessp.ui.look.foot_menu import FootMenu
from napari_sparsessp.ui.predict.replay import NotInFile, Replay, Told, told_of


class Takeaway(QObject):
    """Does what a `FootMenu` offers; files are opened and written in a thread.

    Parameters
    ----------
    viewer : napari.Viewer
    menu : FootMenu
    replay : callable
        Gives the `Replay` of what was just run; raises `InputError` where there is
        none.
    source : callable
        Gives the layer whose predictions are saved, or None.
    parent : QWidget

    Signals
    -------
    told : str
        What was done, in one sentence.
    failed : Exception
    """

    told = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        viewer: Any,
        menu: FootMenu,
        replay: Callable[[], Replay],
        source: Callable[[], Any | None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._menu = menu
        self._replay = replay
        self._source = source
        self._errand: Errand | None = None
        self._progress: QProgressDialog | None = None
        self._saving: list[str] = []
        menu.copy_asked.connect(self.copy)
        menu.request_asked.connect(self.ask_request)
        menu.save_asked.connect(self.ask_save)

    @property
    def busy(self) -> bool:
        """Whether something is being looked up or written."""
        return self._errand is not None

    def copy(self) -> None:
        """Copy the command line; `told` or `failed` follows."""
        self._look_up(self._on_command)

    def ask_request(self) -> None:
        """Let the user choose a file for the request."""
        path, _ = QFileDialog.getSaveFileName(
            self._window(), "Save request", "request.yaml", "Request (*.yaml *.yml)"
        )
        if path:
            self.save_request(path)

    def save_request(self, path: str | Path) -> None:
        """Save the request; `told` or `failed` follows."""
        self._look_up(lambda told: self._on_request(told, Path(path)))

    def ask_save(self) -> None:
        """Let the user choose a name for the layers."""
        path, _ = QFileDialog.getSaveFileName(
            self._window(),
            "Save with all that belongs to it",
            "prediction.ome.zarr",
            "OME-Zarr (*.ome.zarr *.zarr)",
        )
        if path:
            self.save(path)

    def save(self, path: str | Path) -> None:
        """Save source, truths and what was made of them; `told` or `failed` follows."""
        if self.busy:
            return
        layers = belonging(self._viewer, self._source())
        try:
            tuples = [layer.as_layer_data_tuple() for layer in layers]
            records = records_of(tuples, layers)
        except Exception as error:
            self.failed.emit(as_told(error, "saving"))
            return
        self._saving = [layer_key(layer) for layer in layers]
        errand = Errand(_write, with_ending(str(path)), records, parent=self)
        errand.returned.connect(self._on_saved)
        self._begin(errand)
        self._show_progress(errand, len(layers))

    # lookups ------------------------------------------------------------------

    def _look_up(self, then: Callable[[Told], None]) -> None:
        if self.busy:
            return
        try:
            replay = self._replay()
        except Exception as error:
            self.failed.emit(as_told(error, "the command line"))
            return
        errand = Errand(told_of, replay, parent=self)
        errand.returned.connect(lambda told: self._on_told(told, then))
        self._begin(errand)

    def _begin(self, errand: Errand) -> None:
        self._errand = errand
        errand.failed.connect(self._on_failed)
        errand.start()

    def _on_told(self, told: Told, then: Callable[[Told], None]) -> None:
        self._end()
        try:
            then(told)
        except Exception as error:
            self.failed.emit(as_told(error, "the command line"))

    def _on_command(self, told: Told) -> None:
        text = shell_text(command_of(told.request, told.out))
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(text)
        self.told.emit("; ".join(["The command line is copied", *told.notes]))

    def _on_request(self, told: Told, path: Path) -> None:
        if not path.suffix:
            path = path.with_suffix(".yaml")
        try:
            path.write_text(request_text(told.request), encoding="utf-8")
        except OSError as error:
            raise disk_error(path, error) from error
        self.told.emit("; ".join([f"The request is in {path.name}", *told.notes]))

    # saving -------------------------------------------------------------------

    def _show_progress(self, errand: Errand, count: int) -> None:
        dialog = QProgressDialog(f"Saving {count} layers…", "Cancel", 0, 100)
        dialog.setParent(self._window(), Qt.WindowType.Dialog)
        dialog.setWindowTitle("Saving")
        dialog.setMinimumDuration(600)
        dialog.setAutoReset(False)
        dialog.canceled.connect(errand.stop)
        errand.progressed.connect(
            lambda _what, share: dialog.setValue(min(int(100 * share), 99))
        )
        self._progress = dialog

    def _on_saved(self, places: list[FilePlace]) -> None:
        keys, self._saving = self._saving, []
        self._end()
        for key, place in zip(keys, places, strict=True):
            layer = layer_with_key(self._viewer, key)
            if layer is not None and not role_of(layer) and file_of(layer) is None:
                layer.metadata = {**layer.metadata, **place.metadata()}
        self.told.emit(f"{len(places)} layers are in {Path(places[0].path).name}")

    def _on_failed(self, error: Exception) -> None:
        self._end()
        if isinstance(error, Stopped):
            self.told.emit("Saving was stopped; nothing is left of it")
        else:
            self.failed.emit(as_told(error, "saving"))
        if isinstance(error, NotInFile):
            self._menu.offer_save()

    def _end(self) -> None:
        errand, self._errand = self._errand, None
        dialog, self._progress = self._progress, None
        if errand is not None:
            errand.deleteLater()
        if dialog is not None:
            dialog.close()
            dialog.deleteLater()

    def _window(self) -> QWidget | None:
        parent = self.parent()
        return parent if isinstance(parent, QWidget) else None


def belonging(viewer: Any, source: Any | None) -> list[Any]:
    """Give a source, what was made of it and what that is compared with, in order.

    Parameters
    ----------
    viewer : napari.Viewer
    source : Layer or None
        All image layers where it is None.
    """
    from napari.layers import Image

    images = [
        one
        for one in viewer.layers
        if isinstance(one, Image) and role_of(one) != COMPOSED
    ]
    if source is None:
        return images
    key = layer_key(source)
    made = [
        one
        for one in images
        if role_of(one) and one.metadata[KEY].get("source_id") == key
    ]
    wanted = {key, *map(layer_key, made), *map(truth_of, made)}
    return [one for one in images if layer_key(one) in wanted]


def _write(path: str, records: list[Any], meter: Any) -> list[FilePlace]:
    """Write; for the thread. Tells where each layer's voxels are now."""
    from napari_sparsessp.io.layer_folder import read_layers, write_layers

    folder = write_layers(path, records, meter)
    found = [record for record, _ in read_layers(folder) or ()]
    several = any(record.image for record in found)
    return [
        FilePlace(
            str(folder),
            record.image if several else None,
            None if "C" in record.axes else record.channel,
        )
        for record in found
    ]
