"""Layers of a viewer as one OME-Zarr folder, from which they can be opened again.

Layers on one grid become one image with a channel each; several grids become a group
of images in the layout of bioformats2raw (``0``, ``1``, …), as other programs read it.
"""

import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from napari_sparsessp import __version__
from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.io.layer_record import LayerRecord, SavedLayers, first_fault
from napari_sparsessp.io.ome import (
    ATTRIBUTE,
    CHUNK,
    create_levels,
    fill_levels,
    multiscale,
)
from napari_sparsessp.io.writing import check_output, disk_error, kind_of

Meter = Callable[[str, float], None]

_NGFF = "0.5"
_SERIES_LAYOUT = 3

# Most bytes of a layer that are in memory at a time.
_AT_ONCE = 256 * 2**20

_MICROMETRES = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}


@dataclass(eq=False)
class _Image:
    """Layers that share a grid, as channels of one image."""

    axes: str
    shape: tuple[int, ...]  # of one channel: (T)ZYX
    dtype: np.dtype
    parts: list[tuple[int, LayerRecord, Any]] = field(default_factory=list)
    channels: int = 0


def write_layers(
    path: str | Path,
    layers: Sequence[tuple[LayerRecord, Any]],
    meter: Meter = lambda _what, _share: None,
) -> Path:
    """Write layers into a new folder; it bears its name only when all of it is there.

    Parameters
    ----------
    path : str or Path
        Ends in ``.ome.zarr`` or ``.zarr``; must not exist.
    layers : sequence of (LayerRecord, array-like)
        The arrays have an axis for each letter of the record's `axes`; lazy ones are
        read a part at a time. Where their voxels go is filled in here.
    meter : callable, optional
        Called with what is done and its share; what it raises stops the writing.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    OutputError
        The name is taken or has another ending, or the disk is full or fails.
    InputError
        A layer holds no real numbers.
    """
    path = check_output(path)
    if kind_of(path) != "zarr":
        raise OutputError(f"{path.name} is no folder; end the name in .ome.zarr")
    images, records = _sorted_out(layers)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _write(partial, path.name.split(".")[0], images, records, meter)
        check_output(path)  # a rename would take the place of an empty folder
        partial.rename(path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def read_layers(path: Path) -> list[tuple[LayerRecord, list[Any]]] | None:
    """Open the layers of a folder that `write_layers` made; no voxel is read.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of (LayerRecord, list of dask arrays) or None
        The levels of each layer, the finest first, each with the record's `axes`.
        None where the folder is none of ours.

    Raises
    ------
    InputError
        It is damaged, of a newer version, or leads out of the folder.
    """
    from napari_sparsessp.io.zarr_reading import (
        is_series,
        open_pyramid,
        read_attributes,
        series_folder,
    )

    about = read_attributes(path).get(ATTRIBUTE)
    if not isinstance(about, dict) or "layers" not in about:
        return None
    try:
        saved = SavedLayers.model_validate(about)
    except ValidationError as error:
        raise InputError(
            f"{path.name} cannot be read: its layers are not as this version writes "
            f"them ({first_fault(error)}); update napari-sparsessp or save it again"
        ) from error
    several = is_series(path)
    pyramids: dict[int, tuple[list[Any], str]] = {}
    for one in saved.layers:
        if one.image not in pyramids:
            if one.image and not several:
                raise _odd(path, f"it has no image {one.image}")
            place = series_folder(path, str(one.image)) if several else path
            pyramids[one.image] = open_pyramid(place)
    return [(one, _levels(one, *pyramids[one.image], path)) for one in saved.layers]


def _levels(
    one: LayerRecord, arrays: Sequence[Any], axes: str, path: Path
) -> list[Any]:
    """Take a layer's part of each level and bring its axes into its own order."""
    stored = _stored_axes(one.axes)
    if axes != stored or one.channel + one.channels > arrays[0].shape[axes.index("C")]:
        raise _odd(path, f"image {one.image} does not have the channels of {one.name}")
    result = []
    for array in arrays if one.multiscale else arrays[:1]:
        place = stored.index("C")
        part = array[
            (slice(None),) * place + (slice(one.channel, one.channel + one.channels),)
        ]
        own = [letter for letter in stored if letter in one.axes]
        if any(
            size != 1
            for letter, size in zip(stored, part.shape, strict=True)
            if letter not in own
        ):
            raise _odd(path, f"{one.name} has more axes than {one.axes}")
        part = part[tuple(slice(None) if a in own else 0 for a in stored)]
        result.append(part.transpose([own.index(letter) for letter in one.axes]))
    return result


def _sorted_out(
    layers: Sequence[tuple[LayerRecord, Any]],
) -> tuple[list[_Image], list[LayerRecord]]:
    """Gather layers of one grid; give the records with the place of their voxels."""
    images: dict[Any, _Image] = {}
    records = []
    for number, (one, array) in enumerate(layers):
        array, axes = _in_order(array, one)
        place = axes.index("C")
        shape = (*array.shape[:place], *array.shape[place + 1 :])
        dtype = _stored_type(array.dtype, one.name)
        grid = (axes, shape, dtype.str, _grid(one), "C" in one.axes and number)
        image = images.setdefault(grid, _Image(axes, shape, dtype))
        count = int(array.shape[place])
        index = list(images).index(grid)
        where = {"image": index, "channel": image.channels, "channels": count}
        records.append(one.model_copy(update=where))
        image.parts.append((image.channels, records[-1], array))
        image.channels += count
    return list(images.values()), records


def _grid(one: LayerRecord) -> Any:
    """Tell where a layer's voxels lie: those of equal places can share an image."""
    places = dict(
        zip(
            one.axes, zip(one.scale, one.translate, one.units, strict=True), strict=True
        )
    )
    turns = (one.rotate, one.shear, one.affine)
    return tuple(places.get(letter) for letter in "TZYX"), turns


def _in_order(array: Any, one: LayerRecord) -> tuple[Any, str]:
    """Bring an array to (T)CZYX, lazily."""
    if not (isinstance(array, np.ndarray) or hasattr(array, "dask")):
        import dask.array as da

        chunks = getattr(array, "chunks", None) or "auto"
        array = da.from_array(array, chunks=chunks, name=False)
    own = [letter for letter in "TCZYX" if letter in one.axes]
    array = array.transpose([one.axes.index(letter) for letter in own])
    stored = _stored_axes(one.axes)
    return array[tuple(slice(None) if a in own else None for a in stored)], stored


def _stored_axes(axes: str) -> str:
    return ("T" if "T" in axes else "") + "CZYX"


def _stored_type(dtype: Any, name: str) -> np.dtype:
    """Give the type that is written: the layer's own, where OME-Zarr has it."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "buif":
        raise InputError(
            f"layer {name!r} holds {dtype} values; save it by itself, or convert it to "
            "whole or real numbers"
        )
    if dtype.kind == "b":
        return np.dtype("uint8")
    return np.dtype("float32") if dtype == np.float16 else dtype.newbyteorder("=")


def _write(
    folder: Path,
    name: str,
    images: Sequence[_Image],
    records: Sequence[LayerRecord],
    meter: Meter,
) -> None:
    import zarr

    root = zarr.create_group(folder, zarr_format=3)
    saved = SavedLayers(package=__version__, layers=tuple(records))
    about: dict[str, Any] = {ATTRIBUTE: saved.model_dump(mode="json", by_alias=True)}
    if len(images) == 1:
        _write_image(root, images[0], name, meter)
        root.attrs.update(about)
        return
    sizes = [math.prod(one.shape) * one.channels for one in images]
    done = 0
    for number, image in enumerate(images):
        part = _part_of(meter, done / sum(sizes), sizes[number] / sum(sizes))
        _write_image(root.create_group(str(number)), image, f"{name} {number}", part)
        done += sizes[number]
    listed: Any = {"version": _NGFF, "series": [str(n) for n in range(len(images))]}
    root.create_group("OME").attrs.update({"ome": listed})
    about["ome"] = {"version": _NGFF, "bioformats2raw.layout": _SERIES_LAYOUT}
    root.attrs.update(about)


def _part_of(meter: Meter, start: float, share: float) -> Meter:
    """Give a meter whose whole is a share of another's."""
    return lambda what, done: meter(what, start + share * done)


def _write_image(group: Any, image: _Image, name: str, meter: Meter) -> None:
    place = image.axes.index("C")
    shape = (*image.shape[:place], image.channels, *image.shape[place:])
    levels = create_levels(group, shape, image.axes, dtype=image.dtype.name)
    total, done = math.prod(shape), 0
    for first, record, array in image.parts:
        for index in _blocks(array.shape, image.dtype.itemsize):
            meter(record.name, 0.9 * done / total)
            block = np.asarray(array[index], dtype=image.dtype)
            target = list(index)
            own = index[place]
            target[place] = slice(own.start + first, own.stop + first)
            levels[0][tuple(target)] = block
            done += block.size
    meter(name, 0.9)
    fill_levels(levels)
    records = [record for _, record, _ in image.parts]
    group.attrs.update(_attributes(image, records, len(levels), name))


def _blocks(shape: Sequence[int], itemsize: int) -> Iterator[tuple[slice, ...]]:
    """Cut an array into runs of planes that fill whole chunks and fit into memory."""
    *lead, depth, height, width = shape
    deep = CHUNK[0]
    rows = max(1, _AT_ONCE // (deep * width * itemsize * CHUNK[1])) * CHUNK[1]
    for leading in np.ndindex(*lead):
        ahead = tuple(slice(one, one + 1) for one in leading)
        for z in range(0, depth, deep):
            for y in range(0, height, rows):
                yield (
                    *ahead,
                    slice(z, min(z + deep, depth)),
                    slice(y, min(y + rows, height)),
                    slice(0, width),
                )


def _attributes(
    image: _Image, records: Sequence[LayerRecord], levels: int, name: str
) -> dict[str, Any]:
    """Say what other programs need to show an image."""
    first = records[0]
    at = {letter: first.axes.index(letter) for letter in first.axes}
    factors = {a: _MICROMETRES.get(first.units[at[a]]) for a in "ZYX" if a in at}
    known = all(factors.values())
    size, origin = [1.0] * 3, [0.0] * 3
    for number, letter in enumerate("ZYX"):
        if known and letter in at:
            size[number] = abs(first.scale[at[letter]]) * (factors[letter] or 1.0)
            origin[number] = first.translate[at[letter]] * (factors[letter] or 1.0)
    voxel = (size[0], size[1], size[2]) if known else None
    place = (origin[0], origin[1], origin[2])
    channels = [
        _channel(one, number, image.dtype)
        for one in records
        for number in range(one.channels)
    ]
    return {
        "ome": {
            "version": _NGFF,
            "multiscales": [multiscale(image.axes, levels, voxel, place, name)],
            "omero": {"channels": channels, "rdefs": {"model": "color"}},
        }
    }


def _channel(one: LayerRecord, number: int, dtype: np.dtype) -> dict[str, Any]:
    """Say how a viewer shows a channel: as the layer was shown."""
    low, high = one.contrast_limits
    least, most = low, high
    if dtype.kind in "ui":
        least, most = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    name = one.name if one.about is None else one.about.channel or one.about.structure
    top = one.colours[-1] if one.colours else (1.0, 1.0, 1.0, 1.0)
    return {
        "label": f"{name} {number}" if one.channels > 1 else name,
        "color": "".join(f"{round(255 * part):02X}" for part in top[:3]),
        "window": {
            "min": min(least, low),
            "max": max(most, high),
            "start": low,
            "end": high,
        },
        "active": one.visible,
    }


def _odd(path: Path, why: str) -> InputError:
    return InputError(f"{path.name} cannot be read: {why}; save it again")
