"""The card of the chosen model, with what can be done with it."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qtpy.QtCore import QEvent, QObject, QPoint, QRect, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLayoutItem,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.models.table import megabytes
from napari_sparsessp.ui.widgets.basic import Mark, MarkDot, MessageBox
from napari_sparsessp.ui.widgets.charts import QualityTable
from napari_sparsessp.ui.widgets.model_picker import card_rows, count_text
from napari_sparsessp.ui.widgets.style import Dress, breakable

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.library import Entry
    from napari_sparsessp.models.verification import Verdict
    from napari_sparsessp.ui.engine import ModelPlace

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


_SHIPPED = "It came with the plugin"
_LONGEST = 34


class ModelPage(QScrollArea):
    """Title, buttons, expected quality and all that the card says.

    Signals
    -------
    use_asked, check_asked, export_asked, delete_asked, folder_asked
    rename_asked : str
        The new name.
    """

    use_asked = Signal()
    check_asked = Signal()
    export_asked = Signal()
    delete_asked = Signal()
    folder_asked = Signal()
    rename_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._entry: Entry | None = None
        self._busy = False
        self.title = QLabel("")
        self.title.setProperty("role", "title")
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setWordWrap(True)
        self.name_edit = QLineEdit()
        self.name_edit.setAccessibleName("New name of the model")
        self.name_edit.setMaxLength(120)
        self.name_edit.setToolTip("Enter takes the name, Esc leaves it as it was.")
        self.below = QLabel("")
        self.below.setProperty("role", "muted")
        self.below.setTextFormat(Qt.TextFormat.PlainText)
        self.below.setWordWrap(True)
        self.use_button = QPushButton("Use in Predict")
        self.use_button.setProperty("role", "primary")
        self.check_button = QPushButton("Check")
        self.export_button = QPushButton("Export…")
        self.rename_button = QPushButton("Rename")
        self.folder_button = QPushButton("Show the file")
        self.folder_button.setProperty("role", "link")
        self.delete_button = QPushButton("Delete")
        self.verdict_dot = MarkDot(Mark.GOOD, 15)
        self.verdict_text = QLabel("")
        self.verdict_text.setWordWrap(True)
        self.verdict_text.setTextFormat(Qt.TextFormat.PlainText)
        self.verdict = QWidget()
        self.problem = MessageBox()
        self.quality = QualityTable()
        self._rows: QWidget | None = None
        for text in (self.title, self.below, self.verdict_text):
            text.setMinimumWidth(60)  # a long word must not make the page wide
        self._arrange()
        self._connect()
        self.show_entry(None)

    def _arrange(self) -> None:
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        buttons = QWidget()
        flow = FlowLayout(buttons)
        for button in self._buttons():
            flow.addWidget(button)
        row = QHBoxLayout(self.verdict)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(7)
        row.addWidget(self.verdict_dot, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.verdict_text, 1)
        inside = QWidget()
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(0, 4, 4, 4)
        self._column.setSpacing(7)
        for part in (self.title, self.name_edit, self.below, buttons, self.verdict):
            self._column.addWidget(part)
        self._column.addWidget(self.problem)
        self._column.addWidget(self.quality)
        end = QHBoxLayout()
        end.addStretch(1)
        end.addWidget(self.folder_button)
        self._column.addLayout(end)
        self._column.addStretch(1)
        self.setWidget(inside)

    def _buttons(self) -> tuple[QPushButton, ...]:
        return (
            self.use_button,
            self.check_button,
            self.export_button,
            self.rename_button,
            self.delete_button,
        )

    def _connect(self) -> None:
        self.use_button.clicked.connect(lambda _on: self.use_asked.emit())
        self.check_button.clicked.connect(lambda _on: self.check_asked.emit())
        self.export_button.clicked.connect(lambda _on: self.export_asked.emit())
        self.delete_button.clicked.connect(lambda _on: self.delete_asked.emit())
        self.folder_button.clicked.connect(lambda _on: self.folder_asked.emit())
        self.rename_button.clicked.connect(lambda _on: self.edit_name())
        self.name_edit.returnPressed.connect(self._take_name)
        self.name_edit.installEventFilter(self)

    # what is shown ------------------------------------------------------------

    def show_entry(
        self, entry: "Entry | None", verdict: "Verdict | None" = None
    ) -> None:
        """Show a model, or that none is chosen.

        Parameters
        ----------
        entry : Entry or None
        verdict : Verdict, optional
            What a check of it has found.
        """
        self._entry = entry
        self._leave_name()
        card = None if entry is None else entry.card
        for part in (*self._buttons(), self.below, self.folder_button):
            part.setVisible(entry is not None)
        self.title.setText("No model fits the search" if entry is None else entry.name)
        self.quality.setVisible(card is not None)
        if self._rows is not None:
            self._column.removeWidget(self._rows)
            self._rows.hide()
            self._rows.deleteLater()
            self._rows = None
        self.problem.clear()
        if entry is not None and card is None:
            self.below.setText(f"damaged · {megabytes(entry.size)}")
            self.problem.show_error(entry.problem)
        elif entry is not None and card is not None:
            self._show_card(entry)
        self.show_verdict(verdict)
        self._set_buttons()
        self.verticalScrollBar().setValue(0)

    def _show_card(self, entry: "Entry") -> None:
        from napari_sparsessp.models.card import expected_quality

        card = entry.card
        assert card is not None
        parts = [card.id, megabytes(entry.size), entry.origin]
        if card.version != "imported":
            parts.insert(1, f"version {card.version}")
        if entry.is_default:
            parts.append("★ the default")
        kept = [one.replace(" ", "\u00a0") if len(one) < 21 else one for one in parts]
        self.below.setText(" · ".join(kept))
        quality = expected_quality(card)
        self.quality.show_quality(quality)
        rows = [row for row in card_rows(card) if row[0] != "Came from"]
        self._rows = card_table(
            [*rows, *_origin_rows(entry), ("File", _place(entry.path))]
        )
        self._column.insertWidget(self._column.count() - 2, self._rows)

    def show_verdict(self, verdict: "Verdict | None") -> None:
        """Say what a check has found."""
        self.verdict.setVisible(verdict is not None)
        if verdict is None:
            return
        self.verdict_dot.set_mark(Mark.GOOD if verdict.ok else Mark.BAD)
        begin = "Checked: " if verdict.ok else "Do not use it: "
        self.verdict_text.setText(f"{begin}{verdict.text}.")

    def set_busy(self, busy: bool) -> None:
        """Lock what would disturb the work that is under way."""
        self._busy = busy
        self._set_buttons()

    def _set_buttons(self) -> None:
        entry = self._entry
        whole = entry is not None and entry.card is not None
        own = entry is not None and not entry.shipped
        free = not self._busy
        self.use_button.setEnabled(whole)
        self.check_button.setEnabled(whole and free)
        self.export_button.setEnabled(whole and free)
        self.rename_button.setEnabled(whole and own and free)
        self.delete_button.setEnabled(own and free)
        self.use_button.setToolTip("Choose this model in the Predict dock (Enter).")
        self.check_button.setToolTip(
            "Compare its weights with the checksum in its card, and what it predicts "
            "for a test image with what it should."
        )
        self.export_button.setToolTip(
            "Copy it to a file of its own, card included, to give it to someone."
        )
        self.folder_button.setToolTip(
            "Show it in the system's file browser."
            if entry is None
            else f"{entry.path}\nClick to show it in the system's file browser."
        )
        self.rename_button.setToolTip(
            "Give it another name for people; its id stays (F2)."
            if own
            else f"{_SHIPPED} and keeps its name. Export it for a copy of your own."
        )
        self.delete_button.setToolTip(
            "Delete it; Undo puts it back (Del)."
            if own
            else f"{_SHIPPED} and cannot be deleted; it goes when the plugin does."
        )

    # the name -----------------------------------------------------------------

    def edit_name(self) -> None:
        """Let the user write another name."""
        if self._entry is None or not self.rename_button.isEnabled():
            return
        self.title.hide()
        self.name_edit.setText(self._entry.name)
        self.name_edit.show()
        self.name_edit.selectAll()
        self.name_edit.setFocus()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Leave the name as it was on Esc, or when something else is clicked."""
        if watched is self.name_edit and event is not None:
            kind = event.type()
            if (
                kind == QEvent.Type.ShortcutOverride
                and event.key() == Qt.Key.Key_Escape
            ):
                event.accept()  # else the dock's own Esc would take it
                return True
            if kind == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape:
                self._leave_name()
                self.rename_button.setFocus()
                return True
            if kind == QEvent.Type.FocusOut:
                self._leave_name()
        return super().eventFilter(watched, event)

    def _leave_name(self) -> None:
        self.name_edit.hide()
        self.title.show()

    def _take_name(self) -> None:
        name = self.name_edit.text()
        self._leave_name()
        if self._entry is not None and name.strip() != self._entry.name:
            self.rename_asked.emit(name)


