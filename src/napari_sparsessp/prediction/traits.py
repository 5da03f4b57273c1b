"""What a stack looks like in a dozen numbers, so that two kinds can be told apart.

None of them depends on gain, offset or the size of the field. They are measured in
windows of a fixed physical size, on few planes, in bands of lateral frequency:
unevenness and cells, nuclei and borders, granules, noise.
"""

from collections.abc import Iterator, Sequence

import numpy as np

SIDE = 128
"""Pixels of a window on the model's grid; smaller fields are one window."""

WINDOWS = 2
"""Of them along y, and along x."""

PAIRS = 4
"""Pairs of neighbouring measured planes that are looked at."""

BANDS = {
    "coarse": (0.05, 0.15),
    "middle": (0.15, 0.5),
    "fine": (0.5, 1.0),
    "finest": (1.0, 1.4),
}
"""Cycles/µm."""

_BLOCK = 8
"""Pixels of the blocks that JPEG cuts an image into."""

_QUIET = 1e-12


def neighbours(count: int) -> list[tuple[int, int]]:
    """Choose pairs of neighbours among measured planes, spread over the stack."""
    if count < 2:
        return []
    lower = np.unique(np.linspace(0, count - 2, PAIRS).round().astype(int))
    return [(int(k), int(k) + 1) for k in lower]


def windows(size: int, side: int) -> list[slice]:
    """Spread up to `WINDOWS` windows over `size` pixels."""
    if size <= side:
        return [slice(0, size)]
    room = size - side
    count = min(WINDOWS, -(-size // side))
    # On multiples of a block, so that those of all windows are one grid.
    starts = np.linspace(0, room, 2 * count + 1)[1::2].astype(int) // _BLOCK * _BLOCK
    return [slice(int(start), int(start) + side) for start in starts]


def image_traits(
    pieces: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    pixel: float,
    nyquist: float = np.inf,
) -> dict[str, float]:
    """Measure what the network gets to see.

    Parameters
    ----------
    pieces : sequence of ndarray
        (n, h, w), windows of the same planes; finite.
    pairs : sequence of tuple of int
        Which of the planes are neighbours.
    pixel : float
        µm of the pieces' pixels.
    nyquist : float
        Highest frequency in cycles/µm that the camera's pixels could show; bands
        beyond it are left out.

    Returns
    -------
    dict
        ``coarse``, ``fine``, ``finest``: log10 of a band's power over that of the
        middle. ``skewness``, ``peaks``: of the coarse and middle bands together, the
        third moment, and log10 of the fourth. ``alike_middle``, ``alike_fine``:
        correlation of neighbouring planes within the band. What cannot be measured
        (too small a field, a single plane) is left out.
    """
    power = dict.fromkeys(BANDS, 0.0)
    cross = dict.fromkeys(BANDS, 0.0)
    own = dict.fromkeys(BANDS, 0.0)
    moments = np.zeros(4)
    for piece in pieces:
        spectrum, radius, weight = _spectrum(piece, pixel)
        for name, (low, high) in BANDS.items():
            inside = weight * ((radius >= low) & (radius < high))
            energy = ((np.abs(spectrum) ** 2) * inside).sum((1, 2))
            power[name] += float(energy.sum()) / len(piece)
            for one, other in pairs:
                both = spectrum[one] * spectrum[other].conj()
                cross[name] += float((both.real * inside).sum())
                own[name] += float(energy[one] + energy[other]) / 2
        moments += _moments(spectrum, radius, piece.shape)
    return _named(power, cross, own, moments, nyquist)


def recording_traits(pieces: Sequence[np.ndarray]) -> dict[str, float]:
    """Measure what the file says of the way the image was recorded.

    Parameters
    ----------
    pieces : sequence of ndarray
        (n, h, w), windows of measured planes as they are in the file.

    Returns
    -------
    dict
        ``saturated``: share of pixels at the darkest or brightest value, the larger
        one. ``blocks``: steps of brightness at every eighth pixel over those between.
    """
    values = np.concatenate([piece.reshape(-1) for piece in pieces])
    ends = [float((values == end).mean()) for end in (values.min(), values.max())]
    # A single darkest pixel is at an end of any image.
    traits = {"saturated": max(ends)}
    steps = [s for axis in (-1, -2) for s in _block_steps(pieces, axis)]
    if steps:
        traits["blocks"] = max(steps)
    return traits


def _spectrum(
    piece: np.ndarray, pixel: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectra of the planes under a Hann window, radius, and weight of each bin."""
    height, width = piece.shape[1:]
    taper = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    flat = piece - (piece * taper).sum((1, 2), keepdims=True) / taper.sum()
    spectrum = np.fft.rfft2(flat * taper)
    fy = np.fft.fftfreq(height, pixel)[:, None]
    fx = np.fft.rfftfreq(width, pixel)
    # Half of the plane stands for all of it; the ends of x stand for themselves.
    weight = np.full(len(fx), 2.0)
    weight[0] = 1.0
    if width % 2 == 0:
        weight[-1] = 1.0
    return spectrum, np.hypot(fy, fx), weight / piece[0].size


def _moments(
    spectrum: np.ndarray, radius: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Sums of powers 0, 2, 3 and 4 of what the lower two bands show."""
    low, high = BANDS["coarse"][0], BANDS["middle"][1]
    kept = spectrum * ((radius >= low) & (radius < high))
    values = np.fft.irfft2(kept, s=shape[1:])
    squares = values * values
    third, fourth = (squares * values).sum(), (squares * squares).sum()
    return np.array([values.size, squares.sum(), third, fourth])


def _named(
    power: dict[str, float],
    cross: dict[str, float],
    own: dict[str, float],
    moments: np.ndarray,
    nyquist: float,
) -> dict[str, float]:
    traits: dict[str, float] = {}
    middle = power["middle"]
    if middle <= _QUIET * sum(power.values()) or middle <= 0:
        return traits
    for name in ("coarse", "fine", "finest"):
        if power[name] > 0 and BANDS[name][1] <= nyquist:
            traits[name] = float(np.log10(power[name] / middle))
    count, *sums = moments
    second, third, fourth = (one / count for one in sums)
    traits["skewness"] = float(third / second**1.5)
    traits["peaks"] = float(np.log10(fourth / second**2))
    for name in ("middle", "fine"):
        if own[name] > 0 and BANDS[name][1] <= nyquist:
            traits[f"alike_{name}"] = cross[name] / own[name]
    return traits


def _block_steps(pieces: Sequence[np.ndarray], axis: int) -> Iterator[float]:
    """For each of the eight places of a grid: steps there over steps elsewhere."""
    total, count = np.zeros(_BLOCK), np.zeros(_BLOCK)
    for piece in pieces:
        step = np.abs(np.diff(piece, axis=axis))
        along = step.mean(tuple(k for k in range(3) if k != 3 + axis))
        place = np.arange(len(along)) % _BLOCK
        total += np.bincount(place, along, minlength=_BLOCK)
        count += np.bincount(place, minlength=_BLOCK)
    if count.min() < 2 or total.sum() <= 0:
        return
    mean = total / count
    for one in range(_BLOCK):
        yield float(mean[one] / np.delete(mean, one).mean())
