"""Open TIFF, OME-TIFF and folders of planes through tifffile.

bioio guesses the axes of plain TIFFs, and loads classes for all of OME's schema.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import user_path
from napari_sparsessp.io.calibration import (
    Calibration,
    Source,
    check_ome_header,
    choose_scene,
    from_ome_xml,
    from_tiff,
    missing_files,
    ome_channel_names,
    ome_objective,
    ome_scenes,
)
from napari_sparsessp.io.zarr_reading import METADATA

ENDINGS = (".tif", ".tiff", ".btf", ".tf2", ".tf8")

# Axes that only say "another dimension": pages, other, sequence.
_UNKNOWN = "IQR"
# What they most probably are in a microscope's file, nearest to y first.
_GUESSES = "ZCT"

_SMALL = 2**25  # bytes that are read at once, sooner than dask is loaded
_LARGE = 2**28  # bytes that are worth a question
# zlib packs at most 1032 times, LZW some 1400 times; of what was ever light, neither.
_TIGHTEST = 2000


def open_tiff(path: Path, scene: str | int | None) -> Source:
    """Open one scene of a TIFF or OME-TIFF."""
    import tifffile

    with _opened(path) as tif:
        xml = tif.ome_metadata
        found = Calibration() if xml else from_tiff(tif)
        series = list(tif.series)
        pages = [list(image.pages) for image in series]
    kinds = {(image.shape, image.dtype, image.axes) for image in series}
    alike = len(kinds) == 1 < len(series) and series[0].axes == "YX"
    if alike and not xml and scene is None:  # written one by one: a stack
        shape, planes = (len(series), *series[0].shape), [page for (page,) in pages]
        return Source(_lazy(planes, shape, series[0].dtype), "ZYX", [], found, "")
    known = ome_scenes(xml) if xml else []
    lacks = missing_files(xml, path) if xml else []
    # tifffile leaves out images of which it has no file.
    here = [k for k in range(len(known)) if len(known) == len(series) or not lacks[k]]
    whole = len(here) == len(series)
    scenes = known if whole else [f"Image:{number}" for number in range(len(series))]
    index = choose_scene(scenes, here[0] if scene is None and here else scene)
    if absent := (lacks[index] if whole and xml else sum(lacks, [])):
        raise InputError(
            f"{path.name} is one of several files of an image, and {absent[0][:80]!r} "
            "is not beside it; put all of them, with the names that they were written "
            "with, into one folder"
        )
    number = here.index(index) if whole else index
    image = series[number]
    shape, axes = image.get_shape(squeeze=False), image.get_axes(squeeze=False)
    if not whole or set(axes) - set("TCZYXS"):
        # A header may bend the schema; then its pages count, as in a plain TIFF.
        shape, axes = image.shape, known_axes(image.axes, image.shape)
    names = ome_channel_names(xml, index) if xml else []
    found = from_ome_xml(xml, index) if xml else found
    array = _lazy(pages[number], shape, image.dtype)
    if array is None:  # one page for all of the pixels, as ImageJ writes large files
        array = tifffile.memmap(path, series=number, mode="r").reshape(shape)
    return Source(array, axes, names, found, scenes[index] if len(scenes) > 1 else "")


def known_axes(axes: str, shape: Sequence[int] = ()) -> str:
    """Name the dimensions of a plain TIFF series, those of length 1 last."""
    free = iter([letter for letter in _GUESSES if letter not in axes])
    unknown = [place for place, letter in enumerate(axes) if letter in _UNKNOWN][::-1]
    named = list(axes)
    for place in sorted(unknown, key=lambda at: bool(shape) and shape[at] == 1):
        named[place] = next(free, axes[place])
    return "".join(named)


def _lazy(pages: list[Any], shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an array whose last axes are the pages'; None where they do not fit."""
    size = next((page.keyframe.size for page in pages if page is not None), 0)
    fits = [
        k
        for k in range(len(shape) - 1)
        if math.prod(shape[:k]) == len(pages) and math.prod(shape[k:]) == size
    ]
    if not fits:
        return None
    planes = _Planes(pages, shape, dtype, fits[-1])
    if math.prod(shape) * dtype.itemsize <= _SMALL:
        with suppress(Exception):  # what is damaged is read plane by plane, as far as
            return planes[tuple(slice(size) for size in shape)]  # anyone asks for it
    import dask.array as da

    chunks = (*(1,) * fits[-1], *shape[fits[-1] :])
    how: Any = {"name": False, "fancy": False, "meta": np.empty(0, dtype)}
    return da.from_array(planes, chunks, **how)


class _Planes:
    """Planes of TIFF pages, read when they are indexed.

    Pages know where their pixels lie, so that nothing is parsed again.
    """

    def __init__(
        self, pages: list[Any], shape: tuple[int, ...], dtype: Any, place: int
    ) -> None:
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)
        self._pages, self._place = pages, place
        self._lock, self._readers = threading.RLock(), Counter[Any]()

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        sizes, place = self.shape, self._place
        whole = [k if isinstance(k, slice) else slice(k, k + 1) for k in key]
        chosen = [range(n)[part] for n, part in zip(sizes, whole, strict=True)]
        result = np.zeros([len(part) for part in chosen], self.dtype)
        for where in np.ndindex(*result.shape[:place]):
            at = [part[k] for part, k in zip(chosen, where, strict=False)]
            number = np.ravel_multi_index(at, sizes[:place]) if place else 0
            page = self._pages[int(number)]
            if page is not None:  # one that the header counts and nobody wrote
                with self._open(page.parent.filehandle):
                    plane = page.asarray(lock=self._lock).reshape(sizes[place:])
                result[where] = plane[tuple(whole[place:])]
        return result[tuple(slice(None) if isinstance(k, slice) else 0 for k in key)]

    @contextmanager
    def _open(self, file: Any) -> Iterator[None]:
        """Hold a file open while any thread reads it."""
        with self._lock:
            if not self._readers[file] and file.closed:
                file.open()
            self._readers[file] += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers[file] -= 1
                if not self._readers[file]:
                    file.close()


