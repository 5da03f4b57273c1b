"""Choose the validation region, and show the split: training, gap, validation.

Never by patch: parts that overlap would be in both, and the score would only show how
well the network remembers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QWidget

from napari_sparsessp.training.split import SHARE, StackParts
from napari_sparsessp.ui.train.choice import AUTO, Part
from napari_sparsessp.ui.widgets.basic import Segments, in_a_column, wrapped_label
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.style import Tones, mix

_HEIGHT = 40


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


def _picture(parts: StackParts, tones: Tones) -> str:
    """Return the style of a stack seen from above: training, gap, validation."""
    assert parts.learn is not None
    assert parts.judge is not None
    along_x = parts.axis == "x"
    size = parts.stack.shape[2 if along_x else 1]
    training, validation = (
        mix(tones.back, colour, 0.45) for colour in (tones.accent, tones.warn)
    )
    colours = training, tones.panel, validation
    ends = parts.learn[1] / size, parts.judge[0] / size
    stops = zip((0.0, *ends), (*ends, 1.0), colours, strict=True)
    bands = "".join(
        f", stop:{a + 1e-4} {colour.name()}, stop:{b} {colour.name()}"
        for a, b, colour in stops
    )
    direction = "x1:0, y1:0, x2:1, y2:0" if along_x else "x1:0, y1:0, x2:0, y2:1"
    return f"background: qlineargradient({direction}{bands}); border-radius: 4px;"


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
        self.picture = QFrame()
        self.picture.setFixedHeight(_HEIGHT)
        self.words = wrapped_label("small")
        in_a_column(self, self.by, self.options, self.picture, self.words)
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
        """Show the split; none hides it."""
        words = split_words(parts)
        cut = next((one for one in parts if one.axis), None)
        self.picture.setVisible(cut is not None)
        if cut is not None:
            self.picture.setStyleSheet(_picture(cut, Tones.of(self)))
            self.picture.setAccessibleName(words)
        self.words.setText(f"{words} {note}".strip())
        self.words.setVisible(bool(parts))
