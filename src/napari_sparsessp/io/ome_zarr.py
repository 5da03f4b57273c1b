"""Predictions as OME-Zarr: NGFF 0.5 (or 0.4), multiscale, read as it is needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparsessp.io.caption import Caption
from napari_sparsessp.io.pyramid import halved, level_shapes

ATTRIBUTE = "sparsessp"
"""Attribute of the image's group that holds the provenance."""

# 8 MB of float32: small enough for a viewer to fetch a plane, large enough to be quick.
CHUNK = (32, 256, 256)

# Enough for the percentiles of a channel, and little to read.
_VALUES_LOOKED_AT = 2**23


def write_ome_zarr(path: Path, array: Any, caption: Caption) -> None:
    """Write one multiscale image; at most 32 planes are in memory at a time.

    Parameters
    ----------
    path : Path
        The folder; must not exist. `napari_sparsessp.io.writing` is the safe way to a
        final name.
    array : array-like
        (T)CZYX, may be lazy; written as float32.
    caption : Caption
        Its origin is the translation; without a voxel size the scale is 1.
    """
    import zarr

    shape = tuple(int(size) for size in array.shape)
    group = zarr.create_group(path, zarr_format=3)
    levels = create_levels(group, shape, caption.axes)
    for index in _blocks(shape):
        block = np.asarray(array[index], dtype=np.float32)
        for level in levels:
            level[index] = block
            block = halved(block)
    if not caption.name:
        caption = replace(caption, name=path.name)
    group.attrs.update(image_attributes(levels, caption))


def image_attributes(
    levels: Sequence[Any], caption: Caption, ngff: str = "0.5"
) -> dict[str, Any]:
    """Give the attributes of an image's group.

    Parameters
    ----------
    levels : sequence of zarr arrays
        All of them complete, the finest first.
    caption : Caption
    ngff : {"0.5", "0.4"}
        Version of the format.
    """
    image: dict[str, Any] = {
        "multiscales": [
            multiscale(
                caption.axes,
                len(levels),
                caption.voxel_size,
                caption.origin,
                caption.name,
            )
        ],
        "omero": _omero(
            levels[-1], caption.axes, caption.channel_names, caption.colours
        ),
    }
    if ngff == "0.5":
        attributes: dict[str, Any] = {"ome": {"version": ngff, **image}}
    else:
        image["multiscales"][0]["version"] = ngff
        attributes = image
    if caption.provenance is not None:
        attributes[ATTRIBUTE] = dict(caption.provenance)
    return attributes


def read_ome_zarr_provenance(path: Path) -> dict[str, Any] | None:
    """Give the provenance in an OME-Zarr's attributes, None where there is none."""
    import zarr

    found = zarr.open_group(path, mode="r").attrs.asdict().get(ATTRIBUTE)
    return dict(found) if isinstance(found, Mapping) else None


def create_levels(
    group: Any,
    shape: tuple[int, ...],
    axes: str,
    chunk: tuple[int, int, int] = CHUNK,
    dtype: str = "float32",
) -> list[Any]:
    """Make the empty levels of an image, as the group's version of Zarr wants them.

    Parameters
    ----------
    group : zarr.Group
    shape : tuple of int
        Of the finest level.
    axes : str
    chunk : tuple of int
        (z, y, x); other axes have chunks of 1.
    dtype : str

    Returns
    -------
    list of zarr.Array
        The finest first.
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
    return [
        group.create_array(
            str(number),
            shape=size,
            chunks=tuple(map(min, size, wanted)),
            **how,
        )
        for number, size in enumerate(level_shapes(shape))
    ]


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Give the index of every run of planes that fills whole chunks."""
    depth = shape[-3]
    for leading in np.ndindex(*shape[:-3]):
        for start in range(0, depth, CHUNK[0]):
            yield (*leading, slice(start, min(start + CHUNK[0], depth)))


def multiscale(
    axes: str,
    levels: int,
    voxel_size: tuple[float, float, float] | None,
    origin: tuple[float, float, float],
    name: str,
) -> dict[str, Any]:
    """Say which levels an image has and where their voxels lie."""
    extra = len(axes) - 3
    z, y, x = voxel_size or (1.0, 1.0, 1.0)
    datasets = []
    for level in range(levels):
        factor = 2**level
        # The centre of a coarse pixel lies between the centres of those it averages.
        shift = (factor - 1) / 2
        scale = [1.0] * extra + [z, y * factor, x * factor]
        corner = [0.0] * extra + [
            origin[0],
            origin[1] + shift * y,
            origin[2] + shift * x,
        ]
        datasets.append(
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": scale},
                    {"type": "translation", "translation": corner},
                ],
            }
        )
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


def _omero(
    smallest: Any, axes: str, names: Sequence[str], colours: Sequence[str]
) -> dict[str, Any]:
    """Say how viewers show the channels; ranges come from the smallest level."""
    channels = []
    place = axes.index("C")
    for index, name in enumerate(names):
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
    return tuple(slice(None, None, one) for one in steps)
