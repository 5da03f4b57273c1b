"""Which tile comes next: what is on screen first. And which a part of it needs."""

from collections.abc import Sequence

from napari_sparsessp.prediction.events import Box
from napari_sparsessp.prediction.tiling import Tile


def distance_to_view(tile: Tile, box: Box) -> tuple[float, float]:
    """How far a tile is from what is on screen.

    Parameters
    ----------
    tile : Tile
    box : tuple of slice
        (z, y, x) of the visible field in voxels of the model's grid.

    Returns
    -------
    tuple of float
        Gap between them in voxels, 0 where they overlap; then the distance of
        their centres.
    """
    gap = centre = 0.0
    for (start, stop), seen in zip(tile.core, box, strict=True):
        low, high = float(seen.start), float(seen.stop)
        gap += max(0.0, low - stop + 1, start - high + 1) ** 2
        centre += ((start + stop) / 2 - (low + high) / 2) ** 2
    return gap**0.5, centre**0.5


def next_tile(waiting: Sequence[int], tiles: Sequence[Tile], box: Box | None) -> int:
    """Pick the index of the tile to do next.

    Parameters
    ----------
    waiting : sequence of int
        Indices into `tiles` that are left, in their order; not empty.
    tiles : sequence of Tile
    box : tuple of slice or None
        What is on screen; without it the order stays.
    """
    if box is None:
        return waiting[0]
    return min(waiting, key=lambda index: (*distance_to_view(tiles[index], box), index))


def needed_for(waiting: Sequence[int], tiles: Sequence[Tile], box: Box) -> list[int]:
    """Pick the tiles that have a say in a part of the volume.

    Parameters
    ----------
    waiting : sequence of int
        Indices into `tiles` that are left.
    tiles : sequence of Tile
    box : tuple of slice
        (z, y, x) of the part in voxels of the model's grid.

    Returns
    -------
    list of int
        Once they are all done, nothing inside the box changes any more.
    """
    return [
        index
        for index in waiting
        if all(
            own.start < part.stop and part.start < own.stop
            for own, part in zip(tiles[index].box, box, strict=True)
        )
    ]
