"""How sparsely the stack was imaged, or is to be thinned out for a trial."""

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QFont, QMouseEvent, QPainter, QPolygonF
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.sparse import SparseView
from napari_sparsessp.ui.widgets.basic import Segments
from napari_sparsessp.ui.widgets.style import Tones, mix


def sampling_sentence(view: SparseView, flat: bool = False) -> str:
    """Say what a sparse view means in planes and exposures.

    Parameters
    ----------
    view : SparseView
    flat : bool
        The model predicts one projection of them.

    Returns
    -------
    str
        For example ``13 planes measured, 52 predicted, 75 % fewer exposures``.
    """
    measured = len(view.planes)
    planes = "1 plane" if measured == 1 else f"{measured} planes"
    dense = max(view.depth, 1)
    if flat:
        return f"{planes} measured, 1 projection of them predicted"
    if measured > dense:
        return f"{planes} measured, {dense} predicted (finer than the model's grid)"
    if measured == dense:
        return f"{planes} measured, {dense} predicted: every plane is imaged"
    saved = round(100 * (1 - measured / dense))
    return f"{planes} measured, {dense} predicted, {saved} % fewer exposures"


class ZAxisDrawing(QWidget):
    """The z-axis from left (first plane) to right (last plane).

    Tall bars are planes that were imaged; short ones are filled in by the network. A
    mark below shows the plane that is on screen; a click goes to another.

    Signals
    -------
    plane_asked : float
        A position in dense planes was clicked.
    """

    plane_asked = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self._view: SparseView | None = None
        self._step: float | None = None
        self._position: float | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "The z-axis of the stack. Tall bars: planes that were imaged. Short bars: "
            "planes that nobody imaged and the network predicts from their neighbours. "
            "Click to go to a plane."
        )

    def sizeHint(self) -> QSize:
        """Give a flat strip."""
        return QSize(260, 50)

    def show_view(
        self, view: SparseView | None, step_um: float | None, flat: bool = False
    ) -> None:
        """Draw another view.

        Parameters
        ----------
        view : SparseView or None
            None draws an empty axis.
        step_um : float or None
            Distance of two dense planes in µm, where it is known.
        flat : bool
            The model predicts one projection of the planes.
        """
        self._view = view
        self._step = step_um
        self.setAccessibleName("" if view is None else sampling_sentence(view, flat))
        self.update()

    def show_position(self, position: float | None) -> None:
        """Mark the plane that is on screen.

        Parameters
        ----------
        position : float or None
            In dense planes; None marks nothing.
        """
        if position != self._position:
            self._position = position
            self.update()

    def paintEvent(self, _event: object) -> None:
        """Draw the axis."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones = Tones.of(self)
        strip = QRectF(1, 2, self.width() - 2, 26)
        painter.fillRect(
            QRectF(strip.left(), strip.bottom(), strip.width(), 1), tones.line
        )
        if self._view is not None:
            self._draw_planes(painter, strip, self._view, tones)
        font = QFont(self.font())
        font.setPointSizeF(8.0)
        painter.setFont(font)
        painter.setPen(tones.muted)
        below = QRectF(strip.left(), strip.bottom() + 4, strip.width(), 15)
        left, right = "first plane", "last plane"
        if self._view is not None and self._step is not None:
            left = "z = 0"
            right = f"{self._step * max(self._view.depth - 1, 0):.1f} µm"
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, left)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, right)
        if self._view is not None and self._position is not None:
            self._draw_position(painter, strip, below, tones)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Ask for the plane under the mouse."""
        self._ask(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Ask for the planes that the mouse is dragged over."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._ask(event.position().x())

    def plane_text(self) -> str:
        """Say which plane is on screen and whether it was imaged."""
        if self._view is None or self._position is None:
            return ""
        plane = min(max(round(self._position), 0), self._view.depth - 1)
        kind = "measured" if plane in self._view.measured_planes else "predicted"
        where = f"plane {plane}"
        if self._step is not None:
            where = f"{plane * self._step:.1f} µm"
        return f"{where}, {kind}"

    def _ask(self, x: float) -> None:
        if self._view is not None:
            pitch = (self.width() - 2) / max(self._view.depth, 1)
            place = round((x - 1) / pitch - 0.5)
            self.plane_asked.emit(float(min(max(place, 0), self._view.depth - 1)))

    def _draw_position(
        self, painter: QPainter, strip: QRectF, below: QRectF, tones: Tones
    ) -> None:
        assert self._view is not None
        assert self._position is not None
        pitch = strip.width() / max(self._view.depth, 1)
        x = strip.left() + (min(self._position, self._view.depth - 1) + 0.5) * pitch
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tones.text)
        y = strip.bottom() + 1
        painter.drawPolygon(
            QPolygonF([QPointF(x, y), QPointF(x - 4, y + 6), QPointF(x + 4, y + 6)])
        )
        painter.setPen(tones.text)
        text = self.plane_text()
        half = painter.fontMetrics().horizontalAdvance(text) / 2 + 2
        left = min(max(x, below.left() + half + 42), below.right() - half - 46)
        box = QRectF(left - half, below.top() + 5, 2 * half, below.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _draw_planes(
        self, painter: QPainter, strip: QRectF, view: SparseView, tones: Tones
    ) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        depth = max(view.depth, 1)
        pitch = strip.width() / depth
        predicted = mix(tones.back, tones.accent, 0.42)
        short = QRectF(0, strip.bottom() - 10, 0, 10)
        if pitch < 2.5:  # too many planes to tell apart: a band stands for them
            band = QRectF(short)
            band.setLeft(strip.left())
            band.setRight(strip.right())
            painter.fillRect(band, predicted)
        else:
            width = min(max(pitch * 0.5, 1.0), 5.0)
            short.setWidth(width)
            for plane in range(depth):
                short.moveLeft(strip.left() + (plane + 0.5) * pitch - width / 2)
                painter.fillRect(short, predicted)
        tall_width = min(max(pitch * 0.6, 1.6), 6.0)
        step = max(1, round(len(view.positions) / max(strip.width() / 2.5, 1)))
        for position in view.positions[::step]:
            x = strip.left() + (position + 0.5) * pitch - tall_width / 2
            painter.setBrush(tones.accent)
            painter.drawRoundedRect(
                QRectF(x, strip.top(), tall_width, strip.height()), 1.5, 1.5
            )


AUTO, OTHER = "auto", "other"
RATIOS = (1, 2, 4, 8)
_AUTO_TIP = (
    "Take the ratio from the voxel size: the z step of this stack over the z step of "
    "the model's grid."
)
_SIMULATE_TIP = (
    "For a stack that is dense: use only every r-th plane and never look at the "
    "others. This is the honest way to find out how sparsely you may image."
)


def ordinal(ratio: float) -> str:
    """Write a ratio as in "every 4th plane" (rich text)."""
    if abs(ratio - 1) < 0.02:
        return "at <b>every plane</b>"
    if abs(ratio - round(ratio)) < 0.02:
        number = round(ratio)
        ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
        if 10 < number % 100 < 20:
            ending = "th"
        return f"at every <b>{number}{ending} plane</b>"
    return f"with <b>1 plane for every {ratio:.3g}</b> of the model"


class SamplingPanel(QWidget):
    """Choose the sparsity ratio and see what it means.

    `changed` is emitted when the user changes anything here.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        choices = [(AUTO, "Auto", _AUTO_TIP)]
        choices += [
            (
                str(r),
                str(r),
                "Every plane of the model's grid was imaged."
                if r == 1
                else f"One plane imaged for every {r} of the model's grid.",
            )
            for r in RATIOS
        ]
        choices.append((OTHER, "Other", "Any ratio from 1 on, also a broken one."))
        self.segments = Segments(choices, "Sparsity ratio r")
        self.spin = QDoubleSpinBox()
        self.spin.setRange(0.0, 64.0)
        self.spin.setDecimals(2)
        self.spin.setValue(3.0)
        self.spin.setPrefix("r = ")
        self.spin.setToolTip("Planes of the model's grid for each plane imaged.")
        self.spin.setAccessibleName("Sparsity ratio r")
        self.spin.hide()
        self.simulate_box = QCheckBox("Simulate it from this dense stack")
        self.simulate_box.setToolTip(_SIMULATE_TIP)
        self.drawing = ZAxisDrawing()
        self.sentence = QLabel("")
        self.sentence.setProperty("role", "small")
        self.sentence.setWordWrap(True)
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self._arrange()
        self._dense: bool | None = None
        self.segments.chosen.connect(self._on_chosen)
        self.spin.valueChanged.connect(self._tell)
        self.simulate_box.toggled.connect(self._on_simulate)

    def _arrange(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.segments, 1)
        row.addWidget(self.spin)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.simulate_box)
        column.addWidget(self.drawing)
        column.addWidget(self.sentence)

    def ratio(self) -> float | None:
        """Sparsity ratio that the user asks for; None: from the voxel size."""
        key = self.segments.value()
        if key == AUTO:
            return None
        return float(self.spin.value()) if key == OTHER else float(key)

    def set_ratio(self, ratio: float | None) -> None:
        """Choose a ratio without telling anyone."""
        if ratio is None:
            key = AUTO
        elif ratio in RATIOS:
            key = str(int(ratio))
        else:
            key = OTHER
            self.spin.blockSignals(True)
            self.spin.setValue(ratio)
            self.spin.blockSignals(False)
        self.segments.set_value(key)
        self.spin.setVisible(key == OTHER)

    def simulate(self) -> bool:
        """Whether to thin out a dense stack."""
        return self.simulate_box.isChecked()

    def set_simulate(self, on: bool) -> None:
        """Tick the box without telling anyone."""
        self.simulate_box.blockSignals(True)
        self.simulate_box.setChecked(on)
        self.simulate_box.blockSignals(False)

    def set_stack(self, dense: bool | None) -> None:
        """Tell what is known of the stack.

        Parameters
        ----------
        dense : bool or None
            True: its planes are as close as the model's, so that a ratio can only be
            meant as a trial. False: it is sparse already. None: nobody knows.
        """
        if dense is False and self.simulate():
            self.set_simulate(False)
        if dense and self.simulate() is False and (self.ratio() or 1) > 1:
            self.set_simulate(True)
        self._dense = dense
        self.simulate_box.setVisible(dense is not False)

    def show_view(
        self,
        view: SparseView | None,
        step_um: float | None = None,
        flat: bool = False,
    ) -> None:
        """Draw the planes and say what they mean; None clears the drawing.

        Parameters
        ----------
        view : SparseView or None
        step_um : float or None
            Distance of two dense planes in µm.
        flat : bool
            The model predicts one projection of the planes.
        """
        self.drawing.show_view(view, step_um, flat)
        self.sentence.setText("" if view is None else sampling_sentence(view, flat))

    def _on_chosen(self, key: str) -> None:
        self.spin.setVisible(key == OTHER)
        if self._dense and (self.ratio() or 1) > 1:
            self.set_simulate(True)
        elif self.ratio() in (None, 1.0):
            self.set_simulate(False)
        self._tell()

    def _on_simulate(self, on: bool) -> None:
        if on and (self.ratio() or 1) <= 1:
            self.set_ratio(4.0)
        elif not on and self._dense:
            self.set_ratio(None)
        self._tell()

    def _tell(self, *_: object) -> None:
        self.changed.emit()
