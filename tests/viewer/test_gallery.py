"""From the Models dock to real-cell structures on screen, on small published files."""

import numpy as np
import pytest

from cut_text import cut_text
from fake_engine import light
from napari_sparsessp.models.library import read_card
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.ui.dock import open_predict
from napari_sparsessp.ui.widgets.model_picker import GALLERY
from predicted import predictions


@pytest.fixture
def clicks():
    """`clicks(button)`: click as a user does; `clicks.count` of them so far."""

    def click(button):
        assert button.isVisibleTo(button.window())
        assert button.isEnabled()
        click.count += 1
        button.click()

    click.count = 0
    return click


@pytest.fixture
def gallery(viewer, served_gallery, qtbot):
    """The Models dock, whose gallery has a bundle of twelve, and a stack beside it."""
    parts = [served_gallery.add(f"real-{id_}", id_) for id_ in CATALOGUE]
    served_gallery.add_bundle("all-twelve", *parts)
    stack = {"name": "bright-field", "scale": (0.29,) * 3, "units": ["um"] * 3}
    viewer.add_image(light(8, 32, 48), **stack)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Models")
    qtbot.waitUntil(lambda: bool(dock.form.table.entries))
    return dock


def test_twelve_structures_take_six_clicks_at_most(
    gallery, viewer, clicks, qtbot, finish
):
    clicks(gallery.form.pages.button("gallery"))
    card = gallery.form.gallery.cards[-1]
    gallery.form.gallery.scroll.ensureWidgetVisible(card.button)
    assert card.entry.id == "all-twelve"
    clicks(card.button)
    dialog = gallery.get_dialog
    clicks(dialog.start_button)
    qtbot.waitUntil(lambda: dialog.start_button.text() == "Predict with it")
    assert cut_text(dialog) == []
    clicks(dialog.start_button)
    predict = open_predict(viewer)
    predict.refresh_now()
    assert predict.form.topology.card().id == "all-twelve"
    assert "Made for hiPSC colonies, 100×, bright-field, 0.29 µm." in (
        predict.form.topology.note.text()
    )
    clicks(predict.form.foot.button)
    finish(predict)
    assert not predict.form.foot.message.is_error, predict.form.foot.message.text.text()
    shown = {layer.metadata["sparsessp"]["structure"] for layer in predictions(viewer)}
    assert shown == set(CATALOGUE)
    assert all(np.isfinite(layer.data).all() for layer in predictions(viewer))
    assert clicks.count <= 6
    qtbot.waitUntil(lambda: card.state == "yours")


def test_a_model_from_the_gallery_is_listed_with_its_cells(
    gallery, clicks, qtbot, served_gallery
):
    clicks(gallery.form.pages.button("gallery"))
    card = gallery.form.gallery.cards[0]
    clicks(card.button)
    clicks(gallery.get_dialog.start_button)
    qtbot.waitUntil(lambda: card.state == "yours")
    gallery.get_dialog.close()
    clicks(gallery.form.pages.button("yours"))
    entry = gallery.form.table.current()
    assert entry.card == read_card(card.entry.id)
    assert "hiPSC colonies, 100×" in entry.card.trained_on
    served_gallery.server.stop()
    clicks(gallery.form.pages.button("gallery"))
    clicks(card.button)  # no server is needed to use it
    assert "Predict now uses" in gallery.form.foot.status.text()


@pytest.mark.parametrize("name", ["Predict", "Plan sampling"])
def test_the_list_of_models_leads_to_the_gallery(viewer, engine, name):
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", name)
    picker = dock.form.topology
    before = picker.model_id()
    picker.model_box.setCurrentIndex(picker.model_box.findData(GALLERY))
    picker.model_box.activated.emit(picker.model_box.currentIndex())
    assert picker.model_id() == before  # an action, not a choice
    (models,) = (
        inner for title, inner in viewer.window.dock_widgets.items() if "Mod" in title
    )
    form = models.form
    assert form.stack.currentWidget() is form.gallery
