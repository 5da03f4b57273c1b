"""Columns: shares add up to one, and the result is that of the running mean."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.prediction.blending import ColumnLayout, RollingBlend, RunningMean
from napari_sparsessp.prediction.tiling import TileSize, cut_tiles

SHAPES = st.tuples(st.integers(1, 30), st.integers(1, 70), st.integers(1, 70))
SIZES = st.builds(
    TileSize,
    depth=st.sampled_from([1, 4, 8]),
    core=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    stride=st.sampled_from([1, 4, 8]),
    halo=st.integers(0, 9),
    fade=st.integers(0, 9),
    overlap=st.sampled_from([0, 0.25, 0.5, 0.75]),
)


def _said(tile, channels, rng):
    return rng.normal(5, 1, (channels, *(p.stop - p.start for p in tile.box))).astype(
        np.float32
    )


def _columns(layout, said, channels):
    """What each column keeps, as it comes out of its windows."""
    kept = {}
    for column in layout.columns:
        rolling = RollingBlend(layout, column, channels)
        planes = []
        for window, tile in enumerate(column.tiles):
            rolling.add(tile, range(channels), said[tile])
            for first, part in rolling.final(window):
                assert first == sum(one.shape[1] for one in planes)
                planes.append(part.copy())
        kept[column.index] = np.concatenate(planes, axis=1)
    return kept


def _blended(layout, kept, channels):
    result = np.full((channels, *layout.shape), np.nan, np.float32)
    for column in layout.columns:
        (top, bottom), (left, right) = column.core
        result[:, :, top:bottom, left:right] = layout.blended(
            column,
            (top, bottom),
            lambda one, y, x: kept[one.index][:, :, y, x],
            (channels, layout.shape[0]),
        )
    return result


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, size=SIZES)
def test_the_shares_of_all_tiles_add_up_to_one_everywhere(shape, size):
    tiles = cut_tiles(shape, size)
    layout = ColumnLayout(tiles, shape)
    total = np.zeros(shape)
    for column in layout.columns:
        along_y, along_x = layout.lateral(column)
        for tile in column.tiles:
            share = layout.along_z(tile)[:, None, None] * along_y[:, None] * along_x
            assert (share > 0).all()
            total[tile.box] += share
    np.testing.assert_allclose(total, 1, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, size=SIZES, seed=st.integers(0, 99))
def test_columns_give_what_the_running_mean_gives(shape, size, seed):
    rng = np.random.default_rng(seed)
    tiles = cut_tiles(shape, size)
    layout = ColumnLayout(tiles, shape)
    said = {tile: _said(tile, 2, rng) for tile in tiles}
    buffer = np.zeros((2, *shape), np.float32)
    mean = RunningMean(buffer)
    for index in rng.permutation(len(tiles)):
        mean.blend(tiles[index], mean.begin(tiles[index]), said[tiles[index]])
    blended = _blended(layout, _columns(layout, said, 2), 2)
    np.testing.assert_allclose(blended, buffer, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, size=SIZES, data=st.data())
def test_a_column_taken_up_again_gives_the_same_bits(shape, size, data):
    """From any plane that was final once."""
    layout = ColumnLayout(cut_tiles(shape, size), shape)
    column = data.draw(st.sampled_from(layout.columns))
    rng = np.random.default_rng(3)
    said = {tile: _said(tile, 1, rng) for tile in column.tiles}
    whole, finals = [], [0]
    rolling = RollingBlend(layout, column, 1)
    for window, tile in enumerate(column.tiles):
        rolling.add(tile, [0], said[tile])
        whole += [part.copy() for _, part in rolling.final(window)]
        finals.append(column.final_planes(window))
    planes = data.draw(st.sampled_from(finals))
    again = [np.concatenate(whole, axis=1)[:, :planes]]
    rolling = RollingBlend(layout, column, 1, planes)
    for window in range(column.first_window(planes), len(column.tiles)):
        rolling.add(column.tiles[window], [0], said[column.tiles[window]])
        again += [part.copy() for _, part in rolling.final(window)]
    np.testing.assert_array_equal(
        np.concatenate(again, axis=1), np.concatenate(whole, axis=1)
    )


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, size=SIZES)
def test_neighbours_are_those_that_share_voxels(shape, size):
    layout = ColumnLayout(cut_tiles(shape, size), shape)

    def meet(one, other):
        return all(
            max(a[0], b[0]) < min(a[1], b[1]) for a, b in zip(one, other, strict=True)
        )

    for column in layout.columns:
        assert layout.touching(column) == tuple(
            one for one in layout.columns if meet(one.keep, column.core)
        )
        assert layout.touched(column) == tuple(
            one for one in layout.columns if meet(column.keep, one.core)
        )
