"""Watch a training: the score on what was kept back, the loss, and one patch."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QImage, QPainter
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.widgets.charts import Chart, Curve
from napari_sparsessp.ui.widgets.style import Tones

if TYPE_CHECKING:
    from napari_sparsessp.training.loop import Status
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


_MOST_POINTS = 600
"""Of the loss curve; more would not be seen."""
_BY_HEART = 0.35
"""Share of the budget without a better score, after which it is said."""
_HIGH, _LOW = 190, 140
"""Pixels of pictures and curves: all of them fit into a window of 1000."""
_ABOUT_R2 = (
    "R² on the part that was kept back: 1 is perfect, 0 is no better than the mean "
    "brightness. It may fall while the loss falls, too: then the network learns your "
    "stack by heart, and the best state so far is the one that is kept."
)


class TrainWatch(QWidget):
    """Curves and pictures of the training under way, or of the last one."""

    def __init__(self) -> None:
        super().__init__()
        self._minutes = 10.0
        self._loss: list[tuple[float, float]] = []
        self._scores: list[tuple[float, float, dict[str, float]]] = []
        self.headline = QLabel("")
        self.headline.setProperty("role", "title")
        self.headline.setWordWrap(True)
        self.hint = QLabel("")
        self.hint.setProperty("role", "muted")
        self.hint.setWordWrap(True)
        self.hint.setTextFormat(Qt.TextFormat.PlainText)
        self.r2_label = _heading("Score on the part kept back")
        self.r2_label.setToolTip(_ABOUT_R2)
        self.r2_chart = Chart("minutes", "R²")
        self.r2_chart.setToolTip(_ABOUT_R2)
        self.loss_label = _heading("Loss on what is learnt from")
        self.loss_chart = Chart("minutes", "loss")
        self.loss_chart.setToolTip("Falls while the network learns; lower is better.")
        self.preview_label = _heading("One patch that is kept back")
        self.preview = TrainPreview()
        self._arrange()
        self.clear()

    def _arrange(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(12, 8, 12, 6)
        column.setSpacing(5)
        for widget in (self.headline, self.hint):
            column.addWidget(widget)
        for label, widget, height in (
            (self.r2_label, self.r2_chart, _HIGH),
            (self.preview_label, self.preview, _HIGH),
            (self.loss_label, self.loss_chart, _LOW),
        ):
            widget.setFixedHeight(height)
            column.addWidget(label)
            column.addWidget(widget)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    # what the dock says -------------------------------------------------------

    def clear(self, name: str = "", minutes: float = 10.0) -> None:
        """Begin anew.

        Parameters
        ----------
        name : str
            Of the model that is being trained; "" where none is.
        minutes : float
            Budget.
        """
        self._minutes = minutes
        self._loss, self._scores = [], []
        self.headline.setText(name or "Nothing has been trained yet")
        self.hint.setText(
            "The model to begin with is judged first."
            if name
            else "Curves, and a patch that was kept back, appear here while it learns."
        )
        self.preview.clear()
        for chart in (self.r2_chart, self.loss_chart):
            chart.set_curves([])
        for widget in (
            self.r2_label, self.r2_chart, self.loss_label, self.loss_chart,
            self.preview_label,
        ):  # fmt: skip
            widget.hide()

    def add_status(self, status: "Status") -> None:
        """Add a point to the curve of the loss."""
        if math.isfinite(status.loss):
            self._loss.append((status.share * self._minutes, status.loss))
            if len(self._loss) > _MOST_POINTS:
                self._loss = self._loss[::2]
            self._draw_loss()

    def add_entry(self, entry: dict[str, Any]) -> None:
        """Add what a validation gave, or an old line of the log."""
        at = float(entry.get("spent", 0.0)) / 60
        if entry.get("loss") is not None and (not self._loss or at > self._loss[-1][0]):
            self._loss.append((at, float(entry["loss"])))
        if entry.get("r2") is None:
            return
        means = {
            name: sum(row.values()) / len(row)
            for name, row in entry.get("scores", {}).items()
            if row
        }
        self._scores.append((at, float(entry["r2"]), means))
        self._draw_scores()

    def show_preview(self, preview: Any) -> None:
        """Show what the network says of the patch now."""
        self.preview_label.show()
        self.preview.show_preview(preview)

    def say(self, text: str) -> None:
        """Say in a sentence where things are."""
        self.hint.setText(text)

    # what is known ------------------------------------------------------------

    @property
    def before(self) -> float | None:
        """R² before the first step."""
        return self._scores[0][1] if self._scores else None

    @property
    def best(self) -> float | None:
        """Largest R² so far."""
        return max((one for _, one, _ in self._scores), default=None)

    def learns_by_heart(self) -> bool:
        """Whether the score has long been best."""
        if len(self._scores) < 3:
            return False
        best_at = max(self._scores, key=lambda one: one[1])[0]
        return self._scores[-1][0] - best_at > _BY_HEART * self._minutes

    # drawing ------------------------------------------------------------------

    def _draw_loss(self) -> None:
        if len(self._loss) < 2:
            return
        x, y = zip(*self._loss, strict=True)
        self.loss_chart.set_curves([Curve("", x, y)])
        self.loss_label.show()
        self.loss_chart.show()

    def _draw_scores(self) -> None:
        curves = []
        names = dict.fromkeys(name for *_, means in self._scores for name in means)
        x = [at for at, *_ in self._scores]
        for name in names:
            known = structure_or_custom(name)
            y = [means.get(name, math.nan) for *_, means in self._scores]
            curves.append(Curve(known.label, x, y, known.colour, dots=True))
        first = self._scores[0][1]
        # one point makes no axis; the budget is where it will go
        end = max(self._minutes if len(x) < 3 else x[-1], x[-1])
        curves.append(Curve("before", [0, end], [first, first], dashed=True))
        self.r2_chart.set_curves(curves)
        self.r2_label.show()
        self.r2_chart.show()


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "strong")
    return label
