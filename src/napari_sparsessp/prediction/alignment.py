"""Bring a ground truth onto a prediction's grid, where the two show the same field."""

from dataclasses import dataclass

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.resampling import grid_coverage, resample_zyx
from napari_sparsessp.volume import Volume

MIN_COVERAGE = (0.5, 0.9, 0.9)
"""Share of the prediction, along z, y and x, that a truth must cover.

A dense stack ends with its last plane, the dense grid of its every r-th plane up to
r − 1 planes later; those planes are not scored.
"""


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a prediction lie.

    Attributes
    ----------
    shape : tuple of int
        (z, y, x) voxels.
    voxel_size, origin : tuple of float
        (z, y, x) in µm; of the centre of voxel 0.
    """

    shape: tuple[int, int, int]
    voxel_size: tuple[float, float, float]
    origin: tuple[float, float, float]


def covered_planes(truth: Volume, grid: Grid) -> np.ndarray:
    """Tell which planes of the grid have their centre inside the truth.

    Parameters
    ----------
    truth : Volume
        With a voxel size.
    grid : Grid

    Returns
    -------
    ndarray
        (D,) bool.
    """
    assert truth.voxel_size is not None
    step, first = truth.voxel_size[0], truth.origin[0]
    centres = grid.origin[0] + np.arange(grid.shape[0]) * grid.voxel_size[0]
    low = first - 0.5 * step
    high = first + (truth.shape[-3] - 0.5) * step
    slack = 1e-3 * grid.voxel_size[0]
    return (centres >= low - slack) & (centres <= high + slack)


def check_alignment(truth: Volume, grid: Grid, name: str) -> list[str]:
    """Check that a truth shows the prediction's field.

    Returns
    -------
    list of str
        What will be done to it: resampled, planes left out.

    Raises
    ------
    InputError
        It is of another field of view.
    """
    assert truth.voxel_size is not None
    place = (truth.shape[-3:], truth.voxel_size, truth.origin)
    coverage = grid_coverage(*place, grid.shape, grid.voxel_size, grid.origin)
    for axis, share, enough in zip("zyx", coverage, MIN_COVERAGE, strict=True):
        if share < enough:
            raise InputError(
                f"the truth of {name} ({_described(truth)}) covers only {share:.0%} of "
                f"the prediction along {axis}; give one of the same field of view"
            )
    notes = []
    if not _same_grid(truth, grid):
        notes.append(
            f"the truth of {name} ({_described(truth)}) was resampled to the "
            "prediction's grid"
        )
    left_out = int((~covered_planes(truth, grid)).sum())
    if left_out:
        notes.append(
            f"{left_out} of {grid.shape[0]} predicted planes lie beyond the truth of "
            f"{name} and are not scored"
        )
    return notes


def onto_grid(truth: Volume, grid: Grid) -> np.ndarray:
    """Resample a truth; planes that it does not reach are NaN.

    Parameters
    ----------
    truth : Volume
        ZYX, with a voxel size; each plane is read once.
    grid : Grid

    Returns
    -------
    ndarray
        (D, H, W) float32.
    """
    assert truth.voxel_size is not None
    stack = resample_zyx(
        truth.planes(range(truth.shape[0])),
        truth.voxel_size,
        truth.origin,
        grid.voxel_size,
        grid.origin,
        grid.shape,
    )
    stack[~covered_planes(truth, grid)] = np.nan
    return stack


def _same_grid(truth: Volume, grid: Grid) -> bool:
    """Whether the truth's voxels lie on the grid's, ends in z left aside."""
    assert truth.voxel_size is not None
    return truth.shape[-2:] == grid.shape[-2:] and all(
        abs(size / step - 1) < 1e-3 and abs(here - there) < 1e-3 * step
        for size, step, here, there in zip(
            truth.voxel_size, grid.voxel_size, truth.origin, grid.origin, strict=True
        )
    )


def _described(volume: Volume) -> str:
    shape = "×".join(map(str, volume.shape[-3:]))
    voxel = "×".join(f"{step:.3g}" for step in volume.voxel_size or ())
    return f"{shape} voxels of {voxel} µm"
