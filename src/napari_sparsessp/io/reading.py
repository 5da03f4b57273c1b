"""Any image that bioio reads, as a lazy `Volume` with sizes in µm."""

from __future__ import annotations

import errno
import logging
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import user_path
from napari_sparsessp.io.source import Source, source_of
from napari_sparsessp.io.zarr_reading import METADATA
from napari_sparsessp.volume import Volume

_TIFF_ENDINGS = (".tif", ".tiff", ".btf", ".tf2", ".tf8")
_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_READABLE = "give an OME-TIFF, TIFF, OME-Zarr or ND2 file"

# bioio's own names for channels that the file does not name.
_NO_NAME = re.compile(r"Channel:\d+:\d+|Channel \d+|\s*")


def load_volume(
    path: str | Path,
    *,
    channel: str | int | None = None,
    scene: str | int | None = None,
    time: str | int | None = None,
    need_channel: bool = False,
) -> Volume:
    """Open an image; its voxels are read later, and only those that are asked for.

    Parameters
    ----------
    path : str or Path
        OME-TIFF, TIFF, OME-Zarr, ND2, or what other installed bioio readers open.
    channel : str or int, optional
        Name or index of one channel to take.
    scene : str or int, optional
        Name or index of the scene (series, position); the first by default.
    time : str or int, optional
        One time point, or a Python slice of them such as ``"0:3"``.
    need_channel : bool
        Refuse several channels where none is chosen.

    Returns
    -------
    Volume
        Axes T and C are there only where more than one is left. Voxel and pixel size
        are None where the file gives none or one that cannot be meant.

    Raises
    ------
    InputError
        When the file is missing, damaged, no image or in colour, or lacks the scene,
        channel or time point. The message says which there are.
    """
    path = user_path(path)
    _check_exists(path)
    with _quiet(), _as_input_error(path):
        source = _open(path, scene)
    array, axes, names = _in_order(source, path)
    name = path.name.split(".")[0]
    voxel_size, pixel_size = source.calibration.believable(array.shape[-3])
    volume = Volume(
        array,
        axes,
        voxel_size,
        names,
        source.calibration.origin,
        name=f"{name} {source.scene}".strip(),
        source=str(path),
        pixel_size=pixel_size,
    )
    if time is not None:
        volume = _some_times(volume, time)
    if volume.sizes.get("T") == 1:
        volume = volume.time(0)
    if channel is None and volume.sizes.get("C") == 1:
        channel = 0
    if channel is not None:
        return volume.channel(channel)
    if need_channel and "C" in volume.axes:
        raise _which_channel(volume, path)
    return volume


def _which_channel(volume: Volume, path: Path) -> InputError:
    listed = ", ".join(f"{k} {n!r}" for k, n in enumerate(volume.channel_names))
    return InputError(
        f"{path.name} has {volume.sizes['C']} channels; choose the transmitted-light "
        f"one by name or index: {listed}"
    )


def _check_exists(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise _not_there(path, error) from error
    if stat.S_ISDIR(mode):
        if not any((path / name).exists() for name in METADATA):
            raise InputError(
                f"{path} is a folder without an OME-Zarr image; {_READABLE}"
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
    """Say why a path leads to no file."""
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
        from napari_sparsessp.io.zarr_reading import open_zarr

        return open_zarr(path, scene)
    if ending in _TIFF_ENDINGS:
        from napari_sparsessp.io.tiff import open_tiff

        return open_tiff(path, scene)
    if ending == ".nd2":
        from bioio_nd2 import Reader

        return source_of(Reader(str(path)), scene)
    from bioio import BioImage

    return source_of(BioImage(str(path)).reader, scene)


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
    return volume.with_(array=array[chosen], axes=axes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the readers' own notices off the user's screen."""
    loggers = [
        logging.getLogger(name) for name in ("bioio", "bioio_tifffile", "tifffile")
    ]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


@contextmanager
def _as_input_error(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises into one line with advice."""
    try:
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
        first = f"{error}".strip().splitlines()
        reason = f" ({first[0][:120]})" if first else ""
        raise InputError(
            f"{path.name} cannot be read as an image{reason}; it is damaged or of "
            f"another kind: {_READABLE}"
        ) from error
