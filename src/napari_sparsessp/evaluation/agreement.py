"""How a prediction agrees with a truth that may lie on another grid.

The command line and the Compare dock judge with the same functions, and so find the
same numbers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.metrics import PixelSums, score, zscore_truth
from napari_sparsessp.prediction.report import mean_scores
from napari_sparsessp.prediction.scoring import check_alignment, onto_grid
from napari_sparsessp.volume import Grid, Volume

Warn = Callable[[str], None]

BINS = 96
"""Of a density plot, along each side."""

# All but the rarest values; a few hot pixels must not squeeze the rest together.
_SHOWN = (0.02, 99.98)
_SAMPLE = 400_000

# `score` reads the truth three times and the prediction twice.
_READS = 5


@dataclass(frozen=True, eq=False)
class Density:
    """How often each pair of true and predicted value occurs.

    Attributes
    ----------
    counts : ndarray
        (BINS, BINS) voxels, or halves of them; first axis the truth, second the
        prediction, ascending.
    low, high : float
        Ends of both axes, in standard deviations of the truth.
    """

    counts: np.ndarray
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Agreement:
    """What one structure's prediction is worth.

    Attributes
    ----------
    scores : dict
        As `metrics.score` gives them.
    density : Density
    moments : (mean, standard deviation)
        Of the truth, in its own units.
    notes : tuple of str
        What was done to the truth, and what to mistrust.
    """

    scores: dict[str, Any]
    density: Density
    moments: tuple[float, float]
    notes: tuple[str, ...] = ()


def on_the_same_grid(truth: Volume, prediction: Volume, warn: Warn) -> list[Any]:
    """Give the truth of each time point, resampled where its grid is another.

    Parameters
    ----------
    truth, prediction : Volume
        ((T,) Z, Y, X).
    warn : callable
        Is told what was resampled, and which planes are not scored.

    Returns
    -------
    list of array-like
        (D, H, W) on the prediction's grid; NaN where the truth does not reach.

    Raises
    ------
    InputError
        The grids differ and nothing tells how they lie to each other, or the truth
        is of another field of view.
    """
    times = prediction.sizes.get("T", 1)
    if truth.sizes.get("T", 1) != times:
        raise InputError(
            f"the prediction has {times} time points and the truth "
            f"{truth.sizes.get('T', 1)}; cut them to the same ones"
        )
    if truth.voxel_size and prediction.voxel_size and _both_flat(truth, prediction):
        # Two projections: neither lies anywhere in z.
        step, first = prediction.voxel_size[0], prediction.origin[0]
        truth = truth.with_(
            voxel_size=(step, *truth.voxel_size[1:]), origin=(first, *truth.origin[1:])
        )
    stacks = [truth.time(i) for i in range(times)]
    depth, height, width = prediction.shape[-3:]
    same_shape = truth.shape[-3:] == prediction.shape[-3:]
    if truth.voxel_size is None or prediction.voxel_size is None:
        if same_shape:
            return [stack.array for stack in stacks]
        raise InputError(
            f"the truth has {_size(truth)} voxels and the prediction "
            f"{_size(prediction)}, and no voxel size tells how they align; crop one "
            "to the other or record the voxel size"
        )
    if same_shape and (truth.voxel_size, truth.origin) == (
        prediction.voxel_size,
        prediction.origin,
    ):
        return [stack.array for stack in stacks]
    grid = Grid((depth, height, width), prediction.voxel_size, prediction.origin)
    for note in check_alignment(truth, grid, truth.name or "the structure"):
        warn(note)
    return [onto_grid(stack, grid) for stack in stacks]


def score_times(prediction: Volume, truth: list[Any]) -> dict[str, Any]:
    """Score each time point; several are averaged, as in the report of a run.

    Parameters
    ----------
    prediction : Volume
        ((T,) Z, Y, X).
    truth : list of array-like
        As `on_the_same_grid` gives it.
    """
    scores = [score(prediction.time(i).array, stack) for i, stack in enumerate(truth)]
    return mean_scores([{"one": one} for one in scores])["one"]


def unit_doubt(name: str, scores: dict[str, Any]) -> str:
    """Say that two images agree but for a scale, as raw counts against a z-score do.

    Returns
    -------
    str
        "" where there is no such doubt.
    """
    r2, pcc = scores["r2"], scores["pcc"]
    if r2 is None or pcc is None or r2 >= -1 or pcc <= 0.5:
        return ""
    return (
        f"{name} is not in units of its z-scored truth, so R², MSE and MAE "
        "mean little here; Pearson's does"
    )


def aligned_truth(
    truth: Volume, prediction: Volume, warn: Warn = lambda _note: None
) -> np.ndarray:
    """Give the z-scored truth on the prediction's grid.

    Parameters
    ----------
    truth, prediction : Volume
        ZYX.

    Returns
    -------
    ndarray
        (D, H, W) float32; NaN where the truth does not reach.

    Raises
    ------
    InputError
        As `on_the_same_grid`, or the truth is constant.
    """
    (stack,) = on_the_same_grid(truth, prediction, warn)
    return zscore_truth(stack)


def error_of(truth: Volume, prediction: Volume) -> np.ndarray:
    """Give prediction − truth, in standard deviations of the truth.

    Returns
    -------
    ndarray
        (D, H, W) float32; NaN where the truth does not reach.
    """
    expected = aligned_truth(truth, prediction)
    for plane in range(expected.shape[0]):
        found = np.asarray(prediction.array[plane], np.float32)
        expected[plane] = found - expected[plane]
    return expected


def agreement(
    truth: Volume,
    prediction: Volume,
    name: str = "",
    watch: Callable[[float], None] = lambda _share: None,
) -> Agreement:
    """Score one stack, and count how truth and prediction go together.

    Parameters
    ----------
    truth, prediction : Volume
        ZYX.
    name : str
        Of the structure, for the notes.
    watch : callable
        Is told the share that is done; what it raises ends the work.

    Returns
    -------
    Agreement

    Raises
    ------
    InputError
        The two cannot be compared.
    """
    notes: list[str] = []
    watch(0.0)
    (stack,) = on_the_same_grid(truth, prediction, notes.append)
    watched = _Watch(watch, _READS * int(prediction.shape[0]))
    scores = score(watched.over(prediction.array), watched.over(stack))
    doubt = unit_doubt(name, scores)
    density = _density(zscore_truth(stack), prediction.array)
    watch(1.0)
    return Agreement(
        scores,
        density,
        _moments(stack),
        (*notes, *([doubt] if doubt else [])),
    )


def _density(truth: np.ndarray, prediction: Any) -> Density:
    low, high = _range(truth, prediction)
    edges = np.linspace(low, high, BINS + 1)
    counts = np.zeros((BINS, BINS))
    # A camera's whole numbers leave some bins empty, which looks like structure: each
    # pair is shared between two bins along the diagonal.
    half = 0.5 * (edges[1] - edges[0])
    for plane in range(truth.shape[0]):
        true = truth[plane].ravel()
        found = np.asarray(prediction[plane], np.float32).ravel()
        valid = np.isfinite(true) & np.isfinite(found)
        true, found = true[valid], found[valid]
        for step in (-half, half):
            pair = true + step, found + step
            counts += 0.5 * np.histogram2d(*pair, bins=(edges, edges))[0]
    return Density(counts, low, high)


def _range(truth: np.ndarray, prediction: Any) -> tuple[float, float]:
    """Give one range for both axes, so that the diagonal is what is perfect."""
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


def _moments(stack: Any) -> tuple[float, float]:
    """Give mean and standard deviation of what is finite."""
    sums = PixelSums()
    for plane in range(stack.shape[0]):
        values = np.asarray(stack[plane])
        sums.update(values, values)
    return sums.mean_truth, math.sqrt(sums.spread_truth / sums.count)


def _both_flat(truth: Volume, prediction: Volume) -> bool:
    return truth.shape[-3] == prediction.shape[-3] == 1


def _size(volume: Volume) -> str:
    return "×".join(map(str, volume.shape[-3:]))


class _Watch:
    """Counts the planes that are read, and tells the share of them."""

    def __init__(self, tell: Callable[[float], None], reads: int) -> None:
        self._tell, self._reads, self._done = tell, max(reads, 1), 0

    def over(self, stack: Any) -> "_Watched":
        return _Watched(stack, self)

    def count(self) -> None:
        self._done += 1
        self._tell(min(1.0, self._done / self._reads))


class _Watched:
    """A stack that tells of each plane that is read from it."""

    def __init__(self, stack: Any, watch: _Watch) -> None:
        self._stack, self._watch = stack, watch
        self.shape = tuple(stack.shape)

    def __getitem__(self, index: int) -> Any:
        self._watch.count()
        return self._stack[index]
