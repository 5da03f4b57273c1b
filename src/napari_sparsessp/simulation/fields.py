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


def blur(
    volume: torch.Tensor, sigma_xy: float, sigma_z: float, voxel: float
) -> torch.Tensor:
    """Gaussian blur with standard deviations in µm; y and x wrap around, z is padded.

    Parameters
    ----------
    volume : Tensor
        (..., D, H, W)
    """
    depth = volume.shape[-3]
    margin = min(depth - 1, math.ceil(3 * sigma_z / voxel))
    padded = torch.cat(
        [volume, volume[..., -1:, :, :].expand(*volume.shape[:-3], margin, -1, -1),
         volume[..., :1, :, :].expand(*volume.shape[:-3], margin, -1, -1)],
        dim=-3,
    )  # fmt: skip
    shape = (padded.shape[-3], padded.shape[-2], padded.shape[-1])
    lateral, axial = (f.to(volume.device) for f in frequencies(shape, voxel))
    gain = torch.exp(-2 * math.pi**2 * (lateral * sigma_xy**2 + axial * sigma_z**2))
    spectrum = torch.fft.rfftn(padded, dim=(-3, -2, -1))
    return torch.fft.irfftn(spectrum * gain, s=shape, dim=(-3, -2, -1))[
        ..., :depth, :, :
    ]


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
        self._lateral = lateral.to(generator.device)
        self._axial = axial.to(generator.device)

    def smooth(self, length: float, axial: float | None = None) -> torch.Tensor:
        """Field whose correlation length is `length` µm (`axial` µm along z)."""
        white = torch.randn(
            self.shape, generator=self.generator, device=self.generator.device
        )
        exponent = self._lateral * length**2 + self._axial * (axial or length) ** 2
        gain = torch.exp(-(math.pi**2) * exponent)
        field = torch.fft.irfftn(torch.fft.rfftn(white) * gain, s=self.shape)
        return (field - field.mean()) / field.std().clamp_min(1e-6)

    def plane(self, length: float) -> torch.Tensor:
        """Field (H, W) with correlation length `length` µm."""
        _, h, w = self.shape
        white = torch.randn(
            (h, w), generator=self.generator, device=self.generator.device
        )
        gain = torch.exp(-(math.pi**2) * self._lateral[0] * length**2)
        field = torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(h, w))
        return (field - field.mean()) / field.std().clamp_min(1e-6)

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


def inside(distance: torch.Tensor, softness: float = 0.2) -> torch.Tensor:
    """Soft mask: 1 where `distance` (µm) is well above 0, 0 well below."""
    return torch.sigmoid(distance / softness)


def shell(distance: torch.Tensor, thickness: float) -> torch.Tensor:
    """Soft shell of `thickness` µm around ``distance == 0``."""
    return torch.exp(-((distance / thickness) ** 2))
