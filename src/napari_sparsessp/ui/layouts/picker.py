"""Choose how to look at a prediction from small drawings."""

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen
from qtpy.QtWidgets import QAbstractButton, QButtonGroup, QGridLayout, QWidget

from napari_sparsessp.ui.layouts.arrangement import (
    CHECKERBOARD,
    COMPOSITIONS,
    GALLERY,
    OVERLAY,
    SIDE_BY_SIDE,
    SWIPE,
)
from napari_sparsessp.ui.widgets.style import Tones, mix

OWN = ""
"""Stands for the user's own view."""

VIEWS = {
    SIDE_BY_SIDE: (
        "Side by side",
        "A cell each for transmitted light, truth, prediction and error.",
    ),
    SWIPE: ("Swipe", "Truth on the left, prediction on the right of a border to drag."),
    CHECKERBOARD: (
        "Checkerboard",
        "Truth and prediction in alternate fields: edges that break at a field's "
        "border are wrong.",
    ),
    OVERLAY: ("Overlay", "The ticked structures in colour on the transmitted light."),
    GALLERY: ("Gallery", "A cell for each structure, transmitted light first."),
    OWN: ("My view", "Give back the view that you had before."),
}
"""Label and tool tip by layout, in the order of the tiles."""

_COLUMNS = 3
_FRAME = (46.0, 22.0)
_SIX = ("#4ba3e3", "#53b98a", "#d77fb3", "#e0a03c", "#9d8be0")
_TRUTH, _PREDICTED = QColor("#e0a03c"), QColor("#4ba3e3")


