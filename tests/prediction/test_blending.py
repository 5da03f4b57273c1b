"""Blending is a weighted mean, at every moment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.prediction.blending import (
    RunningMean,
    gaussian_ramp,
    gaussian_window,
    tile_weights,
)
from napari_sparsessp.prediction.tiling import TileSize, cut_tiles

SIZE = TileSize(8, (16, 24), stride=4, halo=8, fade=3)
SHAPE = (13, 41, 50)


def _box(tile):
    z, y, x = tile.box
    return slice(z.start, min(z.stop, SHAPE[0])), y, x


@given(st.floats(-100, 100))
@settings(deadline=None)  # the first one loads torch
def test_a_constant_stays_that_constant(value):
    """Where all tiles agree, the blend is what they say."""
    buffer = np.zeros((1, *SHAPE), np.float32)
    mean = RunningMean(buffer)
    for tile in cut_tiles(SHAPE, SIZE):
        shape = tile_weights(tile)[: SHAPE[0] - tile.box[0].start].shape
        tiled = np.full((1, *shape), value, np.float32)
        mean.blend(tile, mean.begin(tile), tiled)
    np.testing.assert_allclose(buffer, value, rtol=1e-5, atol=1e-5)


def test_order_of_tiles_does_not_matter():
    """Backwards gives the same volume."""
    rng = np.random.default_rng(1)
    tiles = cut_tiles(SHAPE, SIZE)
    parts = [
        rng.normal(size=(2, *[s.stop - s.start for s in _box(tile)])) for tile in tiles
    ]
    forward = np.zeros((2, *SHAPE), np.float32)
    backward = np.zeros((2, *SHAPE), np.float32)
    first, second = RunningMean(forward), RunningMean(backward)
    for tile, part in zip(tiles, parts, strict=True):
        first.blend(tile, first.begin(tile), part)
    for tile, part in reversed(list(zip(tiles, parts, strict=True))):
        second.blend(tile, second.begin(tile), part)
    np.testing.assert_allclose(forward, backward, atol=2e-6)


def test_weights_are_positive_everywhere():
    """No voxel is left without a prediction."""
    for tile in cut_tiles(SHAPE, SIZE):
        assert tile_weights(tile).min() > 0


def test_gaussian_window_follows_the_paper():
    """σ = depth/8, symmetric, largest in the middle."""
    window = gaussian_window(32)
    np.testing.assert_allclose(window, window[::-1])
    assert window[0] == pytest.approx(np.exp(-0.5 * (15.5 / 4) ** 2))
    assert window.argmax() in (15, 16)


def test_ramps_that_meet_add_up_to_one():
    """The two sides of a cut share each pixel fully."""
    left = gaussian_ramp((0, 48), (0, 40))
    right = gaussian_ramp((32, 80), (40, 80))
    np.testing.assert_allclose(left[32:48] + right[:16], 1, atol=1e-3)
