"""How sparsely the stack was imaged, or is to be thinned out for a trial."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from qtpy.QtCore import QObject, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QFont, QMouseEvent, QPainter, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sparsessp.sparse import SparseView
from napari_sparsessp.ui.layers.viewport import data_position, go_to
from napari_sparsessp.ui.widgets.basic import (
    Segments,
    in_a_column,
    single_shot,
    small_label,
)
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.numbers import local
from napari_sparsessp.ui.widgets.style import Tones, mix


def sampling_sentence(view: SparseView, flat: bool = False) -> str:
    """Write a view as ``13 planes measured, 52 predicted, 75 % fewer exposures``."""
    measured = len(view.planes)
    planes = "1 plane" if measured == 1 else f"{measured} planes"
    dense = max(view.depth, 1)
    if flat:
        return f"{planes} measured, 1 projection of them predicted"
    if measured > dense:
        return f"{planes} measured, {dense} predicted (finer than the model's grid)"
    if measured == dense:
        return f"dense stack: {planes}"
    saved = round(100 * (1 - measured / dense))
    return f"{planes} measured, {dense} predicted, {saved} % fewer exposures"


class ZAxisDrawing(QWidget):
    """The z-axis: tall bars are imaged planes, short bars predicted ones."""

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
        """Return the size of a flat strip."""
        return QSize(260, 50)

    def show_view(
        self, view: SparseView | None, step_um: float | None, flat: bool = False
    ) -> None:
        """Draw another view, or an empty axis; `flat` for one projection of planes."""
        self._view = view
        self._step = step_um
        self.setAccessibleName("" if view is None else sampling_sentence(view, flat))
        self.update()

    def show_position(self, position: float | None) -> None:
        """Mark the plane on screen, in dense planes; None marks nothing."""
        if position != self._position:
            self._position = position
            self.update()

    def paintEvent(self, _event: object) -> None:
        """Draw the axis."""
        painter, tones, view = QPainter(self), Tones.of(self), self._view
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        strip = QRectF(1, 2, self.width() - 2, 26)
        line = QRectF(strip.left(), strip.bottom(), strip.width(), 1)
        painter.fillRect(line, tones.line)
        if view is not None:
            self._draw_planes(painter, strip, view, tones)
        font = QFont(self.font())
        font.setPointSizeF(8.0)
        painter.setFont(font)
        painter.setPen(tones.muted)
        below = QRectF(strip.left(), strip.bottom() + 4, strip.width(), 15)
        left, right = "first plane", "last plane"
        if view is not None and self._step is not None:
            left = "z = 0"
            right = local(f"{self._step * max(view.depth - 1, 0):.1f} µm")
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, left)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, right)
        if view is not None and self._position is not None:
            pitch = strip.width() / max(view.depth, 1)
            place = min(self._position, view.depth - 1) + 0.5
            self._draw_position(painter, strip.left() + place * pitch, below, tones)

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
            where = local(f"{plane * self._step:.1f} µm")
        return f"{where}, {kind}"

    def _ask(self, x: float) -> None:
        if self._view is not None:
            pitch = (self.width() - 2) / max(self._view.depth, 1)
            place = round((x - 1) / pitch - 0.5)
            self.plane_asked.emit(float(min(max(place, 0), self._view.depth - 1)))

    def _draw_position(
        self, painter: QPainter, x: float, below: QRectF, tones: Tones
    ) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tones.text)
        tip, side = QPointF(x, below.top() - 3), QPointF(4, 0)
        foot = tip + QPointF(0, 6)
        painter.drawPolygon(QPolygonF([tip, foot - side, foot + side]))
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
            band = QRectF(strip.left(), short.top(), strip.width(), short.height())
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
            bar = QRectF(x, strip.top(), tall_width, strip.height())
            painter.drawRoundedRect(bar, 1.5, 1.5)


AUTO, OTHER = "auto", "other"
RATIOS = (1, 2, 4, 8)


@dataclass(frozen=True)
class _Other:
    ratio: Annotated[
        float,
        {
            "name": "Sparsity ratio r",
            "tooltip": "Planes of the model's grid for each plane imaged.",
            "prefix": "r = ",
            "max": 64.0,
            "decimals": 2,
        },
    ] = 3.0


@dataclass(frozen=True)
class _Trial:
    simulate: Annotated[
        bool,
        {
            "label": "Simulate it from this dense stack",
            "tooltip": "For a stack that is dense: use only every r-th plane and never "
            "look at the others. This is the honest way to find out how sparsely you "
            "may image.",
        },
    ] = False


class SamplingPanel(QWidget):
    """Choose the sparsity ratio and see what it means."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        auto_tip = (
            "Take the ratio from the voxel size: the z step of this stack over the z "
            "step of the model's grid."
        )
        tip = "1 plane in {} of the model's grid was imaged."
        choices = [
            (AUTO, "Auto", auto_tip),
            ("1", "1", "Every plane of the model's grid was imaged."),
            *((str(ratio), str(ratio), tip.format(ratio)) for ratio in RATIOS[1:]),
            (OTHER, "Other", "Any ratio from 1 on, also non-integer."),
        ]
        self.segments = Segments(choices, "Sparsity ratio r")
        self.other = Form(_Other)
        self.other.hide()
        self.trial = Form(_Trial)
        self.drawing = ZAxisDrawing()
        self.sentence = small_label()
        below = self.other, self.trial, self.drawing, self.sentence
        in_a_column(self, self.segments, *below, spacing=4)
        self._dense: bool | None = None
        self.segments.chosen.connect(self._on_chosen)
        self.other.changed.connect(self.changed)
        self.trial.changed.connect(self._on_trial)

    def ratio(self) -> float | None:
        """Return the sparsity ratio asked for; None: from the voxel size."""
        key = self.segments.value()
        if key == AUTO:
            return None
        return float(self.other.get("ratio") if key == OTHER else key)

    def set_ratio(self, ratio: float | None) -> None:
        """Choose a ratio without emitting `changed`."""
        if ratio is None:
            key = AUTO
        elif ratio in RATIOS:
            key = str(int(ratio))
        else:
            key = OTHER
            self.other.update(ratio=ratio)
        self.segments.set_value(key)
        self.other.setVisible(key == OTHER)

    def simulate(self) -> bool:
        """Return whether to thin out a dense stack."""
        return bool(self.trial.get("simulate"))

    def set_simulate(self, on: bool) -> None:
        """Tick the box without emitting `changed`."""
        self.trial.update(simulate=on)

    def set_stack(self, dense: bool | None) -> None:
        """Set whether the stack is as dense as the model's planes, if that is known."""
        if dense is False:
            self.set_simulate(False)
        elif dense and (self.ratio() or 1) > 1:
            self.set_simulate(True)
        self._dense = dense
        self.trial.setVisible(dense is not False)

    def show_view(
        self, view: SparseView | None, step_um: float | None = None, flat: bool = False
    ) -> None:
        """Draw the planes and say what they mean, see `ZAxisDrawing.show_view`."""
        self.drawing.show_view(view, step_um, flat)
        self.sentence.setText("" if view is None else sampling_sentence(view, flat))

    def _on_chosen(self, key: str) -> None:
        self.other.setVisible(key == OTHER)
        if self._dense and (self.ratio() or 1) > 1:
            self.set_simulate(True)
        elif self.ratio() in (None, 1.0):
            self.set_simulate(False)
        self.changed.emit()

    def _on_trial(self) -> None:
        if self.simulate() and (self.ratio() or 1) <= 1:
            self.set_ratio(4.0)
        elif not self.simulate() and self._dense:
            self.set_ratio(None)
        self.changed.emit()


