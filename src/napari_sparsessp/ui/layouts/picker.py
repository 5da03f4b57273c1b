"""Choose a layout from small drawings."""

from collections.abc import Sequence

from qtpy.QtCore import QByteArray, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QFont, QFontMetrics, QPainter
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QAbstractButton, QGridLayout, QWidget

from napari_sparsessp.ui.layouts.arrangement import (
    CHECKERBOARD,
    COMPOSITIONS,
    GALLERY,
    OVERLAY,
    SIDE_BY_SIDE,
    SWIPE,
)
from napari_sparsessp.ui.widgets.style import Tones, draw_button_frame, mix

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
    OWN: ("Restore my view", "Show the view that you had before."),
}
"""Label and tool tip by layout, in the order of the tiles."""

_COLUMNS = 3
_WIDE, _HIGH = 46, 22
_TRUTH, _PREDICTED = "#e0a03c", "#4ba3e3"
_OTHERS = ("#53b98a", "#d77fb3", _TRUTH, "#9d8be0")
_FIELDS = (_TRUTH, _PREDICTED) * 3


def _tiles(rows: int, colours: Sequence[str], gap: int = 0) -> str:
    """Return SVG rectangles that fill the drawing, row by row."""
    columns = len(colours) // rows
    width, height = (_WIDE + gap) / columns, (_HIGH + gap) / rows
    return "".join(
        f'<rect x="{number % columns * width}" y="{number // columns * height}" '
        f'width="{width - gap}" height="{height - gap}" fill="{colour}"/>'
        for number, colour in enumerate(colours)
    )


_DRAWINGS = {
    SIDE_BY_SIDE: _tiles(1, ("{grey}", _TRUTH, _PREDICTED, "#96a290"), 2),
    SWIPE: _tiles(1, (_TRUTH, _PREDICTED))
    + '<path d="M23 -2V24" stroke="{text}" stroke-width="2"/>',
    CHECKERBOARD: _tiles(3, (*_FIELDS, *_FIELDS[::-1], *_FIELDS)),
    OVERLAY: _tiles(1, ("{grey}",))
    + f'<ellipse cx="16" cy="11" rx="10" ry="8" fill="{_PREDICTED}" opacity=".82"/>'
    '<ellipse cx="30" cy="11" rx="10" ry="8" fill="#d77fb3" opacity=".82"/>',
    GALLERY: _tiles(2, ("{grey}", _PREDICTED, *_OTHERS), 2),
    OWN: '<path d="M21.6 18.9A8 8 0 1 0 15.2 12.5M11.2 9L15.2 12.5L19.7 9.5" '
    'fill="none" stroke="{text}" stroke-width="1.8" stroke-linecap="round"/>',
}
"""SVG by layout, truth amber and prediction blue."""


class LayoutButton(QAbstractButton):
    """A drawing of a layout over its name."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.view = layout
        self.label = VIEWS[layout][0]
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(f"View: {self.label}")

    def sizeHint(self) -> QSize:
        """Return the room for the drawing and the name."""
        text = QFontMetrics(self._font())
        width = max(text.horizontalAdvance(self.label) + 10, 62)
        return QSize(width, _HIGH + text.height() + 16)

    def minimumSizeHint(self) -> QSize:
        """Never cut the name."""
        return self.sizeHint()

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(max(font.pointSizeF() * 0.95, 8.0))
        font.setBold(self.isChecked())
        return font

    def paintEvent(self, _event: object) -> None:
        """Paint frame, drawing and name."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones = Tones.of(self)
        able = self.isEnabled()
        frame = draw_button_frame(painter, self, tones, tones.accent)
        drawing = _DRAWINGS[self.view].format(
            grey=mix(tones.back, tones.text, 0.45).name(), text=tones.text.name()
        )
        svg = f'<svg xmlns="http://www.w3.org/2000/svg">{drawing}</svg>'
        renderer = QSvgRenderer(QByteArray(svg.encode()))
        area = QRectF(0, 0, _WIDE, _HIGH + 4)  # what is drawn may reach out by 2
        renderer.setViewBox(area.translated(0, -2))
        area.moveCenter(QPointF(frame.center().x(), frame.top() + 6 + _HIGH / 2))
        painter.setOpacity(1.0 if able else 0.4)
        renderer.render(painter, area)
        painter.setOpacity(1.0)
        painter.setFont(self._font())
        painter.setPen(tones.text if able else mix(tones.back, tones.text, 0.34))
        side = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom
        painter.drawText(frame.adjusted(0, 0, 0, -4), side, self.label)


class LayoutPicker(QWidget):
    """Six tiles; the one of the layout that is on is down."""

    asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("View")
        self.buttons: dict[str, LayoutButton] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(5)
        for number, (view, (_, tip)) in enumerate(VIEWS.items()):
            button = LayoutButton(view)
            button.setToolTip(tip)
            button.clicked.connect(self._on_clicked)
            self.buttons[view] = button
            grid.addWidget(button, *divmod(number, _COLUMNS))
        for column in range(_COLUMNS):
            grid.setColumnStretch(column, 1)
        self.show_layout("")

    def show_layout(self, view: str) -> None:
        """Show which layout is on; "": the user's own view."""
        for name, button in self.buttons.items():
            button.setChecked(bool(view) and name == view)
        self.buttons[OWN].setEnabled(bool(view))

    def set_possible(self, views: set[str], why_not: str) -> None:
        """Disable the other layouts; the tool tips of compositions say why."""
        for name, button in self.buttons.items():
            if name != OWN:
                button.setEnabled(name in views)
                tip = VIEWS[name][1]
                needs = name in COMPOSITIONS and name not in views
                button.setToolTip(f"{tip}\n{why_not}" if needs else tip)

    def _on_clicked(self, _on: bool) -> None:
        button = self.sender()
        assert isinstance(button, LayoutButton)
        # the viewer says what is on, not the click
        button.setChecked(not button.isChecked())
        self.asked.emit(button.view)
