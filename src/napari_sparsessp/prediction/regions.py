"""Pixels of a stack that does not fit into memory: read as tiles need them."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from napari_sparsessp.prediction.decoded import DecodedPlanes, inside
from napari_sparsessp.prediction.normalisation import Normalisation
from napari_sparsessp.resampling import LateralResampling


@dataclass(frozen=True, eq=False)
class _Block:
    """What one tile needs: an area of some planes."""

    planes: tuple[int, ...]
    rows: slice
    columns: slice
    area: np.ndarray
    mask: np.ndarray | None

    def part(
        self, planes: Sequence[int], rows: slice, columns: slice
    ) -> tuple[list[int], slice, slice] | None:
        """Where in it an area lies; None where not all of that is in it."""
        if not (
            inside(rows, self.rows)
            and inside(columns, self.columns)
            and set(planes) <= set(self.planes)
        ):
            return None
        return (
            [self.planes.index(plane) for plane in planes],
            _within(rows, self.rows),
            _within(columns, self.columns),
        )


class PixelsFromFile:
    """Pixels that are read, resampled and normalised region by region.

    One thread reads; while the network computes, it reads what is expected next. It
    ends with `close`, or when nobody refers to this object any more.

    Parameters
    ----------
    source : DecodedPlanes
        The measured planes.
    lateral : LateralResampling
        Onto the model's pixels.
    normalisation : Normalisation
    mask : bool
        The planes have NaN or infinite values, and these are masked.
    """

    def __init__(
        self,
        source: DecodedPlanes,
        lateral: LateralResampling,
        normalisation: Normalisation,
        *,
        mask: bool,
    ) -> None:
        self._source, self._lateral = source, lateral
        self._normalisation, self._mask = normalisation, mask
        self._reader = ThreadPoolExecutor(1, "read-ahead")
        self._coming: Future[_Block] | None = None
        self._block: _Block | None = None

    def area(self, planes: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        """See `Pixels`."""
        block, part = self._holding(planes, rows, columns)
        return block.area[part]

    def masked(
        self, planes: Sequence[int], rows: slice, columns: slice
    ) -> np.ndarray | None:
        """See `Pixels`."""
        if not self._mask:
            return None
        block, part = self._holding(planes, rows, columns)
        assert block.mask is not None
        return block.mask[part]

    def expect(self, planes: Sequence[int], rows: slice, columns: slice) -> None:
        """See `Pixels`."""
        if self._coming is None:
            wanted = tuple(planes), rows, columns
            self._coming = self._reader.submit(self._load, *wanted, self._block)

    def close(self) -> None:
        """Stop reading and let go of everything."""
        self._reader.shutdown(wait=False, cancel_futures=True)
        self._coming = self._block = None
        self._source.close()

    def _holding(
        self, planes: Sequence[int], rows: slice, columns: slice
    ) -> tuple[_Block, tuple[list[int], slice, slice]]:
        """Find or read a block that holds an area, and where in it that lies."""
        wanted = tuple(planes), rows, columns
        if self._block is not None:
            part = self._block.part(*wanted)
            if part is not None:
                return self._block, part
        if self._coming is not None:
            coming, self._coming = self._coming, None
            # What went wrong with a guess counts only where it was right; it is then
            # read again below, and tells.
            if coming.exception() is None:
                self._block = coming.result()
        part = self._block.part(*wanted) if self._block is not None else None
        if part is None:
            # By the same thread: what it keeps needs no lock.
            self._block = self._reader.submit(self._load, *wanted, self._block).result()
            part = self._block.part(*wanted)
        assert self._block is not None
        assert part is not None
        return self._block, part

    def _load(
        self,
        planes: tuple[int, ...],
        rows: slice,
        columns: slice,
        last: _Block | None,
    ) -> _Block:
        size = len(planes), rows.stop - rows.start, columns.stop - columns.start
        area = np.empty(size, np.float32)
        mask = np.zeros(size, bool) if self._mask else None
        known = {}
        if last is not None and (last.rows, last.columns) == (rows, columns):
            known = {plane: index for index, plane in enumerate(last.planes)}
        for index, plane in enumerate(planes):
            if plane in known:
                assert last is not None
                area[index] = last.area[known[plane]]
                if mask is not None and last.mask is not None:
                    mask[index] = last.mask[known[plane]]
        height, width = self._lateral.size
        inner = slice(rows.start, min(rows.stop, height))
        middle = slice(columns.start, min(columns.stop, width))
        padding = [(0, rows.stop - inner.stop), (0, columns.stop - middle.stop)]
        new = [index for index, plane in enumerate(planes) if plane not in known]
        part = self._lateral.source(inner, middle)
        pixels = self._source.parts([planes[index] for index in new], *part)
        for index, raw in zip(new, pixels, strict=True):
            values, spread = self._prepared(raw, inner, middle)
            area[index] = np.pad(values, padding, mode="edge")
            if mask is not None and spread is not None:
                mask[index] = np.pad(spread, padding, mode="edge")
        return _Block(planes, rows, columns, area, mask)

    def _prepared(
        self, raw: np.ndarray, rows: slice, columns: slice
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Resample and normalise one plane's region, as a whole plane would be."""
        spread = None
        if self._mask:
            bad = ~np.isfinite(raw)
            if bad.any():
                raw = np.where(bad, np.float32(self._normalisation.mean), raw)
                share = self._lateral.region(bad.astype(np.float32), rows, columns)
                spread = share > 0
        return normalised(
            self._lateral.region(raw, rows, columns), self._normalisation
        ), spread


def normalised(values: np.ndarray, scale: Normalisation) -> np.ndarray:
    """(values − mean) / std in float32, a copy."""
    values = values - np.float32(scale.mean)
    values /= np.float32(scale.std)
    return values


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)
