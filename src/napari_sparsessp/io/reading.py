"""Open any image that bioio reads as a lazy `Volume` with sizes in µm."""

from __future__ import annotations

import errno
import logging
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import user_path
from napari_sparsessp.io.calibration import (
    Source,
    ascending,
    nd2_interval,
    source_of,
)
from napari_sparsessp.io.tiff_reading import (
    ENDINGS,
    open_planes,
    open_tiff,
    plane_files,
)
from napari_sparsessp.io.zarr_reading import METADATA, open_zarr
from napari_sparsessp.volume import Volume, listed_names, missing_module

_READERS = {
    ".czi": ("czi", " (licence: GPL)"),
    ".lif": ("lif", ""),
    ".dv": ("dv", ""),
    ".r3d": ("dv", ""),
    ".sldy": ("sldy", ""),
    **dict.fromkeys(
        (".ics", ".ids", ".ims", ".lsm", ".oib", ".oif", ".oir", ".vsi", ".zvi"),
        ("bioformats", " (needs Java; Bio-Formats: GPL)"),
    ),
}
"""Extra of ours, and reader ``bioio-EXTRA``, by the ending of its files."""

_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_READABLE = "give an OME-TIFF, TIFF, OME-Zarr or ND2 file"

# bioio's own names for channels that the file does not name.
_NO_NAME = re.compile(r"Channel:\d+:\d+|Channel \d+|\s*")


def load_volume(
    path: str | Path | Sequence[str | Path],
    *,
    channel: str | int | None = None,
    scene: str | int | None = None,
    time: str | int | None = None,
    axes: str | None = None,
    need_channel: bool = False,
) -> Volume:
    """Open an image lazily: voxels are read when they are needed.

    Axes T and C are dropped where their length is 1; sizes that are missing or
    impossible are None. InputError: the file is missing, damaged, no image or in
    colour, or lacks the scene, channel or time point, and which there are.

    Parameters
    ----------
    path
        OME-TIFF, TIFF, OME-Zarr, ND2, or a format of another installed bioio reader.
        TIFFs of one plane each, as a list, a folder or a pattern (``"bf_z*.tif"``),
        are a stack in the order of their numbers.
    channel, scene
        Name or index of the channel to take, and of the scene (series, position; of a
        plate ``"A/1/0"``: row, column, field).
    time
        Index of a time point, or a Python slice of them such as ``"0:3"``.
    axes
        Letters for the file's axes in their stored order, such as ``"ZYX"`` where it
        calls planes time points or channels. Axes of length 1 may be left out.
    need_channel
        Raise InputError for several channels where none is chosen.

    Examples
    --------
    >>> from napari_sparsessp import load_volume
    >>> from napari_sparsessp.io.samples import sample_paths
    >>> light, fluorescence = sample_paths()
    >>> volume = load_volume(light)
    >>> volume.axes, volume.shape, volume.voxel_size
    ('ZYX', (8, 144, 144), (1.16, 0.29, 0.29))
    >>> load_volume(fluorescence, channel="dna").axes
    'ZYX'
    """
    planes = plane_files(path)
    given: Any = planes[0] if planes else path
    path = user_path(given)
    _check_exists(path)
    with _reader_errors(path):
        source = open_planes(planes) if len(planes) > 1 else _open(path, scene)
    if axes is not None:
        source = _renamed(source, axes, path)
    volume = _volume(source, path)
    if time is not None:
        volume = _some_times(volume, time)
    if volume.sizes.get("T") == 1:
        volume = volume.time(0)
    if channel is None and volume.sizes.get("C") == 1:
        channel = 0
    if channel is not None:
        return volume.channel(channel)
    if need_channel and "C" in volume.axes:
        count = volume.sizes["C"]
        raise InputError(
            f"{path.name} has {count} channels; choose the transmitted-light channel "
            f"by name or index: {listed_names(volume.channel_names, count)}"
        )
    return volume


