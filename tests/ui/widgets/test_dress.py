"""Docks and dialogs follow the theme, whatever it is."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_sparsessp.ui.widgets.style import Dress

DARK, LIGHT = ("#202124", "#f0f0f0"), ("#ffffff", "#202020")
ACCENTS = {DARK: "#3f9bd8", LIGHT: "#0b6bb0"}


def theme(window, colours):
    """Style a window as napari does."""
    back, text = colours
    window.setStyleSheet(f"QWidget {{ background-color: {back}; color: {text}; }}")


@pytest.fixture
def window(qtbot):
    widget = QWidget()
    qtbot.addWidget(widget)
    theme(widget, DARK)
    widget.show()
    return widget


def dressed(owner, kind=Qt.WindowType.Widget):
    widget = QWidget(owner, kind)
    Dress(widget)
    widget.show()
    return widget


def test_the_sheet_follows_the_theme_and_comes_to_rest(qtbot, window):
    widget = dressed(window)
    assert ACCENTS[DARK] in widget.styleSheet()
    theme(window, LIGHT)
    qtbot.waitUntil(lambda: ACCENTS[LIGHT] in widget.styleSheet())
    settled = widget.styleSheet()
    qtbot.wait(30)
    assert widget.styleSheet() == settled


def test_a_dialog_of_a_dressed_dock_is_dressed_alike_without_end(qtbot, window):
    """A child inherits its owner's sheet; each change used to set off another."""
    dock = dressed(window)
    dialog = dressed(dock, Qt.WindowType.Dialog)
    qtbot.wait(30)
    assert ACCENTS[DARK] in dialog.styleSheet()
    theme(window, LIGHT)
    qtbot.waitUntil(lambda: ACCENTS[LIGHT] in dialog.styleSheet())
    assert ACCENTS[LIGHT] in dock.styleSheet()
