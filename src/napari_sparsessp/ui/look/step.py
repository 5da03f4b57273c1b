"""One step of a dock that reads from top to bottom like a sentence.

A step has a headline (a piece of the sentence), a mark in the margin that says
whether it is settled, and a body of controls. A line joins it to the next one.
"""

import re
from enum import Enum

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_sparsessp.ui.look.theme import Tones


class Mark(Enum):
    """How settled a step is. The words are what a screen reader says."""

    WAITING = "waiting for you"
    GOOD = "settled"
    WARN = "works, but look here"
    BAD = "needs you"


def draw_mark(
    painter: QPainter, centre: QPointF, radius: float, mark: Mark, tones: Tones
) -> None:
    """Draw a mark: its shape tells as much as its colour."""
    colour = {
        Mark.WAITING: tones.line,
        Mark.GOOD: tones.good,
        Mark.WARN: tones.warn,
        Mark.BAD: tones.bad,
    }[mark]
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawEllipse(centre, radius, radius)
    ink = QColor("#15181b") if tones.dark else QColor("#ffffff")
    pen = QPen(ink, radius * 0.28)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    x, y, r = centre.x(), centre.y(), radius
    if mark is Mark.GOOD:
        painter.drawPolyline(
            [
                QPointF(x - 0.45 * r, y + 0.05 * r),
                QPointF(x - 0.1 * r, y + 0.4 * r),
                QPointF(x + 0.5 * r, y - 0.35 * r),
            ]
        )
    elif mark is Mark.WARN:
        painter.drawLine(QPointF(x, y - 0.5 * r), QPointF(x, y + 0.1 * r))
        painter.drawPoint(QPointF(x, y + 0.52 * r))
    elif mark is Mark.BAD:
        painter.drawLine(
            QPointF(x - 0.38 * r, y - 0.38 * r), QPointF(x + 0.38 * r, y + 0.38 * r)
        )
        painter.drawLine(
            QPointF(x - 0.38 * r, y + 0.38 * r), QPointF(x + 0.38 * r, y - 0.38 * r)
        )


class MarkDot(QWidget):
    """A mark as a widget, for tables of expected against found."""

    def __init__(self, mark: Mark = Mark.WAITING, size: int = 14) -> None:
        super().__init__()
        self._mark = mark
        self.setFixedSize(QSize(size, size))
        self.setAccessibleName(mark.value)

    @property
    def mark(self) -> Mark:
        """The mark that is shown."""
        return self._mark

    def set_mark(self, mark: Mark) -> None:
        """Show another mark."""
        self._mark = mark
        self.setAccessibleName(mark.value)
        self.update()

    def paintEvent(self, _event: object) -> None:
        """Draw the mark."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        half = self.width() / 2
        draw_mark(painter, QPointF(half, half), half - 1, self._mark, Tones.of(self))


class Step(QWidget):
    """A piece of the sentence with its controls.

    Parameters
    ----------
    headline : str
        Rich text; the variable part in bold.
    last : bool
        No line leads on from the last step.
    """

    GUTTER = 24

    def __init__(self, headline: str, *, last: bool = False) -> None:
        super().__init__()
        self._mark = Mark.WAITING
        self._last = last
        self.headline = QLabel(headline)
        self.headline.setProperty("role", "headline")
        self.headline.setTextFormat(Qt.TextFormat.RichText)
        self.headline.setWordWrap(True)
        policy = self.headline.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
        self.headline.setSizePolicy(policy)
        self.title_row = QHBoxLayout()
        self.title_row.setContentsMargins(0, 0, 0, 0)
        self.title_row.setSpacing(4)
        self.title_row.addWidget(self.headline, 1)
        self.body = QVBoxLayout()
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(6)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(self.GUTTER, 0, 0, 2 if last else 10)
        outer.setSpacing(5)
        outer.addLayout(self.title_row)
        outer.addLayout(self.body)

    @property
    def mark(self) -> Mark:
        """How settled this step is."""
        return self._mark

    def set_mark(self, mark: Mark) -> None:
        """Say how settled this step is."""
        if mark is not self._mark:
            self._mark = mark
            self.setAccessibleDescription(mark.value)
            self.update()

    def set_headline(self, text: str) -> None:
        """Write this piece of the sentence anew (rich text)."""
        if text != self.headline.text():
            self.headline.setText(text)
            self._fit_headline()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Know the theme's font from now on."""
        super().showEvent(event)
        self._fit_headline()

    def _fit_headline(self) -> None:
        """Let the headline wrap between words, and never within one."""
        bold = QFont(self.headline.font())
        bold.setWeight(QFont.Weight.DemiBold)
        metrics = QFontMetrics(bold)
        words = re.sub(r"<[^>]*>", "", self.headline.text()).split()
        widest = max((metrics.horizontalAdvance(word) for word in words), default=0)
        self.headline.setMinimumWidth(widest + 2)

    def paintEvent(self, _event: object) -> None:
        """Draw the mark and the line that leads to the next step."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones = Tones.of(self)
        y = self.headline.geometry().top() + min(self.headline.height() / 2, 11.0)
        centre = QPointF(8.0, y)
        if not self._last:
            painter.fillRect(
                QRectF(7.25, y + 11, 1.5, self.height() - y - 11), tones.line
            )
        draw_mark(painter, centre, 7.5, self._mark, tones)
