"""How far simulated bright-field is from real bright-field: docs/simulator.md.

    python -m benchmarks.figures.realism [--real FILE] [--colonies 24] [--looks 2]

Simulated colonies (seeds from 2 000 000, 56 planes) are cut to the real stack's shape:
the middle planes, side by side in y.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import ROOT

REAL = ROOT.parent / "shared" / "data" / "allen_hipsc_dna_top.ome.tif"
FIRST_SEED, SIZE = 2_000_000, (56, 160, 160)

BANDS = {"low": (0.05, 0.2), "mid": (0.2, 0.6), "high": (0.6, 1.6)}
"""Lateral frequency, cycles/µm: cells; nuclei and borders; granules."""

COMPARED = (0.05, 1.6)
LAGS = 12
QUANTILES = (0.005, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 0.995)
SPREAD = 2.563  # the 10–90 % band of a normal distribution in standard deviations

Curve = tuple[np.ndarray, np.ndarray]
"""Where a statistic is measured (frequency, lag, height, …), and its values, (N,)."""


@dataclass(frozen=True, eq=False)
class Distance:
    """A real stack's statistic beside those of simulated stacks."""

    real: np.ndarray  # (N,)
    median: np.ndarray  # (N,), of the simulated
    # Root mean square of (real − median) in robust standard deviations
    distance: float
    farther: float  # Share of simulated stacks as far from their own median


# statistics of a stack (D, H, W), voxel in µm ----------------------------------------


def standardise(stack: np.ndarray) -> np.ndarray:
    """Return zero mean, unit standard deviation, float64."""
    stack = np.asarray(stack, np.float64)
    return (stack - stack.mean()) / stack.std()


def _radius(stack: np.ndarray, voxel: float) -> np.ndarray:
    fy = np.fft.fftfreq(stack.shape[1], voxel)[:, None]
    return np.hypot(fy, np.fft.rfftfreq(stack.shape[2], voxel)[None])


def _spectrum(stack: np.ndarray) -> np.ndarray:
    """Spectra of the planes under a Hann window of unit power, their means off."""
    flat = stack - stack.mean((1, 2), keepdims=True)
    window = np.hanning(flat.shape[1])[:, None] * np.hanning(flat.shape[2])[None]
    return np.fft.rfft2(flat * (window / np.sqrt((window**2).mean())))


def _binned(values: np.ndarray, voxel: float, stack: np.ndarray) -> Curve:
    """Centres of the bins, eight to the decade, and the mean of (H, W // 2 + 1)."""
    lowest = max(COMPARED[0], 1 / (voxel * min(stack.shape[1:])))
    count = max(2, round(8 * np.log10(COMPARED[1] / lowest)))
    edges = np.geomspace(lowest * 0.999, COMPARED[1], count + 1)
    radius = _radius(stack, voxel).ravel()
    sums = np.histogram(radius, edges, weights=values.ravel())[0]
    number = np.histogram(radius, edges)[0].clip(1)
    return np.sqrt(edges[1:] * edges[:-1]), sums / number


def _in_band(stack: np.ndarray, voxel: float, band: str) -> np.ndarray:
    """Return what a stack holds between two lateral frequencies, softly cut."""
    (low, high), radius = BANDS[band], _radius(stack, voxel).clip(1e-6)
    keep = np.exp(-((low / radius) ** 8)) * np.exp(-((radius / high) ** 8))
    kept = np.fft.irfft2(_spectrum(stack) * keep, s=stack.shape[1:])
    return kept - kept.mean((1, 2), keepdims=True)


def power_spectrum(stack: np.ndarray, voxel: float) -> Curve:
    """Radial lateral power spectrum, mean over planes: log10 of µm² at variance 1."""
    power = (np.abs(_spectrum(standardise(stack))) ** 2).mean(0)
    over, mean = _binned(power * voxel**2 / np.prod(stack.shape[1:]), voxel, stack)
    return over, np.log10(mean.clip(1e-12))


def axial_correlation(stack: np.ndarray, voxel: float, band: str) -> Curve:
    """Correlation of planes over their distance in µm, within a lateral band."""
    part = _in_band(stack, voxel, band)
    lags, energy = np.arange(1, min(LAGS, len(part) - 1) + 1), (part**2).sum((1, 2))
    values = [
        (part[lag:] * part[:-lag]).sum()
        / np.sqrt(energy[lag:].sum() * energy[:-lag].sum()).clip(1e-12)
        for lag in lags
    ]
    return lags * voxel, np.array(values)


