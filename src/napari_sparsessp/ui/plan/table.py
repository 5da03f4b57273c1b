"""The ratios as a table: planes, score, light and time of each; one is chosen."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QFontMetrics, QKeyEvent, QPainter
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from napari_sparsessp.ui.plan.curves import RatioRow
from napari_sparsessp.ui.plan.words import nth, seconds_text
from napari_sparsessp.ui.widgets.style import Tones, mix


class Column(IntEnum):
    """Columns of the table."""

    RATIO = 0
    PLANES = 1
    SCORE = 2
    LIGHT = 3
    STACK = 4
    SERIES = 5


_TIPS = {
    Column.RATIO: "One plane is imaged for every so many of the dense stack.",
    Column.PLANES: "Planes to image for each stack.",
    Column.SCORE: "How good the prediction is, over the chosen structures; ✓ where it "
    "keeps what you ask for.",
    Column.LIGHT: "Light dose, as a share of that of the dense stack.",
    Column.STACK: "Time to image one stack.",
    Column.SERIES: "Time of imaging in the whole time-lapse.",
}


class RatioTable(QAbstractTableModel):
    """Rows of ratios, as `plan_curves.rows_of` gives them."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[RatioRow] = []
        self._score = "R²"

    def set_rows(self, rows: Sequence[RatioRow], score: str) -> None:
        """Show these rows, and call the score so."""
        grown = [one.ratio for one in rows] != [one.ratio for one in self._rows]
        if grown:
            self.beginResetModel()
        self._rows, self._score = list(rows), score
        if grown:
            self.endResetModel()
        elif rows:
            last = self.index(len(rows) - 1, len(Column) - 1)
            self.dataChanged.emit(self.index(0, 0), last)
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(Column) - 1)

    @property
    def rows(self) -> tuple[RatioRow, ...]:
        """What is shown."""
        return tuple(self._rows)

    def row_of(self, ratio: int) -> int:
        """Row of a ratio; -1 where it is not there."""
        ratios = [one.ratio for one in self._rows]
        return ratios.index(ratio) if ratio in ratios else -1

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Count the ratios."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Count the columns."""
        return 0 if parent is not None and parent.isValid() else len(Column)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Tell what a cell shows."""
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == Qt.ItemDataRole.UserRole and column is Column.SCORE:
            return row.enough
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(row, column)
        return None

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Name the columns, and explain them."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = Column(section)
        if role == Qt.ItemDataRole.DisplayRole:
            return {
                Column.RATIO: "Every",
                Column.PLANES: "Planes",
                Column.SCORE: self._score,
                Column.LIGHT: "Light",
                Column.STACK: "Stack",
                Column.SERIES: "Series",
            }[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TIPS[column]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            right = Qt.AlignmentFlag.AlignRight
            side = Qt.AlignmentFlag.AlignLeft if column is Column.RATIO else right
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def _text(self, row: RatioRow, column: Column) -> str:
        cost = row.cost
        if column is Column.RATIO:
            return "all" if row.ratio == 1 else nth(row.ratio)
        if column is Column.PLANES:
            return str(cost.planes)
        if column is Column.SCORE:
            value = "–" if row.score is None else f"{row.score:.3f}"
            mark = {True: " ✓", False: " ✗", None: ""}[row.enough]
            return value.replace("-", "\u2212") + mark
        if column is Column.LIGHT:
            return f"{100 * cost.light:.3g} %"
        if not cost.plane_ms:
            return "–"
        seconds = cost.stack_seconds if column is Column.STACK else cost.series_seconds
        return seconds_text(seconds)

    def _tip(self, row: RatioRow, column: Column) -> str:
        if column is Column.SCORE and row.kept is not None and row.score is not None:
            kept = f"{row.score:.3f}, {100 * row.kept:.0f} % of the densest stack's"
            return f"{kept}\n{_TIPS[column]}"
        return _TIPS[column]


class _Cell(QStyledItemDelegate):
    """A cell whose row is lit where it is the chosen one."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint back and text."""
        view = self.parent()
        tones = Tones.of(view)
        area = QRectF(option.rect)
        chosen = view.currentIndex().row() == index.row()
        painter.save()
        if chosen:
            painter.fillRect(area, mix(tones.panel, tones.accent, 0.30))
            if index.column() == 0:  # told by shape as well as by colour
                bar = QRectF(area.left(), area.top(), 3, area.height())
                painter.fillRect(bar, tones.accent)
        font = view.font()
        font.setBold(chosen)
        painter.setFont(font)
        enough = index.data(Qt.ItemDataRole.UserRole)
        ink = {True: tones.good, False: tones.muted}.get(enough, tones.text)
        painter.setPen(ink)
        first = index.column() == 0
        side = Qt.AlignmentFlag.AlignLeft if first else Qt.AlignmentFlag.AlignRight
        text = QFontMetrics(font).elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, option.rect.width() - 7
        )
        painter.drawText(
            area.adjusted(7 if first else 2, 0, -4, 0),
            side | Qt.AlignmentFlag.AlignVCenter,
            text,
        )
        painter.restore()

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:
        """Give every row the same height, with room for large letters."""
        return QSize(30, QFontMetrics(self.parent().font()).height() + 7)


