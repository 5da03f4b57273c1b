"""TIFF and OME-TIFF: axes, calibration and completeness, before bioio reads them.

bioio guesses the axes of plain TIFFs from the number of dimensions and takes a file of
separate pages for as many scenes. tifffile knows better, so it is asked first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.calibration import (
    Calibration,
    check_ome_header,
    from_ome_xml,
    from_tiff,
    ome_channel_names,
)
from napari_sparsessp.io.source import Source, choose_scene, source_of

# Axes that only say "another dimension": pages, other, sequence.
_UNKNOWN = "IQR"
# What they most probably are in a microscope's file, nearest to y first.
_GUESSES = "ZCT"

_LARGE = 2**28  # bytes that are worth a question
# zlib packs at most 1032 times, LZW some 1400 times; of what was ever light, neither.
_TIGHTEST = 2000


def open_tiff(path: Path, scene: str | int | None) -> Source:
    """Open one scene of a TIFF or OME-TIFF.

    Raises
    ------
    InputError
        When the file is truncated: its pages, or a page's pixels, are not all there.
    """
    import tifffile

    with _complaints() as complaints, tifffile.TiffFile(path) as tif:
        xml = tif.ome_metadata
        if xml:
            check_ome_header(xml, len(tif.pages), path.stat().st_size, path.name)
        series = list(tif.series)
        _check_complete(tif, path)
        calibration = Calibration() if xml else from_tiff(tif)
        shapes = [(tuple(one.shape), one.dtype, one.axes) for one in series]
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
    """Name the dimensions of a plain TIFF series.

    Parameters
    ----------
    axes : str
        tifffile's letters; pages, other and sequence (``I``, ``Q``, ``R``) are taken
        for z, then channel, then time, from the right, where these are not there.

    Returns
    -------
    str
        As long as `axes`.
    """
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
    def __init__(self, texts: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile logs: it goes on past pages and tags that are cut off."""
    texts: list[str] = []
    logger, listener = logging.getLogger("tifffile"), _Listener([])
    listener.texts = texts
    before, passes_on = logger.level, logger.propagate
    logger.addHandler(listener)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield texts
    finally:
        logger.removeHandler(listener)
        logger.setLevel(before)
        logger.propagate = passes_on
