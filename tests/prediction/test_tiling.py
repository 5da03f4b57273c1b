"""Tiles cover the volume once, and see what they need."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sparsessp.networks.config import Padding
from napari_sparsessp.prediction.tiling import (
    SLACK,
    TileGrid,
    TileSize,
    counted,
    cut_tiles,
    next_tile,
    spread_starts,
    window_starts,
)

shapes = st.tuples(st.integers(1, 70), st.integers(1, 150), st.integers(1, 150))
cores = st.tuples(st.integers(1, 90), st.integers(1, 90))


@given(shapes, cores, st.floats(0, 0.9))
def test_cores_partition_the_volume(shape, core, overlap):
    """Every voxel lies in exactly one core, whatever the shape."""
    count = np.zeros(shape, np.int32)
    for tile in cut_tiles(shape, TileSize(16, core, halo=24, overlap=overlap)):
        count[tuple(slice(*span) for span in tile.core)] += 1
    assert (count == 1).all()


@given(shapes, cores)
def test_a_tile_reads_the_halo_of_all_it_keeps(shape, core):
    """Up to the image's edge, what is kept has its whole halo around it."""
    size = TileSize(16, core, stride=8, halo=20, fade=4)
    for tile in cut_tiles(shape, size):
        for keep, read, length, own in (
            (tile.keep_y, tile.read_y, shape[1], tile.core[1]),
            (tile.keep_x, tile.read_x, shape[2], tile.core[2]),
        ):
            assert read[0] <= max(0, keep[0] - size.halo)
            assert read[1] >= min(length, keep[1] + size.halo)
            assert read[0] % size.stride == 0
            assert (read[1] - read[0]) % size.stride == 0
            assert keep[0] <= own[0] < own[1] <= keep[1]


@given(shapes, cores, st.integers(1, 90), st.booleans(), st.sampled_from([8, 32]))
def test_tiles_of_a_padded_stack_start_on_its_strides(
    shape, core, depth, centred, multiple
):
    """Each reads its halo, up to the padding's edge, and each voxel has one owner."""
    padding = Padding(multiple, 8, "reflect", centred)
    size = TileSize(8, core, stride=8, halo=20, core_depth=depth)
    spans = [
        padding.span(extent, n)
        for extent, n in zip(shape, (8, multiple, multiple), strict=True)
    ]
    coarse = np.zeros([(stop - start) // 8 for start, stop in spans], int)
    voxels = np.zeros(shape, int)
    for tile in TileGrid(shape, size, padding=padding).tiles:
        reads = (tile.z, tile.read_y, tile.read_x)
        for read, keep, (first, last) in zip(reads, tile.box, spans, strict=True):
            assert (read[0] - first) % 8 == (read[1] - read[0]) % 8 == 0
            assert first <= read[0] <= max(first, keep.start - size.halo)
            assert min(last, keep.stop + size.halo) <= read[1] <= last
        voxels[tile.box] += 1
        part = tuple(
            slice((a - first) // 8, (b - first) // 8)
            for (a, b), (first, _) in zip(reads, spans, strict=True)
        )
        coarse[part] += counted(tile, shape, 8)
    assert (voxels == 1).all()
    assert (coarse == 1).all()


@given(st.integers(1, 300), st.integers(1, 40), st.floats(0, 0.9))
def test_windows_cover_all_planes(length, window, overlap):
    """The windows leave no plane out and end with the volume."""
    starts = window_starts(length, window, overlap)
    seen = set()
    for start in starts:
        seen.update(range(start, start + window))
    assert seen >= set(range(length))
    assert starts == sorted(set(starts))
    if length > window:
        assert starts[0] == 0
        assert starts[-1] == length - window


def test_windows_along_z():
    """65 planes, window 32, half overlap: four in the paper (models.md 5.3)."""
    assert window_starts(65, 32, 0.5) == [0, 16, 32, 33]
    assert spread_starts(65, 32, 0.5) == [0, 16, 33]  # none for a rest of one plane
    assert window_starts(5, 32, 0.5) == [-13]  # as much before as behind


@given(st.integers(33, 300), st.sampled_from([1, 2, 4, 8]), st.floats(0, 0.9))
def test_windows_are_as_even_and_as_close_as_asked(length, step, overlap):
    starts = spread_starts(length, 32, overlap, step)
    gaps = [after - before for before, after in pairwise(starts)]
    assert max(gaps) - min(gaps) <= step
    asked = max(step, 32 * (1 - overlap) + step / 2)  # it is rounded to steps
    assert max(gaps) <= asked * (1 + SLACK) + step
    assert len(starts) <= len(window_starts(length, 32, overlap, step))


@pytest.mark.parametrize("starting", [window_starts, spread_starts])
@given(st.integers(1, 300), st.sampled_from([1, 2, 4, 8]), st.floats(0, 0.9))
def test_windows_start_on_measured_planes(starting, length, ratio, overlap):
    """A network that takes every r-th plane gets those that were measured."""
    window = 32
    starts = starting(length, window, overlap, ratio)
    assert all(start % ratio == 0 for start in starts)
    assert starts == sorted(set(starts))
    seen = {plane for start in starts for plane in range(start, start + window)}
    assert seen >= set(range(length))
    assert starts[-1] < max(length - window, 0) + ratio


TILES = cut_tiles((48, 128, 128), TileSize(16, (32, 32), halo=8))
ALL = list(range(len(TILES)))


def test_the_tile_on_screen_is_next():
    """The view's own plane and field decide; without one, first come first served."""
    assert next_tile([5, 2, 9], TILES, None) == 5
    box = (slice(40, 41), slice(70, 90), slice(100, 120))
    tile = TILES[next_tile(ALL, TILES, box)]
    for (start, stop), seen in zip(tile.core, box, strict=True):
        assert start < seen.stop
        assert seen.start < stop


def test_all_tiles_on_screen_come_before_the_rest():
    """Tiles are taken by their distance from the view."""
    box = (slice(0, 1), slice(0, 128), slice(0, 40))
    waiting, gaps = list(ALL), []
    while waiting:
        index = next_tile(waiting, TILES, box)
        waiting.remove(index)
        core = TILES[index].core
        gaps.append(core[0][0] == 0 and core[2][0] < 40)
    assert gaps == sorted(gaps, reverse=True)
