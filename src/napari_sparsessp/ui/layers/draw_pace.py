"""How often a filling layer may be drawn, so that the window stays free between.

A refresh in 2D costs milliseconds. In 3D the whole volume goes to the graphics card
again, and without a graphics card a draw takes seconds: then it is drawn less often.
How often at most is a preference.
"""

import time

from qtpy.QtCore import QObject, QTimer

from napari_sparsessp.ui.preferences import preferences

# The window is free for three quarters of the time, however slowly it draws.
_FREE = 3
# Later than the drawing that a refresh asks for.
_LOOK_MS = 20

PATIENCE_MS = 1000
"""Hidden layers come after the first tile, which their making would keep waiting."""


class DrawPace(QObject):
    """Measures what a refresh costs and gives the pause before the next one.

    Parameters
    ----------
    parent : QObject, optional
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cost_ms = 0.0
        self._began = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._look)

    def pause_ms(self, *, three: bool) -> int:
        """Milliseconds to wait before the next refresh; `three`: of a 3D view."""
        wish = preferences()
        least = wish.refresh_3d_ms if three else wish.refresh_2d_ms
        return max(least, round(_FREE * self._cost_ms))

    def begin(self) -> None:
        """Tell that a refresh begins; what it costs is known when Qt is back."""
        self._began = time.perf_counter()
        self._timer.start()

    def _look(self) -> None:
        spent = 1000 * (time.perf_counter() - self._began)
        self._cost_ms = max(0.0, spent - _LOOK_MS)
