"""The Models dock: list, import, fetch, check, export, rename and delete models."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QInputDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QWidget,
)

from napari_sparsessp.errors import OutputError, SparseSSPError
from napari_sparsessp.models import gallery, manage
from napari_sparsessp.models.bundle_file import bundle_folder
from napari_sparsessp.models.library import Entry, all_entries, card_of, user_folder
from napari_sparsessp.ui.dock import Dock, open_predict
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.models.fetch_dialog import FetchDialog
from napari_sparsessp.ui.models.gallery import GalleryView
from napari_sparsessp.ui.models.get_dialog import GetDialog
from napari_sparsessp.ui.models.import_dialog import ModelImporter
from napari_sparsessp.ui.models.page import (
    ModelPage,
    button_row,
    digest_text,
    show_in_folder,
)
from napari_sparsessp.ui.models.table import ModelsTable
from napari_sparsessp.ui.preferences import model_news
from napari_sparsessp.ui.tasks import BackgroundTask, TaskProgress
from napari_sparsessp.ui.widgets.basic import (
    NARROWEST,
    SHARES,
    Foot,
    Segments,
    in_a_column,
    in_a_row,
)
from napari_sparsessp.ui.widgets.style import Dress

if TYPE_CHECKING:
    import napari

    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.verification import Verdict

_WIDTH = 440
"""In pixels: names, networks and scores are read in full."""

_FILE, _FOLDER = "One file (*.safetensors)", "Folder with a readable card (*)"
_PACKAGE = "bioimage.io package for other programs (*.zip)"


def export_to(
    path: Path, out: Path, progress: TaskProgress, *, overwrite: bool
) -> Path:
    """Copy a model, or write a package where the name ends in .zip."""
    if out.suffix != ".zip":
        options: Any = {"overwrite": overwrite, "progress": progress}
        return manage.export_model(path, out, **options)
    from napari_sparsessp.io.samples import bundled_stack
    from napari_sparsessp.models.bioimageio import export_bioimageio

    return export_bioimageio(
        path, out, bundled_stack(), overwrite=overwrite, progress=progress
    )


def verify(path: Path, progress: TaskProgress) -> "Verdict":
    """Compare weights with their checksum, and a test image's prediction."""
    from napari_sparsessp.models.verification import verify_model

    progress(0.0, what="checking weights and test values")
    return verify_model(path)


class ModelsFoot(Foot):
    """Message, progress of the work under way, and a button that stops it."""

    def __init__(self) -> None:
        super().__init__("the work with models")
        self.cancel_button = QPushButton("Stop")
        self.stack(self.bar, in_a_row(self.status, self.cancel_button))
        self.show_work("")

    def show_work(self, what: str, share: float = 0.0) -> None:
        """Show what is under way; "" for nothing."""
        self.bar.setVisible(bool(what))
        self.cancel_button.setVisible(bool(what))
        self.bar.setRange(0, SHARES if share > 0 else 0)
        self.bar.setValue(round(SHARES * share))
        self.set_status(f"{what[:1].upper()}{what[1:]}…" if what else "")


_PAGES = (
    ("yours", "Yours", "The models of this computer."),
    ("gallery", "Gallery", "Published models that you can get with a click."),
)


class ModelsForm(QWidget):
    """Search and table above the card of the chosen model; beside them the gallery."""

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
            "RepMode, SparseSSP, pytorch_fnet or VisCy. You may also drop it onto this "
            "dock."
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
        self.foot = ModelsFoot()
        self.pages = Segments(_PAGES, "Models")
        self.gallery = GalleryView()
        self.stack = QStackedWidget()
        self.pages.chosen.connect(self.show_page)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self._upper = QWidget()
        self._arrange()

    def _arrange(self) -> None:
        buttons = button_row(self.import_button, self.fetch_button, self.undo_button)
        rows = (self.search, buttons, self.table, self.count)
        in_a_column(self._upper, *rows, spacing=6).setStretch(2, 1)
        self.splitter.addWidget(self._upper)
        self.splitter.addWidget(self.page)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setHandleWidth(9)
        self.splitter.setSizes([330, 670])
        for page in (self.splitter, self.gallery):
            self.stack.addWidget(page)
        body = QWidget()
        column = in_a_column(body, self.pages, self.stack, spacing=7)
        column.setContentsMargins(9, 9, 9, 0)
        column.setStretch(1, 1)
        in_a_column(self, body, self.foot, spacing=7).setStretch(0, 1)
        self.setMinimumWidth(NARROWEST)

    def show_page(self, name: str) -> None:
        """Show the models of this computer, or the gallery."""
        self.pages.set_value(name)
        if name == "gallery":
            self.gallery.open()
        self.stack.setCurrentIndex([key for key, *_ in _PAGES].index(name))

    def to_search(self) -> None:
        """Type into the search of the page that is shown."""
        yours = self.stack.currentWidget() is self.splitter
        (self.search if yours else self.gallery.search).setFocus()

    def sizeHint(self) -> QSize:
        """Ask for a width at which names, networks and scores are read in full."""
        return QSize(_WIDTH, super().sizeHint().height())

    def show_count(self) -> None:
        """Write how many models are listed."""
        shown, all_ = self.table.model().rowCount(), len(self.table.entries)
        number = f"{all_}" if shown == all_ else f"{shown} of {all_}"
        self.count.setText(f"{number} {'model' if all_ == 1 else 'models'}")


