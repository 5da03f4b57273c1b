"""Choose a sample stack; see what it is, whose, and how large before it is fetched.

The simulated colony is at hand. The real stacks are fetched on the click of a button,
in a thread, with progress; Cancel stops at once.
"""

import time
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.io.samples import PUBLIC_SAMPLES, PublicSample, fetch
from napari_sparsessp.ui.errand import Errand, as_progress
from napari_sparsessp.ui.error_details import as_told, error_details
from napari_sparsessp.ui.look.breakable import breakable
from napari_sparsessp.ui.look.dress import Dress
from napari_sparsessp.ui.look.message_box import MessageBox
from napari_sparsessp.ui.samples.samples import COLONY

_COLONY_TITLE = "Simulated colony, every 4th plane, with truth"
_COLONY_ABOUT = (
    "Bright-field of simulated cells, with twelve structures as truth: predict all of "
    "them and see how near they come."
)
_COLONY_FACTS = {
    "Size": "comes with the package; nothing is downloaded",
    "Licence": "BSD-3-Clause",
    "From": "napari-sparsessp, simulated",
    "Checked by": "not needed: it came with the package",
    "Kept in": "the package",
}
_WIDTH, _HEIGHT = 580, 450
_KEY = Qt.ItemDataRole.UserRole


class SampleDialog(QDialog):
    """Lists the samples; its button opens the chosen one, or fetches it first.

    Parameters
    ----------
    parent : QWidget, optional

    Signals
    -------
    ready : str
        Key of a sample that is here and wanted; the dialog closes itself.
    """

    ready = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        Dress(self)
        self.setWindowTitle("Sample stacks")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._errand: Errand | None = None
        self._began = 0.0
        self.list = QListWidget()
        self.list.setAccessibleName("Samples")
        self.list.setToolTip("Stacks to try things with; the arrow keys choose one.")
        self.about = _wrapped("")
        self.facts = {
            name: _wrapped("muted")
            for name in ("Size", "Licence", "From", "Checked by", "Kept in")
        }
        self.facts_panel = QFrame()
        self.message = MessageBox()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the download")
        self.status = _wrapped("muted")
        self.close_button = QPushButton("Close")
        self.open_button = QPushButton("Open")
        self.open_button.setProperty("role", "run")
        self.open_button.setDefault(True)
        self._arrange()
        self._offer()
        self._connect()
        self._show_chosen()
        self.resize(_WIDTH, _HEIGHT)

    def _arrange(self) -> None:
        facts = QFormLayout(self.facts_panel)
        self.facts_panel.setProperty("role", "panel")
        facts.setContentsMargins(11, 8, 11, 8)
        facts.setVerticalSpacing(4)
        facts.setHorizontalSpacing(12)
        for name, label in self.facts.items():
            facts.addRow(name, label)
        foot = QHBoxLayout()
        foot.addWidget(self.status, 1)
        foot.addWidget(self.close_button)
        foot.addWidget(self.open_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(10)
        column.addWidget(self.list)
        column.addWidget(self.about)
        column.addWidget(self.facts_panel)
        column.addWidget(self.message)
        column.addStretch(1)
        column.addWidget(self.bar)
        column.addLayout(foot)
        self.bar.hide()

    def _connect(self) -> None:
        self.list.currentItemChanged.connect(lambda _now, _old: self._show_chosen())
        self.list.itemActivated.connect(lambda _item: self.start())
        self.open_button.clicked.connect(lambda _on: self.start())
        self.close_button.clicked.connect(lambda _on: self.reject())

    # choosing -----------------------------------------------------------------

    def choose(self, key: str) -> None:
        """Choose a sample."""
        for row in range(self.list.count()):
            item = self.list.item(row)
            if item is not None and item.data(_KEY) == key:
                self.list.setCurrentRow(row)

    def key(self) -> str:
        """Key of the chosen sample."""
        item = self.list.currentItem()
        return COLONY if item is None else str(item.data(_KEY))

    def _offer(self) -> None:
        for key, title, here in (
            (COLONY, _COLONY_TITLE, True),
            *((one.key, one.title, one.is_here) for one in PUBLIC_SAMPLES.values()),
        ):
            item = QListWidgetItem(title if here else f"{title}  (download)")
            item.setData(_KEY, key)
            item.setToolTip("at hand" if here else "is fetched when you ask for it")
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    def showEvent(self, event: Any) -> None:
        """Make the list as high as its rows, which the theme has sized by now."""
        super().showEvent(event)
        rows = range(self.list.count())
        height = sum(self.list.sizeHintForRow(row) for row in rows)
        self.list.setFixedHeight(height + 2 * self.list.frameWidth() + 10)

    def _show_chosen(self) -> None:
        sample = PUBLIC_SAMPLES.get(self.key())
        self.message.clear()
        self.status.setText("")
        here = sample is None or sample.is_here
        self.open_button.setText("Open" if here else "Download and open")
        self.about.setText(_COLONY_ABOUT if sample is None else sample.about)
        told = _COLONY_FACTS if sample is None else _facts(sample)
        for name, text in told.items():
            self.facts[name].setText(breakable(text))

    # fetching -----------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether something is being fetched."""
        return self._errand is not None

    def start(self) -> None:
        """Open the chosen sample, or fetch it first; only this uses the network."""
        sample = PUBLIC_SAMPLES.get(self.key())
        if self.busy:
            return
        if sample is None or sample.is_here:
            self._finish()
            return
        self.message.clear()
        self._errand = Errand(_fetch, sample, parent=self)
        self._errand.progressed.connect(self._on_progress)
        self._errand.returned.connect(lambda _none: self._finish())
        self._errand.failed.connect(self._on_failed)
        self._began = time.monotonic()
        self._set_busy(True)
        self.status.setText(f"Asking {_host(sample)}…")
        self._errand.start()

    def reject(self) -> None:
        """Stop a download, or close the dialog: the button and Escape."""
        if self.busy:
            self._drop()
            self.status.setText("Stopped. The next try goes on from there.")
        else:
            super().reject()

    def closeEvent(self, event: Any) -> None:
        """Let go of a download; its thread ends by itself."""
        self._drop()
        super().closeEvent(event)

    def _finish(self) -> None:
        key = self.key()
        self._drop()
        self.ready.emit(key)
        self.accept()

    def _drop(self) -> None:
        if self._errand is not None:
            self._errand.abandon()
            self._errand = None
        self._set_busy(False)

    def _on_progress(self, what: str, share: float) -> None:
        if not what:
            return
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * share))
        self.status.setText(f"{what[:1].upper()}{what[1:]}{self._left(share)}")

    def _left(self, share: float) -> str:
        """Say how long it will take, once that can be known."""
        spent = time.monotonic() - self._began
        if spent < 2 or not 0.02 < share < 1:
            return ""
        seconds = spent * (1 - share) / share
        if seconds < 90:
            return f", {max(1, round(seconds))} s left"
        return f", {round(seconds / 60)} min left"

    def _on_failed(self, error: Exception) -> None:
        self._drop()
        self.status.setText("")
        if not isinstance(error, SparseSSPError):
            error = as_told(error, "the download")
        self.message.show_error(str(error), error_details(error))

    def _set_busy(self, busy: bool) -> None:
        self.bar.setVisible(busy)
        self.bar.setRange(0, 0)
        self.list.setEnabled(not busy)
        self.open_button.setEnabled(not busy)
        self.close_button.setText("Stop" if busy else "Close")


def _facts(sample: PublicSample) -> dict[str, str]:
    """Say what one should know before fetching."""
    checked = (
        "its SHA-256 checksum"
        if sample.checksum_known
        else "opening it: nobody has recorded a checksum"
    )
    return {
        "Size": f"{sample.size}, from {_host(sample)}",
        "Licence": sample.licence,
        "From": sample.credit,
        "Checked by": checked,
        "Kept in": str(sample.folder),
    }


def _host(sample: PublicSample) -> str:
    return f"github.com/{sample.files[0].repository}"


def _fetch(sample: PublicSample, meter: Any) -> None:
    fetch(sample, as_progress(meter))


def _wrapped(role: str) -> QLabel:
    label = QLabel("")
    label.setProperty("role", role)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    # without a width to begin with, its height is reckoned for a very narrow dialog
    label.setMinimumWidth(320 if role == "muted" else 200)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return label