def neighbour_coherence(stack: np.ndarray, voxel: float) -> Curve:
    """Coherence of neighbouring planes over cycles/µm: 1 where they are alike."""
    spectrum = _spectrum(standardise(stack))
    power = np.abs(spectrum) ** 2
    cross = (spectrum[1:] * spectrum[:-1].conj()).real
    (over, shared), (_, above), (_, below) = (
        _binned(one.sum(0), voxel, stack) for one in (cross, power[1:], power[:-1])
    )
    return over, shared / np.sqrt(above * below).clip(1e-12)


def histogram(stack: np.ndarray) -> Curve:
    """Quantiles of the brightness within planes."""
    flat = standardise(stack - np.mean(stack, (1, 2), keepdims=True))
    return np.array(QUANTILES), np.quantile(flat, QUANTILES)


def shape_of_histogram(stack: np.ndarray) -> Curve:
    """Skewness and excess kurtosis of the brightness within planes."""
    flat = standardise(stack - np.mean(stack, (1, 2), keepdims=True))
    return np.array([3.0, 4.0]), np.array([(flat**3).mean(), (flat**4).mean() - 3])


def focus_curve(stack: np.ndarray, voxel: float, band: str = "") -> Curve:
    """Standard deviation of each plane over its height, relative to their mean."""
    part = np.asarray(stack, np.float64)
    spread = (_in_band(part, voxel, band) if band else part).std((1, 2))
    return np.arange(len(part)) * voxel, spread / spread.mean()


def all_statistics(stack: np.ndarray, voxel: float) -> dict[str, Curve]:
    """Return every statistic of a stack of at least two planes, by its name."""
    return {
        "spectrum": power_spectrum(stack, voxel),
        "coherence": neighbour_coherence(stack, voxel),
        **{f"axial_{b}": axial_correlation(stack, voxel, b) for b in BANDS},
        "histogram": histogram(stack),
        "skewness_kurtosis": shape_of_histogram(stack),
        "focus": focus_curve(stack, voxel),
        **{f"focus_{b}": focus_curve(stack, voxel, b) for b in ("mid", "high")},
    }


def compare(real: Curve, simulated: Sequence[Curve]) -> Distance:
    """Place one real statistic in the distribution of at least two simulated ones."""
    curves = np.stack([values for _, values in simulated])
    low, median, high = np.quantile(curves, (0.1, 0.5, 0.9), axis=0)
    spread = ((high - low) / SPREAD).clip(1e-9)
    own = np.sqrt((((curves - median) / spread) ** 2).mean(1))
    distance = float(np.sqrt((((real[1] - median) / spread) ** 2).mean()))
    return Distance(real[1], median, distance, float((own >= distance).mean()))


def simulated_crops(colonies: int, looks: int, shape: Sequence[int]) -> list[Any]:
    """Middle planes of all colonies, in as many strips side by side as fit."""
    import torch

    from napari_sparsessp.simulation.colony import simulate_colony
    from napari_sparsessp.simulation.optics import photon_noise

    crops = []
    for seed in range(FIRST_SEED, FIRST_SEED + colonies):
        noise = torch.Generator().manual_seed(seed)
        for look in simulate_colony(seed, SIZE, looks).brightfield:
            light = (1 + 0.08 * look).clamp_min(0)
            stack = photon_noise(light, 20_000, 5.0, noise).numpy()
            rows = stack.shape[1] // shape[1]
            sizes = (shape[0], rows * shape[1], shape[2])
            first = [(a - b) // 2 for a, b in zip(stack.shape, sizes, strict=True)]
            inner = tuple(slice(a, a + b) for a, b in zip(first, sizes, strict=True))
            crops += np.split(stack[inner], rows, axis=1)
    return crops


def main() -> None:
    """Measure, and print one line for each statistic."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--colonies", type=int, default=24)
    parser.add_argument("--looks", type=int, default=2)
    options = parser.parse_args()
    from napari_sparsessp import load_volume
    from napari_sparsessp.simulation.colony import VOXEL

    real = load_volume(options.real, channel="Bright-field").numpy()
    simulated = simulated_crops(options.colonies, options.looks, real.shape)
    measured = [all_statistics(one, VOXEL) for one in simulated]
    distances = {
        name: compare(curve, [one[name] for one in measured])
        for name, curve in all_statistics(real, VOXEL).items()
    }
    for name, one in distances.items():
        print(f"{name:18} distance {one.distance:6.2f}, beyond it {one.farther:.0%}")
    spectrum = distances["spectrum"]
    error = np.sqrt(((spectrum.real - spectrum.median) ** 2).mean())
    print(f"spectrum, RMS log10 ratio {error:.3f}")


if __name__ == "__main__":
    main()
