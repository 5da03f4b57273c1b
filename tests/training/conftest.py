"""A tiny network and stacks that it can learn from."""

import numpy as np
import pytest

from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.training.patches import Pair, PatchRecipe

TINY = NetworkConfig(
    outputs=2,
    depth=8,
    encoder_widths=(4, 8),
    encoder_blocks=(1, 1),
    decoder_widths=(8, 8, 12),
    folded_width=8,
    standardised=True,
)
PLAIN = PatchRecipe(
    depth=8, height=16, width=16, ratios=(1,), noise=None, gain=0, tilt=0, clutter=0,
    thin=0,
)  # fmt: skip


@pytest.fixture(scope="session")
def tiny():
    return TINY


@pytest.fixture(scope="session")
def plain():
    """A recipe that changes nothing but place and turn."""
    return PLAIN


@pytest.fixture(scope="session")
def pair():
    """A look and two targets that follow from it."""
    rng = np.random.default_rng(0)
    look = rng.normal(size=(1, 12, 40, 40)).astype(np.float16)
    return Pair(look, np.concatenate([look, -look]))
