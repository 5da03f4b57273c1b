"""Open TIFF, OME-TIFF and folders of planes.

bioio guesses the axes of plain TIFFs from the number of dimensions and takes a file of
separate pages for as many scenes. tifffile knows better, so it is asked first.
"""

from __future__ import annotations

import logging
import math
import re
import threading
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
    ome_channel_names,
    ome_scenes,
    source_of,
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
    with _opened(path) as tif:
        xml = tif.ome_metadata
        calibration = Calibration() if xml else from_tiff(tif)
        series = list(tif.series)
    shapes = [(tuple(image.shape), image.dtype, image.axes) for image in series]
    if xml:
        source = _open_ome(scene, xml, series)
        if source is not None:
            return source
    from bioio_tifffile import Reader

    dims = [known_axes(axes, shape) for shape, _, axes in shapes]
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


def known_axes(axes: str, shape: Sequence[int] = ()) -> str:
    """Name the dimensions of a plain TIFF series, those of length 1 last."""
    free = iter([letter for letter in _GUESSES if letter not in axes])
    unknown = [place for place, letter in enumerate(axes) if letter in _UNKNOWN][::-1]
    named = list(axes)
    for place in sorted(unknown, key=lambda at: bool(shape) and shape[at] == 1):
        named[place] = next(free, axes[place])
    return "".join(named)


def _open_ome(
    scene: str | int | None, xml: str, series: Sequence[Any]
) -> Source | None:
    """Open a scene of an OME-TIFF; None where its pages are not its planes.

    bioio's reader of such files loads classes for all of OME's schema: seconds.
    """
    scenes = ome_scenes(xml)
    index = choose_scene(scenes, scene)
    if len(series) != len(scenes):
        return None
    image = series[index]
    shape, axes = image.get_shape(squeeze=False), image.get_axes(squeeze=False)
    place = axes.find("YX")
    if place < 0 or len(image.pages) != math.prod(shape[:place]):
        return None
    array: Any = _Planes(image.pages, shape, image.dtype, place)
    if image.nbytes <= _SMALL:
        with suppress(Exception):  # what is damaged is read plane by plane, as far as
            array = array[tuple(slice(size) for size in shape)]  # anyone asks for it
    if not isinstance(array, np.ndarray):
        import dask.array as da

        chunks = (*(1 for _ in range(place)), *shape[place:])
        array = da.from_array(array, chunks, name=False, meta=np.empty(0, array.dtype))
    order = sorted(axes, key=lambda letter: ("TCZYX".find(letter) % 9, letter))
    array = array.transpose([axes.index(letter) for letter in order])
    names = ome_channel_names(xml, index)
    label = scenes[index] if len(scenes) > 1 else ""
    return Source(array, "".join(order), names, from_ome_xml(xml, index), label)


class _Planes:
    """Planes of a TIFF's series, read when they are indexed.

    Its pages know where their pixels lie, so that nothing is parsed again.
    """

    def __init__(
        self, pages: Sequence[Any], shape: tuple[int, ...], dtype: Any, place: int
    ) -> None:
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)
        self._pages, self._place = pages, place
        self._lock, self._readers = threading.RLock(), 0

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        sizes, place = self.shape, self._place
        chosen = [range(n)[part] for n, part in zip(sizes, key, strict=True)]
        outer = np.ravel_multi_index(np.ix_(*chosen[:place]), sizes[:place])
        result = np.zeros([len(part) for part in chosen], self.dtype)
        with self._files_open():
            for where, number in np.ndenumerate(outer):
                page = self._pages[int(number)]
                if page is not None:  # one that the header counts and nobody wrote
                    plane = page.asarray(lock=self._lock).reshape(sizes[place:])
                    result[where] = plane[key[place:]]
        return result

    @contextmanager
    def _files_open(self) -> Iterator[None]:
        """Hold the files open while any thread reads."""
        files = {page.parent.filehandle for page in self._pages if page is not None}
        with self._lock:
            self._readers += 1
            for file in files:
                if file.closed:
                    file.open()
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                if not self._readers:
                    for file in files:
                        file.close()


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
    r"invalid (offset to|page offset)|corrupted file|missing (data|ByteCounts)"
    r"|<TiffTag (25[4-9]|26\d|27\d|32[2-5]) "
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
    import dask.array as da
    import tifffile
    from dask import delayed

    planes, kinds, found = [], set(), Calibration()
    for file in files:
        with _opened(file) as tif:
            kind = tif.series[0].shape, tif.series[0].dtype
            if len(tif.series) > 1 or len(kind[0]) != 2 or kinds - {kind}:
                raise InputError(
                    f"{file.name} is not one grey plane like {files[0].name}, so that "
                    "they are no stack; give one file, or a pattern of its planes"
                )
            if not kinds:
                found = from_tiff(tif)
        kinds.add(kind)
        plane = delayed(tifffile.imread, pure=True)(str(file))
        planes.append(da.from_delayed(plane, *kind))
    note = (
        f"{len(files)} files were read as the planes of a stack, in the order of their "
        f"numbers: {files[0].name} … {files[-1].name}"
    )
    found = replace(found, step=(None, *found.step[1:]), notes=(note,))
    return Source(da.stack(planes), "ZYX", [], found, "")


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
