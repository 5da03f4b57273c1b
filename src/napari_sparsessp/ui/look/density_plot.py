"""Truth against prediction, voxel by voxel: how often each pair of values occurs."""

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sparsessp.ui.look.theme import Tones, mix

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.agreement import Density

_CHANGES = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)

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
    """Give counts colours; the more, the further from the ground.

    Parameters
    ----------
    counts : ndarray
        (n, n).
    dark : bool
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