def _volume(source: Source, path: Path) -> Volume:
    """Make a volume, its planes from the lowest to the highest."""
    array, axes, names = _in_order(source, path)
    found = source.calibration
    if "Z" not in source.axes:  # such a step is left over from another image
        found = replace(found, step=(None, *found.step[1:]))
    array, found = ascending(array, found)
    voxel_size, pixel_size = found.believable(array.shape[-3])
    notes, origin = found.notes, found.origin
    z, y, x = (place is not None for place in origin)
    if array.shape[-3] == 1 and max(array.shape[:-3], default=1) > _MOST_COLOURS:
        notes += (_FLAT.format(" × ".join(map(str, array.shape)), axes),)
    return Volume(
        array,
        axes,
        voxel_size,
        names,
        (origin[0] or 0.0, origin[1] or 0.0, origin[2] or 0.0),
        name=f"{path.name.split('.')[0]} {source.scene}".strip(),
        source=str(path),
        pixel_size=pixel_size,
        plane_z=found.plane_z,
        placed=found.placed or (z, y, x),
        notes=notes,
        time_step=found.time_step,
    )


_MOST_COLOURS = 5
"""Channels of a field of view; more planes that follow each other are a stack."""

_FLAT = (
    "the file has one plane at each time point and channel ({} as {}); if they are the "
    "planes of a stack, name the axes: ZYX"
)


def _renamed(source: Source, axes: str, path: Path) -> Source:
    """Give a scene's dimensions the names that the user says."""
    shape, named = source.array.shape, axes.strip().upper()
    whole = [place for place, size in enumerate(shape) if size > 1]
    array = source.array
    if len(named) == len(whole) < len(shape):
        array = array[tuple(slice(None) if n > 1 else 0 for n in shape)]
    letters = set(named)
    if len(letters) != len(named) or len(named) != array.ndim or letters - set("TCZYX"):
        raise InputError(
            f"axes {axes!r} do not fit {path.name}, whose shape is "
            f"{' × '.join(map(str, shape))}; name each axis with a letter out of TCZYX"
        )
    return replace(source, array=array, axes=named)


