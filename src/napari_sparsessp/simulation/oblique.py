"""Bright-field whose light does not come straight down the axis, as it seldom does."""

import math

import torch

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
    index = _slanted(p, index, voxel, 1)
    absorption = _slanted(p, absorption, voxel, 1)
    plain = transmitted(p, index, absorption, voxel)
    relief = transmitted(p, index, absorption, voxel, Contrast.DIC)
    mixed = (1 - p.relief) * _unit(plain) + p.relief * _unit(relief)
    return _unit(_slanted(p, mixed, voxel, -1))


def _slanted(
    p: ColonyParameters, volume: torch.Tensor, voxel: float, sign: int
) -> torch.Tensor:
    """Move each plane sideways in proportion to its height."""
    depth, height, width = volume.shape
    fy = torch.fft.fftfreq(height, voxel, device=volume.device)[:, None]
    fx = torch.fft.rfftfreq(width, voxel, device=volume.device)[None]
    along = fy * math.sin(p.shear_angle) + fx * math.cos(p.shear_angle)
    z = torch.arange(depth, device=volume.device) * voxel
    angle = sign * 2 * math.pi * p.slant * z[:, None, None] * along
    spectrum = torch.fft.rfft2(volume) * torch.polar(torch.ones_like(angle), angle)
    return torch.fft.irfft2(spectrum, s=(height, width))


def _unit(stack: torch.Tensor) -> torch.Tensor:
    return (stack - stack.mean()) / stack.std().clamp_min(1e-9)
