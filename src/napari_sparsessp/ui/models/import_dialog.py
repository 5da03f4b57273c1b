"""Import a checkpoint: choose the file, answer what it leaves open, press Import."""

from enum import Enum
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QWidget

from napari_sparsessp.models.bundle_file import bundle_folder
from napari_sparsessp.models.manage import SUFFIXES
from napari_sparsessp.ui.dock import open_predict
from napari_sparsessp.ui.models.import_form import ImportForm
from napari_sparsessp.ui.widgets.basic import (
    StepColumn,
    in_a_column,
    in_a_row,
    wrapped_label,
)
from napari_sparsessp.ui.widgets.dialog import TaskDialog

FILTER = (
    "Checkpoints and models (*.p *.pth *.pt *.ckpt *.index *.safetensors bundle.json);;"
    "All files (*)"
)
_WIDTH = 560
_HINT = (
    "Published weights of RepMode (model_best_….p), SparseSSP (best.pth), "
    "pytorch_fnet (model.p), VisCy (.ckpt) and GVTNets (….index) can be used here. "
    "Nothing in the file is executed, and the file itself stays as it is."
)


def import_model(viewer: Any = None) -> None:
    """Open the Predict dock and ask for a checkpoint: *File > IO Utilities*."""
    if viewer is None:
        from napari import current_viewer

        viewer = current_viewer()
    if viewer is not None:
        open_predict(viewer).shelf.importer.ask()


def choose_checkpoint(parent: QWidget) -> str:
    """Let the user choose a checkpoint file; "" for none."""
    title = "Choose a model checkpoint"
    return str(QFileDialog.getOpenFileName(parent, title, "", FILTER)[0])


def dragged_checkpoint(mime: Any) -> str | None:
    """Return the path of the one checkpoint that is dragged; None for all else."""
    if mime is None or not mime.hasUrls() or len(mime.urls()) != 1:
        return None
    path = mime.urls()[0].toLocalFile()
    known = Path(path).suffix.lower() in (*SUFFIXES, ".index")
    return path if known or bundle_folder(Path(path)) is not None else None


class ImportState(Enum):
    """Where an import stands."""

    NO_FILE = "no file yet"
    READING = "reading the file"
    ASKING = "asking"
    IMPORTING = "importing"


