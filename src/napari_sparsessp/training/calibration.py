"""Measure for the card of a new model when it can be trusted.

How large its errors are on what was kept back (`calibrations`), and the statistics of
the images that it learned from (`learned_ranges`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.models.card import Calibration, ModelCard, Range
from napari_sparsessp.models.library import Model
from napari_sparsessp.prediction.domain_shift import (
    PAIRS,
    SIDE,
    fisher,
    image_traits,
    range_at,
)
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.uncertainty import fit_calibration
from napari_sparsessp.training.pairs import Pair
from napari_sparsessp.training.patches import PatchRecipe, cut_patch
from napari_sparsessp.volume import Volume

STACKS = 4
"""Are enough; each takes 16 passes of the network, at two sparsity ratios."""

FIELD = 128
"""Pixels of the middle of a stack that are looked at, at most, in y and in x."""

MOST_VOXELS, FEWEST_VOXELS = 50_000, 2_000
"""Voxels of a structure: no more of one prediction, no fewer of all."""


def calibrations(
    model: Model, pairs: Sequence[Pair], device: str, precision: str
) -> dict[str, Calibration]:
    """Fit the expected error of each structure that was kept back."""
    measured: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    for pair in pairs:
        for ratio in sorted({min(model.card.ratios), max(model.card.ratios)}):
            request = PredictionRequest(
                ratio=ratio,
                simulate_sparse=True,
                uncertainty=True,
                # It is on the scale of its whole stack already.
                normalisation=(0.0, 1.0),
                device=device,
                precision=precision,
            )
            try:
                for name, spread, error in _errors(model, pair, request):
                    measured[name].append((spread, error))
            except SparseSSPError:
                continue  # never a reason to lose a model over
    fitted = {}
    for name, parts in measured.items():
        spread, error = (np.concatenate(one) for one in zip(*parts, strict=True))
        if len(error) >= FEWEST_VOXELS:
            fitted[name] = fit_calibration(spread, error)
    return fitted


def _errors(
    model: Model, pair: Pair, request: PredictionRequest
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each structure's spread and error in some voxels (n,) of the middle."""
    card = model.card
    flat = card.z_projection != "none"
    rows = [row for row, one in enumerate(pair.targets) if (len(one) == 1) == flat]
    names = [card.structures[pair.labels[row]] for row in rows]
    if not rows:
        return
    area = _middle(pair, None if flat else card.patch[0])
    light = Volume(pair.looks[0][area].astype(np.float32), "ZYX", card.voxel_size)
    asked = request.model_copy(update={"structures": tuple(names)})
    channels = predict(model, light, request=asked).volume.array
    for number, row in enumerate(rows):
        place = (slice(None), *area[1:]) if flat else area
        error = np.asarray(channels[number]) - pair.targets[row][place]
        mask = pair.masks[row] if pair.masks else None
        known = np.isfinite(error)
        if mask is not None:  # it may be one plane for all
            its = (slice(None), *place[1:]) if len(mask) == 1 else place
            known &= np.broadcast_to(mask[its] > 0, known.shape)
        spread = np.asarray(channels[len(rows) + number])
        step = max(1, int(known.sum()) // MOST_VOXELS)
        yield names[number], spread[known][::step], error[known][::step]


def _middle(pair: Pair, planes: int | None) -> tuple[slice, slice, slice]:
    depth, *size = pair.looks.shape[1:]
    limits = (depth if planes is None else planes, FIELD, FIELD)
    spans = []
    for extent, limit in zip((depth, *size), limits, strict=True):
        start = max(0, extent - limit) // 2
        spans.append(slice(start, start + min(extent, limit)))
    return spans[0], spans[1], spans[2]


GAPS = (1, 2, 4, 8)
"""Dense planes between those that are compared."""

INNER = (0.01, 0.99)
"""Quantiles that a range reaches from and to."""

WINDOWS = 100
"""Of each training that `learned_ranges` looks at; some seconds."""

SMALLEST = 64
"""Pixels of a window; in a smaller one coarse and middle detail are the same."""

FEWEST_STACKS, MOST_STACKS = 3, 25
"""Stacks: one or two do not show how much stacks differ, and more do not show more."""

SURE = 0.9
"""That one more stack of the same kind lies within, but for its own deviations."""


Spread = Callable[[str, np.ndarray], tuple[float, float]]
"""From a trait's name and values to the ends of its range."""


def learned_ranges(
    pairs: Sequence[Pair],
    recipe: PatchRecipe,
    voxel: tuple[float, float, float],
    source: ModelCard | None = None,
) -> dict[str, tuple[Range, ...]]:
    """Return `ModelCard.familiarity` of a new model; `voxel` is (z, y, x) in µm.

    The windows have the size in which a prediction looks at its input. Ranges that the
    model began with stay familiar. Empty where the stacks are too few or too small, and
    where it is unknown what the model learned from before.
    """
    if source is not None and not source.familiarity:
        return {}
    height, width = (
        min(SIDE, *(pair.looks.shape[axis] for pair in pairs)) for axis in (-2, -1)
    )
    if min(height, width) < SMALLEST or len(pairs) < FEWEST_STACKS:
        return {}
    chosen = pairs[:: -(-len(pairs) // MOST_STACKS)]
    windows = WINDOWS // len(chosen) * len(chosen)
    seen = replace(recipe, height=height, width=width)
    measured = trait_values(chosen, seen, voxel[2], windows)
    own = ranges_of(measured, windows, voxel[0], _with_another_stack(len(chosen)))
    return own if source is None else joined(own, source.familiarity)


def joined(*each: Mapping[str, tuple[Range, ...]]) -> dict[str, tuple[Range, ...]]:
    """Return the ranges that hold those of several sources."""
    merged: dict[str, tuple[Range, ...]] = {}
    for name, ranges in each[0].items():
        for own in ranges:
            spans = [range_at(one.get(name, ()), own.distance or 0.0) for one in each]
            known = [span for span in spans if span is not None]
            if len(known) < len(each):
                continue
            low, high = min(one[0] for one in known), max(one[1] for one in known)
            one = own.model_copy(update={"low": low, "high": high})
            merged[name] = (*merged.get(name, ()), one)
    return merged


def trait_values(
    pairs: Sequence[Pair], recipe: PatchRecipe, pixel: float, patches: int
) -> dict[tuple[str, int], list[float]]:
    """Each trait, and the gap of planes where it matters, of pairs taken in turn."""
    dense = replace(recipe, ratios=(1,), thin=0.0, every=1, inputs=1)
    traits: dict[tuple[str, int], list[float]] = {}
    for number in range(patches):
        pair = pairs[number % len(pairs)]
        rng = np.random.default_rng((0, number))
        # A window that is deeper than the stack repeats the end planes.
        depth = min(recipe.depth, pair.looks.shape[1])
        patch = cut_patch(pair, replace(dense, depth=depth), rng, rows=[0])
        planes = patch.source[0].numpy()
        for gap in GAPS:
            for name, value in _traits(planes, gap, pixel).items():
                compared = name.startswith("alike")
                if compared or gap == 1:
                    traits.setdefault((name, gap * compared), []).append(value)
    return traits


def _traits(planes: np.ndarray, gap: int, pixel: float) -> dict[str, float]:
    if gap >= len(planes):
        return {}
    lower = np.unique(np.linspace(0, len(planes) - 1 - gap, PAIRS).round().astype(int))
    used = sorted({*lower, *(lower + gap)})
    place = {plane: number for number, plane in enumerate(used)}
    pairs = [(place[plane], place[plane + gap]) for plane in lower]
    return image_traits([planes[used]], pairs, pixel)


def _with_another_stack(stacks: int) -> Spread:
    """Widen ranges for one more stack that differs from these as they do."""
    from scipy.stats import t as student

    # Half the width of Student's prediction interval, in deviations of the stacks.
    reach = student.ppf((1 + SURE) / 2, stacks - 1) * (1 + 1 / stacks) ** 0.5

    def spread(name: str, values: np.ndarray) -> tuple[float, float]:
        # Correlations near one differ by little, and none is above it.
        alike = name.startswith("alike")
        scaled = np.array([fisher(one) for one in values]) if alike else values
        turn = np.arange(len(values)) % stacks
        means = np.array([scaled[turn == one].mean() for one in range(stacks)])
        low, high = means.mean() + np.quantile(scaled - means[turn], INNER)
        room = reach * means.std(ddof=1)
        ends = np.array([low - room, high + room])
        low, high = np.tanh(ends) if alike else ends
        return float(low), float(high)

    return spread


def ranges_of(
    traits: Mapping[tuple[str, int], Sequence[float]],
    patches: int,
    step: float,
    spread: Spread,
) -> dict[str, tuple[Range, ...]]:
    """Return a range for each trait that every patch showed; `step` in µm."""
    ranges: dict[str, tuple[Range, ...]] = {}
    for (name, gap), values in sorted(traits.items()):
        low, high = spread(name, np.asarray(values))
        # What some patches did not show at all has no range.
        if len(values) < patches or not high > low:
            continue
        one = Range(
            low=round(low, 4),
            high=round(high, 4),
            distance=round(gap * step, 4) if gap else None,
        )
        ranges[name] = (*ranges.get(name, ()), one)
    return ranges
