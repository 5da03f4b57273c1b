"""The measured planes, checked, normalised and on the model's pixels.

A stack that fits its share of memory is read once; a larger one is read region by
region as tiles need it, by a thread that reads ahead while the network computes. Files
are read in whole chunks: what they hold beyond a tile, as the planes of most TIFFs do,
is kept as far as memory allows, for the tiles to the right and below.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks.config import PaddingMode
from napari_sparsessp.prediction.normalisation import (
    BlankImage,
    Normalisation,
    Survey,
    beyond,
    normalised,
    padding_value,
    probes,
)
from napari_sparsessp.prediction.phase_stack import PhaseArray
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.tiling import Tile, inside
from napari_sparsessp.resampling import LateralResampling
from napari_sparsessp.tasks import Progress, no_progress, part_of
from napari_sparsessp.volume import Volume, as_float32

if TYPE_CHECKING:
    import torch

_MODES: dict[PaddingMode, Literal["edge", "reflect", "constant"]] = {
    "edge": "edge",
    "reflect": "reflect",
    "zeros": "constant",
}
"""NumPy's words."""

KEPT_PART = 3
"""One part of the share is for what chunks hold beyond a tile; the rest is for what
tiles need and for reading."""

AT_ONCE = 64 * 2**20
"""Bytes, about, that are read in one go."""


@dataclass(eq=False)
class InputStack:
    """Measured planes, as the network takes them; all others never get here."""

    # (n, H', W') normalised, on the model's pixels, padded as the network wants it
    pixels: "Pixels"
    weights: "torch.Tensor"  # (D, n) share of each measured plane in each dense plane
    distance: "torch.Tensor"  # (D,) signed distance to the nearest measured plane
    nearest: np.ndarray  # (D,) which measured plane is nearest
    normalisation: Normalisation
    # Planes of the input that took no part in the normalisation
    left_out: tuple[int, ...]
    following: Tile | None = None  # Which will be next: its input is read meanwhile
    beyond: PaddingMode = "edge"  # What is before the first plane and behind the last

    def window(self, tile: Tile) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Interpolated input (D, h, w) of a tile, and distance (D,) of its planes."""
        import torch

        planes, used, rows, columns = self._needed(tile)
        area = torch.from_numpy(self.pixels.area(used, rows, columns))
        dense = torch.einsum("dn,nhw->dhw", self.weights[planes][:, used], area)
        if self.following is not None:
            self.pixels.expect(*self._needed(self.following)[1:])
        place = torch.arange(*tile.z)
        if self.beyond == "zeros":
            dense[(place < 0) | (place >= len(self.weights))] = 0
        return dense, self.distance[planes] + (place - planes)

    def masked(self, tile: Tile) -> np.ndarray | None:
        """Return where a tile's nearest measured pixels are NaN or infinite."""
        z, y, x = tile.box
        nearest = self.nearest[z]
        planes = np.unique(nearest)
        masked = self.pixels.masked(planes.tolist(), y, x)
        return None if masked is None else masked[np.searchsorted(planes, nearest)]

    def close(self) -> None:
        """Release the planes and end what reads them."""
        self.pixels.close()

    def _needed(self, tile: Tile) -> tuple["torch.Tensor", list[int], slice, slice]:
        """Dense planes of a tile, and the measured planes and area these need."""
        import torch

        last = len(self.weights) - 1
        planes = torch.arange(*tile.z)
        if self.beyond == "reflect" and last:
            planes = (planes + last).remainder(2 * last).sub(last).abs()
        planes = planes.clamp(0, last)
        used = self.weights[planes].any(0).nonzero()[:, 0].tolist()
        return planes, used, slice(*tile.read_y), slice(*tile.read_x)


