"""The view of the table of scores: choose, tick, sort and copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QEvent, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QColor, QKeySequence, QResizeEvent, QShortcut, QShowEvent
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableView

COLUMNS = (
    ("", "Structure", "Tick what is to be shown."),
    (
        "r2",
        "R²",
        "R² over all voxels against the z-scored truth: 1 is perfect, 0 is no better "
        "than a flat grey image, below 0 is worse than that.",
    ),
    (
        "pcc",
        "PCC",
        "Pearson's correlation over the stack: like R², but blind to brightness and "
        "contrast. A bare trend along z already scores; see PCC in planes in the tip "
        "of a cell.",
    ),
    (
        "ssim",
        "SSIM",
        "Structural similarity, mean over planes, each stack scaled to 0 … 1: "
        "do the patterns look alike?",
    ),
    (
        "mse",
        "MSE",
        "Mean squared error, in squared standard deviations of the truth; best is 0.",
    ),
    (
        "mae",
        "MAE",
        "Mean absolute error, in standard deviations of the truth: 0 is perfect.",
    ),
)
"""Score, heading and tool tip of each column."""
_MARKS = {"no truth": "–", "computing": "…", "predicting": "…", "cannot": "!"}
"""What stands in place of R²; the tip of the row has the words."""
_WORDS = {
    "no truth": "No layer shows the truth; choose one below the table.",
    "computing": "Scores are being computed.",
    "predicting": "It is being predicted; scores follow.",
    "cannot": "It cannot be compared; choose it to read why.",
}
_MORE = (("pcc_plane", "PCC in planes"), ("psnr", "PSNR, dB"), ("nrmse", "NRMSE"))


@dataclass
class ScoreRow:
    """One structure.

    Attributes
    ----------
    id, label, colour : str
    shown : bool
        Whether its layers are to be seen.
    truth : str
        Name of its truth layer; "" for none.
    scores : dict or None
    state : str
        Why there are no scores; a key of `_MARKS`, or "".
    """

    id: str
    label: str
    colour: str
    shown: bool = True
    truth: str = ""
    scores: dict[str, Any] | None = None
    state: str = ""


class ScoreModel(QAbstractTableModel):
    """Structures and their scores; may be sorted by any column.

    Signals
    -------
    shown_changed
        The user ticked or unticked a structure.
    """

    shown_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[ScoreRow] = []
        self._sorting: tuple[int, Qt.SortOrder] | None = None

    @property
    def rows(self) -> tuple[ScoreRow, ...]:
        """Rows in the order that is seen."""
        return tuple(self._rows)

    def set_rows(self, rows: Sequence[ScoreRow]) -> None:
        """Show these; ids that were there keep their tick."""
        ticks = {row.id: row.shown for row in self._rows}
        same = [row.id for row in rows] == [row.id for row in self._rows]
        for row in rows:
            row.shown = ticks.get(row.id, row.shown)
        if same and self._sorting is None:
            self._rows = list(rows)
            self._refresh()
            return
        self.beginResetModel()
        self._rows = list(rows)
        self._arrange()
        self.endResetModel()

    def shown(self) -> tuple[str, ...]:
        """Ids of the ticked structures."""
        return tuple(row.id for row in self._rows if row.shown)

    def set_shown(self, ids: Sequence[str]) -> None:
        """Tick these and no others, without telling anyone."""
        for row in self._rows:
            row.shown = row.id in ids
        self._refresh()

    def update_row(self, id_: str, **changes: Any) -> None:
        """Change fields of a row."""
        for row in self._rows:
            if row.id == id_:
                for name, value in changes.items():
                    setattr(row, name, value)
        self._refresh()

    def row_of(self, id_: str) -> int:
        """Place of a structure; -1 where it is not there."""
        return next((n for n, row in enumerate(self._rows) if row.id == id_), -1)

    def as_text(self, separator: str = "\t", scores: Sequence[str] = ()) -> str:
        """Write the table, a line each structure, with all digits.

        Parameters
        ----------
        separator : str
        scores : sequence of str
            Which; those of the columns where left out.
        """
        keys = tuple(scores) or tuple(key for key, _, _ in COLUMNS if key)
        lines = [separator.join(("structure", *keys))]
        for row in self._rows:
            found: Mapping[str, Any] = row.scores or {}
            cells = ["" if found.get(key) is None else str(found[key]) for key in keys]
            lines.append(separator.join((row.id, *cells)))
        return "\n".join(lines) + "\n"

    # Qt -----------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Count the structures."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Count the columns."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Tell what can be done with a cell."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == 0:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Give headings and what they mean."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        _, heading, tip = COLUMNS[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return heading
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = (
                Qt.AlignmentFlag.AlignRight if section else Qt.AlignmentFlag.AlignLeft
            )
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Give what a cell shows."""
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return row.label if column == 0 else self._number(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tip(row)
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            return QColor(row.colour)
        if role == Qt.ItemDataRole.CheckStateRole and column == 0:
            return Qt.CheckState.Checked if row.shown else Qt.CheckState.Unchecked
        return None

    def setData(
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Tick or untick a structure."""
        if role != Qt.ItemDataRole.CheckStateRole or index.column() != 0:
            return False
        self._rows[index.row()].shown = Qt.CheckState(value) == Qt.CheckState.Checked
        self.dataChanged.emit(index, index)
        self.shown_changed.emit()
        return True

    def sort(
        self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder
    ) -> None:
        """Sort; what has no score comes last."""
        if column < 0:
            return
        self._sorting = column, order
        self.layoutAboutToBeChanged.emit()
        before = list(self._rows)
        self._arrange()
        for old in self.persistentIndexList():
            now = self._rows.index(before[old.row()])
            self.changePersistentIndex(old, self.index(now, old.column()))
        self.layoutChanged.emit()

    def _arrange(self) -> None:
        if self._sorting is None:
            return
        column, order = self._sorting
        down = order == Qt.SortOrder.DescendingOrder
        if column == 0:
            self._rows.sort(key=lambda row: row.label.lower(), reverse=down)
            return
        key = COLUMNS[column][0]
        known = [row for row in self._rows if (row.scores or {}).get(key) is not None]
        rest = [row for row in self._rows if row not in known]
        known.sort(key=lambda row: (row.scores or {})[key], reverse=down)
        self._rows = known + rest

    def _number(self, row: ScoreRow, column: int) -> str:
        if row.scores is None:
            return _MARKS.get(row.state, "") if column == 1 else ""
        value = row.scores.get(COLUMNS[column][0])
        return _short(value)

    def _refresh(self) -> None:
        if self._rows:
            last = self.index(len(self._rows) - 1, len(COLUMNS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)


def _short(value: float | None) -> str:
    """Write a number in four characters and a sign."""
    if value is None:
        return "–"
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    text = f"{value:.{digits}f}" if abs(value) < 9999 else "≫"
    return text.replace("-", "−")


def _tip(row: ScoreRow) -> str:
    """Say all that is known of a structure."""
    lines = [row.label]
    if row.truth:
        lines.append(f"Truth: {row.truth}")
    if row.state in _WORDS and not row.scores:
        lines.append(_WORDS[row.state])
    scores = row.scores or {}
    for key, name in (*((k, h) for k, h, _ in COLUMNS if k), *_MORE):
        if scores.get(key) is not None:
            lines.append(f"{name}: {scores[key]:.4f}".replace("-", "−"))
    return "\n".join(lines)


_MOST_ROWS = 12
_BEFORE_NAME = 48
_FEWEST_LETTERS = "Endoplasm…"
_CAN_WAIT = ("mse", "ssim")
"""Scores that a narrow table leaves to its tips and to what is copied."""
# R² and PCC: only they can be negative.
_SIGNED = (1, 2)


class CompareTable(QTableView):
    """Shows a `ScoreModel`.

    Parameters
    ----------
    model : ScoreModel

    Signals
    -------
    chosen : str
        The structure that the user looks at; its plots are shown.
    """

    chosen = Signal(str)

    def __init__(self, model: ScoreModel) -> None:
        super().__init__()
        self._scores = model
        self.setModel(model)
        self.setProperty("role", "scores")
        self.setAccessibleName("Scores by structure")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setIconSize(QSize(10, 10))
        header = self.horizontalHeader()
        assert header is not None
        # unsorted at first: in the model's order
        header.setSortIndicator(-1, Qt.SortOrder.DescendingOrder)
        self.setSortingEnabled(True)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        side = self.verticalHeader()
        assert side is not None
        side.hide()
        side.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        copy = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self)
        copy.setContext(Qt.ShortcutContext.WidgetShortcut)
        copy.activated.connect(self.copy)
        model.modelReset.connect(self._fit)
        model.dataChanged.connect(lambda *_: self._fit())

    def choose(self, id_: str) -> None:
        """Choose a structure; where it is not there, the first one."""
        row = max(self._scores.row_of(id_), 0)
        if self._scores.rows:
            self.setCurrentIndex(self._scores.index(row, 0))

    def structure(self) -> str:
        """Id of the chosen structure; "" for none."""
        row = self.currentIndex().row()
        return self._scores.rows[row].id if 0 <= row < len(self._scores.rows) else ""

    def copy(self) -> None:
        """Copy the whole table, with all digits, for a spreadsheet."""
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self._scores.as_text())

    def currentChanged(self, now: QModelIndex, before: QModelIndex) -> None:
        """Tell which structure is looked at."""
        super().currentChanged(now, before)
        if now.isValid() and now.row() != before.row():
            self.chosen.emit(self.structure())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Leave room for the names in a narrow dock."""
        super().resizeEvent(event)
        self._set_widths()

    def sizeHint(self) -> QSize:
        """Be as high as the rows are, up to twelve."""
        header = self.horizontalHeader()
        side = self.verticalHeader()
        assert header is not None
        assert side is not None
        rows = range(min(len(self._scores.rows), _MOST_ROWS))
        height = sum(side.sectionSize(row) for row in rows)
        return QSize(300, height + header.sizeHint().height() + 4)

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the size of the font."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._set_widths()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the font of the place where it is shown."""
        super().showEvent(event)
        self._set_widths()

    def _set_widths(self) -> None:
        """Leave to names what numbers do not need."""
        header = self.horizontalHeader()
        assert header is not None
        text = self.fontMetrics().horizontalAdvance
        room = self.width() - text(_FEWEST_LETTERS) - _BEFORE_NAME
        for column in range(1, len(COLUMNS)):
            widest = "−0.00" if column in _SIGNED else "0.00"
            header.resizeSection(column, text(widest) + 9)
            room -= text(widest) + 9
        for key in _CAN_WAIT:  # names that cannot be told apart are worse
            column = next(n for n, one in enumerate(COLUMNS) if one[0] == key)
            self.setColumnHidden(column, room < 0)
            room += text("0.00") + 9

    def _fit(self) -> None:
        height = self.sizeHint().height()
        if self.height() != height:
            self.setFixedHeight(height)
