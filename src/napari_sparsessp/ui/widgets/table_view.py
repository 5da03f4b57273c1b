"""The view of a table: columns give way where it is narrow, cells paint themselves."""

import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from qtpy.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QPointF,
    QRectF,
    QSignalBlocker,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QKeyEvent,
    QPainter,
    QPainterPath,
    QPen,
    QResizeEvent,
)
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from napari_sparsessp.ui.widgets.basic import Mark, draw_mark
from napari_sparsessp.ui.widgets.style import Tones, mix
from napari_sparsessp.ui.widgets.table import (
    ROW,
    Column,
    Kind,
    RowsModel,
    RowsOrder,
    alignment,
)

_EDITOR_WIDTH = 190


class RowsView(QTableView):
    """View of a `RowsModel` or a `RowsOrder`.

    Arrows and clicks choose a row, Space toggles the first column's box, Enter opens
    the first choice, S sorts; Escape is left to the dock.
    """

    chosen = Signal(object)  # by the user: key of the current row, None for none

    def __init__(
        self,
        model: RowsModel | RowsOrder,
        name: str,
        *,
        all_rows: bool = True,  # as high as they are, instead of scrolling
        emphasised: bool = False,  # current row bold, with and without focus
        even: bool = False,  # all columns share spare room, not only the first
        pale: Callable[[Any], bool] | None = None,
    ) -> None:
        super().__init__()
        self.order = model if isinstance(model, RowsOrder) else None
        self.rows_model = model.rows_model if isinstance(model, RowsOrder) else model
        self.emphasised, self.pale = emphasised, pale
        self._all_rows, self._even = all_rows, even
        # where a row's details are shown elsewhere, it is marked without focus too
        self.unfocused = 0.0 if all_rows else 0.2
        self._hidden: frozenset[str] = frozenset()
        self.setModel(model)
        self.setAccessibleName(name)
        self.setItemDelegate(_RowsDelegate(self))
        self._arrange()
        if self.order is not None:
            self.horizontalHeader().sectionClicked.connect(self.order.cycle)
        self.clicked.connect(self._on_clicked)
        model.dataChanged.connect(lambda *_: self.fit_columns())
        model.modelReset.connect(self._fit_height)
        model.headerDataChanged.connect(lambda *_: self.fit_columns())
        self._fit_height()

    def _arrange(self) -> None:
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        if self._all_rows:
            self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionsClickable(self.order is not None)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        if not self._even:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def current(self) -> Any | None:
        """Return the current row's object, or None."""
        index = self.currentIndex()
        return index.data(ROW) if index.isValid() else None

    def choose(self, key: Hashable | None) -> None:
        """Make a row the current one without emitting `chosen`."""
        place = self.rows_model.place(key)
        index = self.rows_model.index(place, 0)
        if self.order is not None:
            index = self.order.mapFromSource(index)
        with QSignalBlocker(self):
            self.setCurrentIndex(index)
        self.scrollTo(index)
        self.viewport().update()

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:
        """Emit which row the user made the current one."""
        super().currentChanged(current, previous)
        self.viewport().update()
        if current.row() != previous.row():
            row = current.data(ROW) if current.isValid() else None
            self.chosen.emit(None if row is None else self.rows_model.key(row))

    def hide_columns(self, keys: Iterable[str]) -> None:
        """Hide these columns whatever room there is, and no others."""
        self._hidden = frozenset(keys)
        self.fit_columns()

    def shown_columns(self) -> tuple[str, ...]:
        """Return the keys of the columns that have room."""
        columns = enumerate(self.rows_model.columns)
        return tuple(one.key for n, one in columns if not self.isColumnHidden(n))

    def fit_columns(self) -> None:
        """Set the width of each column; hide those that are empty or have no room."""
        rows = self.rows_model.rows
        columns = dict(enumerate(self.rows_model.columns))
        wanted = [
            number
            for number, one in columns.items()
            if one.key not in self._hidden and (one.shown is None or one.shown(rows))
        ]
        room = self.viewport().width()
        widths = {number: self._width(number, short=False) for number in wanted}
        short = sum(widths.values()) > room
        if short:
            widths = {number: self._width(number, short=True) for number in wanted}
        if self.order is not None:
            self.order.set_short(short)
        for number in sorted(wanted, key=lambda one: -columns[one].gives_way):
            if sum(widths.values()) > room and columns[number].gives_way:
                del widths[number]
        spare = max(0, room - sum(widths.values())) // max(len(widths), 1)
        for number in columns:
            self.setColumnHidden(number, number not in widths)
            if number in widths and (number or self._even):
                width = widths[number] + spare * self._even
                if self.columnWidth(number) != width:
                    self.setColumnWidth(number, width)

    def _width(self, number: int, *, short: bool) -> int:
        column = self.rows_model.columns[number]
        header = self.horizontalHeader().fontMetrics()
        title = str(self.rows_model.headerData(number, Qt.Orientation.Horizontal))
        title = column.short if short and column.short else title
        sorts = column.sortable and self.order is not None
        # where there is little room, only the column that is sorted by has an arrow's
        by = self.order.by if short and self.order is not None else number
        arrow = "\u2009▾" if sorts and by == number else ""
        title_width = int(header.horizontalAdvance(title + arrow)) + 8
        if short and column.narrow is not None:
            return max(column.narrow, title_width)
        font = QFont(self.font())
        font.setBold(self.emphasised or (column.kind is Kind.BAR and column.bold))
        metrics = QFontMetrics(font)
        rows = self.rows_model.rows
        texts = [column.sample] if column.sample else map(column.text, rows)
        widest = max(map(metrics.horizontalAdvance, texts), default=0)
        if column.most_letters is not None:
            widest = min(widest, column.most_letters * metrics.averageCharWidth())
        return max(title_width, widest + _around(column))

    def height_of(self, rows: int) -> int:
        """Return the height that shows so many rows below the header."""
        head = self.horizontalHeader().sizeHint().height()
        return int(head + rows * self._row_height() + 6)

    def _row_height(self) -> int:
        return int(self.fontMetrics().height() + 7)

    def _fit_height(self) -> None:
        self.verticalHeader().setMinimumSectionSize(self._row_height())
        self.verticalHeader().setDefaultSectionSize(self._row_height())
        if self._all_rows:
            self.setFixedHeight(self.height_of(self.model().rowCount()))
        self.fit_columns()

    def minimumSizeHint(self) -> QSize:
        """Show four rows at least, where it scrolls."""
        whole = super().minimumSizeHint()
        return whole if self._all_rows else QSize(200, self.height_of(4))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share out the room."""
        super().resizeEvent(event)
        self.fit_columns()

    def changeEvent(self, event: QEvent) -> None:
        """Make room for another font."""
        super().changeEvent(event)
        fonts = (QEvent.Type.FontChange, QEvent.Type.StyleChange)
        if event.type() in fonts and self.model() is not None:
            self._fit_height()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Toggle, choose and sort without a mouse."""
        index = self.currentIndex()
        key = event.key()
        if key == Qt.Key.Key_Escape:
            event.ignore()
        elif key == Qt.Key.Key_S and self.order is not None:
            shown = self.shown_columns()
            self.order.cycle_on([self.rows_model.column(one) for one in shown])
        elif key == Qt.Key.Key_Space and index.isValid():
            toggle(index.siblingAtColumn(0))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and index.isValid():
            self.open_choice(index)
        else:
            super().keyPressEvent(event)

    def open_choice(self, index: QModelIndex) -> bool:
        """Open the list of a row's first choice; return whether there is one."""
        for number in range(len(self.rows_model.columns)):
            if index.siblingAtColumn(number).flags() & Qt.ItemFlag.ItemIsEditable:
                self.edit(index.siblingAtColumn(number))
                return True
        return False

    def wheelEvent(self, event: Any) -> None:
        """Leave scrolling to the dock where the whole table is shown."""
        if self._all_rows:
            event.ignore()
        else:
            super().wheelEvent(event)

    def _on_clicked(self, index: QModelIndex) -> None:
        if index.flags() & Qt.ItemFlag.ItemIsEditable:
            self.edit(index)


