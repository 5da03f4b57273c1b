"""How far simulated bright-field is from real bright-field, as numbers and a figure.

    python -m benchmarks.figures.realism [--real FILE] [--colonies 24] [--looks 2]
        [--plain] [--out PNG] [--json FILE] [--no-pixels]

Simulated colonies (seeds from 2 000 000, 56 planes) are cut to the real stack's shape:
the middle planes, side by side in y. ``--plain`` takes only looks whose spectrum was
left as the optics made it. ``--no-pixels`` draws no pixel of the real stack.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import DOCS, ROOT

REAL = ROOT.parent / "shared" / "data" / "allen_hipsc_dna_top.ome.tif"
FIRST_SEED, SIZE, CROP = 2_000_000, (56, 160, 160), (32, 64, 128)
INK, REAL_INK, BAND_INK = "#20242c", "#c2410c", "#2563a8"
HEIGHTS = (0.15, 0.4, 0.65, 0.9)

LOW, MID, HIGH = (0.05, 0.2), (0.2, 0.6), (0.6, 1.6)
"""Bands of lateral frequency, cycles/µm: cells; nuclei and borders; granules."""

BANDS = {"low": LOW, "mid": MID, "high": HIGH}
COMPARED = (0.05, 1.6)
LAGS = 12
QUANTILES = (0.005, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 0.995)
SPREAD = 2.563  # the 10–90 % band of a normal distribution in standard deviations

PANELS = (
    ("spectrum", "log10 power (µm²)", "cycles/µm", True),
    ("coherence", "coherence of neighbours", "cycles/µm", True),
    ("histogram", "brightness (sd) by quantile", "share of voxels", False),
    ("focus", "contrast by plane", "z (µm)", False),
    ("focus_high", "… above 0.6 cycles/µm", "z (µm)", False),
    ("axial_low", "axial correlation, 0.05–0.2 c/µm", "lag (µm)", False),
    ("axial_mid", "… 0.2–0.6", "lag (µm)", False),
    ("axial_high", "… 0.6–1.6", "lag (µm)", False),
)

Curve = tuple[np.ndarray, np.ndarray]
"""Where a statistic is measured (frequency, lag, height, …), and its values, (N,)."""


@dataclass(frozen=True, eq=False)
class Distance:
    """A real stack's statistic beside those of simulated stacks.

    Attributes
    ----------
    over, real, low, median, high
        (N,) the real curve, and the 10th, 50th and 90th percentile of the simulated.
    z
        (N,) signed robust z: real − median over half the 10–90 % band, as a normal
        distribution has it.
    distance
        Root mean square of `z`.
    farther
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
    index = np.digitize(_radius(stack, voxel), edges) - 1
    kept = (index >= 0) & (index < count)
    sums = np.bincount(index[kept], values[kept], minlength=count)
    number = np.bincount(index[kept], minlength=count).clip(1)
    return np.sqrt(edges[1:] * edges[:-1]), sums / number


def _in_band(stack: np.ndarray, voxel: float, band: tuple[float, float]) -> np.ndarray:
    """Return what a stack holds between two lateral frequencies, softly cut."""
    radius = _radius(stack, voxel).clip(1e-6)
    keep = np.exp(-((band[0] / radius) ** 8)) * np.exp(-((radius / band[1]) ** 8))
    kept = np.fft.irfft2(_spectrum(stack) * keep, s=stack.shape[1:])
    return kept - kept.mean((1, 2), keepdims=True)


def power_spectrum(stack: np.ndarray, voxel: float) -> Curve:
    """Radial lateral power spectrum, mean over planes: log10 of µm² at variance 1."""
    power = (np.abs(_spectrum(standardise(stack))) ** 2).mean(0)
    over, mean = _binned(power * voxel**2 / np.prod(stack.shape[1:]), voxel, stack)
    return over, np.log10(mean.clip(1e-12))


