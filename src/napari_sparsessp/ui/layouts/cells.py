"""How layers are put into the cells of napari's grid, and how many of them in a row."""

from collections.abc import Sequence
from typing import Any

import numpy as np

# Side by side is what is asked for: a column must be worth it.
_CLEARLY = 1.3
_SQUARE = 1.1

LARGEST_NAME = 10.0
"""Points; napari's own."""

_SMALLEST_NAME = 7.0


def arrange(
    cells: Sequence[Sequence[Any]], others: Sequence[Any]
) -> tuple[list[Any], int] | None:
    """Order layers so that napari's grid puts each cell's layers together.

    The grid takes a fixed number of layers (the stride) for each cell, hidden ones
    included: cells with fewer layers are filled up with hidden ones.

    Parameters
    ----------
    cells : sequence of sequences of layers
    others : sequence of layers
        To be hidden; they serve as fillers.

    Returns
    -------
    (order, stride) or None
        None where there are not enough fillers.
    """
    stride = max((len(cell) for cell in cells), default=1)
    fillers = list(others)
    order: list[Any] = []
    for cell in cells:
        missing = stride - len(cell)
        if missing > len(fillers):
            return None
        order += fillers[:missing]
        fillers = fillers[missing:]
        order += cell
    return order + fillers, stride


def best_shape(count: int, aspect: float, canvas: tuple[int, int]) -> tuple[int, int]:
    """Put cells in a row, or in a column where that shows them clearly larger.

    Parameters
    ----------
    count : int
        Cells.
    aspect : float
        Width over height of the image.
    canvas : tuple of int
        (height, width) in pixels.

    Returns
    -------
    (rows, columns)
    """
    height, width = canvas
    in_row = min(width / count / aspect, height)
    in_column = min(width / aspect, height / count)
    shape = (count, 1) if in_column > _CLEARLY * in_row else (1, count)
    # four cells in a row are slits on a canvas that a square of them would fill
    square = best_grid(count, aspect, canvas)
    if count > 3 and _cell(square, aspect, canvas) > _SQUARE * max(in_row, in_column):
        return square
    return shape


def best_grid(count: int, aspect: float, canvas: tuple[int, int]) -> tuple[int, int]:
    """Give the rows and columns in which cells are largest.

    Parameters
    ----------
    count, aspect, canvas
        As `best_shape` takes them.
    """
    shapes = [(-(-count // columns), columns) for columns in range(1, count + 1)]
    return max(shapes, key=lambda shape: _cell(shape, aspect, canvas))


def name_size(width: float) -> float:
    """Give the size in points of a name in a cell of so many pixels."""
    return float(np.clip(round(width / 22), _SMALLEST_NAME, LARGEST_NAME))


def aspect_of(layer: Any) -> float:
    """Width over height of what a layer shows in 2D."""
    low, high = np.asarray(layer.extent.world)
    height, width = (high - low)[-2:]
    return float(width / height) if height > 0 and width > 0 else 1.0


def _cell(shape: tuple[int, int], aspect: float, canvas: tuple[int, int]) -> float:
    """Height of the image in a cell."""
    rows, columns = shape
    return min(canvas[1] / columns / aspect, canvas[0] / rows)
