"""Read voxel sizes and positions in µm, and keep only believable ones.

bioio gives bare numbers and forgets their units, so the units are read here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.volume import even_step, named_index

Triple = tuple[float, float, float]

ATTRIBUTE = "sparsessp"
"""Attribute of an image's group that holds the provenance."""

NAMESPACE = "napari-sparsessp/provenance"
"""Namespace of the OME comment annotation that holds the provenance as JSON."""

PLACED = "placed"
"""Its entry on the axes along which the input knew its place."""

_MICROMETRES = {
    "m": 1e6,
    "dm": 1e5,
    "cm": 1e4,
    "mm": 1e3,
    "um": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "å": 1e-4,
    "meter": 1e6,
    "centimeter": 1e4,
    "millimeter": 1e3,
    "micrometer": 1.0,
    "micron": 1.0,
    "nanometer": 1e-3,
    "angstrom": 1e-4,
    "in": 25400.0,
    "inch": 25400.0,
}

_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SECONDS |= {"msec": 1e-3, "sec": 1.0, "hr": 3600.0}  # ImageJ's

# A light microscope resolves 0.1 µm and sees a few centimetres; sizes far outside are
# wrong units or counters, not optics.
_SMALLEST, _LARGEST = 1e-3, 1e3
# The same for a resolution in plain TIFF tags, where 72 dots per inch means a screen.
_LARGEST_TIFF_PIXEL = 20.0

# Drives are set to a step and report what they did; more than that is another step.
_STEPS_AGREE = 0.1

# A recording that was stopped early declares planes that were never written.
_MOST_PLANES, _MOST_PLANES_A_PAGE = 10_000, 100
# No packing makes more of a byte, unless there is nothing to be seen.
_MOST_PIXELS, _MOST_PIXELS_A_BYTE = 2**28, 2000


@dataclass(frozen=True)
class Calibration:
    """Voxel size and position as recorded in a file; see `believable`."""

    # (z, y, x) in µm; None for each that is not recorded
    step: tuple[float | None, float | None, float | None] = (None, None, None)
    # (z, y, x) of the centre of voxel (0, 0, 0) in µm; None where it is not recorded
    origin: tuple[float | None, float | None, float | None] = (None, None, None)
    # Height of every plane of each channel, as stored, where all are recorded
    plane_z: tuple[tuple[float, ...], ...] = ()
    notes: tuple[str, ...] = ()  # What was assumed
    # Of a prediction: where its input knew its place; the origin counts from there
    placed: tuple[bool, bool, bool] | None = None
    time_step: float | None = None  # Seconds between time points

    def believable(
        self, planes: int
    ) -> tuple[Triple | None, tuple[float, float] | None]:
        """Return (z, y, x) and (y, x) in µm; None for sizes that cannot be meant.

        Writers that know no size put a pixel of exactly 1 × 1, or a step of exactly 1
        in a stack of a single plane.
        """
        z, y, x = (
            size if size and _SMALLEST <= size <= _LARGEST else None
            for size in self.step
        )
        if y is None or x is None or (y == 1 and x == 1):
            return None, None
        if z is None or (z == 1 and planes == 1):
            return None, (y, x)
        return (z, y, x), (y, x)


def micrometres(value: Any, unit: str | None) -> float | None:
    """Convert a length; None where it is no number or the unit is no length."""
    name = (unit or "").strip().lower().replace("µ", "u").replace("μ", "u")
    name = name.replace("\\u00b5", "u").replace("metre", "meter")
    factor = _MICROMETRES.get(name) or _MICROMETRES.get(name.rstrip("s"))
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    # Rounded: 290 nm must come back as 0.29 µm, not as 0.29000000000000004.
    known = factor is not None and math.isfinite(number)
    return float(f"{number * factor:.15g}") if known and factor else None


def check_ome_header(xml: str, pages: int, length: int, path: Path) -> None:
    """Refuse a header that could fill the memory, before pixels are looked for."""
    name = path.name
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise InputError(
            f"{name} has a header with a DOCTYPE, which OME files never have; export "
            "it again"
        )
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return  # no OME file: its readers take it for a plain TIFF
    for other in _other_files(root, root, path):
        if re.search(r"[/\\]", other):
            raise InputError(
                f"{name} takes pixels from {other[:80]!r}, outside of its folder; put "
                "all files of the image into one folder and export it again"
            )
        if (path.parent / other).is_file():
            length += (path.parent / other).stat().st_size
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "Pixels":
            _check_sizes(element, pages, length, name)


