"""Microscope optics: bright-field, phase contrast, DIC and confocal fluorescence.

A transfer function says how much of each spatial frequency of a weak object reaches the
image; the light of a bright-field seldom comes straight down the axis.
"""

import math

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len

from napari_sparsessp.simulation import Contrast
from napari_sparsessp.simulation.parameters import (
    ColonyParameters,
    along_z,
    axial_blur,
    lateral_frequencies,
)

SOFT_PUPIL = 0.04
"""Width of the pupil's edge over its radius; a hard one rings on a grid."""


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

    Returns
    -------
    (2 D − 1, Q) complex, for image plane minus object plane from −(D−1) to D−1 voxels
    and lateral frequencies `q`, cycles/µm.
    """
    wave = p.medium / p.wavelength
    pupil = p.objective_na / p.wavelength
    ring = contrast == Contrast.PHASE_CONTRAST
    middle = p.ring_na / p.wavelength
    # The annulus's image fills 80 % of the phase ring's width.
    half = 0.4 * p.ring_width * middle
    radius, sx, sy = (
        _spiral(middle - half, middle + half, q, 480)
        if ring
        else _spiral(0.0, p.condenser_na / p.wavelength, q, 240)
    )
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


def transmitted(
    p: ColonyParameters,
    index: torch.Tensor,
    absorption: torch.Tensor,
    voxel: float,
    contrast: str = Contrast.BRIGHT_FIELD,
) -> torch.Tensor:
    """Noise-free transmitted-light stack of a weak object, background 1.

    All three are exact to first order in the object; what follows keeps strong
    objects within what light can do. Bright-field is an exponential (attenuation).
    In phase contrast the diffracted light joins the direct amplitude, which is then
    squared. A colony scatters more than the ring lets through, at the direct light's
    expense; the whole stack's diffracted amplitude u (direct 1) is divided by
    √(1 + 16 ū²) with ū its standard deviation, an empirical law. In DIC two sheared
    waves interfere, sin²(b + δ) / sin² b, with b half the bias and δ half their
    phase difference. A condenser prism undoes the shear for direct light, so that
    DIC has bright-field's transfer times sin(π Δ·q + b) / sin b, with Δ the shear
    (Mehta & Sheppard 2008, doi 10.1364/OE.16.019462).

    `index` and `absorption` (D, H, W) are real and imaginary refractive-index contrast;
    y and x wrap around.
    """
    kind = Contrast(contrast)
    transfer = _Transfer(p, index.shape, voxel, kind, index.device)
    real, imaginary = transfer.spectrum(index), transfer.spectrum(absorption)
    if kind == Contrast.PHASE_CONTRAST:
        first = real.mul_(transfer.of_phase) + imaginary.mul_(transfer.of_absorption)
        change = -transfer.image(first)
        change /= (1 + 16 * change.var(correction=0)).sqrt()
        return (1 + change).clamp_min(0).square()
    odd, even = transfer.odd, transfer.even
    if kind == Contrast.BRIGHT_FIELD:
        first = real.mul_(1j).mul_(odd).add_(imaginary.mul_(even))
        return torch.exp((-2 * transfer.image(first)).clamp(-3, 3))
    shear = transfer.shear_phase(p)
    first = real * even - (imaginary * odd).mul_(1j)
    across = transfer.image(first.mul_(1j), torch.sin(shear))
    first = real.mul_(1j).mul_(odd).add_(imaginary.mul_(even))
    along = transfer.image(first, torch.cos(shear))
    relief = (torch.sin(p.bias / 2 + across) / math.sin(p.bias / 2)).square()
    return torch.exp((-2 * along).clamp(-3, 3)) * relief


class _Transfer:
    """The transfer on one grid: 3D spectra of the kernels and the way back."""

    def __init__(
        self,
        p: ColonyParameters,
        shape: torch.Size,
        voxel: float,
        contrast: Contrast,
        device: torch.device,
    ) -> None:
        self.depth, self.height, self.width = shape
        self._voxel, self._device = voxel, device
        self._half = 2 * math.pi / p.wavelength * voxel
        # Distances between planes wrap around without meeting: 2 D - 1 fit.
        self._length = next_fast_len(2 * self.depth - 1, real=True)
        q = lateral_frequencies(shape[1:], voxel).sqrt().to(device)
        # The shade around an object in phase contrast is as narrow as the ring.
        fineness = 400 if contrast == Contrast.PHASE_CONTRAST else 160
        table = torch.linspace(0, float(q.max()), fineness, device=device)
        transfer = weak_object_transfer(p, self.depth, voxel, table, contrast)
        wrapped = transfer.new_zeros((self._length, fineness))
        wrapped[: self.depth] = transfer[self.depth - 1 :]
        wrapped[self._length - self.depth + 1 :] = transfer[: self.depth - 1]
        self._imag = torch.fft.fft(wrapped.imag, dim=0)
        self._real = torch.fft.fft(wrapped.real, dim=0)
        position = q / table[-1] * (fineness - 1)
        self._low = position.long().clamp_max(fineness - 2)
        self._share = position - self._low

    def _spread(self, values: torch.Tensor) -> torch.Tensor:
        """Radial values (L, Q) at every frequency; a spectrum interpolates too."""
        return torch.lerp(values[:, self._low], values[:, self._low + 1], self._share)

    @property
    def of_phase(self) -> torch.Tensor:
        return torch.complex(self._spread(self._imag.real), self.odd)

    @property
    def of_absorption(self) -> torch.Tensor:
        return torch.complex(self.even, self._spread(self._real.imag))

    @property
    def odd(self) -> torch.Tensor:
        return self._spread(self._imag.imag)

    @property
    def even(self) -> torch.Tensor:
        return self._spread(self._real.real)

    def spectrum(self, volume: torch.Tensor) -> torch.Tensor:
        """Of a volume (D, H, W), padded with nothing along z."""
        return torch.fft.fft(torch.fft.rfft2(volume), n=self._length, dim=0)

    def image(
        self, spectrum: torch.Tensor, factor: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(D, H, W), half the first-order change of the light."""
        planes = torch.fft.ifft(spectrum, dim=0)[: self.depth]
        planes = planes if factor is None else planes * factor
        return self._half * torch.fft.irfft2(planes, s=(self.height, self.width))

    def shear_phase(self, p: ColonyParameters) -> torch.Tensor:
        """π Δ·q for the shear Δ of a DIC microscope, (H, W // 2 + 1)."""
        y = torch.fft.fftfreq(self.height, self._voxel, device=self._device)[:, None]
        x = torch.fft.rfftfreq(self.width, self._voxel, device=self._device)[None]
        along = y * math.sin(p.shear_angle) + x * math.cos(p.shear_angle)
        return math.pi * p.shear * along


