"""Score a prediction against ground truth, on whatever grid that is.

A truth is brought onto the prediction's grid, where both show the same field. Running
scores count each tile as it comes; the report's are of the finished output. A truth
that does not fit into memory is scored block by block, from sums alone.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.metrics import PixelSums, iqr_units, score, zscore_truth
from napari_sparsessp.prediction.ground_truth import (
    TruthSurvey,
    survey_note,
    survey_truth,
)
from napari_sparsessp.prediction.sampling import Sampling
from napari_sparsessp.prediction.tiling import Tile, inside
from napari_sparsessp.resampling import grid_coverage, resample_zyx
from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.volume import Grid, Volume

MIN_COVERAGE = (0.5, 0.9, 0.9)
"""Share of the prediction, along z, y and x, that a truth must cover.

A dense stack ends with its last plane, the dense grid of its every r-th plane up to
r − 1 planes later; those planes are not scored.
"""

SIDE = 512
"""Pixels along y and x of the blocks in which a truth is read that is too large."""

_MARGIN = 4
"""Voxels around a block of truth, so that its edge is interpolated as inside."""


def covered_planes(truth: Volume, grid: Grid) -> np.ndarray:
    """Return which planes of the grid have their centre inside the truth."""
    assert truth.voxel_size is not None
    step, first = truth.voxel_size[0], truth.origin[0]
    centres = grid.origin[0] + np.arange(grid.shape[0]) * grid.voxel_size[0]
    low = first - 0.5 * step
    high = first + (truth.shape[-3] - 0.5) * step
    slack = 1e-3 * grid.voxel_size[0]
    return (centres >= low - slack) & (centres <= high + slack)


def uneven_note(name: str) -> str:
    """Say that a truth's planes were resampled by their heights."""
    return (
        f"the planes of the truth of {name} are not evenly spaced: what lies between "
        "two of them is interpolated"
    )


def check_alignment(truth: Volume, grid: Grid, name: str) -> list[str]:
    """Check that a truth shows the prediction's field; say how it will be resampled."""
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
    """Resample a truth (ZYX), read once; planes that it does not reach are NaN."""
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


def check_truth(
    truth: Mapping[str, Volume],
    structures: tuple[str, ...],
    volume: Volume,
    sampling: Sampling,
    grid: Grid,
    times: Sequence[int] | None = None,
    *,
    flat: bool = False,
) -> tuple[dict[str, Volume], list[str]]:
    """Place each truth in space and time; `times` are those that are predicted."""
    placed, notes = {}, []
    for name, stack in truth.items():
        if name not in structures:
            raise InputError(
                f"a truth was given for {name}, which is not predicted; add the "
                "structure or leave its truth out"
            )
        if stack.axes.replace("T", "") != "ZYX":
            raise InputError(
                f"the truth of {name} has several channels; name one of: "
                f"{', '.join(stack.channel_names) or stack.axes}"
            )
        stack = _in_time(stack, name, volume, times or ())
        if flat and stack.sizes["Z"] > 1:
            raise InputError(
                f"the truth of {name} has {stack.sizes['Z']} planes and the prediction "
                "is a projection of one; give the truth's maximum projection"
            )
        even = stack.evened(grid.voxel_size[0])
        if even is not stack:
            notes.append(uneven_note(name))
        found = _placed(even, name, volume, sampling, grid)
        found, note = found.beside(volume)
        notes += [note] if note else []
        if flat and found.voxel_size:
            # A projection lies nowhere in z: it stands for the whole stack.
            found = found.with_(
                voxel_size=(grid.voxel_size[0], *found.voxel_size[1:]),
                origin=(grid.origin[0], *found.origin[1:]),
            )
        notes += check_alignment(found, grid, name)
        placed[name] = found
    return placed, notes