def toggle(index: QModelIndex) -> None:
    """Toggle a checkable cell; others stay as they are."""
    role = Qt.ItemDataRole.CheckStateRole
    on = index.data(role) == Qt.CheckState.Checked
    index.model().setData(index, not on, role)


class _RowsDelegate(QStyledItemDelegate):
    """Paints cells by their column's kind, and takes clicks as a whole."""

    def __init__(self, view: RowsView) -> None:
        super().__init__(view)
        self._view = view

    def _column(self, index: QModelIndex) -> Column:
        return self._view.rows_model.columns[index.column()]

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint the row's back, then the cell."""
        view, column, row = self._view, self._column(index), index.data(ROW)
        tones, area = Tones.of(view), QRectF(option.rect)
        current = view.currentIndex().row() == index.row()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(view.font())
        bar = column.kind is Kind.BAR and column.bold
        font.setBold(bar or (view.emphasised and current))
        painter.setFont(font)
        strength = 0.28 if view.hasFocus() or view.emphasised else view.unfocused
        if current and strength:
            painter.fillRect(area, mix(tones.panel, tones.accent, strength))
            if view.emphasised and index.column() == 0:  # by shape as well as colour
                edge = QRectF(area.left(), area.top(), 3, area.height())
                painter.fillRect(edge, tones.accent)
        pale = view.pale is not None and view.pale(row)
        ink = mix(tones.back, tones.text, 0.55) if pale else tones.text
        if column.ink is not None and (name := column.ink(row)) is not None:
            ink = getattr(tones, name)
        if column.kind is Kind.EYE:
            _paint_eye(painter, area, index, tones, ink)
        elif column.kind is Kind.BAR:
            _paint_bar(painter, area, column, row, tones)
        if column.kind is not Kind.EYE:
            before = _paint_box(painter, area, column, index, tones)
            inner = area.adjusted(before, 0, 0, 0)
            _paint_text(painter, inner, column, index, tones, ink)
        painter.restore()

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:
        """Set the same height for every row."""
        return QSize(30, self._view.verticalHeader().defaultSectionSize())

    def editorEvent(
        self,
        event: QEvent,
        model: QAbstractItemModel,
        option: QStyleOptionViewItem,
        index: QModelIndex,
    ) -> bool:
        """Toggle a checkable cell wherever it is clicked, not only on its box."""
        checkable = index.flags() & Qt.ItemFlag.ItemIsUserCheckable
        if event.type() == QEvent.Type.MouseButtonRelease and checkable:
            toggle(index)
            return True
        return super().editorEvent(event, model, option, index)

    def createEditor(
        self, parent: QWidget, _option: QStyleOptionViewItem, index: QModelIndex
    ) -> QComboBox:
        """Open a list of what can be chosen."""
        column = self._column(index)
        box = QComboBox(parent)
        assert column.choices is not None
        for value, label in column.choices(index.data(ROW)):
            box.addItem(label, value)
        box.view().setMinimumWidth(_EDITOR_WIDTH)  # a cell may be narrow
        box.activated.connect(lambda _i: self._commit(box))
        QTimer.singleShot(0, box.showPopup)
        return box

    def setEditorData(self, editor: QComboBox, index: QModelIndex) -> None:
        """Start from what is chosen."""
        place = editor.findData(index.data(Qt.ItemDataRole.EditRole))
        editor.setCurrentIndex(max(place, 0))

    def setModelData(
        self, editor: QComboBox, model: QAbstractItemModel, index: QModelIndex
    ) -> None:
        """Take the choice over."""
        if editor.currentData() != index.data(Qt.ItemDataRole.EditRole):
            model.setData(index, editor.currentData(), Qt.ItemDataRole.EditRole)

    def _commit(self, box: QComboBox) -> None:
        self.commitData.emit(box)
        self.closeEditor.emit(box)


