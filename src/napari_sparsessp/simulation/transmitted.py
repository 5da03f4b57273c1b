"""Transmitted light through a colony: bright-field, phase contrast and DIC."""

import math

import torch

from napari_sparsessp.simulation.contrasts import Contrast
from napari_sparsessp.simulation.fields import frequencies
from napari_sparsessp.simulation.parameters import ColonyParameters
from napari_sparsessp.simulation.transfer import fast_length, weak_object_transfer


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

    Parameters
    ----------
    p : ColonyParameters
    index, absorption : Tensor
        (D, H, W) real and imaginary refractive-index contrast; y and x wrap around.
    voxel : float
        µm.
    contrast : str
        A `Contrast`.

    Returns
    -------
    Tensor
        (D, H, W)

    Raises
    ------
    ValueError
        There is no such contrast.
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


def brightfield(
    p: ColonyParameters, index: torch.Tensor, absorption: torch.Tensor, voxel: float
) -> torch.Tensor:
    """`transmitted` in bright-field."""
    return transmitted(p, index, absorption, voxel)


class _Transfer:
    """The transfer on one grid: 3D spectra of the kernels and the way back.

    Attributes
    ----------
    of_phase, of_absorption : Tensor
        (L, H, W // 2 + 1) complex spectra of the kernels Im and Re.
    odd, even : Tensor
        Their imaginary and real part. Without a phase ring that is all there is: the
        kernel Im is odd along z and Re even.
    """

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
        self._length = fast_length(2 * self.depth - 1)
        lateral, _ = frequencies((1, self.height, self.width), voxel)
        q = lateral[0].sqrt().to(device)
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
    def odd(self) -> torch.Tensor:
        return self._spread(self._imag.imag)

    @property
    def even(self) -> torch.Tensor:
        return self._spread(self._real.real)

    @property
    def of_phase(self) -> torch.Tensor:
        return torch.complex(self._spread(self._imag.real), self.odd)

    @property
    def of_absorption(self) -> torch.Tensor:
        return torch.complex(self.even, self._spread(self._real.imag))

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
