"""How far simulated transmitted-light stacks are from a real one, in numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

LOW, MID, HIGH = (0.05, 0.2), (0.2, 0.6), (0.6, 1.6)
"""Bands of lateral frequency, cycles/µm: cells; nuclei and borders; granules."""

BANDS = {"low": LOW, "mid": MID, "high": HIGH}
COMPARED = (0.05, 1.6)
LAGS = 12
QUANTILES = (0.005, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 0.995)
SPREAD = 2.563  # the 10–90 % band of a normal distribution in standard deviations


@dataclass(frozen=True, eq=False)
class Statistic:
    """One statistic of a stack: a curve over something.

    Attributes
    ----------
    over : ndarray
        (N,) where it is measured: frequency in cycles/µm, lag or height in µm, …
    values : ndarray
        (N,) float64.
    """

    over: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Distance:
    """A real stack's statistic beside those of simulated stacks.

    Attributes
    ----------
    over, real, low, median, high : ndarray
        (N,) the real curve, and the 10th, 50th and 90th percentile of the simulated.
    z : ndarray
        (N,) signed robust z: real − median over half the 10–90 % band, as a normal
        distribution has it.
    distance : float
        Root mean square of `z`.
    farther : float
        Share of the simulated stacks that are at least as far from their own median.
    """

    over: np.ndarray
    real: np.ndarray
    low: np.ndarray
    median: np.ndarray
    high: np.ndarray
    z: np.ndarray
    distance: float
    farther: float


def standardise(stack: np.ndarray) -> np.ndarray:
    """Zero mean, unit standard deviation, float64.

    Parameters
    ----------
    stack : ndarray
        (D, H, W), not constant.
    """
    stack = np.asarray(stack, np.float64)
    return (stack - stack.mean()) / stack.std()


def _radius(stack: np.ndarray, voxel: float) -> np.ndarray:
    fy = np.fft.fftfreq(stack.shape[1], voxel)[:, None]
    fx = np.fft.rfftfreq(stack.shape[2], voxel)[None]
    return np.hypot(fy, fx)


def _spectrum(stack: np.ndarray) -> np.ndarray:
    """Spectra of the planes under a Hann window of unit power, their means off."""
    flat = stack - stack.mean((1, 2), keepdims=True)
    window = np.hanning(flat.shape[1])[:, None] * np.hanning(flat.shape[2])[None]
    return np.fft.rfft2(flat * (window / np.sqrt((window**2).mean())))


def _bins(stack: np.ndarray, voxel: float) -> tuple[np.ndarray, np.ndarray]:
    """(centres, index of each frequency or −1), eight bins to the decade."""
    lowest = max(COMPARED[0], 1 / (voxel * min(stack.shape[1:])))
    count = max(2, round(8 * np.log10(COMPARED[1] / lowest)))
    edges = np.geomspace(lowest * 0.999, COMPARED[1], count + 1)
    index = np.digitize(_radius(stack, voxel), edges) - 1
    index[index == count] = -1
    return np.sqrt(edges[1:] * edges[:-1]), index


def _binned(values: np.ndarray, index: np.ndarray, count: int) -> np.ndarray:
    """Mean of the values of each bin; values (..., H, W // 2 + 1)."""
    kept = index >= 0
    flat = values[..., kept].reshape(-1, int(kept.sum())).sum(0)
    sums = np.bincount(index[kept], flat, minlength=count)
    return sums / np.bincount(index[kept], minlength=count).clip(1)


def _in_band(stack: np.ndarray, voxel: float, band: tuple[float, float]) -> np.ndarray:
    """What a stack holds between two lateral frequencies, softly cut."""
    radius = _radius(stack, voxel).clip(1e-6)
    keep = np.exp(-((band[0] / radius) ** 8)) * np.exp(-((radius / band[1]) ** 8))
    kept = np.fft.irfft2(_spectrum(stack) * keep, s=stack.shape[1:])
    return kept - kept.mean((1, 2), keepdims=True)


def power_spectrum(stack: np.ndarray, voxel: float) -> Statistic:
    """Radial lateral power spectrum, log10, mean over the planes.

    Parameters
    ----------
    stack : ndarray
        (D, H, W); it is standardised first, so that gain and offset do not count.
    voxel : float
        µm, in y and x.

    Returns
    -------
    Statistic
        Over cycles/µm; log10 of µm² for unit variance, whatever the crop's size.
    """
    spectrum = _spectrum(standardise(stack))
    centres, index = _bins(stack, voxel)
    power = (np.abs(spectrum) ** 2).mean(0) * voxel**2 / np.prod(stack.shape[1:])
    return Statistic(centres, np.log10(_binned(power, index, len(centres)).clip(1e-12)))


def axial_correlation(
    stack: np.ndarray, voxel: float, band: tuple[float, float]
) -> Statistic:
    """Correlation of planes over their distance, within a lateral band.

    Parameters
    ----------
    stack : ndarray
        (D, H, W)
    voxel : float
        µm, isotropic.
    band : tuple of float
        Cycles/µm.

    Returns
    -------
    Statistic
        Over the lag in µm; 1 at lag 0 is left out.
    """
    part = _in_band(stack, voxel, band)
    lags = np.arange(1, min(LAGS, len(part) - 1) + 1)
    energy = (part**2).sum((1, 2))
    values = [
        (part[lag:] * part[:-lag]).sum()
        / np.sqrt(energy[lag:].sum() * energy[:-lag].sum()).clip(1e-12)
        for lag in lags
    ]
    return Statistic(lags * voxel, np.array(values))


def neighbour_coherence(stack: np.ndarray, voxel: float) -> Statistic:
    """Coherence of neighbouring planes over lateral frequency.

    Parameters
    ----------
    stack : ndarray
        (D, H, W)
    voxel : float
        µm

    Returns
    -------
    Statistic
        Over cycles/µm; real part, 1 where planes are alike, about 0 for noise.
    """
    spectrum = _spectrum(standardise(stack))
    centres, index = _bins(stack, voxel)

    def mean(values: np.ndarray) -> np.ndarray:
        return _binned(values.sum(0), index, len(centres))

    power = np.abs(spectrum) ** 2
    cross = mean((spectrum[1:] * spectrum[:-1].conj()).real)
    return Statistic(
        centres, cross / np.sqrt(mean(power[1:]) * mean(power[:-1])).clip(1e-12)
    )


def histogram(stack: np.ndarray) -> Statistic:
    """Quantiles of the brightness within planes.

    Parameters
    ----------
    stack : ndarray
        (D, H, W); the mean of each plane is taken off, the spread made one.

    Returns
    -------
    Statistic
        Over the quantile's share.
    """
    flat = standardise(stack - np.mean(stack, (1, 2), keepdims=True))
    return Statistic(np.array(QUANTILES), np.quantile(flat, QUANTILES))


def shape_of_histogram(stack: np.ndarray) -> Statistic:
    """Skewness and excess kurtosis of the brightness within planes.

    Parameters
    ----------
    stack : ndarray
        (D, H, W)

    Returns
    -------
    Statistic
        Over the power, 3 and 4.
    """
    flat = standardise(stack - np.mean(stack, (1, 2), keepdims=True))
    return Statistic(
        np.array([3.0, 4.0]), np.array([(flat**3).mean(), (flat**4).mean() - 3])
    )


def focus_curve(
    stack: np.ndarray, voxel: float, band: tuple[float, float] | None = None
) -> Statistic:
    """Standard deviation of each plane, its mean over the planes one.

    Parameters
    ----------
    stack : ndarray
        (D, H, W)
    voxel : float
        µm, isotropic.
    band : tuple of float, optional
        Lateral band in cycles/µm; all frequencies without it.

    Returns
    -------
    Statistic
        Over the height in µm.
    """
    part = np.asarray(stack, np.float64)
    if band is not None:
        part = _in_band(part, voxel, band)
    spread = part.std((1, 2))
    return Statistic(np.arange(len(part)) * voxel, spread / spread.mean())


def _steepness(stack: np.ndarray, voxel: float) -> Statistic:
    """Largest over smallest contrast along z, and its fall from below to above."""
    curve = focus_curve(stack, voxel).values
    half = len(curve) // 2
    return Statistic(
        np.array([0.0, 1.0]),
        np.array(
            [
                np.log2(curve.max() / curve.min()),
                np.log2(curve[:half].mean() / curve[half:].mean()),
            ]
        ),
    )


def all_statistics(stack: np.ndarray, voxel: float) -> dict[str, Statistic]:
    """Every statistic of a stack by its name.

    Parameters
    ----------
    stack : ndarray
        (D, H, W), at least two planes.
    voxel : float
        µm, isotropic.
    """
    table: dict[str, Callable[[], Statistic]] = {
        "spectrum": lambda: power_spectrum(stack, voxel),
        "coherence": lambda: neighbour_coherence(stack, voxel),
        "histogram": lambda: histogram(stack),
        "skewness_kurtosis": lambda: shape_of_histogram(stack),
        "focus": lambda: focus_curve(stack, voxel),
        "focus_range_fall": lambda: _steepness(stack, voxel),
    }
    found = {name: make() for name, make in table.items()}
    for name, band in BANDS.items():
        found[f"axial_{name}"] = axial_correlation(stack, voxel, band)
        if band is not LOW:
            found[f"focus_{name}"] = focus_curve(stack, voxel, band)
    return found


def compare(real: Statistic, simulated: Sequence[Statistic]) -> Distance:
    """Place one real statistic in the distribution of the simulated ones.

    Parameters
    ----------
    real : Statistic
    simulated : sequence of Statistic
        At least two, of stacks of the real one's shape.
    """
    curves = np.stack([one.values for one in simulated])
    low, median, high = np.quantile(curves, (0.1, 0.5, 0.9), axis=0)
    spread = ((high - low) / SPREAD).clip(1e-9)
    own = np.sqrt((((curves - median) / spread) ** 2).mean(1))
    z = (real.values - median) / spread
    distance = float(np.sqrt((z**2).mean()))
    return Distance(
        real.over, real.values, low, median, high, z, distance,
        float((own >= distance).mean()),
    )  # fmt: skip


def spectrum_error(distance: Distance) -> float:
    """RMS log10 ratio of the real power spectrum over the simulated median.

    Parameters
    ----------
    distance : Distance
        Of the statistic "spectrum".
    """
    return float(np.sqrt(((distance.real - distance.median) ** 2).mean()))