class LayoutButton(QAbstractButton):
    """A drawing of a layout with its name.

    Parameters
    ----------
    layout : str
    """

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.view = layout
        self.label = VIEWS[layout][0]
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(f"View: {self.label}")

    def sizeHint(self) -> QSize:
        """Give room for the drawing and its name."""
        text = QFontMetrics(self._font())
        width = max(text.horizontalAdvance(self.label) + 10, 62)
        return QSize(width, round(_FRAME[1]) + text.height() + 16)

    def minimumSizeHint(self) -> QSize:
        """Never cut the name."""
        return self.sizeHint()

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(max(font.pointSizeF() * 0.95, 8.0))
        font.setBold(self.isChecked())
        return font

    def paintEvent(self, _event: object) -> None:
        """Draw frame, drawing and name."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones = Tones.of(self)
        on, able = self.isChecked(), self.isEnabled()
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        back = mix(tones.back, tones.accent, 0.22) if on else tones.panel
        if self.underMouse() and able and not on:
            back = tones.field
        edge = tones.accent if on else tones.panel
        if self.hasFocus():
            edge = tones.text
        painter.setPen(QPen(edge, 1.6 if on or self.hasFocus() else 1.0))
        painter.setBrush(back)
        painter.drawRoundedRect(frame, 5, 5)
        ink = tones.text if able else mix(tones.back, tones.text, 0.34)
        middle = QPointF(frame.center().x(), frame.top() + 6 + _FRAME[1] / 2)
        area = QRectF(0, 0, *_FRAME)
        area.moveCenter(middle)
        painter.setOpacity(1.0 if able else 0.4)
        draw_layout(painter, area, self.view, tones)
        painter.setOpacity(1.0)
        painter.setFont(self._font())
        painter.setPen(ink)
        painter.drawText(
            frame.adjusted(0, 0, 0, -4),
            Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom,
            self.label,
        )


def draw_layout(painter: QPainter, area: QRectF, layout: str, tones: Tones) -> None:
    """Draw what a layout does with truth (amber) and prediction (blue).

    Parameters
    ----------
    painter : QPainter
    area : QRectF
    layout : str
        A key of `VIEWS`.
    tones : Tones
    """
    grey = mix(tones.back, tones.text, 0.45)
    painter.setPen(Qt.PenStyle.NoPen)
    if layout == SIDE_BY_SIDE:
        error = mix(_TRUTH, _PREDICTED, 0.5)
        _draw_cells(painter, area, 1, 4, [grey, _TRUTH, _PREDICTED, error])
    elif layout == GALLERY:
        _draw_cells(painter, area, 2, 3, [grey, *map(QColor, _SIX)])
    elif layout == CHECKERBOARD:
        painter.fillRect(area, _PREDICTED)
        width, height = area.width() / 6, area.height() / 3
        for row in range(3):
            for column in range(6):
                if (row + column) % 2 == 0:
                    x, y = area.x() + column * width, area.y() + row * height
                    painter.fillRect(QRectF(x, y, width, height), _TRUTH)
    elif layout == SWIPE:
        middle = area.center().x()
        painter.fillRect(area, _PREDICTED)
        painter.fillRect(QRectF(area.topLeft(), QPointF(middle, area.bottom())), _TRUTH)
        painter.setPen(QPen(tones.text, 2))
        painter.drawLine(
            QPointF(middle, area.top() - 2), QPointF(middle, area.bottom() + 2)
        )
    elif layout == OVERLAY:
        painter.fillRect(area, mix(tones.back, tones.text, 0.35))
        for shift, colour in ((-7, _PREDICTED), (7, QColor("#d77fb3"))):
            shade = QColor(colour)
            shade.setAlpha(210)
            painter.setBrush(shade)
            painter.drawEllipse(area.center() + QPointF(shift, 0), 10, 8)
    else:
        _draw_way_back(painter, area, tones)


def _draw_cells(
    painter: QPainter,
    area: QRectF,
    rows: int,
    columns: int,
    colours: Sequence[QColor],
) -> None:
    width, height = (area.width() + 2) / columns, (area.height() + 2) / rows
    for number, colour in enumerate(colours):
        row, column = divmod(number, columns)
        x, y = area.x() + column * width, area.y() + row * height
        painter.fillRect(QRectF(x, y, width - 2, height - 2), colour)


def _draw_way_back(painter: QPainter, area: QRectF, tones: Tones) -> None:
    pen = QPen(tones.text, 1.8)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    round_ = QRectF(0, 0, 16, 16)
    round_.moveCenter(area.center())
    painter.drawArc(round_, -100 * 16, 270 * 16)
    tip = QPointF(round_.left() + 0.2, area.center().y() + 1.5)
    painter.drawPolyline([tip + QPointF(-4, -3.5), tip, tip + QPointF(4.5, -3)])


class LayoutPicker(QWidget):
    """Six tiles of which the one that is on is down.

    Signals
    -------
    asked : str
        A layout, or `OWN`.
    """

    asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("View")
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        self.buttons: dict[str, LayoutButton] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(5)
        for number, (view, (_, tip)) in enumerate(VIEWS.items()):
            button = LayoutButton(view)
            button.setToolTip(tip)
            button.clicked.connect(lambda _on, view=view: self._on_clicked(view))
            self._group.addButton(button)
            self.buttons[view] = button
            grid.addWidget(button, *divmod(number, _COLUMNS))
        for column in range(_COLUMNS):
            grid.setColumnStretch(column, 1)
        self.show_layout("")

    def show_layout(self, view: str | None) -> None:
        """Show which layout is on; "": the user's own view."""
        for name, button in self.buttons.items():
            button.setChecked(bool(view) and name == view)
        self.buttons[OWN].setEnabled(bool(view))

    def set_possible(self, views: set[str], why_not: str) -> None:
        """Turn off what cannot be shown.

        Parameters
        ----------
        views : set of str
        why_not : str
            For the tool tips of the others.
        """
        for name, button in self.buttons.items():
            if name != OWN:
                button.setEnabled(name in views)
                tip = VIEWS[name][1]
                needs = name in COMPOSITIONS and name not in views
                button.setToolTip(f"{tip}\n{why_not}" if needs else tip)

    def _on_clicked(self, view: str) -> None:
        # what is on is told by the viewer, not by the click
        button = self.buttons[view]
        button.setChecked(not button.isChecked())
        self.asked.emit(view)
