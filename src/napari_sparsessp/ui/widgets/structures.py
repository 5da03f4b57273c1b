"""The table of structures: tick, colour, name, eyes, truth layer and scores."""

from typing import Any

from qtpy.QtCore import QModelIndex, QObject, QSortFilterProxyModel, Qt
from qtpy.QtGui import QFontMetrics, QKeyEvent, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableView,
)

from napari_sparsessp.ui.widgets.structure_model import (
    HEADERS,
    NARROW_TRUTH,
    NUMBERS,
    ROW_HEIGHT,
    SHORT,
    TIPS,
    Cell,
    Column,
    EyeCell,
    NameCell,
    NumberCell,
    ScoreCell,
    StructureModel,
    TruthCell,
    toggle,
)

SORTABLE = (Column.NAME, *NUMBERS)
_ARROWS = {
    Qt.SortOrder.AscendingOrder: "\u2009▴",
    Qt.SortOrder.DescendingOrder: "\u2009▾",
}


class StructureOrder(QSortFilterProxyModel):
    """Sorts by name or by a score; what has no score comes last, either way.

    Rows do not jump while scores come in: they are sorted when it is asked for and
    when a prediction has ended.

    Parameters
    ----------
    model : StructureModel
        Its own order, the model's, is what the table begins with.
    """

    def __init__(self, model: StructureModel) -> None:
        super().__init__()
        self._model = model
        self.short = False  # there is little room for headers
        self.by: Column | None = None
        self.order = Qt.SortOrder.AscendingOrder
        self.setDynamicSortFilter(False)
        self.setSourceModel(model)
        model.modelReset.connect(self.settle)
        model.unlocked.connect(self.settle)

    def cycle(self, column: int) -> None:
        """Sort by a column, the other way round, or, the third time, not at all."""
        wanted = Column(column)
        if wanted not in SORTABLE:
            return
        up, down = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder
        first = up if wanted is Column.NAME else down  # the best first
        if self.by is not wanted:
            self.by, self.order = wanted, first
        elif self.order == first:
            self.order = down if first == up else up
        else:
            self.by = None
        self.settle()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(Column) - 1)

    def cycle_on(self, columns: tuple[Column, ...]) -> None:
        """Go on to the next way of sorting, for those who use the keyboard.

        Parameters
        ----------
        columns : tuple of Column
            Those that are shown.
        """
        usable = [one for one in SORTABLE if one in columns]
        if self.by is None or self.by not in usable:
            self.cycle(usable[0])
            return
        place = usable.index(self.by) + 1
        self.by = None if place == len(usable) else self.by
        if self.by is None:
            self.cycle_off()
        else:
            self.cycle(usable[place])

    def cycle_off(self) -> None:
        """Go back to the model's own order."""
        self.by = None
        self.settle()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(Column) - 1)

    def set_short(self, short: bool) -> None:
        """Use short names for columns, or whole ones."""
        if short != self.short:
            self.short = short
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(Column) - 1)

    def settle(self) -> None:
        """Sort by what is known now."""
        if self.by is None:
            self.sort(-1)
        else:
            self.sort(self.by, self.order)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Name the columns; an arrow tells by which the rows are sorted."""
        found = super().headerData(section, orientation, role)
        if orientation != Qt.Orientation.Horizontal or section not in SORTABLE:
            return found
        if role == Qt.ItemDataRole.DisplayRole:
            name = SHORT.get(Column(section), found) if self.short else found
            return name + _ARROWS[self.order] if section == self.by else name
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{found or TIPS[Column(section)]}\nClick to sort (S)."
        return found

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:
        """Compare two cells."""
        column = Column(left.column())
        rows = self._model.rows
        one, other = rows[left.row()], rows[right.row()]
        if column is Column.NAME:
            return one.structure.label.lower() < other.structure.label.lower()
        first, second = one.number(column), other.number(column)
        if first is None or second is None:
            last = second is None and first is not None
            missing = first is None and second is not None
            up = self.order == Qt.SortOrder.AscendingOrder
            return last if up else missing
        return first < second


_EYE, _WIDE_TRUTH = 26, 92
# Around a number, and before a name: its box.
_PADDING, _BEFORE_NAME = 8, 30


class StructureTable(QTableView):
    """View of a `StructureModel`, in the order that the user asks for.

    Space ticks, V shows or hides, U does so with the uncertainty, Enter picks a truth,
    S sorts. Where there is little room, columns give way that other places tell too.

    Parameters
    ----------
    model : StructureModel
    """

    def __init__(self, model: StructureModel) -> None:
        super().__init__()
        self.structures = model
        self.order = StructureOrder(model)
        self.setModel(self.order)
        self.setAccessibleName("Structures")
        self.setAccessibleDescription(
            "Space ticks, V shows or hides, Enter chooses the truth, S sorts."
        )
        self._cells: list[Cell] = [
            NameCell(self),
            EyeCell(self),
            EyeCell(self),
            TruthCell(self, model),
            NumberCell(self),
            ScoreCell(self),
            NumberCell(self),
        ]
        for column, cell in enumerate(self._cells):
            self.setItemDelegateForColumn(column, cell)
        self._arrange()
        self.clicked.connect(self._on_clicked)
        model.columns_changed.connect(self.fit_columns)
        model.modelReset.connect(self._fit_height)
        self._fit_height()

    def _arrange(self) -> None:
        self.setShowGrid(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.SelectedClicked)
        self.setTabKeyNavigation(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.verticalHeader().setMinimumSectionSize(ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setSectionsClickable(True)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(24)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
        header.sectionClicked.connect(self.order.cycle)

    def shown_columns(self) -> tuple[Column, ...]:
        """Give the columns that have room."""
        return tuple(one for one in Column if not self.isColumnHidden(one))

    def fit_columns(self) -> None:
        """Give each column its width, and hide what has nothing to say or no room."""
        room = self.viewport().width() - self._name_width()
        wanted = self._widths(short=False)
        if sum(wanted.values()) > room:
            wanted = self._widths(short=True)
            self.order.set_short(True)
        else:
            self.order.set_short(False)
        # a notch on the bar of R² tells what was expected, tool tips tell both
        for column in (Column.EXPECTED, Column.PCC):
            if sum(wanted.values()) > room and Column.R2 in wanted:
                wanted.pop(column, None)
        for column in Column:
            if column is not Column.NAME:
                self.setColumnHidden(column, column not in wanted)
                if column in wanted and self.columnWidth(column) != wanted[column]:
                    self.setColumnWidth(column, wanted[column])

    def _widths(self, *, short: bool) -> dict[Column, int]:
        """Widths of the columns that have something to say, but of the names'."""
        truth = max(NARROW_TRUTH, self._header_width(Column.TRUTH, short))
        usual = {
            Column.VISIBLE: _EYE,
            Column.SPREAD: _EYE,
            Column.TRUTH: truth if short else _WIDE_TRUTH,
        }
        doubtful = any(row.doubts for row in self.structures.rows)
        widest = "\u22120.00?" if doubtful else "\u22120.00"
        numbers = QFontMetrics(self.font()).horizontalAdvance(widest) + _PADDING
        return {
            column: usual.get(column, max(numbers, self._header_width(column, short)))
            for column in sorted(self.structures.columns() - {Column.NAME})
        }

    def _header_width(self, column: Column, short: bool) -> int:
        name = SHORT.get(column, HEADERS[column]) if short else HEADERS[column]
        arrow = "\u2009▾" if column in SORTABLE else ""
        metrics = self.horizontalHeader().fontMetrics()
        return int(metrics.horizontalAdvance(name + arrow)) + 6

    def _name_width(self) -> int:
        metrics = QFontMetrics(self.font())
        names = [row.structure.label for row in self.structures.rows]
        widest = max(map(metrics.horizontalAdvance, names), default=0)
        return int(widest) + _BEFORE_NAME

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the room out anew."""
        super().resizeEvent(event)
        self.fit_columns()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Work without a mouse."""
        index = self.currentIndex()
        model = self.model()
        if event.key() == Qt.Key.Key_S:
            self.order.cycle_on(self.shown_columns())
        elif index.isValid() and event.key() == Qt.Key.Key_Space:
            toggle(model, index.siblingAtColumn(Column.NAME))
        elif index.isValid() and event.key() == Qt.Key.Key_V:
            toggle(model, index.siblingAtColumn(Column.VISIBLE))
        elif index.isValid() and event.key() == Qt.Key.Key_U:
            cell = index.siblingAtColumn(Column.SPREAD)
            if cell.flags() & Qt.ItemFlag.ItemIsUserCheckable:
                toggle(model, cell)
        elif index.isValid() and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.edit(index.siblingAtColumn(Column.TRUTH))
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QObject) -> None:
        """Leave scrolling to the dock: the whole table is always shown."""
        event.ignore()

    def _on_clicked(self, index: QModelIndex) -> None:
        if index.column() == Column.TRUTH:
            self.edit(index)

    def _fit_height(self) -> None:
        rows = self.model().rowCount()
        header = self.horizontalHeader().sizeHint().height()
        self.setFixedHeight(header + rows * ROW_HEIGHT + 8)
        self.fit_columns()
