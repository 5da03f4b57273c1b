"""Watch a training: the validation score, the loss, and one patch."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap, QResizeEvent
from qtpy.QtWidgets import QComboBox, QLabel, QSizePolicy, QSlider, QWidget

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.widgets.basic import (
    StepColumn,
    in_a_column,
    in_a_row,
    wrapped_label,
)
from napari_sparsessp.ui.widgets.card_text import r2_text
from napari_sparsessp.ui.widgets.charts import Chart, Curve

if TYPE_CHECKING:
    from napari_sparsessp.training.loop import Status
    from napari_sparsessp.training.validation import Preview

_LIMITS = (1.0, 99.7)
"""Percentiles of the patch that are black and white; of the truth for both of a pair,
so that a pale prediction looks pale."""
_MOST_POINTS = 600
"""Of the loss curve; more would not be seen."""
_OVERFIT_SHARE = 0.35
"""Share of the budget without a better score, after which it is said."""
_HIGH, _LOW = 190, 140
"""Pixels of pictures and curves: all of them fit into a window of 1000."""

_ABOUT_R2 = (
    "R² on the validation region: 1 is perfect, 0 is no better than the mean "
    "brightness. Where it falls while the loss falls, too, the network overfits; the "
    "best state so far is the one that is kept."
)
_OVERFITS = (
    "R² has not risen for a while though the loss falls: the network overfits. You can "
    "stop; the best state so far is kept."
)


class PictureCell(QWidget):
    """A small grey picture with its name above."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.pixels = np.zeros((1, 1), np.uint8)  # as shown
        self.setAccessibleName(title)
        head, self._picture = QLabel(title), QLabel()
        head.setProperty("role", "muted")
        head.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._picture.setAlignment(
            Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
        )
        self._picture.setMinimumSize(60, 50)
        ignored = QSizePolicy.Policy.Ignored  # it takes the room that there is
        self._picture.setSizePolicy(ignored, ignored)
        in_a_column(self, head, self._picture, spacing=3).setStretch(1, 1)

    def show_plane(self, plane: np.ndarray, low: float, high: float) -> None:
        """Show a plane (H, W) from `low`, black, to `high`, white; NaN is black."""
        span = max(high - low, 1e-6)
        scaled = np.nan_to_num((plane.astype(np.float32) - low) / span)
        self.pixels = np.ascontiguousarray(255 * scaled.clip(0, 1), dtype=np.uint8)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show the picture as large as it fits."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        height, width = self.pixels.shape
        kind = QImage.Format.Format_Grayscale8
        image = QImage(self.pixels.data, width, height, width, kind)
        room, ratio = self._picture.size(), Qt.AspectRatioMode.KeepAspectRatio
        smooth = Qt.TransformationMode.SmoothTransformation
        self._picture.setPixmap(QPixmap.fromImage(image).scaled(room, ratio, smooth))


class PatchPreview(QWidget):
    """Three pictures of one plane; a slider for the plane, a list for the structure."""

    def __init__(self) -> None:
        super().__init__()
        self.preview: Preview | None = None
        self.light = PictureCell("light")
        self.truth = PictureCell("truth")
        self.prediction = PictureCell("prediction now")
        self.structure_box = QComboBox()
        self.structure_box.setAccessibleName("Structure of the preview")
        self.plane = QSlider(Qt.Orientation.Horizontal)
        self.plane.setAccessibleName("Plane of the preview")
        self.plane.setToolTip("Another plane of the same patch.")
        self.plane_label = QLabel("")
        self.plane_label.setProperty("role", "small")
        cells = (self.light, self.truth, self.prediction)
        pictures = in_a_row(*cells, stretched=len(cells))
        pictures.setSpacing(4)
        foot = in_a_row(self.plane_label, self.plane, self.structure_box, stretched=0)
        foot.setStretch(1, 1)
        in_a_column(self, pictures, foot, spacing=4).setStretch(0, 1)
        self.plane.valueChanged.connect(self._draw)
        self.structure_box.activated.connect(self._draw)
        self.hide()

    def show_preview(self, preview: "Preview") -> None:
        """Show the newest state; plane and structure stay as they were chosen."""
        before, self.preview = self.preview, preview
        depth = len(preview.light)
        if before is None or before.structures != preview.structures:
            self.structure_box.clear()
            for id_ in preview.structures:
                self.structure_box.addItem(structure_or_custom(id_).label, id_)
            self.structure_box.setVisible(len(preview.structures) > 1)
            self.plane.blockSignals(True)
            self.plane.setRange(0, depth - 1)
            self.plane.setValue(_brightest(preview.truth[0]))
            self.plane.blockSignals(False)
        self.plane.setVisible(depth > 1)
        self.setVisible(True)
        self._draw()

    def clear(self) -> None:
        """Forget the pictures."""
        self.preview = None

    def _draw(self, *_: object) -> None:
        preview = self.preview
        if preview is None:
            return
        row, z = max(self.structure_box.currentIndex(), 0), self.plane.value()
        self.light.show_plane(preview.light[z], *_limits(preview.light))
        limits = _limits(preview.truth[row])
        self.truth.show_plane(preview.truth[row][z], *limits)
        self.prediction.show_plane(preview.prediction[row][z], *limits)
        self.plane_label.setText(f"plane {z + 1} of {len(preview.light)}")


