"""How truth and prediction share the picture: the border, or the size of fields."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from napari_sparsessp.ui.compare.composed import Checkerboard, Pattern, Swipe
from napari_sparsessp.ui.layouts.layouts import COMPOSITIONS, SWIPE

_STEPS = 200
_FIELDS = (4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40)
"""Fields along the longer side."""


class CompositionPanel(QWidget):
    """One slider, with the words for what it does.

    Signals
    -------
    changed
        The user moved it.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._layout = ""
        self._places = {SWIPE: _STEPS // 2, "": 0}
        self.label = QLabel("")
        self.label.setProperty("role", "muted")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.valueChanged.connect(lambda _value: self.changed.emit())
        self.note = QLabel("")
        self.note.setProperty("role", "small")
        self.note.setWordWrap(True)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.label)
        row.addWidget(self.slider, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(row)
        column.addWidget(self.note)
        self.hide()

    def show_layout(self, layout: str) -> None:
        """Show what belongs to a layout; nothing for those that divide nothing."""
        if layout == self._layout:
            return
        self._places[self._layout] = self.slider.value()
        self._layout = layout
        self.setVisible(layout in COMPOSITIONS)
        self.slider.blockSignals(True)
        if layout == SWIPE:
            self.label.setText("Border")
            self.note.setText(
                "Left: truth · right: predicted. Drag the border here or there."
            )
            self.slider.setRange(0, _STEPS)
            self.slider.setToolTip(
                "Move the border between truth (left) and prediction (right); it can "
                "also be dragged in the picture."
            )
        else:
            self.label.setText("Fields")
            self.note.setText("The field in the upper left corner is truth.")
            self.slider.setRange(0, len(_FIELDS) - 1)
            self.slider.setToolTip("More and smaller fields, or fewer and larger ones.")
        self.slider.setAccessibleName(self.label.text())
        self.slider.setValue(self._places.get(layout, 3))
        self.slider.blockSignals(False)

    def share(self) -> float:
        """Where the border is, from 0 to 1."""
        return self.slider.value() / _STEPS

    def set_share(self, share: float) -> None:
        """Put the border where it was dragged to."""
        self.slider.setValue(round(share * _STEPS))

    def pattern(self, shape: tuple[int, ...]) -> Pattern:
        """Give the pattern for a stack.

        Parameters
        ----------
        shape : tuple of int
            (..., height, width).
        """
        if self._layout == SWIPE:
            return Swipe(self.share())
        return Checkerboard(max(shape[-2:]) / _FIELDS[self.slider.value()])
