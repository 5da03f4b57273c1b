"""An image that knows its axes, its voxel size and its channels."""

from __future__ import annotations

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
"""What readers and their codecs raise half-way through a damaged file."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A lazy image of up to five axes.

    Nothing is read or copied until `planes` or `numpy` is called.

    Attributes
    ----------
    array : array-like
        numpy, dask or zarr array, one dimension for each letter of `axes`.
    axes : str
        Letters out of ``"TCZYX"`` in this order, ending in ``"ZYX"``.
    voxel_size : tuple of float or None
        (z, y, x) in µm; None unless all three are known.
    channel_names : tuple of str
        One for each channel; may be empty.
    origin : tuple of float
        (z, y, x) position of the centre of voxel (0, 0, 0) in µm.
    name : str
        What a person calls it.
    source : str
        The file or layer it came from.
    pixel_size : tuple of float or None
        (y, x) in µm; may be known where the step in z is not. Follows from
        `voxel_size` where it is left out.
    """

    array: Any
    axes: str
    voxel_size: tuple[float, float, float] | None
    channel_names: tuple[str, ...] = ()
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    name: str = ""
    source: str = ""
    pixel_size: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check that axes, shape, names and sizes belong together."""
        ordered = "".join(axis for axis in AXES if axis in self.axes)
        if self.axes != ordered or not self.axes.endswith("ZYX"):
            raise InputError(
                f"axes {self.axes!r} cannot be used; give letters out of TCZYX in this "
                "order, ending in ZYX"
            )
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
        """Take one channel and drop the channel axis.

        Parameters
        ----------
        which : str or int
            Name (in any case) or index of the channel; an index may be a string.

        Returns
        -------
        Volume
            Still lazy. A volume without a channel axis is returned as it is where
            `which` is its name or 0.

        Raises
        ------
        InputError
            When there is no such channel; the message lists those that exist.
        """
        index = self._channel_index(which)
        names = (self.channel_names[index],) if self.channel_names else ()
        if "C" not in self.axes:
            return replace(self, channel_names=names)
        return self._take("C", index, channel_names=names)

    def time(self, index: int) -> Volume:
        """Take one time point and drop the time axis.

        Raises
        ------
        InputError
            When there is no such time point.
        """
        times = self.sizes.get("T", 1)
        if not -times <= index < times:
            raise InputError(f"time point {index} does not exist; there are {times}")
        return self._take("T", index % times) if "T" in self.axes else self

    def planes(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Read some z planes, and no others.

        Parameters
        ----------
        indices : sequence of int
            Plane numbers, in any order, repeats allowed.

        Returns
        -------
        ndarray
            float32, shape (n, H, W).

        Raises
        ------
        InputError
            When the volume has a time or channel axis, lacks such a plane, or the file
            is damaged there.
        """
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
            return np.asarray(_lazy(self.array)[wanted], dtype=np.float32)

    def numpy(self) -> np.ndarray:
        """Read everything, in the file's own data type and the order of `axes`."""
        with self._readable():
            return np.asarray(self.array[...])

    def with_(self, **changes: Any) -> Volume:
        """Give a copy with some fields replaced; the array itself is shared."""
        if "voxel_size" in changes:
            changes.setdefault("pixel_size", None)
        return replace(self, **changes)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Say which image is damaged where its reader fails half-way."""
        try:
            yield
        except READ_ERRORS as error:
            what = self.source or self.name or "the image"
            raise InputError(
                f"{what} cannot be read to its end ({error}); copy or export it again"
            ) from error

    def _take(self, axis: str, index: int, **changes: Any) -> Volume:
        place = self.axes.index(axis)
        array = _lazy(self.array)[(slice(None),) * place + (index,)]
        axes = self.axes.replace(axis, "")
        return replace(self, array=array, axes=axes, **changes)

    def _channel_index(self, which: str | int) -> int:
        count = self.sizes.get("C", 1)
        names = self.channel_names
        if isinstance(which, str) or not 0 <= which < count:
            # A number that is no index may be a name: channels are called 488 or 561.
            called, folded = str(which), [name.casefold() for name in names]
            if called in names:
                return names.index(called)
            if called.casefold() in folded:
                return folded.index(called.casefold())
        try:
            index = int(which)
        except ValueError:
            index = count  # no number either: falls through to the error
        if 0 <= index < count:
            return index
        listed = ", ".join(
            f"{number} {name!r}" if name else str(number)
            for number, name in enumerate(names or ("",) * count)
        )
        raise InputError(f"there is no channel {which!r}; there are: {listed}")


def _lazy(array: Any) -> Any:
    """Wrap a zarr array, which reads when it is indexed, so that it stays lazy."""
    if isinstance(array, np.ndarray) or hasattr(array, "dask"):
        return array
    import dask.array as da

    chunks = getattr(array, "chunks", None) or "auto"
    return da.from_array(array, chunks=chunks)


def _checked(sizes: Sequence[float], count: int) -> tuple[float, ...]:
    """Give voxel sizes as floats, or say which one cannot be meant."""
    values = tuple(float(size) for size in sizes)
    if len(values) != count or any(
        not math.isfinite(value) or value <= 0 for value in values
    ):
        raise InputError(
            f"voxel size {values} cannot be used; give {count} positive numbers in µm"
        )
    return values
