"""What the images look like that a model learns from, for its card.

A prediction holds its input against these ranges
(`napari_sparsessp.prediction.familiarity`). They are of windows as the network gets
them, with all the changes of contrast, noise and spectrum that a recipe makes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from napari_sparsessp.models.card import ModelCard, Range
from napari_sparsessp.prediction.domain_shift import (
    PAIRS,
    SIDE,
    fisher,
    image_traits,
    range_at,
)
from napari_sparsessp.training.patches import Pair, PatchRecipe, cut_patch

GAPS = (1, 2, 4, 8)
"""Dense planes between those that are compared."""

INNER = (0.01, 0.99)
"""Quantiles that a range reaches from and to."""

WINDOWS = 100
"""Of each training that `learned_ranges` looks at; some seconds."""

SMALLEST = 64
"""Pixels of a window; a smaller one cannot tell coarse from middle, as an image that is
predicted later can."""

FEWEST, MOST = 3, 25
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
    """Give what a new model's card says of the images that it learned from.

    The windows have the size in which a prediction looks at its input, whatever the
    size of the recipe's patches.

    Parameters
    ----------
    pairs : sequence of Pair
        What it learned from.
    recipe : PatchRecipe
    voxel : tuple of float
        (z, y, x) of the model's grid in µm.
    source : ModelCard, optional
        Of the model that it began with; what that one learned from is familiar, too.

    Returns
    -------
    dict
        As `ModelCard.familiarity`; empty where the stacks are too small to tell, and
        where nobody knows what the model learned from before.
    """
    if source is not None and not source.familiarity:
        return {}
    height, width = (
        min(SIDE, *(pair.looks.shape[axis] for pair in pairs)) for axis in (-2, -1)
    )
    if min(height, width) < SMALLEST or len(pairs) < FEWEST:
        return {}
    chosen = pairs[:: -(-len(pairs) // MOST)]
    windows = WINDOWS // len(chosen) * len(chosen)
    seen = replace(recipe, height=height, width=width)
    found = _values(chosen, seen, voxel[2], windows, seed=0)
    own = _ranges(found, windows, voxel[0], _with_another_stack(len(chosen)))
    return own if source is None else joined(own, source.familiarity)


def familiar_ranges(
    pairs: Sequence[Pair],
    recipe: PatchRecipe,
    voxel: tuple[float, float, float],
    patches: int = 300,
    seed: int = 0,
) -> dict[str, tuple[Range, ...]]:
    """Give the range of each trait over patches of a training.

    Parameters
    ----------
    pairs : sequence of Pair
        Taken in turn.
    recipe : PatchRecipe
        Patches are cut by it, but dense: sparsity is looked at afterwards.
    voxel : tuple of float
        (z, y, x) of the model's grid in µm.
    patches : int
    seed : int

    Returns
    -------
    dict
        Trait to its ranges, as `ModelCard.familiarity` has it; those of neighbouring
        planes for each distance.
    """
    found = _values(pairs, recipe, voxel[2], patches, seed)
    return _ranges(found, patches, voxel[0], _plain)


def joined(
    *each: Mapping[str, tuple[Range, ...]],
) -> dict[str, tuple[Range, ...]]:
    """Give the ranges that hold those of several sources.

    Parameters
    ----------
    *each : mapping
        As `familiar_ranges` gives them.

    Returns
    -------
    dict
        Of the traits that all of them have, at those distances of the first that all
        of them know.
    """
    found: dict[str, tuple[Range, ...]] = {}
    for name, ranges in each[0].items():
        for own in ranges:
            spans = [range_at(one.get(name, ()), own.distance or 0.0) for one in each]
            known = [span for span in spans if span is not None]
            if len(known) < len(each):
                continue
            low, high = min(one[0] for one in known), max(one[1] for one in known)
            one = own.model_copy(update={"low": low, "high": high})
            found[name] = (*found.get(name, ()), one)
    return found


def _values(
    pairs: Sequence[Pair], recipe: PatchRecipe, pixel: float, patches: int, seed: int
) -> dict[tuple[str, int], list[float]]:
    """Each trait, and the gap of planes where it matters, of pairs taken in turn."""
    dense = replace(recipe, ratios=(1,), thin=0.0, every=1, inputs=1)
    found: dict[tuple[str, int], list[float]] = {}
    for number in range(patches):
        pair = pairs[number % len(pairs)]
        rng = np.random.default_rng((seed, number))
        # A window that is deeper than the stack repeats the end planes.
        depth = min(recipe.depth, pair.looks.shape[1])
        patch = cut_patch(pair, replace(dense, depth=depth), rng, rows=[0])
        planes = patch.source[0].numpy()
        for gap in GAPS:
            for name, value in _traits(planes, gap, pixel).items():
                compared = name.startswith("alike")
                if compared or gap == 1:
                    found.setdefault((name, gap * compared), []).append(value)
    return found


def _traits(planes: np.ndarray, gap: int, pixel: float) -> dict[str, float]:
    if gap >= len(planes):
        return {}
    lower = np.unique(np.linspace(0, len(planes) - 1 - gap, PAIRS).round().astype(int))
    used = sorted({*lower, *(lower + gap)})
    place = {plane: number for number, plane in enumerate(used)}
    pairs = [(place[plane], place[plane + gap]) for plane in lower]
    return image_traits([planes[used]], pairs, pixel)


def _plain(name: str, values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, INNER)
    return float(low), float(high)


def _with_another_stack(stacks: int) -> Spread:
    """Give what makes room for one more stack, which is unlike these by as much."""
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


def _ranges(
    found: Mapping[tuple[str, int], Sequence[float]],
    patches: int,
    step: float,
    spread: Spread,
) -> dict[str, tuple[Range, ...]]:
    ranges: dict[str, tuple[Range, ...]] = {}
    for (name, gap), values in sorted(found.items()):
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