class RatioView(QTableView):
    """View of a `RatioTable`; arrows and clicks choose a ratio.

    Parameters
    ----------
    model : RatioTable

    Signals
    -------
    chosen : int
        The user chose a ratio.
    """

    chosen = Signal(int)

    def __init__(self, model: RatioTable) -> None:
        super().__init__()
        self._table = model
        self._telling = True
        self._with_series = False
        self.setModel(model)
        self.setAccessibleName("Ratios: planes, score, light and time")
        self.setItemDelegate(_Cell(self))
        self.setShowGrid(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionsClickable(False)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(24)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        model.dataChanged.connect(lambda *_: self.fit_columns())
        model.modelReset.connect(self._fit_height)
        self._fit_height()

    def choose(self, ratio: int | None) -> None:
        """Choose a ratio without telling anyone."""
        row = -1 if ratio is None else self._table.row_of(ratio)
        self._telling = False
        try:
            self.setCurrentIndex(self._table.index(row, 0))
        finally:
            self._telling = True
        self.viewport().update()

    def show_series(self, on: bool) -> None:
        """Show the column of the time-lapse, where it has room."""
        self._with_series = on
        self.fit_columns()

    def fit_columns(self) -> None:
        """Share the room out; what the sentence below tells as well gives way first."""
        widths = {column: self._width(column) for column in Column}
        if not self._with_series:
            del widths[Column.SERIES]
        room = self.viewport().width()
        for column in (Column.SERIES, Column.STACK):
            if sum(widths.values()) > room:
                widths.pop(column, None)
        spare = max(0, room - sum(widths.values())) // len(widths)
        for column in Column:
            self.setColumnHidden(column, column not in widths)
            if column in widths:
                self.setColumnWidth(column, widths[column] + spare)

    def resizeEvent(self, event: Any) -> None:
        """Share the room out anew."""
        super().resizeEvent(event)
        self.fit_columns()

    def _width(self, column: Column) -> int:
        """Pixels that a column's texts need."""
        header = self.horizontalHeader()
        heading = self._table.headerData(column, Qt.Orientation.Horizontal)
        widest = header.fontMetrics().horizontalAdvance(str(heading)) + 8
        font = self.font()
        font.setBold(True)
        metrics = QFontMetrics(font)
        for row in range(self._table.rowCount()):
            text = str(self._table.index(row, column).data())
            widest = max(widest, metrics.horizontalAdvance(text) + 12)
        return widest

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:
        """Tell what the user chose."""
        super().currentChanged(current, previous)
        self.viewport().update()
        if self._telling and current.isValid():
            self.chosen.emit(self._table.rows[current.row()].ratio)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Let Escape pass: it stops what runs."""
        if event.key() == Qt.Key.Key_Escape:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: Any) -> None:
        """Leave scrolling to the dock: the whole table is always shown."""
        event.ignore()

    def changeEvent(self, event: Any) -> None:
        """Make room for another font."""
        super().changeEvent(event)
        if self.model() is not None:
            self._fit_height()

    def _fit_height(self) -> None:
        height = self.fontMetrics().height() + 7
        self.verticalHeader().setMinimumSectionSize(height)
        self.verticalHeader().setDefaultSectionSize(height)
        head = self.horizontalHeader().sizeHint().height()
        self.setFixedHeight(head + self._table.rowCount() * height + 6)
        self.fit_columns()
