"""The card of the chosen model, with what can be done with it."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.engine.model_words import card_rows
from napari_sparsessp.ui.look.flow import FlowLayout
from napari_sparsessp.ui.look.message_box import MessageBox
from napari_sparsessp.ui.look.quality_table import QualityTable
from napari_sparsessp.ui.look.step import Mark, MarkDot
from napari_sparsessp.ui.models.model_info import card_table
from napari_sparsessp.ui.models.rows import megabytes

if TYPE_CHECKING:
    from napari_sparsessp.models.library import Entry
    from napari_sparsessp.models.verification import Verdict

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