def reshape_spectrum(
    stack: torch.Tensor, voxel: float, knee: float, slope: float, plateau: float,
    share: float, per_plane: bool,
) -> torch.Tensor:  # fmt: skip
    """Bend the lateral power spectrum of a stack towards a bent power law.

    Weak-object images lack power at large scales against real ones (absorption,
    imperfect condenser, multiple scattering); matching the radial spectrum by a
    linear filter makes networks trained on them transfer to real cells. Power falls as
    f^−slope above the `knee` (cycles/µm) and as f^−plateau below; a `share` of 0 leaves
    the stack as it is, 1 matches the target.
    """
    spectrum = torch.fft.rfft2(stack - stack.mean())
    radius = lateral_frequencies(stack.shape[1:], voxel).sqrt().to(stack.device)
    radius = radius.clamp_min(1e-3)
    bins = (torch.log(radius / 0.015) / math.log(1.25)).long().clamp(0, 24)
    power = spectrum.abs() ** 2
    power = power if per_plane else power.mean(0, keepdim=True)
    counts = torch.bincount(bins.flatten(), minlength=25).clamp_min(1)
    sums = torch.zeros(len(power), 25, device=stack.device)
    sums.index_add_(1, bins.flatten(), power.flatten(1))
    radial = sums / counts
    # A floor keeps the filter from blowing up what the optics did not transmit.
    radial = torch.log(radial + 1e-4 * radial.amax(1, keepdim=True))
    padded = F.pad(radial[:, None], (1, 1), mode="replicate")
    smooth = F.avg_pool1d(padded, 3, 1)[:, 0]
    target = -plateau * torch.log(radius / knee) - torch.log1p(
        (radius / knee) ** (slope - plateau)
    )
    # Nothing is known below the field's size and beyond the sampling limit.
    target = target - 2 * torch.log1p((0.05 / radius) ** 2) - (radius / 1.7) ** 8
    gain = torch.exp((0.5 * share * (target[None] - smooth[:, bins])).clamp(-12, 12))
    gain[:, 0, 0] = 0.0
    shaped = torch.fft.irfft2(spectrum * gain, s=stack.shape[1:])
    return shaped - shaped.mean()


def oblique_brightfield(
    p: ColonyParameters, index: torch.Tensor, absorption: torch.Tensor, voxel: float
) -> torch.Tensor:
    """Bright-field with the condenser off the axis, to first order.

    Light at an angle moves what is out of focus sideways: the object is slanted,
    imaged as if on the axis, and slanted back. And where the pupil cuts one side of
    the light more than the other, phase shows in focus as in relief, much as in DIC.
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


HAZE_XY, HAZE_Z = 1.5, 3.0
"""Standard deviations of the haze, µm."""

HAZE_LIMIT = 0.6
"""Cycles/µm beyond which less than a millionth of the haze is left."""


def fluorescence(
    p: ColonyParameters, density: torch.Tensor, voxel: float
) -> torch.Tensor:
    """Expected image of label densities (S, D, H, W) by a spinning-disk confocal.

    Without noise: the focus plus a haze of light from elsewhere.
    """
    depth, height, width = density.shape[1:]
    lateral = lateral_frequencies((height, width), voxel).to(density.device)
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


def _bright_end(image: torch.Tensor) -> torch.Tensor:
    """The 99.9th percentile, of a million voxels at most."""
    some = image.flatten()[:: max(1, image.numel() // 1_000_000)]
    return torch.quantile(some, 0.999).clamp_min(1e-9)


def photon_noise(
    image: torch.Tensor, photons: float, read: float, generator: torch.Generator
) -> torch.Tensor:
    """Camera counts of an expected image: shot noise plus Gaussian read noise.

    The 99.9th percentile of the image receives `photons`; `read` is in photons, the
    result in the units of the image.
    """
    scale = photons / _bright_end(image)
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
    """Simulate the counts of a spinning-disk confocal's camera, one for each electron.

    The planes are taken one after another, from z = 0, and every exposure bleaches all
    of them: the label fades exponentially until a share `bleached` is gone. Background,
    given over `photons`, does not. The 99.9th percentile of what is expected would send
    `photons` unbleached.
    """
    depth = len(expected)
    time = torch.arange(depth, device=expected.device) / max(depth - 1, 1)
    left = torch.exp(math.log1p(-bleached) * time)[:, None, None]
    light = photons * (expected / _bright_end(expected) * left + background)
    counts = torch.poisson(light, generator=generator)
    noise = torch.randn(light.shape, generator=generator, device=light.device)
    return (counts + READ_NOISE * noise + OFFSET).round().clamp(0, 65535)
