"""Losses: how far a prediction is from the labels that there are.

Each is computed for every sample and structure alone, over the voxels that count, and
averaged over those that have a label at all.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

_WINDOW = 11  # pixels, and their sigma: Wang et al. 2003, as in the original SSIM
_SIGMA = 1.5
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, 4
FOREGROUND = 1.0
"""Standard deviations above a stack's mean where its foreground begins."""
_SOFTNESS = 0.25  # of the foreground's border in the predicted image, likewise

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def project(
    prediction: torch.Tensor, weight: torch.Tensor, projected: torch.Tensor, how: str
) -> torch.Tensor:
    """Replace predictions by their projection over z where the label is one.

    Of a prediction (B, S, D, H, W); planes without `weight`, (B, S, D, H, W) or
    (B, S, D, 1, 1), take no part. `projected` is (B, S); `how`: ``mean`` or ``max``.
    """
    if not bool(projected.any()):
        return prediction
    inside = weight.amax((3, 4), keepdim=True) > 0
    if how == "max":
        flat = prediction.masked_fill(~inside, -torch.inf).amax(2, keepdim=True)
        # Without a label there is no plane at all.
        flat = torch.where(inside.any(2, keepdim=True), flat, 0.0)
    else:
        count = inside.sum(2, keepdim=True).clamp_min(1)
        flat = (prediction * inside).sum(2, keepdim=True) / count
    return torch.where(projected[:, :, None, None, None], flat, prediction)


def make_loss(name: str) -> Loss:
    """Return a loss: prediction, target, weight → number.

    Each (B, S, D, H, W), the weight also (B, S, D, 1, 1).
    """
    return {
        # Squared error: what R² measures, and what the paper minimises.
        "mse": lambda y, t, w: _labelled_mean(_weighted((y - t).square(), w), w),
        "l1": lambda y, t, w: _labelled_mean(_weighted((y - t).abs(), w), w),
        "l1_msssim": _l1_msssim,
        "foreground": _foreground,
    }[name]


def _labelled_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean over samples and structures that have a label; values are (B, S)."""
    labelled = weight.flatten(2).amax(2) > 0
    return (values * labelled).sum() / labelled.sum().clamp_min(1)


def _weighted(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean over voxels, (B, S)."""
    weight = weight.expand_as(values)
    return (values * weight).sum((2, 3, 4)) / weight.sum((2, 3, 4)).clamp_min(1e-6)


def _l1_msssim(
    prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Half absolute error, half 1 - MS-SSIM of the planes."""
    # What does not count agrees.
    seen = torch.where(weight > 0, prediction, target)
    unlike = 1 - ms_ssim(seen, target)
    absolute = _weighted((prediction - target).abs(), weight)
    return _labelled_mean(0.5 * absolute + 0.5 * unlike, weight)


def _foreground(
    prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Squared error, foreground and background counting equally, and Dice.

    Sparse structures fill a small part of a stack; a plain mean lets them vanish.
    """
    error = (prediction - target).square()
    bright = (target > FOREGROUND).float()
    apart = 0.5 * (_weighted(error, weight * bright) + _weighted(error, weight))
    shown = torch.sigmoid((prediction - FOREGROUND) / _SOFTNESS) * weight
    bright = bright * weight
    common = (shown * bright).sum((2, 3, 4))
    both = shown.sum((2, 3, 4)) + bright.sum((2, 3, 4))
    # A patch without foreground asks for none; 1 keeps 0 / 0 away.
    dice = (2 * common + 1) / (both + 1)
    return _labelled_mean(apart + 0.5 * (1 - dice), weight)


def ms_ssim(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Multi-scale structural similarity of planes (Wang et al. 2003)."""
    batch, structures, depth, height, width = target.shape
    span = target.flatten(2).amax(2) - target.flatten(2).amin(2)
    span = span.clamp_min(1.0).repeat_interleave(depth)[:, None, None, None]
    one = prediction.reshape(-1, 1, height, width)
    other = target.reshape(-1, 1, height, width)
    scales = 1
    while scales < 5 and min(height, width) >> scales >= _WINDOW:
        scales += 1
    weights = torch.tensor(_SCALE_WEIGHTS[:scales], device=target.device)
    weights = weights / weights.sum()
    result = torch.ones(len(one), device=target.device)
    for scale in range(scales):
        luminance, contrast = _ssim_parts(one, other, span)
        part = contrast if scale < scales - 1 else luminance * contrast
        # Negative similarity has no fractional power.
        result = result * part.flatten(1).mean(1).clamp_min(1e-4) ** weights[scale]
        one, other = F.avg_pool2d(one, 2), F.avg_pool2d(other, 2)
    return result.reshape(batch, structures, depth).mean(2)


def _ssim_parts(
    one: torch.Tensor, other: torch.Tensor, span: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Luminance and contrast-structure terms, (N, 1, h, w)."""
    size = min(_WINDOW, *one.shape[-2:])
    ramp = torch.arange(size, device=one.device) - (size - 1) / 2
    line = torch.exp(-(ramp**2) / (2 * _SIGMA**2))
    line = line / line.sum()

    def blur(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.conv2d(x, line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1))

    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    mean_1, mean_2 = blur(one), blur(other)
    var_1 = blur(one * one) - mean_1**2
    var_2 = blur(other * other) - mean_2**2
    both = blur(one * other) - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    return luminance, (2 * both + c2) / (var_1 + var_2 + c2)
