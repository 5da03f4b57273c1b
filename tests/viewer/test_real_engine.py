"""The dock with the real engine and a thin model: resume, memory, what comes first."""

import gc

import numpy as np
import pytest

from fake_engine import light
from napari_sparsessp.ui.layers import viewport
from napari_sparsessp.ui.napari_compat import camera_of
from napari_sparsessp.ui.predict.form import RunState
from predicted import by_structure

pytestmark = pytest.mark.painted

DENSE = {"scale": (0.29,) * 3, "units": ("um",) * 3}
LAPSE = {
    "scale": (60, 0.29, 0.29, 0.29),
    "units": ("s", "um", "um", "um"),
    "axis_labels": ("t", "z", "y", "x"),
}


@pytest.fixture
def open_dock(thin_engine, predict_on):
    """`open_dock(array, …)`: a dock that predicts from it with the thin model."""
    return predict_on


def run_until(dock, engine, qtbot, tiles):
    """Run; the engine waits after so many tiles, all of which are known here."""
    engine.hold_at = tiles
    dock.run()
    qtbot.waitUntil(lambda: dock.session.run.done == tiles)


@pytest.mark.parametrize("lapse", [False, True])
@pytest.mark.parametrize("unsure", [False, True])
def test_cancelled_and_resumed_is_as_if_it_had_not_been(
    open_dock, viewer, thin_engine, finish, qtbot, lapse, unsure, monkeypatch, ran
):
    """To the bit where the tiles come in the same order, whatever is looked at."""
    one = light(12, 70, 90)
    dock = (
        open_dock(np.stack([one, one + 9]), **LAPSE)
        if lapse
        else open_dock(one, **DENSE)
    )
    monkeypatch.setattr(dock.tracker, "follow", lambda *_, **__: dock.tracker.stop())
    dock.form.options.rows.native("uncertainty").setChecked(unsure)
    ran(dock)
    assert not dock.form.foot.message.is_error, dock.form.foot.message.text.text()
    whole = {name: layer.data.copy() for name, layer in dock.layers.all().items()}
    assert len(whole) == (6 if unsure else 3)
    run_until(dock, thin_engine, qtbot, 5)
    dock.cancel()
    thin_engine.go.set()
    finish(dock)
    assert dock.form.foot.state is RunState.RESUMABLE
    before = {name: layer.unique_id for name, layer in dock.layers.all().items()}
    assert not np.array_equal(dock.layers.layer("dna").data, whole["dna"])
    dock.resume()
    finish(dock)
    assert dock.form.foot.status.text().startswith("Done")
    for name, layer in dock.layers.all().items():
        assert layer.unique_id == before[name]
        np.testing.assert_array_equal(layer.data, whole[name])


def test_cancel_takes_one_tile_and_frees_what_the_engine_held(
    open_dock, viewer, thin_engine, finish, qtbot
):
    dock = open_dock(light(12, 70, 90), **DENSE)
    run_until(dock, thin_engine, qtbot, 3)
    dock.cancel()
    thin_engine.go.set()
    finish(dock)
    assert len(thin_engine.boxes) == 3
    assert np.any(by_structure(viewer)["dna"].data)

    def left():
        gc.collect()
        names = {"Forward", "InputStack", "Inference"}
        return [one for one in gc.get_objects() if type(one).__name__ in names]

    qtbot.waitUntil(lambda: not left())


def centre(box):
    return [(part.start + part.stop) / 2 for part in box]


def look_at(viewer, dock, y, x, qtbot):
    """Zoom in on a point of the prediction and wait until the engine knows."""
    camera = camera_of(viewer)
    camera.zoom = 60
    camera.center = (0.0, y * 0.29, x * 0.29)

    def seen():
        box = dock.tracker.holder()
        return (
            box is not None
            and box[1][1].start <= y <= box[1][1].stop
            and box[1][2].start <= x <= box[1][2].stop
            and box[1][1].stop - box[1][1].start < 64
        )

    qtbot.waitUntil(seen)


def test_a_moved_camera_calls_for_other_tiles(
    open_dock, make_napari_viewer, thin_engine, finish, qtbot
):
    viewer = make_napari_viewer(show=True)  # what is not drawn has no corners
    dock = open_dock(light(8, 130, 160), viewer, **DENSE)
    run_until(dock, thin_engine, qtbot, 2)
    look_at(viewer, dock, 110, 140, qtbot)
    thin_engine.go.set()
    finish(dock)
    _, after = thin_engine.boxes[2]
    assert np.hypot(centre(after)[1] - 110, centre(after)[2] - 140) < 40
    distances = [
        np.hypot(centre(box)[1] - 110, centre(box)[2] - 140)
        for _, box in thin_engine.boxes[2:]
    ]
    assert distances[:4] == sorted(distances)[:4]


def test_the_time_point_and_plane_on_screen_come_first(
    open_dock, viewer, thin_engine, ran, monkeypatch
):
    monkeypatch.setattr(viewport, "_PATIENCE_S", 600)  # a busy machine makes layers
    one = light(40, 40, 40)
    dock = open_dock(np.stack([one] * 3), **LAPSE)
    viewer.dims.set_point(0, 120)
    viewer.dims.set_point(1, 30 * 0.29)
    dock.form.structures.tick(("dna",))
    ran(dock)
    time, box = thin_engine.boxes[0]
    assert time == 2
    assert box[0].start <= 30 < box[0].stop


def test_three_dimensions_finish_and_resume(
    open_dock, viewer, thin_engine, finish, qtbot, ran
):
    dock = open_dock(light(12, 70, 90), **DENSE)
    ran(dock)
    whole = {name: layer.data.copy() for name, layer in dock.layers.all().items()}
    run_until(dock, thin_engine, qtbot, 2)
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: dock.tracker.holder()[1][0] == slice(0, 12))
    dock.cancel()
    thin_engine.go.set()
    finish(dock)
    dock.resume()
    viewer.dims.ndisplay = 2
    finish(dock)
    assert dock.form.foot.status.text().startswith("Done")
    for name, layer in dock.layers.all().items():  # in another order: but for rounding
        np.testing.assert_allclose(layer.data, whole[name], atol=1e-6)
