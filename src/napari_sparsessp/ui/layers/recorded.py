"""Facts that a file records of a stack, beyond a layer's scale and position."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_sparsessp.volume import Volume

RECORDED = "napari_sparsessp_recorded"


def keep(volume: Volume) -> dict[str, Any]:
    """Return it as metadata of the volume's layer."""
    return {
        RECORDED: {
            "voxel_size": volume.voxel_size,
            "origin": volume.origin,
            "plane_z": volume.plane_z,
            "placed": volume.placed,
            "notes": volume.notes,
        }
    }


Axes = tuple[bool, bool, bool]


def recall(
    layer: Any, volume: Volume, own: Sequence[float]
) -> tuple[Volume, Axes | None]:
    """Return the volume of a layer as its file was read, and along which axes it moved.

    What the user has changed since, by moving or scaling the layer, counts. `own` is
    the place of voxel 0 along the layer's own axes; None where no file was recorded.
    """
    kept = getattr(layer, "metadata", {}).get(RECORDED)
    if not isinstance(kept, dict):
        return volume, None
    a, b, c = (
        abs(at - its) > 1e-6 for at, its in zip(own, kept["origin"], strict=True)
    )
    moved = a, b, c
    z, y, x = (
        known or shifted for known, shifted in zip(kept["placed"], moved, strict=True)
    )
    heights, size, before = kept["plane_z"], volume.voxel_size, kept["voxel_size"]
    if heights and size and before and np.allclose(size, before):
        shift = volume.origin[0] - heights[0][0]
        heights = (tuple(height + shift for height in heights[0]),)
    else:
        heights = ()
    told = {"plane_z": heights, "placed": (z, y, x), "notes": kept["notes"]}
    return replace(volume, **told), moved
