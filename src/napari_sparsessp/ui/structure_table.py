"""The table of structures: tick, colour, name, eyes, truth layer and live R²."""

from qtpy.QtCore import QEvent, QModelIndex, QObject, QPointF, QRectF, QSize, Qt, QTimer
from qtpy.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter, QPainterPath, QPen
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from napari_sparsessp.ui.step import Mark, draw_mark
from napari_sparsessp.ui.structure_model import StructureModel
from napari_sparsessp.ui.structure_row import Column
from napari_sparsessp.ui.theme import Tones, mix

ROW_HEIGHT = 22


class _Cell(QStyledItemDelegate):
    """A cell that paints itself: all of them share back, ink and clicks."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint the row's back, then the cell."""
        view = self.parent()
        tones = Tones.of(view)
        area = QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(view.font())
        if view.hasFocus() and view.currentIndex().row() == index.row():
            painter.fillRect(area, mix(tones.panel, tones.accent, 0.22))
        ticked = index.siblingAtColumn(Column.NAME).data(Qt.ItemDataRole.CheckStateRole)
        on = ticked == Qt.CheckState.Checked
        ink = tones.text if on else mix(tones.back, tones.text, 0.55)
        self.draw(painter, area, index, tones, ink)
        painter.restore()

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint what the cell is about."""
        raise NotImplementedError

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:
        """Give every row the same height."""
        return QSize(40, ROW_HEIGHT)

    def editorEvent(
        self,
        event: QEvent,
        model: StructureModel,
        option: QStyleOptionViewItem,
        index: QModelIndex,
    ) -> bool:
        """Toggle a checkable cell wherever it is clicked, not only on its box."""
        checkable = index.flags() & Qt.ItemFlag.ItemIsUserCheckable
        if event.type() == QEvent.Type.MouseButtonRelease and checkable:
            toggle(model, index)
            return True
        return super().editorEvent(event, model, option, index)


def toggle(model: StructureModel, index: QModelIndex) -> None:
    """Turn a checkable cell over."""
    role = Qt.ItemDataRole.CheckStateRole
    on = index.data(role) == Qt.CheckState.Checked
    model.setData(index, Qt.CheckState.Unchecked if on else Qt.CheckState.Checked, role)


class _NameCell(_Cell):
    """A box filled with the structure's colour where it is ticked, and its name.

    A mark behind the name warns that the input is unlike what the model knows.
    """

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint box and name."""
        colour = index.data(Qt.ItemDataRole.DecorationRole)
        on = index.data(Qt.ItemDataRole.CheckStateRole) == Qt.CheckState.Checked
        box = QRectF(area.left() + 6, area.center().y() - 6.5, 14, 14)
        edge = mix(colour, tones.text, 0.45)
        painter.setPen(QPen(edge, 1.2))
        painter.setBrush(colour if on else mix(tones.panel, colour, 0.12))
        painter.drawRoundedRect(box, 3, 3)
        if on:
            dark = colour.lightnessF() > 0.42
            pen = QPen(QColor("#101418" if dark else "#ffffff"), 2.0)
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            painter.setPen(pen)
            x, y = box.center().x(), box.center().y()
            painter.drawPolyline(
                [
                    QPointF(x - 3.4, y + 0.2),
                    QPointF(x - 0.8, y + 2.9),
                    QPointF(x + 3.8, y - 2.8),
                ]
            )
        text = area.adjusted(27, 0, -2, 0)
        if index.data(Qt.ItemDataRole.UserRole):
            text.setRight(text.right() - 15)
            centre = QPointF(text.right() + 7, area.center().y() + 0.5)
            draw_mark(painter, centre, 6, Mark.WARN, tones)
        painter.setPen(ink)
        metrics = QFontMetrics(painter.font())
        name = metrics.elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, int(text.width())
        )
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, name)


