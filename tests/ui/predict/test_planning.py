"""The time of a prediction is estimated from that of earlier ones."""

from types import SimpleNamespace

import pytest

from fake_engine import card
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.engine import Speed
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.predict.planning import (
    FormState,
    SpeedEstimate,
    evaluations,
    is_made_as,
    work_of,
    work_text,
)
from napari_sparsessp.volume import Volume


def plan(shape=(8, 96, 128), axes="ZYX", **request):
    import numpy as np

    volume = Volume(np.zeros(shape, np.uint8), axes, (1.16, 0.29, 0.29))
    return plan_prediction(card(), volume, PredictionRequest(**request))


def report(total, load=0.0):
    return SimpleNamespace(seconds=SimpleNamespace(total=total, load=load))


def test_the_same_again_takes_as_long_without_loading():
    speed = SpeedEstimate()
    speed.note_run(plan(), report(5.0, load=3.0))
    assert speed.seconds(plan()) == pytest.approx(2.0)


@pytest.mark.parametrize("option", ["tta", "uncertainty"])
def test_tta_costs_eight_times_and_uncertainty_beside_it_nothing(option):
    speed = SpeedEstimate()
    speed.note_run(plan(), report(2.0))
    assert evaluations(plan(**{option: True})) == 8
    both = plan(tta=True, uncertainty=True)
    assert speed.seconds(both) == pytest.approx(16.0)
    assert work_text(both).endswith("8× slower")
    assert work_text(both, 16.0).endswith("· 16 s")


def test_time_points_add_up():
    assert work_of(plan((3, 8, 96, 128), "TZYX")) == pytest.approx(3 * work_of(plan()))


def test_another_device_has_another_speed():
    speed = SpeedEstimate()
    speed.note_run(plan(), report(2.0))
    assert speed.seconds(plan(device="cpu")) is None


def test_a_measured_tile_counts_until_a_run_is_known():
    speed = SpeedEstimate()
    speed.note_speed(plan(), Speed(3.0))
    assert speed.seconds(plan()) == pytest.approx(3.0 * work_of(plan()))
    speed.note_run(plan(), report(2.0))
    speed.note_speed(plan(), Speed(3.0))
    assert speed.seconds(plan()) == pytest.approx(2.0)


def test_a_model_that_never_ran_is_estimated_by_its_multiply_adds():
    speed, other = SpeedEstimate(), card(id="other", topology="2d")
    assert speed.seconds(plan(), other) is None
    speed.note_run(plan(), report(2.0))
    assert speed.seconds(plan(), other) is None
    speed.note_speed(plan(), Speed(None, {"colony-3to2d": 40.0, "other": 10.0}))
    assert speed.seconds(plan(), other) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("choice", "same"),
    [
        ({}, True),
        ({"channel": 1}, False),
        ({"simulate": True}, False),
        ({"voxel_size": (1.0, 0.3, 0.3)}, False),
        ({"tta": True}, False),
        ({"layer": "another"}, False),
        ({"device": "cpu"}, True),
    ],
)
def test_a_layer_is_of_the_same_run_where_nothing_that_changes_it_differs(choice, same):
    about = {"source_id": "light", "request": {"model": card().id}, "ratio": 4}
    layer = SimpleNamespace(metadata={KEY: about})
    state = FormState(**{"layer": "light", "card": card(), **choice})
    assert is_made_as(layer, state, 4.0) == same
    assert not is_made_as(layer, state, 8.0)
