"""Images as OME-TIFF and OME-Zarr (NGFF 0.5 or 0.4): metadata, levels, provenance.

`napari_sparsessp.io.writing` is the safe way to a final name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_sparsessp.io.calibration import (
    ATTRIBUTE,
    NAMESPACE,
    PLACED,
    ome_comment,
)
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.structures import colours_of

# 8 MB of float32: small enough for a viewer to fetch a plane, large enough to be quick.
CHUNK = (32, 256, 256)

# Enough for the percentiles of a channel, and little to read.
_VALUES_LOOKED_AT = 2**23

# Classic TIFF counts bytes in 32 bits; some room is left for the header and the pages.
_CLASSIC_LIMIT = 2**32 - 2**25


@dataclass(frozen=True)
class OmeMetadata:
    """Metadata of an image, the same for every format."""

    axes: str  # "CZYX" or "TCZYX"
    channel_names: Sequence[str]
    voxel_size: tuple[float, float, float] | None  # µm; without it no unit is written
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)  # centre of voxel 0, µm
    colours: Sequence[str] = ()  # "#rrggbb" for each channel, or none
    provenance: Mapping[str, Any] | None = None  # must be JSON
    name: str = ""

    @classmethod
    def of(cls, plan: Plan, provenance: Mapping[str, Any] | None, name: str) -> Self:
        """Return the metadata of a planned prediction."""
        if provenance is not None:
            provenance = {**provenance, PLACED: list(plan.volume.placed)}
        return cls(
            plan.output_axes,
            plan.channels,
            plan.voxel_size,
            plan.origin,
            colours_of(plan.channels),
            provenance,
            name,
        )


# Levels are halved in y and x until the plane fits into one chunk.
_SMALLEST_LEVEL = 256


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the shape of every level, the finest first."""
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
    """Make every coarser level from the one before, a chunk at a time; finest first."""
    for fine, coarse in zip(levels, levels[1:], strict=False):
        for block in blocks(coarse.shape, coarse.chunks):
            *lead, rows, columns = block
            source = (
                *lead,
                slice(2 * rows.start, min(2 * rows.stop, fine.shape[-2])),
                slice(2 * columns.start, min(2 * columns.stop, fine.shape[-1])),
            )
            coarse[block] = halved(np.asarray(fine[source]))


def write_ome_zarr(path: Path, array: Any, metadata: OmeMetadata) -> None:
    """Write (T)CZYX, maybe lazy, as one multiscale image of float32.

    At most 32 planes are in memory at a time. The folder must not exist.
    """
    import zarr

    shape = tuple(int(size) for size in array.shape)
    group = zarr.create_group(path, zarr_format=3)
    levels = create_levels(group, shape, metadata.axes)
    for *lead, z in blocks(shape[:-2], (*(1,) * (len(shape) - 3), CHUNK[0])):
        place = (*(part.start for part in lead), z)
        levels[0][place] = np.asarray(array[place], dtype=np.float32)
    fill_levels(levels)
    group.attrs.update(image_attributes(levels, metadata))


def image_attributes(
    levels: Sequence[Any], metadata: OmeMetadata, ngff: str = "0.5"
) -> dict[str, Any]:
    """Return the attributes of an image's group; its levels, finest first, are done."""
    scale = multiscale(
        metadata.axes,
        len(levels),
        metadata.voxel_size,
        metadata.origin,
        metadata.name,
    )
    image: dict[str, Any] = {
        "multiscales": [scale],
        "omero": _omero(levels[-1], metadata),
    }
    if ngff == "0.5":
        attributes: dict[str, Any] = {"ome": {"version": ngff, **image}}
    else:
        scale["version"] = ngff
        attributes = image
    if metadata.provenance is not None:
        attributes[ATTRIBUTE] = dict(metadata.provenance)
    return attributes


def read_ome_zarr_provenance(path: Path) -> dict[str, Any] | None:
    """Return the provenance in an OME-Zarr's attributes, None where there is none."""
    import zarr

    held = zarr.open_group(path, mode="r").attrs.asdict().get(ATTRIBUTE)
    return dict(held) if isinstance(held, Mapping) else None


