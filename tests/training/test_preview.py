"""One patch that is kept back, at every validation the same."""

import numpy as np
import pytest
import torch

from napari_sparsessp.networks import build_network
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.training.validation import preview_patch


@pytest.fixture
def patch(pair, plain, tiny):
    return preview_patch([pair], plain, ("dna", "own"), "cpu", tiny.stride)


def test_the_patch_stays_and_the_prediction_follows_the_network(patch, tiny):
    one, other = (build_network(tiny).eval() for _ in range(2))
    first, again, second = patch(one), patch(one), patch(other)
    assert first.structures == ("dna", "own")
    assert first.light.shape == (8, 16, 16)
    assert first.prediction.shape == first.truth.shape == (2, 8, 16, 16)
    np.testing.assert_array_equal(first.light, second.light)
    np.testing.assert_array_equal(first.truth, second.truth)
    np.testing.assert_array_equal(first.prediction, again.prediction)
    assert not np.allclose(first.prediction, second.prediction)


def test_the_truth_belongs_to_the_light(patch, tiny):
    """The pair's targets are its look, and its look turned round."""
    shown = patch(build_network(tiny).eval())
    np.testing.assert_allclose(shown.truth[0], shown.light, atol=1e-3)
    np.testing.assert_allclose(shown.truth[1], -shown.light, atol=1e-3)


def test_what_has_no_label_is_nan(plain, tiny):
    look = np.random.default_rng(0).normal(size=(1, 12, 16, 16)).astype(np.float16)
    mask = np.ones((12, 16, 16), np.uint8)
    mask[:, :, 8:] = 0
    pair = Pair(look, [look[0]], (0,), [mask])
    shown = preview_patch([pair], plain, ("dna",), "cpu", 4)(build_network(tiny).eval())
    assert np.isfinite(shown.truth[..., :8]).all()
    assert np.isnan(shown.truth[..., 8:]).all()


def test_of_stacks_too_small_for_the_network_there_is_none(plain):
    look = np.zeros((1, 8, 6, 6), np.float16)
    assert preview_patch([Pair(look, [look[0]])], plain, ("dna",), "cpu", 8) is None
    assert preview_patch([], plain, ("dna",), "cpu", 8) is None


def test_the_networks_mode_is_left_alone(patch, tiny):
    network = build_network(tiny).eval()
    patch(network)
    assert not network.training
    assert torch.is_grad_enabled()
