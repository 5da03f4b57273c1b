"""One patch that was kept back, while the network learns: light, truth, prediction."""

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QImage, QPainter
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.look.theme import Tones

if TYPE_CHECKING:
    from napari_sparsessp.training.validation import Preview

_SIDE = 112
_LIMITS = (1.0, 99.7)
"""Percentiles of the patch that are black and white; of the truth for both of a pair,
so that a pale prediction looks pale."""


class PictureCell(QWidget):
    """A small grey picture with its name above."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._bytes = np.zeros((1, 1), np.uint8)
        self.title = title
        self.setAccessibleName(title)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(60, 70)

    def sizeHint(self) -> QSize:
        """Ask for a picture that shows a cell."""
        return QSize(_SIDE, _SIDE + 18)

    def show_plane(self, plane: np.ndarray, low: float, high: float) -> None:
        """Show a plane.

        Parameters
        ----------
        plane : ndarray
            (H, W); NaN is black.
        low, high : float
            Shown black and white.
        """
        span = max(high - low, 1e-6)
        scaled = np.nan_to_num((plane.astype(np.float32) - low) / span)
        self._bytes = np.ascontiguousarray(255 * scaled.clip(0, 1), dtype=np.uint8)
        height, width = self._bytes.shape
        # the picture looks into the bytes, which have to outlive it
        self._image = QImage(
            self._bytes.data, width, height, width, QImage.Format.Format_Grayscale8
        )
        self.update()

    @property
    def pixels(self) -> np.ndarray:
        """What is shown, (H, W) uint8."""
        return self._bytes

    def paintEvent(self, _event: object) -> None:
        """Draw the title, and the picture as large as it fits."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        tones = Tones.of(self)
        head = painter.fontMetrics().height() + 3
        painter.setPen(tones.muted)
        title = QRectF(0, 0, self.width(), head)
        painter.drawText(title, int(Qt.AlignmentFlag.AlignCenter), self.title)
        room = QRectF(0, head, self.width(), self.height() - head)
        if self._image is None:
            painter.fillRect(room, tones.panel)
            return
        size = self._image.size()
        scale = min(room.width() / size.width(), room.height() / size.height())
        area = QRectF(0, 0, size.width() * scale, size.height() * scale)
        area.moveCenter(room.center())
        area.moveTop(room.top())
        painter.drawImage(area, self._image)


class TrainPreview(QWidget):
    """Three pictures of one plane; a slider for the plane, a list for the structure.

    Signals
    -------
    looked
        The user chose another plane or structure.
    """

    looked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._preview: Preview | None = None
        self.light = PictureCell("light")
        self.truth = PictureCell("truth")
        self.prediction = PictureCell("prediction now")
        self.structure_box = QComboBox()
        self.structure_box.setAccessibleName("Structure of the preview")
        self.plane = QSlider(Qt.Orientation.Horizontal)
        self.plane.setAccessibleName("Plane of the preview")
        self.plane.setToolTip("Another plane of the same patch.")
        self.words = QLabel("")
        self.words.setProperty("role", "small")
        self._arrange()
        self.plane.valueChanged.connect(self._on_look)
        self.structure_box.activated.connect(self._on_look)
        self.hide()

    def _arrange(self) -> None:
        pictures = QHBoxLayout()
        pictures.setContentsMargins(0, 0, 0, 0)
        pictures.setSpacing(4)
        for cell in (self.light, self.truth, self.prediction):
            pictures.addWidget(cell, 1)
        foot = QHBoxLayout()
        foot.setContentsMargins(0, 0, 0, 0)
        foot.setSpacing(6)
        foot.addWidget(self.words)
        foot.addWidget(self.plane, 1)
        foot.addWidget(self.structure_box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(pictures, 1)
        column.addLayout(foot)

    @property
    def preview(self) -> "Preview | None":
        """What is shown."""
        return self._preview

    def show_preview(self, preview: "Preview") -> None:
        """Show the newest state; plane and structure stay as they were chosen."""
        before = None if self._preview is None else self._preview.structures
        self._preview = preview
        depth = len(preview.light)
        if before != preview.structures:
            self.structure_box.clear()
            for one in preview.structures:
                self.structure_box.addItem(structure_or_custom(one).label, one)
            self.structure_box.setVisible(len(preview.structures) > 1)
            self.plane.blockSignals(True)
            self.plane.setRange(0, depth - 1)
            self.plane.setValue(_brightest(preview.truth[0]))
            self.plane.blockSignals(False)
        self.plane.setVisible(depth > 1)
        self.setVisible(True)
        self._draw()

    def clear(self) -> None:
        """Show nothing."""
        self._preview = None
        self.hide()

    def _on_look(self, _value: int) -> None:
        self._draw()
        self.looked.emit()

    def _draw(self) -> None:
        preview = self._preview
        if preview is None:
            return
        row, z = max(self.structure_box.currentIndex(), 0), self.plane.value()
        self.light.show_plane(preview.light[z], *_limits(preview.light))
        limits = _limits(preview.truth[row])
        self.truth.show_plane(preview.truth[row][z], *limits)
        self.prediction.show_plane(preview.prediction[row][z], *limits)
        self.words.setText(f"plane {z + 1} of {len(preview.light)}")


def _limits(stack: np.ndarray) -> tuple[float, float]:
    values = stack[np.isfinite(stack)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values[:: max(1, values.size // 50_000)], _LIMITS)
    return float(low), float(high)


def _brightest(truth: np.ndarray) -> int:
    """Plane with the most to see."""
    spread = np.nan_to_num(np.nanstd(np.nan_to_num(truth), axis=(1, 2)))
    return int(spread.argmax())