def _limits(stack: np.ndarray) -> tuple[float, float]:
    values = stack[np.isfinite(stack)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values[:: max(1, values.size // 50_000)], _LIMITS)
    return float(low), float(high)


def _brightest(truth: np.ndarray) -> int:
    """Return the plane with the most to see."""
    spread = np.nan_to_num(np.nanstd(np.nan_to_num(truth), axis=(1, 2)))
    return int(spread.argmax())


class TrainWatch(StepColumn):
    """Curves and pictures of the training that runs, or of the last one."""

    def __init__(self) -> None:
        self.headline, self.hint = wrapped_label("title"), wrapped_label("muted")
        super().__init__([self.headline, self.hint], 6)
        self.r2_chart = Chart("minutes", "R²")
        self.r2_chart.setToolTip(_ABOUT_R2)
        self.loss_chart = Chart("minutes", "loss")
        self.loss_chart.setToolTip("Falls while the network learns; lower is better.")
        self.preview = PatchPreview()
        self._headings: dict[QWidget, QLabel] = {}
        for title, widget, height in (
            ("R² on the validation region", self.r2_chart, _HIGH),
            ("One patch of the validation region", self.preview, _HIGH),
            ("Training loss", self.loss_chart, _LOW),
        ):
            self._headings[widget] = heading = QLabel(title)
            heading.setProperty("role", "strong")
            heading.setToolTip(widget.toolTip())
            widget.setFixedHeight(height)
            self.column.addWidget(heading)
            self.column.addWidget(widget)
        self.column.setSpacing(5)
        self.end()
        self.clear()

    def clear(
        self, name: str = "", budget: float = 10.0, in_steps: bool = False
    ) -> None:
        """Start with empty curves, over the minutes or steps of a budget."""
        self._name, self._budget, self._in_steps = name, budget, in_steps
        self._loss: list[tuple[float, float]] = []
        self.scores: list[tuple[float, float, dict[str, float]]] = []
        self.headline.setText(name or "Nothing has been trained yet")
        self.show_hint(
            "The starting model is validated first."
            if name
            else "Curves and a patch of the validation region come during training."
        )
        self.preview.clear()
        for chart, y in ((self.r2_chart, "R²"), (self.loss_chart, "loss")):
            chart.set_curves([])
            chart.set_labels("steps" if in_steps else "minutes", y)
        for widget in self._headings:
            self._show(widget, False)

    def show_hint(self, text: str) -> None:
        """Show a sentence below the headline."""
        self.hint.setText(text)
        self._fit_hint()

    def _fit_hint(self) -> None:
        """Keep room for all lines: a column that scrolls gives one to each text."""
        width = self.column.contentsRect().width()
        self.hint.setMinimumHeight(max(self.hint.heightForWidth(width), 0))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the hint to the new width."""
        super().resizeEvent(event)
        self._fit_hint()

    def _show(self, widget: QWidget, on: bool = True) -> None:
        widget.setVisible(on)
        self._headings[widget].setVisible(on)

    def add_status(self, status: "Status") -> None:
        """Add a point to the curve of the loss."""
        if not math.isfinite(status.loss):
            return
        self._loss.append((status.share * self._budget, status.loss))
        if len(self._loss) > _MOST_POINTS:
            self._loss = self._loss[::2]
        if len(self._loss) > 1:
            x, y = zip(*self._loss, strict=True)
            self.loss_chart.set_curves([Curve("", x, y)])
            self._show(self.loss_chart)

    def add_entry(self, entry: dict[str, Any]) -> None:
        """Add the result of a validation, or an old line of the log."""
        x = entry["step"] if self._in_steps else float(entry.get("spent", 0.0)) / 60
        loss, r2 = entry.get("loss"), entry.get("r2")
        if loss is not None and (not self._loss or x > self._loss[-1][0]):
            self._loss.append((x, float(loss)))
        if r2 is None:
            return
        means = {
            name: sum(row.values()) / len(row)
            for name, row in entry.get("scores", {}).items()
            if row
        }
        self.scores.append((x, float(r2), means))
        self._draw_scores()
        before, best = self.scores[0][1], max(score for _, score, _ in self.scores)
        gain = f"→ {r2_text(best)}" if best > before else "before training"
        self.headline.setText(f"{self._name}: R² {r2_text(before)} {gain}")
        self.show_hint(_OVERFITS if self.overfits() else "")

    def show_preview(self, preview: "Preview") -> None:
        """Show the network's prediction of the patch as it is now."""
        self.preview.show_preview(preview)
        self._show(self.preview)

    @property
    def best(self) -> float | None:
        """Largest R² so far."""
        return max((r2 for _, r2, _ in self.scores), default=None)

    def overfits(self) -> bool:
        """Whether the score was best long ago."""
        if len(self.scores) < 3:
            return False
        best_at = max(self.scores, key=lambda score: score[1])[0]
        return self.scores[-1][0] - best_at > _OVERFIT_SHARE * self._budget

    def _draw_scores(self) -> None:
        curves = []
        names = dict.fromkeys(name for *_, means in self.scores for name in means)
        x = [at for at, *_ in self.scores]
        for name in names:
            structure = structure_or_custom(name)
            y = [means.get(name, math.nan) for *_, means in self.scores]
            curves.append(Curve(structure.label, x, y, structure.colour, dots=True))
        first = self.scores[0][1]
        # one point makes no axis; the budget is where it will go
        end = max(self._budget if len(x) < 3 else x[-1], x[-1])
        curves.append(Curve("before", [0, end], [first, first], dashed=True))
        self.r2_chart.set_curves(curves)
        self._show(self.r2_chart)