def _around(column: Column) -> int:
    """Pixels beside a text: its box, its mark and what keeps columns apart."""
    if column.kind is Kind.EYE:
        return 26
    if column.right:
        return 9
    if column.kind in (Kind.CHECK, Kind.SWATCH):
        return 30
    return 13 + (12 if column.kind is Kind.CHOICE else 0)


def _paint_box(
    painter: QPainter, area: QRectF, column: Column, index: QModelIndex, tones: Tones
) -> float:
    """Paint the box or swatch before a text; return how much room it takes."""
    if column.kind not in (Kind.CHECK, Kind.SWATCH):
        return 0.0
    colour = index.data(Qt.ItemDataRole.DecorationRole) or tones.accent
    state = index.data(Qt.ItemDataRole.CheckStateRole)
    on = state == Qt.CheckState.Checked or column.kind is Kind.SWATCH
    box = QRectF(area.left() + 6, area.center().y() - 6.5, 14, 14)
    painter.setPen(QPen(mix(colour, tones.text, 0.45), 1.2))
    painter.setBrush(colour if on else mix(tones.panel, colour, 0.12))
    painter.drawRoundedRect(box, 3, 3)
    if on and column.kind is Kind.CHECK:
        dark = colour.lightnessF() > 0.42
        pen = QPen(QColor("#101418" if dark else "#ffffff"), 2.0)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        x, y = box.center().x(), box.center().y()
        tick = ((-3.4, 0.2), (-0.8, 2.9), (3.8, -2.8))
        painter.drawPolyline([QPointF(x + dx, y + dy) for dx, dy in tick])
    return 21.0


