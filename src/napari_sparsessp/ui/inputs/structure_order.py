"""The rows of the table in the order that the user asks for."""

from typing import Any

from qtpy.QtCore import QModelIndex, QSortFilterProxyModel, Qt

from napari_sparsessp.ui.inputs.structure_model import StructureModel
from napari_sparsessp.ui.inputs.structure_row import NUMBERS, SHORT, TIPS, Column

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
