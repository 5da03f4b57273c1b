"""The Models dock: see what there is, take it in, hand it on, check it, throw it away.

Wiring only: `models_table` lists, `model_page` shows a card, `model_chores` work in a
thread, `model_intake` brings models in, `model_news` tells the other docks.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QFileSystemWatcher, QUrl
from qtpy.QtGui import QDesktopServices, QShowEvent
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.ui.dock_tabs import JoinOthers, open_predict
from napari_sparsessp.ui.engine.link import InstalledEngine
from napari_sparsessp.ui.errand import Errand, Stopped
from napari_sparsessp.ui.error_details import as_told, error_details
from napari_sparsessp.ui.look.dock_body import fill_with, settling
from napari_sparsessp.ui.look.keys import add_shortcut
from napari_sparsessp.ui.model_news import model_news
from napari_sparsessp.ui.models import model_chores
from napari_sparsessp.ui.models.checkpoint_drop import CheckpointDrop
from napari_sparsessp.ui.models.form import ModelsForm
from napari_sparsessp.ui.models.model_intake import ModelIntake

if TYPE_CHECKING:
    import napari

    from napari_sparsessp.models.library import Entry
    from napari_sparsessp.models.manage import Deleted
    from napari_sparsessp.models.verification import Verdict

_FILE, _FOLDER = "One file (*.safetensors)", "Folder with a readable card (*)"
_SETTLE_MS = 150  # copying a file makes many events


class ModelsDock(QWidget):
    """Manage the models of this computer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari gives it by this name.
    engine : optional
        For tests: anything with the methods of `InstalledEngine`.
    """

    def __init__(
        self, napari_viewer: "napari.viewer.Viewer", engine: Any | None = None
    ) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._engine = InstalledEngine() if engine is None else engine
        self._chore: Errand | None = None
        self._look: Errand | None = None
        self._look_again = False
        self._choose: Path | None = None
        self._verdicts: dict[tuple[Path, int], Verdict] = {}
        self._deleted: list[Deleted] = []
        self.form = ModelsForm()
        self.intake = ModelIntake(self._engine, self)
        fill_with(self, self.form)
        self._watcher = QFileSystemWatcher(self)
        self._settle = settling(self, self.refresh, _SETTLE_MS)
        JoinOthers(self)
        self._connect()
        self.refresh()

    def _connect(self) -> None:
        form, page = self.form, self.form.page
        form.search.textChanged.connect(self._on_search)
        form.import_button.clicked.connect(lambda _on: self.intake.ask_import())
        form.fetch_button.clicked.connect(lambda _on: self.intake.ask_fetch())
        form.undo_button.clicked.connect(lambda _on: self.undo_delete())
        form.cancel_button.clicked.connect(lambda _on: self.cancel())
        form.table.chosen.connect(self._on_chosen)
        form.table.use_asked.connect(self.use)
        form.table.delete_asked.connect(self.delete)
        form.table.rename_asked.connect(page.edit_name)
        page.use_asked.connect(self.use)
        page.check_asked.connect(self.check)
        page.export_asked.connect(self.export)
        page.rename_asked.connect(self.rename)
        page.delete_asked.connect(self.delete)
        page.folder_asked.connect(self.show_in_folder)
        CheckpointDrop(self).dropped.connect(self.intake.import_file)
        self.intake.arrived.connect(self._on_arrived)
        self.intake.unchecked.connect(self._on_unchecked)
        self._watcher.directoryChanged.connect(lambda _path: self._settle.start())
        model_news().changed.connect(self._on_news)
        add_shortcut(form, "Ctrl+F", form.search.setFocus)
        add_shortcut(form, "Ctrl+Z", self.undo_delete)
        add_shortcut(form, "Esc", self.cancel)

    # what there is ------------------------------------------------------------

    def refresh(self, choose: Path | None = None) -> None:
        """Look for models in a thread; they are listed as soon as they are read."""
        self._choose = choose or self._choose
        if self._look is not None:
            self._look_again = True
            return
        self._look = Errand(model_chores.look, parent=self)
        self._look.returned.connect(self._on_looked)
        self._look.failed.connect(self._on_look_failed)
        self._look.start()

    def _on_looked(self, found: "tuple[list[Entry], list[Deleted]]") -> None:
        self._look = None
        if self._look_again:
            self._look_again = False
            self.refresh()
            return
        entries, self._deleted = found
        choose, self._choose = self._choose, None
        first = not self.form.table.rows.entries
        self.form.table.show_entries(entries, choose)
        self.form.show_models(first)
        self._watch(entries)
        self._offer_undo()

    def _on_look_failed(self, error: Exception) -> None:
        self._look = None
        if not isinstance(error, Stopped):
            self._on_problem(error, "the search for models")

    def _watch(self, entries: "list[Entry]") -> None:
        """See what other programs put into the folder, also one chosen since."""
        from napari_sparsessp.models.library import user_folder

        watched, folder = self._watcher.directories(), str(user_folder())
        if watched != [folder] and Path(folder).is_dir():
            if watched:
                self._watcher.removePaths(watched)
            self._watcher.addPath(folder)

    def _offer_undo(self) -> None:
        button = self.form.undo_button
        button.setVisible(bool(self._deleted))
        if self._deleted:
            from napari_sparsessp.models.manage import KEPT_DAYS

            button.setToolTip(
                f"Puts {self._deleted[0].path.stem} back (Ctrl+Z). What you delete is "
                f"kept for {KEPT_DAYS} days."
            )

    def showEvent(self, event: QShowEvent) -> None:
        """Look again: the folder may have been another one meanwhile."""
        super().showEvent(event)
        self._settle.start()

    def _on_news(self, _id: str) -> None:
        self.refresh()

    def _on_search(self, text: str) -> None:
        self.form.table.search(text)
        self.form.show_models(False)

    def _on_chosen(self, entry: "Entry | None") -> None:
        verdict = None if entry is None else self._verdicts.get(_state_of(entry.path))
        self.form.page.show_entry(entry, verdict)

    def _on_arrived(self, id_: str, path: Path) -> None:
        from napari_sparsessp.models.library import card_of

        self.form.search.clear()
        told = f"{id_} is now among your models."
        with suppress(SparseSSPError):  # it would be listed as damaged
            told += f" Licence: {card_of(path).licence}."
        self._changed(id_, path, told)

    def _on_unchecked(self, sha256: str) -> None:
        digits = " ".join(sha256[at : at + 16] for at in range(0, len(sha256), 16))
        self.form.message.show_notices(
            [
                f"No checksum was given. What came has the SHA-256 {digits}; compare "
                "it with the page of the model"
            ]
        )

    # chores -------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether something is under way."""
        return self._chore is not None

    def _start(
        self,
        what: str,
        then: Callable[[Any], None],
        chore: Callable[..., Any],
        *args: Any,
    ) -> None:
        """Do one thing in a thread; `then` gets its result."""
        if self._chore is not None:
            return
        errand = Errand(chore, *args, parent=self)
        errand.progressed.connect(lambda said, share: self._on_progress(said, share))
        errand.returned.connect(lambda result: self._on_done(then, result))
        errand.failed.connect(lambda error: self._on_failed(error, what))
        self._chore = errand
        self.form.message.clear()
        self.form.page.set_busy(True)
        self.form.show_work(what)
        errand.start()

    def _on_progress(self, what: str, share: float) -> None:
        if self._chore is not None and what:
            self.form.show_work(what, share)

    def _end(self) -> None:
        self._chore = None
        self.form.show_work("")
        self.form.tell("")
        self.form.page.set_busy(False)

    def _on_done(self, then: Callable[[Any], None], result: Any) -> None:
        self._end()
        then(result)

    def _on_failed(self, error: Exception, what: str) -> None:
        self._end()
        if isinstance(error, Stopped):
            self.form.tell("Stopped.")
        else:
            self._on_problem(error, what)
        self.refresh()

    def _on_problem(self, error: Exception, what: str) -> None:
        told = as_told(error, what)
        self.form.message.show_error(str(told), error_details(told))

    def cancel(self) -> None:
        """Stop what is under way; what cannot be stopped is no longer waited for."""
        if self._chore is None:
            return
        self._chore.abandon()
        self._end()
        self.form.tell("Stopped.")
        self.refresh()

    def _changed(self, id_: str, choose: Path | None, told: str) -> None:
        """Tell all docks, and show what has become of it."""
        self._choose = choose
        model_news().changed.emit(id_)  # this dock hears it as well
        self.form.tell(told)

    # the chosen model ---------------------------------------------------------

    def use(self) -> None:
        """Choose the model in the Predict dock of this viewer."""
        entry = self.form.table.entry()
        if entry is None or entry.card is None:
            return
        dock = open_predict(self._viewer, beside=self)
        if dock.run_in_progress is not None:
            self.form.tell("A prediction is running; choose the model afterwards.")
            return
        dock.shelf.offer(entry.card.id)
        self.form.tell(f"Predict now uses {entry.name}.")

    def check(self) -> None:
        """Verify the model: weights, and what it predicts for a test image."""
        entry = self.form.table.entry()
        if entry is None or entry.card is None:
            return
        path = entry.path

        def keep(verdict: "Verdict") -> None:
            self._verdicts[_state_of(path)] = verdict
            now = self.form.table.entry()
            if now is not None and now.path == path:
                self.form.page.show_verdict(verdict)

        self._start("checking the model", keep, model_chores.check, path)

    def export(self) -> None:
        """Copy the model to where the user says."""
        entry = self.form.table.entry()
        if entry is None or entry.card is None:
            return
        chosen = choose_place(self, entry.card.id)
        if chosen is None:
            return
        out, replace = chosen

        def tell(path: Path) -> None:
            self.form.tell(f"Exported to {path}.")

        chore = (model_chores.export, entry.path, out, replace)
        self._start("copying the model", tell, *chore)

    def rename(self, name: str) -> None:
        """Give the model another name for people."""
        entry = self.form.table.entry()
        if entry is None or entry.card is None:
            return
        id_ = entry.card.id

        def tell(path: Path) -> None:
            self._changed(id_, path, f"Renamed; its id is still {id_}.")

        chore = (model_chores.rename, entry.path, name)
        self._start("writing the name", tell, *chore)

    def delete(self) -> None:
        """Move the model into the trash; Undo puts it back."""
        entry = self.form.table.entry()
        if entry is None or self.is_busy:
            return
        if entry.shipped:
            self.form.tell(self.form.page.delete_button.toolTip())
            return
        id_ = entry.path.stem if entry.card is None else entry.card.id
        name = entry.name

        def tell(_deleted: "Deleted") -> None:
            self._changed(id_, None, f"Deleted {name}. Undo delete puts it back.")

        self._start("deleting the model", tell, model_chores.delete, entry.path)

    def undo_delete(self) -> None:
        """Put the model back that was deleted last."""
        if not self._deleted or self.is_busy:
            return
        self.form.search.clear()

        def tell(path: Path) -> None:
            self._changed(path.stem, path, f"{path.stem} is back.")

        chore = (model_chores.undelete, self._deleted[0])
        self._start("putting the model back", tell, *chore)

    def show_in_folder(self) -> None:
        """Open the folder of the model in the system's file browser."""
        entry = self.form.table.entry()
        if entry is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(entry.path.parent)))


def choose_place(parent: QWidget, name: str) -> tuple[Path, bool] | None:
    """Let the user choose where a copy goes.

    Returns
    -------
    tuple of Path and bool, or None
        The file or folder, and whether they agreed that it is replaced.
    """
    path, kind = QFileDialog.getSaveFileName(
        parent, "Export the model", f"{name}.safetensors", f"{_FILE};;{_FOLDER}"
    )
    if not path:
        return None
    chosen = Path(path)
    if kind == _FOLDER:
        return chosen.with_suffix(""), False
    if chosen.suffix != ".safetensors":
        return chosen.with_name(f"{chosen.name}.safetensors"), False
    return chosen, chosen.is_file()  # the system's dialog has asked


def _state_of(path: Path) -> tuple[Path, int]:
    """A model as it was when it was checked: another file has another time."""
    from napari_sparsessp.models.library import WEIGHTS_NAME

    try:
        return path, (path / WEIGHTS_NAME if path.is_dir() else path).stat().st_mtime_ns
    except OSError:
        return path, 0
