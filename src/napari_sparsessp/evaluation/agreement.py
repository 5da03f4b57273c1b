"""Compare a prediction with a truth that may lie on another grid; export the scores.

The command line and the Compare dock score with the same functions, and so report the
same numbers.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.metrics import PixelSums, iqr_units, score, zscore_truth
from napari_sparsessp.prediction.ground_truth import survey_note, survey_truth
from napari_sparsessp.prediction.report import mean_scores
from napari_sparsessp.prediction.scoring import (
    check_alignment,
    onto_grid,
    uneven_note,
)
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.version import __version__
from napari_sparsessp.volume import Grid, Volume

Warn = Callable[[str], None]


def _ignore(_note: str) -> None:
    pass


BINS = 96
"""Of a density plot, along each side."""

SCALARS = ("r2", "pcc", "pcc_plane", "ssim", "mse", "mae", "psnr", "nrmse")
"""Scores that are single numbers, in the order of the table."""

# All but the rarest values; a few hot pixels must not squeeze the rest together.
_SHOWN = (0.02, 99.98)
_SAMPLE = 400_000

# `score` reads the truth three times and the prediction twice.
_READS = 5


@dataclass(frozen=True, eq=False)
class Density:
    """Histogram of pairs of true and predicted values."""

    # (BINS, BINS) voxels, or halves of them; first axis the truth, second the
    # prediction, ascending
    counts: np.ndarray
    low: float  # low, high: Ends of both axes, in standard deviations of the truth
    high: float


@dataclass(frozen=True, eq=False)
class Agreement:
    """Scores of one structure, and how truth and prediction go together."""

    scores: dict[str, Any]  # As `metrics.score` gives them
    density: Density
    # Mean and standard deviation of the truth, in its own units
    moments: tuple[float, float]
    # What was done to the truth, and reasons to mistrust the scores
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ScoredStructure:
    """One structure's prediction and truth, both ZYX, with their agreement."""

    name: str
    prediction: Volume
    truth: Volume
    truth_name: str
    agreement: Agreement


