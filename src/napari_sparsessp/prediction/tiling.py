"""Cut a volume into tiles whose predictions fit together without seams.

In z, windows of the network's depth overlap and are blended. In y and x, all windows
of one place are a column: what is kept of it, and a halo around it that the network
sees and that is thrown away. Where the halo is the network's reach, neighbours give
the same values on both sides of a cut and each voxel is kept once. Networks that see
further cross-fade with their neighbours over a few pixels. A network that takes any
depth has z cut like y and x.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from napari_sparsessp.networks.config import Padding

Span = tuple[int, int]

Box = tuple[slice, slice, slice]
"""(z, y, x) voxels."""

Part = tuple[int | None, Box]
"""Time index of the output, None without a time axis, and (z, y, x) output voxels."""

Viewport = Callable[[], Part | None]
"""Returns what is on screen, or None."""

SLACK = 0.1
"""Share by which windows may be farther apart than their overlap says."""


@dataclass(frozen=True)
class Tile:
    """One pass of the network; spans are (start, stop) on the model's grid."""

    z: Span  # The window; may reach beyond a volume that is thinner than it
    keep_z: Span  # The part of it inside the volume
    read_y: Span  # What the network sees
    read_x: Span
    keep_y: Span  # What is kept of it: core and cross-fade
    keep_x: Span
    # (z, y, x) spans that belong to this tile alone; the cores of all tiles partition
    # the volume where the output is on the model's grid
    core: tuple[Span, Span, Span]

    @property
    def box(self) -> Box:
        """(z, y, x) voxels of the volume that the tile changes."""
        return slice(*self.keep_z), slice(*self.keep_y), slice(*self.keep_x)


@dataclass(frozen=True)
class TileSize:
    """Sizes by which tiles are cut."""

    depth: int  # Planes of the network's window
    core: tuple[int, int]  # Largest (y, x) core; rounded down to a multiple of `stride`
    # Tiles start on multiples of this, so that strided convolutions agree
    stride: int = 8
    halo: int = 96  # Pixels that the network sees around what is kept
    # Pixels on each side of a cut over which neighbours cross-fade; 0 where the halo is
    # the network's reach
    fade: int = 0
    # Share of the z window that neighbouring windows have in common
    overlap: float = 0.5
    # Windows start on multiples of this: r, where a network takes every r-th plane, so
    # that it gets measured ones
    step: int = 1
    # Planes from window to window, where all weigh the same; None where they weigh less
    # towards their ends, and `overlap` counts
    advance: int | None = None
    # Planes of the largest core, where z is cut like y and x; None where windows move
    # along z
    core_depth: int | None = None


@dataclass(frozen=True)
class Resize:
    """The output's pixels where they are not the model's."""

    size: tuple[int, int]  # (y, x) pixels of the output
    ratio: tuple[float, float]  # (y, x) size of an output pixel in pixels of the model

    def source(self, axis: int, part: Span, length: int) -> Span:
        """Return the model's pixels that a span of the output is interpolated from."""
        ratio = self.ratio[axis]
        reach = max(1.0, ratio)
        low = math.ceil((part[0] + 0.5) * ratio - 0.5 - reach - 1e-6)
        high = math.floor((part[1] - 0.5) * ratio - 0.5 + reach + 1e-6)
        return min(max(low, 0), length - 1), min(max(high, 0), length - 1) + 1


@dataclass(frozen=True)
class Cut:
    """One column along y or x: spans on the model's grid, and its output pixels."""

    core: Span
    keep: Span
    read: Span
    output: Span
    source: Span


@dataclass(frozen=True)
class Column:
    """All windows of one place in y and x; each attribute is a (y, x) pair of spans."""

    index: int  # Row by row
    # What belongs to it alone, and what is kept of its tiles, on the model's grid
    core: tuple[Span, Span]
    keep: tuple[Span, Span]
    # Output pixels that are written when it, and what it cross-fades with, is done
    output: tuple[Span, Span]
    # The model's pixels that these are made from; inside `keep` without a fade
    source: tuple[Span, Span]

    @property
    def kept_size(self) -> tuple[int, int]:
        """(y, x) pixels that are kept of it."""
        (top, bottom), (left, right) = self.keep
        return bottom - top, right - left


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


