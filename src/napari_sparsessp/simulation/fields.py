"""Random fields and soft masks, the raw material of textures."""

import math

import torch

Grid = tuple[int, int, int]


def frequencies(shape: Grid, voxel: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared lateral and axial spatial frequency of a real 3D FFT, (cycles/µm)²."""
    d, h, w = shape
    fz = torch.fft.fftfreq(d, voxel)[:, None, None]
    fy = torch.fft.fftfreq(h, voxel)[None, :, None]
    fx = torch.fft.rfftfreq(w, voxel)[None, None, :]
    return fy**2 + fx**2, fz**2


def axial_blur(depth: int, sigma: float, voxel: float) -> torch.Tensor:
    """Matrix (D, D) that blurs along z; beyond the ends, the end planes go on.

    Parameters
    ----------
    depth : int
    sigma, voxel : float
        µm.
    """
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
    """Gaussian blur with standard deviations in µm; y and x wrap around, z ends hold.

    Parameters
    ----------
    volume : Tensor
        (D, H, W)
    """
    depth, height, width = volume.shape
    lateral, _ = frequencies((1, height, width), voxel)
    gain = torch.exp(-2 * math.pi**2 * lateral[0] * sigma_xy**2).to(volume.device)
    spectrum = along_z(axial_blur(depth, sigma_z, voxel), torch.fft.rfft2(volume))
    return torch.fft.irfft2(spectrum * gain, s=(height, width))


class RandomFields:
    """A source of smooth, zero-mean, unit-variance Gaussian fields on one grid.

    Parameters
    ----------
    shape : tuple of int
        (D, H, W)
    voxel : float
        Edge of a voxel in µm.
    generator : torch.Generator
        Where the randomness comes from; its device is the fields' device.
    """

    def __init__(self, shape: Grid, voxel: float, generator: torch.Generator) -> None:
        self.shape = shape
        self.voxel = voxel
        self.generator = generator
        lateral, axial = frequencies(shape, voxel)
        self._lateral = lateral[0].to(generator.device)
        self._axial = axial[:, 0, 0].to(generator.device)

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
