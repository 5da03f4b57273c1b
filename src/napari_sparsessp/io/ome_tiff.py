"""Predictions as OME-TIFF: float32, names, colours, µm and provenance in the header."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparsessp.io.caption import Caption

NAMESPACE = "napari-sparsessp/provenance"
"""Namespace of the OME comment annotation that holds the provenance as JSON."""

# Classic TIFF counts bytes in 32 bits; some room is left for the header and the pages.
_CLASSIC_LIMIT = 2**32 - 2**25


def write_ome_tiff(path: Path, array: Any, caption: Caption) -> None:
    """Write one image, plane by plane; BigTIFF above 4 GB.

    Pixels are not compressed: readers map them into memory, and floats hardly shrink.

    Parameters
    ----------
    path : Path
        The file; replaced where it exists. `napari_sparsessp.io.writing` is the safe
        way to a final name.
    array : array-like
        (T)CZYX, may be lazy; written as float32.
    caption : Caption
        Its origin goes into the position of every plane.
    """
    import tifffile

    shape = tuple(int(size) for size in array.shape)
    sizes = dict(zip(caption.axes, shape, strict=True))
    metadata: dict[str, Any] = {
        "axes": caption.axes,
        "Name": caption.name or path.name.split(".")[0],
        "Channel": {"Name": list(caption.channel_names)},
        "Plane": _positions(sizes, caption.voxel_size, caption.origin),
        **_sizes(caption.voxel_size),
    }
    if caption.colours:
        colours = [_signed_rgba(colour) for colour in caption.colours]
        metadata["Channel"]["Color"] = colours
    if caption.provenance is not None:
        text = json.dumps(caption.provenance, allow_nan=False)
        metadata["CommentAnnotation"] = {"Namespace": NAMESPACE, "Value": text}
    size = 4 * math.prod(shape)
    with tifffile.TiffWriter(path, bigtiff=size > _CLASSIC_LIMIT, ome=True) as tif:
        tif.write(
            _planes(array, len(shape)),
            shape=shape,
            dtype=np.float32,
            photometric="minisblack",
            metadata=metadata,
        )


def read_ome_tiff_provenance(path: Path) -> dict[str, Any] | None:
    """Give the provenance in an OME-TIFF's header, None where there is none."""
    import tifffile

    from napari_sparsessp.io.calibration import ome_comment

    with tifffile.TiffFile(path) as tif:
        text = ome_comment(tif.ome_metadata, NAMESPACE) if tif.ome_metadata else None
    return json.loads(text) if text else None


def _planes(array: Any, dimensions: int) -> Iterator[np.ndarray]:
    for index in np.ndindex(*(int(size) for size in array.shape[: dimensions - 2])):
        yield np.asarray(array[index], dtype=np.float32)


def _sizes(voxel_size: tuple[float, float, float] | None) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    for axis, size in zip("ZYX", voxel_size or (), strict=False):
        sizes[f"PhysicalSize{axis}"] = float(size)
        sizes[f"PhysicalSize{axis}Unit"] = "µm"
    return sizes


def _positions(
    sizes: Mapping[str, int],
    voxel_size: tuple[float, float, float] | None,
    origin: tuple[float, float, float],
) -> dict[str, list[Any]]:
    """Give the position of every plane, in the order in which they are written."""
    step = voxel_size[0] if voxel_size is not None else 0.0
    heights = [float(origin[0] + step * plane) for plane in range(sizes["Z"])]
    stacks = sizes.get("T", 1) * sizes["C"]
    planes = stacks * sizes["Z"]
    return {
        "PositionX": [float(origin[2])] * planes,
        "PositionY": [float(origin[1])] * planes,
        "PositionZ": heights * stacks,
        **{f"Position{axis}Unit": ["µm"] * planes for axis in "XYZ"},
    }


def _signed_rgba(colour: str) -> int:
    """OME keeps colours as RGBA in a signed 32-bit number."""
    value = int(colour.lstrip("#") + "ff", 16)
    return value - 2**32 if value >= 2**31 else value
