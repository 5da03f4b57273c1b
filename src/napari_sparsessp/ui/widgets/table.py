"""Tables of all docks: columns are declared, rows are plain objects.

A `Column` says what a cell shows, how it is painted and edited, and what the column
means; `RowsModel` holds the rows, `RowsOrder` sorts and filters them, and `RowsView`
shows them: columns give way in a narrow dock, and all of it works by keyboard.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor

from napari_sparsessp.ui.widgets.basic import Mark

ROW = Qt.ItemDataRole.UserRole + 1
"""The row's object, of any cell."""

VALUE = Qt.ItemDataRole.UserRole + 2
"""Value that a cell sorts by, or that a bar shows."""

_ARROWS = {Qt.SortOrder.AscendingOrder: "▴", Qt.SortOrder.DescendingOrder: "▾"}


class Kind(Enum):
    """How a cell is painted."""

    TEXT = "text"
    NUMBER = "number"
    CHECK = "check box in the row's colour, then text"
    SWATCH = "square in the row's colour, then text"
    EYE = "an open or a struck eye"
    BAR = "number over a bar from 0 to 1"
    CHOICE = "text that a click opens a list for"


@dataclass(frozen=True)
class Column:
    """One column; every callable takes the row's object."""

    key: str
    title: str
    text: Callable[[Any], str] = lambda _row: ""
    tip: str = ""  # what the column means: of its header and cells
    kind: Kind = Kind.TEXT
    # what it sorts by and what a bar shows; the text where left out
    value: Callable[[Any], Any] | None = None
    cell_tip: Callable[[Any], str] | None = None  # instead of `tip`
    accessible: Callable[[Any], str] | None = None  # for screen readers
    # state of a box or an eye (None: there is none), and what a click does
    checked: Callable[[Any], bool | None] | None = None
    set_checked: Callable[[Any, bool], None] | None = None
    # of `Kind.CHOICE`: current value, (value, label) pairs, what a choice does
    chosen: Callable[[Any], Any] | None = None
    choices: Callable[[Any], Sequence[tuple[Any, str]]] | None = None
    choose: Callable[[Any, Any], None] | None = None
    can_edit: Callable[[Any], bool] | None = None  # always, where left out
    colour: Callable[[Any], QColor] | None = None  # of box and swatch
    ink: Callable[[Any], str | None] | None = None  # tone of the text, such as "muted"
    mark: Callable[[Any], "Mark | str | None"] | None = None  # behind the text
    notch: Callable[[Any], float | None] | None = None  # second value on a bar
    bold: bool = True  # the number over a bar
    sortable: bool = False
    descending: bool = False  # the greatest come first
    short: str = ""  # header where there is little room
    sample: str = ""  # has room; the widest text where left out
    narrow: int | None = None  # pixels where there is little room
    most_letters: int | None = None
    elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight
    gives_way: int = 0  # the greatest number is hidden first; 0 stays
    # whether it has anything to say, given all rows
    shown: Callable[[Sequence[Any]], bool] | None = None

    @property
    def right(self) -> bool:
        """Whether its texts end at the right."""
        return self.kind in (Kind.NUMBER, Kind.BAR)

    def sort_key(self, row: Any) -> Any:
        """Return what a row sorts by; None comes last."""
        if self.value is not None:
            return self.value(row)
        return self.text(row).casefold()


def alignment(column: Column) -> Qt.AlignmentFlag:
    """Return where the texts of a column stand."""
    side = Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


