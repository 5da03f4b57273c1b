"""Draw simulated colonies, and one colony in three contrasts: docs/images.

    python -m benchmarks.figures.simulated [--out DIR] [--only colonies]

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
INK = "#e8e8ea"


def colonies() -> Figure:
    """Draw four colonies with three structures each."""
    figure, axes = panels((15, 10), 90, len(SEEDS), 3 + len(SHOWN))
    for row, seed in zip(axes, SEEDS, strict=True):
        colony = simulate_colony(seed, (48, 128, 128))
        for panel, z in zip(row, (14, 24, 34), strict=False):
            draw(panel, colony.brightfield[0, z], f"bright-field, {height(z)}", "gray")
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
    figure, axes = panels((11, 11), 70, len(Contrast), len(heights))
    for row, contrast in zip(axes, Contrast, strict=True):
        colony = simulate_colony(CONTRAST_SEED, (48, 192, 192), contrast=contrast)
        stack = colony.brightfield[0]
        limits = tuple(np.percentile(stack, (0.2, 99.8)))
        for panel, z in zip(row, heights, strict=True):
            draw(panel, stack[z], f"{contrast.label}, {height(z)}", "gray", limits)
    return figure


def panels(size: tuple[int, int], dpi: int, rows: int, columns: int) -> tuple[Any, Any]:
    """A dark figure with a grid of panels."""
    figure = Figure(figsize=size, dpi=dpi, facecolor="#14161a", layout="constrained")
    return figure, figure.subplots(rows, columns)


def draw(panel: Any, image: Any, title: str, colours: Any, limits=(None, None)) -> None:
    """Draw a plane with its title."""
    panel.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1])
    panel.set_title(title, color=INK, fontsize=9)
    panel.set_axis_off()


def height(z: int) -> str:
    """The height of a plane in words."""
    return f"z = {z * VOXEL:.1f} µm"


def main() -> None:
    """Simulate and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    parser.add_argument("--only", choices=("colonies", "contrasts"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for make, name in ((colonies, "simulated.png"), (contrasts, "contrasts.png")):
        if options.only in (None, make.__name__):
            make().savefig(options.out / name)
            print(options.out / name)


if __name__ == "__main__":
    main()
