"""Ground truth on the prediction's grid, and the running scores against it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_sparsessp.errors import InputError
from napari_sparsessp.metrics import PixelSums, zscore_truth
from napari_sparsessp.prediction.alignment import Grid, check_alignment, onto_grid
from napari_sparsessp.prediction.sampling import Sampling
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    import numpy as np

    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.tiling import Tile


def check_truth(
    truth: Mapping[str, Volume],
    structures: tuple[str, ...],
    volume: Volume,
    sampling: Sampling,
    grid: Grid,
    *,
    flat: bool = False,
) -> tuple[dict[str, Volume], list[str]]:
    """Give each truth a known place in space, or say why it has none.

    Parameters
    ----------
    truth : mapping
        Structure id to volume.
    structures : tuple of str
        That are predicted.
    volume, sampling : Volume, Sampling
        The input and where its voxels lie.
    grid : Grid
        Of the prediction.
    flat : bool
        The prediction is a projection over z, and so must the truth be.

    Returns
    -------
    placed : dict
        Structure id to a volume whose voxel size and origin are set.
    notes : list of str
        What was resampled or assumed.

    Raises
    ------
    InputError
        A truth that cannot be aligned, or for a structure that is not predicted.
    """
    placed, notes = {}, []
    for name, one in truth.items():
        if name not in structures:
            raise InputError(
                f"a truth was given for {name}, which is not predicted; add the "
                "structure or leave its truth out"
            )
        if one.axes.replace("T", "") != "ZYX":
            raise InputError(
                f"the truth of {name} has several channels; name one of: "
                f"{', '.join(one.channel_names) or one.axes}"
            )
        if "T" in one.axes and one.sizes["T"] != volume.sizes.get("T"):
            raise InputError(
                f"the truth of {name} has {one.sizes['T']} time points, the input "
                f"{volume.sizes.get('T', 1)}; give as many"
            )
        if flat and one.sizes["Z"] > 1:
            raise InputError(
                f"the truth of {name} has {one.sizes['Z']} planes and the prediction "
                "is a projection of one; give the truth's maximum projection"
            )
        found = _placed(one, name, volume, sampling, grid)
        if flat:
            # A projection lies nowhere in z: it stands for the whole stack.
            found = _at_the_depth_of(found, grid)
        notes += check_alignment(found, grid, name)
        placed[name] = found
    return placed, notes


def _placed(
    one: Volume,
    name: str,
    volume: Volume,
    sampling: Sampling,
    grid: Grid,
) -> Volume:
    """Use the truth's own voxel size, or that of the stack whose shape it has."""
    if one.voxel_size is not None and sampling.known:
        return one
    shape = grid.shape
    if one.shape[-3:] == shape:
        return one.with_(voxel_size=grid.voxel_size, origin=grid.origin)
    planes, height, width = volume.shape[-3:]
    # Without physical sizes, a truth of the input's y/x pixels shares its field.
    if one.shape[-2:] == (height, width):
        depth = one.shape[-3]
        step = shape[0] * grid.voxel_size[0] / depth
        if depth == planes and sampling.step is not None:
            step = sampling.step
        if depth in (planes, shape[0]):
            return one.with_(voxel_size=(step, *sampling.pixel), origin=volume.origin)
    raise InputError(
        f"the truth of {name} has shape {one.shape[-3:]}, which fits neither the input "
        f"{volume.shape[-3:]} nor the prediction {shape}, and no voxel size tells how "
        "to align it; give one on the input's grid or with a voxel size"
    )


def _at_the_depth_of(one: Volume, grid: Grid) -> Volume:
    """Place a single plane where that of a projection lies."""
    assert one.voxel_size is not None
    return one.with_(
        voxel_size=(grid.voxel_size[0], *one.voxel_size[1:]),
        origin=(grid.origin[0], *one.origin[1:]),
    )


def align_truth(plan: "Plan", time: int | None) -> dict[str, "np.ndarray"]:
    """Read and resample the truths of one time point, z-scored.

    Returns
    -------
    dict
        Structure id to float32 (D, H, W) on the prediction's grid; planes that the
        truth does not reach are NaN.
    """
    aligned = {}
    for name, volume in plan.truth.items():
        one = volume.time(time) if time is not None and "T" in volume.axes else volume
        stack = onto_grid(one, plan.grid)
        try:
            aligned[name] = zscore_truth(stack)
        except InputError as error:
            raise InputError(f"truth of {name}: {error}") from error
    return aligned


class RunningScores:
    """R² and Pearson over what is predicted so far.

    Each voxel counts once, in the tile whose core it lies in; the final report is
    computed from the blended volume.

    Parameters
    ----------
    truth : dict
        As `align_truth` gives it.
    sums : dict, optional
        Structure id to what an earlier run has counted; goes on being filled.
    """

    def __init__(
        self,
        truth: Mapping[str, "np.ndarray"],
        sums: dict[str, PixelSums] | None = None,
    ) -> None:
        self._truth = truth
        self._sums = {} if sums is None else sums
        for name in truth:
            self._sums.setdefault(name, PixelSums())

    def add(
        self, tile: "Tile", structures: tuple[str, ...], prediction: "np.ndarray"
    ) -> None:
        """Count a tile; `prediction` is (S, D, H, W) of ``tile.box``."""
        core = tuple(slice(*span) for span in tile.core)
        inner = tuple(
            slice(span[0] - part.start, span[1] - part.start)
            for span, part in zip(tile.core, tile.box, strict=True)
        )
        for name, sums in self._sums.items():
            if name not in structures:
                continue
            values = prediction[structures.index(name)][inner]
            sums.update(values, self._truth[name][core])

    def current(self) -> dict[str, dict[str, float | None]]:
        """Structure id to ``{"r2", "pcc"}``."""
        return {
            name: {"r2": sums.r2, "pcc": sums.pcc} for name, sums in self._sums.items()
        }
