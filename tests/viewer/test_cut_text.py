"""No text is cut in any dock: not when it is narrow, not at 150 % text size."""

from functools import partial

import pytest
from napari.settings import get_settings
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget

from cut_text import cut_text
from napari_sparsessp.io.samples import PUBLIC_SAMPLES
from napari_sparsessp.ui.samples import SampleDialog

HEIGHT = 900
# width of a dock, and how much larger all text is
SIZES = ((340, 1.0), (510, 1.5))
THEMES = ("dark", "light")


@pytest.fixture
def docks(viewer, qtbot):
    """All docks, floating, with the sample in them."""
    viewer.open_sample("napari-sparsessp", "sparse_colony")
    manifest = PluginManifest.from_distribution("napari-sparsessp")
    names = [widget.display_name for widget in manifest.contributions.widgets]
    dock = partial(viewer.window.add_plugin_dock_widget, "napari-sparsessp")
    opened = {name: dock(name)[0] for name in names}
    for outer in opened.values():
        outer.setFloating(True)
        outer.show()
    qtbot.wait(1500)  # until each has looked at the sample
    return opened


@pytest.fixture
def enlarge():
    """`enlarge(factor)`: all text, as a desktop with larger letters does."""
    app, appearance = QApplication.instance(), get_settings().appearance
    font, size = app.font(), appearance.font_size

    def go(factor):
        larger = app.font()
        larger.setPointSizeF(font.pointSizeF() * factor)
        app.setFont(larger)
        appearance.font_size = round(size * factor)

    yield go
    app.setFont(font)


def test_no_text_is_cut_in_any_dock(docks, enlarge, qtbot):
    found = {}
    for width, factor in SIZES:
        enlarge(factor)
        for theme in THEMES:
            get_settings().appearance.theme = theme
            for outer in docks.values():
                outer.resize(width, HEIGHT)
            qtbot.wait(300)
            for name, outer in docks.items():
                found[width, theme, name] = cut_text(outer.widget())
    assert {place: cut for place, cut in found.items() if cut} == {}


def test_no_text_is_cut_in_the_dialog_of_samples(viewer, enlarge, qtbot):
    dialog = SampleDialog()
    qtbot.addWidget(dialog)
    dialog.show()
    found = {}
    for _, factor in SIZES:
        enlarge(factor)
        for key in PUBLIC_SAMPLES:
            dialog.choose(key)
            qtbot.wait(50)
            found[factor, key] = cut_text(dialog)
    assert {place: cut for place, cut in found.items() if cut} == {}


def test_cut_text_is_found(qtbot):
    """The finder itself: what is too narrow or too low is told."""
    root = QWidget()
    qtbot.addWidget(root)
    column = QVBoxLayout(root)
    label, button = QLabel("a long text"), QPushButton("a button")
    wrapped = QLabel("many words that need more than one line " * 3)
    wrapped.setWordWrap(True)
    for widget in (label, button, wrapped):
        column.addWidget(widget)
    root.resize(400, 300)
    root.show()
    assert cut_text(root) == []
    label.setFixedWidth(20)
    button.setFixedWidth(20)
    wrapped.setFixedHeight(12)
    qtbot.wait(50)
    kinds = [line.split(":")[0] for line in cut_text(root)]
    assert kinds == ["QLabel", "QPushButton", "QLabel"]
