"""A prediction in a worker thread without a viewer: every way in which it can end."""

import gc
import inspect
import time
import weakref

import numpy as np
import pytest

from fake_engine import FakeEngine, card, light
from napari_sparsessp.prediction.engine import TileDone
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.layers.contrast import ContrastEstimate
from napari_sparsessp.ui.predict.session import run_prediction
from napari_sparsessp.ui.tasks import BackgroundTask
from napari_sparsessp.volume import Volume


def make_job(engine):
    volume = Volume(light(), "ZYX", (1.16, 0.29, 0.29))
    plan = plan_prediction(card(), volume, PredictionRequest(structures=("dna",)))
    writer = engine.new_writer(np.zeros(plan.output_shape, np.float32))
    return engine, plan, writer, ContrastEstimate(plan.channels), lambda: None, None


@pytest.fixture
def start(qtbot):
    """Run a job to its end; return how it ended and what was published."""

    def go(job, during=None):
        task, ends, events = BackgroundTask(run_prediction, *job), [], []
        task.returned.connect(lambda value: ends.append(("returned", value)))
        task.cancelled.connect(lambda: ends.append(("cancelled", None)))
        task.failed.connect(lambda error: ends.append(("failed", error)))
        task.published.connect(events.append)
        if during is not None:
            task.published.connect(lambda event: during(task, event))
        task.start()
        qtbot.waitUntil(lambda: bool(ends))
        assert job[0].closed == 1
        return *ends, events

    return go


def cancel_at_a_tile(task, event):
    if isinstance(event, TileDone):
        task.cancel()


def test_nothing_of_a_cancelled_prediction_stays_in_memory(start):
    engine = FakeEngine(pause=0.02, tile=16)
    job = make_job(engine)
    buffer = weakref.ref(job[2].buffer)
    start(job, cancel_at_a_tile)
    del job
    gc.collect()
    assert buffer() is None


def test_a_slow_interface_does_not_nest_events(start):
    """Regression: napari's own progress bar delivers events inside events."""
    depths = []

    def slow(_task, event):
        if isinstance(event, TileDone):
            time.sleep(0.004)
            depths.append(len(inspect.stack(0)))

    engine = FakeEngine(pause=0, tile=8)
    start(make_job(engine), slow)
    assert len(depths) == 12 * 16
    assert max(depths) - min(depths) < 5
