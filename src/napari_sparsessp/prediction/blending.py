"""Blend overlapping tiles into one volume, readable at any moment."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from napari_sparsessp.prediction.tiling import Span, Tile


def gaussian_window(depth: int) -> np.ndarray:
    """Weights along z: Gaussian of σ = depth/8 around the middle, never 0.

    Parameters
    ----------
    depth : int

    Returns
    -------
    ndarray
        (depth,) float32, at most 1.
    """
    offset = (np.arange(depth) - (depth - 1) / 2) / (depth / 8)
    return np.exp(-0.5 * offset**2).astype(np.float32)


def gaussian_ramp(keep: Span, core: Span) -> np.ndarray:
    """Weights along y or x: 1 in the core, a smooth step to 0 across each cut.

    The two steps that meet at a cut add up to 1: both are the integral of the same
    Gaussian.

    Parameters
    ----------
    keep, core : tuple of int
        Spans of what is kept and of the core inside it.

    Returns
    -------
    ndarray
        (keep length,) float32, above 0.
    """
    position = np.arange(*keep) + 0.5
    weights = np.ones(len(position))
    for cut, side in ((core[0], 1), (core[1], -1)):
        fade = core[0] - keep[0] if side == 1 else keep[1] - core[1]
        if fade > 0:
            argument = side * (position - cut) / (fade / 2)
            weights *= [0.5 * (1 + math.erf(value)) for value in argument]
    return np.maximum(weights, 1e-4).astype(np.float32)


def shares_of(
    weights: Mapping[Span, tuple[Span, np.ndarray]], length: int
) -> dict[Span, np.ndarray]:
    """Turn weights along one axis into shares that add up to 1 everywhere.

    Parameters
    ----------
    weights : mapping
        Anything that names a tile along this axis, to the span that it keeps and its
        weight (span length,) there, above 0.
    length : int
        Voxels along the axis; each is in one span at least.

    Returns
    -------
    dict
        The same names to shares, float32.
    """
    total = np.zeros(length)
    for span, weight in weights.values():
        total[slice(*span)] += weight
    return {
        name: (weight / total[slice(*span)]).astype(np.float32)
        for name, (span, weight) in weights.items()
    }


def tile_weights(tile: Tile) -> np.ndarray:
    """Weights (D, H, W) of what a tile keeps."""
    start, stop = tile.keep_z
    window = gaussian_window(tile.z[1] - tile.z[0])
    along_z = window[start - tile.z[0] : stop - tile.z[0]]
    along_y = gaussian_ramp(tile.keep_y, tile.core[1])
    along_x = gaussian_ramp(tile.keep_x, tile.core[2])
    return along_z[:, None, None] * along_y[:, None] * along_x


class RunningMean:
    """Weighted mean of tiles, kept in the shared buffer itself.

    After every tile the buffer holds the mean of what has come so far: nothing has
    to be divided at the end, and a viewer can show it at any moment.

    Parameters
    ----------
    buffer : ndarray
        (S, D, H, W) float32, zeros; shared with whoever shows it.
    """

    def __init__(self, buffer: np.ndarray) -> None:
        self.buffer = buffer
        self._weight = np.zeros(buffer.shape[1:], np.float32)

    def begin(self, tile: Tile) -> np.ndarray:
        """Give the share (D, H, W) that a tile has in the mean from now on.

        Parameters
        ----------
        tile : Tile
            One that all structures are now blended with, by `blend`.
        """
        weights = tile_weights(tile)
        self._weight[tile.box] += weights
        return weights / self._weight[tile.box]

    def blend(
        self,
        tile: Tile,
        share: np.ndarray,
        prediction: np.ndarray,
        structures: Sequence[int] | None = None,
    ) -> None:
        """Blend in a tile.

        Parameters
        ----------
        tile : Tile
        share : ndarray
            What `begin` gave for it.
        prediction : ndarray
            (S, D, H, W) of ``tile.box``.
        structures : sequence of int, optional
            Which of the buffer's structures these are; all where left out.
        """
        import torch  # once over the voxels, on all cores: numpy goes three times

        rows = range(len(self.buffer)) if structures is None else structures
        part = torch.from_numpy(share)
        for row, source in zip(rows, prediction, strict=True):
            target = torch.from_numpy(self.buffer[row][tile.box])
            target.lerp_(torch.from_numpy(np.asarray(source, np.float32)), part)
