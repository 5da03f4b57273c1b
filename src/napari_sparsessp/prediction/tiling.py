"""Cut a volume into tiles whose predictions fit together without seams.

In z, windows of the network's depth overlap and are blended. In y and x a tile is a
core plus a halo that the network sees and that is thrown away, so that the prediction
does not depend on where the cuts are; neighbours cross-fade over a few pixels.
"""

import math
from dataclasses import dataclass
from itertools import product

Span = tuple[int, int]

SLACK = 0.1
"""Share by which windows may be farther apart than their overlap says."""


@dataclass(frozen=True)
class Tile:
    """One pass of the network.

    All spans are (start, stop) in voxels of the model's grid.

    Attributes
    ----------
    z : tuple of int
        The window; may reach beyond a volume that is thinner than it.
    keep_z : tuple of int
        The part of it inside the volume.
    read_y, read_x : tuple of int
        What the network sees.
    keep_y, keep_x : tuple of int
        What is kept of it: core and cross-fade.
    core : tuple of tuple of int
        (z, y, x) spans that belong to this tile alone; the cores of all tiles
        partition the volume.
    """

    z: Span
    keep_z: Span
    read_y: Span
    read_x: Span
    keep_y: Span
    keep_x: Span
    core: tuple[Span, Span, Span]

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """(z, y, x) voxels of the volume that the tile changes."""
        return slice(*self.keep_z), slice(*self.keep_y), slice(*self.keep_x)


@dataclass(frozen=True)
class TileSize:
    """How tiles are cut.

    Attributes
    ----------
    depth : int
        Planes of the network's window.
    core : tuple of int
        Largest (y, x) core; rounded down to a multiple of `stride`.
    stride : int
        Tiles start on multiples of this, so that strided convolutions agree.
    halo : int
        Pixels that the network sees around what is kept: its reach.
    fade : int
        Pixels on each side of a cut over which neighbours cross-fade.
    overlap : float
        Share of the z window that neighbouring windows have in common.
    step : int
        Windows start on multiples of this: r, where a network takes every r-th plane,
        so that it gets measured ones.
    """

    depth: int
    core: tuple[int, int]
    stride: int = 8
    halo: int = 96
    fade: int = 8
    overlap: float = 0.5
    step: int = 1


def window_starts(length: int, window: int, overlap: float, step: int = 1) -> list[int]:
    """First planes of the windows that cover `length` planes.

    A volume thinner than the window gets one window around its middle; the last
    window is shifted to end with the volume, or less than `step` planes after it.
    """
    if length <= window:
        return [-((window - length) // 2 // step * step)]
    advance = max(1, round(window * (1 - overlap) / step)) * step
    last = -(-(length - window) // step) * step
    return [*range(0, last, advance), last]


def spread_starts(length: int, window: int, overlap: float, step: int = 1) -> list[int]:
    """First planes of as few windows as `overlap` needs, spread evenly.

    `window_starts` gives 65 planes a fourth window for the one plane that three leave
    over; here windows may move apart by `SLACK` instead.
    """
    if length <= window:
        return window_starts(length, window, overlap, step)
    last = -(-(length - window) // step)
    advance = max(1, round(window * (1 - overlap) / step)) * (1 + SLACK)
    gaps = math.ceil(last / min(max(1, window // step), advance))
    return [last * number // gaps * step for number in range(gaps + 1)]


def _z_spans(depth: int, size: TileSize) -> list[tuple[Span, Span]]:
    """Windows with their cores, which meet half-way between window centres."""
    starts = spread_starts(depth, size.depth, size.overlap, size.step)
    cuts = [0]
    cuts += [
        (a + b + size.depth) // 2 for a, b in zip(starts, starts[1:], strict=False)
    ]
    cuts.append(depth)
    return [
        ((start, start + size.depth), (cuts[i], cuts[i + 1]))
        for i, start in enumerate(starts)
    ]


def _lateral_spans(
    length: int, core: int, size: TileSize
) -> list[tuple[Span, Span, Span]]:
    """(core, keep, read) along y or x, cores of about equal size."""
    stride = size.stride
    core = max(stride, core // stride * stride)
    count = -(-length // core)
    step = -(-length // count)
    step = -(-step // stride) * stride
    halo = -(-(size.halo + size.fade) // stride) * stride
    padded = -(-length // stride) * stride
    spans = []
    for start in range(0, length, step):
        stop = min(start + step, length)
        keep = (
            max(0, start - size.fade) if start else 0,
            min(length, stop + size.fade),
        )
        read = (max(0, start - halo), min(padded, start + step + halo))
        spans.append(((start, stop), keep, read))
    return spans


def largest_spans(shape: tuple[int, int, int], size: TileSize) -> tuple[Span, Span]:
    """Largest (y, x) extents that a tile of a volume reads, and those that it keeps."""
    read, keep = [], []
    for length, core in zip(shape[1:], size.core, strict=True):
        spans = _lateral_spans(length, core, size)
        read.append(max(stop - start for _, _, (start, stop) in spans))
        keep.append(max(stop - start for _, (start, stop), _ in spans))
    return (read[0], read[1]), (keep[0], keep[1])


def cut_tiles(shape: tuple[int, int, int], size: TileSize) -> tuple[Tile, ...]:
    """Cut a volume into tiles.

    Parameters
    ----------
    shape : tuple of int
        (D, H, W) of the volume on the model's grid.
    size : TileSize

    Returns
    -------
    tuple of Tile
        Plane windows outermost.
    """
    rows = _lateral_spans(shape[1], size.core[0], size)
    columns = _lateral_spans(shape[2], size.core[1], size)
    return tuple(
        Tile(
            z,
            keep_z=(max(z[0], 0), min(z[1], shape[0])),
            read_y=row[2],
            read_x=column[2],
            keep_y=row[1],
            keep_x=column[1],
            core=(z_core, row[0], column[0]),
        )
        for (z, z_core), row, column in product(_z_spans(shape[0], size), rows, columns)
    )
