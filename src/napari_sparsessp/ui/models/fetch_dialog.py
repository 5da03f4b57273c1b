"""Fetch a model from an address or a DOI: paste, Fetch, and it is among your models.

Nothing goes over the network before the button is pressed.
"""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.models.manage import IdTaken
from napari_sparsessp.ui.models import actions as model_chores
from napari_sparsessp.ui.tasks import BackgroundTask, error_details, readable_error
from napari_sparsessp.ui.widgets.basic import MessageBox
from napari_sparsessp.ui.widgets.style import Dress

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sparsessp.models.manage import Fetched

_WIDTH_LETTERS = 90
_HINT = (
    "Paste the address of a model's file, or its DOI (Zenodo, figshare, Dataverse). "
    "Models of this plugin are added at once; checkpoints of RepMode, SparseSSP and "
    "pytorch_fnet are imported, and nothing in them is executed."
)
_ADDRESS_TIP = (
    "An address begins with https:// and ends in .safetensors, .pth, .pt, .ckpt or .p. "
    "After a DOI you may write :file.name, where it has several files."
)
_CHECK_TIP = (
    "64 digits and letters that the model's page may show beside the file. With them a "
    "changed or damaged file is refused; without them you are told what came."
)


class FetchState(Enum):
    """Where a download stands."""

    ASKING = "asking"
    FETCHING = "fetching"
    ADDING = "adding"


