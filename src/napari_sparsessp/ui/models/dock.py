"""The Models dock: see what there is, take it in, hand it on, check it, throw it away.

Wiring only: `models_table` lists, `model_page` shows a card, `model_chores` work in a
thread, `model_intake` brings models in, `model_news` tells the other docks.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QFileSystemWatcher, QObject, Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices, QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.ui.dock import (
    JoinOthers,
    add_shortcut,
    fill_with,
    open_predict,
    settling,
)
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.models import actions as model_chores
from napari_sparsessp.ui.models.fetch_dialog import FetchDialog
from napari_sparsessp.ui.models.import_dialog import (
    CheckpointDrop,
    ImportDialog,
    choose_checkpoint,
)
from napari_sparsessp.ui.models.page import FlowLayout, ModelPage
from napari_sparsessp.ui.models.table import ModelsTable
from napari_sparsessp.ui.preferences import model_news
from napari_sparsessp.ui.tasks import BackgroundTask, error_details, readable_error
from napari_sparsessp.ui.widgets.basic import MessageBox
from napari_sparsessp.ui.widgets.style import Dress

if TYPE_CHECKING:
    import napari

    from napari_sparsessp.models.library import Entry
    from napari_sparsessp.models.manage import Deleted, Fetched
    from napari_sparsessp.models.verification import Verdict

_WIDE_LETTERS = 110
"""From this width on, table and card lie side by side."""


class ModelsForm(QWidget):
    """Only widgets; `models_dock` gives them their meaning."""

    def __init__(self) -> None:
        super().__init__()
        Dress(self)
        self.search = QLineEdit()
        self.search.setAccessibleName("Search in the models")
        self.search.setPlaceholderText("Search: dna, 2D, RepMode, CC BY…")
        self.search.setToolTip(
            "Shows the models that have all these words anywhere: name, structures, "
            "network, licence, where from (Ctrl+F)."
        )
        self.search.setClearButtonEnabled(True)
        self.import_button = QPushButton("Import…")
        self.import_button.setToolTip(
            "A file of this computer: a model of this plugin, or published weights of "
            "RepMode, SparseSSP or pytorch_fnet. You may also drop it onto this dock."
        )
        self.fetch_button = QPushButton("Fetch…")
        self.fetch_button.setToolTip(
            "From an address or a DOI. Nothing is fetched before you say so."
        )
        self.undo_button = QPushButton("Undo delete")
        self.undo_button.hide()
        self.count = QLabel("")
        self.count.setProperty("role", "small")
        self.table = ModelsTable()
        self.page = ModelPage()
        self.message = MessageBox()
        self.status = QLabel("")
        self.status.setProperty("role", "muted")
        self.status.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress")
        self.cancel_button = QPushButton("Stop")
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self._arrange()
        self.show_work("")

    def _arrange(self) -> None:
        buttons = QWidget()
        flow = FlowLayout(buttons)
        for button in (self.import_button, self.fetch_button, self.undo_button):
            flow.addWidget(button)
        self._upper = QWidget()
        above = QVBoxLayout(self._upper)
        above.setContentsMargins(0, 0, 0, 0)
        above.setSpacing(6)
        above.addWidget(self.search)
        above.addWidget(buttons)
        above.addWidget(self.table, 1)
        above.addWidget(self.count)
        self.splitter.addWidget(self._upper)
        self.splitter.addWidget(self.page)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setHandleWidth(9)
        self.splitter.setStretchFactor(0, 2)
        self.splitter.setStretchFactor(1, 3)
        work = QHBoxLayout()
        work.addWidget(self.status, 1)
        work.addWidget(self.cancel_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(9, 9, 9, 9)
        column.setSpacing(7)
        column.addWidget(self.splitter, 1)
        column.addWidget(self.message)
        column.addWidget(self.bar)
        column.addLayout(work)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put the card beside the table where there is room."""
        super().resizeEvent(event)
        wide = self.width() > _WIDE_LETTERS * self.fontMetrics().averageCharWidth()
        flat, tall = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        wanted = flat if wide else tall
        if self.splitter.orientation() != wanted:
            self.splitter.setOrientation(wanted)
            self._share_room()

    def show_models(self, first: bool) -> None:
        """Say how many models are listed; share the room when they are first."""
        shown, all_ = self.table.filter.rowCount(), len(self.table.rows.entries)
        word = "model" if all_ == 1 else "models"
        self.count.setText(
            f"{all_} {word}" if shown == all_ else f"{shown} of {all_} {word}"
        )
        if first:
            self._share_room()

    def _share_room(self) -> None:
        """Give the table what its rows need, and the card more than half of it all."""
        if self.splitter.orientation() == Qt.Orientation.Horizontal:
            whole = self.splitter.width()
            self.splitter.setSizes([round(0.55 * whole), round(0.45 * whole)])
            return
        whole = self.splitter.height()
        around = self._upper.sizeHint().height() - self.table.sizeHint().height()
        wanted = around + self.table.height_of(max(4, len(self.table.rows.entries)))
        first = min(wanted, round(0.42 * whole))
        self.splitter.setSizes([first, whole - first])

    def show_work(self, what: str, share: float = 0.0) -> None:
        """Show what goes on; "" for nothing."""
        busy = bool(what)
        self.bar.setVisible(busy)
        self.cancel_button.setVisible(busy)
        if busy:
            self.bar.setRange(0, 1000 if share > 0 else 0)
            self.bar.setValue(round(1000 * share))
            self.tell(f"{what[:1].upper()}{what[1:]}…")

    def tell(self, text: str) -> None:
        """Say something in the last line."""
        self.status.setText(text)
        self.status.setVisible(bool(text))


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
        self._chore: BackgroundTask | None = None
        self._look: BackgroundTask | None = None
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
        self._look = BackgroundTask(model_chores.look, parent=self)
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
        task = BackgroundTask(chore, *args, parent=self)
        task.progressed.connect(self._on_progress)
        task.returned.connect(lambda result: self._on_done(then, result))
        task.failed.connect(lambda error: self._on_failed(error, what))
        self._chore = task
        self.form.message.clear()
        self.form.page.set_busy(True)
        self.form.show_work(what)
        task.start()

    def _on_progress(self, share: float, what: str, _left: float | None) -> None:
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
        self._on_problem(error, what)
        self.refresh()

    def _on_problem(self, error: Exception, what: str) -> None:
        told = readable_error(error, what)
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
