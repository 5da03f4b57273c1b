"""A row of joined buttons of which exactly one is down."""

from collections.abc import Sequence

from qtpy.QtCore import QSize, Signal
from qtpy.QtGui import QFont, QFontMetrics
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

# Padding and borders of a segment in the style sheet, and its least width.
_AROUND = 12
_NARROWEST = 26


class Segments(QWidget):
    """Choose one of a few values at a glance.

    Parameters
    ----------
    choices : sequence of (key, text, tool tip)
    name : str
        What is chosen, for screen readers.
    """

    chosen = Signal(str)

    def __init__(self, choices: Sequence[tuple[str, str, str]], name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._buttons: dict[str, QPushButton] = {}
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        for place, (key, text, tip) in enumerate(choices):
            button = _Segment(text)
            button.setCheckable(True)
            button.setToolTip(tip)
            button.setAccessibleName(f"{name}: {text}")
            button.setProperty("role", "segment")
            if place in (0, len(choices) - 1):
                button.setProperty("place", "first" if place == 0 else "last")
            self._group.addButton(button)
            self._buttons[key] = button
            row.addWidget(button, 1)
        self._group.buttonClicked.connect(self._on_clicked)
        self.set_value(choices[0][0])

    def value(self) -> str:
        """Key of the button that is down, or "" where none is."""
        for key, button in self._buttons.items():
            if button.isChecked():
                return key
        return ""

    def set_value(self, key: str) -> None:
        """Press a button without telling anyone."""
        self._buttons[key].setChecked(True)

    def clear(self) -> None:
        """Let every button up."""
        self._group.setExclusive(False)
        for button in self._buttons.values():
            button.setChecked(False)
        self._group.setExclusive(True)

    def button(self, key: str) -> QPushButton:
        """Return the button of a key, to change its text, tool tip or state."""
        return self._buttons[key]

    def _on_clicked(self, _button: QPushButton) -> None:
        self.chosen.emit(self.value())


class _Segment(QPushButton):
    """A button that is never narrower than its text, which is bold while it is down."""

    def minimumSizeHint(self) -> QSize:
        """Give the room that the bold text needs."""
        bold = QFont(self.font())
        bold.setWeight(QFont.Weight.DemiBold)
        width = QFontMetrics(bold).horizontalAdvance(self.text()) + _AROUND
        return QSize(max(width, _NARROWEST), super().minimumSizeHint().height())
