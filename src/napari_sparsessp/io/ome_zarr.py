"""Predictions as OME-Zarr: NGFF 0.5 on Zarr v3, multiscale, read as it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ATTRIBUTE = "sparsessp"
"""Attribute of the image's group that holds the provenance."""

# 8 MB of float32: small enough for a viewer to fetch a plane, large enough to be quick.
_CHUNK = {"T": 1, "C": 1, "Z": 32, "Y": 256, "X": 256}
# Levels are halved in y and x until the plane fits into one chunk.
_SMALLEST_LEVEL = 256


def write_ome_zarr(
    path: Path,
    array: Any,
    axes: str,
    channel_names: Sequence[str],
    voxel_size: tuple[float, float, float] | None,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    colours: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    name: str = "",
) -> None:
    """Write one multiscale image; at most 32 planes are in memory at a time.

    Parameters
    ----------
    path : Path
        The folder; must not exist. `napari_sparsessp.io.writing` is the safe way to a
        final name.
    array : array-like
        (T)CZYX, may be lazy; written as float32.
    axes : str
        ``"CZYX"`` or ``"TCZYX"``.
    channel_names : sequence of str
        One for each channel.
    voxel_size : tuple of float or None
        (z, y, x) in µm; without it the scale is 1 and no unit is written.
    origin : tuple of float
        (z, y, x) of the centre of voxel (0, 0, 0) in µm: the translation.
    colours : sequence of str
        ``"#rrggbb"`` for each channel, or none.
    provenance : mapping, optional
        What `read_provenance` gives back; must be JSON.
    name : str
        The image's name in the metadata.
    """
    import zarr

    shape = tuple(int(size) for size in array.shape)
    group = zarr.create_group(path, zarr_format=3)
    levels = _create_levels(group, shape, axes)
    for index in _blocks(shape):
        block = np.asarray(array[index], dtype=np.float32)
        for level in levels:
            level[index] = block
            block = _halved(block)
    attributes: dict[str, Any] = {
        "ome": {
            "version": "0.5",
            "multiscales": [
                _multiscale(axes, len(levels), voxel_size, origin, name or path.name)
            ],
            "omero": _omero(levels[-1], axes, channel_names, colours),
        }
    }
    if provenance is not None:
        attributes[ATTRIBUTE] = dict(provenance)
    group.attrs.update(attributes)


def read_ome_zarr_provenance(path: Path) -> dict[str, Any] | None:
    """Give the provenance in an OME-Zarr's attributes, None where there is none."""
    import zarr

    found = zarr.open_group(path, mode="r").attrs.asdict().get(ATTRIBUTE)
    return dict(found) if isinstance(found, Mapping) else None


def _create_levels(group: Any, shape: tuple[int, ...], axes: str) -> list[Any]:
    from zarr.codecs import BloscCodec

    packed = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=4)
    return [
        group.create_array(
            str(number),
            shape=size,
            dtype="float32",
            chunks=tuple(
                min(n, _CHUNK[axis]) for n, axis in zip(size, axes, strict=True)
            ),
            compressors=packed,
            dimension_names=[axis.lower() for axis in axes],
        )
        for number, size in enumerate(_level_shapes(shape))
    ]


def _level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    shapes = [shape]
    while max(shapes[-1][-2:]) > _SMALLEST_LEVEL:
        height, width = shapes[-1][-2:]
        shapes.append((*shape[:-2], -(-height // 2), -(-width // 2)))
    return shapes


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Give the index of every run of planes that fills whole chunks."""
    depth = shape[-3]
    for leading in np.ndindex(*shape[:-3]):
        for start in range(0, depth, _CHUNK["Z"]):
            yield (*leading, slice(start, min(start + _CHUNK["Z"], depth)))


def _halved(block: np.ndarray) -> np.ndarray:
    """Average 2 × 2 pixels in y and x; an odd edge is repeated first."""
    height, width = block.shape[-2:]
    odd = ((0, 0),) * (block.ndim - 2) + ((0, height % 2), (0, width % 2))
    even = np.pad(block, odd, mode="edge")
    return (
        even[..., ::2, ::2]
        + even[..., 1::2, ::2]
        + even[..., ::2, 1::2]
        + even[..., 1::2, 1::2]
    ) * np.float32(0.25)


def _multiscale(
    axes: str,
    levels: int,
    voxel_size: tuple[float, float, float] | None,
    origin: tuple[float, float, float],
    name: str,
) -> dict[str, Any]:
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
        values = np.asarray(smallest[(slice(None),) * place + (index,)])
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
