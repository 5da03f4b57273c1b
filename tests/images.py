"""Small images, written to files as microscopes write them."""

from pathlib import Path

import numpy as np
import tifffile

STEP = 0.29
"""µm; the shipped models' grid."""


def a_stack(planes: int = 8, size: int = 40, seed: int = 0) -> np.ndarray:
    """A uint16 stack of camera counts, ZYX."""
    rng = np.random.default_rng(seed)
    return rng.integers(100, 4000, (planes, size, size), dtype=np.uint16)


def write_stack(
    path: Path,
    array: np.ndarray,
    axes: str = "ZYX",
    voxel_size: tuple[float, float, float] | None = (STEP, STEP, STEP),
    channels: list[str] | None = None,
) -> Path:
    """Write an OME-TIFF; without a voxel size the file says none."""
    metadata: dict = {"axes": axes}
    if voxel_size is not None:
        for axis, size in zip("ZYX", voxel_size, strict=True):
            metadata[f"PhysicalSize{axis}"] = size
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    if channels is not None:
        metadata["Channel"] = {"Name": channels}
    photometric = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(path, array, ome=True, photometric=photometric, metadata=metadata)
    return path
