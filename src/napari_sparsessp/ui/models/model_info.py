"""A pop-up that shows a model's card, its file, and what can be done with it."""

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.engine.model_words import card_rows, count_text
from napari_sparsessp.ui.widgets.basic import MessageBox
from napari_sparsessp.ui.widgets.style import Dress, breakable

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.ui.engine.link import ModelPlace


_WIDTH, _TALLEST = 580, 680


class ModelInfo(QDialog):
    """Non-modal: it can stay open beside the dock.

    Parameters
    ----------
    card : ModelCard
    place : ModelPlace or None
        Where the model is; None where nobody knows.
    parent : QWidget, optional

    Signals
    -------
    folder_asked
        Show the file in the system's file browser.
    removal_asked
        The user wants the model gone, and has said so twice.
    """

    folder_asked = Signal()
    removal_asked = Signal()

    def __init__(
        self,
        card: "ModelCard",
        place: "ModelPlace | None",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        Dress(self)
        self.setWindowTitle("About this model")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.card = card
        self.rows = card_rows(card)
        if place is not None:
            if place.parameters:
                self.rows.append(("Parameters", count_text(place.parameters)))
            self.rows.append(("File", str(place.path)))
        self.message = MessageBox()
        self.folder_button = QPushButton("Show in folder")
        self.folder_button.setEnabled(place is not None)
        self.remove_button = QPushButton("Remove…")
        self.remove_button.setVisible(place is not None and place.own)
        self.remove_button.setToolTip(
            "Delete this model; the Models dock can put it back. Shipped models stay."
        )
        self.close_button = QPushButton("Close")
        self.close_button.setDefault(True)
        self.sure_button = QPushButton("Delete it")
        self.sure_button.setProperty("role", "danger")
        self.keep_button = QPushButton("Keep it")
        self._arrange()
        self._connect()
        self._ask(False)

    def show_problem(self, text: str) -> None:
        """Say what went wrong."""
        self._ask(False)
        self.message.show_error(text)

    def _arrange(self) -> None:
        title = QLabel(self.card.name)
        title.setProperty("role", "title")
        title.setTextFormat(Qt.TextFormat.PlainText)
        title.setWordWrap(True)
        version = self.card.version
        told = version if version == "imported" else f"version {version}"
        below = QLabel(f"{self.card.id} · {told}")
        below.setProperty("role", "muted")
        below.setTextFormat(Qt.TextFormat.PlainText)
        foot = QHBoxLayout()
        foot.addWidget(self.folder_button)
        foot.addWidget(self.remove_button)
        foot.addStretch(1)
        for button in (self.keep_button, self.sure_button, self.close_button):
            foot.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 12)
        column.setSpacing(6)
        column.addWidget(title)
        column.addWidget(below)
        table = card_table(self.rows)
        column.addWidget(_scrolled(table), 1)
        column.addWidget(self.message)
        column.addLayout(foot)
        self.resize(_WIDTH, min(_TALLEST, table.heightForWidth(_WIDTH - 60) + 160))

    def _connect(self) -> None:
        self.folder_button.clicked.connect(lambda _on: self.folder_asked.emit())
        self.remove_button.clicked.connect(lambda _on: self._ask(True))
        self.keep_button.clicked.connect(lambda _on: self._ask(False))
        self.sure_button.clicked.connect(lambda _on: self.removal_asked.emit())
        self.close_button.clicked.connect(lambda _on: self.close())

    def _ask(self, asking: bool) -> None:
        """Ask once more before a file goes."""
        for button in (self.keep_button, self.sure_button):
            button.setVisible(asking)
        self.close_button.setVisible(not asking)
        self.remove_button.setEnabled(not asking)
        if asking:
            self.message.show_notices(
                [
                    "delete this model? Predictions made with it stay, and the Models "
                    "dock can put it back"
                ]
            )
            self.keep_button.setFocus()
        else:
            self.message.clear()


def card_table(rows: list[tuple[str, str]]) -> QWidget:
    """Make a panel of titles and texts, which can be copied."""
    holder = QFrame()
    holder.setProperty("role", "panel")
    grid = QGridLayout(holder)
    grid.setContentsMargins(12, 10, 12, 10)
    grid.setHorizontalSpacing(14)
    grid.setVerticalSpacing(9)
    grid.setColumnStretch(1, 1)
    top = Qt.AlignmentFlag.AlignTop
    for number, (name, text) in enumerate(rows):
        label = QLabel(name)
        label.setProperty("role", "muted")
        told = QLabel(breakable(text))
        told.setTextFormat(Qt.TextFormat.PlainText)
        told.setWordWrap(True)
        told.setMinimumWidth(60)  # a long word must not make the panel wide
        told.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        grid.addWidget(label, number, 0, top)
        grid.addWidget(told, number, 1, top)
    grid.setRowStretch(len(rows), 1)
    return holder


def _scrolled(body: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(body)
    return area
