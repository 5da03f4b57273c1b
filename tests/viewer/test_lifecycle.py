"""The life of a prediction in a real viewer, one test for each way it can go."""

import gc
import weakref

import numpy as np
import pytest

from fake_engine import MICRO, light
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.predict.form import RunState
from predicted import predictions


@pytest.fixture
def start(engine, qtbot):
    """`start(dock)`: a run of ten seconds, so that no machine is done too early."""
    engine.pause, engine.tile = 0.05, 8

    def go(dock):
        with qtbot.waitSignal(dock.layers.complete):
            dock.run()

    return go


def test_finish(dock, viewer, finish):
    assert dock.form.foot.state is RunState.READY
    dock.run()
    assert dock.form.foot.state is RunState.RUNNING
    assert predictions(viewer)  # there before the first voxel
    finish(dock)
    order = {id_: number for number, id_ in enumerate(CATALOGUE)}
    assert len(predictions(viewer)) == 12
    assert dock.form.foot.state is RunState.READY
    assert dock.form.foot.status.text().startswith("Done")
    for layer in predictions(viewer):
        about = layer.metadata[KEY]
        assert layer.data.dtype == np.float32
        assert np.all(layer.data == 1 + order[about["structure"]])
        assert about["state"] == "done"
        assert about["measured_planes"] == list(range(0, 32, 4))
        assert about["request"]["model"] == "colony-3to2d"
        assert about["provenance"]["model"]["sha256"]
        assert tuple(layer.scale) == pytest.approx((0.29, 0.29, 0.29))
        assert layer.units == viewer.layers["bright-field"].units
        assert layer.axis_labels == ("z", "y", "x")
        assert layer.blending == "additive"
    assert viewer.layers.units is not None


def test_cancel_before_all_layers_are_made_leaves_no_empty_ones(
    dock, viewer, finish, start, qtbot
):
    dock.run()
    dock.layers.finish("cancelled")
    made = len(predictions(viewer))
    qtbot.wait(100)
    assert 0 < made < 12
    assert len(predictions(viewer)) == made
    dock.cancel()
    finish(dock)


def test_the_form_is_locked_eyes_are_not_and_removing_all_layers_cancels(
    dock, viewer, finish, start
):
    start(dock)
    form = dock.form
    assert not form.input.isEnabled()
    assert not form.topology.isEnabled()
    form.structures.set_visible("nucleolus", True)
    assert dock.layers.layer("nucleolus").visible
    dock.layers.layer("dna").visible = False
    assert "dna" not in form.structures.visible()
    for layer in predictions(viewer):
        viewer.layers.remove(layer)
    finish(dock)
    assert "Cancelled" in form.foot.status.text()
    assert form.input.isEnabled()


def test_a_second_run_keeps_layers_and_what_the_user_made_of_them(
    dock, viewer, ran, engine
):
    ran(dock)
    layer = predictions(viewer)[4]
    layer.contrast_limits, layer.colormap, layer.name = (0.5, 9), "magenta", "my DNA"
    dock.form.structures.set_visible(layer.metadata[KEY]["structure"], False)
    before = [one.unique_id for one in predictions(viewer)]
    engine.paint = lambda plan, id_, box: 7
    ran(dock)
    assert [one.unique_id for one in predictions(viewer)] == before
    assert tuple(layer.contrast_limits) == (0.5, 9)
    assert (layer.colormap.name, layer.name) == ("magenta", "my DNA")
    assert not layer.visible
    assert np.all(layer.data == 7)


@pytest.mark.parametrize("running", [False, True])
def test_closing_the_dock_leaves_a_quiet_viewer(
    viewer, engine, qtbot, running, finish, start
):
    engine.tile = 24
    viewer.add_image(light(), name="bright-field", **MICRO)
    outer, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    start(dock)
    if not running:
        finish(dock)
    viewer.window.remove_dock_widget(outer)
    qtbot.waitUntil(lambda: engine.closed == 1)
    qtbot.wait(200)
    viewer.add_image(light(), name="later", **MICRO)
    viewer.dims.set_point(0, 1.16)
    viewer.layers.remove(predictions(viewer)[0])
    predictions(viewer)[0].visible = False
    viewer.layers["later"].name = "much later"
    qtbot.wait(200)
    _, again = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    assert len(again.layers.layers()) == 11


def test_a_dock_that_is_closed_in_mid_run_leaves_nothing_behind(viewer, engine, qtbot):
    engine.pause, engine.tile = 0.02, 24
    viewer.add_image(light(), name="bright-field", **MICRO)
    outer, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    dock.form.structures.tick(("dna",))
    dock.run()
    kept = [weakref.ref(one) for one in (dock.session.run.buffer, dock.session.task)]
    viewer.window.remove_dock_widget(outer)
    del outer, dock
    qtbot.waitUntil(lambda: engine.closed == 1)
    viewer.layers.clear()

    def gone():
        gc.collect()
        return all(one() is None for one in kept)

    qtbot.waitUntil(gone)


@pytest.fixture
def two_models(dock, engine, ran):
    """A dock where two models have predicted DNA from the same stack."""
    from fake_engine import card

    engine.the_cards.append(card(id="other", name="Other", structures=("dna",)))
    dock.shelf.offer()
    dock.form.structures.tick(("dna",))
    ran(dock)
    dock.shelf.offer("other")
    engine.the_cards.reverse()  # the fake engine plans with the first one
    ran(dock)
    return dock


def test_each_model_has_its_own_predictions_and_shows_them(two_models, viewer, finish):
    made = {layer.name: layer for layer in predictions(viewer)}
    assert set(made) == {"DNA · r 4 · colony-3to2d", "DNA · r 4 · other"}
    models = [one.metadata[KEY]["request"]["model"] for one in made.values()]
    assert models == ["colony-3to2d", "other"]
    assert [one.visible for one in made.values()] == [False, True]
    two_models.shelf.offer("colony-3to2d")
    two_models.refresh_now()
    assert [one.visible for one in made.values()] == [True, False]
    assert two_models.layers.layer("dna") == made["DNA · r 4 · colony-3to2d"]
    two_models.shelf.offer("other")
    two_models.refresh_now()
    assert [one.visible for one in made.values()] == [False, True]
    two_models.run()  # the second run of a model renews its own layers
    finish(two_models)
    assert len(predictions(viewer)) == 2
