"""Fluorescence through a spinning-disk confocal, and what a camera makes of light."""

import math

import torch

from napari_sparsessp.simulation.fields import along_z, axial_blur, frequencies
from napari_sparsessp.simulation.parameters import ColonyParameters

HAZE_XY, HAZE_Z = 1.5, 3.0
"""Standard deviations of the haze, µm."""

HAZE_LIMIT = 0.6
"""Cycles/µm beyond which less than a millionth of the haze is left."""


def fluorescence(
    p: ColonyParameters, density: torch.Tensor, voxel: float
) -> torch.Tensor:
    """Expected (noise-free) image of label densities by a spinning-disk confocal.

    Parameters
    ----------
    density : Tensor
        (S, D, H, W); one structure after another is transformed.

    Returns
    -------
    Tensor
        (S, D, H, W) ≥ 0: the focus plus a haze of light from elsewhere.
    """
    depth, height, width = density.shape[1:]
    lateral, _ = frequencies((1, height, width), voxel)
    lateral = lateral[0].to(density.device)
    focus = torch.exp(-2 * math.pi**2 * p.blur_xy**2 * lateral)
    focus_z = axial_blur(depth, p.blur_z, voxel).to(density)
    # Out of focus only the coarsest part is left.
    rows = int((lateral[: height // 2 + 1, 0].sqrt() < HAZE_LIMIT).sum())
    columns = int((lateral[0].sqrt() < HAZE_LIMIT).sum())
    far = p.haze * torch.exp(-2 * math.pi**2 * HAZE_XY**2 * lateral)
    far_z = axial_blur(depth, HAZE_Z, voxel).to(density)
    images = torch.empty_like(density)
    for one, image in zip(density, images, strict=True):
        spectrum = torch.fft.rfft2(one)
        sharp = along_z(focus_z, spectrum).mul_(focus)
        for part in (slice(0, rows), slice(max(rows, height - rows + 1), None)):
            coarse = spectrum[:, part, :columns]
            sharp[:, part, :columns] += along_z(far_z, coarse) * far[part, :columns]
        torch.clamp_min(torch.fft.irfft2(sharp, s=(height, width)), 0, out=image)
    return images


def photon_noise(
    image: torch.Tensor, photons: float, read: float, generator: torch.Generator
) -> torch.Tensor:
    """Camera counts of an expected image: shot noise plus Gaussian read noise.

    Parameters
    ----------
    image : Tensor
        Expected image ≥ 0; its 99.9th percentile receives `photons` photons.
    photons, read : float
        Photons at the bright end, and read noise in photons.

    Returns
    -------
    Tensor
        Same shape, in the units of `image`.
    """
    bright = torch.quantile(
        image.flatten()[:: max(1, image.numel() // 1_000_000)], 0.999
    )
    scale = photons / bright.clamp_min(1e-9)
    counts = torch.poisson(image * scale, generator=generator)
    noise = torch.randn(image.shape, generator=generator, device=image.device) * read
    return (counts + noise) / scale


OFFSET = 100.0
"""Counts that a scientific CMOS camera adds, so that noise stays above zero."""

READ_NOISE = 1.6
"""Electrons, root mean square, of such a camera."""


def camera_stack(
    expected: torch.Tensor,
    photons: float,
    bleached: float,
    background: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """What the camera of a spinning-disk confocal counts of an expected image.

    The planes are taken one after another, from z = 0, and every exposure bleaches all
    of them: the label fades exponentially. Background does not.

    Parameters
    ----------
    expected : Tensor
        (D, H, W) ≥ 0; its 99.9th percentile would send `photons` photons unbleached.
    photons : float
        > 0.
    bleached : float
        Share of the label that is gone at the last plane, 0 to below 1.
    background : float
        Over `photons`.
    generator : Generator

    Returns
    -------
    Tensor
        (D, H, W) whole counts, one for each electron, `OFFSET` where it is dark.
    """
    depth = len(expected)
    bright = torch.quantile(
        expected.flatten()[:: max(1, expected.numel() // 1_000_000)], 0.999
    )
    time = torch.arange(depth, device=expected.device) / max(depth - 1, 1)
    left = torch.exp(math.log1p(-bleached) * time)[:, None, None]
    light = photons * (expected / bright.clamp_min(1e-9) * left + background)
    counts = torch.poisson(light, generator=generator)
    noise = torch.randn(light.shape, generator=generator, device=light.device)
    return (counts + READ_NOISE * noise + OFFSET).round().clamp(0, 65535)
