"""Charts of the docks: curves, densities and the expected quality of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QFrame, QLabel, QSizePolicy, QWidget

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.widgets.basic import in_a_column, small_label, wrapped_label
from napari_sparsessp.ui.widgets.card_text import r2_text
from napari_sparsessp.ui.widgets.style import CHANGES_OF_THEME, Tones, mix
from napari_sparsessp.ui.widgets.table import Column, Kind, RowsModel
from napari_sparsessp.ui.widgets.table_view import RowsView

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.agreement import Density
    from napari_sparsessp.models.card import Quality

_SHOW_NAMES_UP_TO = 6


class _Plot(QWidget):
    """A plot in the theme's colours; pyqtgraph is loaded with the first drawing."""

    def __init__(self, x_label: str, y_label: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self._labels = x_label, y_label
        self._plot: Any | None = None
        self._tones = Tones.of(self)
        self._outer = in_a_column(self, spacing=2)

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event is not None and event.type() in CHANGES_OF_THEME:
            self._follow_theme()

    def showEvent(self, event: Any) -> None:
        """Take the colours of the place where it is shown."""
        super().showEvent(event)
        self._follow_theme()

    def _follow_theme(self) -> None:
        if self._plot is not None and Tones.of(self) != self._tones:
            self._draw()

    def _draw(self) -> None: ...

    def _ready(self) -> Any:
        import pyqtgraph

        if self._plot is None:
            self._plot = plot = pyqtgraph.PlotWidget()
            plot.setMenuEnabled(False)
            plot.hideButtons()
            plot.setMouseEnabled(x=False, y=False)
            plot.setAntialiasing(True)
            plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            for side in ("bottom", "left"):
                plot.getAxis(side).enableAutoSIPrefix(False)
            self._outer.addWidget(plot)
        self._tones = tones = Tones.of(self)
        self._plot.setBackground(tones.panel)
        for side, label in zip(("bottom", "left"), self._labels, strict=True):
            axis = self._plot.getAxis(side)
            axis.setPen(tones.line)
            axis.setTextPen(tones.muted)
            style = {"color": tones.muted.name(), "font-size": "8.5pt"}
            axis.setLabel(label, **style)
        return self._plot


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    name: str
    x: Sequence[float]  # NaN leaves a gap
    y: Sequence[float]
    colour: str = ""  # that of text
    dots: bool = False
    dashed: bool = False


class Chart(_Plot):
    """A plot of curves."""

    clicked = Signal(float)

    def __init__(
        self, x_label: str = "", y_label: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(x_label, y_label, parent)
        self._cursor: Any | None = None
        self.curves: tuple[Curve, ...] = ()
        self._marks: tuple[float, ...] = ()
        self._range: tuple[float, float] | None = None
        self._ticks: list[tuple[float, str]] | None = None
        # a plot would take all the height there is, and push the rest out of sight
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.legend = small_label()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.hide()
        self._outer.addWidget(self.legend)

    def sizeHint(self) -> QSize:
        """Ask for a height that grows with the font."""
        return QSize(300, 11 * self.fontMetrics().height())

    def set_curves(self, curves: Sequence[Curve], marks: Sequence[float] = ()) -> None:
        """Draw these curves, and small ticks at `marks` on the x axis."""
        self.curves, self._marks = tuple(curves), tuple(marks)
        if self.curves or self._plot is not None:
            self._draw()

    def set_labels(self, x_label: str, y_label: str) -> None:
        """Name the axes."""
        self._labels = x_label, y_label
        if self._plot is not None:
            self._ready()

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
        """Draw an upright line, such as the plane on screen."""
        if self._cursor is not None:
            self._cursor.setVisible(x is not None)
            if x is not None:
                self._cursor.setValue(x)

    def _draw(self) -> None:
        import pyqtgraph

        plot = self._ready()
        if self._cursor is None:
            self._cursor = pyqtgraph.InfiniteLine(angle=90, movable=False)
            self._cursor.setVisible(False)
            plot.scene().sigMouseClicked.connect(self._on_click)
        self._cursor.setPen(pyqtgraph.mkPen(self._tones.accent, width=1.5))
        plot.showGrid(x=False, y=True, alpha=0.25)
        plot.clear()
        plot.addItem(self._cursor, ignoreBounds=True)
        if self._ticks is not None:
            plot.getAxis("bottom").setTicks([self._ticks])
        for curve in self.curves:
            colour = QColor(curve.colour) if curve.colour else self._tones.text
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
                list(self._marks), yrange=[0, 0.06], pen=self._tones.accent
            )
            plot.addItem(ticks, ignoreBounds=True)
        if self._range is not None:
            plot.setYRange(*self._range, padding=0.02)
        plot.getViewBox().updateAutoRange()
        self._name_curves()

    def _name_curves(self) -> None:
        named = [curve for curve in self.curves if curve.name]
        signs = [
            f'<span style="color:{curve.colour or self._tones.text.name()}">'
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


class DensityPlot(_Plot):
    """A picture of a `Density`; on the dashed line prediction and truth are equal."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("true value, SD", "predicted, SD", parent)
        self.density: Density | None = None
        self._image: Any | None = None
        self._line: Any | None = None
        self.setMinimumHeight(210)
        self.setAccessibleName("Predicted against true values")
        self.setToolTip(
            "Each voxel has a true and a predicted value, in standard deviations of "
            "the truth. The brighter a spot, the more voxels have these values "
            "(logarithmic). A perfect prediction lies on the dashed line; one that is "
            "too careful lies flatter."
        )

    def set_density(self, density: "Density | None") -> None:
        """Draw another, or nothing."""
        self.density = density
        if density is not None:
            self._draw()
        if self._plot is not None:
            self._plot.setVisible(density is not None)

    def _draw(self) -> None:
        import pyqtgraph

        density, plot = self.density, self._ready()
        if self._image is None or self._line is None:
            plot.setAspectLocked(True)
            self._image = pyqtgraph.ImageItem(axisOrder="col-major")
            self._line = pyqtgraph.InfiniteLine(angle=45, movable=False)
            plot.addItem(self._image)
            plot.addItem(self._line)
        tones = self._tones
        ink = mix(tones.back, tones.text, 0.8)
        self._line.setPen(pyqtgraph.mkPen(ink, width=1.2, style=Qt.PenStyle.DashLine))
        if density is None:
            return
        self._image.setImage(coloured(density.counts, dark=tones.dark))
        low, extent = density.low, density.high - density.low
        self._image.setRect(low, low, extent, extent)
        both = (low, density.high)
        plot.setRange(xRange=both, yRange=both, padding=0.01)


def coloured(counts: np.ndarray, *, dark: bool) -> np.ndarray:
    """Return colours of counts, (n, n) to (n, n, 4) uint8; the more, the brighter."""
    from matplotlib import colormaps

    share = np.log1p(counts) / max(float(np.log1p(counts).max()), 1e-9)
    colours = colormaps[_DARK if dark else _LIGHT](0.08 + 0.92 * share, bytes=True)
    colours[..., 3] = np.where(counts > 0, 255, 0)
    return np.asarray(colours)


_MOST_RATIOS = 6
_Scores = tuple[str, Mapping[float, float]]


class QualityTable(QFrame):
    """Expected quality by structure and ratio, and on what it was measured."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "panel")
        self.title = title = QLabel("R² on test cells")
        title.setProperty("role", "strong")
        title.setToolTip(
            "R² over all voxels against the z-scored truth: 1 is perfect, 0 is no "
            "better than a flat grey image, below 0 is worse than that."
        )
        self.grid = _quality_view({}, ())
        self.note = wrapped_label("muted")
        column = in_a_column(self, title, self.grid, self.note)
        column.setContentsMargins(12, 9, 12, 10)

    def show_quality(self, quality: "Quality | None") -> None:
        """Show R² by structure and ratio, or that nothing is known."""
        before, self.grid = self.grid, _quality_view({}, ())
        note = (
            "No scores recorded. Compare a prediction with a structure that you "
            "know before you trust it."
        )
        if quality is not None:
            self.grid = _quality_view(quality.r2, quality.ratios[:_MOST_RATIOS])
            note = (
                f"Measured on: {quality.measured_on}. Your images differ: expect less."
            )
        self.note.setText(note)
        self.layout().replaceWidget(before, self.grid)
        before.deleteLater()
        before.hide()
        self.grid.setVisible(quality is not None)
        if quality is not None:
            self.title.setText(f"R² on {quality.cells}")


def _quality_view(
    r2: Mapping[str, Mapping[float, float]], ratios: Sequence[float]
) -> RowsView:
    """Return a table of R²; its columns are the ratios of a card."""

    def column(ratio: float) -> Column:
        def value(row: _Scores) -> float | None:
            return row[1].get(ratio)

        def text(row: _Scores) -> str:
            return "" if value(row) is None else r2_text(row[1][ratio])

        def ink(row: _Scores) -> str | None:
            return "bad" if (value(row) or 1) <= 0 else None

        title = f"r = {ratio:g}"
        return Column(
            title, title, text, kind=Kind.BAR, value=value, ink=ink, bold=False
        )

    name = Column("structure", "", lambda row: structure_or_custom(row[0]).label)
    model = RowsModel((name, *map(column, ratios)), key=lambda row: row[0])
    model.set_rows(r2.items())
    view = RowsView(model, "R² on test cells")
    model.setParent(view)
    view.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # nothing to choose
    lines = (
        f"{name.text(row)}: "
        + ", ".join(f"{row[1][r]:.2f} at r = {r:g}" for r in sorted(row[1]))
        for row in model.rows
    )
    view.setAccessibleDescription("\n".join(lines))
    return view
