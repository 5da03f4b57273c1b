"""R² of each structure at each ratio, as a card tells it: a number over a bar."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.look.theme import Tones

if TYPE_CHECKING:
    from napari_sparsessp.models.card import Quality

_MOST_RATIOS = 6


class QualityTable(QFrame):
    """A panel with the figures, and on what they were measured."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "panel")
        title = QLabel("Expected quality, R²")
        title.setProperty("role", "strong")
        title.setToolTip(
            "R² over all voxels against the z-scored truth: 1 is perfect, 0 is no "
            "better than a flat grey image, below 0 is worse than that."
        )
        self.grid = _Grid()
        self.note = QLabel("")
        self.note.setProperty("role", "muted")
        self.note.setWordWrap(True)
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 9, 12, 10)
        column.setSpacing(5)
        column.addWidget(title)
        column.addWidget(self.grid)
        column.addWidget(self.note)

    def show_quality(self, quality: "Quality | None") -> None:
        """Show what is known, or say that nothing is."""
        self.grid.show_quality(quality)
        self.grid.setVisible(quality is not None)
        if quality is None:
            self.note.setText(
                "Its card does not tell. Compare a prediction with a structure that "
                "you know before you trust it."
            )
        else:
            self.note.setText(
                f"Measured on: {quality.measured_on}. Your images differ: expect less."
            )


class _Grid(QWidget):
    """Painted in one go: sixty labels would be slow to make."""

    def __init__(self) -> None:
        super().__init__()
        self._quality: Quality | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_quality(self, quality: "Quality | None") -> None:
        self._quality = quality
        self.setAccessibleName("Expected quality")
        self.setAccessibleDescription("\n".join(self.lines()))
        self.updateGeometry()
        self.update()

    def lines(self) -> list[str]:
        """Say all figures in words."""
        if self._quality is None:
            return []
        return [
            f"{structure_or_custom(structure).label}: "
            + ", ".join(f"{row[r]:.2f} at r = {r:g}" for r in sorted(row))
            for structure, row in self._quality.r2.items()
        ]

    def sizeHint(self) -> QSize:
        rows = 0 if self._quality is None else len(self._quality.r2) + 1
        return QSize(240, rows * self._row_height() + 2)

    def _row_height(self) -> int:
        return self.fontMetrics().height() + 7

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        if self._quality is None:
            return
        # A transparent widget has no palette of its own to read.
        tones, metrics = Tones.of(self.parentWidget() or self), self.fontMetrics()
        ratios = self._quality.ratios[:_MOST_RATIOS]
        height = self._row_height()
        negative = any(v < 0 for row in self._quality.r2.values() for v in row.values())
        widest = "\u22120.00" if negative else "r = 4"
        width = metrics.horizontalAdvance(widest) + 9
        names = self.width() - width * len(ratios)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(tones.muted)
        for column, ratio in enumerate(ratios):
            cell = QRectF(names + column * width, 0, width, height)
            painter.drawText(cell, right, f"r = {ratio:g}")
        for row, (structure, values) in enumerate(self._quality.r2.items(), 1):
            known = structure_or_custom(structure)
            top = row * height
            painter.setPen(tones.text)
            label = metrics.elidedText(
                known.label, Qt.TextElideMode.ElideRight, int(names - 4)
            )
            painter.drawText(
                QRectF(0, top, names, height), Qt.AlignmentFlag.AlignVCenter, label
            )
            for column, ratio in enumerate(ratios):
                value = values.get(ratio)
                if value is None:
                    continue
                cell = QRectF(names + column * width, top, width, height)
                painter.setPen(tones.text if value > 0 else tones.bad)
                text = f"{value:.2f}".replace("-", "\u2212")
                painter.drawText(cell.adjusted(0, 0, 0, -3), right, text)
                bar = QRectF(cell.left() + 9, cell.bottom() - 4, width - 9, 2.5)
                painter.fillRect(bar, tones.line)
                bar.setWidth(bar.width() * min(max(value, 0.0), 1.0))
                painter.fillRect(bar, tones.good)
        painter.end()
