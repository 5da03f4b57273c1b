"""How good could a perfect prediction score? The noise ceiling of a ground truth.

A truth y = s + n is the structure's image s plus noise n of its camera and photons,
which no prediction can know. The best there is, s itself, scores against y

    R² = 1 − σ²/Var(y),    Pearson = √(1 − σ²/Var(y)),

where σ² is the mean variance of n. It is estimated from one stack: second differences
[1 −2 1] along z, y and x remove whatever is locally linear, and multiply the variance
of noise that is independent between voxels by 6 for each axis. Noise grows with
brightness, so the variance is taken in bins of the local mean (which is uncorrelated
with second differences); what stands out by more than four deviations there is taken
for structure.

Two estimates bracket the truth where their assumptions fail:

- ``zyx`` trusts only what changes along all three axes. Noise that is correlated
  between neighbouring pixels (resampled, deconvolved, denoised or compressed images)
  hides from it: the ceiling comes out too high, towards 1.
- ``z`` compares planes only. Such noise is seen, if the planes were exposed one by
  one, but so is structure finer than the z step: the ceiling comes out too low.

Where both agree, the noise is independent and the ceiling can be trusted. Errors that
are no noise (bleed-through, background, fixed patterns, another focus) are not in it.
The variance is estimated on the truth's own voxels and carried to the grid on which
scores are taken, because resampling averages noise away.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.scoring import onto_grid
from napari_sparsessp.volume import Grid, Volume

BINS = 32
"""Levels of brightness, each with as many voxels."""

STANDS_OUT = 4.0
"""Standard deviations; white noise goes further in one voxel of 16 000."""

_ROUNDS = 5
_SEED = 20240702  # the noise that is carried through a resampling is always the same


@dataclass(frozen=True)
class Ceiling:
    """The best scores that a noise-free prediction could reach.

    Attributes
    ----------
    r2, pcc, pcc_plane : float or None
        By the ``zyx`` estimate; a truth with fewer than 3 planes is judged by ``yx``.
    noise_share : float
        Variance of the noise as a share of that of the scored truth.
    r2_careful : float or None
        R² by the ``z`` estimate; None where there are fewer than 3 planes.
    """

    r2: float
    pcc: float
    pcc_plane: float | None
    noise_share: float
    r2_careful: float | None

    def scores(self) -> dict[str, float | None]:
        """Give the values as JSON has them."""
        return asdict(self)


def noise_variance(stack: Any, axes: str = "zyx") -> np.ndarray:
    """Estimate the variance of independent noise in every voxel.

    Parameters
    ----------
    stack : array-like
        (D, H, W), in any unit.
    axes : str
        Along which second differences are taken, out of ``"zyx"``.

    Returns
    -------
    ndarray
        (D, H, W) float32, in squared units of the stack: a function of the local mean
        alone.

    Raises
    ------
    InputError
        Fewer than 3 voxels along one of the axes.
    """
    from scipy.ndimage import uniform_filter

    values = np.asarray(stack, np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        values = np.where(finite, values, np.float32(values[finite].mean()))
    rough = values
    inner = [slice(None)] * 3
    for axis in ("zyx".index(letter) for letter in axes):
        if values.shape[axis] < 3:
            raise InputError(
                f"noise cannot be told from {values.shape[axis]} voxels along "
                f"{'zyx'[axis]}; give at least 3"
            )
        inner[axis] = slice(1, -1)
        rough = np.diff(rough, n=2, axis=axis)
    level = uniform_filter(values, 3, mode="nearest")
    rough /= np.float32(math.sqrt(6.0) ** len(axes))
    centres, variances = _by_level(level[tuple(inner)].ravel(), rough.ravel())
    return np.interp(level, centres, variances).astype(np.float32)


def noise_ceiling(truth: Volume, grid: Grid) -> Ceiling:
    """Estimate the best scores that any prediction could reach.

    Parameters
    ----------
    truth : Volume
        ZYX, with a voxel size: on its own grid, as it was recorded.
    grid : Grid
        On which predictions are scored.

    Returns
    -------
    Ceiling

    Raises
    ------
    InputError
        The truth is constant, or smaller than 3×3 pixels.
    """
    stack = truth.planes(range(truth.shape[0]))
    scored = onto_grid(truth, grid)
    deep = stack.shape[0] >= 3
    noise = _noise_on_grid(stack, truth, grid, "zyx" if deep else "yx")
    total = _variance(scored)
    if not total > 0:
        raise InputError(
            "the ground truth is constant, so it has no ceiling; "
            "choose another channel or file"
        )
    share = _share(noise, total)
    careful = None
    if deep:
        careful = 1 - _share(_noise_on_grid(stack, truth, grid, "z"), total)
    within = []
    for plane, its_noise in zip(scored, noise, strict=True):
        spread = _variance(plane)
        if spread > 0:
            within.append(math.sqrt(1 - _share(its_noise, spread)))
    return Ceiling(
        r2=1 - share,
        pcc=math.sqrt(1 - share),
        pcc_plane=float(np.mean(within)) if within else None,
        noise_share=share,
        r2_careful=careful,
    )


def _noise_on_grid(
    stack: np.ndarray, truth: Volume, grid: Grid, axes: str
) -> np.ndarray:
    """Variance of the noise after the truth is brought onto the grid, by plane.

    Drawn, resampled and measured: a sample of the noise says what resampling leaves.
    """
    deviation = np.sqrt(noise_variance(stack, axes))
    rng = np.random.default_rng(_SEED)
    sample = rng.standard_normal(stack.shape, np.float32) * deviation
    carried = onto_grid(truth.with_(array=sample), grid)
    covered = np.isfinite(carried).all(axis=(1, 2))
    result = np.full(len(carried), np.nan)
    result[covered] = (carried[covered].astype(np.float64) ** 2).mean(axis=(1, 2))
    return result


def _by_level(level: np.ndarray, rough: np.ndarray) -> tuple[list[float], list[float]]:
    """Variance of the noise over bins of brightness: their centres, ascending."""
    order = np.argsort(level)
    centres, variances = [], []
    for some in np.array_split(order, min(BINS, max(1, len(order) // 200))):
        centres.append(float(level[some].mean(dtype=np.float64)))
        squares = rough[some].astype(np.float64) ** 2
        kept = squares
        for _ in range(_ROUNDS):
            inside = squares[squares <= STANDS_OUT**2 * kept.mean()]
            if len(inside) == len(kept):
                break
            kept = inside
        variances.append(float(kept.mean()))
    return centres, variances


def _variance(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.var(dtype=np.float64)) if finite.size else 0.0


def _share(noise: np.ndarray | float, total: float) -> float:
    """Noise over all variance, at most all of it."""
    return min(1.0, float(np.nanmean(noise)) / total)
