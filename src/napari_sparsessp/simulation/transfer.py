"""How much of each spatial frequency of a weak object reaches the image."""

import math

import torch

from napari_sparsessp.simulation.contrasts import Contrast
from napari_sparsessp.simulation.parameters import ColonyParameters

SOFT_PUPIL = 0.04
"""Width of the pupil's edge over its radius; a hard one rings on a grid."""


def fast_length(least: int) -> int:
    """The smallest product of 2, 3 and 5 that is not less: FFTs are quick there."""
    length = least
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


def weak_object_transfer(
    p: ColonyParameters,
    depth: int,
    voxel: float,
    q: torch.Tensor,
    contrast: Contrast = Contrast.BRIGHT_FIELD,
) -> torch.Tensor:
    """Partially coherent transfer ⟨c(s+q)/c(s) exp(2πi Δz (γ(s+q) − γ(s)))⟩ over s.

    The first-order image of a weak thick object in Köhler illumination (Streibl
    1985, doi 10.1364/JOSAA.2.000121; in the scalar first Born approximation, Soto,
    Rodrigo & Alieva 2017, doi 10.1364/OE.25.015699), with s over the condenser's
    aperture and γ(f) = sqrt((n/λ)² − f²). c is the objective's pupil, softened at
    its edge, times n/(λγ), because oblique light is scattered along a longer way.
    For a symmetric source the phase part of the image is −2 Im, the absorption part
    −2 Re of it.

    In phase contrast s runs over an annulus, whose image in the pupil the phase ring
    dims and turns by a quarter wave (Zernike 1942, doi 10.1016/S0031-8914(42)80035-X;
    Noda, Kawata & Minami 1990, doi 10.1364/AO.29.003810). DIC has the transfer of
    bright-field times a factor of q alone, see `transmitted`.

    Parameters
    ----------
    p : ColonyParameters
    depth : int
        Planes D of the object.
    voxel : float
        µm.
    q : Tensor
        (Q,) lateral spatial frequencies, cycles/µm.
    contrast : Contrast

    Returns
    -------
    Tensor
        (2 D − 1, Q) complex, for image plane minus object plane from −(D−1)
        to D−1 voxels.
    """
    wave = p.medium / p.wavelength
    pupil = p.objective_na / p.wavelength
    ring = contrast == Contrast.PHASE_CONTRAST
    radius, sx, sy = _ring_source(p, q) if ring else _disc_source(p, q)
    shifted = torch.sqrt((sx[:, None] + q[None]) ** 2 + sy[:, None] ** 2)
    passed = torch.sigmoid((pupil - shifted) / (SOFT_PUPIL * pupil))
    gamma = torch.sqrt((wave**2 - shifted**2).clamp_min(0.01))
    gamma0 = torch.sqrt((wave**2 - radius**2).clamp_min(0.01))[:, None]
    # Nothing that the pupil stops may grow without bound on the way to it.
    passed = passed * wave / gamma.clamp_min(math.sqrt(wave**2 - pupil**2))
    if ring:
        passed = passed * _beside_ring(p, shifted)
    # Inverted microscope: the light travels towards the objective, to smaller z.
    steps = torch.arange(depth, device=q.device, dtype=q.dtype)[:, None, None]
    phase = 2 * math.pi * voxel * steps * (gamma - gamma0)[None]
    waves = torch.polar(torch.ones_like(phase), phase)
    below = (waves * passed).mean(1)
    above = (waves.conj() * passed).mean(1)
    return torch.cat([below.flip(0), above[1:]])


def _disc_source(
    p: ColonyParameters, like: torch.Tensor, points: int = 240
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return _spiral(0.0, p.condenser_na / p.wavelength, like, points)


def _ring_source(
    p: ColonyParameters, like: torch.Tensor, points: int = 480
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The condenser's annulus; its image fills 80 % of the phase ring's width."""
    middle = p.ring_na / p.wavelength
    half = 0.4 * p.ring_width * middle
    return _spiral(middle - half, middle + half, like, points)


def _spiral(
    inner: float, outer: float, like: torch.Tensor, points: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points spread evenly over an annulus: radius, x, y."""
    k = (torch.arange(points, device=like.device, dtype=like.dtype) + 0.5) / points
    radius = torch.sqrt(inner**2 + (outer**2 - inner**2) * k)
    angle = math.pi * (3 - math.sqrt(5)) * points * k
    return radius, radius * torch.cos(angle), radius * torch.sin(angle)


def _beside_ring(p: ColonyParameters, frequency: torch.Tensor) -> torch.Tensor:
    """The phase plate against what it does to the direct light: 1 on the ring."""
    middle = p.ring_na / p.wavelength
    half = 0.5 * p.ring_width * middle
    on = torch.sigmoid((half - (frequency - middle).abs()) / (0.05 * half))
    # Positive contrast: what is denser than the medium is darker.
    beside = complex(0, 1) / math.sqrt(p.ring_transmission)
    return on + (1 - on) * beside
