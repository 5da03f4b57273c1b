"""Every dock of the manifest beside all others, in one viewer and in two.

The docks are found in the manifest, so that a new one is tested from its first day.
"""

import pytest
from npe2 import PluginManager, PluginManifest
from qtpy.QtWidgets import QWidget

from fake_engine import MICRO, light
from napari_sparsessp.ui.dock import open_predict
from napari_sparsessp.ui.layers.metadata import is_prediction

pytestmark = pytest.mark.painted

MANIFEST = PluginManifest.from_distribution("napari-sparsessp")
DOCKS = [widget.display_name for widget in MANIFEST.contributions.widgets]


def open_all(viewer):
    return {
        name: viewer.window.add_plugin_dock_widget("napari-sparsessp", name)[1]
        for name in DOCKS
    }


def test_all_docks_in_one_viewer_and_a_prediction(viewer, engine, ran, qtbot):
    viewer.add_image(light(), name="bright-field", **MICRO)
    docks = open_all(viewer)
    assert open_all(viewer) == docks  # asked for again, they are those
    predict = docks["Predict"]
    predict.form.structures.tick(("dna",))
    ran(predict)
    (made,) = [layer for layer in viewer.layers if is_prediction(layer)]
    made.name = "renamed"
    viewer.layers.reverse()
    viewer.layers.remove(made)
    viewer.layers.clear()
    qtbot.wait(200)
    assert all(isinstance(dock, QWidget) for dock in docks.values())


def test_two_viewers_with_all_docks_and_one_is_closed(
    make_napari_viewer, engine, ran, qtbot
):
    one, other = make_napari_viewer(), make_napari_viewer()
    for viewer in (one, other):
        viewer.add_image(light(), name="bright-field", **MICRO)
    open_all(one)
    docks = open_all(other)
    one.close()
    qtbot.wait(200)
    other.add_image(light(), name="later", **MICRO)
    other.dims.set_point(0, 1.16)
    other.dims.ndisplay = 3
    docks["Predict"].form.structures.tick(("dna",))
    ran(docks["Predict"])
    assert any(is_prediction(layer) for layer in other.layers)


@pytest.mark.parametrize("name", DOCKS)
def test_a_dock_that_was_closed_is_silent(viewer, engine, qtbot, name):
    outer, _ = viewer.window.add_plugin_dock_widget("napari-sparsessp", name)
    viewer.window.remove_dock_widget(outer)
    viewer.add_image(light(), name="bright-field", **MICRO)
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    viewer.layers[0].name = "DNA · truth"
    viewer.layers.selection.clear()
    viewer.layers.clear()
    qtbot.wait(100)
    _, again = viewer.window.add_plugin_dock_widget("napari-sparsessp", name)
    assert again is not None


def test_a_dock_from_the_menu_is_the_one_that_others_lead_to(viewer, engine):
    make = PluginManager.instance().commands.get("napari-sparsessp.predict")
    from_menu = make(viewer)
    viewer.window.add_dock_widget(from_menu, name="Predict (SparseSSP)")
    _, models = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Models")
    assert open_predict(viewer, beside=models) is from_menu


def test_what_leads_to_predict_opens_it_once_and_as_the_menu_does(viewer, engine):
    first = open_predict(viewer)
    assert open_predict(viewer) is first
    assert "Predict (SparseSSP)" in viewer.window.dock_widgets
