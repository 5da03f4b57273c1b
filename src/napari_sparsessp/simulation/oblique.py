"""Bright-field whose light does not come straight down the axis, as it seldom does."""

import math

import torch
import torch.nn.functional as F

from napari_sparsessp.simulation.contrasts import Contrast
from napari_sparsessp.simulation.parameters import ColonyParameters
from napari_sparsessp.simulation.transmitted import transmitted


def oblique_brightfield(
    p: ColonyParameters, index: torch.Tensor, absorption: torch.Tensor, voxel: float
) -> torch.Tensor:
    """Bright-field with the condenser off the axis, to first order.

    Light at an angle moves what is out of focus sideways: the object is slanted,
    imaged as if on the axis, and slanted back. And where the pupil cuts one side of
    the light more than the other, phase shows in focus as in relief, much as in DIC.

    Parameters
    ----------
    p : ColonyParameters
        Its `slant` is the tangent of the angle, its `relief` the share of relief.
    index, absorption : Tensor
        (D, H, W) real and imaginary refractive-index contrast; y and x wrap around.
    voxel : float
        µm.

    Returns
    -------
    Tensor
        (D, H, W), background 0, in units of its standard deviation.
    """
    index, absorption = (_slanted(p, one, 1) for one in (index, absorption))
    plain = transmitted(p, index, absorption, voxel)
    relief = transmitted(p, index, absorption, voxel, Contrast.DIC)
    mixed = (1 - p.relief) * _unit(plain) + p.relief * _unit(relief)
    return _unit(_slanted(p, mixed, -1))


def _slanted(p: ColonyParameters, volume: torch.Tensor, sign: int) -> torch.Tensor:
    """Move each plane sideways in proportion to its height."""
    depth, height, width = volume.shape
    pixels = sign * p.slant * (torch.arange(depth, device=volume.device) - depth / 2)
    theta = torch.zeros(depth, 2, 3, device=volume.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1.0
    theta[:, 0, 2] = pixels * (2 * math.cos(p.shear_angle) / width)
    theta[:, 1, 2] = pixels * (2 * math.sin(p.shear_angle) / height)
    size = [depth, 1, height, width]
    grid = F.affine_grid(theta, size, align_corners=False)
    # Not by a Fourier shift: opposite edges do not match, and the seam would ring.
    return F.grid_sample(
        volume[:, None], grid, mode="bicubic", padding_mode="reflection",
        align_corners=False,
    )[:, 0]  # fmt: skip


def _unit(stack: torch.Tensor) -> torch.Tensor:
    return (stack - stack.mean()) / stack.std().clamp_min(1e-9)