def read_stack(
    plan: Plan,
    time: int | None,
    progress: Progress = no_progress,
    known: Normalisation | None = None,
) -> InputStack:
    """Open the measured planes of one time point and find their scale.

    A stack that fits the plan's share of memory is read here, once; a larger one is
    read through once for its scale, then region by region as tiles need it.
    """
    import torch

    volume, progress = _time_point(plan, time, progress)
    lateral = LateralResampling(
        (volume.shape[-2], volume.shape[-1]),
        plan.input_pixel,
        plan.model_pixel,
        plan.model_shape[1:],
    )
    read = _read_whole if _fits(plan, volume) else _read_by_region
    padded = known is None or known.padding > 0  # or nothing is known of it yet
    if plan.request.normalisation is not None:
        known = Normalisation(*plan.request.normalisation)
    try:
        pixels, scale = read(plan, volume, lateral, progress, known, padded=padded)
    except InputError as error:
        if time is None:
            raise
        advice = "choose the time points before and after it"
        raise type(error)(f"time point {time}: {error}, or {advice}") from error
    return InputStack(
        pixels,
        torch.from_numpy(plan.view.weights(plan.card.interpolation)),
        torch.from_numpy(plan.view.distance()),
        plan.view.weights("nearest").argmax(1),
        scale,
        tuple(plan.view.planes[plane] for plane in scale.left_out),
        beyond=plan.padding.mode,
    )


def _time_point(
    plan: Plan, time: int | None, progress: Progress
) -> tuple[Volume, Progress]:
    """Return the stack of a time point, and what tells how far reading it is."""
    array = plan.volume.array
    if not isinstance(array, PhaseArray):
        return plan.volume if time is None else plan.volume.time(time), progress
    made = array.stack(time, part_of(progress, 0.0, 0.9))
    stack = plan.volume.with_(array=made, axes="ZYX")
    return stack, part_of(progress, 0.9, 1.0)


def _read_whole(
    plan: Plan,
    volume: Volume,
    lateral: LateralResampling,
    progress: Progress,
    known: Normalisation | None,
    *,
    padded: bool,
) -> "tuple[Pixels, Normalisation]":
    planes = volume.planes(plan.view.planes)
    count, height, width = planes.shape
    value = padding_value(planes[probes(range(count))]) if padded else None
    survey = Survey((count, height, width), plan.card.scaling, value)
    bad = {}
    for index, plane in enumerate(planes):
        where = survey.add(index, 0, plane)
        if where is not None:
            bad[index] = where
    _check_invalid(plan, survey.invalid, height * width)
    scale = replace(known or survey.result(), padding=survey.padding)
    spans = _padded(plan)
    padding = [
        (-start, stop - extent)
        for (start, stop), extent in zip(spans, lateral.size, strict=True)
    ]
    size, mode = [stop - start for start, stop in spans], _MODES[plan.padding.mode]
    result = np.empty((count, *size), np.float32)
    invalid = np.zeros((count, *size), bool) if bad else None
    inner = tuple(slice(a, -b or None) for a, b in padding)
    for index, plane in enumerate(planes):
        progress(index, count, "reading")
        if invalid is not None and index in bad:
            plane[bad[index]] = scale.mean
            invalid[index][inner] = lateral(bad[index].astype(np.float32)) > 0
        result[index] = np.pad(normalised(lateral(plane), scale), padding, mode)
    rows, columns = (slice(*span) for span in spans)
    block = _Area(tuple(range(count)), (rows, columns), result, invalid)
    return Pixels(lateral, scale, block=block), scale


