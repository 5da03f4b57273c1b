"""The table of models: columns come and go with the width, Enter uses, Del deletes."""

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QModelIndex,
    QObject,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QFontMetrics, QKeyEvent, QPainter, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from napari_sparsessp.models.card import origin_word
from napari_sparsessp.ui.widgets.basic import Mark, draw_mark
from napari_sparsessp.ui.widgets.card_text import TOPOLOGIES, structure_names
from napari_sparsessp.ui.widgets.stack_input import size_text
from napari_sparsessp.ui.widgets.style import Tones, mix

if TYPE_CHECKING:
    from pathlib import Path

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
    """Rows are `napari_sparsessp.models.collection.Entry`."""

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


# In this order columns come as the dock grows; the name is always there.
_IMPORTANCE = (
    Column.SHOWS,
    Column.ORIGIN,
    Column.KIND,
    Column.SIZE,
    Column.RATIOS,
    Column.LICENCE,
    Column.VOXEL,
)
_NAME_LETTERS = 24
_WIDEST_LETTERS = 22
_PAD = 14


class _Cell(QStyledItemDelegate):
    """Text of a row; the name has a star for the default, a cross for damaged."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint the row's back, marks and text."""
        view = self.parent()
        tones = Tones.of(view)
        entry: Entry = index.data(ENTRY)
        area = QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(view.font())
        chosen = view.selectionModel().isRowSelected(index.row(), QModelIndex())
        if chosen:
            share = 0.34 if view.hasFocus() else 0.2
            painter.fillRect(area, mix(tones.panel, tones.accent, share))
        ink = tones.text if index.column() == Column.NAME else tones.muted
        if chosen:
            ink = tones.text
        text = area.adjusted(3, 0, -9, 0)
        if index.column() == Column.NAME:
            if entry.problem:
                text.setRight(text.right() - 16)
                centre = text.center()
                centre.setX(text.right() + 9)
                draw_mark(painter, centre, 6.5, Mark.BAD, tones)
            elif entry.is_default:
                text.setRight(text.right() - 18)
                star = QRectF(text.right() + 2, area.top(), 16, area.height())
                painter.setPen(tones.warn)
                painter.drawText(star, Qt.AlignmentFlag.AlignCenter, "★")
        painter.setPen(ink)
        metrics = QFontMetrics(painter.font())
        # Names that begin alike differ at their end.
        told = metrics.elidedText(
            str(index.data()), Qt.TextElideMode.ElideMiddle, int(text.width())
        )
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, told)
        painter.restore()

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:
        """Give every row the same height."""
        return QSize(40, self.parent().fontMetrics().height() + 9)


class ModelsTable(QTableView):
    """View of the models.

    Signals
    -------
    chosen : Entry or None
        The model whose card is wanted.
    use_asked, delete_asked, rename_asked
        Enter or a double click, Del, F2: of the chosen model.
    """

    chosen = Signal(object)
    use_asked = Signal()
    delete_asked = Signal()
    rename_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.rows = ModelsModel(self)
        self.filter = ModelsFilter(self)
        self.filter.setSourceModel(self.rows)
        self.setModel(self.filter)
        self._shown: Path | None = None
        self._row = 0
        self.setAccessibleName("Models")
        self.setItemDelegate(_Cell(self))
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setSortIndicatorClearable(True)
        self.setSortingEnabled(True)
        self.doubleClicked.connect(lambda _index: self.use_asked.emit())

    # what is shown ------------------------------------------------------------

    def show_entries(
        self, entries: "list[Entry]", choose: "Path | None" = None
    ) -> None:
        """Show these models; the chosen one stays chosen where it is still there.

        Parameters
        ----------
        entries : list of Entry
        choose : Path, optional
            Of the model to choose instead.
        """
        keep = choose or self._shown
        place = self.verticalScrollBar().value()
        if self.rows.set_entries(entries) or choose is not None:
            self._fit_columns()
            self.verticalScrollBar().setValue(place)
            self.choose(keep)

    def search(self, text: str) -> None:
        """Keep the models that have all these words."""
        keep = self._shown
        self.filter.set_words(text)
        self.choose(keep)

    def entry(self) -> "Entry | None":
        """Give the chosen model."""
        chosen = self.selectionModel().selectedRows()
        return chosen[0].data(ENTRY) if chosen else None

    def choose(self, path: "Path | None") -> None:
        """Choose the model of a path; where it is gone, the one that took its row."""
        rows = range(self.filter.rowCount())
        paths = [self.filter.index(row, 0).data(ENTRY).path for row in rows]
        if not paths:
            self._tell()
            return
        row = paths.index(path) if path in paths else min(self._row, len(paths) - 1)
        self.selectRow(row)
        self.scrollTo(self.filter.index(row, 0))
        self._tell()

    def selectionChanged(self, new: QItemSelection, old: QItemSelection) -> None:
        """Tell which model is chosen."""
        super().selectionChanged(new, old)
        if new.indexes():
            self._tell()

    def _tell(self) -> None:
        entry = self.entry()
        if entry is not None:  # one that is filtered out is shown again afterwards
            self._shown = entry.path
            self._row = self.currentIndex().row()
        self.chosen.emit(entry)

    # looks --------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Work without a mouse."""
        keys = {
            Qt.Key.Key_Return: self.use_asked,
            Qt.Key.Key_Enter: self.use_asked,
            Qt.Key.Key_Delete: self.delete_asked,
            Qt.Key.Key_F2: self.rename_asked,
        }
        signal = keys.get(event.key())
        if signal is None:
            super().keyPressEvent(event)
        else:
            signal.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show as many columns as there is room for."""
        super().resizeEvent(event)
        self._fit_columns()

    def _fit_columns(self) -> None:
        metrics = self.fontMetrics()
        self.verticalHeader().setDefaultSectionSize(metrics.height() + 9)
        letter = metrics.averageCharWidth()
        room = self.viewport().width() - _NAME_LETTERS * letter
        for column in _IMPORTANCE:
            width = self._wanted(column, metrics, letter)
            room -= width
            self.setColumnHidden(column, room < 0)
            self.setColumnWidth(column, width)

    def _wanted(self, column: Column, metrics: QFontMetrics, letter: int) -> int:
        """Width of a column's longest text, within reason."""
        rows = range(self.rows.rowCount())
        texts = {str(self.rows.index(row, column).data()) for row in rows}
        texts.add(str(self.rows.headerData(column, Qt.Orientation.Horizontal)) + "  ▲")
        widest = max(metrics.horizontalAdvance(text) for text in texts)
        return min(widest, _WIDEST_LETTERS * letter) + _PAD

    def minimumSizeHint(self) -> QSize:
        """Show four rows at least."""
        return QSize(200, self.height_of(4))

    def height_of(self, rows: int) -> int:
        """Give the height that shows so many rows, with the header."""
        header = self.horizontalHeader().sizeHint().height()
        return header + rows * (self.fontMetrics().height() + 9) + 4
