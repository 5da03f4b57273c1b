"""What the microscope makes of a colony: bright-field and fluorescence."""

import math

import torch

from napari_sparsessp.simulation.fields import blur, frequencies
from napari_sparsessp.simulation.parameters import ColonyParameters

HAZE_XY, HAZE_Z = 1.5, 3.0
"""Standard deviations of the haze, µm."""

HAZE_LIMIT = 0.6
"""Cycles/µm beyond which less than a millionth of the haze is left."""


def weak_object_transfer(
    p: ColonyParameters, depth: int, voxel: float, q: torch.Tensor, sources: int = 240
) -> torch.Tensor:
    """Partially coherent transfer ⟨P(s+q) exp(2πi Δz (γ(s+q) − γ(s)))⟩ over the source.

    The first-order image of a weak object in Köhler illumination (Streibl 1985,
    doi 10.1364/JOSAA.2.000121), with s over the condenser's disc, P the objective's
    pupil (softened at its edge) and γ(f) = sqrt((n/λ)² − f²). For a symmetric source
    the phase part of the image is −2 Im, the absorption part −2 Re of it.

    Parameters
    ----------
    p : ColonyParameters
    depth : int
        Planes D of the object.
    voxel : float
        µm.
    q : Tensor
        (Q,) lateral spatial frequencies, cycles/µm.
    sources : int
        Points that stand for the condenser's disc.

    Returns
    -------
    Tensor
        (2 D − 1, Q) complex, for image plane minus object plane from −(D−1)
        to D−1 voxels.
    """
    wave = p.medium / p.wavelength
    pupil = p.objective_na / p.wavelength
    golden = math.pi * (3 - math.sqrt(5))
    k = torch.arange(sources, device=q.device) + 0.5
    radius = p.condenser_na / p.wavelength * torch.sqrt(k / sources)
    sx, sy = radius * torch.cos(golden * k), radius * torch.sin(golden * k)
    shifted = torch.sqrt((sx[:, None] + q[None]) ** 2 + sy[:, None] ** 2)
    passed = torch.sigmoid((pupil - shifted) / (0.04 * pupil))
    gamma = torch.sqrt((wave**2 - shifted**2).clamp_min(0.01))
    gamma0 = torch.sqrt((wave**2 - radius**2).clamp_min(0.01))[:, None]
    detune = 2 * math.pi * voxel * (gamma - gamma0)
    # Inverted microscope: the light travels towards the objective, to smaller z.
    steps = torch.arange(depth - 1, -depth, -1, device=q.device, dtype=q.dtype)
    phase = steps[:, None, None] * detune[None]
    return torch.complex(
        (passed * torch.cos(phase)).mean(1), (passed * torch.sin(phase)).mean(1)
    )


def brightfield(
    p: ColonyParameters, index: torch.Tensor, absorption: torch.Tensor, voxel: float
) -> torch.Tensor:
    """Noise-free bright-field stack of a weak object, background 1.

    Parameters
    ----------
    p : ColonyParameters
    index, absorption : Tensor
        (D, H, W) real and imaginary refractive-index contrast; y and x wrap around.
    voxel : float
        µm.

    Returns
    -------
    Tensor
        (D, H, W)
    """
    depth = index.shape[0]
    lateral, _ = frequencies((1, index.shape[1], index.shape[2]), voxel)
    q_plane = lateral[0].sqrt().to(index.device)
    table = torch.linspace(0, float(q_plane.max()), 160, device=index.device)
    transfer = weak_object_transfer(p, depth, voxel, table)
    # Distances between planes wrap around without meeting: 2 D - 1 fit.
    length = fast_length(2 * depth - 1)
    wrapped = torch.zeros(
        (length, len(table)), dtype=transfer.dtype, device=q_plane.device
    )
    wrapped[:depth] = transfer[depth - 1 :]
    wrapped[length - depth + 1 :] = transfer[: depth - 1]
    # The phase part is odd along z and the absorption part even: their spectra are
    # one real array each, and interpolating a spectrum is as good as its kernel.
    odd = torch.fft.fft(wrapped.imag, dim=0).imag
    even = torch.fft.fft(wrapped.real, dim=0).real
    position = q_plane / table[-1] * (len(table) - 1)
    low = position.long().clamp_max(len(table) - 2)
    share = position - low

    def at_each_frequency(values: torch.Tensor) -> torch.Tensor:
        return torch.lerp(values[:, low], values[:, low + 1], share)

    def along_z(volume: torch.Tensor) -> torch.Tensor:
        return torch.fft.fft(torch.fft.rfft2(volume), n=length, dim=0)

    spectrum = along_z(index).mul_(1j).mul_(at_each_frequency(odd))
    spectrum.add_(along_z(absorption).mul_(at_each_frequency(even)))
    planes = torch.fft.ifft(spectrum, dim=0)[:depth]
    contrast = torch.fft.irfft2(planes, s=index.shape[1:])
    strength = 4 * math.pi / p.wavelength * voxel
    return torch.exp((-strength * contrast).clamp(-3, 3))


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


