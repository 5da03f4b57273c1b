"""The time of one prediction foretells that of the next."""

from types import SimpleNamespace

import pytest

from fake_engine import card
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.predict.form import work_text
from napari_sparsessp.ui.predict.planning import Pace, turns_of, work_of
from napari_sparsessp.volume import Volume


def plan(shape=(8, 96, 128), axes="ZYX", **request):
    import numpy as np

    volume = Volume(np.zeros(shape, np.uint8), axes, (1.16, 0.29, 0.29))
    return plan_prediction(card(), volume, PredictionRequest(**request))


def report(total, load=0.0):
    return SimpleNamespace(seconds=SimpleNamespace(total=total, load=load))


def test_nothing_is_foretold_before_the_first_run():
    assert Pace().expected(plan()) is None
    assert work_text(plan()).endswith("32 × 96 × 128 voxels")


def test_the_same_again_takes_as_long_without_loading():
    pace = Pace()
    pace.learn(plan(), report(5.0, load=3.0))
    assert pace.expected(plan()) == pytest.approx(2.0)


@pytest.mark.parametrize("option", ["tta", "uncertainty"])
def test_turns_cost_eight_times_and_both_cost_no_more(option):
    pace = Pace()
    pace.learn(plan(), report(2.0))
    assert turns_of(plan(**{option: True})) == 8
    both = plan(tta=True, uncertainty=True)
    assert pace.expected(both) == pytest.approx(16.0)
    assert work_text(both).endswith("8× slower")
    assert work_text(both, 16.0).endswith("· 16 s")


def test_time_points_add_up():
    assert work_of(plan((3, 8, 96, 128), "TZYX")) == pytest.approx(3 * work_of(plan()))


def test_another_device_has_another_pace():
    pace = Pace()
    pace.learn(plan(), report(2.0))
    assert pace.expected(plan(device="cpu")) is None


def test_a_rehearsed_rate_is_only_a_guess():
    pace = Pace()
    pace.guess_rate(plan(), 3.0)
    assert pace.expected(plan()) == pytest.approx(3.0 * work_of(plan()))
    pace.learn(plan(), report(2.0))
    pace.guess_rate(plan(), 3.0)
    assert pace.expected(plan()) == pytest.approx(2.0)


def test_a_model_that_never_ran_is_foretold_by_its_multiply_adds():
    pace, other = Pace(), card(id="other", topology="2d")
    assert pace.expected(plan(), other) is None
    pace.learn(plan(), report(2.0))
    assert pace.expected(plan(), other) is None
    pace.learn_costs({"colony-3to2d": 40.0, "other": 10.0})
    assert pace.expected(plan(), other) == pytest.approx(0.5)
