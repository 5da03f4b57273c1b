"""The randomised parameters of a colony, and the random fields of its textures."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch


def _between(low: float, high: float) -> Any:
    return field(metadata={"draw": lambda rng: rng.uniform(low, high)})


def _log_between(low: float, high: float) -> Any:
    logs = math.log(low), math.log(high)
    return field(metadata={"draw": lambda rng: math.exp(rng.uniform(*logs))})


def _sometimes(share: float) -> Any:
    return field(metadata={"draw": lambda rng: float(rng.random() < share)})


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
    spacing: float = _between(8.2, 12.0)
    spacing_jitter: float = _between(0.12, 0.3)
    height: float = _between(9.0, 16.5)
    dome: float = _between(0.3, 3.0)
    bend: float = _between(0.05, 0.18)
    floor: float = _between(0.0, 4.0)
    tilt: float = _between(-0.04, 0.04)
    edge: float = _sometimes(0.2)
    heading: float = _between(0.0, 2 * math.pi)
    swell: float = _between(0.0, 2.4)
    lean: float = _between(0.0, 0.18)
    crowding: float = _between(0.0, 0.9)
    # nuclei
    nucleus_size: float = _between(0.8, 1.08)
    nucleus_height: float = _between(3.2, 5.4)
    elongation: float = _between(1.05, 1.4)
    boxiness: float = _between(2.0, 4.0)
    roughness: float = _between(0.1, 0.6)
    mitotic: float = _between(0.0, 0.08)
    # refractive index
    medium: float = _between(1.333, 1.338)
    cytoplasm: float = _between(0.016, 0.036)
    nucleus: float = _between(-0.014, 0.002)
    chromatin: float = _log_between(0.0015, 0.01)
    envelope: float = _log_between(0.0007, 0.008)
    nucleolus: float = _between(0.006, 0.028)
    membrane: float = _log_between(0.0015, 0.02)
    mitochondria: float = _between(0.010, 0.045)
    organelles: float = _log_between(0.15, 1.2)
    granules: float = _log_between(0.002, 0.012)
    granule_size: float = _log_between(0.25, 1.2)
    vesicles: float = _log_between(0.003, 0.04)
    vesicle_size: float = _between(0.25, 0.45)
    debris: float = _log_between(0.001, 0.02)
    droplets: float = _between(0.0, 14.0)
    droplet_index: float = _between(0.05, 0.11)
    absorption: float = _between(0.0, 0.12)
    # bright-field
    wavelength: float = _between(0.5, 0.75)
    objective_na: float = _between(0.8, 1.25)
    condenser_na: float = _between(0.2, 0.65)
    slant: float = _between(0.0, 0.3)
    relief: float = _between(0.0, 0.6)
    # fluorescence
    blur_xy: float = _between(0.12, 0.24)
    blur_z: float = _between(0.35, 0.7)
    haze: float = _between(0.05, 0.3)
    # phase contrast and DIC
    ring_na: float = _between(0.3, 0.5)
    ring_width: float = _between(0.12, 0.25)
    ring_transmission: float = _between(0.15, 0.3)
    shear: float = _between(0.2, 0.3)
    shear_angle: float = _between(0.0, 2 * math.pi)
    bias: float = _between(0.7, 1.6)


def draw_parameters(seed: int) -> ColonyParameters:
    """Draw the parameters that belong to a seed, in the order of the fields."""
    rng = random.Random(seed)
    drawn = [one.metadata["draw"](rng) for one in fields(ColonyParameters)[1:]]
    return ColonyParameters(seed, *drawn)


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