def read_objective(path: Path, image: int = 0) -> tuple[float | None, float | None]:
    """Return NA and immersion's index of an OME-TIFF; None for each that is not there.

    A file that cannot be read, or is another, has neither.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            xml = tif.ome_metadata
            return ome_objective(xml, image) if xml else (None, None)
    except (OSError, ValueError, IndexError, SyntaxError):
        return None, None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a TIFF that is whole, with all files that its OME header names."""
    import tifffile

    with _complaints() as complaints, tifffile.TiffFile(path) as tif:
        if xml := tif.ome_metadata:
            check_ome_header(xml, len(tif.pages), path.stat().st_size, path)
        _check_complete(tif, path)
        yield tif
    if any(_CUT_OFF.search(text) for text in complaints):
        raise _truncated(path)


# What tifffile says of a list of pages that breaks off, and of cut tags without which
# there are no pixels; what else it complains of leaves them whole.
_CUT_OFF = re.compile(
    r"invalid (offset to|page offset|circular)|corrupted file|missing (data|ByteCounts)"
    r"|TiffTag (25[4-9]|26\d|27\d|32[2-5]) "
)


def _check_complete(tif: Any, path: Path) -> None:
    """Raise where pixels lie beyond the end of a file, without reading any."""
    for series in tif.series:
        pages = [page for page in series.pages if page is not None]
        files = {page.parent.filehandle.path: page.parent.filehandle for page in pages}
        length = sum(file.size for file in files.values())
        if series.nbytes > max(_LARGE, _TIGHTEST * length):
            raise InputError(
                f"{path.name} declares {series.nbytes / 2**30:.3g} GiB of pixels and "
                f"has {length} bytes; it is damaged or made to mislead; export it again"
            )
        if series.dataoffset is not None and series.dataoffset + series.nbytes > length:
            raise _truncated(path)
        for page in pages:  # None: a plane that an OME header counts but nobody wrote
            end = page.parent.filehandle.size
            parts = zip(page.dataoffsets, page.databytecounts, strict=False)
            if any(offset + count > end for offset, count in parts):
                raise _truncated(Path(page.parent.filehandle.path))


def _truncated(path: Path) -> InputError:
    return InputError(
        f"{path.name} is truncated: part of it is missing; copy or export it again"
    )


# Folders of planes --------------------------------------------------------------------


def plane_files(path: Any) -> list[Path]:
    """Return the TIFFs of a list, a folder or a pattern, in the order of their numbers.

    Empty where the path is of one image. InputError: more than one number differs
    among the names, or there is none.
    """
    if isinstance(path, str | Path):
        place = user_path(path)
        try:
            there, is_folder = place.exists(), place.is_dir()
        except (OSError, ValueError):
            return []  # such a name cannot be
        if not there and set(place.name) & set("*?["):
            files = list(place.parent.glob(place.name))
            if not files:
                raise InputError(f"no file is called like {path}; check the pattern")
        elif is_folder and not any((place / name).exists() for name in METADATA):
            files = [one for one in place.iterdir() if one.suffix.lower() in ENDINGS]
        else:
            return []
    else:
        files = [user_path(file) for file in path]
    files = [file for file in files if not file.name.startswith("._")]
    parts = {file: re.split(r"(\d+)", file.name) for file in files}
    files.sort(key=lambda file: [int(p) if p.isdigit() else p for p in parts[file]])
    if len(files) < 2:
        return files
    varying = [len(set(part)) > 1 for part in zip(*parts.values(), strict=False)]
    if sum(varying) != 1 or not varying.index(True) % 2:
        name = "".join([*parts[files[0]][:-2], "*", parts[files[0]][-1]])
        raise InputError(
            f"{files[0].name}, {files[1].name}, … are not planes of one stack: more "
            f"than a number differs; give a pattern of one stack's planes ({name!r})"
        )
    return files


def open_planes(files: Sequence[Path]) -> Source:
    """Open TIFFs of one plane each as a stack."""
    pages, found = [], Calibration()
    kinds: set[Any] = set()
    for file in files:
        with _opened(file) as tif:
            kind = tif.series[0].shape, tif.series[0].dtype
            if len(tif.series) > 1 or len(kind[0]) != 2 or kinds - {kind}:
                raise InputError(
                    f"{file.name} is not one grey plane like {files[0].name}, so that "
                    "they are no stack; give one file, or a pattern of its planes"
                )
            found = found if kinds else from_tiff(tif)
            pages.append(tif.series[0].pages[0])
        kinds.add(kind)
    note = (
        f"{len(files)} files were read as the planes of a stack, in the order of their "
        f"numbers: {files[0].name} … {files[-1].name}"
    )
    found = replace(found, step=(None, *found.step[1:]), notes=(note,))
    ((size, dtype),) = kinds
    return Source(_lazy(pages, (len(pages), *size), dtype), "ZYX", [], found, "")


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
