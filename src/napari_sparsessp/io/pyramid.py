"""Levels of a multiscale image, made from the finest one block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

# Levels are halved in y and x until the plane fits into one chunk.
_SMALLEST_LEVEL = 256


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Give the shape of every level, the finest first."""
    shapes = [shape]
    while max(shapes[-1][-2:]) > _SMALLEST_LEVEL:
        height, width = shapes[-1][-2:]
        shapes.append((*shape[:-2], -(-height // 2), -(-width // 2)))
    return shapes


def halved(block: np.ndarray) -> np.ndarray:
    """Average 2 × 2 pixels in y and x; an odd edge is repeated first.

    Whole numbers are rounded to whole numbers.
    """
    if block.dtype.kind in "ui":
        means = halved(block.astype(np.float64))
        return np.rint(means).astype(block.dtype)
    height, width = block.shape[-2:]
    odd = ((0, 0),) * (block.ndim - 2) + ((0, height % 2), (0, width % 2))
    even = np.pad(block, odd, mode="edge")
    return (
        even[..., ::2, ::2]
        + even[..., 1::2, ::2]
        + even[..., ::2, 1::2]
        + even[..., 1::2, 1::2]
    ) * np.float32(0.25)


def blocks(shape: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Cut an array into blocks of at most these sizes, in C order."""
    yield from product(
        *(
            [slice(start, min(start + size, n)) for start in range(0, n, size)]
            for n, size in zip(shape, sizes, strict=True)
        )
    )


def fill_levels(levels: Sequence[Any]) -> None:
    """Make every coarser level from the one before, a chunk at a time.

    Parameters
    ----------
    levels : sequence of zarr arrays
        The finest first; that one is complete.
    """
    for fine, coarse in zip(levels, levels[1:], strict=False):
        for block in blocks(coarse.shape, coarse.chunks):
            *lead, rows, columns = block
            source = (
                *lead,
                slice(2 * rows.start, min(2 * rows.stop, fine.shape[-2])),
                slice(2 * columns.start, min(2 * columns.stop, fine.shape[-1])),
            )
            coarse[block] = halved(np.asarray(fine[source]))