class _EyeCell(_Cell):
    """An open eye for shown, a struck one for hidden."""

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint the eye, where there is something to see."""
        state = index.data(Qt.ItemDataRole.CheckStateRole)
        if state is None:
            return
        on = state == Qt.CheckState.Checked
        colour = ink if on else mix(tones.back, tones.text, 0.38)
        middle = area.center()
        eye = QPainterPath()
        left, right = middle - QPointF(7.5, 0), middle + QPointF(7.5, 0)
        eye.moveTo(left)
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


class _TruthCell(_Cell):
    """Name of the truth layer; a click opens a list of the layers."""

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint the name and a chevron."""
        chosen = index.data(Qt.ItemDataRole.EditRole) is not None
        painter.setPen(ink if chosen else tones.muted)
        text = area.adjusted(4, 0, -16, 0)
        metrics = QFontMetrics(painter.font())
        name = metrics.elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, int(text.width())
        )
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, name)
        if index.flags() & Qt.ItemFlag.ItemIsEditable:
            x, y = area.right() - 9, area.center().y() + 0.5
            painter.setPen(QPen(tones.muted, 1.3))
            painter.drawPolyline(
                [
                    QPointF(x - 3.2, y - 1.6),
                    QPointF(x, y + 1.6),
                    QPointF(x + 3.2, y - 1.6),
                ]
            )

    def createEditor(
        self, parent: QWidget, _option: QStyleOptionViewItem, index: QModelIndex
    ) -> QComboBox:
        """Open a list of layers."""
        box = QComboBox(parent)
        model = index.model()
        box.addItem("– no truth –", None)
        for key, name in model.layers:
            box.addItem(name, key)
        box.activated.connect(lambda _i: self._commit(box))
        QTimer.singleShot(0, box.showPopup)
        return box

    def setEditorData(self, editor: QComboBox, index: QModelIndex) -> None:
        """Start from the layer that is chosen."""
        place = editor.findData(index.data(Qt.ItemDataRole.EditRole))
        editor.setCurrentIndex(max(place, 0))

    def setModelData(
        self, editor: QComboBox, model: StructureModel, index: QModelIndex
    ) -> None:
        """Take the chosen layer over."""
        if editor.currentData() != index.data(Qt.ItemDataRole.EditRole):
            model.setData(index, editor.currentData(), Qt.ItemDataRole.EditRole)

    def _commit(self, box: QComboBox) -> None:
        self.commitData.emit(box)
        self.closeEditor.emit(box)


class _ScoreCell(_Cell):
    """R² as a number over a small bar from 0 to 1."""

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint bar and number."""
        score = index.data(Qt.ItemDataRole.UserRole)
        if score is None:
            return
        bar = QRectF(area.left() + 4, area.bottom() - 5, area.width() - 10, 2.5)
        painter.fillRect(bar, tones.line)
        bar.setWidth(bar.width() * min(max(score, 0.0), 1.0))
        painter.fillRect(bar, tones.good if score > 0 else tones.bad)
        painter.setPen(ink if score > 0 else tones.bad)
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(
            area.adjusted(0, 0, -6, -3),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight,
            str(index.data()),
        )


class StructureTable(QTableView):
    """View of a `StructureModel`.

    Space ticks, V shows or hides, U does so with the uncertainty, Enter picks a truth.

    Parameters
    ----------
    model : StructureModel
    """

    def __init__(self, model: StructureModel) -> None:
        super().__init__()
        self.setModel(model)
        self.setAccessibleName("Structures")
        self._cells: list[_Cell] = [
            _NameCell(self),
            _EyeCell(self),
            _EyeCell(self),
            _TruthCell(self),
            _ScoreCell(self),
        ]
        for column, cell in enumerate(self._cells):
            self.setItemDelegateForColumn(column, cell)
        self.setShowGrid(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.SelectedClicked)
        self.clicked.connect(self._on_clicked)
        self.setTabKeyNavigation(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.verticalHeader().setMinimumSectionSize(ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setSectionsClickable(False)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(24)
        header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in (
            (Column.VISIBLE, 28),
            (Column.SPREAD, 28),
            (Column.TRUTH, 96),
            (Column.R2, 50),
        ):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(column, width)
        self.setColumnHidden(Column.SPREAD, True)
        model.spreads_offered.connect(self._on_spreads)
        model.modelReset.connect(self._fit_height)
        self._fit_height()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Work without a mouse."""
        index = self.currentIndex()
        model = self.model()
        if index.isValid() and event.key() == Qt.Key.Key_Space:
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

    def _on_spreads(self, some: bool) -> None:
        self.setColumnHidden(Column.SPREAD, not some)

    def _on_clicked(self, index: QModelIndex) -> None:
        if index.column() == Column.TRUTH:
            self.edit(index)

    def _fit_height(self) -> None:
        rows = self.model().rowCount()
        header = self.horizontalHeader().sizeHint().height()
        self.setFixedHeight(header + rows * ROW_HEIGHT + 8)