@dataclass(frozen=True, eq=False)
class ComparisonReport:
    """All scores of one model's predictions from one input."""

    items: tuple[ScoredStructure, ...]
    input: str  # input, model: For people
    model: str
    light: Volume | None = None  # The input, ZYX, where it is at hand
    # How the prediction came about; a report without scores, or empty
    provenance: Mapping[str, Any] = field(default_factory=dict)
    # Imaged planes on the prediction's grid; None where unknown
    measured: tuple[int, ...] | None = None
    time: int | None = None  # Of a time-lapse, the time point that was compared
    # Of all voxel sizes: `"pixels"` where the size is unknown
    unit: str = "µm"

    def scores(self) -> dict[str, dict[str, Any]]:
        """Return structure id to its scores."""
        return {item.name: item.agreement.scores for item in self.items}

    def notes(self) -> list[str]:
        """Return everything to know before the numbers are used, each once."""
        notes = [str(warning) for warning in self.provenance.get("warnings", ())]
        notes += [note for item in self.items for note in item.agreement.notes]
        return list(dict.fromkeys(notes))

    def to_json(self) -> str:
        """Return the report in the form of a run's own, with the names of the truths.

        The provenance, then ``structures`` with all scores, ``truth``, ``warnings``,
        and ``time`` of a time-lapse.
        """
        content: dict[str, Any] = {
            "schema": 1,
            "package": __version__,
            "input": self.input,
            **self.provenance,
            "structures": self.scores(),
            "truth": {item.name: item.truth_name for item in self.items},
            "warnings": self.notes(),
        }
        if self.time is not None:
            content["time"] = self.time
        return json.dumps(content, indent=2, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """Return a row for each structure; a score that is not defined is empty."""
        text = io.StringIO()
        columns = ("structure", "truth", *SCALARS)
        table = csv.DictWriter(
            text, columns, extrasaction="ignore", lineterminator="\n"
        )
        table.writeheader()
        for item in self.items:
            names = {"structure": item.name, "truth": item.truth_name}
            table.writerow({**item.agreement.scores, **names})
        return text.getvalue()


def on_the_same_grid(
    truth: Volume,
    prediction: Volume,
    warn: Warn,
    *,
    survey: bool = True,
    times: Sequence[int] | None = None,
) -> list[Any]:
    """Return the truth of each time point, resampled where its grid is another.

    (D, H, W) on the prediction's grid; NaN where the truth does not reach, and in
    planes that are empty. Hot pixels are replaced. None for a blank one of several.
    `times` are the truth's time points that were predicted, all where left out.
    """
    there, count = prediction.sizes.get("T", 1), truth.sizes.get("T", 1)
    times = range(count) if times is None else times
    if len(times) != there:
        raise InputError(
            f"the prediction has {there} time points and the truth {count}; cut them "
            "to the same ones"
        )
    if prediction.voxel_size is not None:
        even = truth.evened(prediction.voxel_size[0])
        if even is not truth:
            warn(uneven_note(truth.name or "the structure"))
        truth = even
    truth, note = truth.beside(prediction)
    if note:
        warn(note)
    flat = truth.shape[-3] == prediction.shape[-3] == 1
    if flat and truth.voxel_size and prediction.voxel_size:
        # Two projections: neither lies anywhere in z.
        step, first = prediction.voxel_size[0], prediction.origin[0]
        truth = truth.with_(
            voxel_size=(step, *truth.voxel_size[1:]), origin=(first, *truth.origin[1:])
        )
    name = truth.name or "the structure"
    stacks: list[Volume | None] = [truth.time(i) for i in times]
    if survey:
        stacks = _surveyed(stacks, name, warn)
    depth, height, width = prediction.shape[-3:]
    same_shape = truth.shape[-3:] == prediction.shape[-3:]
    known = truth.voxel_size is not None and prediction.voxel_size is not None
    if not known and not same_shape:
        raise InputError(
            f"the truth has {_size(truth)} voxels and the prediction "
            f"{_size(prediction)}, and no voxel size tells how they align; crop one "
            "to the other or record the voxel size"
        )
    place = (truth.voxel_size, truth.origin)
    if not known or (
        same_shape and place == (prediction.voxel_size, prediction.origin)
    ):
        return [None if stack is None else stack.array for stack in stacks]
    assert prediction.voxel_size is not None
    grid = Grid((depth, height, width), prediction.voxel_size, prediction.origin)
    for note in check_alignment(truth, grid, name):
        warn(note)
    return [None if stack is None else onto_grid(stack, grid) for stack in stacks]


def _surveyed(stacks: Sequence[Any], name: str, warn: Warn) -> list[Volume | None]:
    """Clean truths as predictions do before they score; None for a blank one."""
    try:
        surveys = [survey_truth(stack) for stack in stacks]
    except InputError as error:
        what = f"truth of {name}" if name else "prediction"
        raise InputError(f"{what}: {error}") from error
    times: Sequence[int | None] = range(len(surveys)) if len(surveys) > 1 else [None]
    if note := survey_note(name, dict(zip(times, surveys, strict=True))):
        warn(note)
    if all(one.blank for one in surveys):
        return list(stacks)  # scoring says that they are constant
    found: list[Volume | None] = []
    for stack, one in zip(stacks, surveys, strict=True):
        clean = one.truth
        if clean is not stack:  # of a lazy stack, planes alone can be read
            clean = clean.with_(array=clean.planes(range(clean.shape[0])))
        found.append(None if one.blank else clean)
    return found


def in_truth_units(prediction: Volume, truth: Any, warn: Warn = _ignore) -> Any:
    """Return a prediction in units of the z-scored truth, read plane by plane.

    One that is z-scored, as ours are, stays as it is; one in interquartile ranges comes
    there by the truth's own range and median. Any other image is brought there
    by the truth's own mean and deviation, so that an image against itself has R² 1;
    but for one whose values are plainly z-scores and nothing like the truth's.
    `prediction` is ZYX, `truth` (D, H, W) on its grid.
    """
    if prediction.in_iqrs:
        return _from_iqrs(prediction, truth)
    if prediction.zscored is not False:
        return prediction.array
    (clean,) = _surveyed([prediction], "", _ignore)
    if clean is not None and clean is not prediction:
        warn("hot pixels of the prediction are replaced, empty planes not scored")
        prediction = clean
    (mean, deviation), (own, spread) = map(moments, (truth, prediction.array))
    like_zscores = abs(own) < 0.5 and 0.2 < spread < 2
    if not deviation or (like_zscores and abs(own - mean) > 1.5 * deviation):
        return prediction.array
    if abs(own - mean) > 5 * deviation or not 0.05 < spread / deviation < 20:
        warn(
            f"the prediction (mean {own:.3g}, deviation {spread:.3g}) is in other "
            f"units than the truth ({mean:.3g}, {deviation:.3g}): R², MSE and MAE mean "
            "little, PCC does; give both in the same units"
        )

    def plane(index: int) -> np.ndarray:
        return (np.asarray(prediction.array[index], np.float64) - mean) / deviation

    return _Planes(prediction.shape, plane)


def _from_iqrs(prediction: Volume, truth: Any) -> _Planes:
    (mean, deviation), (gain, middle) = moments(truth), iqr_units(truth)
    scale = deviation or 1.0

    def plane(index: int) -> np.ndarray:
        values = np.asarray(prediction.array[index], np.float64)
        return (values * gain + middle - mean) / scale

    return _Planes(prediction.shape, plane)


def score_times(
    prediction: Volume, truth: list[Any], warn: Warn = _ignore
) -> dict[str, Any]:
    """Score each time point; several are averaged, as in the report of a run."""
    scores = [
        score(in_truth_units(prediction.time(i), stack, warn), stack)
        for i, stack in enumerate(truth)
        if stack is not None
    ]
    return mean_scores([{"all": each} for each in scores])["all"]


def aligned(
    truth: Volume, prediction: Volume, warn: Warn = _ignore
) -> tuple[np.ndarray, Any]:
    """Return the z-scored truth and the prediction in its units, on one grid.

    Both (D, H, W); the truth NaN where it does not reach, the prediction plane by
    plane as it is read.
    """
    (stack,) = on_the_same_grid(truth, prediction, warn)
    return zscore_truth(stack), in_truth_units(prediction, stack, warn)


def aligned_stacks(truth: Volume, prediction: Volume) -> tuple[np.ndarray, Any]:
    """Return both of `aligned` for any access; one of ours may stay a lazy array."""
    expected, predicted = aligned(truth, prediction)
    if isinstance(predicted, _Planes):
        planes = [np.asarray(predicted[z], np.float32) for z in range(len(expected))]
        predicted = np.stack(planes)
    return expected, predicted


def error_of(truth: Volume, prediction: Volume) -> np.ndarray:
    """Return prediction − truth, ZYX, in standard deviations of the truth.

    (D, H, W) float32; NaN where the truth does not reach.
    """
    expected, predicted = aligned(truth, prediction)
    for plane in range(expected.shape[0]):
        expected[plane] = np.asarray(predicted[plane], np.float32) - expected[plane]
    return expected


def agreement(
    truth: Volume, prediction: Volume, name: str = "", progress: Progress = no_progress
) -> Agreement:
    """Score one stack, and count how truth and prediction go together."""
    notes: list[str] = []
    progress(0.0)
    truth = truth.with_(name=name or truth.name)
    (stack,) = on_the_same_grid(truth, prediction, notes.append)
    predicted = in_truth_units(prediction, stack, notes.append)
    reads, total = 0, max(1, _READS * prediction.shape[0])

    def counted(planes: Any) -> _Planes:
        def read(index: int) -> Any:
            nonlocal reads
            reads += 1
            progress(min(1.0, reads / total))
            return planes[index]

        return _Planes(tuple(planes.shape), read)

    scores = score(counted(predicted), counted(stack))
    density = _density(zscore_truth(stack), predicted)
    progress(1.0)
    return Agreement(scores, density, moments(stack), tuple(notes))


def _density(truth: np.ndarray, prediction: Any) -> Density:
    low, high = _range(truth, prediction)
    edges = np.linspace(low, high, BINS + 1)
    counts = np.zeros((BINS, BINS))
    # A camera's whole numbers leave some bins empty, which looks like structure: each
    # pair is shared between two bins along the diagonal.
    half = 0.5 * (edges[1] - edges[0])
    for plane in range(truth.shape[0]):
        true = truth[plane].ravel()
        guess = np.asarray(prediction[plane], np.float32).ravel()
        valid = np.isfinite(true) & np.isfinite(guess)
        true, guess = true[valid], guess[valid]
        for step in (-half, half):
            pair = true + step, guess + step
            counts += 0.5 * np.histogram2d(*pair, bins=(edges, edges))[0]
    return Density(counts, low, high)


def _range(truth: np.ndarray, prediction: Any) -> tuple[float, float]:
    """Return one range for both axes, so that the diagonal is a perfect prediction."""
    depth = truth.shape[0]
    planes = sorted({round(z) for z in np.linspace(0, depth - 1, min(depth, 9))})
    both = [truth[planes], np.stack([np.asarray(prediction[z]) for z in planes])]
    ends = []
    for some in both:
        finite = some[np.isfinite(some)]
        finite = finite[:: max(1, finite.size // _SAMPLE)]
        ends.append(np.percentile(finite, _SHOWN) if finite.size else (0.0, 1.0))
    low = min(float(pair[0]) for pair in ends)
    high = max(float(pair[1]) for pair in ends)
    edge = max(high - low, 1e-3) / BINS  # what is shared must find its bins
    return low - edge, max(high, low + 1e-3) + edge


def moments(stack: Any) -> tuple[float, float]:
    """Return mean and standard deviation of all finite values."""
    sums = PixelSums()
    for plane in range(stack.shape[0]):
        values = np.asarray(stack[plane])
        sums.update(values, values)
    return sums.mean_truth, math.sqrt(sums.spread_truth / max(1, sums.count))


def _size(volume: Volume) -> str:
    return "×".join(map(str, volume.shape[-3:]))


@dataclass(frozen=True)
class _Planes:
    """A stack whose planes are made as they are read."""

    shape: tuple[int, ...]
    read: Callable[[int], Any]

    def __getitem__(self, index: int) -> Any:
        return self.read(index)
