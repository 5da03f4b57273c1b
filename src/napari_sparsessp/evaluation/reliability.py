"""Whether an expected error is the error."""

from dataclasses import dataclass

import numpy as np

from napari_sparsessp.prediction.uncertainty import binned

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
        np.sqrt(binned(expected, expected**2, bins)),
        np.sqrt(binned(expected, error**2, bins)),
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
