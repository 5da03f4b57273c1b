"""Open any image that bioio reads as a lazy `Volume` with sizes in µm.

bioio guesses the axes of plain TIFFs from the number of dimensions and takes a file of
separate pages for as many scenes. tifffile knows better, so it is asked first.
"""

from __future__ import annotations

import errno
import logging
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import user_path
from napari_sparsessp.io.calibration import (
    Calibration,
    Source,
    check_ome_header,
    choose_scene,
    from_ome_xml,
    from_tiff,
    ome_channel_names,
    source_of,
)
from napari_sparsessp.io.zarr_reading import METADATA, open_zarr
from napari_sparsessp.volume import Volume, listed_names

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
    """Open an image lazily: voxels are read when they are needed.

    Axes T and C are dropped where their length is 1; sizes that are missing or
    impossible are None. InputError: the file is missing, damaged, no image or in
    colour, or lacks the scene, channel or time point, and which there are.

    Parameters
    ----------
    path
        OME-TIFF, TIFF, OME-Zarr, ND2, or a format of another installed bioio reader.
    channel, scene
        Name or index of the channel to take, and of the scene (series, position).
    time
        Index of a time point, or a Python slice of them such as ``"0:3"``.
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
    path = user_path(path)
    _check_exists(path)
    with _reader_errors(path):
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
        count = volume.sizes["C"]
        raise InputError(
            f"{path.name} has {count} channels; choose the transmitted-light channel "
            f"by name or index: {listed_names(volume.channel_names, count)}"
        )
    return volume


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
    if ending in _TIFF_ENDINGS:
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
def _reader_errors(path: Path) -> Iterator[None]:
    """Silence the readers' own notices, and raise their errors as an InputError."""
    names = ("bioio", "bioio_tifffile", "tifffile")
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
        first = f"{error}".strip().splitlines()
        reason = f" ({first[0][:120]})" if first else ""
        raise InputError(
            f"{path.name} cannot be read as an image{reason}; it is damaged or of "
            f"another kind: {_READABLE}"
        ) from error
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


# TIFF -------------------------------------------------------------------------------

# Axes that only say "another dimension": pages, other, sequence.
_UNKNOWN = "IQR"
# What they most probably are in a microscope's file, nearest to y first.
_GUESSES = "ZCT"

_LARGE = 2**28  # bytes that are worth a question
# zlib packs at most 1032 times, LZW some 1400 times; of what was ever light, neither.
_TIGHTEST = 2000


def open_tiff(path: Path, scene: str | int | None) -> Source:
    """Open one scene of a TIFF or OME-TIFF."""
    import tifffile

    with _complaints() as complaints, tifffile.TiffFile(path) as tif:
        xml = tif.ome_metadata
        if xml:
            check_ome_header(xml, len(tif.pages), path.stat().st_size, path.name)
        series = list(tif.series)
        _check_complete(tif, path)
        calibration = Calibration() if xml else from_tiff(tif)
        shapes = [(tuple(image.shape), image.dtype, image.axes) for image in series]
    if any("invalid" in text or "Error" in text for text in complaints):
        raise _truncated(path)
    if xml:
        source = _open_ome(path, scene, xml)
        if source is not None:
            return source
    from bioio_tifffile import Reader

    dims = [known_axes(axes) for _, _, axes in shapes]
    reader = Reader(str(path), dim_order=dims, chunk_dims=["Y", "X", "S"])
    if xml:
        index = choose_scene(reader.scenes, scene)
        names = ome_channel_names(xml, index)
        source = source_of(reader, index, from_ome_xml(xml, index))
        return replace(source, channel_names=names)
    # Pages that were written one by one: a stack, unless a scene is asked for.
    pages = len(shapes) > 1 and len(set(shapes)) == 1 and shapes[0][2] == "YX"
    if not pages or scene is not None:
        index = choose_scene(reader.scenes, scene)
        return source_of(reader, index, calibration)
    import dask.array as da

    arrays = [
        source_of(reader, index, calibration).array for index in range(len(shapes))
    ]
    return Source(da.stack(arrays), "ZYX", [], calibration, "")


def known_axes(axes: str) -> str:
    """Name the dimensions of a plain TIFF series."""
    free = iter([letter for letter in _GUESSES if letter not in axes])
    named = [
        next(free, letter) if letter in _UNKNOWN else letter for letter in axes[::-1]
    ]
    return "".join(named[::-1])


def _open_ome(path: Path, scene: str | int | None, xml: str) -> Source | None:
    """Open an OME-TIFF; None where its reader trips over it.

    It refuses headers that bend the schema (a pixel size of 0) and fails on images one
    pixel wide; the plain reader takes both.
    """
    from bioio_ome_tiff import Reader

    try:
        reader: Any = Reader(str(path), chunk_dims=["Y", "X", "S"])
        index = choose_scene(reader.scenes, scene)
        return source_of(reader, index, from_ome_xml(xml, index))
    except InputError:
        raise
    except Exception:
        return None


def _check_complete(tif: Any, path: Path) -> None:
    """Raise where pixels lie beyond the end of the file, without reading any."""
    length = path.stat().st_size
    for series in tif.series:
        if series.nbytes > max(_LARGE, _TIGHTEST * length):
            raise InputError(
                f"{path.name} declares {series.nbytes / 2**30:.3g} GiB of pixels and "
                f"has {length} bytes; it is damaged or made to mislead; export it again"
            )
        if series.dataoffset is not None and series.dataoffset + series.nbytes > length:
            raise _truncated(path)
        for page in series.pages:
            if page is None:
                continue  # a plane that an OME header counts but nobody wrote
            parts = zip(page.dataoffsets, page.databytecounts, strict=False)
            if any(offset + count > length for offset, count in parts):
                raise _truncated(path)


def _truncated(path: Path) -> InputError:
    return InputError(
        f"{path.name} is truncated: part of it is missing; copy or export it again"
    )


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect tifffile's warnings: it goes on past pages and tags that are cut off."""
    logger, listener = logging.getLogger("tifffile"), _Listener()
    before, passes_on = logger.level, logger.propagate
    logger.addHandler(listener)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield listener.texts
    finally:
        logger.removeHandler(listener)
        logger.setLevel(before)
        logger.propagate = passes_on
