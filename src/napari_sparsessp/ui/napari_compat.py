"""The names of napari that moved, are private, or that its plugin proxy hides."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDialog, QListWidget, QMainWindow, QWidget

from napari_sparsessp.ui.tasks import gc_paused

_PLUGIN = "napari-sparsessp"
_PAGE = "SparseSSP"
_PREFERENCES = "napari.window.file.show_preferences_dialog"


def grid_of(viewer: Any) -> Any:
    """Return the grid model of a viewer."""
    return viewer.canvas.grid


def camera_of(viewer: Any) -> Any:
    """Return the camera model of a viewer."""
    return viewer.scene.camera


def scale_bar_of(viewer: Any) -> Any:
    """Return the scale bar of a viewer."""
    return viewer.canvas.overlays.scale_bar


def canvas_size(viewer: Any) -> tuple[int, int]:
    """Return (height, width) of the canvas in pixels."""
    height, width = viewer.canvas.size
    return int(height), int(width)


def background_of(viewer: Any) -> Any | None:
    """Return the colour that the user has put behind the layers; None: the theme's."""
    return viewer.canvas.background_color_override


def set_background(viewer: Any, colour: Any | None) -> None:
    """Put a colour behind the layers; None restores the theme's."""
    viewer.canvas.background_color_override = colour


def fit_to_view(viewer: Any, *layers: Any) -> None:
    """Centre these layers, or everything, also in each cell of a grid."""
    raw = [getattr(one, "__wrapped__", one) for one in (viewer, *layers)]
    raw[0].fit_to_view(layers=raw[1:] or None)


@contextmanager
def drawn_once(viewer: Any) -> Iterator[None]:
    """Let napari arrange its scene once for all changes of layers and grid within."""
    events = viewer.layers.events
    events.begin_batch()
    try:
        yield
    finally:
        with gc_paused():  # it collects garbage then, for the drivers of some cards
            events.end_batch()


def set_shown(layer: Any, on: bool) -> None:
    """Show or hide a layer; napari draws even where nothing changes."""
    if layer.visible != on:
        layer.visible = on


def set_gridded(overlay: Any, on: bool) -> None:
    """Repeat an overlay in each cell of the grid."""
    overlay.gridded = on


def layer_key(layer: Any) -> str:
    """Return the unique id of a layer, the same through a plugin's proxy."""
    return str(layer.unique_id)


def layer_with_key(viewer: Any, key: str | None) -> Any | None:
    """Return the layer with a key; None where it is gone."""
    layers = () if key is None else viewer.layers
    return next((layer for layer in layers if layer_key(layer) == key), None)


def follow_layers(viewer: Any, slot: Callable[..., None]) -> None:
    """Call a widget's method when layers come, go, move or are renamed.

    The viewer outlives its docks: the method asks `isalive` first. Nothing is called
    when the widget goes, for it may be collected together with what it would call.
    """
    events = viewer.layers.events
    for emitter in (events.inserted, events.removed, events.reordered, events.renamed):
        emitter.connect(slot)


def plugin_settings() -> Any | None:
    """Return our page of napari's preferences; None if the plugin is not installed."""
    from napari.settings import get_plugin_settings

    try:
        return get_plugin_settings(_PLUGIN)
    except KeyError:
        return None


def show_warning(text: str) -> None:
    """Say something in the corner of napari's window."""
    from napari.utils.notifications import show_warning as show

    show(text)


def open_preferences(widget: QWidget) -> bool:
    """Open napari's preferences at our page; return whether there is one.

    `widget` is anything in the viewer's window, floating or not.
    """
    window: Any = widget
    while window is not None and not isinstance(window, QMainWindow):
        window = window.parentWidget()
    bar = () if window is None else window.menuBar().actions()
    menus = [one.menu() for one in bar if one.menu() is not None]
    actions = {one.objectName(): one for menu in menus for one in menu.actions()}
    if _PREFERENCES not in actions or plugin_settings() is None:
        return False
    actions[_PREFERENCES].trigger()
    # the dialog builds its pages before it is shown
    QTimer.singleShot(0, lambda: _turn_to_page(window))
    return True


def _turn_to_page(window: QMainWindow) -> None:
    for dialog in window.findChildren(QDialog):
        for pages in dialog.findChildren(QListWidget):
            for item in pages.findItems(_PAGE, Qt.MatchFlag.MatchExactly):
                pages.setCurrentItem(item)
