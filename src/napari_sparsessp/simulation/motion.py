"""Live cells move while the planes of a stack are taken one after another."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F

from napari_sparsessp.simulation.fields import frequencies

REST = 0.9
"""Share of a displacement that is left a plane later."""


def drifting_speckle(
    stack: torch.Tensor, voxel: float, rate: float, generator: torch.Generator
) -> torch.Tensor:
    """Texture with a stack's own lateral spectrum that forgets itself along z.

    Of diffusing granules, the correlation between planes falls as exp(−rate q²) for
    each plane at the spatial frequency q, as it does in real stacks.

    Parameters
    ----------
    stack : Tensor
        (D, H, W)
    voxel : float
        µm.
    rate : float
        µm² a plane; about 0.5 in a stack of live hiPSC with 0.29 µm between planes.
    generator : Generator

    Returns
    -------
    Tensor
        (D, H, W), zero mean.
    """
    power = torch.fft.rfft2(stack - stack.mean()).abs().square().mean(0)
    lateral, _ = frequencies((1, stack.shape[1], stack.shape[2]), voxel)
    lateral = lateral[0].to(stack.device)
    bins = (torch.sqrt(lateral) / 0.06).long().flatten()
    counts = torch.bincount(bins).clamp_min(1)
    radial = torch.bincount(bins, power.flatten()) / counts
    gain = radial[bins].sqrt().view_as(power)
    speckle = _remembered(len(stack), gain, torch.exp(-rate * lateral), generator)
    speckle = torch.fft.irfft2(speckle, s=stack.shape[1:])
    return speckle - speckle.mean()


def jostled(
    stack: torch.Tensor,
    voxel: float,
    step: float,
    length: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Move the content of each plane about, smoothly in space, at random in time.

    Parameters
    ----------
    stack : Tensor
        (D, H, W)
    voxel : float
        µm.
    step : float
        Standard deviation of the movement along an axis from one plane to the next,
        µm; about 0.15 in a stack of live hiPSC.
    length : float
        Over which neighbours move together, µm.
    generator : Generator

    Returns
    -------
    Tensor
        (D, H, W)
    """
    depth, height, width = stack.shape
    lateral, _ = frequencies((1, height, width), voxel)
    lateral = lateral[0].to(stack.device)
    gain = torch.exp(-(math.pi**2) * lateral * length**2)
    memory = torch.full_like(gain, REST)
    # What is forgotten and made anew in a step has this share of the variance.
    size = step / math.sqrt(2 * (1 - REST))
    places = []
    for axis, extent in ((2, width), (1, height)):  # grid_sample wants x first
        moved = _remembered(depth, gain, memory, generator)
        moved = torch.fft.irfft2(moved, s=(height, width))
        pixels = size / voxel * moved / moved.std().clamp_min(1e-6)
        at = torch.arange(extent, device=stack.device, dtype=stack.dtype)
        at = at.view([extent if one == axis else 1 for one in range(3)])
        places.append((2 * (at + pixels) + 1) / extent - 1)
    grid = torch.stack(places, dim=-1)
    return F.grid_sample(
        stack[:, None], grid, mode="bicubic", padding_mode="reflection",
        align_corners=False,
    )[:, 0]  # fmt: skip


def _remembered(
    depth: int, gain: torch.Tensor, memory: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Random spectra (D, H, W/2 + 1), each `memory` times the one below, and new."""
    white = torch.view_as_complex(
        torch.randn((depth, *gain.shape, 2), generator=generator, device=gain.device)
    )
    fresh = torch.sqrt(1 - memory**2)
    for before, here in pairwise(white):
        here.mul_(fresh).add_(memory * before)
    return white.mul_(gain / math.sqrt(2))
