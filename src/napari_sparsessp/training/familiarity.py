"""What the images look like that a model learns from, for its card.

A prediction holds its input against these ranges
(`napari_sparsessp.prediction.familiarity`). They are of patches as the network gets
them, with all the changes of contrast, noise and spectrum that a recipe makes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from napari_sparsessp.models.card import Range
from napari_sparsessp.prediction.traits import PAIRS, image_traits
from napari_sparsessp.training.patches import Pair, PatchRecipe, cut_patch

GAPS = (1, 2, 4, 8)
"""Dense planes between those that are compared."""

INNER = (0.01, 0.99)
"""Quantiles that a range reaches from and to."""


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
    dense = replace(recipe, ratios=(1,), thin=0.0, every=1, inputs=1)
    found: dict[tuple[str, int], list[float]] = {}
    for number in range(patches):
        pair = pairs[number % len(pairs)]
        rng = np.random.default_rng((seed, number))
        patch = cut_patch(pair, dense, rng, rows=[0])
        planes = patch.source[0].numpy()[: pair.looks.shape[1]]
        for gap in GAPS:
            for name, value in _traits(planes, gap, voxel[2]).items():
                compared = name.startswith("alike")
                if compared or gap == 1:
                    found.setdefault((name, gap * compared), []).append(value)
    return _ranges(found, patches, voxel[0])


def joined(
    *each: Mapping[str, tuple[Range, ...]],
) -> dict[str, tuple[Range, ...]]:
    """Give the ranges that hold those of several sources, which have the same traits.

    Parameters
    ----------
    *each : mapping
        As `familiar_ranges` gives them.
    """
    return {
        name: tuple(
            Range(
                low=min(one.low for one in same),
                high=max(one.high for one in same),
                distance=same[0].distance,
            )
            for same in zip(*(one[name] for one in each), strict=True)
        )
        for name in each[0]
    }


def _traits(planes: np.ndarray, gap: int, pixel: float) -> dict[str, float]:
    if gap >= len(planes):
        return {}
    lower = np.unique(np.linspace(0, len(planes) - 1 - gap, PAIRS).round().astype(int))
    used = sorted({*lower, *(lower + gap)})
    place = {plane: number for number, plane in enumerate(used)}
    pairs = [(place[plane], place[plane + gap]) for plane in lower]
    return image_traits([planes[used]], pairs, pixel)


def _ranges(
    found: Mapping[tuple[str, int], Sequence[float]], patches: int, step: float
) -> dict[str, tuple[Range, ...]]:
    ranges: dict[str, tuple[Range, ...]] = {}
    for (name, gap), values in sorted(found.items()):
        low, high = np.quantile(values, INNER)
        # What some patches did not show at all has no range.
        if len(values) < patches or not high > low:
            continue
        one = Range(
            low=round(float(low), 4),
            high=round(float(high), 4),
            distance=round(gap * step, 4) if gap else None,
        )
        ranges[name] = (*ranges.get(name, ()), one)
    return ranges
