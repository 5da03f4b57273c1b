"""Keep the style sheet of a dock or dialog in step with napari's theme."""

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_sparsessp.ui.theme import Tones, style_sheet

_TELLING = (QEvent.Type.Show, QEvent.Type.PaletteChange, QEvent.Type.StyleChange)


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
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """See the theme change; nothing is kept from the widget."""
        if event is not None and event.type() in _TELLING:
            self._follow()
        return super().eventFilter(watched, event)

    def _follow(self) -> None:
        tones = Tones.of(self._widget)
        if tones != self._tones:  # a new style sheet is itself a change of style
            self._tones = tones
            self._widget.setStyleSheet(style_sheet(tones))