def _read_by_region(
    plan: Plan,
    volume: Volume,
    lateral: LateralResampling,
    progress: Progress,
    known: Normalisation | None,
    *,
    padded: bool,
) -> "tuple[Pixels, Normalisation]":
    planes = plan.view.planes
    source = DecodedPlanes(volume, planes, _share(plan) // KEPT_PART)
    height, width = volume.shape[-2:]
    value = None
    if padded and 4 * height * width <= max(AT_ONCE, _share(plan)):
        value = padding_value(volume.planes([k])[0] for k in probes(planes))
    survey = Survey((len(planes), height, width), plan.card.scaling, value)
    whole_numbers = np.dtype(volume.array.dtype).kind in "bui"
    if known is None or not whole_numbers or value is not None:
        for plane, row, values in source.bands():
            progress(plane, len(planes), "reading")
            survey.add(plane, row, values)
    _check_invalid(plan, survey.invalid, height * width)
    scale = replace(known or survey.result(), padding=survey.padding)
    mask = bool(survey.invalid.any() or survey.padding)
    pixels = Pixels(lateral, scale, source, mask=mask, beyond=plan.padding.mode)
    pixels.inside = survey.inside
    return pixels, scale


def _share(plan: Plan) -> int:
    return plan.memory.input_share


def _padded(plan: Plan) -> list[tuple[int, int]]:
    """Where y and x begin and end on the model's grid, padding included."""
    padding = plan.padding
    return [padding.span(size, padding.multiple) for size in plan.model_shape[1:]]


def _fits(plan: Plan, volume: Volume) -> bool:
    """Whether the planes fit the share, as they are read and as they are kept."""
    padded = math.prod(stop - start for start, stop in _padded(plan))
    pixels = math.prod(volume.shape[-2:]) + padded
    return 4 * len(plan.view.planes) * pixels <= _share(plan)


def _check_invalid(plan: Plan, invalid: np.ndarray, size: int) -> None:
    """Refuse NaN and infinite values, unless they are masked."""
    if not invalid.any():
        return
    if (invalid == size).all():
        raise BlankImage(
            "every value of the image is NaN or infinite, so there is nothing to "
            "predict from; check that the right channel and file were chosen"
        )
    if plan.request.mask_invalid:
        return
    where = int(np.argmax(invalid > 0))
    raise InputError(
        f"the image has {int(invalid.sum())} NaN or infinite values, first in plane "
        f"{plan.view.planes[where]}; repair the file, or ask to mask them "
        "(--mask-invalid)"
    )


Span = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True, eq=False)
class _Area:
    """An area of some planes: (k, h, w), and where they were not finite."""

    planes: tuple[int, ...]
    area: Span
    pixels: np.ndarray
    mask: np.ndarray | None = None

    def place(self, planes: Sequence[int], area: Span) -> tuple[Any, ...] | None:
        """Return where in it a part lies; None where not all of that is in it."""
        fits = all(
            whole.start <= part.start and part.stop <= whole.stop
            for part, whole in zip(area, self.area, strict=True)
        )
        if not fits or not set(planes) <= set(self.planes):
            return None
        return [self.planes.index(plane) for plane in planes], *inside(area, self.area)


