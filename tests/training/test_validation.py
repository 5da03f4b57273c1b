"""Validation's R² is the R² of what the network says about the whole stack."""

import numpy as np
import pytest
import torch

from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.training.validation import Validator


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
