"""What is kept back for validation."""

from collections.abc import Sequence
from dataclasses import replace

from napari_sparsessp.errors import InputError
from napari_sparsessp.training.config import Validation
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.training.split_plan import cut_places, kept_stacks


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
    kept = kept_stacks([pair.labels for pair in pairs], free, validation)
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


def _cut(pair: Pair, validation: Validation) -> tuple[Pair, Pair]:
    axis = -2 if validation.by == "y" else -1
    size = pair.looks.shape[axis]
    try:
        end, begin = cut_places(size, validation)
    except ValueError:
        gap = f" and validation.gap takes {validation.gap}" if validation.gap else ""
        raise InputError(
            f"{pair.name or 'a stack'} has {size} pixels in {validation.by}, of which "
            f"validation.share {validation.share:g} keeps "
            f"{round(validation.share * size)}{gap}; change it"
        ) from None
    return _part(pair, axis, slice(0, end)), _part(pair, axis, slice(begin, None))


def _part(pair: Pair, axis: int, part: slice) -> Pair:
    area = (..., part, slice(None)) if axis == -2 else (..., part)
    return replace(
        pair,
        looks=pair.looks[area],
        targets=[target[area] for target in pair.targets],
        masks=[None if mask is None else mask[area] for mask in pair.masks],
    )
