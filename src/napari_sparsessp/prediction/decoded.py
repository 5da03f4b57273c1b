"""Parts of measured planes from a lazy image, each chunk decoded as rarely as may be.

A file is read in whole chunks. Where these are larger than what a tile needs, as the
planes of most TIFFs are, what they hold beyond it is kept, as far as a share of memory
allows: the next tiles to the right and below need it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from napari_sparsessp.volume import Volume, as_float32

AT_ONCE = 64 * 2**20
"""Bytes, about, that are read in one go."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """A part of a plane, in the file's own data type if that is a short one."""

    rows: slice
    columns: slice
    pixels: np.ndarray

    def part(self, rows: slice, columns: slice) -> np.ndarray | None:
        """Give a part of it, or None where it does not hold all of that."""
        if not (inside(rows, self.rows) and inside(columns, self.columns)):
            return None
        y, x = self.rows.start, self.columns.start
        return self.pixels[
            rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
        ]


class DecodedPlanes:
    """The measured planes of a volume.

    Parameters
    ----------
    volume : Volume
        ZYX.
    planes : sequence of int
        Which of its planes were measured; all others are never used.
    share : int
        Bytes that may be kept.
    """

    def __init__(self, volume: Volume, planes: Sequence[int], share: int) -> None:
        self._volume, self._planes = volume, list(planes)
        self._share = share
        self._chunks = volume.chunks
        self._kept: dict[int, _Kept] = {}

    def parts(
        self, planes: Sequence[int], rows: slice, columns: slice
    ) -> Iterator[np.ndarray]:
        """Read a part of some planes.

        Parameters
        ----------
        planes : sequence of int
            Of the measured ones.
        rows, columns : slice
            In pixels of the input.

        Yields
        ------
        ndarray
            (h, w) float32 of each plane.

        Raises
        ------
        InputError
            The file is damaged there.
        """
        for start, batch in self._batches(planes, rows, columns):
            found = {}
            for plane in batch:
                kept = self._kept.get(plane)
                part = kept.part(rows, columns) if kept else None
                if part is not None:
                    found[plane] = part
            missing = [plane for plane in batch if plane not in found]
            if missing:
                found |= self._read(missing, rows, columns)
            for plane in planes[start : start + len(batch)]:
                yield np.ascontiguousarray(as_float32(found[plane]))

    def bands(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Read everything once, in whole rows.

        Yields
        ------
        plane, row : int
            Of the measured planes, and the first row.
        values : ndarray
            (h, W) in the file's own data type.
        """
        _, height, width = self._volume.shape
        heights = self._chunks[1] if self._chunks else (1,) * height
        row_bytes = width * self._itemsize
        every = range(len(self._planes))
        for group in self._together(every):
            at_once = max(1, AT_ONCE // (row_bytes * min(len(group), 64)))
            for rows in _bands(heights, at_once):
                fitting = max(1, 2 * AT_ONCE // (row_bytes * (rows.stop - rows.start)))
                for start in range(0, len(group), fitting):
                    some = group[start : start + fitting]
                    numbers = [self._planes[plane] for plane in some]
                    read = self._volume.region(numbers, rows, slice(None))
                    for plane, values in zip(some, read, strict=True):
                        yield plane, rows.start, values

    def close(self) -> None:
        """Let go of what is kept."""
        self._kept.clear()

    @property
    def _itemsize(self) -> int:
        return int(np.dtype(self._volume.array.dtype).itemsize)

    def _batches(
        self, planes: Sequence[int], rows: slice, columns: slice
    ) -> Iterator[tuple[int, list[int]]]:
        """Planes that are read in one go: those of one chunk in z stay together."""
        rows, columns = self._widened(rows, columns)
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        fitting = max(1, AT_ONCE // (size * self._itemsize))
        start = 0
        batch: list[int] = []
        for group in self._together(planes):
            if batch and len(batch) + len(group) > fitting:
                yield start, batch
                start, batch = start + len(batch), []
            batch += group
        if batch:
            yield start, batch

    def _together(self, planes: Sequence[int]) -> list[list[int]]:
        """Group ascending planes by the chunk in z that holds them."""
        if self._chunks is None:
            return [[plane] for plane in planes]
        ends = np.cumsum(self._chunks[0])
        place = dict(
            zip(
                planes,
                np.searchsorted(ends, [self._planes[p] for p in planes], side="right"),
                strict=True,
            )
        )
        return [list(group) for _, group in groupby(planes, key=place.__getitem__)]

    def _read(
        self, planes: list[int], rows: slice, columns: slice
    ) -> dict[int, np.ndarray]:
        """Read planes, and keep what their chunks hold beyond what is wanted."""
        wide = self._widened(rows, columns)
        numbers = [self._planes[plane] for plane in planes]
        read = self._volume.region(numbers, *wide)
        found = {}
        for plane, pixels in zip(planes, read, strict=True):
            held = pixels if pixels.dtype.itemsize <= 2 else as_float32(pixels)
            # Its own memory, so that it can be let go without the others.
            kept = _Kept(*wide, held.copy() if self._chunks else held)
            part = kept.part(rows, columns)
            assert part is not None
            found[plane] = part
            if self._chunks:
                self._keep(plane, kept)
        return found

    def _keep(self, plane: int, kept: _Kept) -> None:
        self._kept.pop(plane, None)
        total = sum(one.pixels.nbytes for one in self._kept.values())
        while self._kept and total + kept.pixels.nbytes > self._share:
            oldest = next(iter(self._kept))
            total -= self._kept.pop(oldest).pixels.nbytes
        if kept.pixels.nbytes <= self._share:
            self._kept[plane] = kept

    def _widened(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Widen a part to what its chunks hold anyway: right, then down."""
        if self._chunks is None:
            return rows, columns
        _, heights, widths = self._chunks
        item = self._itemsize if self._itemsize <= 2 else 4
        pixels = self._share // (len(self._planes) * item)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        room = _end(widths, columns) - columns.start
        width = max(width, min(room, pixels // height))
        if width == room:
            below = _end(heights, rows) - rows.start
            height = max(height, min(below, pixels // width))
        return (
            slice(rows.start, rows.start + height),
            slice(columns.start, columns.start + width),
        )


def _bands(heights: Sequence[int], at_once: int) -> Iterator[slice]:
    """Consecutive rows, whole chunks of them, as many as may be read at once."""
    start = stop = 0
    for height in heights:
        if stop > start and stop + height - start > at_once:
            yield slice(start, stop)
            start = stop
        stop += height
    yield slice(start, stop)


def _end(lengths: Sequence[int], part: slice) -> int:
    """Where the last chunk ends that a part touches."""
    ends = np.cumsum(lengths)
    return int(ends[np.searchsorted(ends, part.stop - 1, side="right")])


def inside(part: slice, whole: slice) -> bool:
    """Whether a span lies in another."""
    return whole.start <= part.start and part.stop <= whole.stop