class RowsModel(QAbstractTableModel):
    """Rows of any objects under declared columns; the first column names the row.

    `key` identifies a row when others replace it.
    """

    edited = Signal(object, str)  # by the user: row, and key of the column

    def __init__(
        self, columns: Sequence[Column], key: Callable[[Any], Hashable]
    ) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.key = key
        self.rows: tuple[Any, ...] = ()  # in their own order, whatever a view sorts by
        self._titles: dict[str, str] = {}

    def set_rows(self, rows: Iterable[Any]) -> bool:
        """Replace the rows; return True where others are listed than before."""
        rows = tuple(rows)
        other = list(map(self.key, rows)) != list(map(self.key, self.rows))
        if other:
            self.beginResetModel()
        self.rows = rows
        if other:
            self.endResetModel()
        else:
            self.refresh()
        return other

    def row(self, key: Hashable) -> Any | None:
        """Return the row with a key, or None."""
        return next((row for row in self.rows if self.key(row) == key), None)

    def place(self, key: Hashable) -> int:
        """Return the number of a row, or -1."""
        return next((n for n, row in enumerate(self.rows) if self.key(row) == key), -1)

    def column(self, key: str) -> int:
        """Return the number of a column."""
        return next(n for n, one in enumerate(self.columns) if one.key == key)

    def refresh(self) -> None:
        """Show what the rows' objects hold now."""
        if self.rows:
            last = self.index(len(self.rows) - 1, len(self.columns) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def set_title(self, key: str, title: str) -> None:
        """Rename a column."""
        self._titles[key] = title
        number = self.column(key)
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, number, number)

    def as_text(
        self,
        values: Mapping[str, Callable[[Any], object]],
        separator: str = "\t",
        rows: Iterable[Any] | None = None,
    ) -> str:
        """Return a header line and a line for each row, for a spreadsheet."""
        lines = [list(values)]
        for row in self.rows if rows is None else rows:
            cells = [value(row) for value in values.values()]
            lines.append(["" if cell is None else str(cell) for cell in cells])
        return "".join(separator.join(line) + "\n" for line in lines)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Count the rows."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Count the columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return what can be done with a cell."""
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        row, column = self.rows[index.row()], self.columns[index.column()]
        if column.can_edit is not None and not column.can_edit(row):
            return flags
        state = None if column.checked is None else column.checked(row)
        if state is not None and column.set_checked is not None:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        if column.choose is not None:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        if not index.isValid():
            return None
        row, column = self.rows[index.row()], self.columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.cell_tip(row) if column.cell_tip else column.tip
        if role == Qt.ItemDataRole.CheckStateRole and column.checked is not None:
            state = column.checked(row)
            if state is not None:
                return Qt.CheckState.Checked if state else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.DecorationRole and column.colour is not None:
            return QColor(column.colour(row))
        if role == Qt.ItemDataRole.EditRole and column.chosen is not None:
            return column.chosen(row)
        if role == Qt.ItemDataRole.AccessibleTextRole and column.accessible is not None:
            return column.accessible(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return alignment(column)
        if role == ROW:
            return row
        if role == VALUE:
            return column.sort_key(row)
        return None

    def setData(
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Toggle a box or an eye, or take a choice over."""
        row, column = self.rows[index.row()], self.columns[index.column()]
        flags = self.flags(index)
        if role == Qt.ItemDataRole.CheckStateRole and column.set_checked is not None:
            if not flags & Qt.ItemFlag.ItemIsUserCheckable:
                return False
            on = value in (Qt.CheckState.Checked, Qt.CheckState.Checked.value, True)
            column.set_checked(row, on)
        elif role == Qt.ItemDataRole.EditRole and column.choose is not None:
            if not flags & Qt.ItemFlag.ItemIsEditable:
                return False
            column.choose(row, value)
        else:
            return False
        last = len(self.columns) - 1
        self.dataChanged.emit(index.siblingAtColumn(0), index.siblingAtColumn(last))
        self.edited.emit(row, column.key)
        return True

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return titles and what they mean."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._titles.get(column.key, column.title)
        if role == Qt.ItemDataRole.ToolTipRole:
            return (
                f"{column.tip}\nClick to sort (S)." if column.sortable else column.tip
            )
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return alignment(column)
        return None


class RowsOrder(QSortFilterProxyModel):
    """Sort by a column and keep rows that have all words; missing values come last.

    Rows do not jump while values come in: they are sorted when the user asks, when
    other rows are listed, and by `settle`. `words` returns a row's texts to search.
    """

    def __init__(
        self, model: RowsModel, words: Callable[[Any], Iterable[str]] = lambda _row: ()
    ) -> None:
        super().__init__(model)
        self.rows_model = model
        self.by: int | None = None
        self.order = Qt.SortOrder.AscendingOrder
        self._short = False
        self._words_of = words
        self._words: tuple[str, ...] = ()
        self.setDynamicSortFilter(False)
        self.setSourceModel(model)
        model.modelReset.connect(self.settle)

    def cycle(self, column: int) -> None:
        """Sort by a column, then the other way round, then not at all."""
        declared = self.rows_model.columns[column]
        if not declared.sortable:
            return
        up, down = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder
        first, second = (down, up) if declared.descending else (up, down)
        if self.by != column:
            self.by, self.order = column, first
        elif self.order == first:
            self.order = second
        else:
            self.by = None
        self.settle()

    def cycle_on(self, columns: Sequence[int]) -> None:
        """Go on to the next of these columns, and after the last to no order."""
        usable = [one for one in columns if self.rows_model.columns[one].sortable]
        place = usable.index(self.by) + 1 if self.by in usable else 0
        if place < len(usable):
            self.cycle(usable[place])
        else:
            self.by = None
            self.settle()

    def search(self, text: str) -> None:
        """Keep only rows that have all these words."""
        self.beginResetModel()
        self._words = tuple(text.casefold().split())
        self.endResetModel()
        self.settle()

    def set_short(self, short: bool) -> None:
        """Use the columns' short titles, or the whole ones."""
        if short != self._short:
            self._short = short
            self._show_titles()

    def settle(self) -> None:
        """Sort by the values of now, and show by which."""
        if self.by is None:  # in the other order Qt would turn the rows round
            self.sort(-1, Qt.SortOrder.AscendingOrder)
        else:
            self.sort(self.by, self.order)
        self._show_titles()

    def _show_titles(self) -> None:
        last = self.columnCount() - 1
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, last)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return titles; an arrow shows by which column the rows are sorted."""
        title = super().headerData(section, orientation, role)
        if role != Qt.ItemDataRole.DisplayRole or title is None:
            return title
        column = self.rows_model.columns[section]
        title = column.short if self._short and column.short else title
        return f"{title}\u2009{_ARROWS[self.order]}" if section == self.by else title

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:
        """Compare two cells."""
        one, other = left.data(VALUE), right.data(VALUE)
        if one is None or other is None:
            up = self.order == Qt.SortOrder.AscendingOrder
            return (one is not None) if up else (other is not None and one is None)
        return bool(one < other)

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Look for all words in what a row says."""
        text = "\n".join(self._words_of(self.rows_model.rows[row])).casefold()
        return all(word in text for word in self._words)
