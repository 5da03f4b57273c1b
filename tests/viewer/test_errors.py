"""Whatever fails, and on whichever thread: told once, with advice, and usable again."""

import shutil
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest

from fake_engine import light
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.predict.form import RunState
from napari_sparsessp.ui.widgets.basic import MessageBox
from predicted import predictions


def said_once(told, *words):
    (error,) = told
    assert all(word in error for word in words), error


@pytest.fixture
def told(monkeypatch):
    """Every error that a dock shows, and whatever else reaches the user."""
    from napari.utils.notifications import notification_manager

    heard, show = [], MessageBox.show_error

    def note(self, text, details=""):
        heard.append(text)
        show(self, text, details)

    monkeypatch.setattr(MessageBox, "show_error", note)
    monkeypatch.setattr(notification_manager, "dispatch", heard.append)
    return heard


def usable(dock):
    """The form is free, nothing moves, and Run or Resume is offered."""
    assert dock.run_in_progress is None
    assert dock.form.input.isEnabled()
    assert dock.form.topology.isEnabled()
    assert dock.form.foot.bar.maximum() > 0  # 0 moves for ever
    assert dock.form.foot.state in (RunState.READY, RunState.RESUMABLE)


@pytest.fixture
def fails(ran, told):
    """`fails(dock, *words)`: the run ends with one error that has these words."""

    def check(dock, *words):
        ran(dock)
        said_once(told, *words)

    return check


@pytest.fixture
def works(ran):
    """`works(dock)`: the next run succeeds."""

    def check(dock):
        usable(dock)
        ran(dock)
        foot = dock.form.foot
        assert foot.status.text().startswith("Done"), foot.message.text.text()

    return check


class Dying:
    """An image file on a disk that goes away, and comes back."""

    def __init__(self, array):
        self.array, self.gone = array, False

    def plane(self, block_info=None):
        if self.gone:
            raise OSError("the disk is gone")
        z = block_info[None]["array-location"][0][0]
        return self.array[z : z + 1]

    def lazy(self):
        chunks = ((1,) * len(self.array), *self.array.shape[1:])
        return da.map_blocks(self.plane, chunks=chunks, dtype=self.array.dtype)


@pytest.fixture
def thin_dock(thin_engine, predict_on):
    """`thin_dock(array)`: a dock with the real engine."""

    def go(array):
        dock = predict_on(array, scale=(0.29,) * 3, contrast_limits=(900, 1100))
        dock.form.structures.tick(("dna",))
        return dock

    return go


@pytest.mark.parametrize("truth", [False, True])
def test_a_file_that_cannot_be_read_any_more(thin_dock, viewer, fails, works, truth):
    disk = Dying(light(8, 40, 40))
    dock = thin_dock(light(8, 40, 40) if truth else disk.lazy())
    if truth:
        place = {"scale": (0.29,) * 3, "units": ("um",) * 3}
        viewer.add_image(disk.lazy(), name="DNA", contrast_limits=(0, 1), **place)
        dock.refresh_now()
        assert "dna" in dock.form.structures.truths()
    disk.gone = True
    fails(dock, "the disk is gone")
    disk.gone = False
    works(dock)


@pytest.fixture
def own_models(thin_folder, tmp_path, monkeypatch, thin_engine):
    """A folder with the thin model that a test may empty."""
    folder = tmp_path / "models"
    shutil.copytree(thin_folder, folder)
    monkeypatch.setenv("SPARSESSP_MODELS", str(folder))
    return folder


@pytest.mark.parametrize("cut", [0, 0.5])
def test_a_model_that_goes_or_is_damaged_while_it_runs(
    thin_dock, own_models, thin_engine, qtbot, finish, told, fails, works, cut
):
    dock = thin_dock(light(8, 70, 70))
    thin_engine.hold_at = 1
    dock.run()
    qtbot.waitUntil(lambda: len(thin_engine.boxes) == 1)
    weights = own_models / "thin.safetensors"
    kept = weights.read_bytes()
    weights.unlink()
    if cut:
        weights.write_bytes(kept[: int(cut * len(kept))])
    thin_engine.go.set()
    finish(dock)
    assert told == []
    usable(dock)
    fails(dock, "thin", "" if cut else ";")
    weights.write_bytes(kept)
    works(dock)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (RuntimeError("CUDA error: no CUDA-capable device is detected"), "CPU"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "smaller"),
        (MemoryError(), "smaller"),
        (KeyError("a bug"), "copy the details"),
    ],
)
def test_a_device_that_vanishes(dock, viewer, engine, error, advice, fails, works):
    engine.fail_at, engine.error, engine.tile = 2, error, 48
    fails(dock, advice)
    assert "2 of" in dock.form.foot.status.text()
    dock.refresh_now()  # whatever happens to layers, the error stays to be read
    message = dock.form.foot.message
    assert message.is_error
    assert message.copy_button.isVisibleTo(message)
    assert predictions(viewer)[0].metadata[KEY]["state"] == "failed"
    engine.fail_at = None
    works(dock)


def test_a_bug_in_the_planning_leaves_no_old_plan(dock, engine, told, works):
    plan = engine.plan

    def broken(*_):
        raise ZeroDivisionError("a bug")

    engine.plan = broken
    dock.form.structures.tick(("dna",))
    dock.refresh_now()
    said_once(told, "a bug", "copy the details")
    assert dock.form.foot.state is RunState.BLOCKED
    dock.run()
    assert dock.run_in_progress is None
    engine.plan = plan
    dock.refresh_now()
    works(dock)


def test_no_memory_for_the_result(dock, monkeypatch, told, works):
    from napari_sparsessp.ui.predict import planning

    def none_left(*_):
        raise MemoryError

    numpy = SimpleNamespace(zeros=none_left, float32=np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(planning, "np", numpy)
        dock.run()
    said_once(told, "not enough memory", "fewer structures")
    works(dock)


@pytest.mark.parametrize("made", [0, 1])
def test_a_layer_that_napari_cannot_make(
    dock, viewer, engine, monkeypatch, fails, works, made
):
    engine.wait_at = 0
    make = dock.layers._add

    def broken(one):
        if len(predictions(viewer)) == made:
            raise ValueError("no texture")
        make(one)

    with monkeypatch.context() as patch:
        patch.setattr(dock.layers, "_add", broken)
        fails(dock, "no texture")
    assert predictions(viewer) == []  # nothing was predicted: no layer of nothing
    engine.wait_at = None
    works(dock)


def test_a_sample_that_is_not_there(viewer, engine, monkeypatch, told):
    from napari_sparsessp.errors import InputError
    from napari_sparsessp.ui import samples

    def missing(**_):
        raise InputError("the sample is not installed; install the package again")

    monkeypatch.setattr(samples, "sample_paths", missing)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    dock.form.input.sample_button.click()
    said_once(told, "install")


def test_an_error_at_resume_can_be_resumed_again(dock, engine, finish, told, ran):
    engine.fail_at, engine.tile = 2, 48
    dock.form.structures.tick(("dna",))
    ran(dock)
    engine.fail_at = 4
    dock.resume()
    finish(dock)
    assert len(told) == 2
    assert "4 of" in dock.form.foot.status.text()
    engine.fail_at = None
    dock.resume()
    assert not dock.form.foot.message.is_error
    finish(dock)
    assert np.all(dock.layers.layer("dna").data == 1)
