"""Make the bundled samples: a simulated colony, sparse and dense, and its ground truth.

    python tools/make_sample.py

Writes into src/napari_sparsessp/samples: colony_sparse.ome.tif (8 bright-field planes,
every 4th of 32, with camera noise), colony_dense.ome.tif (all 32 planes) and
colony_truth.ome.tif (12 structures, 32 planes).
"""

from pathlib import Path

import numpy as np
import tifffile
import torch

from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
from napari_sparsessp.simulation.optics import photon_noise

SEED = 2_000_004  # never trained on
RATIO = 4
PLANES = slice(8, 40)
SIDE = 144
FOLDER = Path(__file__).parents[1] / "src" / "napari_sparsessp" / "samples"


def _write(
    name: str, array: np.ndarray, axes: str, z_step: float, **more: object
) -> None:
    steps = {"X": VOXEL, "Y": VOXEL, "Z": z_step}
    sizes = {f"PhysicalSize{axis}": step for axis, step in steps.items()}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in steps}
    metadata = {"axes": axes, **sizes, **units, **more}
    tifffile.imwrite(
        FOLDER / name, array, compression="zlib", predictor=True, ome=True,
        photometric="minisblack", metadata=metadata,
    )  # fmt: skip


def main() -> None:
    """Simulate, add noise, quantise, write."""
    colony = simulate_colony(SEED, (56, SIDE, SIDE))
    for name, step in (("sparse", RATIO), ("dense", 1)):
        generator = torch.Generator().manual_seed(SEED)
        light = 1 + 0.08 * colony.brightfield[0, PLANES][::step]
        counts = photon_noise(light.clamp_min(0), 20_000, 5.0, generator)
        transmitted = (counts / counts.mean() * 12_000).clamp(0, 65_535).round()
        _write(
            f"colony_{name}.ome.tif",
            transmitted.numpy().astype(np.uint16),
            "ZYX",
            VOXEL * step,
            Channel={"Name": ["Bright-field"]},
        )
    truth = colony.fluorescence[:, PLANES]
    low, high = truth.flatten(1).min(1)[0], truth.flatten(1).max(1)[0]
    scaled = (truth - low[:, None, None, None]) / (high - low)[:, None, None, None]
    _write(
        "colony_truth.ome.tif",
        (scaled * 255).round().numpy().astype(np.uint8),
        "CZYX",
        VOXEL,
        Channel={"Name": list(colony.structures)},
    )


if __name__ == "__main__":
    main()
