"""What is kept back for validation."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.training.config import Validation
from napari_sparsessp.training.patches import Pair


def split_pairs(
    pairs: Sequence[Pair], splits: Sequence[str], validation: Validation
) -> tuple[list[Pair], list[Pair]]:
    """Divide stacks, or each stack, into training and validation.

    Parameters
    ----------
    pairs : sequence of Pair
    splits : sequence of str
        ``train``, ``validation``, or empty where it is left open, for each pair. Where
        any is ``validation``, those left open are for training.
    validation : Validation

    Returns
    -------
    training, validation : list of Pair

    Raises
    ------
    InputError
        There is only one stack, or too little of it.
    """
    told = [pair for pair, split in zip(pairs, splits, strict=True)
            if split == "validation"]  # fmt: skip
    rest = [pair for pair, split in zip(pairs, splits, strict=True)
            if split != "validation"]  # fmt: skip
    if told or not validation.share or not rest:
        return rest, told
    if validation.by != "stack":
        parts = [_cut(pair, validation) for pair in rest]
        return [one for one, _ in parts], [other for _, other in parts]
    free = [not split for split in splits]
    kept = _chosen(pairs, free, validation)
    if not kept:
        raise InputError(
            "there is only one stack of each structure, so none can be kept back for "
            "validation; set validation.by to x or y to keep back a part of it, or "
            "validation.share to 0"
        )
    return (
        [pair for index, pair in enumerate(pairs) if index not in kept],
        [pairs[index] for index in sorted(kept)],
    )


def _chosen(
    pairs: Sequence[Pair], free: Sequence[bool], validation: Validation
) -> set[int]:
    """A share of the stacks of each structure, at least one of two."""
    rng = np.random.default_rng(validation.seed)
    order = [int(index) for index in rng.permutation(len(pairs)) if free[index]]
    kept: set[int] = set()
    labels = sorted({label for pair in pairs for label in pair.labels})
    for label in labels:
        with_it = [index for index in order if label in pairs[index].labels]
        wanted = max(1, round(validation.share * len(with_it)))
        already = sum(index in kept for index in with_it)
        for index in with_it:
            left = [one for one in with_it if one not in kept]
            if already >= wanted or len(left) < 2:
                break
            if index not in kept:
                kept.add(index)
                already += 1
    return kept


def _cut(pair: Pair, validation: Validation) -> tuple[Pair, Pair]:
    axis = -2 if validation.by == "y" else -1
    size = pair.looks.shape[axis]
    cut = size - round(validation.share * size)
    if not 0 < cut < size:
        raise InputError(
            f"{pair.name or 'a stack'} has {size} pixels in {validation.by}, of which "
            f"validation.share {validation.share:g} keeps {size - cut}; change it"
        )
    return _part(pair, axis, slice(0, cut)), _part(pair, axis, slice(cut, None))


def _part(pair: Pair, axis: int, part: slice) -> Pair:
    area = (..., part, slice(None)) if axis == -2 else (..., part)
    return replace(
        pair,
        looks=pair.looks[area],
        targets=[target[area] for target in pair.targets],
        masks=[None if mask is None else mask[area] for mask in pair.masks],
    )
