"""One napari viewer for all tests of a process, empty again after each of them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import napari
from app_model import Application
from napari._app_model._app import APP_NAME
from napari._qt._qapp_model.qactions import init_qactions
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari._qt.layer_controls.qt_layer_controls_container import (
    QtLayerControlsContainer,
)
from napari._qt.qt_viewer import QtViewer
from napari._vispy import canvas
from napari._vispy.utils.gl import get_gl_extensions, get_max_texture_sizes
from napari.plugins import _initialize_plugins
from napari.settings import get_settings
from napari.utils.events import EmitterGroup, EventedModel
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QApplication, QDialog

# Whenever a layer goes napari collects garbage, for the drivers of some cards on
# Windows: half a second, thousands of times.
canvas.gc = SimpleNamespace(collect=lambda: 0)


class SharedViewer:
    """Opens a viewer when the first test wants it and empties it after each test."""

    def __init__(self) -> None:
        self._viewer: napari.Viewer | None = None
        self._own_docks: set[Any] = set()

    @property
    def is_open(self) -> bool:
        """Whether there is a viewer that no test has closed."""
        return hasattr(getattr(self._viewer, "window", None), "_qt_window")

    def open(self) -> napari.Viewer:
        """Return the viewer, empty."""
        if not self.is_open:
            get_settings().reset()
            # the actions of a viewer before it are gone with their viewer
            Application.destroy(APP_NAME)
            _initialize_plugins.cache_clear()
            init_qactions.cache_clear()
            self._viewer = napari.Viewer(show=False, show_welcome_screen=False)
            # asked once a process: later a canvas that is gone may be the current one
            get_gl_extensions()
            get_max_texture_sizes()
            gc.collect()
            gc.freeze()  # so that `clean` need not look through all modules
            self._own_docks = set(self._viewer.window._wrapped_dock_widgets.values())
        gc.collect()  # docks of the test before, and what they share by viewer
        return self._viewer

    def clean(self) -> None:
        """Take away whatever a test left: layers, docks, dialogs, settings, view."""
        if not self.is_open:
            self._viewer = None
            return
        viewer, window = self._viewer, self._viewer.window
        for dialog in window._qt_window.findChildren(QDialog):
            if dialog.isVisible() and not isinstance(dialog, NapariQtNotification):
                dialog.close()
        for outer in set(window._wrapped_dock_widgets.values()) - self._own_docks:
            inner = outer.widget()
            window.remove_dock_widget(outer)
            inner.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        for emitter in _emitters(viewer):
            for callback in filter(_is_ours, emitter.callbacks):
                emitter.disconnect(callback)
        get_settings().reset()
        for part in (viewer.scene, viewer.canvas, viewer.tooltip):
            part.reset()
        viewer.dims.ndisplay = 2
        viewer.layers.clear()
        viewer.layers.selection.clear()
        viewer.dims.ndim = 2
        viewer.dims.reset()
        viewer.dims.axis_labels = ("0", "1")
        viewer.title, viewer.status, viewer.help = "napari", "Ready", ""
        viewer.keymap.clear()
        window._qt_window.hide()
        QApplication.processEvents()

    def close(self) -> None:
        """Close the viewer for good."""
        if self.is_open:
            with patch.object(
                self._viewer.window._qt_window, "_save_current_window_settings"
            ):
                self._viewer.close()
        self._viewer = None

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Leave the viewer out where `make_napari_viewer` looks for leaks."""
        shown = self.open().window._qt_viewer
        QtViewer._instances.discard(shown)
        yield
        QtViewer._instances.add(shown)
        shown.canvas._scene_canvas.set_current()


def leave_unpainted(monkeypatch: Any) -> None:
    """Make no pictures and no controls of layers: they take most of a viewer's time.

    Layers, events, slicing, docks and menus are napari's own as ever.
    """
    unmade = {
        QtViewer: ("_add_layer",),
        canvas.VispyCanvas: (
            "_clean_and_update_scenegraph",
            "_remove_layer",
            "_reorder_layers",
            "_update_layer_overlays",
            "_update_scenegraph",
            "_update_viewer_overlays",
            "on_draw",
        ),
        QtLayerControlsContainer: ("_add", "_populate", "_remove"),
    }
    for owner, names in unmade.items():
        for name in names:
            # with the signature that napari looks at before it passes an event
            nothing = wraps(getattr(owner, name))(lambda *_: None)
            monkeypatch.setattr(owner, name, nothing)


def _is_ours(callback: Any) -> bool:
    """Whether a dock or what belongs to it listens; such may wait to be collected."""
    owner = type(callback[0]()) if isinstance(callback, tuple) else callback
    return getattr(owner, "__module__", "").startswith("napari_sparsessp")


def _emitters(viewer: napari.Viewer) -> Iterator[Any]:
    """All emitters whose events a dock may listen to."""
    groups: list[EmitterGroup] = [
        viewer.events,
        viewer.layers.events,
        viewer.layers.selection.events,
    ]
    fields = (getattr(viewer, name) for name in type(viewer).model_fields)
    groups += [one.events for one in fields if isinstance(one, EventedModel)]
    for group in groups:
        yield group
        yield from group.emitters.values()