def _check_exists(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise _not_there(path, error) from error
    if stat.S_ISDIR(mode):
        if not any((path / name).exists() for name in METADATA):
            raise InputError(
                f"{path} is a folder without an OME-Zarr image or TIFFs; {_READABLE}"
            )
        return
    if not stat.S_ISREG(mode):  # opening it could wait for ever
        raise InputError(f"{path} is a pipe or a device, not a file; {_READABLE}")
    if path.suffix.lower() in _PICTURE_ENDINGS:
        raise InputError(
            f"{path.name} is a picture, not a microscope stack; {_READABLE}"
        )
    if not path.stat().st_size:
        raise InputError(f"{path.name} is empty; copy or export it again")


def _not_there(path: Path, error: Exception) -> InputError:
    """Explain why a path leads to no file."""
    if getattr(error, "errno", None) == errno.ELOOP:
        return InputError(f"{path} is a link that leads back to itself; mend the link")
    if (
        isinstance(error, ValueError)
        or getattr(error, "errno", 0) == errno.ENAMETOOLONG
    ):
        return InputError(f"{str(path)[:80]!r} cannot be the name of a file; check it")
    if isinstance(error, PermissionError):
        return _forbidden(path)
    if path.is_symlink():
        return InputError(f"{path} is a link to a file that is gone; mend the link")
    return InputError(f"there is no file {path}; check the path")


def _forbidden(path: Path) -> InputError:
    return InputError(f"{path} may not be read; ask for permission or copy the file")


def _open(path: Path, scene: str | int | None) -> Source:
    ending = path.suffix.lower()
    if path.is_dir():
        return open_zarr(path, scene)
    if ending in ENDINGS:
        return open_tiff(path, scene)
    extra, licence = _READERS.get(ending, ("", ""))
    if extra and find_spec(f"bioio_{extra}") is None:
        raise InputError(
            f"{path.name} needs the reader bioio-{extra}{licence}, which is not "
            f"installed; pip install 'napari-sparsessp[{extra}]', or export an OME-TIFF"
        )
    if ending == ".nd2":
        from bioio_nd2 import Reader

        source = source_of(Reader(str(path)), scene)
        found = replace(source.calibration, time_step=nd2_interval(path))
        return replace(source, calibration=found)
    from bioio import BioImage

    source = source_of(BioImage(str(path)).reader, scene)
    sizes = dict(zip(source.axes, source.array.shape, strict=True))
    if sizes.get("Y", 1) == 1 < min(sizes.get("Z", 1), sizes.get("X", 1)):
        raise InputError(
            f"{path.name} is a scan of x and z without y: there is no image plane to "
            "predict; choose another scene, or record a stack of xy planes"
        )
    return source


def _in_order(source: Source, path: Path) -> tuple[Any, str, tuple[str, ...]]:
    """Bring an array to (T)(C)ZYX, with a z axis even where it is one plane."""
    array, axes = source.array, source.axes
    if "S" in axes and array.shape[axes.index("S")] > 1:
        raise InputError(
            f"{path.name} is a colour (RGB) image; give the microscope's own stack, or "
            "split it into channels of one grey value each"
        )
    for axis in [letter for letter in axes if letter not in "TCZYX"]:
        place = axes.index(axis)
        if array.shape[place] > 1:
            raise InputError(
                f"{path.name} has an axis {axis!r} of {array.shape[place]} that is "
                "neither time, channel nor z; export one of them"
            )
        array, axes = array[(slice(None),) * place + (0,)], axes.replace(axis, "")
    if not ("Y" in axes and "X" in axes) or 0 in array.shape:
        raise InputError(f"{path.name} has no pixels in y and x; {_READABLE}")
    if array.dtype.kind not in "buif":
        raise InputError(
            f"{path.name} holds {array.dtype} values; give whole or real numbers"
        )
    target = "".join(letter for letter in "TCZYX" if letter in axes)
    array = array.transpose([axes.index(letter) for letter in target])
    if "Z" not in target:
        array = array[..., None, :, :]
        target = target.replace("YX", "ZYX")
    names: list[str] = source.channel_names
    count = array.shape[target.index("C")] if "C" in target else 1
    if len(names) != count:
        names = [""] * count
    named = any(not _NO_NAME.fullmatch(name) for name in names)
    if not named and count == 1:
        return array, target, ()
    return (
        array,
        target,
        tuple(
            f"Channel {index}" if _NO_NAME.fullmatch(name) else name
            for index, name in enumerate(names)
        ),
    )


def _some_times(volume: Volume, time: str | int) -> Volume:
    text = str(time).strip()
    parts = text.split(":")
    try:
        numbers = [int(part) if part.strip() else None for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or text == "":
        raise InputError(
            f"time {text!r} is neither an index nor a slice; write 2 or 0:3"
        )
    if len(numbers) == 1:
        return volume.time(int(text))
    if numbers[2:] == [0]:
        raise InputError(f"time {text!r} has a step of 0; write 0:10:2")
    if "T" not in volume.axes:
        count, array, axes = 1, volume.array[None], "T" + volume.axes
    else:
        count, array, axes = volume.sizes["T"], volume.array, volume.axes
    chosen = slice(*numbers)
    if not range(count)[chosen]:
        raise InputError(f"time {text!r} chooses none of {count} time points")
    every = volume.time_step and volume.time_step * (chosen.step or 1)
    return volume.with_(array=array[chosen], axes=axes, time_step=every)


@contextmanager
def _reader_errors(path: Path) -> Iterator[None]:
    """Silence the readers' own notices, and raise their errors as an InputError."""
    names = ("bioio", "tifffile")
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except PermissionError as error:
        raise _forbidden(path) from error
    except MemoryError as error:
        raise InputError(
            f"{path.name} does not fit into memory; close other programs, or give a "
            "part of it"
        ) from error
    except Exception as error:
        if missing := missing_module(error):
            raise InputError(
                f"{path.name} cannot be read: its reader needs {missing}, which is not "
                f"installed; pip install {missing}"
            ) from error
        first = f"{error}".strip().splitlines()
        reason = f" ({first[0][:120]})" if first else ""
        raise InputError(
            f"{path.name} cannot be read as an image{reason}; it is damaged or of "
            f"another kind: {_READABLE}"
        ) from error
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
