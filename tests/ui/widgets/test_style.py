"""Docks and dialogs follow the theme; long words may wrap."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_sparsessp.ui.widgets.style import Dress, breakable

DARK, LIGHT = ("#202124", "#f0f0f0"), ("#ffffff", "#202020")
ACCENTS = {DARK: "#3f9bd8", LIGHT: "#0b6bb0"}


def theme(window, colours):
    """Style a window as napari does."""
    back, text = colours
    window.setStyleSheet(f"QWidget {{ background-color: {back}; color: {text}; }}")


@pytest.fixture
def window(added):
    widget = added(QWidget())
    theme(widget, DARK)
    widget.show()
    return widget


def dressed(owner, kind=Qt.WindowType.Widget):
    widget = QWidget(owner, kind)
    Dress(widget)
    widget.show()
    return widget


def test_a_dialog_of_a_dressed_dock_is_dressed_alike_without_end(qtbot, window):
    """A child inherits its owner's sheet; each change used to set off another."""
    dock = dressed(window)
    dialog = dressed(dock, Qt.WindowType.Dialog)
    qtbot.wait(30)
    assert ACCENTS[DARK] in dialog.styleSheet()
    theme(window, LIGHT)
    qtbot.waitUntil(lambda: ACCENTS[LIGHT] in dialog.styleSheet())
    settled = dialog.styleSheet(), dock.styleSheet()
    assert ACCENTS[LIGHT] in settled[1]
    qtbot.wait(30)
    assert (dialog.styleSheet(), dock.styleSheet()) == settled


def test_long_words_get_places_to_wrap_and_look_the_same():
    path = "/home/ada/.local/share/napari-sparsessp/samples"
    wrapped = breakable(f"it lies in {path} now")
    assert wrapped.replace("\u200b", "") == f"it lies in {path} now"
    assert max(len(part) for part in wrapped.split("\u200b")) < 24
    short = "CC BY-NC 4.0, e.g. 3.14 or a/b\nand more"
    assert breakable(short) == short
