"""Charts of the docks: curves, densities and the expected quality of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.widgets.style import Tones, mix

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.agreement import Density
    from napari_sparsessp.models.card import Quality

_SHOW_NAMES_UP_TO = 6
_CHANGES = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes
    ----------
    name
        For the legend, which is shown for few curves; "" keeps it out.
    x, y
        NaN leaves a gap.
    colour
        ``#rrggbb``; "" takes the colour of text.
    dots
        Mark each point.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str = ""
    dots: bool = False
    dashed: bool = False


class Chart(QWidget):
    """A plot of curves; pyqtgraph is loaded with the first of them.

    Signals
    -------
    clicked(float)
        Where on the x axis the user clicked.
    """

    clicked = Signal(float)

    def __init__(
        self, x_label: str = "", y_label: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._labels = x_label, y_label
        self._plot: Any | None = None
        self._cursor: Any | None = None
        self._tones: Tones | None = None
        self._curves: tuple[Curve, ...] = ()
        self._marks: tuple[float, ...] = ()
        self._range: tuple[float, float] | None = None
        self._ticks: list[tuple[float, str]] | None = None
        # a plot would take all the height there is, and push the rest out of sight
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.legend = QLabel()
        self.legend.setProperty("role", "small")
        self.legend.setWordWrap(True)
        self.legend.hide()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(2)
        outer.addWidget(self.legend)

    def sizeHint(self) -> QSize:
        """Ask for a height that grows with the font."""
        return QSize(300, 11 * self.fontMetrics().height())

    @property
    def curves(self) -> tuple[Curve, ...]:
        """What is drawn."""
        return self._curves

    def set_curves(self, curves: Sequence[Curve], marks: Sequence[float] = ()) -> None:
        """Draw these curves in place of the former.

        Parameters
        ----------
        marks
            Places on the x axis that get a small tick, such as measured planes.
        """
        self._curves, self._marks = tuple(curves), tuple(marks)
        self._draw()

    def set_labels(self, x_label: str, y_label: str) -> None:
        """Name the axes."""
        self._labels = x_label, y_label
        if self._plot is not None:
            self._dress()

    def set_y_range(self, low: float, high: float) -> None:
        """Keep the y axis to a range in place of fitting it to the curves."""
        self._range = low, high
        if self._plot is not None:
            self._plot.setYRange(low, high, padding=0.02)

    def set_x_ticks(self, ticks: Sequence[tuple[float, str]]) -> None:
        """Name places on the x axis in place of round numbers."""
        self._ticks = list(ticks)
        if self._plot is not None:
            self._plot.getAxis("bottom").setTicks([self._ticks])

    def set_cursor(self, x: float | None) -> None:
        """Draw an upright line, such as the plane that is looked at."""
        if self._cursor is not None:
            self._cursor.setVisible(x is not None)
            if x is not None:
                self._cursor.setValue(x)

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        drawn = event is not None and event.type() in _CHANGES and self._plot
        if drawn and Tones.of(self) != self._tones:
            self._draw()

    def showEvent(self, event: Any) -> None:
        """Take the colours of the place where it is shown."""
        super().showEvent(event)
        if self._plot is not None and Tones.of(self) != self._tones:
            self._draw()

    def _make(self) -> Any:
        import pyqtgraph

        plot = pyqtgraph.PlotWidget()
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)
        plot.setAntialiasing(True)
        plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        for side in ("bottom", "left"):
            plot.getAxis(side).enableAutoSIPrefix(False)
        plot.scene().sigMouseClicked.connect(self._on_click)
        self._cursor = pyqtgraph.InfiniteLine(angle=90, movable=False)
        self._cursor.setVisible(False)
        layout = self.layout()
        assert layout is not None
        layout.addWidget(plot)
        return plot

    def _dress(self) -> None:
        import pyqtgraph

        plot = self._plot
        assert plot is not None
        assert self._cursor is not None
        self._tones = tones = Tones.of(self)
        plot.setBackground(tones.panel)
        for side, label in zip(("bottom", "left"), self._labels, strict=True):
            axis = plot.getAxis(side)
            axis.setPen(tones.line)
            axis.setTextPen(tones.muted)
            style = {"color": tones.muted.name(), "font-size": "8.5pt"}
            axis.setLabel(label, **style)
        plot.showGrid(x=False, y=True, alpha=0.25)
        self._cursor.setPen(pyqtgraph.mkPen(tones.accent, width=1.5))

    def _draw(self) -> None:
        import pyqtgraph

        if self._plot is None:
            if not self._curves:
                return
            self._plot = self._make()
        self._dress()
        plot, tones = self._plot, self._tones
        assert tones is not None
        plot.clear()
        plot.addItem(self._cursor, ignoreBounds=True)
        if self._ticks is not None:
            plot.getAxis("bottom").setTicks([self._ticks])
        self._name_curves(tones)
        for curve in self._curves:
            colour = QColor(curve.colour) if curve.colour else tones.text
            style = Qt.PenStyle.DashLine if curve.dashed else Qt.PenStyle.SolidLine
            plot.plot(
                np.asarray(curve.x, float),
                np.asarray(curve.y, float),
                pen=pyqtgraph.mkPen(colour, width=1.8, style=style),
                symbol="o" if curve.dots else None,
                symbolSize=6,
                symbolBrush=colour,
                symbolPen=None,
                connect="finite",
            )
        if self._marks:
            ticks = pyqtgraph.VTickGroup(
                list(self._marks), yrange=[0, 0.06], pen=tones.accent
            )
            plot.addItem(ticks, ignoreBounds=True)
        if self._range is not None:
            plot.setYRange(*self._range, padding=0.02)
        plot.getViewBox().updateAutoRange()

    def _name_curves(self, tones: Tones) -> None:
        """Write what the curves are above them, where it hides none."""
        named = [curve for curve in self._curves if curve.name]
        signs = [
            f'<span style="color:{curve.colour or tones.text.name()}">'
            f"{'╌╌' if curve.dashed else '━━'}</span>\u00a0"
            + escape(curve.name).replace(" ", "\u00a0")
            for curve in named
        ]
        self.legend.setText(" &nbsp; ".join(signs))
        self.legend.setVisible(1 <= len(named) <= _SHOW_NAMES_UP_TO)

    def _on_click(self, event: Any) -> None:
        assert self._plot is not None
        box = self._plot.getViewBox()
        if box.sceneBoundingRect().contains(event.scenePos()):
            self.clicked.emit(float(box.mapSceneToView(event.scenePos()).x()))


# Many voxels stand out from the ground: bright on dark, dark on light; viridis and its
# mirror are even steps of lightness, also to colour-blind eyes.
_DARK, _LIGHT = "viridis", "viridis_r"


class DensityPlot(QWidget):
    """A picture of a `Density`; on the dashed line prediction and truth are equal."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._density: Density | None = None
        self._plot: Any | None = None
        self._image: Any | None = None
        self._line: Any | None = None
        self._tones: Tones | None = None
        self.setMinimumHeight(210)
        self.setAccessibleName("Predicted against true values")
        self.setToolTip(
            "Each voxel has a true and a predicted value, in standard deviations of "
            "the truth. The brighter a spot, the more voxels have these values "
            "(logarithmic). A perfect prediction lies on the dashed line; one that is "
            "too careful lies flatter."
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)

    @property
    def density(self) -> "Density | None":
        """What is drawn."""
        return self._density

    def set_density(self, density: "Density | None") -> None:
        """Draw another, or nothing."""
        self._density = density
        self._draw()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event is not None and event.type() in _CHANGES:
            self._follow()

    def showEvent(self, event: Any) -> None:
        """Take the colours of the place where it is shown."""
        super().showEvent(event)
        self._follow()

    def _follow(self) -> None:
        if self._plot is not None and Tones.of(self) != self._tones:
            self._draw()

    def _make(self) -> None:
        import pyqtgraph

        plot = pyqtgraph.PlotWidget()
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)
        plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        plot.setAspectLocked(True)
        self._image = pyqtgraph.ImageItem(axisOrder="col-major")
        plot.addItem(self._image)
        self._line = pyqtgraph.InfiniteLine(angle=45, movable=False)
        plot.addItem(self._line)
        layout = self.layout()
        assert layout is not None
        layout.addWidget(plot)
        self._plot = plot

    def _dress(self) -> None:
        import pyqtgraph

        plot = self._plot
        assert plot is not None
        assert self._line is not None
        self._tones = tones = Tones.of(self)
        plot.setBackground(tones.panel)
        for side, label in (("bottom", "true value, SD"), ("left", "predicted, SD")):
            axis = plot.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setPen(tones.line)
            axis.setTextPen(tones.muted)
            axis.setLabel(label, color=tones.muted.name())
        style = Qt.PenStyle.DashLine
        ink = mix(tones.back, tones.text, 0.8)
        self._line.setPen(pyqtgraph.mkPen(ink, width=1.2, style=style))

    def _draw(self) -> None:
        density = self._density
        if density is None:
            if self._plot is not None:
                self._plot.setVisible(False)
            return
        if self._plot is None:
            self._make()
        self._dress()
        assert self._plot is not None
        assert self._image is not None
        assert self._tones is not None
        self._plot.setVisible(True)
        self._image.setImage(coloured(density.counts, dark=self._tones.dark))
        low, extent = density.low, density.high - density.low
        self._image.setRect(low, low, extent, extent)
        self._plot.setRange(
            xRange=(low, density.high), yRange=(low, density.high), padding=0.01
        )


def coloured(counts: np.ndarray, *, dark: bool) -> np.ndarray:
    """Return colours of counts; the more, the further from the ground.

    Parameters
    ----------
    counts
        (n, n).
    dark
        The ground is dark.

    Returns
    -------
    ndarray
        (n, n, 4) uint8; where nothing was counted, nothing is drawn.
    """
    from matplotlib import colormaps

    share = np.log1p(counts) / max(float(np.log1p(counts).max()), 1e-9)
    colours = colormaps[_DARK if dark else _LIGHT](0.08 + 0.92 * share, bytes=True)
    colours[..., 3] = np.where(counts > 0, 255, 0)
    return np.asarray(colours)


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
