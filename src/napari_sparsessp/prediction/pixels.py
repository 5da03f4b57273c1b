"""Normalised pixels of the measured planes, on the model's grid: held in memory."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Pixels(Protocol):
    """Where a stack's pixels come from: memory, or the file as they are needed."""

    def area(self, planes: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        """Give a part of some measured planes.

        Parameters
        ----------
        planes : sequence of int
            Of the measured ones, ascending.
        rows, columns : slice
            On the model's pixels; may reach as far as these are padded.

        Returns
        -------
        ndarray
            (k, h, w) float32, normalised; not to be written to.

        Raises
        ------
        InputError
            The file is damaged there.
        """
        ...

    def masked(
        self, planes: Sequence[int], rows: slice, columns: slice
    ) -> np.ndarray | None:
        """Tell what was NaN or infinite in the input: bool (k, h, w); None: nothing."""
        ...

    def expect(self, planes: Sequence[int], rows: slice, columns: slice) -> None:
        """Say which area will be wanted next, so that it is read meanwhile."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class PixelsInMemory:
    """Pixels that were read once.

    Parameters
    ----------
    planes : ndarray
        (n, H, W) float32, padded at the far edges to multiples of the stride.
    invalid : ndarray or None
        (n, H, W) bool, not padded.
    """

    def __init__(self, planes: np.ndarray, invalid: np.ndarray | None) -> None:
        self._planes, self._invalid = planes, invalid

    def area(self, planes: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        """See `Pixels`."""
        return self._planes[list(planes), rows, columns]

    def masked(
        self, planes: Sequence[int], rows: slice, columns: slice
    ) -> np.ndarray | None:
        """See `Pixels`."""
        if self._invalid is None:
            return None
        return self._invalid[list(planes), rows, columns]

    def expect(self, planes: Sequence[int], rows: slice, columns: slice) -> None:
        """Nothing to be read."""

    def close(self) -> None:
        """Let go of the planes."""
        self._planes, self._invalid = np.empty((0, 0, 0), np.float32), None