class ImportDialog(TaskDialog):
    """Non-modal, so that something can be looked up in the viewer meanwhile.

    It closes itself once the model is imported.
    """

    imported = Signal(str, object)  # id of the new model, and the file that it was

    STOPPED = "Stopped; nothing was imported."

    def __init__(self, engine: Any, parent: QWidget | None = None) -> None:
        super().__init__("Import a model checkpoint", "the import", "Import", parent)
        self._engine = engine
        self._path: Path | None = None
        self._contents: Any = None
        self.state = ImportState.NO_FILE
        self.file_label = QLabel("")
        self.file_label.setProperty("role", "strong")
        self.file_label.setTextFormat(Qt.TextFormat.PlainText)
        self.file_button = QPushButton("Choose file…")
        self.hint = wrapped_label("muted", _HINT)
        self.form = ImportForm()
        self.scroll = StepColumn([self.form])
        self.scroll.column.setContentsMargins(0, 0, 8, 0)
        first = QWidget()
        in_a_column(first, in_a_row(self.file_label, self.file_button))
        self.arrange(first, self.hint, self.message, self.scroll, stretched=self.scroll)
        self.file_button.clicked.connect(self._on_file)
        self.start_button.clicked.connect(self.start_import)
        self.form.changed.connect(self._show_problem)
        CheckpointDrop(self).dropped.connect(self.read)
        self._set_state(ImportState.NO_FILE)
        self.resize(_WIDTH, 180)

    def _on_file(self) -> None:
        if path := choose_checkpoint(self):
            self.read(path)

    def read(self, path: str | Path) -> None:
        """Inspect a file; the questions, or an error, follow."""
        if self.state is ImportState.IMPORTING:
            return
        self._path = Path(path)
        metrics = self.fontMetrics()
        self.file_label.setText(
            metrics.elidedText(self._path.name, Qt.TextElideMode.ElideMiddle, 340)
        )
        self.file_label.setToolTip(str(self._path))
        self.end_task()
        self._set_state(ImportState.READING)
        inspect = self._engine.inspect
        self.run(
            *(lambda path, _progress: inspect(path), self._path),
            returned=self._on_inspected,
            status="Reading the file…",
        )

    def _on_inspected(self, contents: Any) -> None:
        assert self._path is not None
        self._contents = contents
        name = self._engine.name_for(self._path, contents)
        taken = {card.id for card in self._engine.cards()}
        self.form.offer(contents, self._path, name, taken)
        self._set_state(ImportState.ASKING)
        self._grow()
        self.start_button.setFocus()

    def start_import(self) -> None:
        """Write the model among the user's own."""
        if self.state is not ImportState.ASKING or self.form.check():
            return
        answers = self.form.answers()
        self._set_state(ImportState.IMPORTING)
        self.run(
            *(self._engine.bring_in, self._path, self._contents, answers),
            returned=self._on_imported,
            status="Opening the file…",
        )

    def _on_imported(self, id_: str) -> None:
        self._set_state(ImportState.NO_FILE)
        self.imported.emit(id_, self._path)
        self.accept()

    def stop(self) -> None:
        """Stop an import and wait for it, so that the text is true; or close."""
        if self.state is ImportState.IMPORTING and self._task is not None:
            self._task.cancel()
            self.close_button.setEnabled(False)
            self.status.setText("Stopping…")
        else:
            self.end_task()
            self.reject()

    def show_progress(self, share: float, what: str, left: float | None) -> None:
        """Show how far an import is, unless it is about to stop."""
        if self.close_button.isEnabled():
            super().show_progress(share, what, left)

    def _set_state(self, state: ImportState) -> None:
        self.state = state
        asking = state in (ImportState.ASKING, ImportState.IMPORTING)
        self.scroll.setVisible(asking)
        self.hint.setVisible(not asking)
        self.form.setEnabled(state is ImportState.ASKING)
        self.file_button.setText("Choose file…" if self._path is None else "Change…")
        self._show_problem()

    def set_busy(self, busy: bool) -> None:
        """Return to the questions where an import ends without a model."""
        super().set_busy(busy)
        self.close_button.setEnabled(True)
        self.file_button.setEnabled(not busy)
        if not busy:
            importing = self.state is ImportState.IMPORTING
            self._set_state(ImportState.ASKING if importing else ImportState.NO_FILE)

    def _grow(self) -> None:
        """Show all questions where the screen has room, else scroll."""
        most = round(0.7 * self.screen().availableGeometry().height())
        wanted = self.form.heightForWidth(self.width() - 50)
        self.scroll.setMinimumHeight(min(wanted + 8, most))
        self.fit()

    def _show_problem(self) -> None:
        asking = self.state is ImportState.ASKING
        problem = self.form.check() if asking else ""
        self.start_button.setEnabled(asking and not problem)
        self.start_button.setToolTip(problem)


class CheckpointDrop(QObject):
    """Takes one dropped checkpoint file at a time; everything else falls through."""

    dropped = Signal(str)  # path of the file

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: Any) -> bool:
        """Accept what can be imported."""
        kind = event.type()
        if kind in (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop):
            path = dragged_checkpoint(event.mimeData())
            if path is not None:
                event.acceptProposedAction()
                if kind == QEvent.Type.Drop:
                    self.dropped.emit(path)
                return True
        return super().eventFilter(watched, event)


class ModelImporter(QObject):
    """Opens the import dialog for a chosen or dropped file; one dialog at a time."""

    imported = Signal(str, object)  # see `ImportDialog`

    def __init__(self, engine: Any, owner: QWidget) -> None:
        super().__init__(owner)
        self._engine = engine
        self._owner = owner
        self.dialog: ImportDialog | None = None
        CheckpointDrop(owner).dropped.connect(self.open)

    def ask(self) -> None:
        """Let the user choose a checkpoint; the dialog opens with it."""
        if path := choose_checkpoint(self._owner):
            self.open(path)

    def open(self, path: str | Path) -> None:
        """Open the dialog with a file."""
        if self.dialog is None:
            self.dialog = ImportDialog(self._engine, self._owner)
            self.dialog.imported.connect(self.imported)
            self.dialog.finished.connect(self._on_finished)
        self.dialog.show()
        self.dialog.raise_()
        self.dialog.read(path)

    def _on_finished(self, _result: int) -> None:
        self.dialog = None
