"""Cells of the table of structures: each paints itself, and takes clicks as a whole."""

from qtpy.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QPointF,
    QRectF,
    QSize,
    Qt,
    QTimer,
)
from qtpy.QtGui import QColor, QFontMetrics, QPainter, QPainterPath, QPen
from qtpy.QtWidgets import (
    QComboBox,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from napari_sparsessp.ui.inputs.structure_model import StructureModel
from napari_sparsessp.ui.inputs.structure_row import Column
from napari_sparsessp.ui.widgets.basic import Mark, draw_mark
from napari_sparsessp.ui.widgets.style import Tones, mix

ROW_HEIGHT = 22
NARROW_TRUTH = 36
"""Width of the truth's column where only a mark has room."""

_LIST_WIDTH = 190


class Cell(QStyledItemDelegate):
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
        model: QAbstractItemModel,
        option: QStyleOptionViewItem,
        index: QModelIndex,
    ) -> bool:
        """Toggle a checkable cell wherever it is clicked, not only on its box."""
        checkable = index.flags() & Qt.ItemFlag.ItemIsUserCheckable
        if event.type() == QEvent.Type.MouseButtonRelease and checkable:
            toggle(model, index)
            return True
        return super().editorEvent(event, model, option, index)


def toggle(model: QAbstractItemModel, index: QModelIndex) -> None:
    """Turn a checkable cell over."""
    role = Qt.ItemDataRole.CheckStateRole
    on = index.data(role) == Qt.CheckState.Checked
    model.setData(index, Qt.CheckState.Unchecked if on else Qt.CheckState.Checked, role)


class NameCell(Cell):
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


class EyeCell(Cell):
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


class TruthCell(Cell):
    """Name of the truth layer, or a mark where there is no room for a name.

    A click opens a list of the layers.

    Parameters
    ----------
    view : QWidget
    model : StructureModel
        Knows the layers.
    """

    def __init__(self, view: QWidget, model: StructureModel) -> None:
        super().__init__(view)
        self._model = model

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
        if chosen and area.width() < NARROW_TRUTH + 12:
            centre = QPointF(area.left() + 12, area.center().y() + 0.5)
            draw_mark(painter, centre, 6, Mark.GOOD, tones)
            self._draw_chevron(painter, area, index, tones)
            return
        text = area.adjusted(4, 0, -16, 0)
        metrics = QFontMetrics(painter.font())
        name = metrics.elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, int(text.width())
        )
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, name)
        self._draw_chevron(painter, area, index, tones)

    def _draw_chevron(
        self, painter: QPainter, area: QRectF, index: QModelIndex, tones: Tones
    ) -> None:
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
        box.addItem("– no truth –", None)
        for key, name in self._model.layers:
            box.addItem(name, key)
        box.view().setMinimumWidth(_LIST_WIDTH)  # a cell may be narrow
        box.activated.connect(lambda _i: self._commit(box))
        QTimer.singleShot(0, box.showPopup)
        return box

    def setEditorData(self, editor: QComboBox, index: QModelIndex) -> None:
        """Start from the layer that is chosen."""
        place = editor.findData(index.data(Qt.ItemDataRole.EditRole))
        editor.setCurrentIndex(max(place, 0))

    def setModelData(
        self, editor: QComboBox, model: QAbstractItemModel, index: QModelIndex
    ) -> None:
        """Take the chosen layer over."""
        if editor.currentData() != index.data(Qt.ItemDataRole.EditRole):
            model.setData(index, editor.currentData(), Qt.ItemDataRole.EditRole)

    def _commit(self, box: QComboBox) -> None:
        self.commitData.emit(box)
        self.closeEditor.emit(box)


class ScoreCell(Cell):
    """R² as a number over a small bar from 0 to 1; a notch shows what was expected."""

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
        whole = QRectF(area.left() + 4, area.bottom() - 5, area.width() - 10, 2.5)
        painter.fillRect(whole, tones.line)
        bar = QRectF(whole)
        bar.setWidth(whole.width() * min(max(score, 0.0), 1.0))
        painter.fillRect(bar, tones.good if score > 0 else tones.bad)
        card = index.siblingAtColumn(Column.EXPECTED).data(Qt.ItemDataRole.UserRole)
        if card is not None and card > 0:
            x = whole.left() + whole.width() * min(card, 1.0)
            painter.fillRect(QRectF(x - 1, whole.top() - 1.5, 2, 5), tones.text)
        painter.setPen(ink if score > 0 else tones.bad)
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(
            area.adjusted(0, 0, -6, -3),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight,
            str(index.data()),
        )


class NumberCell(Cell):
    """A number and nothing else."""

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint the number; what was only promised is paler than what was found."""
        promised = index.column() == Column.EXPECTED
        painter.setPen(tones.muted if promised else ink)
        painter.drawText(
            area.adjusted(0, 0, -6, 0),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight,
            str(index.data()),
        )
