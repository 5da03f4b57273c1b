"""Choose the part that judges, and draw the split: learn, gap, judge."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sparsessp.training.split import SHARE, StackParts
from napari_sparsessp.ui.train.choice import AUTO, Part
from napari_sparsessp.ui.widgets.basic import Segments, in_a_column, wrapped_label
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.style import Tones, mix

_HEIGHT = 74
_CUT_MOST = 3
"""So many stacks that are cut are drawn; the others are cut alike."""
_GAP = 6.0
_LEARN, _JUDGE = "learn", "judge"


class SplitDrawing(QWidget):
    """Stacks seen from above; filled: learn, hatched: judge, empty: the gap.

    Shape and words tell the parts apart, colour only helps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts: tuple[StackParts, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)

    def show_parts(self, parts: Sequence[StackParts]) -> None:
        """Draw the split of these stacks; none hides the picture."""
        self.parts = tuple(parts)
        self.setVisible(bool(parts))
        words = split_words(self.parts)
        self.setAccessibleName(words)
        self.setToolTip(
            f"{words}\nNever by patch: parts that overlap would be in both, and the "
            "score would only show how well the network remembers."
        )
        self.update()

    def sizeHint(self) -> QSize:
        """Ask for room for a field of view."""
        return QSize(300, _HEIGHT)

    def paintEvent(self, _event: object) -> None:
        """Draw the stacks side by side."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        cut = [one for one in self.parts if one.axis][:_CUT_MOST]
        if not cut:
            self._draw_whole(painter)
            return
        room = (self.width() - _GAP * (len(cut) - 1)) / len(cut)
        for number, one in enumerate(cut):
            _, height, width = one.stack.shape
            scale = min(room / width, (self.height() - 2) / height)
            # a narrow stack is widened, so that its words have room
            wide = min(room, max(scale * width, 0.7 * room))
            tall = min(self.height() - 2.0, max(scale * height, 34.0))
            left = number * (room + _GAP)
            area = QRectF(left + 1, (self.height() - tall) / 2, wide - 2, tall)
            _draw_stack(painter, area, one, Tones.of(self))

    def _draw_whole(self, painter: QPainter) -> None:
        """Draw small squares in rows, those that judge at the end."""
        tones = Tones.of(self)
        ordered = sorted(self.parts, key=lambda one: one.judge is not None)
        count = len(ordered)
        rows = 1 if count <= 10 else 2 if count <= 30 else 3
        columns = max(-(-count // rows), 1)
        side = min((self.width() - 4) / columns, (self.height() - 20) / rows)
        side = max(min(side, 40.0), 4.0)
        for number, one in enumerate(ordered):
            row, column = divmod(number, columns)
            area = QRectF(1 + column * side, 1 + row * side, side - 3, side - 3)
            _fill(painter, area, _JUDGE if one.judge else _LEARN, tones)
        kept = sum(one.judge is not None for one in ordered)
        painter.setPen(tones.muted)
        words = f"{count - kept} to learn from · {kept} hatched: to judge by"
        foot = QRectF(0, 2 + rows * side, self.width(), 18)
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(foot, int(left), words)


def split_words(parts: Sequence[StackParts]) -> str:
    """Say in words what is drawn."""
    cut = next((one for one in parts if one.axis), None)
    if cut is None or cut.learn is None or cut.judge is None:
        kept = sum(one.judge is not None for one in parts)
        return f"{len(parts) - kept} stacks to learn from, {kept} to judge by."
    many = f"of each of {len(parts)} stacks, " if len(parts) > 1 else ""
    gap = cut.judge[0] - cut.learn[1]
    between = f" a gap of {gap} in neither," if gap else ""
    return (
        f"{many}pixels {cut.learn[0]} to {cut.learn[1]} in {cut.axis} to learn from,"
        f"{between} {cut.judge[0]} to {cut.judge[1]} to judge by."
    )


def _draw_stack(
    painter: QPainter, area: QRectF, parts: StackParts, tones: Tones
) -> None:
    along_x = parts.axis == "x"
    size = parts.stack.shape[2 if along_x else 1]
    for kind, part in ((_LEARN, parts.learn), (_JUDGE, parts.judge)):
        if part is None:
            continue
        begin, extent = part[0] / size, (part[1] - part[0]) / size
        left, top, wide, tall = area.getRect()
        piece = (
            QRectF(left + begin * wide, top, extent * wide, tall)
            if along_x
            else QRectF(left, top + begin * tall, wide, extent * tall)
        )
        _fill(painter, piece, kind, tones)
        _write(painter, piece, kind, tones)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(tones.line, 1.0))
    painter.drawRect(area)


def _fill(painter: QPainter, area: QRectF, kind: str, tones: Tones) -> None:
    colour = QColor(tones.accent if kind == _LEARN else tones.warn)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(mix(tones.back, colour, 0.42 if kind == _LEARN else 0.16))
    painter.drawRect(area)
    if kind == _JUDGE:
        # a brush that hatches is too fine to see
        painter.save()
        painter.setClipRect(area)
        painter.setPen(QPen(mix(tones.back, colour, 0.75), 1.1))
        left, top, bottom, tall = area.left(), area.top(), area.bottom(), area.height()
        for step in range(int((area.width() + tall) / 7) + 1):
            x = left - tall + 7 * step
            painter.drawLine(round(x), round(bottom), round(x + tall), round(top))
        painter.restore()


def _write(painter: QPainter, area: QRectF, text: str, tones: Tones) -> None:
    metrics = painter.fontMetrics()
    wide, tall = metrics.horizontalAdvance(text) + 8, metrics.height() + 2
    if area.width() < wide or area.height() < tall:
        return
    box = QRectF(0, 0, wide, tall)
    box.moveCenter(area.center())
    back = QColor(tones.back)
    back.setAlpha(215)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(back)
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(tones.text)
    painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)


@dataclass(frozen=True)
class SplitOptions:
    """How much is kept back."""

    percent: Annotated[
        int,
        {
            "label": "Keep back",
            "name": "Share that is kept back",
            "unit": " %",
            "min": 5,
            "max": 50,
            "tooltip": "How much is kept back. What is kept back is never learnt from: "
            "it shows at every moment how well the network does on cells that it has "
            "not seen.",
        },
    ] = round(100 * SHARE)


class SplitPanel(QWidget):
    """Choose the part that judges: automatic, whole stacks, or an end in x or y."""

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
        self.options = Form(SplitOptions)
        self.drawing = SplitDrawing()
        self.words = wrapped_label("small")
        in_a_column(self, self.by, self.options, self.drawing, self.words)
        self.show_parts(())
        self.set_part("auto", SHARE)
        self.by.chosen.connect(self._on_by)
        self.options.changed.connect(self.changed)

    def part(self) -> Part:
        """Return what is kept back."""
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
        self.drawing.show_parts(parts)
        # of whole stacks the picture itself has the words
        words = split_words(parts) if any(one.axis for one in parts) else ""
        self.words.setText(f"{words[:1].upper()}{words[1:]} {note}".strip())
        self.words.setVisible(bool(self.words.text()))

    def _on_by(self, key: str) -> None:
        self.options.setVisible(key != AUTO)
        self.changed.emit()
