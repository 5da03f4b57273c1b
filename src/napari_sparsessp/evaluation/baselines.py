"""Scores to read others by: trivial predictors, and the noise ceiling of a truth.

Trivial predictors are scored like a model: it has to beat them. None of them is fitted
to the truth. Those made of the transmitted light are brought to mean 0 and deviation 1,
the mean and the deviation of a z-scored truth, and their sign is set beforehand: that
is all they know. They see every plane of the stack, whatever the model is given.

The noise ceiling is the score of a perfect prediction. A truth y = s + n is the
structure's image s plus noise n, and s itself scores R² = 1 − σ²/Var(y) against y. The
mean variance σ² of n is estimated from second differences along z, y and x, on the
truth's own voxels, and carried to the grid of the scores, because resampling averages
noise away. docs/evaluation.md has the derivation and where its assumptions fail.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.prediction.scoring import onto_grid
from napari_sparsessp.volume import Grid, Volume

WINDOW = 1.0
"""µm; standard deviation of the window for local smoothness: finer than a nucleus
(10 µm) and coarser than the speckle of bright-field. Not tuned on any truth."""

BASELINES = {
    "plane_mean": (
        "mean intensity by plane",
        "each plane is the mean of the truth in the planes above and below it, never "
        "in itself: knows how brightness runs along z and nothing else",
    ),
    "smoothness": (
        "local smoothness",
        "minus the local standard deviation of the transmitted light (Gaussian window "
        f"of {WINDOW:g} µm), z-scored: bright where the image is smooth",
    ),
    "input": ("the input itself", "the transmitted light, z-scored"),
    "negative": ("its negative", "minus the transmitted light, z-scored"),
}
"""Label and explanation of each trivial predictor, by its name in the report."""

LEVELS = 32
"""Levels of brightness, each with as many voxels."""

STANDS_OUT = 4.0
"""Standard deviations; white noise goes further in one voxel of 16 000."""

_ROUNDS = 5
_SEED = 20240702  # the noise that is carried through a resampling is always the same


def with_fitted(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Add ``r2_fitted`` to the scores of one structure.

    It is R² after the best straight line through prediction and truth, Pearson's
    squared: the score if only brightness and contrast were wrong. It knows two numbers
    of the truth; 0 where Pearson is negative, for a line that turns the prediction
    around is no help.
    """
    pcc = scores.get("pcc")
    return {**scores, "r2_fitted": None if pcc is None else max(0.0, pcc) ** 2}


def light_predictors(
    transmitted: Any, pixel: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Make the trivial predictors out of the transmitted light.

    ``smoothness``, ``input``, ``negative``: (D, H, W) float32.
    """
    from scipy.ndimage import gaussian_filter

    sigma = [WINDOW / step for step in pixel]
    light = np.asarray(transmitted, np.float32)
    try:
        light = zscore_truth(light)
        rough = np.empty_like(light)
        for plane, result in zip(light, rough, strict=True):
            # Of a z-scored image: raw counts would lose their digits in the square.
            mean = gaussian_filter(plane, sigma)
            square = gaussian_filter(plane * plane, sigma)
            result[:] = np.sqrt(np.maximum(square - mean * mean, 0))
        smooth = zscore_truth(-rough)
    except InputError as error:
        raise InputError(
            "the transmitted light is constant, so no baseline can be made of it; "
            "choose another channel"
        ) from error
    return {"smoothness": smooth, "input": light, "negative": -light}


def plane_mean(truth: Any) -> np.ndarray:
    """Return each plane as the mean of its neighbours along z; never its own.

    (D, H, W) float32. A plane without neighbours is 0, the mean of the stack.
    """
    stack = np.asarray(truth, np.float32)
    finite = [plane[np.isfinite(plane)] for plane in stack]
    means = [some.mean(dtype=np.float64) if some.size else np.nan for some in finite]
    beside = np.array([[np.nan, *means[:-1]], [*means[1:], np.nan]])
    known = np.isfinite(beside)
    result = np.zeros_like(stack)
    total = np.where(known, beside, 0).sum(0) / np.maximum(known.sum(0), 1)
    result[:] = total[:, None, None]
    return result


def score_baselines(
    transmitted: Volume, truths: Mapping[str, np.ndarray], grid: Grid
) -> dict[str, dict[str, dict[str, Any]]]:
    """Score every trivial predictor against every truth.

    Structure id to baseline to scores, with ``r2_fitted``.
    """
    predictors = light_predictors(onto_grid(transmitted, grid), grid.voxel_size[1:])
    result = {}
    for name, truth in truths.items():
        its = {"plane_mean": plane_mean(zscore_truth(truth)), **predictors}
        result[name] = {
            which: with_fitted(score(its[which], truth)) for which in BASELINES
        }
    return result


@dataclass(frozen=True)
class Ceiling:
    """The best scores that a noise-free prediction could reach."""

    # r2, pcc, pcc_plane: By the `zyx` estimate; a truth with fewer than 3 planes is
    # judged by `yx`
    r2: float
    pcc: float
    pcc_plane: float | None
    noise_share: float  # Variance of the noise as a share of that of the scored truth
    # R² by the `z` estimate; None where there are fewer than 3 planes
    r2_careful: float | None


def noise_variance(stack: Any, axes: str = "zyx") -> np.ndarray:
    """Estimate the variance of independent noise in every voxel.

    (D, H, W) float32, in squared units of the stack: a function of the local mean
    alone.
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

    `truth` lies on its own grid, as it was recorded; scores are taken on `grid`.
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
    for some in np.array_split(order, min(LEVELS, max(1, len(order) // 200))):
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
