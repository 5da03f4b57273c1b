"""Columns: one y/x tile through all its windows, blended with shares known beforehand.

The weights of tiles are products of one weight along each axis, and tiles lie on a
raster; so the sum of all weights at a voxel is a product too, and the share that a
tile has in a voxel is known before anything is predicted. A column is then blended
along z by itself, in whatever order columns come, and what neighbours have in common
is one sum, always taken in the same order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_sparsessp.prediction.blending import (
    gaussian_ramp,
    gaussian_window,
    shares_of,
)
from napari_sparsessp.prediction.tiling import Span, Tile


@dataclass(frozen=True)
class Column:
    """All tiles of one core in y and x.

    Attributes
    ----------
    index : int
        Row by row.
    core, keep : tuple of tuple of int
        (y, x) spans of what belongs to it alone, and of what is kept of its tiles.
    tiles : tuple of Tile
        The lowest window first.
    """

    index: int
    core: tuple[Span, Span]
    keep: tuple[Span, Span]
    tiles: tuple[Tile, ...]

    @property
    def kept_size(self) -> tuple[int, int]:
        """(y, x) pixels that are kept of it."""
        (top, bottom), (left, right) = self.keep
        return bottom - top, right - left

    def final_planes(self, window: int) -> int:
        """Count the planes that no window after this one changes."""
        if window + 1 < len(self.tiles):
            return self.tiles[window + 1].keep_z[0]
        return self.tiles[-1].keep_z[1]

    def windows_done(self, planes: int) -> int:
        """Count the windows that have given their part once `planes` are final."""
        return sum(
            self.final_planes(window) <= planes for window in range(len(self.tiles))
        )

    def first_window(self, planes: int) -> int:
        """First window that has a part in the planes from `planes` on."""
        return next(
            (k for k, tile in enumerate(self.tiles) if tile.keep_z[1] > planes),
            len(self.tiles),
        )


class ColumnLayout:
    """The columns of one time point, and the shares of their tiles.

    Parameters
    ----------
    tiles : sequence of Tile
        As `cut_tiles` gives them.
    shape : tuple of int
        (D, H, W) of the volume that they cover.

    Attributes
    ----------
    columns : tuple of Column
    """

    def __init__(self, tiles: Sequence[Tile], shape: tuple[int, int, int]) -> None:
        self.shape = shape
        found: dict[tuple[Span, Span], list[Tile]] = {}
        for tile in tiles:
            found.setdefault((tile.core[1], tile.core[2]), []).append(tile)
        self.columns = tuple(
            Column(index, core, (own[0].keep_y, own[0].keep_x), tuple(own))
            for index, (core, own) in enumerate(found.items())
        )
        windows = {
            tile.z: (tile.keep_z, gaussian_window(tile.z[1] - tile.z[0]))
            for tile in self.columns[0].tiles
        }
        self._along_z = shares_of(
            {
                z: (keep, whole[keep[0] - z[0] : keep[1] - z[0]])
                for z, (keep, whole) in windows.items()
            },
            shape[0],
        )
        self._along_y, self._along_x = (
            shares_of(
                {
                    one.core[axis]: (
                        one.keep[axis],
                        gaussian_ramp(one.keep[axis], one.core[axis]),
                    )
                    for one in self.columns
                },
                shape[1 + axis],
            )
            for axis in (0, 1)
        )

    def along_z(self, tile: Tile) -> np.ndarray:
        """Share of a tile's window in each plane it keeps, (D,) float32."""
        return self._along_z[tile.z]

    def lateral(self, column: Column) -> tuple[np.ndarray, np.ndarray]:
        """Shares of a column along y and x in what it keeps; their product counts."""
        return self._along_y[column.core[0]], self._along_x[column.core[1]]

    def touching(self, column: Column) -> tuple[Column, ...]:
        """Columns that keep voxels of this one's core, itself among them, in order."""
        return self._around(column, column.core, "keep")

    def touched(self, column: Column) -> tuple[Column, ...]:
        """Columns whose core this one keeps voxels of, itself among them, in order."""
        return self._around(column, column.keep, "core")

    def _around(
        self, column: Column, area: tuple[Span, Span], what: str
    ) -> tuple[Column, ...]:
        """Columns whose span of this name has voxels of an area in y and x."""
        wide = len(self._along_x)
        row, place = divmod(column.index, wide)
        rows = self._meeting(row, wide, len(self._along_y), 0, area[0], what)
        places = self._meeting(place, 1, wide, 1, area[1], what)
        return tuple(self.columns[k * wide + n] for k in rows for n in places)

    def _meeting(
        self, here: int, stride: int, count: int, axis: int, span: Span, what: str
    ) -> range:
        """Places on one axis, around one that meets a span, that meet it too."""

        def meets(place: int) -> bool:
            own = getattr(self.columns[place * stride], what)[axis]
            return _common(own, span) is not None

        first = last = here
        while first > 0 and meets(first - 1):
            first -= 1
        while last + 1 < count and meets(last + 1):
            last += 1
        return range(first, last + 1)

    def blended(
        self,
        column: Column,
        rows: Span,
        read: Callable[[Column, slice, slice], np.ndarray],
        size: tuple[int, ...],
    ) -> np.ndarray:
        """Sum what columns say of some rows of one column's core.

        Parameters
        ----------
        column : Column
        rows : tuple of int
            Span along y, inside the core.
        read : callable
            Gives what a column keeps, (..., h, w), in a y and an x slice of its own.
        size : tuple of int
            Leading shape of what `read` gives.

        Returns
        -------
        ndarray
            (..., rows, core width) float32; the same bits whatever the order in which
            columns were predicted.
        """
        across = column.core[1]
        total = np.zeros((*size, rows[1] - rows[0], across[1] - across[0]), np.float32)
        for one in self.touching(column):
            y, x = _common(one.keep[0], rows), _common(one.keep[1], across)
            if y is None or x is None:
                continue
            inside = [_within(y, one.keep[0]), _within(x, one.keep[1])]
            along_y, along_x = self.lateral(one)
            share = along_y[inside[0], None] * along_x[inside[1]]
            part = read(one, inside[0], inside[1])
            total[..., _within(y, rows), _within(x, across)] += share * part
        return total


