"""Small widgets of the Plan dock's result, and colours that show on any back."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QWidget,
)

from napari_sparsessp.ui.widgets.style import Tones, mix

# Lightness, of 255, by which a line must differ from what is behind it.
_TELLS = 55


def visible_on(colour: QColor, tones: Tones) -> str:
    """Give a colour that can be told from the back; the catalogue's are for black.

    Parameters
    ----------
    colour : QColor
    tones : Tones
        Of where it is drawn.

    Returns
    -------
    str
        ``#rrggbb``
    """
    for share in (0.0, 0.2, 0.35, 0.5):
        mixed = mix(colour, tones.text, share)
        if abs(mixed.lightness() - tones.panel.lightness()) > _TELLS:
            return mixed.name()
    return tones.text.name()


def wrapped(role: str) -> QLabel:
    """Give a text of several lines, in one of the theme's roles."""
    label = QLabel("")
    label.setProperty("role", role)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


def number_field(
    low: float,
    high: float,
    value: float,
    prefix: str,
    suffix: str,
    *,
    bare: bool = False,
) -> QDoubleSpinBox:
    """A number with its unit; a bare one is typed, or changed with the arrow keys."""
    spin = QDoubleSpinBox()
    spin.setProperty("role", "compact")
    spin.setMinimumWidth(60)
    if bare:
        spin.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    spin.setDecimals(0)
    spin.setRange(low, high)
    spin.setValue(value)
    spin.setPrefix(prefix)
    spin.setSuffix(suffix)
    spin.setKeyboardTracking(False)
    return spin


def side_by_side(*widgets: QWidget) -> QWidget:
    """Put widgets beside one another, as wide as each other."""
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(6)
    for widget in widgets:
        row.addWidget(widget, 1)
    return holder
