"""Parts that all docks are made of: steps, footer, messages, joined buttons."""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QShowEvent
from qtpy.QtWidgets import (
    QApplication,
    QButtonGroup,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.widgets.controls import dock_words
from napari_sparsessp.ui.widgets.style import Tones, take_role


class Mark(Enum):
    """Whether a step is ready. The words are what a screen reader says."""

    WAITING = "not known yet"
    GOOD = "OK"
    WARN = "works, with a warning"
    BAD = "cannot run"


# strokes within a circle of radius 1; a stroke of one place is a dot
_STROKES: dict[Mark, tuple[tuple[tuple[float, float], ...], ...]] = {
    Mark.WAITING: (),
    Mark.GOOD: (((-0.45, 0.05), (-0.1, 0.4), (0.5, -0.35)),),
    Mark.WARN: (((0, -0.5), (0, 0.1)), ((0, 0.52),)),
    Mark.BAD: (((-0.38, -0.38), (0.38, 0.38)), ((-0.38, 0.38), (0.38, -0.38))),
}


def draw_mark(
    painter: QPainter, centre: QPointF, radius: float, mark: Mark, tones: Tones
) -> None:
    """Draw a mark: its shape says as much as its colour."""
    painter.setPen(Qt.PenStyle.NoPen)
    colours = tones.line, tones.good, tones.warn, tones.bad
    painter.setBrush(dict(zip(Mark, colours, strict=True))[mark])
    painter.drawEllipse(centre, radius, radius)
    pen = QPen(QColor("#15181b" if tones.dark else "#ffffff"), radius * 0.28)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    for stroke in _STROKES[mark]:
        places = [centre + QPointF(x * radius, y * radius) for x, y in stroke]
        if len(places) == 1:
            painter.drawPoint(places[0])
        else:
            painter.drawPolyline(places)


class MarkDot(QWidget):
    """A mark as a widget, for tables of expected against found."""

    def __init__(self, mark: Mark = Mark.WAITING, size: int = 14) -> None:
        super().__init__()
        self.setFixedSize(size, size)
        self.set_mark(mark)

    def set_mark(self, mark: Mark) -> None:
        """Show another mark."""
        self.mark = mark
        self.setAccessibleName(mark.value)
        self.update()

    def paintEvent(self, _event: object) -> None:
        """Draw the mark."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        half = self.width() / 2
        draw_mark(painter, QPointF(half, half), half - 1, self.mark, Tones.of(self))


def _bold_metrics(widget: QWidget) -> QFontMetrics:
    bold = QFont(widget.font())
    bold.setWeight(QFont.Weight.DemiBold)
    return QFontMetrics(bold)


class Step(QWidget):
    """A piece of the sentence with its controls; no line leads on from the `last`."""

    GUTTER = 24

    def __init__(self, headline: str, *, last: bool = False) -> None:
        super().__init__()
        self.mark = Mark.WAITING
        self._last = last
        self.headline = small_label(headline, "headline")
        self.headline.setTextFormat(Qt.TextFormat.RichText)
        policy = QSizePolicy.Policy
        self.headline.setSizePolicy(policy.Ignored, policy.Preferred)
        self.title_row = in_a_row(self.headline)
        self.title_row.setSpacing(4)
        self.body = QVBoxLayout()
        self.body.setSpacing(6)
        outer = in_a_column(self, self.title_row, self.body)
        outer.setContentsMargins(self.GUTTER, 0, 0, 2 if last else 10)

    def set_mark(self, mark: Mark) -> None:
        """Show whether this step is ready."""
        self.mark = mark
        self.setAccessibleDescription(mark.value)
        self.update()

    def set_headline(self, text: str) -> None:
        """Replace this piece of the sentence (rich text)."""
        if text != self.headline.text():
            self.headline.setText(text)
            self._fit_headline()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Fit to the theme's font, which is known from now on."""
        super().showEvent(event)
        self._fit_headline()

    def _fit_headline(self) -> None:
        """Let the headline wrap between words, and never within one."""
        self.headline.ensurePolished()
        metrics = _bold_metrics(self.headline)
        words = re.sub(r"<[^>]*>", "", self.headline.text()).split()
        widest = max((metrics.horizontalAdvance(word) for word in words), default=0)
        self.headline.setMinimumWidth(widest + 10)  # napari pads labels

    def paintEvent(self, _event: object) -> None:
        """Draw the mark and the line that leads to the next step."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones = Tones.of(self)
        y = self.headline.geometry().top() + min(self.headline.height() / 2, 11.0)
        if not self._last:
            line = QRectF(7.25, y + 11, 1.5, self.height() - y - 11)
            painter.fillRect(line, tones.line)
        draw_mark(painter, QPointF(8.0, y), 7.5, self.mark, tones)


NARROWEST = 340  # pixels of a dock in which nothing is cut


class StepColumn(QScrollArea):
    """Scrolls from top to bottom only; `below` are pixels under the last step."""

    def __init__(self, steps: Iterable[QWidget], below: int = 0) -> None:
        super().__init__()
        body = QWidget()
        self.column = in_a_column(body, *steps, spacing=0)
        self.column.setContentsMargins(12, 7, 10, below)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab goes to what is in it
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(body)

    def end(self) -> None:
        """Leave what room is left below."""
        self.column.addStretch(1)


# Padding and borders of a segment in the style sheet, and its least width.
_AROUND = 12
_NARROWEST = 26


class Segments(QWidget):
    """Choose one of a few values at a glance; `name` is for screen readers."""

    chosen = Signal(str)

    def __init__(self, choices: Sequence[tuple[str, str, str]], name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._buttons: dict[str, QPushButton] = {}
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
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
        row = in_a_row(*self._buttons.values(), stretched=len(choices))
        row.setSpacing(0)
        in_a_column(self, row)
        self._group.buttonClicked.connect(lambda _: self.chosen.emit(self.value()))
        self.set_value(choices[0][0])

    def value(self) -> str:
        """Key of the button that is down, or "" where none is."""
        down = (key for key, button in self._buttons.items() if button.isChecked())
        return next(down, "")

    def set_value(self, key: str) -> None:
        """Press a button without emitting `chosen`."""
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


class _Segment(QPushButton):
    """A button that is never narrower than its text, which is bold while it is down."""

    def minimumSizeHint(self) -> QSize:
        """Return the room that the bold text needs."""
        width = _bold_metrics(self).horizontalAdvance(self.text()) + _AROUND
        return QSize(max(width, _NARROWEST), super().minimumSizeHint().height())


# More than this at once pushes the form out of a small window.
_UNFOLDED = 2


class MessageBox(QFrame):
    """A framed text with a mark; an error can be copied with all its details."""

    def __init__(self) -> None:
        super().__init__()
        self._details = self._folded = ""
        self.dot = MarkDot(Mark.WARN, 15)
        self.text = wrapped_label("")
        policy = QSizePolicy.Policy
        self.text.setSizePolicy(policy.Ignored, policy.MinimumExpanding)
        self.copy_button = link_button(
            "Copy details",
            "Copy the whole error, the request and the versions, to send to someone.",
        )
        self.copy_button.clicked.connect(self._copy)
        self.more_button = link_button("", "Show all of them.")
        self.more_button.clicked.connect(self._unfold)
        row = in_a_row(self.dot, self.text, stretched=0)
        row.setSpacing(8)
        row.setAlignment(self.dot, Qt.AlignmentFlag.AlignTop)
        row.setStretch(1, 1)
        foot = in_a_row(self.more_button, self.copy_button, stretched=0)
        foot.insertStretch(0, 1)
        in_a_column(self, row, foot, spacing=2).setContentsMargins(9, 7, 9, 7)
        self.hide()

    def show_error(self, text: str, details: str = "") -> None:
        """Show an error in one line, with details to copy."""
        self._show("error", Mark.BAD, sentence(text), details)
        self.more_button.hide()

    def show_notices(self, notices: Sequence[str]) -> None:
        """Show notices, or nothing where there are none."""
        if not notices:
            self.clear()
            return
        lines = [sentence(notice) for notice in notices]
        self._folded = "\n".join(lines)
        self._show("notice", Mark.WARN, "\n".join(lines[:_UNFOLDED]), "")
        self.text.setToolTip(self._folded)
        rest = len(lines) - _UNFOLDED
        self.more_button.setText(f"{rest} more…")
        self.more_button.setVisible(rest > 0)

    def clear(self) -> None:
        """Show nothing."""
        self._details = ""
        self.text.setText("")
        self.hide()

    @property
    def is_error(self) -> bool:
        """Return whether an error is shown."""
        return not self.isHidden() and self.property("role") == "error"

    def _show(self, role: str, mark: Mark, text: str, details: str) -> None:
        self._details = details
        self.copy_button.setText("Copy details")
        self.text.setToolTip("")
        self.text.setText(text)
        self.dot.set_mark(mark)
        self.copy_button.setVisible(bool(details))
        take_role(self, role)
        self.setAccessibleName(text)
        self.show()

    def _unfold(self) -> None:
        self.text.setText(self._folded)
        self.more_button.hide()

    def _copy(self) -> None:
        QApplication.clipboard().setText(self._details)
        self.copy_button.setText("Copied")


def sentence(text: str) -> str:
    """Begin with a capital and end with a full stop, as text in a window does."""
    text = dock_words(text.strip())
    if text and text[-1] not in ".!?…":
        text += "."
    first = text.split(" ", 1)[0].rstrip(",:;")
    if first.isalpha():  # never the name of a file
        text = text[:1].upper() + text[1:]
    return text


SHARES = 1000  # steps of a bar that shows a share


class Foot(QWidget):
    """The footer of a dock: message, progress, status; each adds its own buttons."""

    def __init__(self, work: str) -> None:
        super().__init__()
        self.message = MessageBox()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, SHARES)
        self.bar.setAccessibleName(f"Progress of {work}")
        self.status = small_label("", "muted")
        policy = QSizePolicy.Policy
        self.status.setSizePolicy(policy.Ignored, policy.Preferred)

    def stack(self, *rows: QWidget | QHBoxLayout) -> None:
        """Put rows below a line and the message."""
        line = QFrame()
        line.setProperty("role", "line")
        column = in_a_column(self, line, self.message, *rows, spacing=7)
        column.setContentsMargins(12, 0, 12, 10)

    def set_status(self, text: str) -> None:
        """Show the status in one line."""
        self.status.setText(dock_words(text))
        self.status.setToolTip(self.status.text())

    def show_progress(
        self, share: float, text: str, _seconds_left: float | None = None
    ) -> None:
        """Move the bar and show the step, as `BackgroundTask.progressed` reports."""
        self.bar.setValue(round(SHARES * share))
        self.set_status(text)


class WorkFoot(Foot):
    """A foot with one great button that starts and stops the dock's work."""

    def __init__(self, work: str, state: Enum) -> None:
        super().__init__(work)
        self._state = state
        self.button = QPushButton("")

    @property
    def state(self) -> Enum:
        """The state of the work."""
        return self._state

    def take_state(self, state: Enum, look: tuple[str, str, str], on: bool) -> None:
        """Change the button to what it does now."""
        text, role, tip = look
        self._state = state
        self.button.setText(text)
        self.button.setToolTip(dock_words(tip))
        self.button.setEnabled(on)
        take_role(self.button, role)

    def press(self, *states: Enum) -> None:
        """Press the button, if it does what is meant: a key is never a surprise."""
        if self._state in states:
            self.button.click()


def in_a_row(*widgets: QWidget, stretched: int = 1) -> QHBoxLayout:
    """Put widgets beside each other; so many of the first share the room."""
    row = QHBoxLayout()
    row.setSpacing(6)
    for place, widget in enumerate(widgets):
        row.addWidget(widget, 1 if place < stretched else 0)
    return row


def in_a_column(
    holder: QWidget, *rows: QWidget | QLayout, spacing: int = 5
) -> QVBoxLayout:
    """Fill a widget with rows from top to bottom, without margins."""
    column = QVBoxLayout(holder)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(spacing)
    for row in rows:
        if isinstance(row, QWidget):
            column.addWidget(row)
        else:
            column.addLayout(row)
    return column


class ElidingComboBox(QComboBox):
    """A combo box that shortens a long name in its middle."""

    def __init__(self) -> None:
        super().__init__()
        shorten(self)


def shorten(box: QComboBox) -> None:
    """Shorten a long choice in its middle: names of files differ at both ends."""
    box.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    box.setProperty("elides", True)
    box.installEventFilter(_ElideMiddle(box))


class _ElideMiddle(QObject):
    """Paints a combo box whose text may be too long."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Paint instead of the box."""
        assert event is not None
        if event.type() != QEvent.Type.Paint or not isinstance(watched, QComboBox):
            return False
        option = QStyleOptionComboBox()
        watched.initStyleOption(option)
        field = watched.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            watched,
        )
        option.currentText = watched.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideMiddle, field.width() - 6
        )
        painter = QStylePainter(watched)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()
        return True


