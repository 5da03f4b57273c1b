"""Save layers of a viewer as an OME-Zarr folder, and open them again.

Layers on one grid become an image with a channel each; several grids become a group
of images in the layout of bioformats2raw (``0``, ``1``, …), as other programs read it.
Files come from anywhere: every record is validated before it is used.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from napari_sparsessp.errors import InputError, OutputError, invalid_field
from napari_sparsessp.files import beside
from napari_sparsessp.io.calibration import ATTRIBUTE
from napari_sparsessp.io.ome import (
    CHUNK,
    blocks,
    create_levels,
    fill_levels,
    multiscale,
)
from napari_sparsessp.io.writing import check_output, disk_error, kind_of
from napari_sparsessp.io.zarr_reading import (
    is_series,
    open_pyramid,
    read_attributes,
    series_folder,
)
from napari_sparsessp.prediction.request import Finite, PredictionRequest
from napari_sparsessp.tasks import Progress, no_progress, part_of
from napari_sparsessp.version import __version__

# Records ----------------------------------------------------------------------------

Text = Annotated[str, Field(max_length=500)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0)]
Row = tuple[Finite, ...]
Colour = tuple[Share, Share, Share, Share]

MOST_LAYERS = 1000


class About(BaseModel):
    """Metadata of one of our layers, without the links to other layers.

    Fields of other versions are kept.
    """

    # Docks write more on their layers than a reader has to know.
    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    schema_version: Literal[1] = 1
    role: Annotated[str, Field(max_length=40)]
    structure: Text
    channel: Text | None = None
    source: Text = ""
    truth: Text | None = None
    state: Annotated[str, Field(max_length=40)] = "done"
    request: PredictionRequest | None = None
    ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    measured_planes: tuple[Number, ...] = ()
    unfamiliar: tuple[str, ...] = ()
    scores: dict[str, JsonValue] | None = None
    provenance: dict[str, JsonValue] | None = None


class LayerRecord(BaseModel):
    """An image layer of a viewer without its voxels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    # A letter out of TCZYX for each of the layer's dimensions, in its own order
    axes: Annotated[str, Field(pattern="^[TCZYX]{2,5}$")]
    axis_labels: tuple[Text, ...]
    units: tuple[Text, ...]
    scale: Row
    translate: Row
    rotate: tuple[Row, ...] | None = None
    shear: Row | None = None
    affine: tuple[Row, ...] | None = None
    image: Number = 0  # Number of the folder's image that has the voxels
    # channel, channels: Its first channel there, and how many there are
    channel: Number = 0
    channels: Annotated[int, Field(ge=1)] = 1
    multiscale: bool = False  # The layer showed all levels
    colormap: Text = "gray"
    # colours, stops: (r, g, b, a) of the colour map, and where between 0 and 1 each
    # stands; evenly where `stops` is empty
    colours: Annotated[tuple[Colour, ...], Field(max_length=4096)] = ()
    stops: Annotated[tuple[Share, ...], Field(max_length=4097)] = ()
    stepped: bool = False  # Colours do not run into each other
    contrast_limits: tuple[Finite, Finite]
    gamma: Annotated[float, Field(gt=0, le=100)] = 1.0
    opacity: Share = 1.0
    blending: Text = "translucent_no_depth"
    rendering: Text = "mip"
    visible: bool = True
    about: About | None = None
    # source, truth, of: Numbers of the layers that one of ours was predicted from, is
    # compared with, and shows the error of
    source: Number | None = None
    truth: Number | None = None
    of: Number | None = None

    @model_validator(mode="after")
    def _fits(self) -> LayerRecord:
        letters, count = set(self.axes), len(self.axes)
        rows = (self.axis_labels, self.units, self.scale, self.translate)
        if len(letters) != count or not {"Y", "X"} <= letters:
            raise ValueError(f"axes {self.axes} are not those of an image")
        if any(len(row) != count for row in rows):
            raise ValueError(f"{self.axes} needs {count} scales, units and positions")
        if 0 in self.scale or not self.contrast_limits[0] < self.contrast_limits[1]:
            raise ValueError("a scale of 0, or limits that limit nothing")
        if "C" not in letters and self.channels != 1:
            raise ValueError(f"axes {self.axes} cannot have {self.channels} channels")
        for matrix, size in ((self.rotate, count), (self.affine, count + 1)):
            if matrix and {len(matrix), *map(len, matrix)} != {size}:
                raise ValueError("a turn of the wrong size")
        if self.shear is not None and len(self.shear) != count * (count - 1) // 2:
            raise ValueError("a shear of the wrong size")
        return self