def lateral_cuts(
    length: int,
    size: TileSize,
    axis: int,
    resize: Resize | None = None,
    padding: Padding | None = None,
) -> list[Cut]:
    """Cut y (axis 0) or x (axis 1), `length` pixels of the model's, about equally.

    Without a cross-fade it is the output that is cut, and each column keeps the pixels
    that its part of the output is made from.
    """
    stride = size.stride
    padding = padding or Padding(stride)
    core = max(stride, size.core[axis] // stride * stride)
    count = -(-length // core)
    padded = padding.span(length, padding.multiple)
    whole = length if resize is None else resize.size[axis]
    if size.fade:
        # What cross-fades is cut on the model's grid, whatever the output is.
        step = math.ceil(length / count / stride) * stride
        owned = [(k, min(k + step, length)) for k in range(0, length, step)]
        width = step if resize is None else -(-whole // len(owned))
        firsts = [min(k * width, whole) for k in range(len(owned))]
    else:
        width = math.ceil(whole / count / stride) * stride
        firsts, owned = list(range(0, whole, width)), []
    cuts, padded = [], padding.span(length, padding.multiple)
    for number, first in enumerate(firsts):
        output = source = first, min(first + width, whole)
        if resize is not None and output[0] < output[1]:
            source = resize.source(axis, output, length)
        own = owned[number] if owned else source
        keep = max(0, own[0] - size.fade), min(length, own[1] + size.fade)
        # What is not cut is seen with all of its padding: norms look at that too.
        read = padded if len(firsts) == 1 else _read(keep, size, padded)
        cuts.append(Cut(own, keep, read, output, source))
    return cuts


def depth_cuts(
    length: int, size: TileSize, padding: Padding
) -> list[tuple[Span, Span]]:
    """Cut z, `length` planes, about equally: what each part reads, and its core."""
    stride, padded = size.stride, padding.span(length, padding.depth)
    count = -(-length // max(stride, (size.core_depth or length) // stride * stride))
    width = math.ceil(length / count / stride) * stride
    cores = [(k, min(k + width, length)) for k in range(0, length, width)]
    return [(_read(core, size, padded), core) for core in cores]


def _read(keep: Span, size: TileSize, padded: Span) -> Span:
    """Widen what is kept by the halo, to strides of the padded image."""
    stride, (first, last) = size.stride, padded
    start = first + (keep[0] - size.halo - first) // stride * stride
    stop = first - (first - keep[1] - size.halo) // stride * stride
    return max(first, start), min(last, stop)


class TileGrid:
    """The tiles of one time point: columns in y and x, windows in z."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        size: TileSize,
        resize: Resize | None = None,
        padding: Padding | None = None,
    ) -> None:
        self.shape, self.size = shape, size
        self.padding = padding or Padding(size.stride)
        # What is read, kept and owned
        self.windows = _z_spans(shape[0], size, self.padding)
        self._axes = [
            lateral_cuts(shape[1 + k], size, k, resize, self.padding) for k in (0, 1)
        ]
        # Row by row
        self.columns = tuple(
            Column(
                index,
                (y.core, x.core),
                (y.keep, x.keep),
                (y.output, x.output),
                (y.source, x.source),
            )
            for index, (y, x) in enumerate(product(*self._axes))
        )
        # Whether neighbouring columns cross-fade
        self.seams = size.fade > 0 and len(self.columns) > 1

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """All tiles, plane windows outermost: window × columns + column."""
        return tuple(
            Tile(
                z,
                keep_z=z_keep,
                read_y=y.read,
                read_x=x.read,
                keep_y=y.keep,
                keep_x=x.keep,
                core=(z_core, y.core, x.core),
            )
            for z, z_keep, z_core in self.windows
            for y in self._axes[0]
            for x in self._axes[1]
        )

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self.windows) * len(self.columns)

    def column(self, index: int) -> Column:
        """Column of a tile."""
        return self.columns[index % len(self.columns)]

    def final_planes(self, window: int) -> int:
        """Count the planes that no window after this one changes."""
        if window + 1 < len(self.windows):
            return self.windows[window + 1][1][0]
        return self.shape[0]

    def windows_done(self, planes: int) -> int:
        """Count the windows that have given their part once `planes` are final."""
        return sum(self.final_planes(k) <= planes for k in range(len(self.windows)))

    def first_window(self, planes: int) -> int:
        """First window that has a part in the planes from `planes` on."""
        return next(
            (k for k, (_, keep, _) in enumerate(self.windows) if keep[1] > planes),
            len(self.windows),
        )

    def contributors(self, area: tuple[Span, Span]) -> tuple[Column, ...]:
        """Columns that keep voxels of a (y, x) area of the model's grid, in order."""
        rows, places = (
            [k for k, cut in enumerate(cuts) if common(cut.keep, span)]
            for cuts, span in zip(self._axes, area, strict=True)
        )
        wide = len(self._axes[1])
        return tuple(self.columns[k * wide + n] for k in rows for n in places)

    def axis_keeps(self, axis: int) -> list[tuple[Span, Span]]:
        """(core, keep) of each column along y (0) or x (1)."""
        return [(cut.core, cut.keep) for cut in self._axes[axis]]


def _z_spans(
    depth: int, size: TileSize, padding: Padding
) -> list[tuple[Span, Span, Span]]:
    """Spans of z that windows read and keep, and their cores.

    The cores of windows that overlap meet half-way between their centres.
    """
    if size.core_depth is not None:
        cuts = depth_cuts(depth, size, padding)
        return [(read, core, core) for read, core in cuts]
    if size.advance is not None:
        starts = [*range(0, depth - size.depth, size.advance), depth - size.depth]
    else:
        starts = spread_starts(depth, size.depth, size.overlap, size.step)
    middles = [
        (a + b + size.depth) // 2 for a, b in zip(starts, starts[1:], strict=False)
    ]
    edges = [0, *middles, depth]
    return [
        (
            (start, start + size.depth),
            (max(start, 0), min(start + size.depth, depth)),
            (edges[i], edges[i + 1]),
        )
        for i, start in enumerate(starts)
    ]


def largest_spans(
    shape: tuple[int, int, int],
    size: TileSize,
    resize: Resize | None = None,
    padding: Padding | None = None,
) -> tuple[Span, Span]:
    """Largest (y, x) extents that a tile of a volume reads, and those that it keeps."""
    cuts = [
        lateral_cuts(shape[1 + axis], size, axis, resize, padding) for axis in (0, 1)
    ]
    read = [max(cut.read[1] - cut.read[0] for cut in axis) for axis in cuts]
    keep = [max(cut.keep[1] - cut.keep[0] for cut in axis) for axis in cuts]
    return (read[0], read[1]), (keep[0], keep[1])


def cut_tiles(shape: tuple[int, int, int], size: TileSize) -> tuple[Tile, ...]:
    """Cut a volume of (D, H, W) voxels of the model's grid; plane windows outermost."""
    return TileGrid(shape, size).tiles


def split_tile(tile: Tile, size: TileSize, most: int | None) -> list[Tile]:
    """Cut what a tile keeps into parts of at most `most` pixels along a side."""
    if most is None:
        return [tile]

    def parts(keep: Span, read: Span) -> list[tuple[Span, Span]]:
        """(keep, read) of parts of about equal length."""
        length = keep[1] - keep[0]
        step = -(-length // -(-length // most))
        spans = []
        for start in range(*keep, step):
            stop = min(start + step, keep[1])
            spans.append(((start, stop), _read((start, stop), size, read)))
        return spans

    return [
        Tile(tile.z, tile.keep_z, y[1], x[1], y[0], x[0], (tile.core[0], y[0], x[0]))
        for y in parts(tile.keep_y, tile.read_y)
        for x in parts(tile.keep_x, tile.read_x)
    ]


def counted(tile: Tile, shape: tuple[int, int, int], stride: int) -> np.ndarray:
    """Return which of a tile's voxels at 1/`stride` are its alone: bool (d, h, w).

    The cores of all tiles partition them, padding included.
    """
    sides = []
    reads = (tile.z, tile.read_y, tile.read_x)
    for read, core, length in zip(reads, tile.core, shape, strict=True):
        place = np.clip(np.arange(*read, stride), 0, length - 1)
        sides.append((core[0] <= place) & (place < core[1]))
    z, y, x = sides
    return z[:, None, None] & y[:, None] & x


def common(first: Span, second: Span) -> Span | None:
    """Return the span that two have in common; None where there is none."""
    start, stop = max(first[0], second[0]), min(first[1], second[1])
    return (start, stop) if start < stop else None


def within(part: Span, whole: Span) -> slice:
    """Return where a span lies in another, as a slice of that."""
    return slice(part[0] - whole[0], part[1] - whole[0])


def inside(part: Sequence[slice], whole: Sequence[slice]) -> tuple[slice, ...]:
    """Return where a box lies in another, as slices of that."""
    return tuple(
        slice(inner.start - outer.start, inner.stop - outer.start)
        for inner, outer in zip(part, whole, strict=True)
    )


def next_tile(waiting: Sequence[int], tiles: Sequence[Tile], box: Box | None) -> int:
    """Pick the index of the tile to do next: what is on screen first."""
    if box is None:
        return waiting[0]

    def distance(index: int) -> tuple[float, float, int]:
        gap = centre = 0.0
        for (start, stop), seen in zip(tiles[index].core, box, strict=True):
            low, high = float(seen.start), float(seen.stop)
            gap += max(0.0, low - stop + 1, start - high + 1) ** 2
            centre += ((start + stop) / 2 - (low + high) / 2) ** 2
        return gap**0.5, centre**0.5, index

    return min(waiting, key=distance)


def needed_for(waiting: Sequence[int], tiles: Sequence[Tile], box: Box) -> list[int]:
    """Pick the tiles that change a part of the volume, of those that are left."""
    return [
        index
        for index in waiting
        if all(
            own.start < part.stop and part.start < own.stop
            for own, part in zip(tiles[index].box, box, strict=True)
        )
    ]
