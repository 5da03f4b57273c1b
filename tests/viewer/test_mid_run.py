"""Whatever befalls viewer, layers and window while a prediction runs, it ends well.

Each test begins a run, lets something happen after the first tile and waits for the
end: the result is whole, or the run is stopped, and the dock can be used again.
"""

import threading

import numpy as np
import pytest
from napari.settings import get_settings

from fake_engine import MICRO, light
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.ui.predict.form import RunState
from predicted import predictions

pytestmark = pytest.mark.painted

ORDER = {id_: number for number, id_ in enumerate(CATALOGUE)}
TICKED = ("dna", "nucleolus", "mitochondria")


def whole(viewer):
    """Whether each prediction holds what the fake engine fills in, everywhere."""
    made = predictions(viewer)
    values = [
        np.unique(layer.data).tolist() == [1.0 + number]
        for number, layer in enumerate(
            sorted(made, key=lambda one: ORDER[one.metadata["sparsessp"]["structure"]])
        )
    ]
    return len(values) == len(TICKED) and all(values)


@pytest.fixture
def go(engine):
    """Set it, and what was held after the second tile goes on."""
    go = threading.Event()

    def paint(plan, id_, _box):
        if len(engine.computed) == 2:
            go.wait(60)
        return 1 + plan.channels.index(id_)

    engine.paint, engine.tile = paint, 32
    yield go
    go.set()


@pytest.fixture
def begun(dock, engine, go, qtbot):
    """A dock whose prediction of three structures has begun; `go` lets it go on."""
    dock.form.structures.tick(TICKED)
    with qtbot.waitSignal(dock.layers.complete):
        dock.run()
    qtbot.waitUntil(lambda: len(engine.computed) == 2)
    return dock


def add_truth(viewer, dock, name="DNA"):
    """A truth that the dock finds by its name."""
    truth = viewer.add_image(light(32).astype(float), name=name, scale=(0.29,) * 3)
    truth.units = ("um",) * 3
    dock.refresh_now()
    assert "dna" in dock.form.structures.truths()
    return truth


def change_the_source(viewer, _dock):
    layer = viewer.layers["bright-field"]
    viewer.layers.move(0, len(viewer.layers))
    layer.name, layer.translate = "something else", (5, 5, 5)
    layer.data = np.zeros((3, 10, 10), np.uint16)


def add_and_delete_others(viewer, _dock):
    other = viewer.add_image(light(3, 20, 20), name="DNA of another field")
    viewer.add_points(np.zeros((1, 3)))
    viewer.add_labels(np.zeros((4, 8, 8), int))
    viewer.layers.remove(other)


def show_all_otherwise(viewer, dock):
    dock.view.show("side")
    for visible in (False, True):
        for layer in viewer.layers:
            layer.visible = visible
    viewer.layers.selection.clear()
    get_settings().appearance.theme = "light"


def stay_in_3d(viewer, _dock):
    viewer.dims.ndisplay = 3


def turn_the_axes(viewer, _dock):
    viewer.dims.order = (2, 0, 1)


def slice_in_a_thread(_viewer, _dock):
    get_settings().experimental.async_ = True


EVENTS = (
    change_the_source,
    add_and_delete_others,
    show_all_otherwise,
    stay_in_3d,
    turn_the_axes,
    slice_in_a_thread,
)


@pytest.mark.parametrize("event", EVENTS)
def test_the_result_is_whole(begun, go, viewer, finish, qtbot, event):
    event(viewer, begun)
    qtbot.wait(20)
    assert begun.run_in_progress is not None
    go.set()
    finish(begun)
    assert whole(viewer)
    assert begun.form.foot.state is not RunState.RUNNING
    assert begun.form.isEnabled()
    assert not begun.form.foot.message.is_error


def test_what_floats_and_is_hidden_comes_back_with_its_result(
    begun, go, viewer, finish, qtbot, ran
):
    outer = begun.parentWidget()
    outer.setFloating(True)
    outer.hide()
    go.set()
    finish(begun)
    outer.show()
    outer.setFloating(False)
    qtbot.wait(50)
    assert begun.form.foot.status.text().startswith("Done")
    ran(begun)
    assert whole(viewer)


@pytest.mark.parametrize("what", ["rename", "delete", "move"])
def test_a_truth_may_change_while_it_is_compared_with(
    dock, go, viewer, engine, finish, qtbot, what
):
    truth = add_truth(viewer, dock)
    dock.form.structures.tick(TICKED)
    with qtbot.waitSignal(dock.layers.complete):
        dock.run()
    if what == "rename":
        truth.name = "not DNA any more"
    elif what == "delete":
        viewer.layers.remove(truth)
    else:
        viewer.layers.reverse()
    qtbot.wait(20)
    go.set()
    finish(dock)
    assert whole(viewer)
    (row,) = [r for r in dock.form.structures.rows if r.structure.id == "dna"]
    assert row.scores is None or row.scores["r2"] == 0.5
    assert dock.form.foot.status.text().startswith("Done")


def test_all_layers_are_deleted_at_once(begun, go, viewer, finish, qtbot):
    viewer.layers.clear()
    begun.cancel()  # once more is no matter
    go.set()
    finish(begun)
    assert len(viewer.layers) == 0
    qtbot.waitUntil(lambda: begun.form.foot.state is RunState.BLOCKED)
    assert not begun.form.foot.message.is_error
    viewer.add_image(light(), name="another", **MICRO)
    qtbot.waitUntil(lambda: begun.form.foot.state is RunState.READY)


@pytest.mark.parametrize("moment", ["at once", "running", "cancelling"])
def test_the_viewer_is_closed(make_napari_viewer, predict_on, engine, qtbot, moment):
    engine.tile, engine.pause = 8, 0.05
    viewer = make_napari_viewer()
    dock = predict_on(light(), viewer)
    viewer.dims.ndisplay = 3 if moment == "running" else 2
    dock.run()
    if moment != "at once":
        with qtbot.waitSignal(dock.session.tile_done):
            pass
    if moment == "cancelling":
        dock.cancel()
    viewer.close()
    qtbot.waitUntil(lambda: engine.closed == 1)
    qtbot.wait(100)  # pytest-qt fails the test for what a dead window raises
