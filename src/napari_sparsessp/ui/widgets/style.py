"""Colours and the style sheet of the docks, and how texts are written in them.

napari's style sheet sets the palette of every widget, so that the palette tells a
light theme from a dark one, also a user's own theme, and without asking napari.
"""

import re
from dataclasses import dataclass, fields

from qtpy.QtCore import QEvent, QObject, QRectF, QTimer
from qtpy.QtGui import QColor, QPainter, QPalette, QPen
from qtpy.QtWidgets import QAbstractButton, QWidget


def mix(first: QColor, second: QColor, share: float) -> QColor:
    """Blend two opaque colours; `share` is how much of the second, 0 to 1."""
    keep = 1.0 - share
    return QColor(
        round(first.red() * keep + second.red() * share),
        round(first.green() * keep + second.green() * share),
        round(first.blue() * keep + second.blue() * share),
    )


@dataclass(frozen=True)
class Tones:
    """The colours that a dock draws with, never without a mark or a word."""

    dark: bool
    back: QColor
    text: QColor
    muted: QColor
    line: QColor
    panel: QColor
    field: QColor
    accent: QColor
    on_accent: QColor
    good: QColor
    warn: QColor
    bad: QColor

    @classmethod
    def of(cls, widget: QWidget) -> "Tones":
        """Read the tones from a widget's palette."""
        back = widget.palette().color(QPalette.ColorRole.Window)
        while not back.alpha() and (below := widget.parentWidget()) is not None:
            widget = below  # a transparent widget shows the one below
            back = widget.palette().color(QPalette.ColorRole.Window)
        palette = widget.palette()
        text = palette.color(QPalette.ColorRole.WindowText)
        text.setAlpha(255)
        dark = back.lightness() < 128
        # A half-way theme or a disabled widget must not wash the text out.
        if abs(text.lightness() - back.lightness()) < 70:
            text = QColor("#f0f1f2") if dark else QColor("#3b3a39")
        return cls(
            dark=dark,
            back=back,
            text=text,
            muted=mix(back, text, 0.68 if dark else 0.76),
            line=mix(back, text, 0.20),
            panel=mix(back, text, 0.055),
            field=mix(back, text, 0.16),
            accent=QColor("#3f9bd8") if dark else QColor("#0b6bb0"),
            on_accent=QColor("#ffffff"),
            good=QColor("#45d0a8") if dark else QColor("#0a7358"),
            warn=QColor("#f0b44c") if dark else QColor("#8f5a00"),
            bad=QColor("#ff7466") if dark else QColor("#b3261e"),
        )


def draw_button_frame(
    painter: QPainter, button: QAbstractButton, tones: "Tones", edge: QColor
) -> QRectF:
    """Draw the frame of a button with a picture, and return it; `edge` if it is on."""
    on, focused = button.isChecked(), button.hasFocus()
    frame = QRectF(button.rect()).adjusted(1, 1, -1, -1)
    back = mix(tones.back, tones.accent, 0.22) if on else tones.panel
    if button.underMouse() and button.isEnabled() and not on:
        back = tones.field
    colour = tones.text if focused else edge if on else tones.panel
    painter.setPen(QPen(colour, 1.6 if on or focused else 1.0))
    painter.setBrush(back)
    painter.drawRoundedRect(frame, 5, 5)
    return frame


def style_sheet(tones: Tones) -> str:
    """Write the style sheet of a dock for these tones."""
    colours = [field.name for field in fields(tones) if field.name != "dark"]
    names = {name: getattr(tones, name).name() for name in colours}
    names["press"] = mix(tones.accent, tones.back, 0.25).name()
    names["off"] = mix(tones.field, tones.accent, 0.4).name()
    names["hover"] = mix(tones.field, tones.text, 0.12).name()
    names["bad_back"] = mix(tones.back, tones.bad, 0.13).name()
    names["warn_back"] = mix(tones.back, tones.warn, 0.11).name()
    return _SHEET % names


