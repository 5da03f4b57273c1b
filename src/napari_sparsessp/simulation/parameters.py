"""The randomised parameters of a colony, and the random fields of its textures."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ColonyParameters:
    """One draw of everything that differs between two simulated colonies.

    Lengths in µm, spatial frequencies in cycles/µm, refractive indices absolute
    for the medium and as differences to it or to the cytoplasm else; docs/simulator.md
    holds them against the literature: Liu et al. 2016 (doi 10.1039/C5LC01445J) for
    cells, Schürmann et al. 2016 (doi 10.1002/jbio.201500273) and Steelman et al. 2017
    (doi 10.1002/jbio.201600314) for nuclei being less dense than cytoplasm. Sizes of
    hiPSC colonies follow Viana et al. 2023 (doi 10.1038/s41586-022-05563-7).
    """

    seed: int
    # cells
    spacing: float
    spacing_jitter: float
    height: float
    dome: float
    bend: float
    floor: float
    tilt: float
    edge: float
    heading: float
    swell: float
    lean: float
    crowding: float
    # nuclei
    nucleus_size: float
    nucleus_height: float
    elongation: float
    boxiness: float
    roughness: float
    mitotic: float
    # refractive index
    medium: float
    cytoplasm: float
    nucleus: float
    chromatin: float
    envelope: float
    nucleolus: float
    membrane: float
    mitochondria: float
    organelles: float
    granules: float
    granule_size: float
    vesicles: float
    vesicle_size: float
    debris: float
    droplets: float
    droplet_index: float
    absorption: float
    # bright-field
    wavelength: float
    objective_na: float
    condenser_na: float
    slant: float
    relief: float
    # fluorescence
    blur_xy: float
    blur_z: float
    haze: float
    # phase contrast and DIC
    ring_na: float
    ring_width: float
    ring_transmission: float
    shear: float
    shear_angle: float
    bias: float


def draw_parameters(seed: int) -> ColonyParameters:
    """Draw the parameters that belong to a seed."""
    rng = random.Random(seed)
    u = rng.uniform

    def log_uniform(low: float, high: float) -> float:
        return math.exp(u(math.log(low), math.log(high)))

    spacing = u(8.2, 12.0)
    return ColonyParameters(
        seed=seed,
        spacing=spacing,
        spacing_jitter=u(0.12, 0.3),
        height=u(9.0, 16.5),
        dome=u(0.3, 3.0),
        bend=u(0.05, 0.18),
        floor=u(0.0, 4.0),
        tilt=u(-0.04, 0.04),
        edge=1.0 if rng.random() < 0.2 else 0.0,
        heading=u(0.0, 2 * math.pi),
        swell=u(0.0, 2.4),
        lean=u(0.0, 0.18),
        crowding=u(0.0, 0.9),
        nucleus_size=u(0.8, 1.08),
        nucleus_height=u(3.2, 5.4),
        elongation=u(1.05, 1.4),
        boxiness=u(2.0, 4.0),
        roughness=u(0.1, 0.6),
        mitotic=u(0.0, 0.08),
        medium=u(1.333, 1.338),
        cytoplasm=u(0.016, 0.036),
        nucleus=u(-0.014, 0.002),
        chromatin=log_uniform(0.0015, 0.01),
        envelope=log_uniform(0.0007, 0.008),
        nucleolus=u(0.006, 0.028),
        membrane=log_uniform(0.0015, 0.02),
        mitochondria=u(0.010, 0.045),
        organelles=log_uniform(0.15, 1.2),
        granules=log_uniform(0.002, 0.012),
        granule_size=log_uniform(0.25, 1.2),
        vesicles=log_uniform(0.003, 0.04),
        vesicle_size=u(0.25, 0.45),
        debris=log_uniform(0.001, 0.02),
        droplets=u(0.0, 14.0),
        droplet_index=u(0.05, 0.11),
        absorption=u(0.0, 0.12),
        wavelength=u(0.5, 0.75),
        objective_na=u(0.8, 1.25),
        condenser_na=u(0.2, 0.65),
        slant=u(0.0, 0.3),
        relief=u(0.0, 0.6),
        blur_xy=u(0.12, 0.24),
        blur_z=u(0.35, 0.7),
        haze=u(0.05, 0.3),
        ring_na=u(0.3, 0.5),
        ring_width=u(0.12, 0.25),
        ring_transmission=u(0.15, 0.3),
        shear=u(0.2, 0.3),
        shear_angle=u(0.0, 2 * math.pi),
        bias=u(0.7, 1.6),
    )


Grid = tuple[int, int, int]


def lateral_frequencies(size: Sequence[int], voxel: float) -> torch.Tensor:
    """Squared spatial frequency of a real 2D FFT of (H, W) pixels, (cycles/µm)²."""
    fy = torch.fft.fftfreq(size[0], voxel)[:, None]
    fx = torch.fft.rfftfreq(size[1], voxel)[None]
    return fy**2 + fx**2


def axial_blur(depth: int, sigma: float, voxel: float) -> torch.Tensor:
    """Matrix (D, D) that blurs along z; beyond the ends, the end planes go on."""
    reach = max(1, math.ceil(4 * sigma / voxel))
    steps = torch.arange(-reach, reach + 1)
    taps = torch.exp(-0.5 * (steps * voxel / max(sigma, 1e-6)) ** 2)
    sources = (torch.arange(depth)[:, None] + steps).clamp(0, depth - 1)
    matrix = torch.zeros(depth, depth)
    matrix.scatter_add_(1, sources, (taps / taps.sum()).expand(depth, -1))
    return matrix


def along_z(matrix: torch.Tensor, spectrum: torch.Tensor) -> torch.Tensor:
    """Apply a real matrix (D, D) to the planes of complex spectra (D, H, W)."""
    flat = torch.view_as_real(spectrum).reshape(len(spectrum), -1)
    product = matrix.to(flat.device) @ flat
    return torch.view_as_complex(product.view(*spectrum.shape, 2))


def blur(
    volume: torch.Tensor, sigma_xy: float, sigma_z: float, voxel: float
) -> torch.Tensor:
    """Blur with Gaussians, σ in µm; y and x wrap around, the end planes go on."""
    depth, height, width = volume.shape
    lateral = lateral_frequencies((height, width), voxel)
    gain = torch.exp(-2 * math.pi**2 * lateral * sigma_xy**2).to(volume.device)
    spectrum = along_z(axial_blur(depth, sigma_z, voxel), torch.fft.rfft2(volume))
    return torch.fft.irfft2(spectrum * gain, s=(height, width))


class RandomFields:
    """A source of smooth, zero-mean, unit-variance Gaussian fields on one grid."""

    def __init__(self, shape: Grid, voxel: float, generator: torch.Generator) -> None:
        self.shape = shape
        self.voxel = voxel
        self.generator = generator
        axial = torch.fft.fftfreq(shape[0], voxel) ** 2
        self._lateral = lateral_frequencies(shape[1:], voxel).to(generator.device)
        self._axial = axial.to(generator.device)

    def smooth(self, length: float, axial: float | None = None) -> torch.Tensor:
        """Field whose correlation length is `length` µm (`axial` µm along z)."""
        d, h, w = self.shape
        # White noise is white in Fourier space, too: one transform and not two.
        white = torch.randn(
            (d, h, w // 2 + 1, 2),
            generator=self.generator,
            device=self.generator.device,
        )
        gain_z = torch.exp(-(math.pi**2) * self._axial * (axial or length) ** 2)
        gain = torch.exp(-(math.pi**2) * self._lateral * length**2)
        spectrum = torch.view_as_complex(white)
        spectrum *= gain
        spectrum *= gain_z[:, None, None]
        return _standardised(torch.fft.irfftn(spectrum, s=self.shape))

    def plane(self, length: float) -> torch.Tensor:
        """Field (H, W) with correlation length `length` µm."""
        _, h, w = self.shape
        white = torch.randn(
            (h, w), generator=self.generator, device=self.generator.device
        )
        gain = torch.exp(-(math.pi**2) * self._lateral * length**2)
        return _standardised(torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(h, w)))

    def filaments(self, length: float, width: float) -> torch.Tensor:
        """Curved lines in space, 0 to 1: where two fields vanish together."""
        a, b = self.smooth(length), self.smooth(length)
        return torch.exp(-(a**2 + b**2) / (2 * width**2))

    def sheets(self, length: float, width: float) -> torch.Tensor:
        """Curved sheets in space, 0 to 1: where a field vanishes."""
        return torch.exp(-(self.smooth(length) ** 2) / (2 * width**2))

    def puncta(self, length: float, level: float) -> torch.Tensor:
        """Rounded spots, from 0 up: where a field exceeds `level`."""
        return torch.relu(self.smooth(length) - level)

    def uniform(self, low: float, high: float) -> float:
        """One number from the same generator."""
        draw = torch.rand((), generator=self.generator, device=self.generator.device)
        return low + (high - low) * float(draw)


def _standardised(field: torch.Tensor) -> torch.Tensor:
    return (field - field.mean()) / field.std().clamp_min(1e-6)


def inside(distance: torch.Tensor, softness: float = 0.2) -> torch.Tensor:
    """Soft mask: 1 where `distance` (µm) is well above 0, 0 well below."""
    return torch.sigmoid(distance / softness)


def shell(distance: torch.Tensor, thickness: float) -> torch.Tensor:
    """Soft shell of `thickness` µm around ``distance == 0``."""
    return torch.exp(-((distance / thickness) ** 2))