def create_levels(
    group: Any,
    shape: tuple[int, ...],
    axes: str,
    chunk: tuple[int, int, int] = CHUNK,
    dtype: str = "float32",
    *,
    coarser: bool = True,
) -> list[Any]:
    """Make the empty levels of an image, finest first, in the group's version of Zarr.

    Axes but (z, y, x) have chunks of 1; without `coarser` the finest level is alone.
    """
    new = group.metadata.zarr_format == 3
    how: dict[str, Any] = {"dtype": dtype, "fill_value": 0}
    if new:
        from zarr.codecs import BloscCodec

        how["compressors"] = BloscCodec(
            cname="zstd",
            clevel=3,
            shuffle="bitshuffle",
            typesize=np.dtype(dtype).itemsize,
        )
        how["dimension_names"] = [axis.lower() for axis in axes]
    else:
        from numcodecs import Blosc

        how["compressors"] = Blosc(cname="zstd", clevel=3, shuffle=Blosc.BITSHUFFLE)
        how["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
    wanted = (*(1,) * (len(axes) - 3), *chunk)
    # A chunk that is there is done, also one of zeros.
    how["config"] = {"write_empty_chunks": True}
    return [
        group.create_array(
            str(number),
            shape=size,
            chunks=tuple(map(min, size, wanted)),
            **how,
        )
        for number, size in enumerate(level_shapes(shape) if coarser else [shape])
    ]


def multiscale(
    axes: str,
    levels: int,
    voxel_size: tuple[float, float, float] | None,
    origin: tuple[float, float, float],
    name: str,
) -> dict[str, Any]:
    """Return the entry of an image: its levels and the position of their voxels."""
    extra = len(axes) - 3
    z, y, x = voxel_size or (1.0, 1.0, 1.0)
    datasets = []
    for level in range(levels):
        factor = 2**level
        # The centre of a coarse pixel lies between the centres of those it averages.
        shift = (factor - 1) / 2
        corner = [origin[0], origin[1] + shift * y, origin[2] + shift * x]
        steps = [
            {"type": "scale", "scale": [1.0] * extra + [z, y * factor, x * factor]},
            {"type": "translation", "translation": [0.0] * extra + corner},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    return {
        "name": name.split(".")[0],
        "axes": [_axis(letter, voxel_size is not None) for letter in axes],
        "datasets": datasets,
        "type": "mean",
    }


def _axis(letter: str, calibrated: bool) -> dict[str, str]:
    kind = {"T": "time", "C": "channel"}.get(letter, "space")
    axis = {"name": letter.lower(), "type": kind}
    if kind == "space" and calibrated:
        axis["unit"] = "micrometer"
    return axis


def _omero(smallest: Any, metadata: OmeMetadata) -> dict[str, Any]:
    """Return display settings of the channels; ranges come from the smallest level."""
    channels, colours = [], metadata.colours
    place = metadata.axes.index("C")
    for index, name in enumerate(metadata.channel_names):
        step = _step(smallest.shape, place)
        chosen = (*step[:place], index, *step[place:])
        values = np.asarray(smallest[chosen])
        values = values[np.isfinite(values)]
        window = (
            np.percentile(values, [0, 1, 99.8, 100]) if values.size else [0, 0, 1, 1]
        )
        low, start, end, high = (float(value) for value in window)
        channels.append(
            {
                "label": name,
                "color": colours[index].lstrip("#").upper() if colours else "FFFFFF",
                "window": {"min": low, "max": high, "start": start, "end": end},
                "active": True,
            }
        )
    return {"channels": channels, "rdefs": {"model": "color"}}


def _step(shape: tuple[int, ...], place: int) -> tuple[slice, ...]:
    """Choose time points and planes, evenly, so that a channel is not too much."""
    others = [*shape[:place], *shape[place + 1 :]]
    step = -(-math.prod(others) // _VALUES_LOOKED_AT)
    steps = [1] * len(others)
    for axis in range(len(others) - 2):
        steps[axis] = min(step, others[axis])
        step = -(-step // steps[axis])
    return tuple(slice(None, None, every) for every in steps)


def write_ome_tiff(
    path: Path, array: Any, metadata: OmeMetadata, dtype: Any = np.float32
) -> None:
    """Write (T)(C)ZYX, maybe lazy, as one image; BigTIFF above 4 GB.

    Pixels are not compressed: readers map them into memory, and floats hardly shrink.
    """
    import tifffile

    shape = tuple(int(size) for size in array.shape)
    sizes = dict(zip(metadata.axes, shape, strict=True))
    fields: dict[str, Any] = {
        "axes": metadata.axes,
        "Name": metadata.name,
        "Channel": {"Name": list(metadata.channel_names)},
        "Plane": _positions(sizes, metadata.voxel_size, metadata.origin),
    }
    for axis, size in zip("ZYX", metadata.voxel_size or (), strict=False):
        fields |= {f"PhysicalSize{axis}": float(size), f"PhysicalSize{axis}Unit": "µm"}
    if metadata.colours:
        colours = [_signed_rgba(colour) for colour in metadata.colours]
        fields["Channel"]["Color"] = colours
    if metadata.provenance is not None:
        text = json.dumps(metadata.provenance, allow_nan=False)
        fields["CommentAnnotation"] = {"Namespace": NAMESPACE, "Value": text}
    large = np.dtype(dtype).itemsize * math.prod(shape)
    with tifffile.TiffWriter(path, bigtiff=large > _CLASSIC_LIMIT, ome=True) as tif:
        tif.write(
            _planes(array, len(shape), dtype),
            shape=shape,
            dtype=dtype,
            photometric="minisblack",
            metadata=fields,
        )


def read_ome_tiff_provenance(path: Path) -> dict[str, Any] | None:
    """Return the provenance in an OME-TIFF's header, None where there is none."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        text = ome_comment(tif.ome_metadata, NAMESPACE) if tif.ome_metadata else None
    return json.loads(text) if text else None


def _planes(array: Any, dimensions: int, dtype: Any) -> Iterator[np.ndarray]:
    """Read plane by plane; of a Zarr array, each chunk once."""
    *lead, depth = (int(size) for size in array.shape[: dimensions - 2])
    chunks = getattr(array, "chunks", None)
    step = chunks[-3] if chunks and isinstance(chunks[-3], int) else 1
    for index in np.ndindex(*lead):
        for first in range(0, depth, step):
            planes = slice(first, min(first + step, depth))
            yield from np.asarray(array[(*index, planes)], dtype=dtype)


def _positions(
    sizes: Mapping[str, int],
    voxel_size: tuple[float, float, float] | None,
    origin: tuple[float, float, float],
) -> dict[str, list[Any]]:
    """Return the position of every plane, in the order in which they are written."""
    step = voxel_size[0] if voxel_size is not None else 0.0
    heights = [float(origin[0] + step * plane) for plane in range(sizes["Z"])]
    stacks = sizes.get("T", 1) * sizes.get("C", 1)
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
