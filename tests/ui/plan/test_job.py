"""The job of the Plan dock: measured once, remembered, stopped at once, found again."""

import gc
import weakref

import numpy as np
import pytest

from fake_engine import card
from napari_sparsessp import PredictionRequest
from napari_sparsessp.evaluation.html import Gallery
from napari_sparsessp.tasks import Cancelled
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.plan.job import (
    MeasuredChoice,
    Measurement,
    PlanChoice,
    PlanJob,
    SweepMemory,
    SweepRecord,
    measure_plan,
)
from napari_sparsessp.ui.predict.planning import FormState
from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.volume import Volume
from swept import report_of
from thin import save_thin

CUBE = (0.29, 0.29, 0.29)


@pytest.fixture
def engine(own_models_folder):
    save_thin(own_models_folder / "thin.safetensors")
    return InstalledEngine()


def _volume(seed=0):
    rng = np.random.default_rng(seed)
    stack = rng.integers(100, 4000, (8, 40, 40)).astype(np.uint16)
    return Volume(stack, "ZYX", CUBE, name="stack")


def _job(engine, truth=None, ratios=(1, 2, 4)):
    card = next(one for one in engine.cards() if one.id == "thin")
    request = PredictionRequest(model="thin", structures=("dna",), device="cpu")
    return PlanJob(card, _volume(), truth or {}, request, ratios, False, not truth)


def _measure(engine, job, memory, progress=None):
    return measure_plan(engine, job, memory, progress or TaskProgress())


def test_each_ratio_is_published_as_soon_as_it_is_scored(engine):
    progress = TaskProgress()
    record = _measure(engine, _job(engine), SweepMemory(), progress).record
    seen = [len(one.report.ratios) for one in progress.take()]
    assert seen[:3] == [1, 2, 3]
    assert record.report.finished
    assert record.gallery.pictures, "what the page shows is drawn on the way"
    assert record.gallery.light.strides == (0, 0, 0), "no volume is kept"


class Stopping(TaskProgress):
    """Cancels itself once so many ratios are published."""

    def __init__(self, after):
        super().__init__()
        self.after, self.kept = after, None

    def publish(self, result):
        self.kept = result
        if len(result.report.ratios) == self.after:
            self.cancel()


def test_a_stop_while_pictures_are_drawn_keeps_the_scores(engine, monkeypatch):
    progress = Stopping(None)
    original = Gallery._coloured

    def stop(gallery, *arguments):
        if progress.share == 1.0:
            progress.cancel()
        return original(gallery, *arguments)

    monkeypatch.setattr(Gallery, "_coloured", stop)
    with pytest.raises(Cancelled):
        _measure(engine, _job(engine), SweepMemory(), progress)
    assert [one.ratio for one in progress.kept.report.ratios] == [1, 2, 4]
    assert progress.kept.gallery is None, "half a page is none"


CHOICE = PlanChoice(FormState("key", card=card()))


def test_a_sweep_is_kept_until_its_model_changes_and_an_image_is_let_go():
    memory, array = SweepMemory(), np.zeros(3)
    gone = weakref.ref(array)
    measured = MeasuredChoice(PlanChoice(CHOICE.stack, time=2), [array])
    record = SweepRecord(report_of({"dna": (0.6, 0.5)}))
    memory.keep(measured, Measurement(record, "abc"))
    assert memory.find(CHOICE, [array]) is record  # whatever time is on screen
    assert memory.find(CHOICE, [array.copy()]) is None
    del array
    gc.collect()
    assert gone() is None
    memory.forget("another")
    assert memory.with_key("abc") is record
    memory.forget("small")
    assert memory.with_key("abc") is None