class RollingBlend:
    """One column, blended along z; only planes that may still change are kept.

    Parameters
    ----------
    layout : ColumnLayout
    column : Column
    channels : int
    planes : int
        Planes from the bottom that are known already: none of them is given again.
    """

    def __init__(
        self, layout: ColumnLayout, column: Column, channels: int, planes: int = 0
    ) -> None:
        self._layout, self._column, self._done = layout, column, planes
        depth = max(tile.keep_z[1] - tile.keep_z[0] for tile in column.tiles)
        self._sum = np.zeros((channels, depth, *column.kept_size), np.float32)

    def add(self, tile: Tile, rows: Sequence[int], prediction: np.ndarray) -> None:
        """Add what the next window says, (C, D, H, W) of ``tile.box``, of some rows."""
        share = self._layout.along_z(tile)[:, None, None]
        for row, planes in zip(rows, prediction, strict=True):
            self._sum[row, : len(share)] += share * planes

    def final(self, window: int) -> Iterator[tuple[int, np.ndarray]]:
        """Give what no later window changes, and forget it.

        Parameters
        ----------
        window : int
            Number of the window that was added last.

        Yields
        ------
        first : int
        planes : ndarray
            (C, D, H, W) from plane `first` on; valid until the next step.
        """
        base = self._column.tiles[window].keep_z[0]
        stop = self._column.final_planes(window)
        first = max(base, self._done)
        if first < stop:
            yield first, self._sum[:, first - base : stop - base]
            self._done = stop
        moved = stop - base
        left = self._sum.shape[1] - moved
        # Plane by plane, upwards: source and target overlap.
        for plane in range(left):
            self._sum[:, plane] = self._sum[:, plane + moved]
        self._sum[:, left:] = 0


def _common(one: Span, other: Span) -> Span | None:
    start, stop = max(one[0], other[0]), min(one[1], other[1])
    return (start, stop) if start < stop else None


def _within(part: Span, whole: Span) -> slice:
    return slice(part[0] - whole[0], part[1] - whole[0])
