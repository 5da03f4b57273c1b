"""How well the noise ceiling is estimated, on a colony whose noise is known.

    python -m benchmarks.figures.ceiling [--seed 1000003] [--photons 40] [--read 2]

Adds photon and read noise to the simulated fluorescence and compares the estimate with
what the noise-free image really scores; docs/evaluation.md quotes it.
"""

import argparse

import numpy as np

from napari_sparsessp import Volume, metrics
from napari_sparsessp.evaluation.baselines import noise_ceiling
from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
from napari_sparsessp.volume import Grid

CUBE = (VOXEL, VOXEL, VOXEL)


def main() -> None:
    """Print one line a structure, and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1_000_003)
    parser.add_argument("--photons", type=float, default=40, help="brightest voxel")
    parser.add_argument("--read", type=float, default=2, help="standard deviation")
    parser.add_argument("--shape", type=int, nargs=3, default=(56, 160, 160))
    options = parser.parse_args()
    colony = simulate_colony(options.seed, tuple(options.shape))
    rng, worst = np.random.default_rng(0), 0.0
    print(f"{'R²':<24}  noise-free  estimated  careful")
    for name, image in zip(colony.structures, colony.fluorescence, strict=True):
        bright = image.numpy().astype(np.float64)
        bright = options.photons * (bright - bright.min()) / np.ptp(bright)
        noisy = rng.poisson(bright) + rng.normal(0, options.read, bright.shape)
        best = metrics.score((bright - noisy.mean()) / noisy.std(), noisy)["r2"]
        truth = Volume(noisy.astype(np.float32), "ZYX", CUBE)
        found = noise_ceiling(truth, Grid(truth.shape, CUBE, (0.0, 0.0, 0.0)))
        worst = max(worst, abs(found.r2 - best))
        print(f"{name:<24}  {best:10.3f}  {found.r2:9.3f}  {found.r2_careful:7.3f}")
    print(f"largest difference of the estimate: {worst:.3f}")


if __name__ == "__main__":
    main()
