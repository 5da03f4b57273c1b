"""The card of a model: a page of the Models dock, and a window for other docks."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QWidget,
)
from superqt import QFlowLayout

from napari_sparsessp.models.card import ModelCard, expected_quality
from napari_sparsessp.models.library import Entry
from napari_sparsessp.ui.models.table import megabytes
from napari_sparsessp.ui.widgets.basic import (
    Mark,
    MarkDot,
    MessageBox,
    in_a_column,
    in_a_row,
)
from napari_sparsessp.ui.widgets.card_text import card_rows, count_text
from napari_sparsessp.ui.widgets.charts import QualityTable
from napari_sparsessp.ui.widgets.style import Dress, breakable, take_role

if TYPE_CHECKING:
    from napari_sparsessp.models.verification import Verdict
    from napari_sparsessp.ui.engine import ModelPlace

_WIDTH, _TALLEST = 580, 680
_SURE = (
    "delete this model? Predictions made with it stay, and the Models dock can put it "
    "back"
)
_SHIPPED = "It came with the plugin"
_LONGEST = 34
_SOURCE_WORDS = {
    "file": "file",
    "sha256": "SHA-256 of that file",
    "fetched": "address",
    "fetched_sha256": "SHA-256 of the download",
    "trained_with": "trained with",
    "began_with": "began with",
}


def button_row(*buttons: QPushButton) -> QWidget:
    """Put buttons beside each other; what has no room goes on in the next line."""
    row = QWidget()
    flow = QFlowLayout(row)
    flow.setContentsMargins(0, 0, 0, 0)
    flow.setHorizontalSpacing(6)
    flow.setVerticalSpacing(6)
    for button in buttons:
        flow.addWidget(button)
    return row


def card_table(rows: list[tuple[str, str]]) -> QWidget:
    """Return a panel of titles and texts, which can be copied."""
    panel = QFrame()
    panel.setProperty("role", "panel")
    grid = QGridLayout(panel)
    grid.setContentsMargins(12, 10, 12, 10)
    grid.setHorizontalSpacing(14)
    grid.setVerticalSpacing(9)
    grid.setColumnStretch(1, 1)
    for number, (name, text) in enumerate(rows):
        title, body = QLabel(name), plain_label("", breakable(text))
        title.setProperty("role", "muted")
        body.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        grid.addWidget(title, number, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(body, number, 1, Qt.AlignmentFlag.AlignTop)
    grid.setRowStretch(len(rows), 1)
    return panel


def plain_label(role: str, text: str = "") -> QLabel:
    """Return a text of several lines that is no higher than it has to be."""
    label = QLabel(text)
    label.setProperty("role", role)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setMinimumWidth(60)  # a long word must not make the page wide
    return label


def _let_scroll(area: QScrollArea, inside: QWidget) -> None:
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inside)


class ModelInfo(QDialog):
    """The card in a window that can stay open beside a dock."""

    folder_asked = Signal()
    removal_asked = Signal()  # the user has confirmed it

    def __init__(
        self, card: ModelCard, place: "ModelPlace | None", parent: QWidget | None = None
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
        self._asking = False
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
        self._arrange()
        self.folder_button.clicked.connect(self.folder_asked)
        self.remove_button.clicked.connect(self._on_remove)
        self.close_button.clicked.connect(self._on_close)

    def _arrange(self) -> None:
        version = self.card.version
        version = version if version == "imported" else f"version {version}"
        table, area = card_table(self.rows), QScrollArea()
        _let_scroll(area, table)
        buttons = (self.folder_button, self.remove_button, self.close_button)
        foot = in_a_row(*buttons, stretched=0)
        foot.insertStretch(1, 1)
        title = plain_label("title", self.card.name)
        below = plain_label("muted", f"{self.card.id} · {version}")
        column = in_a_column(self, title, below, area, self.message, foot, spacing=6)
        column.setContentsMargins(16, 14, 16, 12)
        column.setStretch(2, 1)
        self.resize(_WIDTH, min(_TALLEST, table.heightForWidth(_WIDTH - 60) + 160))

    def show_problem(self, text: str) -> None:
        """Show what went wrong."""
        self._ask(False)
        self.message.show_error(text)

    def _ask(self, asking: bool) -> None:
        """Ask once more before a file goes."""
        self._asking = asking
        self.remove_button.setText("Delete it" if asking else "Remove…")
        take_role(self.remove_button, "danger" if asking else "")
        self.close_button.setText("Keep it" if asking else "Close")
        self.message.show_notices([_SURE] if asking else [])
        if asking:
            self.close_button.setFocus()

    def _on_remove(self) -> None:
        if self._asking:
            self.removal_asked.emit()
        else:
            self._ask(True)

    def _on_close(self) -> None:
        if self._asking:
            self._ask(False)
        else:
            self.close()


class ModelPage(QScrollArea):
    """Title, buttons, expected quality and all that the card says."""

    use_asked = Signal()
    check_asked = Signal()
    export_asked = Signal()
    delete_asked = Signal()
    folder_asked = Signal()
    rename_asked = Signal(str)  # the new name

    def __init__(self) -> None:
        super().__init__()
        self._entry: Entry | None = None
        self._busy = False
        self.title = plain_label("title")
        self.below = plain_label("muted")
        self.name_edit = QLineEdit()
        self.name_edit.setAccessibleName("New name of the model")
        self.name_edit.setMaxLength(120)
        self.name_edit.setToolTip("Enter takes the name, Esc leaves it as it was.")
        self.use_button = QPushButton("Use in Predict")
        self.use_button.setProperty("role", "primary")
        self.use_button.setToolTip("Choose this model in the Predict dock (Enter).")
        self.check_button = QPushButton("Check")
        self.check_button.setToolTip(
            "Compare its weights with the checksum in its card, and what it predicts "
            "for a test image with what it should."
        )
        self.export_button = QPushButton("Export…")
        self.export_button.setToolTip(
            "Copy it to a file of its own, card included, to give it to someone."
        )
        self.rename_button = QPushButton("Rename")
        self.delete_button = QPushButton("Delete")
        self.folder_button = QPushButton("Show the file")
        self.folder_button.setProperty("role", "link")
        self.buttons = (
            *(self.use_button, self.check_button, self.export_button),
            *(self.rename_button, self.delete_button),
        )
        self.verdict = QWidget()
        self.verdict_dot = MarkDot(Mark.GOOD, 15)
        self.verdict_text = plain_label("")
        self.problem = MessageBox()
        self.quality = QualityTable()
        self._rows: QWidget | None = None
        self._arrange()
        self._connect()
        self.show_entry(None)

    def _arrange(self) -> None:
        row = in_a_row(self.verdict_dot, self.verdict_text, stretched=0)
        row.setStretch(1, 1)
        row.setAlignment(self.verdict_dot, Qt.AlignmentFlag.AlignTop)
        in_a_column(self.verdict, row)
        inside, buttons = QWidget(), button_row(*self.buttons)
        self._column = in_a_column(
            *(inside, self.title, self.name_edit, self.below, buttons),
            *(self.verdict, self.problem, self.quality),
            spacing=7,
        )
        self._column.setContentsMargins(0, 4, 4, 4)
        self._column.addWidget(
            self.folder_button, alignment=Qt.AlignmentFlag.AlignRight
        )
        self._column.addStretch(1)
        _let_scroll(self, inside)

    def _connect(self) -> None:
        for button, signal in (
            (self.use_button, self.use_asked),
            (self.check_button, self.check_asked),
            (self.export_button, self.export_asked),
            (self.delete_button, self.delete_asked),
            (self.folder_button, self.folder_asked),
        ):
            button.clicked.connect(signal)
        self.rename_button.clicked.connect(self.edit_name)
        self.name_edit.returnPressed.connect(self._take_name)
        self.name_edit.installEventFilter(self)

    def show_entry(self, entry: Entry | None, verdict: "Verdict | None" = None) -> None:
        """Show a model and the verdict of its verification, or that none is chosen."""
        self._entry = entry
        self._leave_name()
        card = None if entry is None else entry.card
        for part in (*self.buttons, self.below, self.folder_button):
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
            self._show_card(entry, card)
        self.show_verdict(verdict)
        self._set_buttons()
        self.verticalScrollBar().setValue(0)

    def _show_card(self, entry: Entry, card: ModelCard) -> None:
        parts = [card.id, megabytes(entry.size), entry.origin]
        if card.version != "imported":
            parts.insert(1, f"version {card.version}")
        if entry.is_default:
            parts.append("★ the default")
        # short parts do not break
        parts = [p.replace(" ", "\u00a0") if len(p) < 21 else p for p in parts]
        self.below.setText(" · ".join(parts))
        self.quality.show_quality(expected_quality(card))
        rows = [row for row in card_rows(card) if row[0] != "Came from"]
        path = entry.path
        place = f"{path.name}\nin …/{path.parent.parent.name}/{path.parent.name}"
        rows += [("Came from", _origin_text(entry, card)), ("File", place)]
        self._rows = card_table(rows)
        self._column.insertWidget(self._column.count() - 2, self._rows)

    def show_verdict(self, verdict: "Verdict | None") -> None:
        """Show the result of a verification."""
        self.verdict.setVisible(verdict is not None)
        if verdict is not None:
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
        show = "show it in the system's file browser."
        self.folder_button.setToolTip("" if entry is None else f"{entry.path}\n{show}")
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

    def edit_name(self, _on: bool = False) -> None:
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
            keys = (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress)
            if kind in keys and event.key() == Qt.Key.Key_Escape:
                event.accept()  # else the dock's own Esc would take it
                if kind == QEvent.Type.KeyPress:
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


def _origin_text(entry: Entry, card: ModelCard) -> str:
    """Write where a model comes from, with what its card keeps of it."""
    lines = [f"{entry.origin[:1].upper()}{entry.origin[1:]}"]
    for key, value in card.source.items():
        if key in _SOURCE_WORDS:
            lines.append(f"{_SOURCE_WORDS[key]}: {_short(str(value))}")
    return "\n".join(lines)


def _short(text: str) -> str:
    """Write a checksum or an address so that it fits; the command line has all."""
    if len(text) <= _LONGEST:
        return text
    if "/" in text:
        host, end = urlsplit(text).hostname, text.rpartition("/")[2]
        return f"{host}/…/{end}" if host else f"…/{end}"
    return f"{text[:16]}…"
