"""Score a prediction against its ground truth: R², MSE, MAE, Pearson, SSIM.

The paper's definitions: the truth is z-scored over its whole stack, the prediction is
taken as it is, and R² = 1 - SSE / SST over all voxels is what scikit-learn's `r2_score`
gives. A trend along z alone makes a good Pearson over the volume (`pcc`) but none
within planes (`pcc_plane`); judge real data by the latter.

Everything is streamed plane by plane in float64, so that a stack need not fit into
memory. What is not defined (Pearson of a constant plane) is None, never NaN, so that
reports stay valid JSON. Voxels that are not finite in either image are left out.

Examples
--------
>>> from napari_sparsessp import metrics
>>> metrics.r2([1.0, 2.0, 3.5], [1.0, 2.0, 3.0])
0.875
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError

# A spread below this share of the mean is rounding of a constant image: float64 sums
# of equal numbers err by some 1e-16 of them.
_CONSTANT = 1e-12

_SAMPLE = 4_000_000  # voxels, at least, that quartiles of a larger stack are taken of

_SSIM_WINDOW = 7  # scikit-image's default, in pixels


@dataclass
class PixelSums:
    """Sums over voxel pairs from which R², MSE, MAE and Pearson follow.

    Blocks may come in any order and of any size: means and centred sums are merged
    after Chan et al. 1979, without the cancellation that plain sums of squares suffer
    on raw camera counts.
    """

    count: int = 0  # Voxel pairs so far
    mean_prediction: float = 0.0
    mean_truth: float = 0.0
    # Sums of squared (and of crossed) deviations from the means
    spread_prediction: float = 0.0
    spread_truth: float = 0.0
    spread_both: float = 0.0
    squared_error: float = 0.0  # Sums of (prediction - truth)² and of its magnitude
    absolute_error: float = 0.0

    def update(self, prediction: Any, truth: Any) -> PixelSums:
        """Add a block of voxel pairs of any one shape and return self."""
        predicted = np.asarray(prediction, dtype=np.float64)
        true = np.asarray(truth, dtype=np.float64)
        if predicted.shape != true.shape:
            raise InputError(
                f"prediction {predicted.shape} and truth {true.shape} differ in shape; "
                "bring them onto one grid"
            )
        valid = np.isfinite(predicted) & np.isfinite(true)
        if not valid.all():
            predicted, true = predicted[valid], true[valid]
        if predicted.size:
            self.merge(_sums_of_block(predicted.ravel(), true.ravel()))
        return self

    def merge(self, other: PixelSums) -> PixelSums:
        """Add the sums of another accumulator and return self."""
        count = self.count + other.count
        if not other.count:
            return self
        share = other.count / count
        step_p = other.mean_prediction - self.mean_prediction
        step_t = other.mean_truth - self.mean_truth
        weight = self.count * share
        self.spread_prediction += other.spread_prediction + weight * step_p * step_p
        self.spread_truth += other.spread_truth + weight * step_t * step_t
        self.spread_both += other.spread_both + weight * step_p * step_t
        self.mean_prediction += share * step_p
        self.mean_truth += share * step_t
        self.squared_error += other.squared_error
        self.absolute_error += other.absolute_error
        self.count = count
        return self

    @property
    def mse(self) -> float | None:
        """Mean squared error."""
        return self.squared_error / self.count if self.count else None

    @property
    def mae(self) -> float | None:
        """Mean absolute error."""
        return self.absolute_error / self.count if self.count else None

    @property
    def r2(self) -> float | None:
        """R² = 1 - SSE / SST; None where the truth is constant."""
        if _is_constant(self.spread_truth, self.mean_truth, self.count):
            return None
        return 1.0 - self.squared_error / self.spread_truth

    @property
    def pcc(self) -> float | None:
        """Pearson's correlation; None where either image is constant."""
        for spread, mean in (
            (self.spread_truth, self.mean_truth),
            (self.spread_prediction, self.mean_prediction),
        ):
            if _is_constant(spread, mean, self.count):
                return None
        product = math.sqrt(self.spread_prediction) * math.sqrt(self.spread_truth)
        return min(1.0, max(-1.0, self.spread_both / product))


def r2(prediction: Any, truth: Any) -> float | None:
    """Return R² = 1 - SSE / SST, as scikit-learn's `r2_score`; no z-scoring."""
    return PixelSums().update(prediction, truth).r2


