"""Layers of uncertainty: hidden until asked for, and grouped with their structures."""

import numpy as np
import pytest

from napari_sparsessp.ui.layers.metadata import KEY, is_prediction, role_of

pytestmark = pytest.mark.painted


@pytest.fixture
def unsure(dock, ran):
    """A finished prediction of two structures with their uncertainties."""
    dock.form.structures.tick(("dna", "mitochondria"))
    dock.form.options.rows.native("uncertainty").setChecked(True)
    ran(dock)
    return dock


def layers(viewer, role):
    found = [layer for layer in viewer.layers if role_of(layer) == role]
    return {layer.metadata[KEY]["structure"]: layer for layer in found}


def test_each_structure_gets_a_hidden_layer_that_lies_on_it(unsure, viewer):
    predicted = layers(viewer, "prediction")
    found = layers(viewer, "uncertainty")
    assert set(found) == set(predicted) == {"dna", "mitochondria"}
    for id_, layer in found.items():
        own = predicted[id_]
        assert not layer.visible
        assert layer.name.endswith("± std · predicted")
        assert layer.name.startswith(own.name.split(" · ")[0])
        assert layer.colormap.name == "magma"
        assert layer.contrast_limits[0] == 0
        assert np.all(layer.data == own.data + 2)  # its own channel of the buffer
        for what in ("scale", "translate", "units", "axis_labels"):
            assert np.array_equal(getattr(layer, what), getattr(own, what)), what
        assert layer.metadata[KEY]["state"] == "done"
        assert layer.metadata[KEY]["channel"] == f"{id_}_std"
        assert not is_prediction(layer)


def test_the_table_shows_and_hides_them_side_by_side_in_a_cell(unsure, viewer):
    model, layer = unsure.form.structures, layers(viewer, "uncertainty")["dna"]
    assert "spread" in unsure.form.table.shown_columns()
    assert model.row("nucleolus").spread is None
    model.set_spread("dna", True)
    assert layer.visible
    layer.visible = False  # in napari's own list
    assert model.spreads() == ()
    model.set_spread("dna", True)
    model.set_visible("mitochondria", False)
    unsure.view.show("side")
    cells = [
        {viewer.layers[i].name for i in indices if viewer.layers[i].visible}
        for _, indices in viewer.canvas.grid.iter_viewboxes(viewer.layers)
    ]
    assert cells == [
        {"bright-field"},
        {"DNA · predicted"},
        {"DNA ± std · predicted"},
    ]
    unsure.view.show("overlay")
    assert layer.visible


def test_a_run_without_it_hides_what_is_no_longer_true(unsure, viewer, ran):
    old = layers(viewer, "uncertainty")["dna"]
    unsure.form.structures.set_spread("dna", True)
    before = [layer.unique_id for layer in viewer.layers]
    ran(unsure)
    assert [layer.unique_id for layer in viewer.layers] == before
    assert old.visible
    unsure.form.options.rows.native("uncertainty").setChecked(False)
    ran(unsure)
    assert not old.visible
    assert old.metadata[KEY]["state"] == "outdated"
    assert "spread" not in unsure.form.table.shown_columns()


def test_options_are_part_of_the_request_and_of_the_time(dock, finish):
    options = dock.form.options
    assert not options.body.isVisibleTo(dock)
    options.more_button.click()
    assert options.body.isVisibleTo(dock)
    options.rows.native("tta").setChecked(True)
    dock.refresh_now()
    assert dock.preview.request.tta
    assert not dock.preview.request.uncertainty
    assert dock.form.foot.status.text().endswith("8× slower")
    options.more_button.click()
    assert options.summary.text() == "average of 8"
    assert options.summary.isVisibleTo(dock)
