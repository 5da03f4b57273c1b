"""Predict visible region: the field on screen is predicted, and the rest can follow."""

import numpy as np
import pytest

from fake_engine import light
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.layers.viewport import part_in_sight
from napari_sparsessp.ui.napari_compat import camera_of
from napari_sparsessp.ui.predict.form import RunState
from predicted import by_structure

pytestmark = pytest.mark.painted


def zoom_in(viewer, y, x, zoom=14.0):
    """Look at a place in µm, and draw: only then layers know what is on screen."""
    camera = camera_of(viewer)
    camera.zoom = zoom
    camera.center = (y, x)
    viewer.screenshot(canvas_only=True, flash=False)


@pytest.fixture
def close(dock, viewer, engine):
    """A dock whose viewer shows the upper left corner of the stack, much enlarged."""
    engine.tile = 32
    dock.form.structures.tick(("dna",))
    dock.refresh_now()
    zoom_in(viewer, 3.0, 4.0, zoom=200.0)
    return dock


def seen_of(dock, viewer):
    ready = dock.preview.ready()
    return part_in_sight(viewer, ready.layer, ready.reading, ready.plan)


def test_the_tiles_on_screen_are_predicted_and_resume_adds_the_rest(
    close, viewer, engine, finish
):
    camera = camera_of(viewer)
    before = (*camera.center, camera.zoom)
    _, (z, y, x) = seen_of(close, viewer)
    assert (z.start, z.stop) == (0, close.preview.plan.output_shape[-3])
    assert y.stop - y.start < 96
    assert x.stop - x.start < 128
    close.form.foot.part_button.click()
    finish(close)
    assert 0 < len(engine.computed) < 12
    layer = by_structure(viewer)["dna"]
    assert np.all(layer.data[:, y, x] == 1)
    assert np.any(layer.data == 0)
    assert layer.metadata[KEY]["state"] == "partial"
    assert close.form.foot.status.text().startswith("The visible region is done")
    assert np.allclose((*camera.center, camera.zoom), before)
    first = list(engine.computed)
    zoom_in(viewer, 25.0, 34.0, zoom=200.0)
    close.form.foot.part_button.click()
    finish(close)
    assert len(engine.computed) > len(first)
    assert by_structure(viewer)["dna"].unique_id == layer.unique_id
    assert close.form.foot.state is RunState.RESUMABLE
    close.form.foot.button.click()
    finish(close)
    assert len(engine.computed) == len(set(map(str, engine.computed))) == 12
    assert np.all(layer.data == 1)
    assert layer.metadata[KEY]["state"] == "done"


def test_where_nothing_can_be_predicted_it_says_why(close, viewer, engine):
    viewer.dims.ndisplay = 3
    assert not close.form.foot.part_button.isEnabled()
    assert "2D" in close.form.foot.part_button.toolTip()
    viewer.dims.ndisplay = 2
    assert close.form.foot.part_button.isEnabled()
    zoom_in(viewer, 4000.0, 4000.0, zoom=200.0)
    close.form.foot.part_button.click()
    assert "press Home" in close.form.foot.message.text.text()
    assert close.run_in_progress is None
    assert engine.computed == []


def test_of_a_time_lapse_the_current_time_point_is_predicted(
    viewer, engine, predict_on, finish
):
    dock = predict_on(
        np.stack([light(seed=seed) for seed in range(6)]),
        scale=(1, 1.16, 0.29, 0.29),
        units=("pixel", "um", "um", "um"),
        axis_labels=("t", "z", "y", "x"),
    )
    dock.form.structures.tick(("dna",))
    viewer.dims.set_point(0, 3)
    viewer.screenshot(canvas_only=True, flash=False)
    dock.run_part()
    finish(dock)
    assert {time for time, _ in engine.computed} == {3}


def test_the_numbers_are_those_of_the_whole(
    thin_engine, viewer, predict_on, finish, ran
):
    dock = predict_on(light())
    zoom_in(viewer, 3.0, 4.0, zoom=200.0)
    _, (z, y, x) = seen_of(dock, viewer)
    dock.run_part()
    finish(dock)
    parts = {id_: np.array(one.data) for id_, one in by_structure(viewer).items()}
    assert parts
    dock.resume()
    finish(dock)
    ran(dock)
    for id_, layer in by_structure(viewer).items():
        assert not np.array_equal(parts[id_], layer.data)
        np.testing.assert_allclose(parts[id_][z, y, x], layer.data[z, y, x], atol=1e-5)
