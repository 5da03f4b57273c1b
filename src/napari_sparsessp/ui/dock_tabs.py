"""Docks that belong together lie behind one another, not squeezed one under another."""

from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

# napari ends the title of a dock from its menus with the plugin's display name, and of
# one that a program has opened with the package's.
_OURS = ("(SparseSSP)", "(napari-sparsessp)")


class JoinOthers(QObject):
    """Puts a dock behind those of ours that are open, when it is first shown.

    Parameters
    ----------
    widget : QWidget
        What the dock holds; owns this from now on.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Wait for the first look; nothing is kept from the widget."""
        if event is not None and event.type() == QEvent.Type.Show:
            self._widget.removeEventFilter(self)
            QTimer.singleShot(0, self._join)  # napari has still to place it
        return super().eventFilter(watched, event)

    def _join(self) -> None:
        own = _dock_of(self._widget)
        window = None if own is None else own.parentWidget()
        if own is None or not isinstance(window, QMainWindow):
            return
        for other in window.findChildren(QDockWidget):
            inside = other.widget()
            ours = other.windowTitle().endswith(_OURS)
            if other is not own and ours and other.isVisible() and inside is not None:
                bring_beside(inside, own)
                return


def open_predict(viewer: Any, beside: QWidget | None = None) -> Any:
    """Bring a viewer's Predict dock to the front; open it where there is none.

    There is one, whether it was opened from the menu or by a program, for which napari
    has two titles.

    Parameters
    ----------
    viewer : napari.Viewer
    beside : QWidget, optional
        Inside of a dock; Predict shares its place.

    Returns
    -------
    PredictDock
    """
    docks = viewer.window.dock_widgets
    titles = [f"Predict {ours}" for ours in _OURS]
    dock = next((docks[title] for title in titles if title in docks), None)
    if dock is None:
        from npe2 import PluginManager

        make: Any = PluginManager.instance().commands.get("napari-sparsessp.predict")
        dock = make(viewer)
        viewer.window.add_dock_widget(dock, name=titles[0], area="right")
    dock = getattr(dock, "__wrapped__", dock)  # napari's proxy takes it for its own
    holder = _dock_of(dock)
    if beside is not None and holder is not None:
        bring_beside(beside, holder)
    elif holder is not None:
        holder.show()
        holder.raise_()
    return dock


def bring_beside(widget: QWidget, other: QDockWidget) -> None:
    """Let another dock share the place of the one that a widget is in, and show it.

    A dock that the user has put somewhere else, or has torn off, stays there.

    Parameters
    ----------
    widget : QWidget
        Anywhere inside of a dock.
    other : QDockWidget
        Of the same window.
    """
    own = _dock_of(widget)
    window = None if own is None else own.parentWidget()
    if own is not None and isinstance(window, QMainWindow):
        together = window.dockWidgetArea(own) == window.dockWidgetArea(other)
        floating = own.isFloating() or other.isFloating()
        if together and not floating and other not in window.tabifiedDockWidgets(own):
            window.tabifyDockWidget(own, other)
    other.show()
    other.raise_()


def _dock_of(widget: QWidget) -> QDockWidget | None:
    own: QWidget | None = widget
    while own is not None and not isinstance(own, QDockWidget):
        own = own.parentWidget()
    return own