def _in_time(stack: Volume, name: str, volume: Volume, times: Sequence[int]) -> Volume:
    """Give a truth the time points of the input.

    It has all, those that are predicted, or as many fewer as its longer interval says:
    what lies between them is NaN.
    """
    total = volume.sizes.get("T", 1)
    count = stack.sizes.get("T", total)
    if count == total:
        return stack
    if count == len(times):
        order = [times.index(time) if time in times else 0 for time in range(total)]
        return stack.with_(array=stack.array[order])
    every = round(total / count) if count < total else 0
    asked = (stack.time_step or 0) / (volume.time_step or math.inf)
    if every > 1 and abs(asked - every) < 0.1 and count == -(-total // every):
        import dask.array as da

        array = da.asarray(stack.array).astype(np.float32)
        lacking = da.full((1, *array.shape[1:]), np.nan, np.float32)
        order = [count if time % every else time // every for time in range(total)]
        return stack.with_(array=da.concatenate([array, lacking])[order])
    ask = "cut the truth to them"
    if every:
        ask = (
            "say which have one: predict those alone, for example every "
            f"{every}th by time 0::{every}"
        )
    raise InputError(
        f"the truth of {name} has {count} time points, the input {total}; {ask}"
    )


def _placed(
    stack: Volume,
    name: str,
    volume: Volume,
    sampling: Sampling,
    grid: Grid,
) -> Volume:
    """Use the truth's own voxel size, or that of the stack whose shape it has."""
    if stack.voxel_size is not None and sampling.known:
        return stack
    shape = grid.shape
    if stack.shape[-3:] == shape:
        return stack.with_(voxel_size=grid.voxel_size, origin=grid.origin)
    planes, height, width = volume.shape[-3:]
    # Without physical sizes, a truth of the input's y/x pixels shares its field.
    if stack.shape[-2:] == (height, width):
        depth = stack.shape[-3]
        step = shape[0] * grid.voxel_size[0] / depth
        if depth == planes and sampling.step is not None:
            step = sampling.step
        if depth in (planes, shape[0]):
            return stack.with_(voxel_size=(step, *sampling.pixel), origin=volume.origin)
    raise InputError(
        f"the truth of {name} has shape {stack.shape[-3:]}, which fits neither the "
        f"input {volume.shape[-3:]} nor the prediction {shape}, and no voxel size says "
        "how to align it; give one on the input's grid or with a voxel size"
    )


def align_truth(
    truth: Mapping[str, Volume],
    grid: Grid,
    time: int | None,
    note: Callable[[str, TruthSurvey], None] = lambda _name, _survey: None,
) -> dict[str, np.ndarray]:
    """Read, survey and resample the truths of one time point, z-scored."""
    aligned = {}
    for name, volume in truth.items():
        stack = _at_time(volume, time)
        read = stack.with_(array=stack.planes(range(stack.shape[0])))
        try:
            survey = survey_truth(read)
            note(name, survey)
            if survey.blank and time is not None:
                continue  # the other time points are scored
            aligned[name] = zscore_truth(onto_grid(survey.truth, grid))
        except InputError as error:
            raise InputError(f"truth of {name}: {error}") from error
    return aligned


def _at_time(truth: Volume, time: int | None) -> Volume:
    return truth.time(time) if time is not None and "T" in truth.axes else truth


def truth_fits(truth: Mapping[str, Volume], grid: Grid, room: int | None) -> bool:
    """Whether all truths of one time point, and one prediction, fit into memory."""
    return room is None or 4 * (len(truth) + 1) * math.prod(grid.shape) <= room


class Scorer:
    """Score the predictions of one time point after the other.

    Those `in_iqrs`, interquartile ranges above the median, come into the units of the
    z-scored truth by its own range and median.
    """

    def __init__(
        self,
        truth: Mapping[str, Volume],
        grid: Grid,
        channels: Sequence[str],
        room: int | None = None,
        *,
        in_iqrs: bool = False,
    ) -> None:
        self._truth, self._grid, self._channels = truth, grid, list(channels)
        self._in_iqrs = in_iqrs
        self._units: dict[str, tuple[float, float]] = {}
        self.fits = truth_fits(truth, grid, room)
        self._time: int | None = None
        self._aligned: dict[str, np.ndarray] = {}
        self._sums: dict[str, PixelSums] = {}
        self._surveys: dict[str, dict[int | None, TruthSurvey]] = {}

    @property
    def notes(self) -> list[str]:
        """What was left out of truths, and scores that had to be left out."""
        notes = [survey_note(*item) for item in self._surveys.items()]
        if not self.fits and self._truth:
            notes.append(
                "the truth is too large for the memory: SSIM, PSNR and NRMSE are not "
                "given; give more with --memory-limit"
            )
        return [note for note in notes if note]

    @property
    def counts_tiles(self) -> bool:
        """Whether tiles are scored as they come."""
        return bool(self._sums)

    def start(self, time: int | None, sums: dict[str, PixelSums] | None = None) -> None:
        """Read the truth of a time point."""
        self._time = time
        self._aligned = {}
        if self.fits:
            self._aligned = align_truth(self._truth, self._grid, time, self._note)
        if self._in_iqrs:
            self._units = {name: iqr_units(one) for name, one in self._aligned.items()}
        self._sums = {} if sums is None else sums
        if sums is not None:
            for name in self._aligned:
                sums.setdefault(name, PixelSums())

    def _note(self, name: str, survey: TruthSurvey) -> None:
        # Without its voxels, which are not kept.
        counts = replace(survey, truth=self._truth[name])
        self._surveys.setdefault(name, {})[self._time] = counts

    def add(self, tile: Tile, rows: Sequence[int], prediction: np.ndarray) -> None:
        """Count each voxel of some channels once, in the tile whose core it lies in."""
        core = tuple(slice(*span) for span in tile.core)
        inner = inside(core, tile.box)
        names = [self._channels[row] for row in rows]
        for name, sums in self._sums.items():
            if name in names:
                gain, offset = self._units.get(name, (1.0, 0.0))
                values = prediction[names.index(name)][inner] * gain + offset
                sums.update(values, self._aligned[name][core])

    def current(self) -> dict[str, dict[str, float | None]]:
        """Return structure id to ``{"r2", "pcc"}`` of what is counted so far."""
        return {
            name: {"r2": sums.r2, "pcc": sums.pcc} for name, sums in self._sums.items()
        }

    def final(self, output: Any) -> dict[str, dict[str, Any]]:
        """Score the finished output of the time point, array-like (C, D, H, W)."""
        scores = {}
        for name, volume in self._truth.items():
            number = self._channels.index(name)
            if not self.fits:
                survey = survey_truth(_at_time(volume, self._time))
                self._note(name, survey)
                if survey.blank and self._time is not None:
                    continue
                scores[name] = _in_blocks(
                    self._grid, survey.truth, output, number, in_iqrs=self._in_iqrs
                )
                continue
            if name not in self._aligned:
                continue
            predicted, truth = np.asarray(output[number]), self._aligned[name]
            gain, offset = self._units.get(name, (1.0, 0.0))
            if self._in_iqrs:
                predicted = predicted * np.float32(gain) + np.float32(offset)
            scores[name] = score(predicted, truth)
            if deviation_channel(name) in self._channels:
                other = self._channels.index(deviation_channel(name))
                deviation = np.asarray(output[other]) * np.float32(gain)
                scores[name] |= deviation_scores(predicted, deviation, truth)
        self._aligned = {}
        return scores


def deviation_scores(
    predicted: np.ndarray, deviation: np.ndarray, truth: np.ndarray
) -> dict[str, float | None]:
    """Hold a deviation against the true error, plane by plane to save memory."""
    below = count = 0
    errors = deviations = 0.0
    for plane, expected, true in zip(predicted, deviation, truth, strict=True):
        error = np.abs(plane - true)
        known = np.isfinite(error) & np.isfinite(expected)
        count += int(known.sum())
        below += int((error[known] <= expected[known]).sum())
        errors += float(np.square(error[known], dtype=np.float64).sum())
        deviations += float(np.square(expected[known], dtype=np.float64).sum())
    return {
        "within_std": below / count if count else None,
        "error_over_std": (errors / deviations) ** 0.5 if deviations else None,
    }


def _in_blocks(
    grid: Grid, truth: Volume, output: Any, number: int, *, in_iqrs: bool
) -> dict[str, Any]:
    """Score block by block: what follows from sums alone."""
    whole, planes = PixelSums(), [PixelSums() for _ in range(grid.shape[0])]
    for rows, columns in _blocks(grid.shape[1:]):
        true = _block_of(truth, grid, rows, columns)
        whole.update(true, true)
    if whole.r2 is None:  # what is None for a constant truth
        raise InputError(
            "the ground truth is constant, so nothing can be scored against it; "
            "choose another channel or file"
        )
    deviation = math.sqrt(whole.spread_truth / whole.count)
    gain, offset = 1.0, 0.0
    if in_iqrs:
        gain, middle = iqr_units(truth.array)
        gain, offset = gain / deviation, (middle - whole.mean_truth) / deviation
    for rows, columns in _blocks(grid.shape[1:]):
        true = (_block_of(truth, grid, rows, columns) - whole.mean_truth) / deviation
        predicted = np.asarray(output[number, :, rows, columns]) * gain + offset
        for sums, *pair in zip(planes, predicted, true, strict=True):
            sums.update(*pair)
    total = PixelSums()
    for sums in planes:
        total.merge(sums)
    within = [sums.pcc for sums in planes if sums.pcc is not None]
    return {
        "r2": total.r2,
        "mse": total.mse,
        "mae": total.mae,
        "pcc": total.pcc,
        "pcc_plane": float(np.mean(within)) if within else None,
        "ssim": None,
        "psnr": None,
        "nrmse": None,
        "r2_per_plane": [sums.r2 for sums in planes],
    }


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    yield from product(
        *([slice(k, min(k + SIDE, n)) for k in range(0, n, SIDE)] for n in shape)
    )


def _block_of(truth: Volume, grid: Grid, rows: slice, columns: slice) -> np.ndarray:
    """Bring the part of a truth that lies there onto the grid."""
    assert truth.voxel_size is not None
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