class SavedLayers(BaseModel):
    """The layers of a folder, in the viewer's order."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    package: Text = ""
    layers: Annotated[
        tuple[LayerRecord, ...], Field(min_length=1, max_length=MOST_LAYERS)
    ]

    @model_validator(mode="after")
    def _links_lead_somewhere(self) -> SavedLayers:
        for number, layer in enumerate(self.layers):
            for link in (layer.source, layer.truth, layer.of):
                if link is not None and (link >= len(self.layers) or link == number):
                    raise ValueError(f"{layer.name} is linked to layer {link}")
        return self


def first_fault(error: ValidationError) -> str:
    """Describe the first invalid field of a record in a few words."""
    where, reason = invalid_field(error)
    return f"{where}: {reason}"[:200] if where else reason[:200]


def json_safe(value: Any) -> Any:
    """Convert a value for JSON; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value if value is None else str(value)


# Images -----------------------------------------------------------------------------

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
    progress: Progress = no_progress,
) -> Path:
    """Write layers into a new folder; it gets its name only when it is whole.

    The name ends in ``.zarr``. Arrays have an axis for each letter of the record's
    `axes`; lazy ones are read a part at a time. The place of their voxels is filled in
    here. Whatever `progress` raises stops the writing, and nothing is left.
    """
    path = check_output(path)
    if kind_of(path) != "zarr":
        raise OutputError(f"{path.name} is no folder; end the name in .ome.zarr")
    images, records = _sorted_out(layers)
    partial = beside(path, f"{os.getpid()}.partial")
    try:
        _write(partial, path.name.split(".")[0], images, records, progress)
        check_output(path)  # a rename would take the place of an empty folder
        partial.rename(path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def read_layers(path: Path) -> list[tuple[LayerRecord, list[Any]]] | None:
    """Open the layers of a folder that `write_layers` made; no voxel is read.

    The levels of each layer as dask arrays, the finest first, each with the record's
    `axes`; None where the folder is none of ours.
    """
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
    for record in saved.layers:
        if record.image not in pyramids:
            if record.image and not several:
                raise _odd(path, f"it has no image {record.image}")
            place = series_folder(path, str(record.image)) if several else path
            pyramids[record.image] = open_pyramid(place)
    return [
        (record, _levels(record, *pyramids[record.image], path))
        for record in saved.layers
    ]


def _levels(
    record: LayerRecord, arrays: Sequence[Any], axes: str, path: Path
) -> list[Any]:
    """Take a layer's part of each level and bring its axes into its own order."""
    stored, last = _stored_axes(record.axes), record.channel + record.channels
    if axes != stored or last > arrays[0].shape[axes.index("C")]:
        raise _odd(
            path, f"image {record.image} does not have the channels of {record.name}"
        )
    result = []
    for array in arrays if record.multiscale else arrays[:1]:
        place = stored.index("C")
        part = array[(slice(None),) * place + (slice(record.channel, last),)]
        own = [letter for letter in stored if letter in record.axes]
        if any(
            size != 1
            for letter, size in zip(stored, part.shape, strict=True)
            if letter not in own
        ):
            raise _odd(path, f"{record.name} has more axes than {record.axes}")
        part = part[tuple(slice(None) if a in own else 0 for a in stored)]
        result.append(part.transpose([own.index(letter) for letter in record.axes]))
    return result


def _sorted_out(
    layers: Sequence[tuple[LayerRecord, Any]],
) -> tuple[list[_Image], list[LayerRecord]]:
    """Gather layers by grid; return the records with the place of their voxels."""
    images: dict[Any, _Image] = {}
    records = []
    for number, (record, array) in enumerate(layers):
        array, axes = _in_order(array, record)
        place = axes.index("C")
        shape = (*array.shape[:place], *array.shape[place + 1 :])
        dtype = _stored_type(array.dtype, record.name)
        grid = (axes, shape, dtype.str, _grid(record), "C" in record.axes and number)
        image = images.setdefault(grid, _Image(axes, shape, dtype))
        count = int(array.shape[place])
        index = list(images).index(grid)
        where = {"image": index, "channel": image.channels, "channels": count}
        records.append(record.model_copy(update=where))
        image.parts.append((image.channels, records[-1], array))
        image.channels += count
    return list(images.values()), records


def _grid(record: LayerRecord) -> Any:
    """Return the place of a layer's voxels; layers of equal places share an image."""
    places = dict(
        zip(
            record.axes,
            zip(record.scale, record.translate, record.units, strict=True),
            strict=True,
        )
    )
    turns = (record.rotate, record.shear, record.affine)
    return tuple(places.get(letter) for letter in "TZYX"), turns


def _in_order(array: Any, record: LayerRecord) -> tuple[Any, str]:
    """Bring an array to (T)CZYX, lazily."""
    if not (isinstance(array, np.ndarray) or hasattr(array, "dask")):
        import dask.array as da

        chunks = getattr(array, "chunks", None) or "auto"
        array = da.from_array(array, chunks=chunks, name=False)
    own = [letter for letter in "TCZYX" if letter in record.axes]
    array = array.transpose([record.axes.index(letter) for letter in own])
    stored = _stored_axes(record.axes)
    return array[tuple(slice(None) if a in own else None for a in stored)], stored


def _stored_axes(axes: str) -> str:
    return ("T" if "T" in axes else "") + "CZYX"


def _stored_type(dtype: Any, name: str) -> np.dtype:
    """Return the type that is written: the layer's own, where OME-Zarr has it."""
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
    progress: Progress,
) -> None:
    import zarr

    root = zarr.create_group(folder, zarr_format=3)
    saved = SavedLayers(package=__version__, layers=tuple(records))
    about: dict[str, Any] = {ATTRIBUTE: saved.model_dump(mode="json", by_alias=True)}
    if len(images) == 1:
        _write_image(root, images[0], name, progress)
        root.attrs.update(about)
        return
    sizes = [math.prod(image.shape) * image.channels for image in images]
    done = 0
    for number, image in enumerate(images):
        end = done + sizes[number]
        part = part_of(progress, done / sum(sizes), end / sum(sizes))
        _write_image(root.create_group(str(number)), image, f"{name} {number}", part)
        done = end
    listed: Any = {"version": _NGFF, "series": [str(n) for n in range(len(images))]}
    root.create_group("OME").attrs.update({"ome": listed})
    about["ome"] = {"version": _NGFF, "bioformats2raw.layout": _SERIES_LAYOUT}
    root.attrs.update(about)


