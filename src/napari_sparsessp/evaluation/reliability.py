"""Is an expected error the error? Fitted on some colonies, judged on others."""

from dataclasses import dataclass

import numpy as np

from napari_sparsessp.models.card import Calibration

BLOCK = (4, 8, 8)
"""(z, y, x) voxels: about what a person looks at as one spot."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """How expected errors and true ones belong together.

    Attributes
    ----------
    expected, found : ndarray
        (bins,) root mean square of expectation and of error, by rising expectation.
    ratio : float
        Root mean square error over root mean square expectation: above 1 where the
        expectation is too low.
    within : float
        Share of voxels whose error is below their expectation; 0.683 were errors
        normally distributed.
    rank : float
        Spearman's correlation of expectation and absolute error.
    """

    expected: np.ndarray
    found: np.ndarray
    ratio: float
    within: float
    rank: float


def fit_calibration(
    spread: np.ndarray, error: np.ndarray, bins: int = 20
) -> Calibration:
    """Find floor and gain with which √(floor² + (gain·spread)²) is the error.

    Least squares of the mean squared error over equally filled bins of spread, each
    relative to itself, so that the many voxels with little error count as much as the
    few with much.

    Parameters
    ----------
    spread : ndarray
        (n,) standard deviation of the predictions.
    error : ndarray
        (n,) of the prediction that is shown.
    bins : int
    """
    from scipy.optimize import nnls

    squares = _binned(spread, spread**2, bins), _binned(spread, error**2, bins)
    wanted = np.maximum(squares[1], 1e-12)
    matrix = np.stack([np.ones_like(wanted), squares[0]], axis=1) / wanted[:, None]
    # Columns of one size: spreads are small numbers.
    size = np.linalg.norm(matrix, axis=0)
    size[size == 0] = 1
    solved = nnls(matrix / size, np.ones_like(wanted))[0] / size
    floor, gain = np.sqrt(solved)
    return Calibration(floor=float(floor), gain=float(gain))


def judge(expected: np.ndarray, error: np.ndarray, bins: int = 10) -> Reliability:
    """Hold expected errors against true ones.

    Parameters
    ----------
    expected, error : ndarray
        (n,) of the same voxels.
    bins : int
        Of equally many voxels.
    """
    return Reliability(
        np.sqrt(_binned(expected, expected**2, bins)),
        np.sqrt(_binned(expected, error**2, bins)),
        float(np.sqrt((error**2).mean() / (expected**2).mean())),
        float((np.abs(error) <= expected).mean()),
        rank_correlation(expected, np.abs(error)),
    )


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation; NaN where one of them is constant."""
    from scipy.stats import rankdata

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def block_means(volume: np.ndarray, block: tuple[int, int, int] = BLOCK) -> np.ndarray:
    """Mean of each block of a volume (D, H, W), flat; what is left over is left out."""
    counts = [max(1, n // b) for n, b in zip(volume.shape, block, strict=True)]
    sizes = [min(n, b) for n, b in zip(volume.shape, block, strict=True)]
    inner = volume[tuple(slice(n * b) for n, b in zip(counts, sizes, strict=True))]
    shape = [part for pair in zip(counts, sizes, strict=True) for part in pair]
    return inner.reshape(shape).mean((1, 3, 5)).ravel()


def _binned(by: np.ndarray, values: np.ndarray, bins: int) -> np.ndarray:
    """Mean of values in equally filled bins of rising `by`."""
    parts = np.array_split(np.argsort(by, kind="stable"), min(bins, len(by)))
    return np.array([values[part].mean(dtype=np.float64) for part in parts])
