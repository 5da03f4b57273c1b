"""Contrast limits for a prediction that is still coming in."""

from collections.abc import Sequence
from typing import Any

import numpy as np

FIRST_LIMITS = (0.0, 3.0)
"""Before anything is known: predictions are in units of a z-scored truth."""

_PER_TILE = 4096
_AT_MOST = 400_000
# Predictions are soft: the middle of their values is background that would veil
# whatever lies below it.
_LOW, _HIGH = 65.0, 99.8
_LIGHT = (0.3, 99.7)


def limits_of(stack: Any) -> tuple[float, float]:
    """Give limits that show a stained structure, from some voxels of a stack.

    Parameters
    ----------
    stack : array-like
        Shape (D, H, W); every second plane and third pixel of it is read.

    Returns
    -------
    (low, high)
        Outliers would darken the rest, the background would cover what lies below.
    """
    some = np.asarray(stack[::2, ::3, ::3])
    low, high = np.nanpercentile(some, (_LOW, _HIGH))
    return float(low), float(max(high, low + 1e-3))


def light_limits_of(stack: Any) -> tuple[float, float]:
    """Give limits that show transmitted light: all but its few glints and specks.

    Parameters
    ----------
    stack : array-like
        Shape (D, H, W); every second plane and third pixel of it is read.
    """
    low, high = np.nanpercentile(np.asarray(stack[::2, ::3, ::3]), _LIGHT)
    return float(low), float(max(high, low + 1e-3))


class ContrastEstimate:
    """Collects a few voxels of each finished tile; used in the worker thread.

    Parameters
    ----------
    structures : sequence of str
        In the order of the buffer's structure axis.
    """

    def __init__(self, structures: Sequence[str]) -> None:
        self._structures = tuple(structures)
        self._samples: list[np.ndarray] = []
        self._kept = 0

    def add(self, tile: np.ndarray) -> None:
        """Take some voxels of a tile.

        Parameters
        ----------
        tile : ndarray
            Shape (S, d, h, w).
        """
        if self._kept >= _AT_MOST or tile.size == 0:
            return
        voxels = tile[0].size
        step = max(1, round((voxels / _PER_TILE) ** (1 / 3)))
        some = tile[:, ::step, ::step, ::step].reshape(len(tile), -1)
        self._samples.append(np.array(some))
        self._kept += some.shape[1]

    def limits(self, *, complete: bool) -> dict[str, tuple[float, float]]:
        """Give limits for each structure.

        Parameters
        ----------
        complete : bool
            Whether all voxels are predicted. Before, the lower limit is at least 0,
            so that what is still to come (0 in the buffer) stays black.

        Returns
        -------
        dict
            Structure id to (low, high).
        """
        if not self._samples:
            return {}
        values = np.concatenate(self._samples, axis=1)
        low, high = np.nanpercentile(values, (_LOW, _HIGH), axis=1)
        if not complete:
            low = np.maximum(low, 0.0)
        high = np.maximum(high, low + 0.1)
        return {
            name: (float(low[i]), float(high[i]))
            for i, name in enumerate(self._structures)
            if np.isfinite(low[i]) and np.isfinite(high[i])
        }