def mse(prediction: Any, truth: Any) -> float | None:
    """Return the mean squared error; no z-scoring."""
    return PixelSums().update(prediction, truth).mse


def mae(prediction: Any, truth: Any) -> float | None:
    """Return the mean absolute error; no z-scoring."""
    return PixelSums().update(prediction, truth).mae


def pcc(prediction: Any, truth: Any) -> float | None:
    """Return Pearson's correlation over all voxels."""
    return PixelSums().update(prediction, truth).pcc


def zscore_truth(truth: Any) -> np.ndarray:
    """Bring a truth (D, H, W), maybe lazy, to mean 0 and standard deviation 1.

    InputError: it is constant or has no finite voxel.
    """
    mean, deviation = _truth_moments(truth)
    result = np.empty(truth.shape, np.float32)
    for index in range(truth.shape[0]):
        result[index] = (_plane(truth, index) - mean) / deviation
    return result


def iqr_units(truth: Any) -> tuple[float, float]:
    """Return interquartile range and median of a truth (D, H, W), maybe lazy.

    A prediction in interquartile ranges above the median comes into the truth's units
    by this gain and offset. Of voxels evenly spread over a large one.
    """
    step = max(1, math.prod(truth.shape) // _SAMPLE)
    parts = []
    for index in range(truth.shape[0]):
        plane = np.asarray(truth[index], np.float32).ravel()[index % step :: step]
        parts.append(plane[np.isfinite(plane)])
    values = np.concatenate(parts)
    if not values.size:
        return 1.0, 0.0
    low, middle, high = np.percentile(values, (25, 50, 75))
    return float(high - low), float(middle)


def score(
    prediction: Any, truth: Any, *, planes: Sequence[int] | None = None
) -> dict[str, Any]:
    """Score a predicted stack against its truth, as the report has it.

    Parameters
    ----------
    prediction, truth
        Shape (D, H, W); may be lazy. The prediction is in units of the z-scored truth
        and is not refitted; the truth, in any unit, is z-scored here.
    planes
        Score these planes only. The z-score and the [0, 1] scaling are still those of
        the whole stacks.

    Returns
    -------
    ``r2``, ``mse``, ``mae``, ``pcc``: over all voxels. ``pcc_plane``: mean of the
    planes' Pearson, without planes where it is not defined. ``ssim``, ``psnr``,
    ``nrmse``: after each stack is scaled to [0, 1] by its own minimum and maximum;
    psnr in dB, nrmse relative to the range, ssim as the mean over planes of
    scikit-image's ``structural_similarity(truth, prediction, data_range=1)``.
    ``r2_per_plane``: list of R², each within its plane. None where not defined.
    """
    if tuple(prediction.shape) != tuple(truth.shape) or len(truth.shape) != 3:
        raise InputError(
            f"prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)} must "
            "be stacks (z, y, x) of one shape; bring them onto one grid"
        )
    depth = int(truth.shape[0])
    chosen = range(depth) if planes is None else [int(plane) for plane in planes]
    if not chosen or not all(0 <= plane < depth for plane in chosen):
        raise InputError(f"planes to score must be among the {depth} of the stack")
    mean, deviation = _truth_moments(truth)
    unit_p, unit_t = _unit_scale(prediction), _unit_scale(truth)
    whole, scaled = PixelSums(), PixelSums()
    within: list[PixelSums] = []
    similar: list[float | None] = []
    for plane in chosen:
        predicted, true = _plane(prediction, plane), _plane(truth, plane)
        within.append(PixelSums().update(predicted, (true - mean) / deviation))
        whole.merge(within[-1])
        pair = (unit_p(predicted), unit_t(true))
        scaled.update(*pair)
        similar.append(_plane_ssim(*pair))
    unit_mse = scaled.mse
    return {
        "r2": whole.r2,
        "mse": whole.mse,
        "mae": whole.mae,
        "pcc": whole.pcc,
        "pcc_plane": _mean_of_defined(sums.pcc for sums in within),
        "ssim": _mean_of_defined(similar),
        "psnr": -10 * math.log10(unit_mse) if unit_mse else None,
        "nrmse": None if unit_mse is None else math.sqrt(unit_mse),
        "r2_per_plane": [sums.r2 for sums in within],
    }


def _sums_of_block(predicted: np.ndarray, true: np.ndarray) -> PixelSums:
    mean_p, mean_t = float(predicted.mean()), float(true.mean())
    error = predicted - true
    # numpy's sum is pairwise; a dot product would sum in one chain.
    off_p, off_t = predicted - mean_p, true - mean_t
    return PixelSums(
        count=predicted.size,
        mean_prediction=mean_p,
        mean_truth=mean_t,
        spread_prediction=float((off_p * off_p).sum()),
        spread_truth=float((off_t * off_t).sum()),
        spread_both=float((off_p * off_t).sum()),
        squared_error=float((error * error).sum()),
        absolute_error=float(np.abs(error).sum()),
    )


def _is_constant(spread: float, mean: float, count: int) -> bool:
    return count == 0 or spread <= count * (_CONSTANT * mean) ** 2


def _plane(stack: Any, index: int) -> np.ndarray:
    return np.asarray(stack[index], dtype=np.float64)


def _truth_moments(truth: Any) -> tuple[float, float]:
    """Return mean and standard deviation of the finite voxels of a whole stack."""
    sums = PixelSums()
    for index in range(truth.shape[0]):
        plane = _plane(truth, index)
        sums.update(plane, plane)
    if _is_constant(sums.spread_truth, sums.mean_truth, sums.count):
        raise InputError(
            "the ground truth is constant, so nothing can be scored against it; "
            "choose another channel or file"
        )
    return sums.mean_truth, math.sqrt(sums.spread_truth / sums.count)


def _unit_scale(stack: Any) -> Any:
    """Return the function that maps this stack's range to [0, 1]; a constant to 0."""
    low, high = math.inf, -math.inf
    for index in range(stack.shape[0]):
        plane = _plane(stack, index)
        finite = plane[np.isfinite(plane)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    extent = high - low if high > low else 1.0
    return lambda plane: (plane - low) / extent


def _plane_ssim(predicted: np.ndarray, true: np.ndarray) -> float | None:
    """Return SSIM of a plane in [0, 1]; None where a window does not fit or see all."""
    if min(true.shape) < _SSIM_WINDOW:
        return None
    if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        return None
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(true, predicted, win_size=_SSIM_WINDOW, data_range=1.0)
    )


def _mean_of_defined(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


FIELDS = ("r2", "mse", "mae", "pcc", "pcc_plane", "ssim")
"""Scores of the report that are averaged."""

LOWER_IS_BETTER = frozenset({"mse", "mae", "nrmse"})


@dataclass(frozen=True)
class Means:
    """Means of a score over images and over structures."""

    over_images: float | None  # None where nothing is defined
    over_structures: float | None
    structures: dict[str, float]  # Structure id to its mean over its images


def means(images: Iterable[tuple[str, float | None]]) -> Means:
    """Average the scores (structure id, value) of images; None is left out.

    An image is a stack of one structure, as in the paper's data sets: a field with two
    labelled structures counts as two. The mean over images weighs a structure by its
    number of images (so the public code computes "All"); the mean over structures
    weighs all structures alike (so the paper says).
    """
    values: dict[str, list[float]] = {}
    for structure, value in images:
        if value is not None:
            values.setdefault(structure, []).append(float(value))
    structures = {name: sum(some) / len(some) for name, some in values.items()}
    everything = [value for some in values.values() for value in some]
    if not everything:
        return Means(None, None, {})
    over_structures = sum(structures.values()) / len(structures)
    return Means(sum(everything) / len(everything), over_structures, structures)


def mean_fields(
    images: Sequence[Mapping[str, Mapping[str, Any]]],
) -> dict[str, dict[str, float | None]]:
    """Average every score of some fields of view, each as a report has it.

    Returns ``{"over_images": {"r2": …}, "over_structures": {"r2": …}}``.
    """
    both = {
        field: means(
            (structure, scores.get(field))
            for image in images
            for structure, scores in image.items()
        )
        for field in FIELDS
    }
    return {
        "over_images": {name: each.over_images for name, each in both.items()},
        "over_structures": {name: each.over_structures for name, each in both.items()},
    }


def improvement(base: float, value: float, score: str) -> float:
    """Return Δ_Imp in percent: how much better a score is than a baseline's.

    (M_base − M) / M_base for errors, (M − M_base) / M_base for the rest; the paper
    takes M over all images, with the dense Multi-Net as the baseline. InputError: the
    baseline is not above 0, so that a percentage of it means nothing.
    """
    if not base > 0:
        raise InputError(
            f"an improvement over a baseline of {base:g} has no percentage; "
            "compare the scores themselves"
        )
    gain = base - value if score in LOWER_IS_BETTER else value - base
    return 100 * gain / base
