"""How far simulated bright-field is from real bright-field, as numbers and a figure.

    python scripts/realism_figure.py [--real FILE] [--colonies 24] [--looks 2]
        [--plain] [--out PNG] [--json FILE] [--no-pixels]

Simulated colonies (seeds from 2 000 000, 56 planes) are cut to the real stack's shape:
the middle planes, side by side in y. `--plain` takes only looks whose spectrum was
left as the optics made it. `--no-pixels` draws no pixel of the real stack.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from napari_sparsessp import load_volume
from napari_sparsessp.evaluation import realism
from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
from napari_sparsessp.simulation.optics import photon_noise

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "data" / "allen_hipsc_dna_top.ome.tif"
OUT = ROOT / "docs" / "images" / "realism.png"
FIRST_SEED = 2_000_000
SIZE = (56, 160, 160)
CROP = (32, 64, 128)
INK, REAL_INK, BAND_INK = "#20242c", "#c2410c", "#2563a8"
HEIGHTS = (0.15, 0.4, 0.65, 0.9)


def _crops(stack: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The middle planes, and as many strips side by side as fit."""
    z, y, x = (((a - b) // 2) for a, b in zip(stack.shape, shape, strict=True))
    rows = stack.shape[1] // shape[1]
    y = (stack.shape[1] - rows * shape[1]) // 2
    return [
        stack[
            z : z + shape[0],
            y + r * shape[1] : y + (r + 1) * shape[1],
            x : x + shape[2],
        ]
        for r in range(rows)
    ]


def _simulated(options, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Crops of all colonies; those of one colony follow each other."""
    step, looks = (8, 1) if options.plain else (1, options.looks)
    crops = []
    for seed in range(FIRST_SEED, FIRST_SEED + step * options.colonies, step):
        colony = simulate_colony(seed, SIZE, looks)
        noise = torch.Generator().manual_seed(seed)
        for look in colony.brightfield:
            light = (1 + 0.08 * look).clamp_min(0)
            crops += _crops(photon_noise(light, 20_000, 5.0, noise).numpy(), shape)
    return crops


def _tiles(figure, rows: dict[str, list[np.ndarray]]) -> None:
    """Planes of stacks at the same heights, all in the same grey limits."""
    axes = figure.subplots(
        sum(len(stacks) for stacks in rows.values()), len(HEIGHTS), squeeze=False
    )
    listed = [(name, one) for name, stacks in rows.items() for one in stacks]
    for line, (name, stack) in zip(axes, listed, strict=True):
        shown = realism.standardise(stack)
        for panel, height in zip(line, HEIGHTS, strict=True):
            z = round(height * (len(shown) - 1))
            panel.imshow(shown[z], cmap="gray", vmin=-3, vmax=3)
            panel.set_axis_off()
            panel.set_title(f"{name}, z = {z * VOXEL:.1f} µm", color=INK, fontsize=7)


def _curve(panel, distance, title: str, x: str, log: bool, real: bool) -> None:
    panel.fill_between(
        distance.over, distance.low, distance.high, color=BAND_INK, alpha=0.22, lw=0
    )
    panel.plot(distance.over, distance.median, color=BAND_INK, label="simulated")
    if real:
        panel.plot(distance.over, distance.real, color=REAL_INK, label="real")
        title = f"{title}   distance {distance.distance:.1f}"
    if log:
        panel.set_xscale("log")
    panel.set_title(title, fontsize=9)
    panel.set_xlabel(x, fontsize=8)
    panel.tick_params(labelsize=8, colors=INK)
    panel.spines[["top", "right"]].set_visible(False)


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


def _draw(rows, distances, out: Path, real: bool) -> None:
    figure = Figure(figsize=(15, 14), dpi=90, facecolor="white", layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.6, 1))
    _tiles(top, rows)
    panels = bottom.subplots(2, 4)
    for panel, (name, title, x, log) in zip(panels.flat, PANELS, strict=True):
        _curve(panel, distances[name], title, x, log, real)
    panels[0, 0].legend(frameon=False, fontsize=8)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)


def _table(distances) -> dict:
    table = {
        name: {
            "distance": round(one.distance, 2),
            "simulated at least as far": round(one.farther, 3),
            **{
                key: np.round(getattr(one, key), 3).tolist()
                for key in ("over", "real", "low", "median", "high", "z")
            },
        }
        for name, one in distances.items()
    }
    table["spectrum"]["rms_log10_ratio"] = round(
        realism.spectrum_error(distances["spectrum"]), 3
    )
    return table


def _tell(table: dict, path: Path | None) -> None:
    for name, row in table.items():
        farther = row["simulated at least as far"]
        print(f"{name:18} distance {row['distance']:6.2f}, beyond it {farther:.0%}")
    print("spectrum, RMS log10 ratio", table["spectrum"]["rms_log10_ratio"])
    if path:
        path.write_text(json.dumps(table, indent=1))


def main() -> None:
    """Measure, print one line for each statistic, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--colonies", type=int, default=24)
    parser.add_argument("--looks", type=int, default=2)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--no-pixels", action="store_true")
    options = parser.parse_args()
    real = None
    if options.real.exists():
        real = np.asarray(load_volume(options.real, channel="Bright-field").numpy())
    else:
        print(f"no real stack at {options.real}: simulated only")
    shape = CROP if real is None else real.shape
    simulated = _simulated(options, shape)
    measured = [realism.all_statistics(one, VOXEL) for one in simulated]
    own = measured[0] if real is None else realism.all_statistics(real, VOXEL)
    distances = {
        name: realism.compare(own[name], [one[name] for one in measured])
        for name in own
    }
    if real is not None:
        _tell(_table(distances), options.json)
    step = max(1, len(simulated) // 4)
    rows = {"simulated": simulated[::step][: 4 if options.no_pixels else 3]}
    if real is not None and not options.no_pixels:
        rows = {"real": [real]} | rows
    _draw(rows, distances, options.out, real is not None)
    print(options.out)


if __name__ == "__main__":
    main()
