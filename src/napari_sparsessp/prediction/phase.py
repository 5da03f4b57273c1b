"""Phase from a bright-field stack: inversion of the weak object's transfer function.

Bright-field shows a transparent cell by what defocus does to it. To first order the
stack is the object's phase under a transfer function that follows from the optics
(Streibl 1985, doi 10.1364/JOSAA.2.000121; Soto, Rodrigo & Alieva 2017, doi
10.1364/OE.25.015699), and Tikhonov's filter inverts it. Sizes and edges of pupils,
windows and padding are those of waveorder, because published networks were trained
with its phase.

Frequencies f are in cycles/µm, k = index / wavelength, γ = √(k² − f²). With the pupils
S of the condenser and P of the objective, at height z::

    K = P exp(2πi z γ)        G = −i/(4π) P exp(2πi z γ) / γ
    R = 2 Re(conj(F[S P K]) F[P G]), back to frequencies
    T = F_z[hann(z) R] dz / Σ S P²
    phase = F⁻¹[F[I / mean(I) − 1] conj(T) / (|T|² + strength)]

R is real, even in y and x and odd in z: a quarter of the frequencies at positive
heights is all of it, and is what is kept.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.tasks import Progress, no_progress, part_of

if TYPE_CHECKING:
    import torch

FRINGES = 4
"""Widths of a fringe, by trial: tiles of 300 pixels and more then differ from the whole
by at most 1 % of the phase's deviation in white noise, and by 0.2 % in real cells."""

PADDING = 5
"""Planes that are reflected at either end of the stack."""

SOFT_EDGE = 4.0
"""Steepness of the condenser's edge, over the grid's step in frequency."""

STEEP_EDGE = 1e4
"""Steepness of the objective's edge in µm: no pixel is on it."""

KEPT_BYTES = 128 * 2**20
"""Transfer functions that are kept, together."""

TILE_BYTES = 320 * 2**20
"""A tile and its spectrum, at most; a larger field is cut."""

WORK_BYTES = 128 * 2**20
"""Memory besides: transfer function, and the parts that are worked on."""

BLOCK = 2**19
"""Numbers that are worked on at once."""

MOST_PLANES = 2000
"""Planes, interpolated ones with them. More come from a step in another unit."""

Box = tuple[slice, slice]
Read = Callable[[slice, slice], np.ndarray]


@dataclass(frozen=True)
class Optics:
    """The microscope that a bright-field stack comes from.

    InputError: such optics cannot be.
    """

    na: float  # Numerical aperture of the objective
    na_condenser: float  # As wide as its diaphragm was open
    wavelength: float  # Of the light in µm
    index: float  # Refractive index of the immersion medium
    planes_downwards: bool = False  # Plane 0 is the farthest from the objective
    regularisation: float = 1e-2  # Strength: more is smoother

    def __post_init__(self) -> None:
        """Check that light can pass."""
        if not self.na < self.index:
            raise InputError(
                f"NA {self.na:g} does not fit a refractive index of {self.index:g}, "
                "which it has to stay below; give the immersion's index (air 1, water "
                "1.33, oil 1.515)"
            )
        if not self.na_condenser <= self.na:
            raise InputError(
                f"the condenser's NA {self.na_condenser:g} is above the objective's "
                f"{self.na:g}, where bright-field shows no phase; give the NA that its "
                "diaphragm was closed to, often half of the objective's"
            )

    @property
    def largest_step(self) -> float:
        """Step in z, µm, from which on planes miss what the objective resolves."""
        k, edge = self.index / self.wavelength, self.na / self.wavelength
        return 1 / (2 * (k - math.sqrt(k**2 - edge**2)))

    @property
    def largest_pixel(self) -> float:
        """Pixel, µm, from which on the image misses what the optics resolve."""
        return self.wavelength / (2 * (self.na + self.na_condenser))


