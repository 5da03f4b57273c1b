"""Lazy images with axes, voxel size in µm and channel names."""

from __future__ import annotations

import hashlib
import math
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
    zscored
        Whether values are deviations of a z-scored truth, as the provenance of a
        prediction says; None where nobody has looked.
    """

    array: Any
    axes: str
    voxel_size: tuple[float, float, float] | None
    channel_names: tuple[str, ...] = ()
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    name: str = ""
    source: str = ""
    pixel_size: tuple[float, float] | None = None
    zscored: bool | None = None

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
        return self._take("C", index, channel_names=names)

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
        return replace(self, **changes)

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
            raise InputError(
                f"{what} cannot be read to its end ({reason}); copy or export it again"
            ) from error

    def _take(self, axis: str, index: int, **changes: Any) -> Volume:
        place = self.axes.index(axis)
        array = _lazy(self.array)[(slice(None),) * place + (index,)]
        axes = self.axes.replace(axis, "")
        return replace(self, array=array, axes=axes, **changes)


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


def listed_names(names: Sequence[str], count: int) -> str:
    """Return the indices and names of channels or scenes, for a message."""
    return ", ".join(
        f"{number} {name!r}" if name else str(number)
        for number, name in enumerate(names or ("",) * count)
    )


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

    from dask.base import get_scheduler

    if get_scheduler() is not None:  # chosen by the caller: a cluster, or none at all
        return np.asarray(array.compute())
    largest = math.prod(max(sizes, default=1) for sizes in array.chunks)
    fitting = WORKERS_SHARE // max(1, largest * array.dtype.itemsize)
    workers = max(1, min(os.cpu_count() or 1, fitting))
    how = {"scheduler": "threads", "num_workers": workers}
    return np.asarray(array.compute(**how))


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


HASHED_PLANES = 5


def content_hash(volume: Volume) -> str:
    """Return a SHA-256 of what one channel shows, whatever file or type holds it.

    Over its size and five planes spread over the depth, as float32; of a time-lapse,
    those of the first time point.
    """
    volume = volume.time(0)
    depth = volume.sizes["Z"]
    some = np.linspace(0, depth - 1, min(depth, HASHED_PLANES)).round()
    digest = hashlib.sha256(repr(volume.shape).encode())
    digest.update(np.ascontiguousarray(volume.planes(some.astype(int)), "<f4"))
    return digest.hexdigest()