def axial_correlation(
    stack: np.ndarray, voxel: float, band: tuple[float, float]
) -> Curve:
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
    over, shared = _binned(cross.sum(0), voxel, stack)
    above, below = (
        _binned(one.sum(0), voxel, stack)[1] for one in (power[1:], power[:-1])
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


def focus_curve(
    stack: np.ndarray, voxel: float, band: tuple[float, float] | None = None
) -> Curve:
    """Standard deviation of each plane over its height, relative to their mean."""
    part = np.asarray(stack, np.float64)
    spread = (part if band is None else _in_band(part, voxel, band)).std((1, 2))
    return np.arange(len(part)) * voxel, spread / spread.mean()


def _steepness(stack: np.ndarray, voxel: float) -> Curve:
    """Largest over smallest contrast along z, and its fall from below to above."""
    curve = focus_curve(stack, voxel)[1]
    half = len(curve) // 2
    ratios = curve.max() / curve.min(), curve[:half].mean() / curve[half:].mean()
    return np.array([0.0, 1.0]), np.log2(ratios)


def all_statistics(stack: np.ndarray, voxel: float) -> dict[str, Curve]:
    """Return every statistic of a stack of at least two planes, by its name."""
    found = {
        "spectrum": power_spectrum(stack, voxel),
        "coherence": neighbour_coherence(stack, voxel),
        "histogram": histogram(stack),
        "skewness_kurtosis": shape_of_histogram(stack),
        "focus": focus_curve(stack, voxel),
        "focus_range_fall": _steepness(stack, voxel),
    }
    for name, band in BANDS.items():
        found[f"axial_{name}"] = axial_correlation(stack, voxel, band)
        if band is not LOW:
            found[f"focus_{name}"] = focus_curve(stack, voxel, band)
    return found


def compare(real: Curve, simulated: Sequence[Curve]) -> Distance:
    """Place one real statistic in the distribution of at least two simulated ones."""
    curves = np.stack([values for _, values in simulated])
    low, median, high = np.quantile(curves, (0.1, 0.5, 0.9), axis=0)
    spread = ((high - low) / SPREAD).clip(1e-9)
    own = np.sqrt((((curves - median) / spread) ** 2).mean(1))
    z = (real[1] - median) / spread
    distance = float(np.sqrt((z**2).mean()))
    farther = float((own >= distance).mean())
    return Distance(*real, low, median, high, z, distance, farther)


def spectrum_error(distance: Distance) -> float:
    """RMS log10 ratio of the real power spectrum over the simulated median."""
    return float(np.sqrt(((distance.real - distance.median) ** 2).mean()))


# the figure --------------------------------------------------------------------------


def simulated_crops(options: argparse.Namespace, shape: Sequence[int]) -> list[Any]:
    """Middle planes of all colonies, in as many strips side by side as fit."""
    import torch

    from napari_sparsessp.simulation.colony import simulate_colony
    from napari_sparsessp.simulation.optics import photon_noise

    step, looks = (8, 1) if options.plain else (1, options.looks)
    crops = []
    for seed in range(FIRST_SEED, FIRST_SEED + step * options.colonies, step):
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


def draw(rows: dict[str, list[Any]], distances: Any, out: Path, real: bool) -> None:
    """Draw planes at the same heights and grey limits, and the curves below."""
    from matplotlib.figure import Figure

    from napari_sparsessp.simulation.colony import VOXEL

    figure = Figure(figsize=(15, 14), dpi=90, facecolor="white", layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.6, 1))
    listed = [(name, one) for name, stacks in rows.items() for one in stacks]
    axes = top.subplots(len(listed), len(HEIGHTS), squeeze=False)
    for line, (name, stack) in zip(axes, listed, strict=True):
        shown = standardise(stack)
        for panel, height in zip(line, HEIGHTS, strict=True):
            z = round(height * (len(shown) - 1))
            panel.imshow(shown[z], cmap="gray", vmin=-3, vmax=3)
            panel.set_axis_off()
            panel.set_title(f"{name}, z = {z * VOXEL:.1f} µm", color=INK, fontsize=7)
    panels = bottom.subplots(2, 4)
    for panel, (name, title, x, log) in zip(panels.flat, PANELS, strict=True):
        one = distances[name]
        panel.fill_between(
            one.over, one.low, one.high, color=BAND_INK, alpha=0.22, lw=0
        )
        panel.plot(one.over, one.median, color=BAND_INK, label="simulated")
        if real:
            panel.plot(one.over, one.real, color=REAL_INK, label="real")
            title = f"{title}   distance {one.distance:.1f}"
        panel.set_xscale("log" if log else "linear")
        panel.set_title(title, fontsize=9)
        panel.set_xlabel(x, fontsize=8)
        panel.tick_params(labelsize=8, colors=INK)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0, 0].legend(frameon=False, fontsize=8)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
    print(out)


def main() -> None:
    """Measure, print one line for each statistic, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--colonies", type=int, default=24)
    parser.add_argument("--looks", type=int, default=2)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--out", type=Path, default=DOCS / "images" / "realism.png")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--no-pixels", action="store_true")
    options = parser.parse_args()
    from napari_sparsessp import load_volume
    from napari_sparsessp.simulation.colony import VOXEL

    real = None
    if options.real.exists():
        real = load_volume(options.real, channel="Bright-field").numpy()
    else:
        print(f"no real stack at {options.real}: simulated only")
    simulated = simulated_crops(options, CROP if real is None else real.shape)
    measured = [all_statistics(one, VOXEL) for one in simulated]
    own = measured[0] if real is None else all_statistics(real, VOXEL)
    distances = {
        name: compare(own[name], [one[name] for one in measured]) for name in own
    }
    if real is not None:
        for name, one in distances.items():
            share = f"beyond it {one.farther:.0%}"
            print(f"{name:18} distance {one.distance:6.2f}, {share}")
        error = spectrum_error(distances["spectrum"])
        print(f"spectrum, RMS log10 ratio {error:.3f}")
    if options.json:
        table = {name: vars(one) for name, one in distances.items()}
        text = json.dumps(table, indent=1, default=lambda one: one.tolist())
        options.json.write_text(text)
    step = max(1, len(simulated) // 4)
    pixels = real is not None and not options.no_pixels
    rows = {"simulated": simulated[::step][: 3 if pixels else 4]}
    draw(
        {"real": [real]} | rows if pixels else rows,
        distances,
        options.out,
        real is not None,
    )


if __name__ == "__main__":
    main()
