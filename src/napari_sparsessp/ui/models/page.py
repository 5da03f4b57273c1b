"""The card of a model: a page of the Models dock, and a window for other docks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QWidget,
)
from superqt import QFlowLayout

from napari_sparsessp.models.card import ModelCard, all_qualities
from napari_sparsessp.models.library import Entry
from napari_sparsessp.ui.models.table import megabytes
from napari_sparsessp.ui.widgets.basic import (
    Mark,
    MarkDot,
    MessageBox,
    StepColumn,
    in_a_column,
    in_a_row,
    link_button,
    wrapped_label,
)
from napari_sparsessp.ui.widgets.card_text import card_rows, count_text, title_of
from napari_sparsessp.ui.widgets.charts import QualityTable
from napari_sparsessp.ui.widgets.style import Dress, breakable

if TYPE_CHECKING:
    from napari_sparsessp.models.verification import Verdict
    from napari_sparsessp.ui.engine import ModelPlace

_WIDTH, _TALLEST = 580, 680
_SHIPPED = "It came with the plugin"
_SOURCE_WORDS = {
    "file": "file",
    "sha256": "SHA-256 of that file",
    "fetched": "address",
    "fetched_sha256": "SHA-256 of the download",
    "trained_with": "trained with",
    "began_with": "fine-tuned from",
}


def button_row(*buttons: QPushButton) -> QWidget:
    """Put buttons beside each other; what has no room goes on in the next line."""
    row = QWidget()
    row.setProperty("role", "clear")
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
        title, body = QLabel(name), wrapped_label("", breakable(text))
        title.setProperty("role", "muted")
        grid.addWidget(title, number, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(body, number, 1, Qt.AlignmentFlag.AlignTop)
    grid.setRowStretch(len(rows), 1)
    return panel


def quality_tables(card: ModelCard) -> list[QWidget]:
    """Return a table for each kind of cells that a model was scored on, real first."""
    tables: list[QWidget] = []
    for quality in all_qualities(card) or (None,):
        tables.append(table := QualityTable())
        table.show_quality(quality)
    return tables


def _rows_of(card: ModelCard, sizes: Sequence[int] = ()) -> list[tuple[str, str]]:
    texts = [megabytes(size).replace(" ", "\u00a0") for size in sizes]
    rows = [(title, _plain(text)) for title, text in card_rows(card, texts)]
    if count := len(card.training_images):
        seen = (
            f"{count} {'stack' if count == 1 else 'stacks'} of real cells, recognised"
        )
        rows.append(("Training images", f"{seen} when you predict from them"))
    return rows


def _plain(text: str) -> str:
    """Write words of cards that were made before these were found hard to read."""
    text = text.replace(", with which it began:", ", from which it was fine-tuned:")
    return text.replace("Has seen ", "Trained on ")


def version_text(card: ModelCard) -> str:
    """Write a version; "" where an imported model has none."""
    return "" if card.version == "imported" else f"version {card.version}"


def show_in_folder(path: Path, *_: object) -> None:
    """Open a file's folder in the system's file browser."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent)))


