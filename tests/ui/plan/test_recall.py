"""What was measured of which choice is found again, and nothing is kept alive."""

import gc

import numpy as np

from fake_engine import card
from napari_sparsessp.ui.plan import recall as recalling
from napari_sparsessp.ui.plan.choice import PlanChoice
from napari_sparsessp.ui.plan.recall import Imprint, Recall, SweepMemory, SweepRecord
from napari_sparsessp.ui.predict.outlook import Choice
from swept import report_of

CHOICE = PlanChoice(Choice("key", card=card()))


def _recall():
    memory = SweepMemory()
    memory.remember("abc", SweepRecord(report_of({"dna": (0.6, 0.5)})))
    return Recall(memory)


def test_the_same_choice_of_the_same_arrays_is_found():
    recall, array = _recall(), np.zeros(3)
    recall.note(Imprint(CHOICE, [array]), "abc")
    assert recall.find(CHOICE, [array]) is recall.memory.recall("abc")
    assert recall.find(CHOICE, [array.copy()]) is None, "another image"
    assert recall.find(CHOICE, [array, array]) is None, "another truth"
    other = PlanChoice(CHOICE.stack, ratios=(1, 2))
    assert recall.find(other, [array]) is None
    recall.forget()
    assert recall.find(CHOICE, [array]) is None


def test_the_time_point_on_screen_does_not_hide_what_was_measured():
    recall, array = _recall(), np.zeros(3)
    recall.note(Imprint(PlanChoice(CHOICE.stack, time=2), [array]), "abc")
    assert recall.find(CHOICE, [array]) is not None


def test_an_image_that_is_gone_is_let_go():
    import weakref

    recall, array = _recall(), np.zeros(3)
    gone = weakref.ref(array)
    recall.note(Imprint(CHOICE, [array]), "abc")
    del array
    gc.collect()
    assert gone() is None


def test_the_sweeps_used_longest_ago_are_forgotten_first(monkeypatch):
    monkeypatch.setattr(recalling, "MOST", 2)
    memory = SweepMemory()
    record = SweepRecord(report_of({"dna": (0.6, 0.5)}))
    memory.remember("a", record)
    memory.remember("b", record)
    assert memory.recall("a") is record
    memory.remember("c", record)
    assert list(memory) == ["a", "c"]


def test_an_unfinished_sweep_is_not_remembered():
    memory = SweepMemory()
    memory.remember("a", SweepRecord(report_of({"dna": (0.6,)}, finished=False)))
    assert memory.recall("a") is None