def missing_files(xml: str, path: Path) -> list[list[str]]:
    """Return the files that are not there, for each image of an OME-XML header."""
    root = ElementTree.fromstring(xml)
    each = [_other_files(root, image, path) for image in root.findall("{*}Image")]
    return [[o for o in others if not (path.parent / o).is_file()] for others in each]


def _other_files(
    root: ElementTree.Element, part: ElementTree.Element, path: Path
) -> list[str]:
    """Names of the files, but this one, from which a part of a header takes pixels."""
    files = {
        element.get("FileName", path.name)
        for element in part.iter()
        if element.tag.endswith("}UUID") and element.text != root.get("UUID")
    }
    return sorted(files - {path.name})


def _check_sizes(
    pixels: ElementTree.Element, pages: int, length: int, name: str
) -> None:
    sizes = {axis: _whole(pixels.get(f"Size{axis}")) for axis in "XYZCT"}
    planes = math.prod(sizes[axis] for axis in "ZCT")
    area = sizes["X"] * sizes["Y"]
    if planes > max(_MOST_PLANES, _MOST_PLANES_A_PAGE * pages) or (
        area > max(_MOST_PIXELS, _MOST_PIXELS_A_BYTE * length)
    ):
        raise InputError(
            f"{name} declares {planes} planes of {area:.3g} pixels and has {pages} "
            f"pages in {length} bytes; it is damaged or made to mislead; export it "
            "again"
        )


def _whole(text: str | None) -> int:
    try:
        return max(1, int(text or 1))
    except ValueError:
        return 1


def from_ome_xml(xml: str, image: int = 0) -> Calibration:
    """Read the calibration of an image of an OME-XML header.

    Positions count where their unit is a length; OME's default unit "reference frame"
    is none.
    """
    pixels = _ome_images(xml)[image].find("{*}Pixels")
    if pixels is None:
        return Calibration()
    step: Any = tuple(
        micrometres(
            pixels.get(f"PhysicalSize{axis}"),
            pixels.get(f"PhysicalSize{axis}Unit", "µm"),
        )
        for axis in "ZYX"
    )
    places: dict[Any, Any] = {
        (plane.get("TheC"), plane.get("TheZ")): tuple(
            micrometres(plane.get(f"Position{axis}"), plane.get(f"Position{axis}Unit"))
            for axis in "ZYX"
        )
        for plane in pixels.iterfind("{*}Plane")
        if plane.get("TheT") == "0"
    }
    nowhere = (None, None, None)
    channels, planes = (range(_whole(pixels.get(f"Size{axis}"))) for axis in "CZ")
    rows = [
        tuple(places.get((str(c), str(z)), nowhere)[0] for z in planes)
        for c in (channels if places else ())
    ]
    known = rows if rows and None not in rows[0] else []
    # A channel without positions lies with the first.
    heights: Any = tuple(known[0] if None in row else row for row in known)
    time_step = None
    with suppress(KeyError, ValueError):
        seconds = _SECONDS[pixels.get("TimeIncrementUnit", "s")]
        time_step = float(pixels.attrib["TimeIncrement"]) * seconds
    origin = places.get(("0", "0"), nowhere)
    found = Calibration(step, origin, heights, time_step=time_step)
    with suppress(TypeError, ValueError):
        return _as_its_input(found, json.loads(ome_comment(xml, NAMESPACE) or ""))
    return found


def _as_its_input(found: Calibration, provenance: Any) -> Calibration:
    placed = provenance.get(PLACED) if isinstance(provenance, Mapping) else None
    if not isinstance(placed, list) or len(placed) != 3:
        return found
    z, y, x = map(bool, placed)
    return replace(found, placed=(z, y, x))


