"""The widgets of the Models dock, arranged: search, table, card, and what goes on.

The card lies below the table in a narrow dock and beside it in a wide one.
"""

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
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

from napari_sparsessp.ui.models.model_page import FlowLayout, ModelPage
from napari_sparsessp.ui.models.table import ModelsTable
from napari_sparsessp.ui.widgets.basic import MessageBox
from napari_sparsessp.ui.widgets.style import Dress

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