@dataclass(frozen=True)
class Heights:
    """Measured planes on an even grid in z, and the way there and back.

    Interpolation where planes are too far apart, and reflection at both ends.
    """

    step: float  # µm
    up: np.ndarray  # (padded, n) weights of the measured planes
    down: np.ndarray  # (n, padded) weights of the even ones
    interpolated: bool

    @classmethod
    def of(cls, heights: "Sequence[float] | np.ndarray", optics: Optics) -> "Heights":
        """Lay planes at these ascending heights, µm, on a grid that is fine enough."""
        z = np.asarray(heights, float) - heights[0]
        if len(z) < 3:
            raise InputError(
                f"{len(z)} plane{'s' * (len(z) > 1)} cannot give phase, which shows in "
                "how the image changes through focus; give at least three"
            )
        gaps = np.diff(z)
        even = np.ptp(gaps) <= 1e-3 * gaps.mean()
        coarse = float(gaps.mean() if even else gaps.min())
        # A step that is the largest but for rounding is fine enough.
        finer = math.ceil(coarse / optics.largest_step - 1e-6)
        step = coarse / max(finer, 1)
        count = round(float(z[-1]) / step) + 1
        if count > MOST_PLANES:
            raise InputError(
                f"planes {gaps.max():.3g} µm apart would need {count} in between for "
                "phase; correct the z step of the voxel size"
            )
        inner = _linear(z / step, count)  # (n, count)
        back = _linear(np.arange(count) * step, len(z), z)
        padded = np.pad(np.arange(count), PADDING, mode="symmetric")
        down = np.pad(inner, ((0, 0), (PADDING, PADDING)))
        return cls(step, back[padded], down, count != len(z) or not even)

    def mean_of(self, levels: np.ndarray, share: float | np.ndarray = 1.0) -> float:
        """Mean of the padded stack, from that of a share of each plane's pixels."""
        weights = self.up.mean(0, dtype=np.float64) * share
        return float(weights @ levels / weights.sum())


def _linear(places: np.ndarray, count: int, at: np.ndarray | None = None) -> np.ndarray:
    """Weights (places, count) of linear interpolation between `at` or whole numbers."""
    at = np.arange(count) if at is None else at
    rows = [np.interp(places, at, column) for column in np.eye(count)]
    weights = np.stack(rows, axis=1)
    weights[np.abs(weights) < 1e-6] = 0
    return weights.astype(np.float32)