class ModelInfo(QDialog):
    """The card in a window that can stay open beside a dock."""

    def __init__(
        self, card: ModelCard, place: "ModelPlace | None", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        Dress(self)
        self.setWindowTitle("About this model")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.rows = _rows_of(card)
        self.folder_button = QPushButton("Show in folder")
        self.folder_button.setEnabled(place is not None)
        if place is not None:
            if place.parameters:
                self.rows.append(("Parameters", count_text(place.parameters)))
            self.rows.append(("File", str(place.path)))
            self.folder_button.clicked.connect(partial(show_in_folder, place.path))
        close_button = QPushButton("Close")
        close_button.setDefault(True)
        close_button.clicked.connect(self.close)
        table = card_table(self.rows)
        area = StepColumn([*quality_tables(card), table])
        area.column.setSpacing(7)
        area.end()
        foot = in_a_row(self.folder_button, close_button, stretched=0)
        foot.insertStretch(1, 1)
        title = wrapped_label("title", title_of(card))
        version = version_text(card) or "imported"
        below = wrapped_label("muted", f"{card.id} · {version}")
        column = in_a_column(self, title, below, area, foot, spacing=6)
        column.setContentsMargins(16, 14, 16, 12)
        column.setStretch(2, 1)
        self.resize(_WIDTH, _TALLEST)


class ModelPage(StepColumn):
    """Title, buttons, expected quality and all that the card says."""

    def __init__(self) -> None:
        self._entry: Entry | None = None
        self._busy = False
        self.title, self.below = wrapped_label("title"), wrapped_label("muted")
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
        self.rename_button = QPushButton("Rename…")
        self.delete_button = QPushButton("Delete")
        self.folder_button = link_button("Show the file", "")
        self.buttons = (
            *(self.use_button, self.check_button, self.export_button),
            *(self.rename_button, self.delete_button),
        )
        self.verdict = QWidget()
        self.verdict_dot, self.verdict_text = MarkDot(Mark.GOOD, 15), wrapped_label("")
        self.problem = MessageBox()
        self.panels: list[QWidget] = []  # of the card: scores and texts
        row = in_a_row(self.verdict_dot, self.verdict_text, stretched=0)
        row.setStretch(1, 1)
        row.setAlignment(self.verdict_dot, Qt.AlignmentFlag.AlignTop)
        in_a_column(self.verdict, row)
        super().__init__(
            [
                *(self.title, self.below, button_row(*self.buttons), self.verdict),
                self.problem,
            ]
        )
        self.column.setSpacing(7)
        self.column.setContentsMargins(0, 4, 4, 4)
        self.column.addWidget(self.folder_button, alignment=Qt.AlignmentFlag.AlignRight)
        self.end()
        self.show_entry(None)

    def show_entry(self, entry: Entry | None) -> None:
        """Show a model, or that none is chosen."""
        self._entry = entry
        card = None if entry is None else entry.card
        for part in (*self.buttons, self.below, self.folder_button):
            part.setVisible(entry is not None)
        name = "No model fits the search" if entry is None else entry.name
        self.title.setText(name if card is None else title_of(card))
        while self.panels:
            panel = self.panels.pop()
            self.column.removeWidget(panel)
            panel.hide()
            panel.deleteLater()
        self.problem.clear()
        if entry is not None and card is None:
            self.below.setText(f"damaged · {megabytes(entry.size)}")
            self.problem.show_error(entry.problem)
        elif entry is not None and card is not None:
            self._show_card(entry, card)
        self.verdict.hide()
        self._set_buttons()
        self.verticalScrollBar().setValue(0)

    def _show_card(self, entry: Entry, card: ModelCard) -> None:
        parts = [card.id, version_text(card), megabytes(entry.size), entry.origin]
        parts.append("★ the default" if entry.is_default else "")
        # short parts do not break
        parts = [p.replace(" ", "\u00a0") if len(p) < 21 else p for p in parts if p]
        self.below.setText(" · ".join(parts))
        rows = _rows_of(card, entry.sizes)
        rows = [row for row in rows if row[0] != "Came from"]
        rows += [("Came from", _origin_text(entry, card)), ("File", str(entry.path))]
        self.panels = [*quality_tables(card), card_table(rows)]
        for panel in self.panels:
            self.column.insertWidget(self.column.count() - 2, panel)

    def show_verdict(self, verdict: "Verdict") -> None:
        """Show the result of a verification, until another model is shown."""
        self.verdict_dot.set_mark(Mark.GOOD if verdict.ok else Mark.BAD)
        begin = "Checked: " if verdict.ok else "Do not use it: "
        self.verdict_text.setText(f"{begin}{verdict.text}.")
        self.verdict.show()

    def set_busy(self, busy: bool) -> None:
        """Lock what would disturb the work that is under way."""
        if self.window().focusWidget() in self.buttons:
            self.setFocus()  # a button that goes off passes it on, and the page scrolls
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


def digest_text(digits: str) -> str:
    """Write a checksum in blocks that can be compared, and break."""
    return " ".join(digits[at : at + 16] for at in range(0, len(digits), 16))


def _origin_text(entry: Entry, card: ModelCard) -> str:
    """Write where a model comes from, with what its card keeps of it."""
    lines = [f"{entry.origin[:1].upper()}{entry.origin[1:]}"]
    for key, value in card.source.items():
        if key in _SOURCE_WORDS:
            text = digest_text(str(value)) if "sha256" in key else value
            lines.append(f"{_SOURCE_WORDS[key]}: {text}")
    return "\n".join(lines)
