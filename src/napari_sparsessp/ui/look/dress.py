"""Keep the style sheet of a dock or dialog in step with napari's theme."""

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget

from napari_sparsessp.ui.look.theme import Tones, style_sheet

_CHANGES = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)


class Dress(QObject):
    """Dresses a widget before its first look, and again when the theme changes.

    Parameters
    ----------
    widget : QWidget
        Owns the dress from now on.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._tones: Tones | None = None
        # the palette is only settled when the change has gone through
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(0)
        self._settled.timeout.connect(self._follow)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """See the theme change; nothing is kept from the widget."""
        if event is not None and event.type() == QEvent.Type.Show:
            self._follow()
        elif event is not None and event.type() in _CHANGES:
            self._settled.start()
        return super().eventFilter(watched, event)

    def _follow(self) -> None:
        self._widget.ensurePolished()
        tones = Tones.of(self._widget)
        if tones != self._tones:  # a new style sheet is itself a change of style
            self._tones = tones
            self._widget.setStyleSheet(style_sheet(tones))


def take_role(widget: QWidget, role: str) -> None:
    """Give a widget another of the theme's roles, and the looks of it at once."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)