def _paint_eye(
    painter: QPainter, area: QRectF, index: QModelIndex, tones: Tones, ink: QColor
) -> None:
    """Paint an open eye for shown, a struck one for hidden."""
    state = index.data(Qt.ItemDataRole.CheckStateRole)
    if state is None:
        return
    on = state == Qt.CheckState.Checked
    colour = ink if on else mix(tones.back, tones.text, 0.38)
    middle = area.center()
    left, right = middle - QPointF(7.5, 0), middle + QPointF(7.5, 0)
    eye = QPainterPath(left)
    eye.quadTo(middle - QPointF(0, 9), right)
    eye.quadTo(middle + QPointF(0, 9), left)
    painter.setPen(QPen(colour, 1.3))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPath(eye)
    if on:
        painter.setBrush(colour)
        painter.drawEllipse(middle, 2.2, 2.2)
    else:
        painter.drawLine(middle + QPointF(-6, 5), middle + QPointF(6, -5))


def _paint_bar(
    painter: QPainter, area: QRectF, column: Column, row: Any, tones: Tones
) -> None:
    """Paint a bar from 0 to 1 below a number, and a notch for a second value."""
    value = column.sort_key(row)
    if value is None or math.isnan(value):
        return
    whole = QRectF(area.left() + 4, area.bottom() - 5, area.width() - 10, 2.5)
    painter.fillRect(whole, tones.line)
    bar = QRectF(whole)
    bar.setWidth(whole.width() * min(max(value, 0.0), 1.0))
    painter.fillRect(bar, tones.good if value > 0 else tones.bad)
    notch = None if column.notch is None else column.notch(row)
    if notch is not None and notch > 0:
        x = whole.left() + whole.width() * min(notch, 1.0)
        painter.fillRect(QRectF(x - 1, whole.top() - 1.5, 2, 5), tones.text)


def _paint_text(
    painter: QPainter,
    area: QRectF,
    column: Column,
    index: QModelIndex,
    tones: Tones,
    ink: QColor,
) -> None:
    """Paint the text, a mark behind it, and the chevron of a choice."""
    row = index.data(ROW)
    boxed = column.kind in (Kind.CHECK, Kind.SWATCH)
    below = 3 if column.kind is Kind.BAR else 0
    area = area.adjusted(2 if column.right else 6, 0, -2 if boxed else -6, -below)
    # less than a few letters of a name say nothing
    letters = 5 * QFontMetrics(painter.font()).averageCharWidth()
    narrow = column.narrow is not None and area.width() < max(column.narrow, letters)
    if column.kind is Kind.CHOICE:
        if index.flags() & Qt.ItemFlag.ItemIsEditable:
            x, y = area.right() - 3, area.center().y() + 0.5
            painter.setPen(QPen(tones.muted, 1.3))
            chevron = ((-3.2, -1.6), (0, 1.6), (3.2, -1.6))
            painter.drawPolyline([QPointF(x + dx, y + dy) for dx, dy in chevron])
        area.setRight(area.right() - 12)
        if narrow and index.data(Qt.ItemDataRole.EditRole) is not None:
            centre = QPointF(area.left() + 6, area.center().y() + 0.5)
            draw_mark(painter, centre, 6, Mark.GOOD, tones)
            return
    mark = None if column.mark is None else column.mark(row)
    if mark is not None:
        area.setRight(area.right() - 15)
        centre = QPointF(area.right() + 9, area.center().y() + 0.5)
        if isinstance(mark, Mark):
            draw_mark(painter, centre, 6, mark, tones)
        else:
            painter.setPen(tones.warn)
            place = QRectF(area.right() + 1, area.top(), 16, area.height())
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, mark)
    painter.setPen(ink)
    text = QFontMetrics(painter.font()).elidedText(
        str(index.data() or ""), column.elide, int(area.width())
    )
    painter.drawText(area, alignment(column), text)