def _page_rows(entry: "Entry") -> list[tuple[str, str]]:
    """All that the card says, where it comes from, and its figures last."""
    assert entry.card is not None
    said = dict(card_rows(entry.card))
    said.pop("Came from", None)
    scores = said.pop("Scores")
    rows = [*said.items(), *_origin_rows(entry), ("File", _place(entry.path))]
    return [*rows, ("All scores", scores)]


def _origin_rows(entry: "Entry") -> list[tuple[str, str]]:
    """Say where it comes from, with what its card keeps of it."""
    card = entry.card
    assert card is not None
    words = {
        "file": "file",
        "sha256": "SHA-256 of that file",
        "fetched": "address",
        "fetched_sha256": "SHA-256 of the download",
        "trained_with": "trained with",
        "began_with": "began with",
    }
    known = [
        f"{words[key]}: {_short(str(value))}"
        for key, value in card.source.items()
        if key in words
    ]
    first = f"{entry.origin[:1].upper()}{entry.origin[1:]}"
    return [("Came from", "\n".join([first, *known]))]


def _short(text: str) -> str:
    """Write a checksum or an address so that it fits; the command line tells all."""
    if len(text) <= _LONGEST:
        return text
    if "/" in text:
        host, end = urlsplit(text).hostname, text.rpartition("/")[2]
        return f"{host}/…/{end}" if host else f"…/{end}"
    return f"{text[:16]}…"