def _write_image(group: Any, image: _Image, name: str, progress: Progress) -> None:
    place = image.axes.index("C")
    shape = (*image.shape[:place], image.channels, *image.shape[place:])
    levels = create_levels(group, shape, image.axes, dtype=image.dtype.name)
    total, done = math.prod(shape), 0
    for first, record, array in image.parts:
        for index in blocks(array.shape, _at_once(array.shape, image.dtype.itemsize)):
            progress(0.9 * done / total, None, record.name)
            block = np.asarray(array[index], dtype=image.dtype)
            target = list(index)
            own = index[place]
            target[place] = slice(own.start + first, own.stop + first)
            levels[0][tuple(target)] = block
            done += block.size
    progress(0.9, None, name)
    fill_levels(levels)
    records = [record for _, record, _ in image.parts]
    group.attrs.update(_attributes(image, records, len(levels), name))


def _at_once(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Return the size of blocks that fill whole chunks and fit into memory."""
    deep, width = CHUNK[0], shape[-1]
    rows = max(1, _AT_ONCE // (deep * width * itemsize * CHUNK[1])) * CHUNK[1]
    return (*(1,) * (len(shape) - 3), deep, rows, width)


def _attributes(
    image: _Image, records: Sequence[LayerRecord], levels: int, name: str
) -> dict[str, Any]:
    """Return the metadata with which other programs show an image."""
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
        _channel(record, number, image.dtype)
        for record in records
        for number in range(record.channels)
    ]
    return {
        "ome": {
            "version": _NGFF,
            "multiscales": [multiscale(image.axes, levels, voxel, place, name)],
            "omero": {"channels": channels, "rdefs": {"model": "color"}},
        }
    }


def _channel(record: LayerRecord, number: int, dtype: np.dtype) -> dict[str, Any]:
    """Return the display settings of a channel: those of the layer."""
    low, high = record.contrast_limits
    least, most = low, high
    if dtype.kind in "ui":
        least, most = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    about = record.about
    name = record.name if about is None else about.channel or about.structure
    top = record.colours[-1] if record.colours else (1.0, 1.0, 1.0, 1.0)
    return {
        "label": f"{name} {number}" if record.channels > 1 else name,
        "color": "".join(f"{round(255 * part):02X}" for part in top[:3]),
        "window": {
            "min": min(least, low),
            "max": max(most, high),
            "start": low,
            "end": high,
        },
        "active": record.visible,
    }


def _odd(path: Path, why: str) -> InputError:
    return InputError(f"{path.name} cannot be read: {why}; save it again")
