"""Open OME-Zarr 0.4 and 0.5 from plain files inside the folder only.

Whoever made the folder chose every name and number in its metadata: a data set could
lie outside, a chunk could be a pipe that nobody writes to, a codec could be a pickle.
"""

from __future__ import annotations

import bz2
import lzma
import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.calibration import Calibration, Source, choose_scene, from_ngff
from napari_sparsessp.volume import listed_names

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype
    from zarr.storage import LocalStore


METADATA = ("zarr.json", ".zgroup", ".zattrs")
"""A Zarr group's folder has at least one of these files."""

LARGEST_METADATA = 64 * 2**20
"""Bytes of such a file; consolidated metadata of large plates has some 10 MB."""

LARGEST_CHUNK = 4 * 2**30
"""Bytes. A chunk is decoded as a whole, whatever little of it is needed."""

MOST_CHUNKS = 10_000_000
"""Of one image: each is an entry of a table in memory."""

_CODE = ("pickle", "json2", "msgpack2")
"""Codecs of Python objects; the first is a program that would be run."""


def open_zarr(path: Path, scene: str | int | None) -> Source:
    """Open an image of an OME-Zarr folder."""
    group, attributes, image = _open_group(path)
    plate = isinstance(image, Mapping) and image.get("plate")
    if plate or is_series(path):
        names = _fields(path, plate) if plate else _series(path)
        if plate and scene is None and len(names) > 1:
            raise InputError(
                f"{path.name} is a plate of {len(names)} fields (row/column/field); "
                f"choose one as the scene: {listed_names(names, len(names))}"
            )
        index = choose_scene(names, scene)
        source = open_zarr(series_folder(path, names[index]), None)
        return replace(source, scene=names[index] if len(names) > 1 else "")
    if not isinstance(image, Mapping) or "multiscales" not in image:
        raise InputError(
            f"{path.name} is no image; give the folder of one OME-Zarr image"
        )
    scales = image["multiscales"]
    if not isinstance(scales, list) or not scales:
        raise _odd(path, "its multiscales are no list of images")
    names = tuple(str(scale.get("name") or "") for scale in scales)
    if not all(names) or len(set(names)) < len(names):
        names = tuple(f"Image:{number}" for number in range(len(names)))
    index = choose_scene(names, scene)
    array = _array(group, _places(scales[index])[0], path)
    return Source(
        array,
        _axes(scales[index], array.ndim, path),
        _channel_names(image),
        _calibration(attributes, index, path),
        names[index] if len(names) > 1 else "",
    )


def open_pyramid(path: Path) -> tuple[list[Any], str]:
    """Open all levels of a folder's first image.

    The finest first, and a letter for each of their axes.
    """
    source = open_zarr(path, None)
    group, _, image = _open_group(path)
    places = _places(image["multiscales"][0])
    finer = [_array(group, place, path) for place in places[1:]]
    return [source.array, *finer], source.axes


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a Zarr group."""
    return dict(_open_group(path)[1])


def is_image(path: Path) -> bool:
    """Return whether a Zarr group is a readable image, or a series of them."""
    image = _open_group(path)[2]
    return isinstance(image, Mapping) and (
        "multiscales" in image or "bioformats2raw.layout" in image
    )


def is_series(path: Path) -> bool:
    """Return whether a folder holds several images in the layout of bioformats2raw."""
    image = _open_group(path)[2]
    is_layout = isinstance(image, Mapping) and "bioformats2raw.layout" in image
    return is_layout and "multiscales" not in image


def series_folder(path: Path, name: str) -> Path:
    """Return the folder of an image of a series."""
    place = path / name
    if not place.resolve().is_relative_to(path.resolve()):
        raise _odd(path, f"its image {name[:80]!r} lies outside of the folder")
    if not any((place / file).exists() for file in METADATA):
        raise _odd(path, f"its image {name[:80]!r} is not there")
    return place


def _series(path: Path) -> tuple[str, ...]:
    """Names of a series' images: as they are listed, else numbers from 0."""
    if any((path / "OME" / file).exists() for file in METADATA):
        image = _open_group(path / "OME")[2]
        listed = image.get("series") if isinstance(image, Mapping) else None
        if isinstance(listed, list) and listed:
            return tuple(str(name) for name in listed)
    numbers = takewhile(lambda n: (path / str(n)).is_dir(), count())
    names = tuple(str(number) for number in numbers)
    if not names:
        raise _odd(path, "it holds no image")
    return names