def _place(path: Path) -> str:
    """Name of the file and the folders next to it; the whole path is a tool tip."""
    return f"{path.name}\nin …/{path.parent.parent.name}/{path.parent.name}"


class FlowLayout(QLayout):
    """Lay widgets out like words; hidden ones take no room, unlike in superqt's."""

    def __init__(self, parent: QWidget | None = None, spacing: int = 6) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(spacing)

    def addItem(self, item: QLayoutItem) -> None:
        """Put an item behind the others."""
        self._items.append(item)

    def count(self) -> int:
        """Count the items."""
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        """Give an item, or None."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        """Remove an item and give it, or None."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        """Take no more height than the lines need."""
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        """Say that a narrower one is higher."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Give the height of all lines."""
        return self._arrange(QRect(0, 0, width, 0), move=False)

    def setGeometry(self, area: QRect) -> None:
        """Move the widgets to their places."""
        super().setGeometry(area)
        self._arrange(area, move=True)

    def sizeHint(self) -> QSize:
        """Wish for one line."""
        sizes = [item.sizeHint() for item in self._items if not item.isEmpty()]
        width = sum(size.width() for size in sizes)
        width += self.spacing() * max(len(sizes) - 1, 0)
        return QSize(width, max((size.height() for size in sizes), default=0))

    def minimumSize(self) -> QSize:
        """Need no more than the widest widget."""
        size = QSize()
        for item in self._items:
            if not item.isEmpty():
                size = size.expandedTo(item.minimumSize())
        return size

    def _arrange(self, area: QRect, *, move: bool) -> int:
        x, y, height = area.x(), area.y(), 0
        for item in self._items:
            if item.isEmpty():
                continue
            size = item.sizeHint()
            if height and x + size.width() > area.right() + 1:
                x, y, height = area.x(), y + height + self.spacing(), 0
            if move:
                width = min(size.width(), area.width())
                item.setGeometry(QRect(QPoint(x, y), QSize(width, size.height())))
            x += size.width() + self.spacing()
            height = max(height, size.height())
        return y + height - area.y()
