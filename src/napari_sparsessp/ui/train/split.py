"""Choose the validation region, and draw the split: training, gap, validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sparsessp.training.split import SHARE, StackParts
from napari_sparsessp.ui.train.choice import AUTO, Part
from napari_sparsessp.ui.widgets.basic import Segments, in_a_column, wrapped_label
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.style import Tones, mix

_HEIGHT = 74


class SplitDrawing(QWidget):
    """A stack seen from above; filled: training, hatched: validation, empty: the gap.

    Shape and words tell the parts apart, colour only helps. The others are cut alike.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts: StackParts | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)

    def show_parts(self, parts: Sequence[StackParts], words: str) -> None:
        """Draw the first stack that is cut; whole stacks need no picture."""
        self.parts = next((one for one in parts if one.axis), None)
        self.setVisible(self.parts is not None)
        self.setAccessibleName(words)
        self.setToolTip(
            f"{words}\nNever by patch: parts that overlap would be in both, and the "
            "score would only show how well the network remembers."
        )
        self.update()

    def paintEvent(self, _event: object) -> None:
        """Draw the stack in its proportions, widened where words need the room."""
        if (parts := self.parts) is None:
            return
        painter, tones = QPainter(self), Tones.of(self)
        _, height, width = parts.stack.shape
        scale = min(self.width() / width, self.height() / height)
        wide = min(self.width(), max(scale * width, 0.7 * self.width()))
        tall = max(scale * height, 34.0)
        whole = QRectF(0, (self.height() - tall) / 2, wide - 1, tall - 1)
        size = width if parts.axis == "x" else height
        for text, part in (("training", parts.learn), ("validation", parts.judge)):
            if part is None:
                continue
            first, last = part[0] / size, part[1] / size
            area = QRectF(whole)
            if parts.axis == "x":
                area.setRight(whole.left() + last * wide)
                area.setLeft(whole.left() + first * wide)
            else:
                area.setBottom(whole.top() + last * tall)
                area.setTop(whole.top() + first * tall)
            colour = tones.accent if part is parts.learn else tones.warn
            painter.fillRect(area, mix(tones.back, colour, 0.3))
            if part is parts.judge:
                ink = mix(tones.back, colour, 0.75)
                painter.fillRect(area, QBrush(ink, Qt.BrushStyle.BDiagPattern))
            _write(painter, area, text, tones)
        painter.setPen(tones.line)
        painter.drawRect(whole)


def split_words(parts: Sequence[StackParts]) -> str:
    """Say in words what is drawn."""
    cut = next((one for one in parts if one.axis), None)
    if cut is None or cut.learn is None or cut.judge is None:
        kept = sum(one.judge is not None for one in parts)
        return f"{len(parts) - kept} stacks for training, {kept} for validation."
    many = f" of each of {len(parts)} stacks" if len(parts) > 1 else ""
    gap = cut.judge[0] - cut.learn[1]
    between = f" a gap of {gap} in neither," if gap else ""
    return (
        f"Pixels {cut.learn[0]} to {cut.learn[1]} in {cut.axis}{many} for training,"
        f"{between} {cut.judge[0]} to {cut.judge[1]} for validation."
    )


def _write(painter: QPainter, area: QRectF, text: str, tones: Tones) -> None:
    metrics = painter.fontMetrics()
    wide, tall = metrics.horizontalAdvance(text) + 8, metrics.height() + 2
    if area.width() < wide or area.height() < tall:
        return
    box = QRectF(0, 0, wide, tall)
    box.moveCenter(area.center())
    back = QColor(tones.back)
    back.setAlpha(215)
    painter.fillRect(box, back)
    painter.setPen(tones.text)
    painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)


@dataclass(frozen=True)
class SplitOptions:
    """How large the validation region is."""

    percent: Annotated[
        int,
        {
            "label": "Share",
            "name": "Share of the validation region",
            "unit": " %",
            "min": 5,
            "max": 50,
            "tooltip": "How much of the images is for validation. The network never "
            "learns from it: it shows at every moment how well the network does on "
            "cells that it has not seen.",
        },
    ] = round(100 * SHARE)


class SplitPanel(QWidget):
    """Choose the validation region: automatic, whole stacks, or an end in x or y."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.by = Segments(
            [
                (AUTO, "Automatic", "Whole stacks of three or more, else one end."),
                ("stack", "Stacks", "Whole stacks: the strictest test."),
                ("x", "End in x", "The right end of each stack."),
                ("y", "End in y", "The lower end of each stack."),
            ],
            "Validation region",
        )
        self.options = Form(SplitOptions)
        self.drawing = SplitDrawing()
        self.words = wrapped_label("small")
        in_a_column(self, self.by, self.options, self.drawing, self.words)
        self.show_parts(())
        self.set_part("auto", SHARE)
        self.by.chosen.connect(lambda key: self.options.setVisible(key != AUTO))
        self.by.chosen.connect(self.changed)
        self.options.changed.connect(self.changed)

    def part(self) -> Part:
        """Return which part is for validation."""
        return cast(Part, self.by.value())

    def share(self) -> float:
        """Return how much of it."""
        return self.options.values().percent / 100

    def set_part(self, part: Part, share: float) -> None:
        """Show another choice without emitting `changed`."""
        self.by.set_value(part)
        self.options.set(SplitOptions(round(100 * share)))
        self.options.setVisible(part != AUTO)

    def show_parts(self, parts: Sequence[StackParts], note: str = "") -> None:
        """Draw the split; none hides it."""
        words = split_words(parts)
        self.drawing.show_parts(parts, words)
        self.words.setText(f"{words} {note}".strip())
        self.words.setVisible(bool(parts))