class FetchDialog(QDialog):
    """Non-modal, so that one can look the address up.

    Parameters
    ----------
    parent : QWidget, optional

    Signals
    -------
    added : Path, Fetched
        A model of this plugin that is now among the user's; the dialog closes itself.
    checkpoint : Fetched
        One that has to be imported; the dialog closes itself.
    """

    added = Signal(object, object)
    checkpoint = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        Dress(self)
        self._task: BackgroundTask | None = None
        self._fetched: Fetched | None = None
        self.state = FetchState.ASKING
        self.setWindowTitle("Fetch a model")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.address = QLineEdit()
        self.address.setAccessibleName("Address or DOI")
        self.address.setPlaceholderText("https://…  or  10.5281/zenodo.1234:file.pth")
        self.address.setToolTip(_ADDRESS_TIP)
        self.digits = QLineEdit()
        self.digits.setAccessibleName("SHA-256 of the file")
        self.digits.setPlaceholderText("if its page shows one")
        self.digits.setToolTip(_CHECK_TIP)
        self.id = QLineEdit()
        self.id.setAccessibleName("Id of the model")
        self.id.setToolTip("How files, requests and the command line call the model.")
        self.id_row = QWidget()
        self.message = MessageBox()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the download")
        self.status = QLabel("")
        self.status.setProperty("role", "muted")
        self.status.setWordWrap(True)
        self.cancel_button = QPushButton("Close")
        self.fetch_button = QPushButton("Fetch")
        self.fetch_button.setProperty("role", "run")
        self.fetch_button.setDefault(True)
        self._arrange()
        self._connect()
        self._set_state(FetchState.ASKING)

    def _arrange(self) -> None:
        hint = QLabel(_HINT)
        hint.setProperty("role", "muted")
        hint.setWordWrap(True)
        inside = QVBoxLayout(self.id_row)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(3)
        inside.addWidget(_titled("Add it with another id", self.id))
        inside.addWidget(self.id)
        self.id_row.hide()
        foot = QHBoxLayout()
        foot.addWidget(self.status, 1)
        foot.addWidget(self.cancel_button)
        foot.addWidget(self.fetch_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(7)
        column.addWidget(hint)
        column.addWidget(_titled("Address or DOI", self.address))
        column.addWidget(self.address)
        column.addWidget(_titled("SHA-256 (optional)", self.digits))
        column.addWidget(self.digits)
        column.addWidget(self.id_row)
        column.addWidget(self.message)
        column.addStretch(1)
        column.addWidget(self.bar)
        column.addLayout(foot)

    def _connect(self) -> None:
        self.address.textChanged.connect(lambda _text: self._on_address())
        self.fetch_button.clicked.connect(lambda _on: self.fetch())
        self.cancel_button.clicked.connect(lambda _on: self.reject())

    # the download -------------------------------------------------------------

    def fetch(self) -> None:
        """Download, and then add or import; what came before is not fetched again."""
        origin = self.address.text().strip()
        if self.state is not FetchState.ASKING or not origin:
            return
        self.message.clear()
        self._set_state(FetchState.FETCHING)
        self._run(
            model_chores.fetch, self._on_fetched, origin, self.digits.text().strip()
        )

    def _on_fetched(self, fetched: "Fetched") -> None:
        self._fetched = fetched
        if not fetched.is_native:
            self._set_state(FetchState.ASKING)
            self.checkpoint.emit(fetched)
            self.accept()
            return
        self._set_state(FetchState.ADDING)
        id_ = self.id.text().strip() if not self.id_row.isHidden() else ""
        self._run(model_chores.add, self._on_added, fetched, id_)

    def _on_added(self, path: "Path") -> None:
        self._set_state(FetchState.ASKING)
        self.added.emit(path, self._fetched)
        self.accept()

    def _run(
        self, chore: Callable[..., Any], then: Callable[[Any], None], *args: Any
    ) -> None:
        task = BackgroundTask(chore, *args, parent=self)
        task.progressed.connect(self._on_progress)
        task.returned.connect(then)
        task.failed.connect(self._on_failed)
        self._task = task
        task.start()

    def _on_progress(self, share: float, what: str, _left: float | None) -> None:
        if self.state is FetchState.ASKING or not what:
            return
        self.bar.setRange(0, 1000 if share > 0 else 0)
        self.bar.setValue(round(1000 * share))
        self.status.setText(f"{what[:1].upper()}{what[1:]}")

    def _on_failed(self, error: Exception) -> None:
        adding = self.state is FetchState.ADDING
        self._set_state(FetchState.ASKING)
        if adding and isinstance(error, IdTaken) and self._fetched is not None:
            self.id.setText(model_chores.free_id(self._fetched))
            self.id_row.show()
            self.id.setFocus()
        told = readable_error(error, "the download")
        self.message.show_error(str(told), error_details(told))
        self._fit()

    def reject(self) -> None:
        """Stop the download at once, or close: the button and Escape."""
        if self.state is FetchState.ASKING:
            self._drop()
            super().reject()
            return
        # A server may be silent for half a minute: nobody waits for the thread's end.
        self._drop()
        self._set_state(FetchState.ASKING)
        self._tell_stopped()

    def showEvent(self, event: Any) -> None:
        """Be as wide as the font asks for."""
        super().showEvent(event)
        self.resize(_WIDTH_LETTERS * self.fontMetrics().averageCharWidth(), 10)
        self._fit()

    def _fit(self) -> None:
        """Give all texts their room; Qt does not do so for dialogs."""
        self.layout().activate()
        needed = self.layout().totalHeightForWidth(self.width())
        self.resize(self.width(), max(needed, self.minimumSizeHint().height()))

    def closeEvent(self, event: Any) -> None:
        """Let go of whatever is under way; the thread ends by itself."""
        self._drop()
        super().closeEvent(event)

    def _drop(self) -> None:
        if self._task is not None:
            self._task.abandon()
            self._task = None

    def _tell_stopped(self) -> None:
        self.status.setText("Stopped. Fetch goes on where it was.")

    # looks --------------------------------------------------------------------

    def _on_address(self) -> None:
        self.id_row.hide()
        self.id.clear()
        self.fetch_button.setEnabled(
            self.state is FetchState.ASKING and bool(self.address.text().strip())
        )

    def _set_state(self, state: FetchState) -> None:
        self.state = state
        busy = state is not FetchState.ASKING
        for field in (self.address, self.digits, self.id):
            field.setEnabled(not busy)
        self.fetch_button.setEnabled(not busy and bool(self.address.text().strip()))
        self.cancel_button.setText("Stop" if busy else "Close")
        self.bar.setRange(0, 0 if busy else 1)
        self.bar.setVisible(busy)
        self.status.setText("Asking the server" if busy else "")
        if self.isVisible():
            self._fit()


def _titled(text: str, field: QLineEdit) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "strong")
    label.setBuddy(field)
    return label
