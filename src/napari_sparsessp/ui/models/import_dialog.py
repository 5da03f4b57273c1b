"""Import a published checkpoint: choose the file, answer what it leaves open, Import.

The file is read and written in a worker thread. Whatever is wrong with it is one line
in the dialog, and nothing else happens.
"""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.errors import ModelError, SparseSSPError
from napari_sparsessp.ui.errand import Errand, Stopped, as_progress
from napari_sparsessp.ui.error_details import error_details
from napari_sparsessp.ui.look.dress import Dress
from napari_sparsessp.ui.look.message_box import MessageBox
from napari_sparsessp.ui.models.checkpoint_drop import CheckpointDrop
from napari_sparsessp.ui.models.import_form import ImportForm

FILTER = "Checkpoints (*.p *.pth *.pt *.ckpt *.safetensors);;All files (*)"

_WIDTH = 560
_HINT = (
    "Published weights of RepMode (model_best_….p), SparseSSP (best.pth) and "
    "pytorch_fnet (model.p) can be used here. Nothing in the file is executed, and "
    "the file itself stays as it is."
)


class ImportState(Enum):
    """Where an import stands."""

    NO_FILE = "no file yet"
    READING = "reading the file"
    ASKING = "asking"
    IMPORTING = "importing"


class ImportDialog(QDialog):
    """Non-modal, so that one can look something up in the viewer.

    Parameters
    ----------
    engine
        Anything with ``cards``, ``inspect`` and ``bring_in`` of `InstalledEngine`.
    parent : QWidget, optional

    Signals
    -------
    imported : str
        Id of the new model; the dialog closes itself.
    """

    imported = Signal(str)

    def __init__(self, engine: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        Dress(self)
        self._engine = engine
        self._path: Path | None = None
        self._found: Any = None
        self._errand: Errand | None = None
        self._state = ImportState.NO_FILE
        self.setWindowTitle("Import a model checkpoint")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.file_label = QLabel("")
        self.file_label.setProperty("role", "strong")
        self.file_label.setTextFormat(Qt.TextFormat.PlainText)
        self.file_button = QPushButton("Choose file…")
        self.hint = QLabel(_HINT)
        self.hint.setProperty("role", "muted")
        self.hint.setWordWrap(True)
        self.message = MessageBox()
        self.form = ImportForm()
        self.scroll = QScrollArea()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the import")
        self.status = QLabel("")
        self.status.setProperty("role", "muted")
        self.status.setWordWrap(True)
        self.cancel_button = QPushButton("Cancel")
        self.import_button = QPushButton("Import")
        self.import_button.setProperty("role", "run")
        self.import_button.setDefault(True)
        self._arrange()
        self._connect()
        self._set_state(ImportState.NO_FILE)
        self.resize(_WIDTH, 180)

    def _arrange(self) -> None:
        first = QHBoxLayout()
        first.addWidget(self.file_label, 1)
        first.addWidget(self.file_button)
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        holder = QWidget()
        inside = QVBoxLayout(holder)
        inside.setContentsMargins(0, 0, 8, 0)
        inside.addWidget(self.form)
        self.scroll.setWidget(holder)
        foot = QHBoxLayout()
        foot.addWidget(self.status, 1)
        foot.addWidget(self.cancel_button)
        foot.addWidget(self.import_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(9)
        column.addLayout(first)
        column.addWidget(self.hint)
        column.addWidget(self.message)
        column.addWidget(self.scroll, 1)
        column.addStretch(0)
        column.addWidget(self.bar)
        column.addLayout(foot)

    def _connect(self) -> None:
        self.file_button.clicked.connect(lambda _on: self.ask_file())
        self.cancel_button.clicked.connect(lambda _on: self.reject())
        self.import_button.clicked.connect(lambda _on: self.start_import())
        self.form.changed.connect(self._on_answers)
        CheckpointDrop(self).dropped.connect(self.read)

    @property
    def state(self) -> ImportState:
        """Where the import stands."""
        return self._state

    # choosing and reading -----------------------------------------------------

    def ask_file(self) -> None:
        """Let the user choose another file."""
        path = choose_checkpoint(self)
        if path:
            self.read(path)

    def read(self, path: str | Path) -> None:
        """Look into a file; the form, or an error, follows."""
        if self._state is ImportState.IMPORTING:
            return
        self._drop_errand()
        self._path = Path(path)
        self.file_label.setText(self._shortened(self._path.name))
        self.file_label.setToolTip(str(self._path))
        self.message.clear()
        self._set_state(ImportState.READING)
        self._run(_inspect, self._path, self._on_found)

    def _on_found(self, found: Any) -> None:
        assert self._path is not None
        self._found = found
        name = self._engine.name_for(self._path, found)
        taken = {card.id for card in self._engine.cards()}
        self.form.offer(found, self._path, name, taken)
        self._set_state(ImportState.ASKING)
        self._grow()
        if not self.form.focus_on_open():
            self.import_button.setFocus()

    # importing ----------------------------------------------------------------

    def start_import(self) -> None:
        """Write the model among the user's own."""
        if self._state is not ImportState.ASKING or self.form.check():
            return
        self.message.clear()
        self._set_state(ImportState.IMPORTING)
        given = self.form.answers()
        self._run(_bring_in, self._path, self._on_imported, self._found, given)

    def _on_imported(self, id_: str) -> None:
        self._set_state(ImportState.NO_FILE)
        self.imported.emit(id_)
        self.accept()

    def reject(self) -> None:
        """Stop an import, or close the dialog: the Cancel button and Escape."""
        if self._state is ImportState.IMPORTING and self._errand is not None:
            self._errand.stop()
            self.cancel_button.setEnabled(False)
            self.status.setText("Stopping…")
        else:
            self._drop_errand()
            super().reject()

    def closeEvent(self, event: Any) -> None:
        """Let go of whatever is under way; the thread ends by itself."""
        self._drop_errand()
        super().closeEvent(event)

    # the thread ---------------------------------------------------------------

    def _run(
        self,
        function: Callable[..., Any],
        path: Path | None,
        then: Callable[[Any], None],
        *more: Any,
    ) -> None:
        errand = Errand(function, self._engine, path, *more, parent=self)
        errand.progressed.connect(self._on_progress)
        errand.returned.connect(then)
        errand.failed.connect(self._on_failed)
        self._errand = errand
        errand.start()

    def _drop_errand(self) -> None:
        if self._errand is not None:
            self._errand.abandon()
            self._errand = None
            self._state = ImportState.NO_FILE

    def _on_progress(self, what: str, share: float) -> None:
        if self._state is not ImportState.IMPORTING or not what:
            return
        self.bar.setRange(0, 1000 if share > 0 else 0)
        self.bar.setValue(round(1000 * share))
        if self.cancel_button.isEnabled():
            self.status.setText(f"{what[:1].upper()}{what[1:]}…")

    def _on_failed(self, error: Exception) -> None:
        reading = self._state is ImportState.READING
        self._set_state(ImportState.NO_FILE if reading else ImportState.ASKING)
        if isinstance(error, Stopped):
            self.status.setText("Stopped; nothing was imported.")
            return
        if not isinstance(error, SparseSSPError):
            text = " ".join(str(error).split()) or type(error).__name__
            told = ModelError(
                f"the file cannot be imported: {text[:300]}; copy the details and "
                "report it"
            )
            told.__cause__ = error
            error = told
        self.message.show_error(str(error), error_details(error))

    # looks --------------------------------------------------------------------

    def _set_state(self, state: ImportState) -> None:
        self._state = state
        asking = state in (ImportState.ASKING, ImportState.IMPORTING)
        busy = state in (ImportState.READING, ImportState.IMPORTING)
        self.scroll.setVisible(asking)
        self.form.setEnabled(state is ImportState.ASKING)
        self.hint.setVisible(not asking)
        self.file_button.setEnabled(not busy)
        self.file_button.setText("Choose file…" if self._path is None else "Change…")
        self.bar.setRange(0, 0 if busy else 1)
        self.bar.setVisible(busy)
        self.cancel_button.setEnabled(True)
        self.status.setText(
            {
                ImportState.READING: "Reading the file…",
                ImportState.IMPORTING: "Opening the file…",
            }.get(state, "")
        )
        self._on_answers()

    def _grow(self) -> None:
        """Give room for all questions where the screen has it."""
        self.form.adjustSize()
        inside = self.form.width() if self.form.width() > 1 else _WIDTH
        wanted = self.form.heightForWidth(min(inside, _WIDTH - 50))
        around = self.layout().sizeHint().height() - self.scroll.sizeHint().height()
        screen = self.screen().availableGeometry().height()
        height = max(wanted, self.form.sizeHint().height()) + around + 24
        self.resize(max(self.width(), _WIDTH), min(height, round(0.9 * screen)))

    def _on_answers(self) -> None:
        asking = self._state is ImportState.ASKING
        problem = self.form.check() if asking else ""
        self.import_button.setEnabled(asking and not problem)
        self.import_button.setToolTip(problem)

    def _shortened(self, name: str) -> str:
        return self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, 340)


def choose_checkpoint(parent: QWidget) -> str:
    """Let the user choose a checkpoint file; "" for none."""
    path, _ = QFileDialog.getOpenFileName(
        parent, "Choose a model checkpoint", "", FILTER
    )
    return str(path)


def _inspect(engine: Any, path: Path, _meter: Any) -> Any:
    return engine.inspect(path)


def _bring_in(
    engine: Any, path: Path, found: Any, given: dict[str, Any], meter: Any
) -> Any:
    return engine.bring_in(path, found, given, as_progress(meter))
