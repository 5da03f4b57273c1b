"""Cancel, then Resume: the same layers, the same numbers, and a hint where not."""

import gc
import weakref

import numpy as np
import pytest

from fake_engine import MICRO, light
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.predict.form import RunState
from predicted import predictions

pytestmark = pytest.mark.painted


@pytest.fixture
def stopped(dock, engine, finish, qtbot):
    """A dock whose prediction of two structures was cancelled after some tiles."""
    engine.tile, engine.wait_at = 32, 5
    dock.form.structures.tick(("dna", "nucleolus"))
    with qtbot.waitSignal(dock.layers.complete):
        dock.run()
    qtbot.waitUntil(lambda: dock.session.run.done == 5)
    dock.form.foot.button.click()
    finish(dock)
    engine.wait_at = None
    return dock


def test_resume_goes_on_where_it_stopped(stopped, viewer, engine, finish):
    foot = stopped.form.foot
    before = [layer.unique_id for layer in predictions(viewer)]
    states = {layer.metadata[KEY]["state"] for layer in predictions(viewer)}
    assert states == {"cancelled"}
    assert foot.button.text() == "Resume"
    assert foot.status.text() == "Cancelled: 5 of 12 tiles are done and stay."
    foot.button.click()
    finish(stopped)
    assert len(engine.computed) == len(set(map(str, engine.computed))) == 12
    assert [layer.unique_id for layer in predictions(viewer)] == before
    for number, layer in enumerate(predictions(viewer)):
        assert np.all(layer.data == 1 + number)
        assert layer.metadata[KEY]["state"] == "done"
    assert foot.status.text().startswith("Done")
    assert foot.state is RunState.READY


def test_resume_survives_looking_ahead(stopped, qtbot):
    stopped.refresh_now()
    qtbot.wait(150)  # the settling timer of the end of the run
    assert stopped.form.foot.state is RunState.RESUMABLE
    assert "tiles are done" in stopped.form.foot.status.text()


def test_start_over_predicts_everything_again(stopped, viewer, engine, finish):
    stopped.form.foot.again_button.click()
    finish(stopped)
    assert len(engine.computed) == 5 + 12
    assert len(predictions(viewer)) == 2


CHANGES = {
    "other structures are ticked": lambda dock, _: dock.form.structures.tick(("dna",)),
    "the sampling has changed": lambda dock, _: dock.form.sampling.set_ratio(4.0),
    "the voxel size has changed": lambda dock, _: dock.form.input.type_voxel_size(
        (1.2, 0.3, 0.3)
    ),
    "the stack holds another image": lambda _, light_: setattr(
        light_, "data", light(seed=1)
    ),
    "the stack was moved or scaled": lambda _, light_: setattr(
        light_, "scale", (1.16, 0.3, 0.3)
    ),
}


@pytest.mark.parametrize("hint", CHANGES)
def test_a_change_turns_resume_into_run_and_says_why(stopped, viewer, qtbot, hint):
    foot = stopped.form.foot
    qtbot.wait(150)  # the settling timer of the end of the run
    CHANGES[hint](stopped, viewer.layers["bright-field"])
    stopped.settle()
    qtbot.waitUntil(lambda: foot.button.text() == "Run")
    assert foot.status.text() == f"Run starts over: {hint}."
    assert not foot.again_button.isVisible()


def test_a_change_taken_back_or_of_no_matter_gives_resume_back(stopped, viewer):
    stopped.form.structures.tick(("dna",))
    stopped.refresh_now()
    stopped.form.structures.tick(("dna", "nucleolus"))
    viewer.layers["bright-field"].name = "renamed"
    viewer.add_image(light(), name="something else", **MICRO)
    stopped.refresh_now()
    assert stopped.form.foot.state is RunState.RESUMABLE
    assert stopped.form.foot.status.text().startswith("Stopped: ")


def test_a_deleted_layer_comes_back_with_what_was_done(stopped, viewer, finish):
    viewer.layers.remove(predictions(viewer)[1])
    stopped.refresh_now()
    stopped.resume()
    finish(stopped)
    first, second = predictions(viewer)
    assert np.all(first.data == 1)
    assert np.all(second.data == 2)


def test_without_layers_there_is_nothing_to_resume_and_no_memory_held(
    stopped, viewer, qtbot
):
    ref = weakref.ref(predictions(viewer)[0].data.base)
    for layer in predictions(viewer):
        viewer.layers.remove(layer)
    del layer
    stopped.refresh_now()
    assert stopped.form.foot.state is RunState.READY

    def gone():
        gc.collect()
        return ref() is None

    qtbot.waitUntil(gone)


def test_an_input_that_is_gone_takes_resume_along(stopped, viewer):
    viewer.layers.remove("bright-field")
    stopped.refresh_now()
    assert stopped.session.run is None
    stopped.resume()
    assert stopped.run_in_progress is None
    assert stopped.form.foot.state is not RunState.RESUMABLE
