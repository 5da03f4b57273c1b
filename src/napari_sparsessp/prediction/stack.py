"""The measured planes, read, checked, normalised and on the model's pixels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.tiling import Tile
from napari_sparsessp.resampling import resample_yx

if TYPE_CHECKING:
    import torch

CLIP = (0.05, 99.95)
"""Percentiles outside which values do not count for the normalisation: hot pixels."""


@dataclass(frozen=True)
class Normalisation:
    """Input values become (value − mean) / std.

    Attributes
    ----------
    mean, std : float
        Of the measured planes; 0 and 1 where a model takes them as they are.
    """

    mean: float
    std: float


@dataclass(frozen=True, eq=False)
class MeasuredStack:
    """What the network may look at; planes that were not measured never get here.

    Attributes
    ----------
    planes : Tensor
        (n, H', W') float32, normalised, on the model's pixels, padded at the far
        edges to multiples of the network's stride.
    weights : Tensor
        (D, n) share of each measured plane in each dense plane.
    distance : Tensor
        (D,) signed distance to the nearest measured plane.
    invalid : ndarray or None
        (n, H, W) bool on the model's pixels: NaN or infinite in the input.
    normalisation : Normalisation
    """

    planes: "torch.Tensor"
    weights: "torch.Tensor"
    distance: "torch.Tensor"
    invalid: np.ndarray | None
    normalisation: Normalisation

    def window(self, tile: Tile) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Interpolated input of a tile.

        Returns
        -------
        dense : Tensor
            (D, h, w); planes beyond the volume repeat its ends.
        distance : Tensor
            (D,)
        """
        import torch

        last = len(self.weights) - 1
        index = torch.arange(*tile.z)
        inside = index.clamp(0, last)
        weights = self.weights[inside]
        used = weights.any(0).nonzero()[:, 0]
        area = self.planes[used, slice(*tile.read_y), slice(*tile.read_x)]
        dense = torch.einsum("dn,nhw->dhw", weights[:, used], area)
        return dense, self.distance[inside] + (index - inside)


def normalise(planes: np.ndarray, scaling: str = "robust") -> Normalisation:
    """Mean and standard deviation of the finite values, as the model wants them.

    Parameters
    ----------
    planes : ndarray
        All measured planes.
    scaling : {"robust", "zscore", "none"}
        ``robust``: without the most extreme values, from a sample of 4 million.
        ``zscore``: of every value, as published checkpoints were trained.

    Raises
    ------
    InputError
        The image is constant.
    """
    mean, std = (_clipped if scaling == "robust" else _plain)(planes)
    if std > 1e-9 * max(abs(mean), 1e-30):
        return Normalisation(mean, std)
    raise InputError(
        "the image is constant, so there is nothing to predict from; check that the "
        "right channel and file were chosen"
    )


def _clipped(planes: np.ndarray) -> tuple[float, float]:
    """Mean and deviation of a sample without its most extreme values."""
    step = max(1, planes.size // 4_000_000)
    sample = planes.reshape(-1)[::step]
    sample = sample[np.isfinite(sample)].astype(np.float64)
    if not sample.size:
        return 0.0, 0.0
    inner = np.clip(sample, *np.percentile(sample, CLIP))
    return float(inner.mean()), float(inner.std())


def _plain(planes: np.ndarray) -> tuple[float, float]:
    """Mean and deviation of all finite values; a plane at a time, to save memory."""
    count, total, squares = 0, 0.0, 0.0
    first = planes[0][np.isfinite(planes[0])]
    origin = float(first.mean(dtype=np.float64)) if first.size else 0.0
    for plane in planes:
        values = plane[np.isfinite(plane)] - origin  # so that squares cancel little
        count += values.size
        total += float(values.sum(dtype=np.float64))
        squares += float(np.square(values, dtype=np.float64).sum())
    if not count:
        return 0.0, 0.0
    mean = total / count
    return origin + mean, max(squares / count - mean**2, 0.0) ** 0.5


def read_stack(plan: Plan, time: int | None) -> MeasuredStack:
    """Read the measured planes of one time point.

    Parameters
    ----------
    plan : Plan
    time : int or None
        Index on the input's time axis.

    Raises
    ------
    InputError
        NaN or infinite values (unless masked on request), a constant image, or a
        damaged file.
    """
    import torch

    volume = plan.volume if time is None else plan.volume.time(time)
    planes = volume.planes(plan.view.planes)
    finite = np.isfinite(planes)
    invalid = None
    if not finite.all():
        _check_invalid(plan, finite)
        invalid = ~finite
    normalisation = normalise(planes, plan.card.scaling)
    if invalid is not None:
        planes[invalid] = normalisation.mean
    if plan.card.scaling == "none":
        normalisation = Normalisation(0.0, 1.0)
    size = plan.model_shape[1:]
    resampled = resample_yx(planes, plan.input_pixel, plan.model_pixel, size)
    resampled -= normalisation.mean
    resampled /= normalisation.std
    padding = [(0, -extent % plan.tile_size.stride) for extent in size]
    padded = np.pad(resampled, [(0, 0), *padding], mode="edge")
    if invalid is not None:
        spread = resample_yx(invalid, plan.input_pixel, plan.model_pixel, size)
        invalid = spread > 0
    return MeasuredStack(
        torch.from_numpy(padded),
        torch.from_numpy(plan.view.weights(plan.card.interpolation)),
        torch.from_numpy(plan.view.distance()),
        invalid,
        normalisation,
    )


def _check_invalid(plan: Plan, finite: np.ndarray) -> None:
    if not finite.any():
        raise InputError(
            "every value of the image is NaN or infinite, so there is nothing to "
            "predict from; check that the right channel and file were chosen"
        )
    if plan.request.mask_invalid:
        return
    bad = ~finite
    where = int(np.argmax(bad.any(axis=(1, 2))))
    count = int(bad.sum())
    raise InputError(
        f"the image has {count} NaN or infinite values, first in plane "
        f"{plan.view.planes[where]}; mend the file, or ask to mask them "
        "(--mask-invalid)"
    )
