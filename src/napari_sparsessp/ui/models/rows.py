"""The list of all models as Qt sees it: rows, columns, sorting and filtering."""

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QSortFilterProxyModel,
    Qt,
)

from napari_sparsessp.models.card import origin_word
from napari_sparsessp.ui.engine.model_words import TOPOLOGIES, structure_names
from napari_sparsessp.ui.inputs.expectation import size_text

if TYPE_CHECKING:
    from napari_sparsessp.models.library import Entry

SORT = Qt.ItemDataRole.UserRole
ENTRY = Qt.ItemDataRole.UserRole + 1


class Column(IntEnum):
    """Columns of the table."""

    NAME = 0
    SHOWS = 1
    KIND = 2
    RATIOS = 3
    VOXEL = 4
    SIZE = 5
    ORIGIN = 6
    LICENCE = 7


HEADERS = {
    Column.NAME: "Model",
    Column.SHOWS: "Shows",
    Column.KIND: "Network",
    Column.RATIOS: "Ratios",
    Column.VOXEL: "Voxel",
    Column.SIZE: "Size",
    Column.ORIGIN: "From",
    Column.LICENCE: "Licence",
}
TIPS = {
    Column.NAME: "What people call it. The star marks the default.",
    Column.SHOWS: "The structures that it predicts.",
    Column.KIND: "Topology: whether encoder and decoder see planes or volumes.",
    Column.RATIOS: "Sparsity ratios it was trained for: 4 means that one plane in "
    "four was imaged.",
    Column.VOXEL: "Voxel size of its grid; your stack is resampled to it.",
    Column.SIZE: "On the disk.",
    Column.ORIGIN: "Whether it came with the plugin, was trained, imported or fetched.",
    Column.LICENCE: "What you may do with its weights.",
}


def megabytes(size: float) -> str:
    """Write a size of a file: ``9.3 MB``, ``1.2 GB``."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


class ModelsModel(QAbstractTableModel):
    """Rows are `napari_sparsessp.models.library.Entry`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.entries: tuple[Entry, ...] = ()

    def set_entries(self, entries: "Sequence[Entry]") -> bool:
        """Show these models; tell whether anything is another."""
        if tuple(entries) == self.entries:
            return False
        self.beginResetModel()
        self.entries = tuple(entries)
        self.endResetModel()
        return True

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Count the models."""
        return 0 if parent is not None and parent.isValid() else len(self.entries)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Count the columns."""
        return 0 if parent is not None and parent.isValid() else len(Column)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Name a column, or say what it means."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = Column(section)
        if role == Qt.ItemDataRole.DisplayRole:
            return HEADERS[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{TIPS[column]} Click to sort."
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Give what a cell shows, how it sorts, and its model."""
        if not index.isValid():
            return None
        entry, column = self.entries[index.row()], Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return cell_text(entry, column)
        if role == SORT:
            return _sort_key(entry, column)
        if role == ENTRY:
            return entry
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tip(entry, column)
        if role == Qt.ItemDataRole.AccessibleTextRole and column is Column.NAME:
            extra = "damaged" if entry.problem else "default" * entry.is_default
            return f"{entry.name}, {extra}" if extra else entry.name
        return None


def cell_text(entry: "Entry", column: Column) -> str:
    """Write what a cell shows."""
    card = entry.card
    if column is Column.NAME:
        return entry.name
    if column is Column.SIZE:
        return megabytes(entry.size)
    if card is None:
        return "damaged" if column is Column.SHOWS else ""
    if column is Column.SHOWS:
        many = len(card.structures)
        return structure_names(card.structures) if many < 2 else f"{many} structures"
    return {
        Column.KIND: TOPOLOGIES[card.topology][0],
        Column.RATIOS: ", ".join(f"{ratio:g}" for ratio in card.ratios),
        Column.VOXEL: size_text(card.voxel_size),
        Column.ORIGIN: origin_word(card.source, shipped=entry.shipped),
        Column.LICENCE: card.licence,
    }[column]


def _tip(entry: "Entry", column: Column) -> str:
    if entry.card is None:
        return entry.problem
    if column is Column.NAME:
        default = "\nThe default: what is used where no model is chosen."
        return f"{entry.name}\n{entry.card.id}{default * entry.is_default}"
    if column is Column.SHOWS:
        return structure_names(entry.card.structures)
    if column is Column.KIND:
        return TOPOLOGIES[entry.card.topology][1]
    if column is Column.ORIGIN:
        return entry.origin
    return cell_text(entry, column)


def _sort_key(entry: "Entry", column: Column) -> Any:
    card = entry.card
    if column is Column.SIZE:
        return entry.size
    if column is Column.SHOWS:
        return 0 if card is None else len(card.structures)
    if column is Column.RATIOS:
        return 0.0 if card is None else max(card.ratios)
    if column is Column.VOXEL:
        return 0.0 if card is None else float(card.voxel_size[0])
    return cell_text(entry, column).casefold()


class ModelsFilter(QSortFilterProxyModel):
    """Sorts, and keeps the models that have all the words that were typed."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: tuple[str, ...] = ()
        self.setSortRole(SORT)
        self.setDynamicSortFilter(True)

    def set_words(self, text: str) -> None:
        """Keep only models that have all these words somewhere."""
        self.beginResetModel()
        self._words = tuple(text.casefold().split())
        self.endResetModel()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Look for the words in all that a row says."""
        if not self._words:
            return True
        entry = self.sourceModel().data(self.sourceModel().index(row, 0), ENTRY)
        said = [cell_text(entry, column) for column in Column]
        if entry.card is not None:
            card = entry.card
            said += [card.id, structure_names(card.structures), *card.structures]
            said += [entry.origin, card.modality, card.citation, card.topology]
        text = "\n".join(said).casefold()
        return all(word in text for word in self._words)