class PlaneCursor(QObject):
    """Move a mark on the drawing with the z slider, and the slider with a click."""

    def __init__(
        self, viewer: Any, drawing: ZAxisDrawing, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._drawing = drawing
        self._layer: Any | None = None
        self._axis = 0
        self._view: SparseView | None = None
        self._timer = single_shot(self, self.look, 25)
        viewer.dims.events.point.connect(self._on_moved)
        viewer.dims.events.ndisplay.connect(self._on_moved)
        drawing.plane_asked.connect(self.go)

    def follow(self, layer: Any | None, axis: int, view: SparseView | None) -> None:
        """Follow the z slider in terms of this input and its z axis, or nothing."""
        self._layer = layer if view is not None and axis >= 0 else None
        self._axis, self._view = axis, view
        self.look()

    def look(self) -> None:
        """Mark the plane that is on screen."""
        layer, view, place = self._layer, self._view, None
        shown = layer is not None and layer in self._viewer.layers
        if shown and view is not None and self._viewer.dims.ndisplay == 2:
            plane = float(data_position(self._viewer, layer)[self._axis])
            at = view.positions[0] + (plane - view.planes[0]) * self._pace
            place = at if -1 < at < view.depth + self._pace else None
        self._drawing.show_position(place)

    def go(self, position: float) -> None:
        """Show the plane at a position, in dense planes."""
        if self._layer is not None and self._view is not None:
            above = (position - self._view.positions[0]) / self._pace
            plane = self._view.planes[0] + above
            index = np.zeros(self._layer.ndim)
            index[self._axis] = plane
            go_to(self._viewer, self._layer, index, self._axis)

    @property
    def _pace(self) -> float:
        """Dense planes from one plane of the input to the next."""
        view = self._view
        if view is None or len(view.planes) < 2:
            return 1.0 if view is None else view.ratio
        rise = view.positions[1] - view.positions[0]
        return rise / (view.planes[1] - view.planes[0])

    def _on_moved(self, _event: object = None) -> None:
        self._timer.start()
