"""Columns on disk until all their neighbours are there and they can be blended."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from napari_sparsessp.prediction.column import Column, ColumnLayout


class ColumnFiles:
    """A file for each column: its planes, (D, C, H, W) float32, the lowest first.

    Parameters
    ----------
    folder : Path
    layout : ColumnLayout
    channels : int
    """

    def __init__(self, folder: Path, layout: ColumnLayout, channels: int) -> None:
        self._folder, self._layout, self._channels = folder, layout, channels
        folder.mkdir(exist_ok=True)

    def planes(self, slot: int, column: Column) -> int:
        """Count the whole planes that a column's file has room for."""
        path = self._path(slot, column)
        return path.stat().st_size // self._plane(column) if path.exists() else 0

    def write(self, slot: int, column: Column, first: int, planes: np.ndarray) -> None:
        """Put (C, D, H, W) after the first planes; what else was there is gone."""
        path = self._path(slot, column)
        with path.open("r+b" if first else "wb") as file:
            file.truncate(first * self._plane(column))
            file.seek(0, os.SEEK_END)
            for plane in range(planes.shape[1]):
                file.write(np.ascontiguousarray(planes[:, plane]).data)

    def sync(self, slot: int, column: Column) -> None:
        """Wait until a column's file is on the disk itself."""
        with self._path(slot, column).open("rb") as file:
            os.fsync(file.fileno())

    def read(
        self,
        slot: int,
        column: Column,
        channel: int,
        planes: slice,
        area: tuple[slice, slice],
    ) -> np.ndarray:
        """Read an area of some planes of one channel, (D, h, w)."""
        shape = (self._layout.shape[0], self._channels, *column.kept_size)
        # A map that lives on would count as memory of this process, page by page.
        mapped = np.memmap(self._path(slot, column), np.float32, "r", shape=shape)
        return np.array(mapped[planes, channel][:, *area])

    def remove(self, slot: int, column: Column) -> None:
        """Forget a column that nobody needs any more."""
        self._path(slot, column).unlink(missing_ok=True)

    def _path(self, slot: int, column: Column) -> Path:
        return self._folder / f"{slot}-{column.index}.f32"

    def _plane(self, column: Column) -> int:
        """Bytes of one plane."""
        height, width = column.kept_size
        return 4 * self._channels * height * width