def from_tiff(tif: Any) -> Calibration:
    """Read the calibration of a plain TIFF.

    ImageJ's header or MetaXpress's, else resolution tags.
    """
    tags = tif.pages[0].tags
    imagej = tif.imagej_metadata or {}
    if tif.is_metaseries:
        return _from_metaseries(tif)
    unit = imagej.get("unit")
    if unit is None:
        code = int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 1
        unit = {2: "inch", 3: "cm"}.get(code)
    lateral: list[float | None] = []
    for name in ("YResolution", "XResolution"):
        dots, per = tags[name].value if name in tags else (0, 1)
        lateral.append(micrometres(per / dots, unit) if dots else None)
    if not imagej and any(size and size > _LARGEST_TIFF_PIXEL for size in lateral):
        lateral = [None, None]
    time_step = None
    with suppress(KeyError, TypeError, ValueError):
        every = float(imagej["finterval"]) * _SECONDS[imagej.get("tunit", "sec")]
        time_step = every if every > 0 else None
    return Calibration(
        (micrometres(imagej.get("spacing"), unit), lateral[0], lateral[1]),
        time_step=time_step,
    )


def _from_metaseries(tif: Any) -> Calibration:
    """Read the header of MetaXpress and MetaMorph; its resolution tags say nothing."""
    if "<!" in tif.pages[0].description:  # a DOCTYPE, which could fill the memory
        return Calibration()
    with suppress(ElementTree.ParseError, ValueError):
        plane = tif.metaseries_metadata.get("PlaneInfo", {})
        if plane.get("spatial-calibration-state") is True:
            unit = str(plane.get("spatial-calibration-units"))
            y, x = (
                micrometres(plane.get(f"spatial-calibration-{axis}"), unit)
                for axis in "yx"
            )
            return Calibration((None, y, x))
    return Calibration()


def nd2_interval(path: Path) -> float | None:
    """Return the seconds between time points of an ND2 file, as they were measured.

    What was asked for where that is unknown; None where there are several intervals.
    """
    import nd2

    with suppress(Exception), nd2.ND2File(path) as file:  # pixels may be whole anyway
        for loop in file.experiment:
            if loop.type not in ("TimeLoop", "NETimeLoop"):
                continue
            periods: Any = getattr(loop.parameters, "periods", [loop.parameters])
            every = periods[0].periodDiff.avg or periods[0].periodMs
            return every / 1000 if len(periods) == 1 and every > 0 else None
    return None


def from_ngff(attributes: Mapping[str, Any], scene: int = 0) -> Calibration:
    """Read the calibration of a multiscale image of OME-Zarr 0.4 or 0.5."""
    multiscale = (attributes.get("ome") or attributes)["multiscales"][scene]
    axes = multiscale.get("axes") or []
    scale, shift = np.ones(len(axes)), np.zeros(len(axes))
    steps = [
        *multiscale["datasets"][0].get("coordinateTransformations", []),
        *multiscale.get("coordinateTransformations", []),
    ]
    moved = False
    for step in steps:
        if step["type"] in ("scale", "translation"):
            values = np.array(step[step["type"]], float).reshape(len(axes))
        if step["type"] == "scale":
            scale, shift = scale * values, shift * values
        elif step["type"] == "translation":
            shift, moved = shift + values, True
    in_space = [axis["name"] in ("z", "y", "x") for axis in axes]
    assumed = not any("unit" in axis for axis in axes) and (scale[in_space] != 1).any()
    unit = "µm" if assumed else None
    known = {
        axis["name"]: tuple(
            micrometres(value, axis.get("unit", unit)) for value in pair
        )
        for axis, *pair in zip(axes, scale, shift, strict=True)
    }
    each = [known.get(name, (None, None)) for name in "zyx"]
    step_um: Any = tuple(size for size, _ in each)
    origin: Any = tuple(offset if moved else None for _, offset in each)
    result = Calibration(step_um, origin, notes=(_NO_UNIT,) if assumed else ())
    return _as_its_input(result, attributes.get(ATTRIBUTE))


