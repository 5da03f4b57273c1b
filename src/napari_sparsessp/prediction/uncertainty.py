"""Calibrate the spread of test-time augmentation to the size of true errors."""

import numpy as np

from napari_sparsessp.models.card import Calibration


def fit_calibration(
    spread: np.ndarray, error: np.ndarray, bins: int = 20
) -> Calibration:
    """Find floor and gain with which √(floor² + (gain·spread)²) is the error.

    Least squares of the mean squared error of (n,) voxels over equally filled bins of
    spread, each relative to itself, so that the many voxels with little error count as
    much as the few with much.
    """
    from scipy.optimize import nnls

    squares = binned(spread, spread**2, bins), binned(spread, error**2, bins)
    wanted = np.maximum(squares[1], 1e-12)
    matrix = np.stack([np.ones_like(wanted), squares[0]], axis=1) / wanted[:, None]
    # Columns of one size: spreads are small numbers.
    size = np.linalg.norm(matrix, axis=0)
    size[size == 0] = 1
    solved = nnls(matrix / size, np.ones_like(wanted))[0] / size
    floor, gain = np.sqrt(solved)
    return Calibration(floor=round(float(floor), 4), gain=round(float(gain), 3))


def binned(by: np.ndarray, values: np.ndarray, bins: int) -> np.ndarray:
    """Mean of values in equally filled bins of rising `by`."""
    parts = np.array_split(np.argsort(by, kind="stable"), min(bins, len(by)))
    return np.array([values[part].mean(dtype=np.float64) for part in parts])