@dataclass(frozen=True)
class Listed:
    """All models of this computer, the trash, and the gallery with its states."""

    entries: list[Entry]
    deleted: list[manage.Deleted]
    offered: tuple[gallery.Entry, ...]
    states: dict[str, gallery.State]


def list_all() -> Listed:
    """List what the dock shows; reads files, and asks no server."""
    entries, offered = all_entries(), gallery.read_gallery()
    installed = gallery.installed_ids(entries)
    states = {one.id: gallery.state_of(one, installed) for one in offered}
    return Listed(entries, manage.deleted_models(), offered, states)


class ModelsDock(Dock):
    """Manage the models of this computer."""

    def __init__(
        self, napari_viewer: "napari.viewer.Viewer", engine: Any | None = None
    ) -> None:
        super().__init__(napari_viewer)
        self._work: BackgroundTask | None = None
        self._listing: BackgroundTask | None = None
        self._choose: Path | None = None
        self._fetched: manage.Fetched | None = None
        self._deleted: list[manage.Deleted] = []
        self.fill(ModelsForm())
        self.fetch_dialog: FetchDialog | None = None
        self.get_dialog: GetDialog | None = None
        engine = InstalledEngine() if engine is None else engine
        self.importer = ModelImporter(engine, self)
        self._connect()
        self.refresh()

    def _connect(self) -> None:
        form, page = self.form, self.form.page
        form.search.textChanged.connect(self._on_search)
        form.table.chosen.connect(self._show_chosen)
        for asked, slot in (
            (form.import_button.clicked, self.importer.ask),
            (form.fetch_button.clicked, self.ask_fetch),
            (form.undo_button.clicked, self.undo_delete),
            (form.foot.cancel_button.clicked, self.cancel),
            (form.table.use_asked, self.use),
            (form.table.delete_asked, self.delete),
            (form.table.rename_asked, self.ask_name),
            (page.use_button.clicked, self.use),
            (page.check_button.clicked, self.check),
            (page.export_button.clicked, self.export),
            (page.rename_button.clicked, self.ask_name),
            (page.delete_button.clicked, self.delete),
            (page.folder_button.clicked, self.show_in_folder),
            (form.gallery.get_asked, self.ask_get),
            (form.gallery.use_asked, self.use_entry),
            (self.importer.imported, self._on_imported),
            (model_news().changed, self.refresh),
        ):
            asked.connect(slot)
        self.add_shortcut("Ctrl+F", form.to_search)
        self.add_shortcut("Ctrl+Z", self.undo_delete)
        self.add_shortcut("Esc", self.cancel)

    def refresh(self) -> None:
        """List the models in a thread."""
        if self._listing is not None:  # what it lists is old by now
            self._listing.abandon()
            self._listing.deleteLater()
        self._listing = self.run_task(
            lambda _progress: list_all(),
            returned=self._on_listed,
            failed=self._on_list_failed,
        )

    def _on_listed(self, listed: "Listed") -> None:
        self._listing = None
        entries, self._deleted = listed.entries, listed.deleted
        self.form.gallery.show_entries(listed.offered, listed.states)
        choose, self._choose = self._choose, None
        table = self.form.table
        if tuple(entries) != table.entries or choose is not None:
            table.show_entries(entries, choose)
            self._show_chosen()
        self.form.show_count()
        self.form.undo_button.setVisible(bool(self._deleted))
        if self._deleted:
            self.form.undo_button.setToolTip(
                f"Puts {self._deleted[0].path.stem} back (Ctrl+Z). What you delete is "
                f"kept for {manage.KEPT_DAYS} days."
            )

    def _on_list_failed(self, error: Exception) -> None:
        self._listing = None
        self.show_error(error, "the search for models")

    def showEvent(self, event: QShowEvent) -> None:
        """List again what other programs have put into the folder meanwhile."""
        super().showEvent(event)
        self.settle()

    def _on_search(self, text: str) -> None:
        self.form.table.search(text)
        self._show_chosen()
        self.form.show_count()

    def _show_chosen(self, _path: object = None) -> None:
        self.form.page.show_entry(self.form.table.current())

    def _announce(self, id_: str, text: str, choose: Path | None) -> None:
        """Announce a changed model to all docks, choose it here, and say so."""
        self._choose = choose
        model_news().changed.emit(id_)  # this dock hears it as well
        self.form.foot.set_status(text)

    def _on_imported(self, id_: str, path: Path) -> None:
        if self._fetched is not None and self._fetched.path == path:
            self._fetched.forget()
            self._fetched = None
        file, folder = user_folder() / f"{id_}.safetensors", user_folder() / id_
        self._on_arrived(id_, folder if bundle_folder(folder) is not None else file)

    def ask_get(self, entry: gallery.Entry) -> None:
        """Open the dialog with the licence of a model of the gallery."""
        if self.get_dialog is not None:
            if self.get_dialog.entry is entry or self.get_dialog.busy:
                self.get_dialog.raise_()
                return
            self.get_dialog.close()
        self.get_dialog = GetDialog(entry, self)
        self.get_dialog.installed.connect(self._on_got)
        self.get_dialog.use_asked.connect(self.use_entry)
        self.get_dialog.finished.connect(self._forget_get)
        self.get_dialog.show()

    def _forget_get(self, _result: int) -> None:
        self.get_dialog = None
        self.refresh()  # a part may have come

    def _on_got(self, _entry: gallery.Entry, done: Any) -> None:
        self._on_arrived(card_of(done.path).id, done.path)

    def use_entry(self, entry: gallery.Entry) -> None:
        """Choose a model that came from the gallery in the Predict dock."""
        path = gallery.installed_ids().get(entry.id)
        if path is not None:
            self._use(card_of(path))

    def ask_fetch(self) -> None:
        """Open the dialog for addresses and DOIs."""
        if self.fetch_dialog is None:
            self.fetch_dialog = FetchDialog(self)
            self.fetch_dialog.added.connect(self._on_added)
            self.fetch_dialog.checkpoint.connect(self._on_checkpoint)
            self.fetch_dialog.finished.connect(self._forget_dialog)
        self.fetch_dialog.show()
        self.fetch_dialog.raise_()

    def _forget_dialog(self, _result: int) -> None:
        self.fetch_dialog = None

    def _on_added(self, path: Path, fetched: manage.Fetched) -> None:
        self._on_arrived(path.stem, path)
        self._show_checksum(fetched)

    def _on_checkpoint(self, fetched: manage.Fetched) -> None:
        self._fetched = fetched
        self._show_checksum(fetched)
        self.importer.open(fetched.path)

    def _show_checksum(self, fetched: manage.Fetched) -> None:
        if fetched.checked:
            return
        notice = (
            "No checksum was given. What came has the SHA-256 "
            f"{digest_text(fetched.sha256)}; compare it with the page of the model"
        )
        self.form.foot.message.show_notices([notice])

    def _on_arrived(self, id_: str, path: Path) -> None:
        self.form.search.clear()
        text = f"{id_} is now among your models."
        with suppress(SparseSSPError):  # it would be listed as damaged
            text += f" Licence: {card_of(path).licence.rstrip('.')}."
        self._announce(id_, text, path)

    def _start(
        self,
        what: str,
        returned: Callable[[Any], None],
        function: Callable[..., Any],
        *args: Any,
    ) -> None:
        """Run one function in a thread; others are not begun meanwhile."""
        if self._work is not None:
            return
        self.form.foot.message.clear()
        self.form.page.set_busy(True)
        self.form.foot.show_work(what)
        self._work = self.run_task(
            function,
            *args,
            returned=partial(self._on_returned, returned),
            failed=partial(self._on_failed, what),
        )
        self._work.progressed.connect(self._on_progress)

    def _on_progress(self, share: float, what: str, _left: float | None) -> None:
        if self._work is not None and what:
            self.form.foot.show_work(what, share)

    def _end(self) -> None:
        self._work = None
        self.form.foot.show_work("")
        self.form.page.set_busy(False)

    def _on_returned(self, returned: Callable[[Any], None], result: Any) -> None:
        self._end()
        returned(result)

    def _on_failed(self, what: str, error: Exception) -> None:
        self._end()
        if isinstance(error, OutputError):  # here the system's dialog asks for that
            error = OutputError(str(error).replace(" or --overwrite", ""))
        self.show_error(error, what)
        self.refresh()

    def cancel(self) -> None:
        """Stop the work; a thread that cannot be stopped is no longer waited for."""
        if self._work is not None:
            self._work.abandon()
            self._work.deleteLater()
            self._end()
            self.form.foot.set_status("Stopped.")
            self.refresh()

    def _chosen(self) -> "tuple[Path, ModelCard] | None":
        """Return the chosen model, unless it is damaged."""
        entry = self.form.table.current()
        return None if entry is None or entry.card is None else (entry.path, entry.card)

    def use(self) -> None:
        """Choose the model in the Predict dock of this viewer."""
        if (chosen := self._chosen()) is not None:
            self._use(chosen[1])

    def _use(self, card: "ModelCard") -> None:
        dock = open_predict(self._viewer, beside=self)
        if dock.run_in_progress is not None:
            text = "A prediction is running; choose the model afterwards."
        else:
            dock.shelf.offer(card.id)
            text = f"Predict now uses {card.name}."
        self.form.foot.set_status(text)

    def check(self) -> None:
        """Verify the model: its weights, and its prediction for a test image."""
        if (chosen := self._chosen()) is not None:
            keep = partial(self._on_verified, chosen[0])
            self._start("checking the model", keep, verify, chosen[0])

    def _on_verified(self, path: Path, verdict: "Verdict") -> None:
        now = self.form.table.current()
        if now is not None and now.path == path:
            self.form.page.show_verdict(verdict)

    def export(self) -> None:
        """Copy the model to a file or folder, or write a bioimage.io package."""
        chosen = self._chosen()
        place = None
        if chosen is not None:
            choose = choose_folder if chosen[1].members else choose_place
            place = choose(self, chosen[1].id)
        if chosen is not None and place is not None:
            out, overwrite = place
            self._start(
                "exporting the model",
                self._on_exported,
                lambda progress: export_to(
                    chosen[0], out, progress, overwrite=overwrite
                ),
            )

    def _on_exported(self, path: Path) -> None:
        self.form.foot.set_status(f"Exported to {path}.")

    def ask_name(self) -> None:
        """Ask for another name of the model; its id stays."""
        chosen = self._chosen()
        if chosen is None or not self.form.page.rename_button.isEnabled():
            return
        path, card = chosen
        label = f"New name of {card.name} (its id stays {card.id}):"
        name, given = QInputDialog.getText(self, "Rename", label, text=card.name)
        if given and name.strip() != card.name:
            text = f"Renamed; its id is still {card.id}."
            self._start(
                "writing the name",
                lambda _card: self._announce(card.id, text, path),
                *(manage.rename_model, path, name),
            )

    def delete(self) -> None:
        """Move the model into the trash; Undo restores it."""
        entry = self.form.table.current()
        if entry is None or self._work is not None:
            return
        if entry.shipped:
            self.form.foot.set_status(self.form.page.delete_button.toolTip())
            return
        id_ = entry.path.stem if entry.card is None else entry.card.id
        text = f"Deleted {entry.name}. Undo delete puts it back."
        self._start(
            "deleting the model",
            lambda _deleted: self._announce(id_, text, None),
            lambda _progress: manage.delete_model(entry.path),
        )

    def undo_delete(self) -> None:
        """Restore the model that was deleted last."""
        if self._deleted and self._work is None:
            self.form.search.clear()
            deleted = self._deleted[0]
            id_ = deleted.path.stem
            self._start(
                "putting the model back",
                partial(self._announce, id_, f"{id_} is back."),
                lambda _progress: manage.restore_model(deleted),
            )

    def show_in_folder(self) -> None:
        """Open the folder of the chosen model."""
        if (entry := self.form.table.current()) is not None:
            show_in_folder(entry.path)


def choose_folder(parent: QWidget | None, name: str) -> tuple[Path, bool] | None:
    """Let the user choose where the folder of a bundle goes."""
    chosen = QFileDialog.getExistingDirectory(parent, "Export the bundle into")
    return (Path(chosen) / name, False) if chosen else None


def choose_place(parent: QWidget | None, name: str) -> tuple[Path, bool] | None:
    """Let the user choose where a copy goes, and whether that is replaced."""
    kinds = f"{_FILE};;{_FOLDER};;{_PACKAGE}"
    path, kind = QFileDialog.getSaveFileName(
        parent, "Export the model", f"{name}.safetensors", kinds
    )
    if not path:
        return None
    chosen = Path(path)
    if kind == _FOLDER:
        return chosen.with_suffix(""), False
    ending = ".zip" if kind == _PACKAGE else ".safetensors"
    if chosen.suffix == ending:
        return chosen, chosen.is_file()  # the system's dialog has asked
    # The dialog suggests the name of a file of ours whatever the kind.
    stem = chosen.name.removesuffix(".safetensors")
    return chosen.with_name(f"{stem}{ending}"), False
