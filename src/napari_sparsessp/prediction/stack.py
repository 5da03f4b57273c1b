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
        Of the measured planes without their most extreme values.
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


def normalise(planes: np.ndarray) -> Normalisation:
    """Robust mean and standard deviation of the finite values.

    Raises
    ------
    InputError
        The image is constant.
    """
    step = max(1, planes.size // 4_000_000)
    sample = planes.reshape(-1)[::step]
    sample = sample[np.isfinite(sample)].astype(np.float64)
    if sample.size:
        low, high = np.percentile(sample, CLIP)
        inner = np.clip(sample, low, high)
        mean, std = float(inner.mean()), float(inner.std())
        if std > 1e-9 * max(abs(mean), 1e-30):
            return Normalisation(mean, std)
    raise InputError(
        "the image is constant, so there is nothing to predict from; check that the "
        "right channel and file were chosen"
    )


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
    normalisation = normalise(planes)
    if invalid is not None:
        planes[invalid] = normalisation.mean
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
