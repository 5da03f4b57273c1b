"""Blending is a weighted mean at every moment, and gives the same bits in any parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.prediction.blending import (
    Projection,
    WindowBlend,
    gaussian_ramp,
    gaussian_window,
)
from napari_sparsessp.prediction.tiling import TileGrid, TileSize

depths = st.integers(1, 40)
sizes = st.builds(
    TileSize,
    depth=st.sampled_from([1, 4, 8]),
    core=st.just((4, 4)),
    overlap=st.sampled_from([0, 0.25, 0.5, 0.75]),
    core_depth=st.sampled_from([None, None, 8, 16]),
)


def _column(depth, size, seed=1):
    """The windows of a column of one tile, and what is predicted in each."""
    tiles = TileGrid((depth, 3, 2), size).tiles
    chance = np.random.default_rng(seed)
    shapes = [[part.stop - part.start for part in tile.box] for tile in tiles]
    said = [chance.normal(5, 1, (2, *shape)).astype(np.float32) for shape in shapes]
    return tiles, said


def _blended(tiles, said, depth, order, **kind):
    blend = WindowBlend(np.zeros((2, depth, 3, 2), np.float32), **kind)
    for index in order:
        blend.add(tiles[index], range(2), said[index])
    return blend.values


@settings(max_examples=20, deadline=None)  # the first one loads torch
@given(depths, sizes, st.floats(-100, 100))
def test_a_constant_stays_that_constant(depth, size, value):
    """Where all windows agree, the blend is what they say."""
    tiles, said = _column(depth, size)
    said = [np.full_like(one, value) for one in said]
    blended = _blended(tiles, said, depth, range(len(tiles)))
    np.testing.assert_allclose(blended, value, rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(depths, sizes, st.randoms(use_true_random=False))
def test_the_blend_is_the_weighted_mean_in_whatever_order(depth, size, chance):
    tiles, said = _column(depth, size)
    order = list(range(len(tiles)))
    chance.shuffle(order)
    total, weights = np.zeros((2, depth, 3, 2)), np.zeros((depth, 1, 1))
    for tile, one in zip(tiles, said, strict=True):
        first, last = tile.keep_z
        along = gaussian_window(tile.z[1] - tile.z[0])
        along = along[first - tile.z[0] :][: last - first]
        total[:, first:last] += along[:, None, None] * one
        weights[first:last] += along[:, None, None]
    blended = _blended(tiles, said, depth, order)
    np.testing.assert_allclose(blended, total / weights, atol=2e-5)


@given(st.integers(8, 30), st.integers(1, 8), st.randoms(use_true_random=False))
def test_windows_with_steps_of_their_own_are_a_plain_mean(depth, advance, chance):
    """As published: the mean of all windows that cover a plane."""
    size = TileSize(8, (4, 4), advance=advance)
    tiles, said = _column(depth, size)
    assert tiles[-1].z == (depth - 8, depth)
    total, count = np.zeros((2, depth, 3, 2)), np.zeros((depth, 1, 1))
    for tile, one in zip(tiles, said, strict=True):
        total[:, slice(*tile.z)] += one
        count[slice(*tile.z)] += 1
    order = list(range(len(tiles)))
    chance.shuffle(order)
    blended = _blended(tiles, said, depth, order, even=True)
    np.testing.assert_allclose(blended, total / count, atol=2e-5)


@settings(max_examples=30, deadline=None)
@given(depths, sizes, st.integers(1, 9), st.data())
def test_a_stream_has_the_bits_of_the_whole_from_wherever_it_resumes(
    depth, size, step, data
):
    """Only planes that may still change are in memory; steps of planes are released."""
    tiles, said = _column(depth, size)
    grid = TileGrid((depth, 3, 2), size)
    whole = _blended(tiles, said, depth, range(len(tiles)))
    first = data.draw(st.integers(0, (depth - 1) // step)) * step
    planes = max(keep[1] - keep[0] // step * step for _, keep, _ in grid.windows)
    blend = WindowBlend(np.zeros((2, planes, 3, 2), np.float32), first)
    for window in range(grid.first_window(first), len(tiles)):
        blend.add(tiles[window], range(2), said[window])
        final = grid.final_planes(window)
        final = final if final == depth else final // step * step
        if final > blend.first:
            released = blend.values[:, : final - blend.first]
            np.testing.assert_array_equal(released, whole[:, blend.first : final])
            blend.drop(final)
    assert blend.first == depth


@pytest.mark.parametrize("how", ["mean", "max"])
def test_a_projection_takes_planes_as_they_come(how):
    values = np.random.default_rng(1).normal(0, 1, (2, 9, 4, 5)).astype(np.float32)
    values[0, 3:, 0, 0] = np.nan
    values[1, :, 2, 2] = np.nan
    projection = Projection(how)
    for first in (0, 2, 7):
        projection.add(values[:, first : {0: 2, 2: 7, 7: 9}[first]])
    known = np.nan_to_num(values, nan=-9 if how == "max" else 0)
    count = (~np.isnan(values)).sum(1)
    want = known.max(1) if how == "max" else known.sum(1) / np.maximum(count, 1)
    want = np.where(count, want, np.nan)
    np.testing.assert_allclose(projection.result()[:, 0], want, rtol=1e-5)


def test_gaussian_window_follows_the_paper():
    """σ = depth/8, symmetric, largest in the middle, positive everywhere."""
    window = gaussian_window(32)
    np.testing.assert_allclose(window, window[::-1])
    assert window[0] == pytest.approx(np.exp(-0.5 * (15.5 / 4) ** 2))
    assert window.argmax() in (15, 16)
    assert window.min() > 0


def test_ramps_that_meet_add_up_to_one():
    """The two sides of a cut share each pixel fully."""
    left = gaussian_ramp((0, 48), (0, 40))
    right = gaussian_ramp((32, 80), (40, 80))
    np.testing.assert_allclose(left[32:48] + right[:16], 1, atol=1e-3)
