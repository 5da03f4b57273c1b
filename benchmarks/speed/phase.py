"""Measure phase from bright-field: ``python -m benchmarks.speed.phase``.

Seconds of the first and the second reconstruction of one field of view, 57×204×341
voxels of noise, and the memory that they take above what torch takes.
"""

import argparse
import resource
import sys
import time

import numpy as np


def peak_mib() -> float:
    """Return the most memory that this process has had."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="57,204,341", metavar="Z,Y,X")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)

    import torch

    from napari_sparsessp.prediction.phase import Optics, reconstruct_phase

    shape = tuple(map(int, options.shape.split(",")))
    light = np.random.default_rng(0).normal(1000, 100, shape).astype(np.float32)
    optics = Optics(na=1.25, na_condenser=0.5, wavelength=0.6, index=1.33)
    torch.fft.rfft(torch.zeros(8, device=options.device))
    before = peak_mib()
    for run in ("first", "second"):
        wall, cpu = time.perf_counter(), time.process_time()
        voxel = (0.29, 0.331, 0.294)
        reconstruct_phase(light, voxel, optics, device=options.device)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{run}: {wall:.2f} s, {cpu:.2f} s of CPU")
    print(f"{peak_mib() - before:.0f} MiB above torch")


if __name__ == "__main__":
    main()