_SHEET = """
QLabel { background: transparent; }
QLabel[role="title"] { font-size: 13pt; font-weight: 600; }
QLabel[role="headline"] { font-size: 11pt; color: %(text)s; }
QLabel[role="muted"] { color: %(muted)s; }
QLabel[role="small"] { color: %(muted)s; font-size: 8.5pt; }
QLabel[role="body"] { font-size: 10pt; color: %(text)s; }
QLabel[role="chip"] { font-size: 9pt; color: %(text)s; }
QLabel[role="strong"] { font-weight: 600; }
QFrame[role="panel"] { background: %(panel)s; border-radius: 5px; }
QFrame[role="panel"] QWidget { background: transparent; font-size: 9pt; }
QFrame[role="panel"] QLineEdit { background: %(field)s; }
QFrame[role="card"] { background: %(panel)s; border-radius: 5px; }
QWidget[role="clear"] { background: transparent; }
QFrame[role="error"] { background: %(bad_back)s; border-radius: 5px;
    border-left: 3px solid %(bad)s; }
QFrame[role="error"] QLabel { color: %(text)s; }
QFrame[role="notice"] { background: %(warn_back)s; border-radius: 5px;
    border-left: 3px solid %(warn)s; }
QFrame[role="line"] { background: %(line)s; max-height: 1px; min-height: 1px; }
QPushButton { padding: 4px 9px; border-radius: 4px; background: %(field)s;
    border: 1px solid transparent; }
QPushButton:hover { background: %(hover)s; }
QPushButton:focus { border: 1px solid %(accent)s; }
QPushButton:disabled { background: %(panel)s; color: %(muted)s;
    border: 1px solid transparent; }
QPushButton[role="run"], QPushButton[role="primary"] { background: %(accent)s;
    color: %(on_accent)s; font-weight: 600; }
QPushButton[role="run"] { font-size: 12pt; padding: 7px; border-radius: 5px; }
QPushButton[role="run"]:hover, QPushButton[role="primary"]:hover {
    background: %(press)s; }
QPushButton[role="run"]:focus, QPushButton[role="primary"]:focus {
    border: 1px solid %(text)s; }
QPushButton[role="run"]:disabled, QPushButton[role="primary"]:disabled {
    background: %(field)s; color: %(muted)s; }
QPushButton[role="stop"] { background: %(field)s; color: %(text)s;
    font-size: 12pt; font-weight: 600; padding: 7px; border-radius: 5px;
    border: 1px solid %(bad)s; }
QPushButton[role="danger"] { color: %(text)s; border: 1px solid %(bad)s; }
QLabel[role="problem"] { color: %(bad)s; font-size: 8.5pt; }
QPushButton[role="link"] { background: transparent; color: %(accent)s;
    padding: 1px 3px; font-size: 9pt; }
QPushButton[role="link"]:hover { color: %(text)s; background: transparent; }
QPushButton[role="link"]:focus { border: 1px solid %(accent)s; }
QPushButton[role="link"]:disabled { color: %(muted)s; background: transparent; }
QPushButton[role="info"] { padding: 2px; min-width: 20px; max-width: 20px;
    min-height: 18px; font-weight: 600; font-style: italic; }
QPushButton[role="dots"] { padding: 4px 4px; min-width: 20px; max-width: 20px; }
QPushButton[role="dots"]::menu-indicator { image: none; width: 0; }
QPushButton[role="segment"] { border-radius: 0; padding: 4px 4px; margin: 0;
    font-size: 9pt; border-right: 1px solid %(back)s; }
QPushButton[role="segment"][place="first"] { border-top-left-radius: 4px;
    border-bottom-left-radius: 4px; }
QPushButton[role="segment"][place="last"] { border-top-right-radius: 4px;
    border-bottom-right-radius: 4px; border-right: none; }
QPushButton[role="segment"]:checked { background: %(accent)s; color: %(on_accent)s;
    font-weight: 600; }
QPushButton[role="segment"]:focus { border: 1px solid %(text)s; }
QPushButton[role="segment"]:checked:disabled { background: %(off)s;
    color: %(text)s; }
QPushButton[role="segment"]:!checked:disabled { color: %(muted)s;
    background: %(panel)s; }
QPushButton[letters="compact"] { font-size: 9.5pt; }
QDoubleSpinBox[role="compact"] { font-size: 9.5pt; }
QPushButton[role="choice"] { padding: 4px 3px; font-size: 9pt; }
QPushButton[role="choice"]:checked { background: %(accent)s; color: %(on_accent)s;
    font-weight: 600; }
QPushButton[role="choice"]:checked:disabled { background: %(off)s; color: %(text)s; }
QComboBox { background: %(field)s; border-radius: 4px; font-size: 9pt;
    border: 1px solid transparent; }
QComboBox:focus { border: 1px solid %(accent)s; }
QLineEdit, QDoubleSpinBox { background: %(field)s; border-radius: 4px;
    border: 1px solid transparent; }
QLineEdit:focus, QDoubleSpinBox:focus { border: 1px solid %(accent)s; }
QCheckBox { font-size: 9pt; }
QCheckBox::indicator:checked { background-color: %(accent)s; }
QCheckBox:focus { color: %(accent)s; }
QProgressBar { background: %(field)s; border: none; border-radius: 3px;
    max-height: 6px; min-height: 6px; padding: 0; margin: 0; }
QProgressBar::chunk { background: %(accent)s; border-radius: 3px; }
QScrollArea { border: none; }
QTableView { background: %(panel)s; border: none; border-radius: 5px;
    gridline-color: transparent; alternate-background-color: %(panel)s; }
QTableView[role="scores"] { font-size: 9pt; }
QTableView:focus { border: 1px solid %(line)s; }
QListWidget { background: %(panel)s; border: 1px solid transparent;
    border-radius: 5px; padding: 3px; }
QListWidget:focus { border: 1px solid %(accent)s; }
QListWidget::item { padding: 5px 7px; border-radius: 4px; color: %(text)s; }
QListWidget::item:selected { background: %(accent)s; color: %(on_accent)s; }
QListWidget::item:disabled { color: %(muted)s; }
QListWidget::item:selected:disabled { background: %(off)s; color: %(text)s; }
QHeaderView { background: transparent; }
QHeaderView::section { background: transparent; color: %(muted)s; border: none;
    padding: 3px 2px; font-size: 8pt; }
"""


