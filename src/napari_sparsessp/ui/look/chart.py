"""Curves in the colours of the theme: R² over planes, over ratios, over steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_sparsessp.ui.look.theme import Tones

_SHOW_NAMES_UP_TO = 6
_CHANGES = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes
    ----------
    name : str
        For the legend, which is shown for few curves; "" keeps it out.
    x, y : sequence of float
        NaN leaves a gap.
    colour : str
        ``#rrggbb``; "" takes the colour of text.
    dots : bool
        Mark each point.
    dashed : bool
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str = ""
    dots: bool = False
    dashed: bool = False


class Chart(QWidget):
    """A plot of curves; pyqtgraph is loaded with the first of them.

    Parameters
    ----------
    x_label, y_label : str
    parent : QWidget, optional

    Signals
    -------
    clicked : float
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
        curves : sequence of Curve
        marks : sequence of float
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
