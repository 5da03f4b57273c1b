"""Draw one colony in three contrasts: ``python scripts/contrasts_figure.py [FILE]``.

Bright-field, phase contrast and DIC of the same refractive index, at three heights, on
one grey scale for each contrast.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from napari_sparsessp.simulation import Contrast
from napari_sparsessp.simulation.colony import VOXEL, simulate_colony

OUT = Path(__file__).parents[1] / "docs" / "images" / "contrasts.png"
SEED = 2_000_006
SHAPE = (48, 192, 192)
HEIGHTS = (10, 22, 34)
INK = "#e8e8ea"


def main() -> None:
    """Simulate and draw."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    figure = Figure(figsize=(11, 11), dpi=70, facecolor="#14161a", layout="constrained")
    axes = figure.subplots(len(Contrast), len(HEIGHTS))
    for row, contrast in zip(axes, Contrast, strict=True):
        stack = simulate_colony(SEED, SHAPE, contrast=contrast).brightfield[0]
        low, high = np.percentile(stack, (0.2, 99.8))
        for panel, z in zip(row, HEIGHTS, strict=True):
            panel.imshow(stack[z], cmap="gray", vmin=low, vmax=high)
            panel.set_title(
                f"{contrast.label}, z = {z * VOXEL:.1f} µm", color=INK, fontsize=10
            )
            panel.set_axis_off()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
    print(out)


if __name__ == "__main__":
    main()