def _fields(path: Path, plate: Any) -> tuple[str, ...]:
    """Names of a plate's images: row/column/field."""
    names = []
    for well in (str(well["path"]) for well in plate["wells"]):
        image = _open_group(series_folder(path, well))[2]
        names += [f"{well}/{field['path']}" for field in image["well"]["images"]]
    if not names:
        raise _odd(path, "it is a plate without images")
    return tuple(names)


def _open_group(path: Path) -> tuple[Any, Any, Any]:
    """Return a group, its attributes, and their part on images."""
    import zarr

    store = _store(path)
    group = zarr.open_group(store, mode="r", use_consolidated=False)
    attributes: Any = group.attrs.asdict()
    return group, attributes, attributes.get("ome") or attributes


def _places(scale: Any) -> list[str]:
    return [str(level["path"]) for level in scale["datasets"]]


def _array(group: Any, place: str, path: Path) -> Any:
    """Open a level as a dask array, a block for each chunk."""
    import dask.array as da
    import zarr

    if place.startswith(("/", "\\")) or ".." in place.replace("\\", "/").split("/"):
        raise _odd(path, f"its data set {place[:80]!r} lies outside of the folder")
    array = group[place]
    if not isinstance(array, zarr.Array):
        raise _odd(path, f"its data set {place[:80]!r} is no array")
    _check_codecs(array, path)
    whole = array.dtype.itemsize * math.prod(array.chunks)
    if not 0 < whole <= LARGEST_CHUNK:
        raise _odd(path, f"a single chunk of it has {whole / 2**30:.3g} GiB")
    blocks = math.prod(
        -(-size // chunk) for size, chunk in zip(array.shape, array.chunks, strict=True)
    )
    if blocks > MOST_CHUNKS:
        raise _odd(path, f"it declares {blocks:.3g} chunks")
    group.store.largest = max(whole + whole // 8 + 2**16, group.store.largest or 0)
    return da.from_array(array, chunks=array.chunks, name=False)


def _check_codecs(array: Any, path: Path) -> None:
    text = str(array.metadata.to_dict()).lower()
    if array.dtype.kind not in "buifc" or any(f"'{name}'" in text for name in _CODE):
        raise _odd(path, "it stores objects and not numbers, and could run code")


def _axes(scale: Any, dimensions: int, path: Path) -> str:
    """Return a letter for each dimension; versions before 0.3 had TCZYX and no list."""
    axes = scale.get("axes") or list("tczyx"[-dimensions:])
    letters = [_letter(axis) for axis in axes]
    if not len(axes) == len(set(letters)) == dimensions:
        listed = ", ".join(letter[:20] for letter in letters[:8])
        raise _odd(path, f"{dimensions} dimensions have the axes {listed}")
    if any(len(letter) != 1 for letter in letters):
        raise _odd(path, f"its axes are called {', '.join(letters)[:80]}")
    return "".join(letters)


def _letter(axis: Any) -> str:
    """Time and channel are known by their type, the axes of space by their name."""
    if not isinstance(axis, Mapping):
        return str(axis).upper()
    kinds = {"time": "T", "channel": "C"}
    return kinds.get(str(axis.get("type")), str(axis.get("name")).upper())


def _channel_names(image: Mapping[str, Any]) -> list[str]:
    omero = image.get("omero")
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(channels, list):
        return []
    return [
        str(channel.get("label") or "") if isinstance(channel, Mapping) else ""
        for channel in channels
    ]


def _calibration(attributes: Any, index: int, path: Path) -> Calibration:
    try:
        return from_ngff(attributes, index)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _odd(path, "its coordinate transformations do not fit") from error


def _odd(path: Path, why: str) -> InputError:
    return InputError(f"{path.name} cannot be read: {why}; export it again")


def _store(path: Path) -> LocalStore:
    """Return a Zarr store of a folder that reads plain files and nothing else."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import LocalStore

    class PlainFiles(LocalStore):
        largest: int | None = None

        async def get(
            self,
            key: str,
            prototype: BufferPrototype | None = None,
            byte_range: ByteRequest | None = None,
        ) -> Buffer | None:
            _check_file(self.root, key)
            content = await super().get(
                key, prototype or default_buffer_prototype(), byte_range
            )
            if content is not None and self.largest is not None:
                check_packed(content.to_bytes(), self.largest, key)
            return content

        async def get_partial_values(
            self,
            prototype: BufferPrototype,
            key_ranges: Iterable[tuple[str, ByteRequest | None]],
        ) -> list[Buffer | None]:
            return [await self.get(key, prototype, part) for key, part in key_ranges]

    return PlainFiles(path.resolve(), read_only=True)


def _check_file(root: Path, key: str) -> None:
    """Refuse pipes and devices, whose end never comes, and absurd metadata."""
    file = root / key
    if not file.exists() or file.is_dir():
        return
    if not file.is_file():
        raise OSError(f"{key} is a pipe or a device")
    metadata = key.rpartition("/")[2] in (*METADATA, ".zarray")
    if metadata and file.stat().st_size > LARGEST_METADATA:
        raise OSError(f"{key} is too large")


# Decompression bombs ------------------------------------------------------------------

HARMLESS = 2**28
"""Bytes that may be unpacked unchecked."""

# By magic: how tight the most monotonous content packs (zlib's bound is that of its
# format), and what unpacks it.
_PACKERS: dict[bytes, tuple[int, Callable[[], Any]]] = {
    b"\x1f\x8b": (1032, lambda: zlib.decompressobj(wbits=31)),
    b"\x78": (1032, zlib.decompressobj),
    b"BZh": (50_000, bz2.BZ2Decompressor),
    b"\xfd7zXZ": (7_000, lzma.LZMADecompressor),
}

_PIECE = 2**24


def check_packed(content: bytes, largest: int, name: str) -> None:
    """Refuse a packed block that would unpack to more than is declared.

    Blocks of Blosc and Zstandard say their length. Those of zlib, gzip, bzip2 and
    xz are unpacked for a trial, piece by piece, where they could become large.
    """
    if len(content) > largest:
        raise OSError(f"{name} is larger than the block that is declared")
    declared = _declared(content)
    bound = max(largest, HARMLESS)
    if _trial(content, largest) if declared is None else declared > bound:
        raise OSError(f"{name} unpacks to more than the block that is declared")


def _declared(content: bytes) -> int | None:
    """Length that a Zstandard or Blosc block says of itself."""
    if content[:4] == b"\x28\xb5\x2f\xfd" and len(content) > 4:
        return _zstandard(content)
    # Blosc 1: version 2, then its compressor's, flags, type size and three lengths.
    if content[:1] == b"\x02" and len(content) >= 16:
        packed = int.from_bytes(content[12:16], "little")
        if packed == len(content):
            return int.from_bytes(content[4:8], "little")
    return None


def _zstandard(content: bytes) -> int | None:
    """Frame_Content_Size of RFC 8878, section 3.1.1.1; None where it is left out."""
    descriptor = content[4]
    single = bool(descriptor & 0x20)
    length = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    start = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    if not length or len(content) < start + length:
        return None
    size = int.from_bytes(content[start : start + length], "little")
    return size + 256 if length == 2 else size


def _trial(content: bytes, largest: int) -> bool:
    """Unpack piece by piece, and stop where it is too much."""
    magic = next((start for start in _PACKERS if content.startswith(start)), b"")
    tightest, make = _PACKERS.get(magic, (0, None))
    if make is None or len(content) * tightest <= max(largest, HARMLESS):
        return False
    unpacker, total = make(), 0
    try:
        while not unpacker.eof and total <= largest:
            piece = unpacker.decompress(content, _PIECE)
            content = getattr(unpacker, "unconsumed_tail", b"")
            if not piece:
                break
            total += len(piece)
    except (EOFError, OSError, zlib.error, lzma.LZMAError):
        return False  # not packed after all, or damaged: its reader will say so
    return total > largest
