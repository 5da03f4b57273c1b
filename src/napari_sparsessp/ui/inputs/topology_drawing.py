"""Diagrams of the four topologies: a cube is 3D, a sheet is 2D."""

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QAbstractButton, QWidget

from napari_sparsessp.ui.engine.model_words import TOPOLOGIES
from napari_sparsessp.ui.widgets.style import Tones, mix

_DIAGRAM = 38
_LARGE, _SMALL = 9.0, 8.0
_USUAL_POINTS = 9.0

_DIMENSIONS = {"3d": (3, 3), "2d": (2, 2), "2to3d": (2, 3), "3to2d": (3, 2)}


def draw_topology(
    painter: QPainter, centre: QPointF, topology: str, ink: QColor, fill: QColor
) -> None:
    """Draw encoder, arrow and decoder, about 54 × 24 pixels.

    Parameters
    ----------
    painter : QPainter
    centre : QPointF
    topology : {"3d", "2d", "2to3d", "3to2d"}
    ink, fill : QColor
    """
    x, y = centre.x(), centre.y()
    first, second = _DIMENSIONS[topology]
    _draw_block(painter, QPointF(x - 17, y), first, ink, fill)
    _draw_block(painter, QPointF(x + 17, y), second, ink, fill)
    painter.setPen(QPen(ink, 1.3))
    painter.drawLine(QPointF(x - 3, y), QPointF(x + 3, y))
    painter.drawPolyline(
        [
            QPointF(x + 0.5, y - 2.6),
            QPointF(x + 3.2, y),
            QPointF(x + 0.5, y + 2.6),
        ]
    )


def _draw_block(
    painter: QPainter, centre: QPointF, dimension: int, ink: QColor, fill: QColor
) -> None:
    """Draw a cube for three dimensions, a tilted sheet for two."""
    x, y = centre.x(), centre.y()
    w, h = 10.0, 5.2
    painter.setPen(QPen(ink, 1.1))

    def sheet(level: float) -> QPolygonF:
        return QPolygonF(
            [
                QPointF(x - w, y + level),
                QPointF(x, y - h + level),
                QPointF(x + w, y + level),
                QPointF(x, y + h + level),
            ]
        )

    def side(direction: float, level: float) -> QPolygonF:
        return QPolygonF(
            [
                QPointF(x + direction * w, y - level),
                QPointF(x, y + h - level),
                QPointF(x, y + h + level),
                QPointF(x + direction * w, y + level),
            ]
        )

    if dimension == 2:
        painter.setBrush(fill)
        painter.drawPolygon(sheet(0))
        return
    level = 4.5
    painter.setBrush(fill.darker(125))
    painter.drawPolygon(side(-1, level))
    painter.setBrush(fill.darker(150))
    painter.drawPolygon(side(1, level))
    painter.setBrush(fill)
    painter.drawPolygon(sheet(-level))


def _scale(font: QFont) -> float:
    """How much larger the user wants everything to be written."""
    return max(1.0, font.pointSizeF() / _USUAL_POINTS) if font.pointSizeF() > 0 else 1.0


class TopologyDrawing(QWidget):
    """The diagram of one topology, to look at."""

    def __init__(self) -> None:
        super().__init__()
        self._topology = ""
        self.setFixedSize(QSize(62, 30))

    @property
    def topology(self) -> str:
        """What is drawn; "" for nothing."""
        return self._topology

    def set_topology(self, topology: str) -> None:
        """Draw this topology; nothing for one without a diagram."""
        self._topology = topology if topology in TOPOLOGIES else ""
        label, what = TOPOLOGIES.get(self._topology, ("", ""))
        self.setToolTip(f"{label}: {what}." if label else "")
        self.setAccessibleName(f"Topology {label}")
        self.update()

    def paintEvent(self, _event: object) -> None:
        """Draw the diagram."""
        if not self._topology:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones = Tones.of(self.window())  # a panel's own back may be transparent
        centre = QRectF(self.rect()).center()
        draw_topology(painter, centre, self._topology, tones.text, tones.accent)


class TopologyButton(QAbstractButton):
    """A diagram of encoder and decoder with its name, to choose."""

    def __init__(self, topology: str) -> None:
        super().__init__()
        self.topology = topology
        self.label = TOPOLOGIES[topology][0]
        self.setCheckable(True)
        self.setMinimumWidth(62)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._quality = self._time = ""
        self._rows = 0
        self._say()

    def set_prospect(self, quality: str, time: str, rows: int = 2) -> None:
        """Say below the name how good and how fast it would be; "" for unknown.

        All buttons of a row keep room for the same number of `rows`.
        """
        if (quality, time, rows) != (self._quality, self._time, self._rows):
            self._quality, self._time, self._rows = quality, time, rows
            self._say()
            self.updateGeometry()
            self.update()

    def _say(self) -> None:
        told = [f"Topology {self.label}", self._quality, self._time]
        self.setAccessibleName(", ".join(filter(None, told)))

    def _lines(self) -> list[str]:
        return [line for line in (self._quality, self._time) if line]

    def _font(self, points: float, *, bold: bool = False) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(points * _scale(self.font()))
        font.setBold(bold)
        return font

    def _line_height(self) -> int:
        return QFontMetrics(self._font(_SMALL)).height()

    def sizeHint(self) -> QSize:
        """Give room for a diagram, its name and what is expected of it."""
        name = QFontMetrics(self._font(_LARGE)).height()
        lines = self._rows * self._line_height()
        return QSize(76, _DIAGRAM + name + lines + 4)

    def minimumSizeHint(self) -> QSize:
        """Never cut a line."""
        return QSize(62, self.sizeHint().height())

    def paintEvent(self, _event: object) -> None:
        """Draw frame, diagram and name."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones = Tones.of(self)
        on, able = self.isChecked(), self.isEnabled()
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        back = mix(tones.back, tones.accent, 0.22) if on else tones.panel
        if self.underMouse() and able and not on:
            back = tones.field
        edge = mix(tones.back, tones.accent, 1.0 if able else 0.5)
        edge = edge if on else tones.panel
        if self.hasFocus():
            edge = tones.text
        painter.setPen(QPen(edge, 1.6 if on or self.hasFocus() else 1.0))
        painter.setBrush(back)
        painter.drawRoundedRect(frame, 5, 5)
        ink = tones.text if able else mix(tones.back, tones.text, 0.34)
        fill = tones.accent if on and able else mix(tones.back, ink, 0.45)
        centre = QPointF(frame.center().x(), frame.top() + 19)
        draw_topology(painter, centre, self.topology, ink, fill)
        painter.setFont(self._font(_LARGE, bold=on and able))
        middle = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter
        row = QRectF(frame.left(), frame.top() + _DIAGRAM - 3, frame.width(), 0)
        row.setHeight(painter.fontMetrics().height())
        painter.drawText(row, middle, self.label)
        painter.setFont(self._font(_SMALL))
        painter.setPen(tones.text if on and able else tones.muted)
        row.moveTop(row.bottom())
        row.setHeight(self._line_height())
        for line in self._lines():
            painter.drawText(row, middle, line)
            row.moveTop(row.bottom())
