"""Validation's R² is the R² of what the network says about the whole stack."""

import numpy as np
import pytest
import torch

from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.training.validation import Validator, preview_patch


class Echo(torch.nn.Module):
    """Says of each structure what it sees, of the second the negative."""

    def __init__(self, **changes):
        super().__init__()
        self.config = NetworkConfig(outputs=2, depth=8, **changes)

    def forward(self, x, structures):
        signs = torch.tensor([1.0, -1.0])[list(structures)]
        return x[:, :1] * signs[None, :, None, None, None]


def look(depth):
    return np.random.default_rng(0).normal(size=(1, depth, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("depth", [5, 8, 19])
def test_every_plane_counts_once(depth):
    """Thin stacks, and those that need several windows: a perfect network gets 1."""
    stack = look(depth)
    pair = Pair(stack, [stack[0], -stack[0]])
    found = Validator([pair], ("dna", "own"), (1,))(Echo())
    assert found["r2"] == pytest.approx(1)
    assert found["scores"]["own"]["1"] == pytest.approx(1)


def test_planes_that_were_not_measured_are_not_seen():
    stack = look(16)
    found = Validator([Pair(stack, stack, (0,))], ("dna", "own"), (1, 4))(Echo())
    assert found["scores"]["dna"]["1"] > 0.99
    assert found["scores"]["dna"]["4"] < 0.7
    assert list(found["scores"]) == ["dna"]


def test_masked_voxels_and_projections():
    stack = look(8)
    wrong = stack[0].copy()
    wrong[:, :16] = 7
    mask = np.zeros((1, 32, 32), np.uint8)
    mask[:, 16:] = 1
    flat = stack[0].max(0, keepdims=True)
    pair = Pair(stack, [wrong, -flat], (0, 1), [mask, None])
    found = Validator([pair], ("dna", "own"), (1,), projection="max")(Echo())
    assert found["scores"]["dna"]["1"] == pytest.approx(1)
    assert found["scores"]["own"]["1"] < 0  # the maximum of the negative is another
    pair = Pair(stack, [stack[0].mean(0, keepdims=True)], (0,))
    found = Validator([pair], ("dna", "own"), (1,))(Echo())
    assert found["r2"] == pytest.approx(1)


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
    assert not one.training
    assert torch.is_grad_enabled()
    # The pair's targets are its look, and its look turned round.
    np.testing.assert_allclose(first.truth[0], first.light, atol=1e-3)
    np.testing.assert_allclose(first.truth[1], -first.light, atol=1e-3)


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
