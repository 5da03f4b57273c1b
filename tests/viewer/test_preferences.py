"""Preferences in a real viewer: the page opens, and open docks follow it."""

import pytest

from napari_sparsessp.ui.layers.metadata import is_prediction
from napari_sparsessp.ui.napari_compat import plugin_settings
from napari_sparsessp.ui.preferences import preference_news


@pytest.fixture
def page(viewer):
    page = plugin_settings()
    yield page
    page.reset()
    preference_news().settle()


def test_the_link_opens_our_page(dock, viewer, qtbot):
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog
    from qtpy.QtWidgets import QListWidget

    dock.form.options.preferences_button.click()

    def shown():
        window = dock.window()
        for dialog in window.findChildren(PreferencesDialog):
            (pages,) = dialog.findChildren(QListWidget, "Preferences")
            return dialog if pages.currentItem().text() == "SparseSSP" else None
        return None

    qtbot.waitUntil(lambda: shown() is not None)
    shown().reject()


def test_layers_take_new_colours_and_those_of_the_user_stay(dock, viewer, page, ran):
    dock.form.structures.tick(("dna", "nucleolus", "mitochondria"))
    ran(dock)
    layers = {
        layer.metadata["sparsessp"]["structure"]: layer
        for layer in viewer.layers
        if is_prediction(layer)
    }
    layers["nucleolus"].colormap = "magenta"
    page.looks.colours = "classic"
    page.looks.own_colours = "mitochondria: #123456"
    preference_news().settle()
    found = {id_: str(layer.colormap.name) for id_, layer in layers.items()}
    assert found == {
        "dna": "#4d7dff",
        "nucleolus": "magenta",
        "mitochondria": "#123456",
    }
    assert viewer.layers["bright-field"].colormap.name == "gray"


def test_the_next_run_is_as_preferred(dock, page, ran, viewer):
    page.predicting.device = "CPU"
    page.predicting.precision = "32 bits"
    page.predicting.memory_limit_gb = 4
    preference_news().settle()
    dock.form.structures.tick(("dna",))
    ran(dock)
    (layer,) = [layer for layer in viewer.layers if is_prediction(layer)]
    request = layer.metadata["sparsessp"]["request"]
    assert request["device"] == "cpu"
    assert request["precision"] == "fp32"
    assert request["memory_limit"] == 4_000_000_000


def test_a_changed_precision_is_no_reason_to_mix_old_and_new_tiles(
    dock, engine, page, finish, qtbot
):
    engine.tile, engine.wait_at = 32, 2
    dock.form.structures.tick(("dna",))
    dock.run()
    qtbot.waitUntil(lambda: len(engine.computed) == 2)
    dock.cancel()
    finish(dock)
    page.predicting.precision = "32 bits"
    preference_news().settle()
    dock.refresh_now()
    assert "the precision has changed" in dock.form.foot.status.text()