@dataclass(frozen=True)
class _Field:
    """A rectangle of pixels and the frequencies of it that optics let through."""

    shape: tuple[int, int]
    pixel: tuple[float, float]  # µm
    planes: int  # Padded ones
    step: float  # µm between them
    # µm of the whole image in x: the condenser's edge is that of its frequencies, also
    # in a tile, which would not fit its neighbours otherwise
    width: float

    def kept(self, optics: Optics) -> tuple[int, int]:
        """Frequencies from 0 on along y and x beyond which nothing passes."""
        k = optics.index / optics.wavelength
        edge = math.sqrt(k**2 - (optics.na_condenser / optics.wavelength) ** 2)
        # Where the soft edge has fallen to one in a million.
        edge = max(0.0, edge - 14 / (SOFT_EDGE * self.width))
        most = optics.na / optics.wavelength + math.sqrt(k**2 - edge**2)
        y, x = (
            min(size // 2, math.ceil(most * size * pixel)) + 1
            for size, pixel in zip(self.shape, self.pixel, strict=True)
        )
        return y, x


class _Cache:
    """The transfer functions that were used last, within bounds."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, torch.Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any, make: Callable[[], "torch.Tensor"]) -> "torch.Tensor":
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 2 or self._bytes() > KEPT_BYTES:
                self._kept.popitem(last=False)
        return made

    def _bytes(self) -> int:
        return sum(one.nbytes for one in self._kept.values())


_cache = _Cache()


def _response(
    field: _Field, optics: Optics, device: str, progress: Progress
) -> "torch.Tensor":
    """R at heights of 1 … planes // 2 steps, (heights, ky, kx) from frequency 0 on."""
    # Neither matters for it.
    optics = replace(optics, planes_downwards=False, regularisation=0.0)
    key = field, optics, device
    return _cache.get(key, lambda: _make_response(field, optics, device, progress))


def _make_response(
    field: _Field, optics: Optics, device: str, progress: Progress
) -> "torch.Tensor":
    import torch

    finer = [math.ceil(one / optics.largest_pixel) for one in field.pixel]
    size = [n * factor for n, factor in zip(field.shape, finer, strict=True)]
    k = optics.index / optics.wavelength
    y, x = (
        torch.arange(n // 2 + 1, dtype=torch.float64, device=device) / (m * pixel)
        for n, m, pixel in zip(size, field.shape, field.pixel, strict=True)
    )
    squared = y[:, None] ** 2 + x**2
    gamma = (k**2 - squared).clamp_min(0).sqrt()
    rim = optics.na / optics.wavelength
    pupil = torch.sigmoid(STEEP_EDGE * (rim - squared.sqrt()))
    edge = math.sqrt(k**2 - (optics.na_condenser / optics.wavelength) ** 2)
    steep = SOFT_EDGE * field.width
    source = torch.sigmoid(steep * (gamma - edge)) * (squared <= k**2)
    inside = slice(0, int((y <= rim).sum()) + 1), slice(0, int((x <= rim).sum()) + 1)
    lit = (source * pupil**2)[inside]
    passed = (pupil**2 / (4 * math.pi * (gamma + 1 - pupil)))[inside]
    gamma, (ky, kx) = gamma[inside], field.kept(optics)
    count = field.planes // 2
    result = torch.empty((count, ky, kx), dtype=torch.float32, device=device)
    scale = (
        2 * field.step / (math.prod(size) * _even_transform(lit[None], size)[0, 0, 0])
    )
    at_once = max(1, 4 * BLOCK // math.prod(size))  # Quarters
    for start in range(0, count, at_once):
        progress(start, count, "transfer function")
        stop = min(start + at_once, count)
        z = torch.arange(start + 1, stop + 1, device=device)[:, None, None] * field.step
        angle = torch.remainder(z * gamma, 1).float() * (2 * math.pi)
        wave = angle.cos(), angle.sin()
        (lit_re, lit_im), (green_re, green_im) = (
            [_even_transform(part.float() * one, size) for one in wave]
            for part in (lit, passed)
        )
        both = lit_re.mul_(green_im).sub_(lit_im.mul_(green_re))
        result[start:stop] = _even_transform(both, size)[:, :ky, :kx] * scale
    return result


def _even_transform(half: "torch.Tensor", size: Sequence[int]) -> "torch.Tensor":
    """Transform real planes, even in y and x over `size` points, a quarter for all.

    (…, y, x) from 0 on; all is 0 beyond what is given.
    """
    from torch.fft import irfft

    height, width = size
    half = irfft(half, width, dim=-1, norm="forward")[..., : width // 2 + 1]
    return irfft(half, height, dim=-2, norm="forward")[..., : height // 2 + 1, :]


def _filter(response: "torch.Tensor", planes: int, optics: Optics) -> "torch.Tensor":
    """Tikhonov's filter conj(T) / (|T|² + strength) of a part of `_response`."""
    import torch

    device = response.device
    place = torch.arange(planes, device=device)
    height = torch.where(place < planes - planes // 2, place, place - planes)
    window = torch.hann_window(planes, periodic=False, device=device)
    window = window[height + planes // 2]
    if optics.planes_downwards:
        # Reversed as waveorder reverses its list, whose middle then moves by one plane.
        height = -1 - height
    weight = torch.where(height.abs() <= len(response), window * height.sign(), 0.0)
    rows = (height.abs() - 1).clamp(0, len(response) - 1)
    along_z = response[rows] * weight[:, None, None]
    transfer = torch.fft.fft(along_z, dim=0)
    return transfer.conj() / (transfer.abs().square() + optics.regularisation)


def reconstruct_phase(
    planes: np.ndarray,
    voxel_size: tuple[float, float, float],
    optics: Optics,
    *,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> np.ndarray:
    """Return the phase of a bright-field stack, in cycles per voxel.

    Parameters
    ----------
    planes
        (D, H, W) finite intensities, at least three planes through focus.
    voxel_size
        (z, y, x) in µm.

    Returns
    -------
    float32 (D, H, W); more is denser than the medium.

    Raises
    ------
    InputError
        There are too few planes, or they have no brightness.
    """
    heights = Heights.of(np.arange(len(planes)) * voxel_size[0], optics)
    mean = heights.mean_of(planes.mean((1, 2), dtype=np.float64))
    job = Reconstruction(planes.shape, voxel_size[1:], heights, optics)
    result = np.empty(planes.shape, np.float32)
    job.run(lambda y, x: planes[:, y, x], result, mean, device, progress)
    return result


class Reconstruction:
    """Phase of one stack, tile by tile in y and x.

    A field that fits is one tile and wraps around at its edges, as Fourier transforms
    do; tiles of a larger one overlap by the reach of the transfer function, around the
    edges too.

    Parameters
    ----------
    shape
        (n, H, W) of the measured planes.
    pixel
        (y, x) in µm.
    most
        Bytes of a tile and its spectrum.
    width
        µm in x of the image that this is a part of; its own where left out.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        pixel: tuple[float, float],
        heights: Heights,
        optics: Optics,
        *,
        most: int = TILE_BYTES,
        width: float | None = None,
    ) -> None:
        self._shape, self._pixel = shape, pixel
        self._width = width or shape[2] * pixel[1]
        self._heights, self._optics = heights, optics
        self._up, self._down = _taps(heights.up), _taps(heights.down)
        self.cores, self.size = self._cut(most)

    def _cut(self, most: int) -> tuple[list[Box], tuple[int, int]]:
        """Cut the field into cores, and say how large a tile around each is."""
        whole = self._shape[1:]
        needed = self._tile_bytes(whole)
        if needed <= most:
            return [(slice(0, whole[0]), slice(0, whole[1]))], (whole[0], whole[1])
        far = reach(self._heights, self._optics)
        # Square in µm, which reads least twice.
        area = math.prod(whole) * math.prod(self._pixel)
        side = math.sqrt(area * most / needed)
        sizes, parts = [], []
        for n, pixel in zip(whole, self._pixel, strict=True):
            halo = math.ceil(far / pixel)
            core = min(n, max(round(side / pixel) - 2 * halo, halo))
            core = math.ceil(n / math.ceil(n / core))  # As alike as they can be
            sizes.append(min(n, core + 2 * halo))
            parts.append([slice(k, min(k + core, n)) for k in range(0, n, core)])
        return list(product(*parts)), (sizes[0], sizes[1])

    def _tile_bytes(self, size: tuple[int, ...]) -> int:
        y, x = self._field((size[0], size[1])).kept(self._optics)
        spectrum = 8 * min(size[0], 2 * y - 1) * x
        return self._shape[0] * (spectrum + 4 * math.prod(size))

    @property
    def work_bytes(self) -> int:
        """All that it takes, about, besides its result."""
        return WORK_BYTES + self._tile_bytes(self.size)

    def _field(self, size: tuple[int, int]) -> _Field:
        heights = self._heights
        return _Field(size, self._pixel, len(heights.up), heights.step, self._width)

    def run(
        self,
        read: Read,
        result: Sequence[np.ndarray] | np.ndarray,
        mean: float,
        device: str = "cpu",
        progress: Progress = no_progress,
    ) -> None:
        """Fill `result`, n planes (H, W) of float32.

        `read` returns the finite values (n, h, w) of a rectangle, `mean` is theirs.
        """
        if not mean > 0:
            raise InputError(
                f"the mean brightness of the stack is {mean:.3g}, so that it is no "
                "bright-field as a camera records it; choose the raw channel"
            )
        for number, core in enumerate(self.cores):
            start, stop = number / len(self.cores), (number + 1) / len(self.cores)
            self._tile(read, core, result, mean, device, part_of(progress, start, stop))

    def _tile(
        self,
        read: Read,
        core: Box,
        result: Sequence[np.ndarray] | np.ndarray,
        mean: float,
        device: str,
        progress: Progress,
    ) -> None:
        """Reconstruct a tile and keep its core."""
        import torch

        size, place = self.size, []
        for part, side, whole in zip(core, size, self._shape[1:], strict=True):
            place.append(_around(part, side, whole))
        y, x = (
            slice(part.start - around.start, part.stop - around.start)
            for part, around in zip(core, place, strict=True)
        )
        kept = self._field(size).kept(self._optics)
        below = min(kept[0] - 1, (size[0] - 1) // 2)  # Rows of frequencies below 0
        progress(0.0, None, "phase")
        block = _wrapped(read, place, self._shape[1:])
        half, parts = (size[0], size[1] // 2 + 1), (kept[0], kept[1], below)
        shape = len(block), kept[0] + below, kept[1]
        with torch.inference_mode():
            spectrum = torch.empty(shape, dtype=torch.complex64, device=device)
            for index, plane in enumerate(block):
                progress(0.1 + 0.3 * index / len(block), None, "phase")
                values = torch.from_numpy(plane.astype(np.float32)).to(device)
                full = torch.fft.rfft2(values / mean - 1)
                _copy_kept(full, spectrum[index], parts)
            del block
            self._apply(spectrum, below, part_of(progress, 0.4, 0.7))
            full = torch.zeros(half, dtype=torch.complex64, device=device)
            for index, plane in enumerate(spectrum):
                progress(0.7 + 0.3 * index / len(spectrum), None, "phase")
                _copy_kept(full, plane, parts, back=True)
                values = torch.fft.irfft2(full, size)[y, x]
                result[index][core] = values.cpu().numpy()

    def _apply(self, spectrum: "torch.Tensor", below: int, progress: Progress) -> None:
        """Filter a spectrum in place, some of its frequencies after the other."""
        import torch

        field, device = self._field(self.size), str(spectrum.device)
        response = _response(field, self._optics, device, part_of(progress, 0.0, 0.8))
        count, width = response.shape[1:]
        at_once = max(1, BLOCK // (field.planes * width))
        for start in range(0, count, at_once):
            progress(0.8 + 0.2 * start / count, None, "phase")
            stop = min(start + at_once, count)
            ours = torch.arange(start, stop, device=device)
            # Frequencies below 0 in y have the response of those above.
            mirrored = ours[(ours > 0) & (ours <= below)]
            rows = torch.cat([ours, spectrum.shape[1] - mirrored])
            inverse = _filter(response[:, start:stop], field.planes, self._optics)
            inverse = inverse[:, torch.cat([ours, mirrored]) - start]
            along_z = torch.fft.fft(_spread(self._up, spectrum[:, rows]), dim=0)
            along_z = torch.fft.ifft(along_z.mul_(inverse), dim=0)
            spectrum[:, rows] = _spread(self._down, along_z)


def reach(heights: Heights, optics: Optics) -> float:
    """Return how far in y and x, in µm, an object changes the phase of others.

    As far as light at the objective's rim goes from the middle of the stack to its end,
    and some fringes more: a smaller condenser makes wider ones.
    """
    depth = len(heights.up) * heights.step
    cone = depth / 2 * math.tan(math.asin(optics.na / optics.index))
    return cone + FRINGES * optics.wavelength / max(optics.na_condenser, 0.1)


def _copy_kept(
    full: "torch.Tensor",
    kept: "torch.Tensor",
    parts: tuple[int, int, int],
    *,
    back: bool = False,
) -> None:
    """Copy the frequencies that pass from a plane's spectrum, or back into it."""
    rows, columns, below = parts
    pairs = [(full[:rows, :columns], kept[:rows])]
    if below:
        pairs.append((full[-below:, :columns], kept[rows:]))
    for outer, inner in pairs:
        if back:
            outer.copy_(inner)
        else:
            inner.copy_(outer)


def _taps(weights: np.ndarray) -> np.ndarray:
    """Return an index where each row takes one plane as it is, else the weights."""
    alone = (weights == 1).any(1) & (np.count_nonzero(weights, axis=1) == 1)
    return weights.argmax(1) if alone.all() else weights


def _spread(taps: np.ndarray, planes: "torch.Tensor") -> "torch.Tensor":
    """Take or mix planes (n, …) by an index or by weights (m, n)."""
    import torch

    by = torch.from_numpy(taps).to(planes.device)
    if by.ndim == 1:
        return planes[by]
    return torch.tensordot(by.to(planes.dtype), planes, 1)


def _around(core: slice, size: int, whole: int) -> slice:
    """Place `size` pixels around a core; they may go beyond the image's edges."""
    if size == whole:
        return slice(0, whole)
    start = core.start - (size - (core.stop - core.start)) // 2
    return slice(start, start + size)


def _wrapped(read: Read, place: Sequence[slice], whole: Sequence[int]) -> np.ndarray:
    """Read a rectangle, around the edges of the image where it leaves it."""
    rows, columns = (_inside(*one) for one in zip(place, whole, strict=True))
    return np.block([[read(y, x) for x in columns] for y in rows])


def _inside(part: slice, whole: int) -> list[slice]:
    """Cut a range that goes around an image's edges into ranges within it."""
    ends = [part.start, -whole, 0, whole, 2 * whole, part.stop]
    ends = sorted({end for end in ends if part.start <= end <= part.stop})
    return [
        slice(a % whole, a % whole + b - a)
        for a, b in zip(ends, ends[1:], strict=False)
    ]
