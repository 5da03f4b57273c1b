"""Contrast limits for a prediction that is still coming in."""

from collections.abc import Collection, Sequence
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
        Channels, in the order of the buffer's channel axis.
    from_zero : collection of str
        Those whose limits begin at 0: uncertainties, where black is to mean none.
    """

    def __init__(
        self, structures: Sequence[str], from_zero: Collection[str] = ()
    ) -> None:
        self._structures = tuple(structures)
        self._from_zero = frozenset(from_zero)
        self._samples: dict[str, list[np.ndarray]] = {id_: [] for id_ in structures}
        self._kept = dict.fromkeys(structures, 0)

    def add(self, tile: np.ndarray, structures: Sequence[str] | None = None) -> None:
        """Take some voxels of a tile.

        Parameters
        ----------
        tile : ndarray
            Shape (S, d, h, w).
        structures : sequence of str, optional
            Those that are predicted in it; all if left out.
        """
        if tile.size == 0:
            return
        voxels = tile[0].size
        step = max(1, round((voxels / _PER_TILE) ** (1 / 3)))
        for id_ in self._structures if structures is None else structures:
            if self._kept[id_] < _AT_MOST:
                row = tile[self._structures.index(id_)]
                some = np.array(row[::step, ::step, ::step]).reshape(-1)
                self._samples[id_].append(some)
                self._kept[id_] += some.size

    def limits(
        self, *, complete: bool, structures: Sequence[str] | None = None
    ) -> dict[str, tuple[float, float]]:
        """Give limits for each structure of which something is known.

        Parameters
        ----------
        complete : bool
            Whether all voxels are predicted. Before, the lower limit is at least 0,
            so that what is still to come (0 in the buffer) stays black.
        structures : sequence of str, optional
            For these only.

        Returns
        -------
        dict
            Structure id to (low, high).
        """
        found = {}
        for id_ in self._structures if structures is None else structures:
            values = np.concatenate(self._samples[id_] or [np.empty(0)])
            values = values[np.isfinite(values)]
            if values.size:
                low, high = np.percentile(values, (_LOW, _HIGH))
                low = low if complete else max(low, 0.0)
                low = 0.0 if id_ in self._from_zero else low
                found[id_] = (float(low), float(max(high, low + 0.1)))
        return found
