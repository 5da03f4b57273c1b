"""A picture of the split: what of each stack is learnt from, and what judges."""

from collections.abc import Sequence

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sparsessp.training.split import StackParts
from napari_sparsessp.ui.look.theme import Tones, mix

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
        self._parts: tuple[StackParts, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)

    @property
    def parts(self) -> tuple[StackParts, ...]:
        """What is drawn."""
        return self._parts

    def show_parts(self, parts: Sequence[StackParts]) -> None:
        """Draw the split of these stacks; none hides the picture."""
        self._parts = tuple(parts)
        self.setVisible(bool(parts))
        words = split_words(self._parts)
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
        if not self._parts:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        cut = [one for one in self._parts if one.axis]
        if cut:
            self._draw_cut(painter, cut[:_CUT_MOST])
        else:
            self._draw_whole(painter)

    def _draw_cut(self, painter: QPainter, parts: Sequence[StackParts]) -> None:
        room = (self.width() - _GAP * (len(parts) - 1)) / len(parts)
        for number, one in enumerate(parts):
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
        ordered = sorted(self._parts, key=lambda one: one.judge is not None)
        count = len(ordered)
        rows = 1 if count <= 10 else 2 if count <= 30 else 3
        columns = -(-count // rows)
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
    if cut is None:
        kept = sum(one.judge is not None for one in parts)
        return f"{len(parts) - kept} stacks to learn from, {kept} to judge by."
    assert cut.learn is not None
    assert cut.judge is not None
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
        begin, end = part[0] / size, part[1] / size
        piece = QRectF(area)
        if along_x:
            piece.setLeft(area.left() + begin * area.width())
            piece.setRight(area.left() + end * area.width())
        else:
            piece.setTop(area.top() + begin * area.height())
            piece.setBottom(area.top() + end * area.height())
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
        painter.save()
        painter.setClipRect(area)
        painter.setPen(QPen(mix(tones.back, colour, 0.75), 1.1))
        x = area.left() - area.height()
        while x < area.right():
            painter.drawLine(
                round(x), round(area.bottom()), round(x + area.height()),
                round(area.top()),
            )  # fmt: skip
            x += 7.0
        painter.restore()


def _write(painter: QPainter, area: QRectF, text: str, tones: Tones) -> None:
    metrics = painter.fontMetrics()
    wide = metrics.horizontalAdvance(text) + 8
    tall = metrics.height() + 2
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
