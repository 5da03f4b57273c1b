"""A drawing of the z-axis: which planes were measured, which will be predicted."""

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QFont, QMouseEvent, QPainter, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sparsessp.sparse import SparseView
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