CHANGES_OF_THEME = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)


class Dress(QObject):
    """Dresses a widget before its first look, and again when the theme changes."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._tones: Tones | None = None
        # the palette is only settled when the change has gone through
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(0)
        self._settled.timeout.connect(self._follow)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """See the theme change; nothing is kept from the widget."""
        if event is not None and event.type() == QEvent.Type.Show:
            self._follow()
        elif event is not None and event.type() in CHANGES_OF_THEME:
            self._settled.start()
        return False

    def _follow(self) -> None:
        self._widget.ensurePolished()
        tones = Tones.of(self._widget)
        if tones != self._tones:  # a new style sheet is itself a change of style
            self._tones = tones
            self._widget.setStyleSheet(style_sheet(tones))


def take_role(widget: QWidget, role: str) -> None:
    """Change a widget's role in the style sheet, and its look at once."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


_LONG = 18
_PLACES = re.compile(r"(?<=[_./\\:?&=-])(?=\w)")


def breakable(text: str) -> str:
    """Allow line breaks within long words, after their dots, dashes and slashes."""
    words = re.split(r"(\s+)", text)
    return "".join(
        _PLACES.sub("\u200b", word) if len(word) > _LONG else word for word in words
    )


def duration_text(seconds: float) -> str:
    """Write how long something takes, or is still to take."""
    if seconds < 1.5:
        return "about a second"
    if seconds < 90:
        return f"{round(seconds)} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
