"""The one place that knows which napari is running: names that moved in 0.9."""

from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QDialog, QListWidget, QMainWindow, QWidget

_PLUGIN = "napari-sparsessp"
_PAGE = "SparseSSP"
_PREFERENCES = "napari.window.file.show_preferences_dialog"


def grid_of(viewer: Any) -> Any:
    """Grid model of a viewer (``viewer.canvas.grid`` since napari 0.9)."""
    canvas = getattr(viewer, "canvas", None)
    return viewer.grid if canvas is None else canvas.grid


def camera_of(viewer: Any) -> Any:
    """Camera model of a viewer (``viewer.scene.camera`` since napari 0.9)."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera


def scale_bar_of(viewer: Any) -> Any:
    """Scale bar of a viewer (``viewer.canvas.overlays.scale_bar`` since napari 0.9)."""
    canvas = getattr(viewer, "canvas", None)
    return viewer.scale_bar if canvas is None else canvas.overlays.scale_bar


def canvas_size(viewer: Any) -> tuple[int, int]:
    """(height, width) of the canvas in pixels; a guess where nothing tells."""
    size = getattr(getattr(viewer, "canvas", None), "size", None) or (800, 800)
    return int(size[0]), int(size[1])


def background_of(viewer: Any) -> Any | None:
    """Colour that the user has put behind the layers; None: the theme's."""
    return getattr(getattr(viewer, "canvas", None), "background_color_override", None)


def set_background(viewer: Any, colour: Any | None) -> None:
    """Put a colour behind the layers; None gives the theme's back."""
    canvas = getattr(viewer, "canvas", None)
    if canvas is not None and hasattr(canvas, "background_color_override"):
        canvas.background_color_override = colour


def fit_to_view(viewer: Any) -> None:
    """Centre everything, also in each cell of a grid (napari 0.6 and later)."""
    fit = getattr(viewer, "fit_to_view", None) or viewer.reset_view
    fit()


def set_gridded(overlay: Any, on: bool) -> None:
    """Repeat an overlay in each cell of the grid, where this napari can."""
    if hasattr(overlay, "gridded"):
        overlay.gridded = on


def layer_key(layer: Any) -> str:
    """Name a layer for good: unique, and the same through a plugin's proxy."""
    unique = getattr(layer, "unique_id", None)
    return str(unique) if unique is not None else str(id(layer))


def layer_with_key(viewer: Any, key: str | None) -> Any | None:
    """Find a layer by its key; None where it is gone."""
    if key is None:
        return None
    return next((one for one in viewer.layers if layer_key(one) == key), None)


def plugin_settings() -> Any | None:
    """Give our page of napari's preferences; None where napari has none (before 0.9).

    Returns
    -------
    napari.settings.PluginSettings or None
        None too where napari has not found the plugin.
    """
    try:
        from napari.settings import get_plugin_settings

        return get_plugin_settings(_PLUGIN)
    except (ImportError, KeyError):
        return None


def show_warning(text: str) -> None:
    """Say something in the corner of napari's window."""
    from napari.utils.notifications import show_warning as show

    show(text)


def open_preferences(widget: QWidget) -> bool:
    """Open napari's preferences at our page.

    Parameters
    ----------
    widget : QWidget
        Anything in the viewer's window, floating or not.

    Returns
    -------
    bool
        False where this napari has no such page.
    """
    window: Any = widget
    while window is not None and not isinstance(window, QMainWindow):
        window = window.parentWidget()
    action = None if window is None else _menu_action(window, _PREFERENCES)
    if action is None or plugin_settings() is None:
        return False
    action.trigger()
    # the dialog builds its pages before it is shown
    QTimer.singleShot(0, lambda: _turn_to_page(window))
    return True


def _menu_action(window: QMainWindow, name: str) -> QAction | None:
    """Find an action in the menu bar by the id of its command."""
    bar: Any = window.menuBar()
    menus = [one.menu() for one in bar.actions() if one.menu() is not None]
    actions = [action for menu in menus for action in menu.actions()]
    return next((one for one in actions if one.objectName() == name), None)


def _turn_to_page(window: QMainWindow) -> None:
    for dialog in window.findChildren(QDialog):
        for pages in dialog.findChildren(QListWidget):
            for item in pages.findItems(_PAGE, Qt.MatchFlag.MatchExactly):
                pages.setCurrentItem(item)
