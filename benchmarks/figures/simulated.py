"""Draw simulated colonies, and one colony in three contrasts: docs/images.

    python -m benchmarks.figures.simulated [--out DIR]

Colonies that no model was trained on: bright-field at three heights and three of the
twelve structures; then bright-field, phase contrast and DIC of the same refractive
index, on one grey scale for each contrast.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from benchmarks.pages import DOCS
from napari_sparsessp.simulation import Contrast
from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
from napari_sparsessp.structures import CATALOGUE

SEEDS, CONTRAST_SEED = (2_000_001, 2_000_002, 2_000_003, 2_000_005), 2_000_006
SHOWN = ("dna", "cell_membrane", "mitochondria")
INK, DARK = "#e8e8ea", {"facecolor": "#14161a", "layout": "constrained"}


def colonies() -> Figure:
    """Draw four colonies with three structures each."""
    figure = Figure(figsize=(15, 10), dpi=90, **DARK)
    axes = figure.subplots(len(SEEDS), 3 + len(SHOWN))
    for row, seed in zip(axes, SEEDS, strict=True):
        colony = simulate_colony(seed, (48, 128, 128))
        for panel, z in zip(row, (14, 24, 34), strict=False):
            draw(panel, colony.brightfield[0, z], f"bright-field, {z * VOXEL:.1f} µm")
        for panel, name in zip(row[3:], SHOWN, strict=True):
            image = colony.fluorescence[colony.structures.index(name), 24]
            ink = ["#000000", CATALOGUE[name].colour]
            colours = LinearSegmentedColormap.from_list("ink", ink)
            limits = (None, float(np.percentile(image, 99.7)))
            draw(panel, image, CATALOGUE[name].label, colours, limits)
    return figure


def contrasts() -> Figure:
    """Draw one colony in three contrasts."""
    heights = (10, 22, 34)
    figure = Figure(figsize=(11, 11), dpi=70, **DARK)
    axes = figure.subplots(len(Contrast), len(heights))
    for row, contrast in zip(axes, Contrast, strict=True):
        colony = simulate_colony(CONTRAST_SEED, (48, 192, 192), contrast=contrast)
        stack = colony.brightfield[0]
        limits = tuple(np.percentile(stack, (0.2, 99.8)))
        for panel, z in zip(row, heights, strict=True):
            title = f"{contrast.label}, z = {z * VOXEL:.1f} µm"
            draw(panel, stack[z], title, limits=limits)
    return figure


def draw(
    panel: Any, image: Any, title: str, colours: Any = "gray", limits=(None, None)
) -> None:
    """Draw a plane with its title."""
    panel.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1])
    panel.set_title(title, color=INK, fontsize=9)
    panel.set_axis_off()


def main() -> None:
    """Simulate and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    out = parser.parse_args().out
    colonies().savefig(out / "simulated.png")
    contrasts().savefig(out / "contrasts.png")


if __name__ == "__main__":
    main()
