"""Choose what is kept back to judge by, and see it."""

from collections.abc import Sequence
from typing import cast

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from napari_sparsessp.training.split import SHARE, StackParts
from napari_sparsessp.ui.look.segments import Segments
from napari_sparsessp.ui.train.choice import AUTO, Part
from napari_sparsessp.ui.train.split_drawing import SplitDrawing, split_words

_TIP = (
    "How much is kept back. What is kept back is never learnt from: it shows at every "
    "moment how well the network does on cells that it has not seen."
)


class TrainSplitPanel(QWidget):
    """Which part judges: by itself, whole stacks, or an end in x or y.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.by = Segments(
            [
                (AUTO, "By itself", "Whole stacks of three or more, else one end."),
                ("stack", "Stacks", "Keep back whole stacks: the strictest test."),
                ("x", "End in x", "Keep back the right end of each stack."),
                ("y", "End in y", "Keep back the lower end of each stack."),
            ],
            "Kept back",
        )
        self.share = QSpinBox()
        self.share.setRange(5, 50)
        self.share.setValue(round(100 * SHARE))
        self.share.setSuffix(" %")
        self.share.setMinimumWidth(100)
        self.share.setToolTip(_TIP)
        self.share.setAccessibleName("Share that is kept back")
        self.share.setKeyboardTracking(False)
        self.drawing = SplitDrawing()
        self.words = QLabel("")
        self.words.setProperty("role", "small")
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self._share_row = QWidget()
        row = QHBoxLayout(self._share_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        label = QLabel("Keep back")
        label.setProperty("role", "muted")
        row.addWidget(label)
        row.addWidget(self.share)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addWidget(self.by)
        column.addWidget(self._share_row)
        column.addWidget(self.drawing)
        column.addWidget(self.words)
        self.show_parts(())
        self.by.chosen.connect(self._on_by)
        self.share.valueChanged.connect(lambda _value: self.changed.emit())
        self._share_row.hide()

    def part(self) -> Part:
        """Tell which part is kept back."""
        return cast(Part, self.by.value())

    def fraction(self) -> float:
        """Share that is kept back."""
        return self.share.value() / 100

    def set_part(self, part: Part, share: float) -> None:
        """Choose without telling anyone."""
        self.by.set_value(part)
        self.share.blockSignals(True)
        self.share.setValue(round(100 * share))
        self.share.blockSignals(False)
        self._share_row.setVisible(part != AUTO)

    def show_parts(self, parts: Sequence[StackParts], note: str = "") -> None:
        """Draw the split; none hides it.

        Parameters
        ----------
        parts : sequence of StackParts
        note : str
            What should be known of it, in a sentence.
        """
        self.drawing.show_parts(parts)
        # of whole stacks the picture itself has the words
        words = split_words(parts) if any(one.axis for one in parts) else ""
        self.words.setText(f"{words[:1].upper()}{words[1:]} {note}".strip())
        self.words.setVisible(bool(self.words.text()))

    def _on_by(self, key: str) -> None:
        self._share_row.setVisible(key != AUTO)
        self.changed.emit()
