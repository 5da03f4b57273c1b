"""Draw simulated colonies: ``python scripts/simulation_figure.py [FILE]``.

Four colonies that no model was trained on: bright-field at three heights, and three of
the twelve structures at the middle one.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
from napari_sparsessp.structures import CATALOGUE

OUT = Path(__file__).resolve().parents[2] / "docs" / "images" / "simulated.png"
SEEDS = (2_000_001, 2_000_002, 2_000_003, 2_000_005)
HEIGHTS = (14, 24, 34)
SHOWN = ("dna", "cell_membrane", "mitochondria")
INK = "#e8e8ea"


def main() -> None:
    """Simulate and draw."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    figure = Figure(figsize=(15, 10), dpi=90, facecolor="#14161a", layout="constrained")
    columns = len(HEIGHTS) + len(SHOWN)
    axes = figure.subplots(len(SEEDS), columns)
    for row, seed in zip(axes, SEEDS, strict=True):
        colony = simulate_colony(seed, (48, 128, 128))
        for panel, z in zip(row, HEIGHTS, strict=False):
            panel.imshow(colony.brightfield[0, z], cmap="gray")
            panel.set_title(
                f"bright-field, z = {z * VOXEL:.1f} µm", color=INK, fontsize=9
            )
        for panel, name in zip(row[len(HEIGHTS) :], SHOWN, strict=True):
            image = colony.fluorescence[colony.structures.index(name), HEIGHTS[1]]
            colours = LinearSegmentedColormap.from_list(
                "ink", ["#000000", CATALOGUE[name].colour]
            )
            panel.imshow(image, cmap=colours, vmax=float(np.percentile(image, 99.7)))
            panel.set_title(CATALOGUE[name].label, color=INK, fontsize=9)
    for panel in axes.flat:
        panel.set_axis_off()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
    print(out)


if __name__ == "__main__":
    main()