def ascending(array: Any, found: Calibration) -> tuple[Any, Calibration]:
    """Turn a (…, Z, Y, X) stack that was recorded downwards, and judge its heights.

    Heights that do not go one way are of a stage that did not move, or of no use.
    What is left of `plane_z` is what `Volume` keeps.
    """
    rows = np.array(found.plane_z)
    moves = np.diff(rows) if rows.ndim == 2 else np.zeros((1, 0))
    if rows.shape[-1:] != array.shape[-3:-2] or not moves.size:
        return array, replace(found, plane_z=())
    notes = found.notes
    if (moves < 0).all():
        rows, array = rows[:, ::-1], array[..., ::-1, :, :]
        notes += ("the stack was recorded downwards: it was turned, so that z ascends",)
    elif not (moves > 0).all():
        return array, replace(found, plane_z=())
    known, measured = found.step[0], even_step(rows[0])
    if known is None:
        known = float(f"{measured or np.median(np.diff(rows[0])):.6g}")
    elif measured is not None and abs(measured / known - 1) > _STEPS_AGREE:
        notes += (
            f"the file says a z step of {known:g} µm and {measured:.4g} µm by the "
            f"positions of its planes: {known:g} was taken; give the voxel size if "
            "that is wrong",
        )
    if measured is None:
        notes += ("planes are not evenly spaced: each counts where it was recorded",)
    apart = bool(np.ptp(rows, axis=0).max() > 1e-6)
    kept = tuple(map(tuple, rows.tolist())) if measured is None or apart else ()
    step, origin = (known, *found.step[1:]), (float(rows[0, 0]), *found.origin[1:])
    return array, replace(found, step=step, origin=origin, plane_z=kept, notes=notes)


def ome_scenes(xml: str) -> list[str]:
    """Return the ids of the images of an OME-XML header."""
    return [image.get("ID", "") for image in _ome_images(xml)]


def ome_channel_names(xml: str, image: int = 0) -> list[str]:
    """Return the channel names of an image of an OME-XML header, ``""`` for none."""
    channels = _ome_images(xml)[image].iterfind("{*}Pixels/{*}Channel")
    return [channel.get("Name", "") for channel in channels]


_NO_UNIT = "the file gives its voxel size without a unit: µm was assumed"


def ome_comment(xml: str, namespace: str) -> str | None:
    """Return the text of the first annotation of a namespace in an OME-XML header."""
    for annotation in ElementTree.fromstring(xml).iter():
        if annotation.get("Namespace") == namespace:
            return annotation.findtext("{*}Value")
    return None


_IMMERSIONS = {
    "air": 1.0,
    "dry": 1.0,
    "water": 1.33,
    "waterdipping": 1.33,
    "glycerin": 1.47,
    "glycerol": 1.47,
    "oil": 1.515,
}
"""Refractive index of what is between objective and sample, by OME's names."""


def ome_objective(xml: str, image: int = 0) -> tuple[float | None, float | None]:
    """Return NA of an image's objective and refractive index; None for each not there.

    An index that was recorded goes before that of the immersion.
    """
    settings = _ome_images(xml)[image].find("{*}ObjectiveSettings")
    if settings is None:
        return None, None
    objectives = ElementTree.fromstring(xml).iterfind("{*}Instrument/{*}Objective")
    meant = [one for one in objectives if one.get("ID") == settings.get("ID")]
    immersion = meant[0].get("Immersion", "").lower() if meant else ""
    na = _up_to_two(meant[0].get("LensNA") if meant else None)
    index = _up_to_two(settings.get("RefractiveIndex"))
    return na, index or _IMMERSIONS.get(immersion)


def _up_to_two(text: str | None) -> float | None:
    """Read an aperture or an index; None for what is none."""
    with suppress(TypeError, ValueError):
        value = float(text or "")
        return value if 0 < value <= 2 else None
    return None


def _ome_images(xml: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(xml).findall("{*}Image")


@dataclass(frozen=True)
class Source:
    """An opened scene of a file: a lazy array with its axes, names and calibration."""

    array: Any
    axes: str  # A letter for each dimension; `S` for colour samples
    channel_names: list[str]
    calibration: Calibration
    scene: str  # Its name, empty where the file has a single scene


def source_of(
    reader: Any, scene: str | int | None, calibration: Calibration | None = None
) -> Source:
    """Open a scene of a bioio reader."""
    index = choose_scene(reader.scenes, scene)
    reader.set_scene(index)
    data = reader.xarray_dask_data
    if calibration is None:
        sizes = reader.physical_pixel_sizes
        calibration = Calibration((sizes.Z, sizes.Y, sizes.X))
    return Source(
        data.data,
        "".join(str(dim) for dim in data.dims),
        [str(name) for name in reader.channel_names or ()],
        calibration,
        str(reader.scenes[index]) if len(reader.scenes) > 1 else "",
    )


def choose_scene(scenes: Sequence[str], which: str | int | None) -> int:
    """Return the index of a scene given by name or index; the first by default."""
    return 0 if which is None else named_index("scene", which, scenes, len(scenes))
