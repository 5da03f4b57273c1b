"""Every way in which a run can end, with a real worker thread and no viewer."""

import gc
import threading
import weakref

import numpy as np
import pytest

from fake_engine import FakeEngine, light
from napari_sparsessp.errors import InputError, PredictionError
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.engine.stream_worker import Job
from napari_sparsessp.ui.layers.contrast import ContrastEstimate
from napari_sparsessp.ui.predict.session import PredictionRun
from napari_sparsessp.volume import Volume


def make_job(structures=("dna",), cancel=None):
    volume = Volume(light(), "ZYX", (1.16, 0.29, 0.29))
    request = PredictionRequest(structures=structures)
    buffer = np.zeros((len(structures), 32, 96, 128), np.float32)
    cancel = cancel or threading.Event()
    contrast = ContrastEstimate(structures)
    return Job(request, volume, {}, structures, buffer, lambda: None, cancel, contrast)


class Ear:
    """Writes down how a run ended."""

    def __init__(self, run):
        self.heard = []
        run.finished.connect(lambda report: self.heard.append(("finished", report)))
        run.cancelled.connect(lambda: self.heard.append(("cancelled", None)))
        run.failed.connect(lambda error: self.heard.append(("failed", error)))


@pytest.fixture
def start(qtbot):
    """Run a job to its end and give what was heard."""

    def go(engine, job, during=None):
        run = PredictionRun(engine, job)
        ear = Ear(run)
        if during is not None:
            run.tile_done.connect(lambda event: during(run, event))
        run.start(in_napari=False)
        qtbot.waitUntil(lambda: bool(ear.heard))
        qtbot.waitUntil(lambda: engine.closed > 0)
        qtbot.wait(50)  # nothing may come after the end
        assert not run.running
        return ear.heard

    return go


def test_finished_once_with_a_full_buffer(start):
    job = make_job()
    heard = start(FakeEngine(), job)
    assert [kind for kind, _ in heard] == ["finished"]
    assert np.all(job.buffer == 1)


def test_cancel_keeps_what_is_done(start):
    job = make_job()
    heard = start(FakeEngine(pause=0.02), job, lambda run, event: run.cancel())
    assert [kind for kind, _ in heard] == ["cancelled"]
    assert 0 < job.buffer.mean() < 1


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (RuntimeError("CUDA out of memory. Tried"), "ran out of memory"),
        (RuntimeError("some kernel failed"), "try the CPU"),
        (ValueError("a bug"), "copy the details"),
        (InputError("channel 3 does not exist"), "channel 3 does not exist"),
    ],
)
def test_every_error_reaches_the_interface_with_advice(start, error, advice):
    heard = start(FakeEngine(fail_at=1, error=error), make_job())
    assert [kind for kind, _ in heard] == ["failed"]
    assert advice in str(heard[0][1])
    assert isinstance(heard[0][1], InputError | PredictionError)


def test_a_run_that_was_abandoned_says_nothing(qtbot):
    engine = FakeEngine(pause=0.02)
    run = PredictionRun(engine, make_job())
    ear = Ear(run)
    with qtbot.waitSignal(run.tile_done):
        run.start(in_napari=False)
    run.abandon()
    qtbot.waitUntil(lambda: engine.closed == 1)
    qtbot.wait(50)
    assert ear.heard == []


def test_generator_is_closed_and_memory_let_go(start):
    engine = FakeEngine(pause=0.02)
    job = make_job()
    ref = weakref.ref(job.buffer)
    start(engine, job, lambda run, event: run.cancel())
    assert engine.closed == 1
    del job
    gc.collect()
    assert ref() is None


def test_a_slow_interface_does_not_nest_events(start):
    """Regression: napari's own progress bar delivers events inside events."""
    import inspect
    import time

    depths = []

    def slow(_run, _event):
        time.sleep(0.004)
        depths.append(len(inspect.stack(0)))

    start(FakeEngine(pause=0, tile=8), make_job(), slow)
    assert len(depths) == 12 * 16
    assert max(depths) - min(depths) < 5