def side_by_side(*widgets: QWidget) -> QWidget:
    """Put widgets beside one another, as wide as each other."""
    holder = QWidget()
    in_a_column(holder, in_a_row(*widgets, stretched=len(widgets)))
    return holder


def wrapped_label(role: str, text: str = "") -> QLabel:
    """Return a text of several lines that can be selected, in a role of the style."""
    label = small_label(text, role)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


def small_label(text: str = "", role: str = "small") -> QLabel:
    """Return a plain text of several lines, in a role of the style."""
    label = QLabel(text)
    label.setProperty("role", role)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def labelled_row(text: str, *widgets: QWidget) -> QWidget:
    """Put a label and widgets beside each other; the first takes the room."""
    label = QLabel(text)
    label.setProperty("role", "muted")
    holder, row = QWidget(), in_a_row(label, *widgets, stretched=0)
    row.setStretchFactor(widgets[0], 1)
    in_a_column(holder, row)
    return holder


def single_shot(parent: QObject, slot: Callable[[], None], ms: int = 0) -> QTimer:
    """Return a timer that calls a slot once after each start."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(ms)
    timer.timeout.connect(slot)
    return timer


def link_button(text: str, tip: str) -> QPushButton:
    """Return a button that looks like a link."""
    button = QPushButton(text)
    button.setProperty("role", "link")
    button.setToolTip(tip)
    return button
