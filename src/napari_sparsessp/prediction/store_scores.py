"""Scores of a prediction that lies in a store."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.metrics import PixelSums
from napari_sparsessp.prediction.alignment import Grid, onto_grid
from napari_sparsessp.prediction.deviation import channel_scores
from napari_sparsessp.prediction.truth import align_truth
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan

SIDE = 512
"""Pixels along y and x of the blocks in which a truth is read that is too large."""

_MARGIN = 4
"""Voxels around a block of truth, so that its edge is interpolated as inside."""


def truth_fits(plan: "Plan") -> bool:
    """Whether all truths of one time point, and one prediction, fit into memory."""
    stacks = len(plan.truth) + 1
    room = plan.memory.limit - plan.memory.planned
    return 4 * stacks * math.prod(plan.grid.shape) <= room


def check_stored_truth(plan: "Plan", time: int | None) -> None:
    """See before the work that there is something to score against.

    Raises
    ------
    InputError
        A truth is constant.
    """
    if plan.truth and truth_fits(plan):
        align_truth(plan, time)


def score_stored(
    plan: "Plan", stored: Any
) -> tuple[dict[int, dict[str, dict[str, Any]]], list[str]]:
    """Score every structure that has a truth, one after the other.

    Parameters
    ----------
    plan : Plan
    stored : array-like
        Of the plan's output shape.

    Returns
    -------
    scores : dict
        Place on the output's time axis to structure id to its scores.
    notes : list of str
        What was left out.
    """
    scores: dict[int, dict[str, dict[str, Any]]] = {}
    fits = truth_fits(plan)
    for slot in range(len(plan.times or (0,))):
        time = plan.times[slot] if plan.times else None
        lead = (slot,) if plan.times else ()
        scores[slot] = {}
        if fits:
            for name, truth in align_truth(plan, time).items():
                scores[slot][name] = channel_scores(
                    plan, partial(_channel, stored, lead), name, truth
                )
            continue
        for name, volume in plan.truth.items():
            has_times = time is not None and "T" in volume.axes
            one = volume.time(time) if has_times and time is not None else volume
            place = (*lead, plan.structures.index(name))
            scores[slot][name] = _in_blocks(plan.grid, one, stored, place)
    notes = []
    if plan.truth and not fits:
        notes.append(
            "the truth is too large for the memory: R², MSE and Pearson are given, the "
            "other scores are not; give more with --memory-limit"
        )
    return scores, notes


def _channel(stored: Any, lead: tuple[int, ...], number: int) -> np.ndarray:
    return np.asarray(stored[(*lead, number)])


def _in_blocks(
    grid: Grid, truth: Volume, stored: Any, place: tuple[int, ...]
) -> dict[str, Any]:
    """Score in one pass over blocks: what follows from sums alone."""
    depth = grid.shape[0]
    planes = [PixelSums() for _ in range(depth)]
    for rows, columns in _blocks(grid.shape[1:]):
        true = _block_of(truth, grid, rows, columns)
        predicted = np.asarray(stored[(*place, slice(None), rows, columns)])
        for sums, *pair in zip(planes, predicted, true, strict=True):
            sums.update(*pair)
    whole = PixelSums()
    for sums in planes:
        whole.merge(sums)
    if whole.r2 is None:  # what is None for a constant truth
        raise InputError(
            "the ground truth is constant, so nothing can be scored against it; "
            "choose another channel or file"
        )
    deviation = math.sqrt(whole.spread_truth / whole.count)
    scored = [_scaled(sums, whole.mean_truth, deviation) for sums in planes]
    total = _scaled(whole, whole.mean_truth, deviation)
    within = [sums.pcc for sums in planes if sums.pcc is not None]
    return {
        "r2": total.r2,
        "mse": total.mse,
        "mae": None,
        "pcc": whole.pcc,
        "pcc_plane": float(np.mean(within)) if within else None,
        "ssim": None,
        "psnr": None,
        "nrmse": None,
        "r2_per_plane": [sums.r2 for sums in scored],
    }


def _scaled(sums: PixelSums, mean: float, deviation: float) -> PixelSums:
    """Sums against the truth (t − mean) / deviation, of sums against t.

    Σ(p − u)² = Σp'² − 2 Σp'u' + Σu'² + n (mean p − mean u)², primes for what is left
    without the mean.
    """
    n = sums.count
    shift = (sums.mean_truth - mean) / deviation
    spread = sums.spread_truth / deviation**2
    both = sums.spread_both / deviation
    error = (
        sums.spread_prediction
        - 2 * both
        + spread
        + n * (sums.mean_prediction - shift) ** 2
    )
    return replace(
        sums,
        mean_truth=shift,
        spread_truth=spread,
        spread_both=both,
        squared_error=max(error, 0.0),
    )


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    height, width = shape
    for top in range(0, height, SIDE):
        for left in range(0, width, SIDE):
            yield (
                slice(top, min(top + SIDE, height)),
                slice(left, min(left + SIDE, width)),
            )


def _block_of(truth: Volume, grid: Grid, rows: slice, columns: slice) -> np.ndarray:
    """Bring the part of a truth that lies there onto the grid."""
    assert truth.voxel_size is not None
    part = truth
    origin, size, start = list(grid.origin), list(grid.shape), list(truth.origin)
    cuts = [slice(None)]
    for axis, wanted in ((1, rows), (2, columns)):
        step, own = grid.voxel_size[axis], truth.voxel_size[axis]
        origin[axis] += wanted.start * step
        size[axis] = wanted.stop - wanted.start
        # Kernels widen with the step of a coarser grid.
        margin = _MARGIN * max(step, own)
        first = (origin[axis] - margin - truth.origin[axis]) / own
        last = first + ((size[axis] - 1) * step + 2 * margin) / own
        low = min(max(0, math.floor(first)), truth.shape[axis] - 1)
        high = max(low + 1, min(truth.shape[axis], math.ceil(last) + 1))
        cuts.append(slice(low, high))
        start[axis] += low * own
    part = truth.with_(array=truth.array[tuple(cuts)], origin=tuple(start))
    z, y, x = size
    return onto_grid(part, Grid((z, y, x), grid.voxel_size, (*origin,)))  # type: ignore[arg-type]
