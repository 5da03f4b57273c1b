"""How models come in: imported from a file, or fetched from an address or a DOI."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_sparsessp.ui.models.fetch_dialog import FetchDialog
from napari_sparsessp.ui.models.import_dialog import ImportDialog, choose_checkpoint

if TYPE_CHECKING:
    from napari_sparsessp.models.manage import Fetched


class ModelIntake(QObject):
    """Opens the dialogs, one of each kind.

    Parameters
    ----------
    engine
        Anything with the methods of `InstalledEngine`.
    owner : QWidget
        The dock.

    Signals
    -------
    arrived : str, Path
        Id and file of a model that is now among the user's.
    unchecked : str
        SHA-256 of a download for which no checksum was known.
    """

    arrived = Signal(str, object)
    unchecked = Signal(str)

    def __init__(self, engine: Any, owner: QWidget) -> None:
        super().__init__(owner)
        self._engine = engine
        self._owner = owner
        self.import_dialog: ImportDialog | None = None
        self.fetch_dialog: FetchDialog | None = None

    def ask_import(self) -> None:
        """Let the user choose a file; the import dialog opens with it."""
        path = choose_checkpoint(self._owner)
        if path:
            self.import_file(path)

    def import_file(
        self, path: str | Path, then: Callable[[], None] | None = None
    ) -> None:
        """Open the import dialog with a file.

        Parameters
        ----------
        path : str or Path
        then : callable, optional
            Called when it has been imported.
        """
        if self.import_dialog is None:
            dialog = ImportDialog(self._engine, self._owner)
            dialog.imported.connect(self._on_imported)
            dialog.finished.connect(self._on_import_closed)
            self.import_dialog = dialog
        if then is not None:
            self.import_dialog.imported.connect(lambda _id: then())
        self.import_dialog.show()
        self.import_dialog.raise_()
        self.import_dialog.read(path)

    def _on_import_closed(self, _result: int) -> None:
        self.import_dialog = None

    def _on_imported(self, id_: str) -> None:
        from napari_sparsessp.models.library import user_folder

        self.arrived.emit(id_, user_folder() / f"{id_}.safetensors")

    def ask_fetch(self) -> None:
        """Open the dialog for addresses and DOIs."""
        if self.fetch_dialog is None:
            dialog = FetchDialog(self._owner)
            dialog.added.connect(self._on_added)
            dialog.checkpoint.connect(self._on_checkpoint)
            dialog.finished.connect(self._on_fetch_closed)
            self.fetch_dialog = dialog
        self.fetch_dialog.show()
        self.fetch_dialog.raise_()
        self.fetch_dialog.address.setFocus()

    def _on_fetch_closed(self, _result: int) -> None:
        self.fetch_dialog = None

    def _on_added(self, path: Path, fetched: "Fetched") -> None:
        self.arrived.emit(path.stem, path)
        self._tell_unchecked(fetched)

    def _on_checkpoint(self, fetched: "Fetched") -> None:
        self._tell_unchecked(fetched)
        self.import_file(fetched.path, fetched.forget)

    def _tell_unchecked(self, fetched: "Fetched") -> None:
        if not fetched.checked:
            self.unchecked.emit(fetched.sha256)