def reshape_spectrum(
    stack: torch.Tensor, voxel: float, knee: float, slope: float, plateau: float,
    share: float, per_plane: bool,
) -> torch.Tensor:  # fmt: skip
    """Bend the lateral power spectrum of a stack towards a bent power law.

    Weak-object images lack power at large scales against real ones (absorption,
    imperfect condenser, multiple scattering); matching the radial spectrum by a
    linear filter makes networks trained on them transfer to real cells.

    Parameters
    ----------
    stack : Tensor
        (D, H, W); the result has zero mean.
    knee : float
        Frequency of the bend, cycles/µm.
    slope, plateau : float
        Power falls as f^−slope above the bend and as f^−plateau below.
    share : float
        0 leaves the stack as it is, 1 matches the target.
    per_plane : bool
        Match each plane instead of the stack's mean spectrum.
    """
    spectrum = torch.fft.rfft2(stack - stack.mean())
    lateral, _ = frequencies((1, stack.shape[1], stack.shape[2]), voxel)
    radius = lateral[0].sqrt().to(stack.device).clamp_min(1e-3)
    bins = (torch.log(radius / 0.015) / math.log(1.25)).long().clamp(0, 24)
    power = spectrum.abs() ** 2
    power = power if per_plane else power.mean(0, keepdim=True)
    counts = torch.bincount(bins.flatten(), minlength=25).clamp_min(1)
    sums = torch.zeros(len(power), 25, device=stack.device)
    sums.index_add_(1, bins.flatten(), power.flatten(1))
    radial = sums / counts
    # A floor keeps the filter from blowing up what the optics did not transmit.
    radial = torch.log(radial + 1e-4 * radial.amax(1, keepdim=True))
    smooth = torch.nn.functional.avg_pool1d(
        torch.nn.functional.pad(radial[:, None], (1, 1), mode="replicate"), 3, 1
    )[:, 0]
    target = -plateau * torch.log(radius / knee) - torch.log1p(
        (radius / knee) ** (slope - plateau)
    )
    # Nothing is known below the field's size and beyond the sampling limit.
    target = target - 2 * torch.log1p((0.05 / radius) ** 2) - (radius / 1.7) ** 8
    gain = torch.exp((0.5 * share * (target[None] - smooth[:, bins])).clamp(-12, 12))
    gain[:, 0, 0] = 0.0
    shaped = torch.fft.irfft2(spectrum * gain, s=stack.shape[1:])
    return shaped - shaped.mean()


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
    focus_z = _axial_blur(depth, p.blur_z, voxel).to(density)
    # Out of focus only the coarsest part is left.
    rows = int((lateral[: height // 2 + 1, 0].sqrt() < HAZE_LIMIT).sum())
    columns = int((lateral[0].sqrt() < HAZE_LIMIT).sum())
    far = p.haze * torch.exp(-2 * math.pi**2 * HAZE_XY**2 * lateral)
    far_z = _axial_blur(depth, HAZE_Z, voxel).to(density)
    images = torch.empty_like(density)
    for one, image in zip(density, images, strict=True):
        spectrum = torch.fft.rfft2(one)
        sharp = _mix_planes(focus_z, spectrum).mul_(focus)
        for part in (slice(0, rows), slice(max(rows, height - rows + 1), None)):
            coarse = spectrum[:, part, :columns]
            sharp[:, part, :columns] += _mix_planes(far_z, coarse) * far[part, :columns]
        torch.clamp_min(torch.fft.irfft2(sharp, s=(height, width)), 0, out=image)
    return images


def _axial_blur(depth: int, sigma: float, voxel: float) -> torch.Tensor:
    """The (D, D) matrix of a Gaussian blur along z; the last planes go on for ever."""
    return blur(torch.eye(depth)[:, :, None], 0.0, sigma, voxel)[:, :, 0]


def _mix_planes(weights: torch.Tensor, spectrum: torch.Tensor) -> torch.Tensor:
    """Real ``weights`` (D, D) times complex planes (D, ...)."""
    pairs = torch.view_as_real(spectrum).reshape(len(spectrum), -1)
    return torch.view_as_complex((weights @ pairs).view(*spectrum.shape, 2))


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
