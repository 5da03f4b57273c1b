"""Contrast limits while tiles come in; a flat truth beside its prediction."""

import numpy as np
import pytest

layers = pytest.importorskip("napari.layers")

from napari_sparsessp.ui.layers.contrast import (  # noqa: E402
    ContrastEstimate,
    ContrastLink,
    FlatTruth,
    lies_flat,
    limits_of,
)
from napari_sparsessp.ui.layers.metadata import KEY  # noqa: E402


def test_what_is_still_to_come_stays_black_and_an_uncertainty_begins_at_zero():
    estimate = ContrastEstimate(("dna", "dna_std"), ["dna_std"])
    assert estimate.limits(complete=True) == {}
    tile = np.full((2, 4, 8, 8), -1, np.float32) + np.eye(8, dtype="f4")
    tile[1] += 3
    tile[:, :2] = np.nan  # masked voxels do not count
    estimate.add(tile)
    assert estimate.limits(complete=False)["dna"][0] >= 0
    limits = estimate.limits(complete=True)
    assert limits["dna"][0] < 0
    assert limits["dna_std"][0] == 0
    assert np.isfinite(list(limits.values())).all()


def test_limits_leave_outliers_out_and_never_meet():
    rng = np.random.default_rng(0)
    tile = rng.normal(size=(2, 16, 64, 64)).astype(np.float32)
    tile[0, 0, 0, 0] = 1e6
    tile[1] = 0
    estimate = ContrastEstimate(("a", "b"))
    estimate.add(tile)
    limits = estimate.limits(complete=True)
    assert limits["a"][1] < 10
    assert limits["b"][0] < limits["b"][1]


def test_structures_that_are_still_to_come_do_not_count():
    tile = np.stack([np.full((4, 8, 8), 5.0), np.zeros((4, 8, 8))]).astype("f4")
    estimate = ContrastEstimate(("a", "b"))
    estimate.add(tile, ("a",))
    assert set(estimate.limits(complete=False)) == {"a"}
    tile[1] = 7
    estimate.add(tile, ("b",))
    limits = estimate.limits(complete=True)
    assert limits["a"][0] == 5
    assert limits["b"][0] == 7  # the zeros of the first pass were never taken


def test_limits_of_a_stack():
    low, high = limits_of(np.arange(4 * 9 * 9, dtype=float).reshape(4, 9, 9))
    assert 0 < low < high < 4 * 81


def image(planes, **place):
    return layers.Image(np.zeros((planes, 4, 5), np.float32), **place)


@pytest.fixture
def prediction():
    return image(1, scale=(13, 0.3, 0.3), translate=(6, 1, 1))


def test_a_projection_is_seen_at_every_plane_of_its_prediction(prediction):
    truth = image(1)
    assert lies_flat(truth, prediction)
    spread = FlatTruth(truth, prediction)
    assert truth.extent.world[:, 0] == pytest.approx(prediction.extent.world[:, 0])
    assert tuple(truth.scale[1:]) == (1, 1), "y and x are the user's"
    spread.undo()
    assert tuple(truth.scale) == (1, 1, 1)
    assert tuple(truth.translate) == (0, 0, 0)


def test_what_has_depth_or_lies_right_is_left_alone(prediction):
    assert not lies_flat(image(13), prediction)
    assert not lies_flat(image(1), image(13))
    assert not lies_flat(image(1, scale=(13, 1, 1), translate=(6, 0, 0)), prediction)


@pytest.fixture
def pair():
    """A truth in counts and a pale prediction of it, in units of the z-scored truth."""
    rng = np.random.default_rng(0)
    sharp = rng.normal(size=(9, 64, 64))
    done = {KEY: {"role": "prediction", "structure": "dna", "state": "done"}}
    pale = layers.Image(
        (0.1 * sharp).astype("f4"), contrast_limits=(0, 3), metadata=done
    )
    return layers.Image(500 + 40 * sharp, contrast_limits=(400, 600)), pale


def test_linked_limits_hold_the_robust_ranges_of_truth_and_prediction(pair):
    truth, pale = pair
    link = ContrastLink(truth, [pale], (500.0, 40.0))
    for layer in pair:
        low, high = np.percentile(layer.data, (1, 99))
        assert layer.contrast_limits[0] <= low + 0.1 * layer.data.std()
        assert layer.contrast_limits[1] >= high - 0.1 * layer.data.std()
    low, high = ((end - 500) / 40 for end in truth.contrast_limits)
    assert (low, high) == pytest.approx(pale.contrast_limits)
    assert high < 3
    link.undo()
    assert tuple(pale.contrast_limits) == (0, 3)
    assert tuple(truth.contrast_limits) == (400, 600)


def test_limits_of_the_user_are_followed_and_stay(pair):
    truth, pale = pair
    link = ContrastLink(truth, [pale], (500.0, 40.0))
    pale.contrast_limits = (-1, 2)
    assert tuple(truth.contrast_limits) == (460, 580)
    link.undo()
    assert tuple(pale.contrast_limits) == (-1, 2)


def test_a_prediction_that_still_fills_up_sets_the_limits_of_its_truth(pair):
    truth, pale = pair
    pale.metadata[KEY]["state"] = "running"
    link = ContrastLink(truth, [pale], (500.0, 40.0))
    assert tuple(truth.contrast_limits) == (500, 620)
    pale.contrast_limits = (0, 1)
    link.undo()
    assert tuple(pale.contrast_limits) == (0, 1)
