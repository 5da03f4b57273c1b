"""Lazy images with axes, voxel size in µm and channel names."""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError

AXES = "TCZYX"
"""All axes that a volume may have, in their order."""

READ_ERRORS = (EOFError, OSError, RuntimeError, ValueError, zlib.error)
"""Exceptions of readers and codecs half-way through a damaged file."""

WORKERS_SHARE = 256 * 2**20
"""Bytes of decoded chunks that the threads of one read may hold at a time."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A lazy image of up to five axes.

    Nothing is read or copied until `planes` or `numpy` is called.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_sparsessp import Volume
    >>> array = np.zeros((2, 8, 64, 64), np.uint16)
    >>> volume = Volume(array, "CZYX", (1.16, 0.29, 0.29), ("Bright-field", "DNA"))
    >>> volume.channel("dna").planes([0, 4]).shape
    (2, 64, 64)

    Attributes
    ----------
    array
        numpy, dask or zarr array, one dimension for each letter of `axes`.
    axes
        Letters out of ``"TCZYX"`` in this order, ending in ``"ZYX"``.
    voxel_size
        (z, y, x) in µm; None unless all three are known.
    channel_names
        One for each channel; may be empty.
    origin
        (z, y, x) position of the centre of voxel (0, 0, 0) in µm.
    name
        Name for people.
    source
        The file or layer it came from.
    pixel_size
        (y, x) in µm; may be known where the step in z is not. Follows from
        `voxel_size` where it is left out.
    plane_z
        Height of every plane in µm, ascending, for each channel (or for the one there
        is); empty where planes are evenly spaced and channels lie on each other.
    placed
        Whether the origin along (z, y, x) is known, or just 0.
    notes
        What was assumed when it was read, for the user.
    zscored
        Whether values are deviations of a z-scored truth, as the provenance of a
        prediction says; None where nobody has looked.
    in_iqrs
        Whether values are interquartile ranges above the median of a truth instead.
    time_step
        Seconds between time points; None where it is not known.
    """

    array: Any
    axes: str
    voxel_size: tuple[float, float, float] | None
    channel_names: tuple[str, ...] = ()
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    name: str = ""
    source: str = ""
    pixel_size: tuple[float, float] | None = None
    plane_z: tuple[tuple[float, ...], ...] = ()
    placed: tuple[bool, bool, bool] = (True, True, True)
    notes: tuple[str, ...] = ()
    zscored: bool | None = None
    in_iqrs: bool = False
    time_step: float | None = None

    def __post_init__(self) -> None:
        """Check that axes, shape, names and sizes belong together."""
        ordered = "".join(axis for axis in AXES if axis in self.axes)
        if self.axes != ordered or not self.axes.endswith("ZYX"):
            raise InputError(
                f"axes {self.axes!r} cannot be used; give letters out of TCZYX in this "
                "order, ending in ZYX"
            )
        self._check_array()
        if len(self.axes) != len(self.array.shape):
            raise InputError(
                f"an image of shape {tuple(self.array.shape)} cannot have the axes "
                f"{self.axes}; name one axis for each dimension"
            )
        names = tuple(str(name) for name in self.channel_names)
        if "C" in self.axes and names and len(names) != self.sizes["C"]:
            raise InputError(
                f"{len(names)} channel names were given for {self.sizes['C']} "
                "channels; give one for each"
            )
        set_field = object.__setattr__  # the dataclass is frozen
        set_field(self, "channel_names", names)
        set_field(self, "origin", tuple(float(value) for value in self.origin))
        if self.voxel_size is not None:
            set_field(self, "voxel_size", _checked(self.voxel_size, 3))
            if self.pixel_size is None:
                set_field(self, "pixel_size", self.voxel_size[1:])
        if self.pixel_size is not None:
            set_field(self, "pixel_size", _checked(self.pixel_size, 2))

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each of `axes`."""
        return tuple(int(size) for size in self.array.shape)

    @property
    def sizes(self) -> dict[str, int]:
        """Voxels by axis letter."""
        return dict(zip(self.axes, self.shape, strict=True))

    def channel(self, which: str | int) -> Volume:
        """Take the channel of a name (in any case) or index; drop the channel axis.

        A volume without a channel axis is returned as it is where `which` is its name
        or 0. InputError lists the channels that exist.
        """
        names, count = self.channel_names, self.sizes.get("C", 1)
        index = named_index("channel", which, names, count)
        names = (self.channel_names[index],) if self.channel_names else ()
        if "C" not in self.axes:
            return replace(self, channel_names=names)
        if not self.plane_z:
            return self._take("C", index, channel_names=names)
        heights = self.plane_z[index]
        kept = () if even_step(heights) is not None else (heights,)
        origin = (heights[0], *self.origin[1:])
        return self._take("C", index, channel_names=names, origin=origin, plane_z=kept)

    def time(self, index: int) -> Volume:
        """Take one time point and drop the time axis."""
        times = self.sizes.get("T", 1)
        if not -times <= index < times:
            raise InputError(f"time point {index} does not exist; there are {times}")
        return self._take("T", index % times) if "T" in self.axes else self

    def planes(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Read some z planes, in any order, and no others: float32 (n, H, W).

        InputError: the volume has a time or channel axis, lacks such a plane, or the
        file is damaged there.
        """
        whole = slice(None)
        return as_float32(self.region(indices, whole, whole))

    def region(
        self, indices: Sequence[int] | np.ndarray, rows: slice, columns: slice
    ) -> np.ndarray:
        """Read a part of some z planes: a copy (n, h, w) in the file's data type."""
        if self.axes != "ZYX":
            raise InputError(
                f"planes can be read from one channel and time point, not from axes "
                f"{self.axes}; choose a channel"
            )
        depth = self.shape[0]
        wanted = [int(index) for index in indices]
        bad = [index for index in wanted if not 0 <= index < depth]
        if bad:
            raise InputError(f"plane {bad[0]} does not exist; there are {depth}")
        with self._readable():
            # One computation: some readers open the file again for each.
            return _computed(_lazy(self.array)[:, rows, columns][wanted])

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...] | None:
        """Lengths of the pieces that are read as a whole, for each of `axes`.

        None where any part of the array can be had by itself.
        """
        if isinstance(self.array, np.ndarray):
            return None
        return tuple(tuple(map(int, sizes)) for sizes in _lazy(self.array).chunks)

    def numpy(self) -> np.ndarray:
        """Read everything, in the file's own data type and the order of `axes`."""
        with self._readable():
            return _computed(self.array[...])

    def with_(self, **changes: Any) -> Volume:
        """Return a copy with some fields replaced; the array is shared."""
        if "voxel_size" in changes:
            changes.setdefault("pixel_size", None)
            changes.setdefault("plane_z", ())
        return replace(self, **changes)

    def evened(self, step: float) -> Volume:
        """Return a copy with planes every `step` µm from the first to the last height.

        Interpolated as it is read; a volume of even planes is returned as it is.
        """
        heights = self.plane_z[0] if len(self.plane_z) == 1 else ()
        if not heights or even_step(heights) is not None:
            return self
        import dask.array as da

        count = math.floor((heights[-1] - heights[0]) / step + 1e-6) + 1
        wanted = heights[0] + step * np.arange(count)
        place = np.interp(wanted, heights, np.arange(len(heights)))
        below = np.minimum(place.astype(int), len(heights) - 2)
        share = (place - below).astype(np.float32)[:, None, None]
        stack = da.asarray(_lazy(self.array)).astype(np.float32)
        lower, upper = stack[..., below, :, :], stack[..., below + 1, :, :]
        return replace(
            self,
            array=lower + share * (upper - lower),
            voxel_size=None
            if self.voxel_size is None
            else (step, *self.voxel_size[1:]),
            origin=(heights[0], *self.origin[1:]),
            plane_z=(),
        )

    def beside(self, other: Volume) -> tuple[Volume, str]:
        """Return a copy at the place of another image of the same field, and a note.

        Along axes where one of the two does not know its origin, the outer edges in y
        and x and the first planes coincide. The note is "" where that moves nothing, as
        for fields of other sizes. InputError: its planes are not evenly spaced.
        """
        what = self.name or "the second image"
        if any(even_step(heights) is None for heights in self.plane_z):
            raise InputError(
                f"the planes of {what} are not evenly spaced, so that it cannot be "
                "laid on another image; resample it to even steps"
            )
        origin, moved = list(self.origin), []
        own, its = ((0.0, *(one.pixel_size or (0.0, 0.0))) for one in (self, other))
        known = bool(self.pixel_size and other.pixel_size)
        field, its_field = (
            np.multiply(one.shape[-2:], (known and one.pixel_size) or 1)
            for one in (self, other)
        )
        pixel = max(*own, *its) if known else 1
        if (np.abs(field - its_field) > 2 * pixel).any():
            return self, ""
        for axis, letter in enumerate("zyx"):
            if self.placed[axis] == other.placed[axis]:
                continue
            edges = (own[axis] - its[axis]) / 2 if own[axis] and its[axis] else 0.0
            origin[axis] = other.origin[axis] + edges
            if abs(origin[axis] - self.origin[axis]) > 1e-6:
                moved.append(letter)
        if not moved:
            return self, ""
        z, y, x = origin
        return replace(self, origin=(z, y, x)), (
            f"the position in {', '.join(moved)} is recorded in one of two files only: "
            f"{what} was laid on the other's field"
        )

    def _check_array(self) -> None:
        """Raise where the array is none, is empty or does not hold numbers."""
        what = self.name or self.source or "the image"
        sizes = getattr(self.array, "shape", None)
        kind = np.dtype(getattr(self.array, "dtype", object)).kind
        if sizes is None or kind not in "buif":
            held = getattr(self.array, "dtype", type(self.array).__name__)
            raise InputError(
                f"{what} holds {held} values; give an array of whole or real numbers"
            )
        if not all(size >= 1 for size in sizes):  # NaN: unknown before it is computed
            raise InputError(
                f"{what} has the shape {tuple(sizes)}; give an image with at least one "
                "pixel along each axis"
            )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Raise an InputError that names the image where its reader fails half-way."""
        what = self.source or self.name or "the image"
        try:
            yield
        except InputError:
            raise
        except MemoryError as error:
            raise InputError(
                f"{what} does not fit into the memory that is free; crop it, or save "
                "it in chunks (OME-Zarr)"
            ) from error
        except Exception as error:
            # A lazy array runs foreign code: whatever it raises is about the file.
            foreign = not isinstance(self.array, np.ndarray)
            if not (foreign or isinstance(error, READ_ERRORS)):
                raise
            text = f"{error}".strip().splitlines()
            reason = text[0][:200] if text else type(error).__name__
            advice = "copy or export it again"
            if missing := missing_module(error):
                reason = f"its reader needs {missing}, which is not installed"
                advice = f"pip install {missing}"
            raise InputError(
                f"{what} cannot be read to its end ({reason}); {advice}"
            ) from error

    def _take(self, axis: str, index: int, **changes: Any) -> Volume:
        place = self.axes.index(axis)
        array = _lazy(self.array)[(slice(None),) * place + (index,)]
        axes = self.axes.replace(axis, "")
        return replace(self, array=array, axes=axes, **changes)


def missing_module(error: Exception) -> str:
    """Return the package without which a reader failed; "" for other failures."""
    if isinstance(error, ImportError):
        return (error.name or str(error)).partition(".")[0].replace("_", "-")
    found = re.search(r"requires the '(\w+)' package", str(error))
    return found[1] if found else ""


def named_index(kind: str, which: str | int, names: Sequence[str], count: int) -> int:
    """Return the index of a channel or scene (`kind`) given by name or index.

    A name counts in any case, and an index may be a string. InputError lists those
    that exist.
    """
    if isinstance(which, str) or not 0 <= which < count:
        # A number that is no index may be a name: channels are called 488 or 561.
        called = str(which)
        same = [index for index, name in enumerate(names) if name == called]
        same = same or [
            index
            for index, name in enumerate(names)
            if name.casefold() == called.casefold()
        ]
        if len(same) > 1:
            raise InputError(
                f"{len(same)} {kind}s are called {called!r}; choose one by its "
                f"index: {', '.join(map(str, same))}"
            )
        if same:
            return same[0]
    try:
        index = int(which)
    except ValueError:
        index = count  # no number either: falls through to the error
    if 0 <= index < count:
        return index
    listed = listed_names(names, count)
    raise InputError(f"there is no {kind} {which!r}; there are: {listed}")


_SHOWN = 24  # names in a message


def listed_names(names: Sequence[str], count: int) -> str:
    """Return the indices and names of channels or scenes, for a message."""
    shown = ", ".join(
        f"{number} {name!r}" if name else str(number)
        for number, name in enumerate(names[:_SHOWN] or ("",) * min(count, _SHOWN))
    )
    return f"{shown}, … ({count} in all)" if count > _SHOWN else shown


def channel_key(text: str) -> str | int:
    """Return the channel that a user writes: an index where it is a number."""
    return int(text) if text.isdecimal() else text


@dataclass(frozen=True)
class Grid:
    """Where voxels lie in space."""

    shape: tuple[int, int, int]  # (z, y, x) voxels
    voxel_size: tuple[float, float, float]  # (z, y, x) in µm; of the centre of voxel 0
    origin: tuple[float, float, float]


def _lazy(array: Any) -> Any:
    """Wrap a zarr array, which reads when it is indexed, so that it stays lazy."""
    if isinstance(array, np.ndarray) or hasattr(array, "dask"):
        return array
    import dask.array as da

    chunks = getattr(array, "chunks", None) or "auto"
    # No name from the content: that would read all of it.
    return da.from_array(array, chunks=chunks, name=False)


def _computed(array: Any) -> np.ndarray:
    """Read an array, by as few threads as keep their chunks within a share."""
    if isinstance(array, np.ndarray) or not hasattr(array, "dask"):
        return np.asarray(array)
    import os
    from concurrent.futures import ThreadPoolExecutor

    from dask.base import get_scheduler

    if get_scheduler() is not None:  # chosen by the caller: a cluster, or none at all
        return np.asarray(array.compute())
    largest = math.prod(max(sizes, default=1) for sizes in array.chunks)
    fitting = WORKERS_SHARE // max(1, largest * array.dtype.itemsize)
    workers = max(1, min(os.cpu_count() or 1, fitting))
    # Not dask's own pool, which is kept: of a forked process, its threads are gone.
    with ThreadPoolExecutor(workers) as pool:
        return np.asarray(array.compute(scheduler="threads", pool=pool))


def even_step(heights: Sequence[float]) -> float | None:
    """Return the step of planes at these heights, None where it is not one.

    Drives jitter: a quarter of a step off the line is no gap.
    """
    if len(heights) < 2:
        return None
    numbers = np.arange(len(heights))
    slope, start = np.polyfit(numbers, heights, 1)
    off = np.abs(np.asarray(heights) - start - slope * numbers).max()
    return float(slope) if off <= abs(slope) / 4 else None


def as_float32(array: np.ndarray) -> np.ndarray:
    """Return an array as float32 of this machine; a copy only where it is not.

    Values that float32 cannot hold become infinite.
    """
    with np.errstate(over="ignore"):
        return np.asarray(array, dtype=np.float32)


def _checked(sizes: Sequence[float], count: int) -> tuple[float, ...]:
    """Return voxel sizes as floats; raise InputError unless all are positive."""
    values = tuple(float(size) for size in sizes)
    if len(values) != count or any(
        not math.isfinite(value) or value <= 0 for value in values
    ):
        raise InputError(
            f"voxel size {values} cannot be used; give {count} positive numbers in µm"
        )
    return values


HASHED = (5, 1024, 1024)
"""Planes, rows and columns, at most, that tell a stack from all others."""


def content_hash(volume: Volume) -> str:
    """Return a SHA-256 of what one channel shows, whatever file or type holds it.

    Over its size, and as float32 the middle of five planes that are spread over the
    depth; of a time-lapse, of its first time point.
    """
    volume = volume.time(0)
    digest = hashlib.sha256(repr(volume.shape).encode())
    depth, *size = volume.shape
    some = np.linspace(0, depth - 1, min(depth, HASHED[0])).round().astype(int)
    starts = [max(0, n - most) // 2 for n, most in zip(size, HASHED[1:], strict=True)]
    rows, columns = (
        slice(start, start + most)
        for start, most in zip(starts, HASHED[1:], strict=True)
    )
    digest.update(volume.region(some, rows, columns).astype("<f4").tobytes())
    return digest.hexdigest()
