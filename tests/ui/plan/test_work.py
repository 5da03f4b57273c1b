"""The thread of the Plan dock: measures once, remembers, stops at once."""

import threading

import numpy as np
import pytest

from napari_sparsessp import PredictionRequest
from napari_sparsessp.evaluation.html import Gallery
from napari_sparsessp.ui.errand import Meter, Stopped
from napari_sparsessp.ui.plan.choice import PlanJob
from napari_sparsessp.ui.plan.recall import SweepMemory
from napari_sparsessp.ui.plan.work import Board, PlanEngine, measure_plan
from napari_sparsessp.volume import Volume
from thin import save_thin

CUBE = (0.29, 0.29, 0.29)


@pytest.fixture
def engine(own_models_folder):
    save_thin(own_models_folder / "thin.safetensors")
    return PlanEngine()


def _volume(seed=0):
    rng = np.random.default_rng(seed)
    stack = rng.integers(100, 4000, (8, 40, 40)).astype(np.uint16)
    return Volume(stack, "ZYX", CUBE, name="stack")


def _job(engine, truth=None, ratios=(1, 2, 4)):
    card = next(one for one in engine.cards() if one.id == "thin")
    request = PredictionRequest(model="thin", structures=("dna",), device="cpu")
    return PlanJob(card, _volume(), truth or {}, request, ratios, False, not truth)


def _measure(engine, job, memory, meter=None):
    board = Board()
    return measure_plan(engine, job, memory, board, meter or Meter()), board


def test_each_ratio_stands_on_the_board_as_soon_as_it_is_scored(engine):
    seen = []

    class Watched(Board):
        def post(self, record):
            super().post(record)
            seen.append(len(record.report.ratios))

    record = measure_plan(engine, _job(engine), SweepMemory(), Watched(), Meter())
    assert seen[:3] == [1, 2, 3]
    assert record.report.finished
    assert record.gallery.pictures, "what the page shows is drawn on the way"
    assert record.gallery.light.strides == (0, 0, 0), "no volume is kept"


def test_the_same_pixels_are_not_swept_again(engine):
    memory = SweepMemory()
    first, board = _measure(engine, _job(engine), memory)
    assert not board.remembered
    again, board = _measure(engine, _job(engine), memory)
    assert again is first
    assert board.remembered
    other, board = _measure(engine, _job(engine, ratios=(1, 2)), memory)
    assert not board.remembered
    assert other is not first


def test_a_truth_makes_a_sweep_against_it(engine):
    record, _ = _measure(engine, _job(engine, {"dna": _volume(1)}), SweepMemory())
    assert record.report.reference == "truth"
    assert record.report.baselines.trivial["dna"]


def test_what_is_stopped_keeps_what_is_done_and_is_not_remembered(engine):
    memory, meter, board = SweepMemory(), Meter(), Board()
    original = board.post

    def post(record):
        original(record)
        if len(record.report.ratios) == 2:
            meter.stop()

    board.post = post
    with pytest.raises(Stopped):
        measure_plan(engine, _job(engine), memory, board, meter)
    kept = board.read()
    assert [one.ratio for one in kept.report.ratios] == [1, 2]
    assert not kept.report.finished
    assert len(memory) == 0


def test_a_stop_while_pictures_are_drawn_keeps_the_scores(engine, monkeypatch):
    meter, drawn = Meter(), []
    original = Gallery._coloured

    def stop(gallery, *arguments):
        drawn.append(1)
        if meter.share == 1.0:
            meter.stop()
        return original(gallery, *arguments)

    monkeypatch.setattr(Gallery, "_coloured", stop)
    board = Board()
    with pytest.raises(Stopped):
        measure_plan(engine, _job(engine), SweepMemory(), board, meter)
    kept = board.read()
    assert [one.ratio for one in kept.report.ratios] == [1, 2, 4]
    assert kept.gallery is None, "half a page is none"


def test_a_stop_while_the_stack_is_read_ends_it(engine):
    meter = Meter()
    meter.stop()
    with pytest.raises(Stopped):
        _measure(engine, _job(engine), SweepMemory(), meter)


def test_a_board_is_read_while_it_is_written():
    board = Board()
    threads = [threading.Thread(target=board.post, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert board.read() in range(8)
