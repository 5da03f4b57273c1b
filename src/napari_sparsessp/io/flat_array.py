"""A float32 array in a plain file: written and read in pieces, never held whole."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np


class FlatArray:
    """An array in C order on disk; what was not written is 0.

    Parameters
    ----------
    path : Path
        Is made where it does not exist.
    shape : tuple of int
        At least two axes.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape = path, shape
        if not path.exists():
            with path.open("wb") as file:
                file.truncate(4 * math.prod(shape))

    def __setitem__(self, index: Any, block: np.ndarray) -> None:
        """Write a block; slices of step 1 and whole numbers choose it."""
        spans = self._spans(index)
        lengths = tuple(stop - start for start, stop in spans)
        rows = np.ascontiguousarray(block, dtype=np.float32).reshape(lengths)
        # Rows that follow one another in the file go out together.
        joined = len(lengths) - 1
        while joined > 0 and lengths[joined] == self.shape[joined]:
            joined -= 1
        steps = [math.prod(self.shape[axis + 1 :]) for axis in range(len(lengths))]
        origin = sum(
            start * step for (start, _), step in zip(spans, steps, strict=True)
        )
        # Writing through a map would end the process where the disk is full.
        with self.path.open("r+b") as file:
            for lead in np.ndindex(*lengths[:joined]):
                at = origin + sum(map(int.__mul__, lead, steps))
                file.seek(4 * at)
                file.write(rows[lead].data)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read a block into memory."""
        # A map that lives on would count as memory of this process, page by page.
        mapped = np.memmap(self.path, np.float32, "r", shape=self.shape)
        return np.array(mapped[index])

    def _spans(self, index: Any) -> list[tuple[int, int]]:
        parts = index if isinstance(index, tuple) else (index,)
        parts = (*parts, *(slice(None),) * (len(self.shape) - len(parts)))
        return [
            part.indices(length)[:2] if isinstance(part, slice) else (part, part + 1)
            for part, length in zip(parts, self.shape, strict=True)
        ]