class DecodedPlanes:
    """The measured planes of a volume."""

    def __init__(self, volume: Volume, planes: Sequence[int], share: int) -> None:
        self._volume, self._planes = volume, list(planes)
        self._share = share
        self._chunks = volume.chunks
        self._kept: dict[int, _Area] = {}

    def parts(
        self, planes: Sequence[int], rows: slice, columns: slice
    ) -> Iterator[np.ndarray]:
        """Read a part of some measured planes, in pixels of the input."""
        for start, batch in self._batches(planes, rows, columns):
            parts = {}
            for plane in batch:
                kept = self._kept.get(plane)
                place = kept and kept.place([plane], (rows, columns))
                if kept and place:
                    parts[plane] = kept.pixels[0, *place[1:]]
            missing = [plane for plane in batch if plane not in parts]
            if missing:
                parts |= self._read(missing, rows, columns)
            for plane in planes[start : start + len(batch)]:
                yield np.ascontiguousarray(as_float32(parts[plane]))

    def bands(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Read everything once, in whole rows."""
        _, height, width = self._volume.shape
        heights = self._chunks[1] if self._chunks else (1,) * height
        row_bytes = width * self._itemsize
        every = range(len(self._planes))
        for group in self._together(every):
            at_once = max(1, AT_ONCE // (row_bytes * min(len(group), 64)))
            for rows in _bands(heights, at_once):
                fitting = max(1, 2 * AT_ONCE // (row_bytes * (rows.stop - rows.start)))
                for start in range(0, len(group), fitting):
                    some = group[start : start + fitting]
                    numbers = [self._planes[plane] for plane in some]
                    read = self._volume.region(numbers, rows, slice(None))
                    for plane, values in zip(some, read, strict=True):
                        yield plane, rows.start, values

    def close(self) -> None:
        """Release what is kept."""
        self._kept.clear()

    @property
    def _itemsize(self) -> int:
        return int(np.dtype(self._volume.array.dtype).itemsize)

    def _batches(
        self, planes: Sequence[int], rows: slice, columns: slice
    ) -> Iterator[tuple[int, list[int]]]:
        """Planes that are read in one go: those of one chunk in z stay together."""
        rows, columns = self._widened(rows, columns)
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        fitting = max(1, AT_ONCE // (size * self._itemsize))
        start = 0
        batch: list[int] = []
        for group in self._together(planes):
            if batch and len(batch) + len(group) > fitting:
                yield start, batch
                start, batch = start + len(batch), []
            batch += group
        if batch:
            yield start, batch

    def _together(self, planes: Sequence[int]) -> list[list[int]]:
        """Group ascending planes by the chunk in z that holds them."""
        if self._chunks is None:
            return [[plane] for plane in planes]
        ends = np.cumsum(self._chunks[0])
        numbers = [self._planes[plane] for plane in planes]
        chunk = dict(
            zip(planes, np.searchsorted(ends, numbers, side="right"), strict=True)
        )
        return [list(group) for _, group in groupby(planes, key=chunk.__getitem__)]

    def _read(
        self, planes: list[int], rows: slice, columns: slice
    ) -> dict[int, np.ndarray]:
        """Read planes, and keep what their chunks hold beyond what is wanted."""
        wide = self._widened(rows, columns)
        numbers = [self._planes[plane] for plane in planes]
        read = self._volume.region(numbers, *wide)
        parts = {}
        for plane, pixels in zip(planes, read, strict=True):
            held = pixels if pixels.dtype.itemsize <= 2 else as_float32(pixels)
            # Its own memory, so that it can be let go without the others.
            held = held.copy() if self._chunks else held
            kept = _Area((plane,), wide, held[None])
            place = kept.place([plane], (rows, columns))
            assert place is not None
            parts[plane] = kept.pixels[0, *place[1:]]
            if not self._chunks:
                continue
            self._kept.pop(plane, None)
            total = sum(other.pixels.nbytes for other in self._kept.values())
            while self._kept and total + held.nbytes > self._share:
                total -= self._kept.pop(next(iter(self._kept))).pixels.nbytes
            if held.nbytes <= self._share:
                self._kept[plane] = kept
        return parts

    def _widened(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Widen a part to what its chunks hold anyway: right, then down."""
        if self._chunks is None:
            return rows, columns
        _, heights, widths = self._chunks
        item = self._itemsize if self._itemsize <= 2 else 4
        pixels = self._share // (len(self._planes) * item)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        room = _end(widths, columns) - columns.start
        width = max(width, min(room, pixels // height))
        if width == room:
            below = _end(heights, rows) - rows.start
            height = max(height, min(below, pixels // width))
        return (
            slice(rows.start, rows.start + height),
            slice(columns.start, columns.start + width),
        )


class Pixels:
    """Pixels of the measured planes: all, or read and normalised region by region.

    One thread reads; while the network computes, it reads what is expected next. It
    ends with `close`, or with the last reference to this object.
    """

    def __init__(
        self,
        lateral: LateralResampling,
        normalisation: Normalisation,
        source: DecodedPlanes | None = None,  # None where `block` holds everything
        *,
        mask: bool = False,
        block: _Area | None = None,
        beyond: PaddingMode = "edge",
    ) -> None:
        self.source, self._lateral = source, lateral
        self._mode = _MODES[beyond]
        self._normalisation = normalisation
        self._mask = mask or (block is not None and block.mask is not None)
        self._reader = ThreadPoolExecutor(1, "read-ahead")
        self._coming: Future[_Area] | None = None
        self._block = block
        self.inside: np.ndarray | None = None  # As `Survey` has it, to read by region

    def area(self, planes: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        """Return a part of some measured planes, (k, h, w) float32; read only."""
        block, place = self._holding(planes, (rows, columns))
        return block.pixels[place]

    def masked(
        self, planes: Sequence[int], rows: slice, columns: slice
    ) -> np.ndarray | None:
        """Return where the input was NaN or infinite, bool (k, h, w); None: nowhere."""
        if not self._mask:
            return None
        block, place = self._holding(planes, (rows, columns))
        assert block.mask is not None
        return block.mask[place]

    def expect(self, planes: Sequence[int], rows: slice, columns: slice) -> None:
        """Read the area that will be wanted next, in the background."""
        if self._coming is None and self.source is not None:
            wanted = tuple(planes), (rows, columns), self._block
            self._coming = self._reader.submit(self._load, *wanted)

    def close(self) -> None:
        """Stop reading and release everything."""
        self._reader.shutdown(wait=False, cancel_futures=True)
        self._coming = self._block = None
        if self.source is not None:
            self.source.close()

    def _holding(
        self, planes: Sequence[int], area: Span
    ) -> tuple[_Area, tuple[Any, ...]]:
        """Find or read a block that holds an area, and where in it that lies."""
        place = self._block.place(planes, area) if self._block else None
        if place is None and self._coming is not None:
            coming, self._coming = self._coming, None
            # What went wrong with a guess counts only where it was right; it is then
            # read again below, and raised.
            if coming.exception() is None:
                self._block = coming.result()
                place = self._block.place(planes, area)
        if place is None:
            # By the same thread: what it keeps needs no lock.
            wanted = tuple(planes), area, self._block
            self._block = self._reader.submit(self._load, *wanted).result()
            place = self._block.place(planes, area)
        assert self._block is not None
        assert place is not None
        return self._block, place

    def _load(self, planes: tuple[int, ...], area: Span, last: _Area | None) -> _Area:
        """Read a block; planes that the last one of the same area has are copied."""
        size = len(planes), *(part.stop - part.start for part in area)
        pixels, scale = np.empty(size, np.float32), self._normalisation
        mask = np.zeros(size, bool) if self._mask else None
        known = last.planes if last is not None and last.area == area else ()
        y, x = (
            slice(max(part.start, 0), min(part.stop, whole))
            for part, whole in zip(area, self._lateral.size, strict=True)
        )
        padding = [
            (b.start - a.start, a.stop - b.stop)
            for a, b in zip(area, (y, x), strict=True)
        ]
        new = [plane for plane in planes if plane not in known]
        assert self.source is not None
        rows, columns = self._lateral.source(y, x)
        read = self.source.parts(new, rows, columns)
        for index, plane in enumerate(planes):
            if plane in known:
                assert last is not None
                pixels[index] = last.pixels[known.index(plane)]
                if mask is not None and last.mask is not None:
                    mask[index] = last.mask[known.index(plane)]
                continue
            raw = next(read)
            bad = ~np.isfinite(raw)
            if self.inside is not None:
                bad |= beyond(self.inside[plane, rows], columns)
            if mask is not None and bad.any():
                raw = np.where(bad, np.float32(scale.mean), raw)
                spread = self._lateral(bad.astype(np.float32), (y, x)) > 0
                mask[index] = np.pad(spread, padding, mode="edge")
            values = normalised(self._lateral(raw, (y, x)), scale)
            pixels[index] = np.pad(values, padding, self._mode)
        return _Area(planes, area, pixels, mask)


def _bands(heights: Sequence[int], at_once: int) -> Iterator[slice]:
    """Consecutive rows, whole chunks of them, as many as may be read at once."""
    start = stop = 0
    for height in heights:
        if stop > start and stop + height - start > at_once:
            yield slice(start, stop)
            start = stop
        stop += height
    yield slice(start, stop)


def _end(lengths: Sequence[int], part: slice) -> int:
    """Return the end of the last chunk that a part touches."""
    ends = np.cumsum(lengths)
    return int(ends[np.searchsorted(ends, part.stop - 1, side="right")])
