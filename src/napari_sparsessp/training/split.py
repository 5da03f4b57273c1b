"""Choose, and describe, the validation split by position; no pixel is read.

Patches that overlap, drawn into both parts, would show how well a network remembers.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.training.config import Validation

SHARE = 0.25
"""Of a stack that is cut; of several, one in four is kept."""

GAP_SHARE = 8
"""The gap takes no more than such a part of a stack: a small one has to teach, too."""

LEAST_STACKS = 3
"""From so many on, whole stacks are kept back rather than their ends."""


@dataclass(frozen=True)
class StackShape:
    """Name, structures and size of a stack before it is read."""

    name: str
    structures: tuple[str, ...]  # that it shows
    shape: tuple[int, int, int]  # (D, H, W) on the model's grid
    # ``train``, ``validation`` or ``test`` where the data say it, else empty.
    split: str = ""


@dataclass(frozen=True)
class StackParts:
    """The parts of a stack that teach and that judge."""

    stack: StackShape
    axis: Literal["", "y", "x"]  # along which it is cut; empty where it is whole
    # learn, judge: first and last pixel + 1 along the axis; None where it has no such
    # part. Of a whole stack, (0, 1) stands for all of it.
    learn: tuple[int, int] | None
    judge: tuple[int, int] | None


def choose_validation(
    stacks: Sequence[StackShape], margin: int, stride: int
) -> Validation:
    """Keep back whole stacks where there are several of each structure, else the ends.

    `margin` is what the network sees in each direction in pixels: the gap, where there
    is room for it. No part is shorter than the network's `stride`.
    """
    labels, free = _labels(stacks)
    whole = Validation(share=SHARE, by="stack")
    kept = kept_stacks(labels, free, whole)
    judged = {label for index in kept for label in labels[index]}
    everything = {label for each in labels for label in each}
    if len(stacks) >= LEAST_STACKS and judged == everything:
        return whole
    return cut_validation(stacks, "", margin, stride)


def cut_validation(
    stacks: Sequence[StackShape],
    by: str,
    margin: int,
    stride: int,
    share: float = SHARE,
) -> Validation:
    """Keep back the far end of each stack, behind a gap."""
    height = min((one.shape[1] for one in stacks), default=0)
    width = min((one.shape[2] for one in stacks), default=0)
    axis: Literal["y", "x"] = "y" if by == "y" or (not by and height > width) else "x"
    size = height if axis == "y" else width
    gap = min(margin, size // GAP_SHARE)
    # In a small stack the judged end is one stride long, and the gap what is left.
    if size:
        share = min(max(share, stride / size), 0.9)
    gap = max(0, min(gap, size - round(share * size) - stride))
    return Validation(share=share, by=axis, gap=gap)


def stack_parts(
    stacks: Sequence[StackShape], validation: Validation
) -> list[StackParts]:
    """Divide each stack as the training will; raise InputError where none is left."""
    stacks = [one for one in stacks if one.split != "test"]
    named = {n for n, one in enumerate(stacks) if one.split == "validation"}
    if named or not validation.share or not stacks:
        kept = named
    elif validation.by != "stack":
        return [_cut(one, validation) for one in stacks]
    else:
        kept = kept_stacks(*_labels(stacks), validation)
        if not kept:
            raise InputError(_why_none(stacks))
    everything = (0, 1)
    return [
        StackParts(one, "", None, everything)
        if number in kept
        else StackParts(one, "", everything, None)
        for number, one in enumerate(stacks)
    ]


def _cut(stack: StackShape, validation: Validation) -> StackParts:
    axis: Literal["y", "x"] = "y" if validation.by == "y" else "x"
    size = stack.shape[1 if axis == "y" else 2]
    begin = size - round(validation.share * size)
    end = begin - validation.gap
    if not 0 < end <= begin < size:
        raise InputError(
            f"{stack.name or 'a stack'} is only {size} pixels long in {axis} on the "
            "model's grid: too little to learn from one part and judge by another; add "
            "a larger stack, or change validation.share or validation.gap"
        )
    return StackParts(stack, axis, (0, end), (begin, size))


def _why_none(stacks: Sequence[StackShape]) -> str:
    if len(stacks) > 1 and all(one.split == "train" for one in stacks):
        return (
            f"all {len(stacks)} stacks are marked train, which leaves none for "
            "validation; mark some validation or leave their split empty, or set "
            "validation.share to 0"
        )
    return (
        "there is only one stack of each structure, so no whole one can be kept back "
        "for validation; keep back a part of it (validation.by: x or y), or nothing "
        "(validation.share: 0)"
    )


def kept_stacks(
    labels: Sequence[Collection[str]], free: Sequence[bool], validation: Validation
) -> set[int]:
    """Choose a share of the stacks of each structure, at least one of two."""
    rng = np.random.default_rng(validation.seed)
    order = [int(index) for index in rng.permutation(len(labels)) if free[index]]
    kept: set[int] = set()
    shown: dict[str, list[int]] = {}
    for index in order:
        for label in labels[index]:
            shown.setdefault(label, []).append(index)
    for label in sorted(shown):
        with_it = shown[label]
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


def _labels(stacks: Sequence[StackShape]) -> tuple[list[tuple[str, ...]], list[bool]]:
    return [one.structures for one in stacks], [not one.split for one in stacks]
