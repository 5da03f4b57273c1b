"""Read TensorFlow's checkpoint V2, a "tensor bundle", without TensorFlow.

``PREFIX.index`` is a table in LevelDB's format whose values are protobuf messages, and
``PREFIX.data-…`` hold raw little-endian numbers: nothing in them can be executed. Every
offset and size is checked against the files before it is used, every block and tensor
against its CRC-32C.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from napari_sparsessp.errors import ModelError
from napari_sparsessp.files import user_path
from napari_sparsessp.models.importing.checkpoint import MOST_TENSORS, damaged

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
"""Last bytes of a table."""

FOOTER = 48
LARGEST_INDEX = 16 * 2**20
"""Bytes. A published network with thousands of tensors has 0.2 MB."""

LONGEST_NAME = 1000
MOST_SHARDS = 1000

TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
"""NumPy's types by the numbers of TensorFlow's; others are not read."""


@dataclass(frozen=True)
class Entry:
    """One tensor of a bundle."""

    type: int  # TensorFlow's number of it
    shape: tuple[int, ...]
    file: Path
    offset: int
    size: int  # bytes
    crc: int  # masked CRC-32C of the bytes


def find_index(path: str | Path) -> Path | None:
    """Return the ``.index`` of a bundle's folder, prefix or file; None for others."""
    path = user_path(path)
    if path.is_dir():
        found = sorted(path.glob("*.index"))
        return found[0] if len(found) == 1 else None
    stem = path.name.partition(".data-")[0].removesuffix(".index")
    index = path.with_name(f"{stem}.index")
    return index if index.is_file() else None


def read_tensors(
    index: Path, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, np.ndarray]:
    """Read the tensors whose names are wanted; their bytes are checked."""
    table = read_index(index)
    return {name: _read(table[name], name) for name in table if wanted(name)}


def read_index(index: Path) -> dict[str, Entry]:
    """Read the table of tensors by name; no byte of a tensor is read."""
    try:
        with index.open("rb") as file:
            content = file.read(LARGEST_INDEX + 1)
        if len(content) > LARGEST_INDEX:
            raise ValueError("its index is larger than that of any network")
        if len(content) < FOOTER or not content.endswith(MAGIC):
            raise ValueError("its index does not end like one")
        return _entries(content, index)
    except OSError as error:
        raise ModelError(
            f"cannot read checkpoint {index}: {error.strerror or error}; check the path"
        ) from error
    except ValueError as error:
        raise damaged(index, str(error)) from error


def _entries(content: bytes, index: Path) -> dict[str, Entry]:
    footer = _Bytes(content[-FOOTER:])
    footer.handle()  # of a block that describes the others; it is not needed
    table: dict[str, Entry] = {}
    shards = 0
    for _, handle in _block(content, *footer.handle()):
        for name, value in _block(content, *_Bytes(handle).handle()):
            if not name and not table:
                shards = _shards(value)
                continue
            if not shards or name in table or len(table) >= MOST_TENSORS:
                raise ValueError("its index lists tensors in an odd way")
            table[_checked_name(name)] = _entry(value, index, shards)
    if not table:
        raise ValueError("it holds no tensor")
    return table


def _checked_name(name: str) -> str:
    if not name.isascii() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise ValueError("a tensor has a name that is not valid")
    return name


def _shards(value: bytes) -> int:
    header = dict(_fields(value))
    shards = header.get(1, 1)
    if header.get(2, 0) != 0 or not isinstance(shards, int):
        raise ValueError("its numbers are not little-endian")
    if not 1 <= shards <= MOST_SHARDS:
        raise ValueError(f"it names {shards} data files")
    return shards


def _entry(value: bytes, index: Path, shards: int) -> Entry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: tuple[int, ...] = ()
    for number, content in _fields(value):
        if number == 2 and isinstance(content, bytes):
            shape = _shape(content)
        elif number in numbers and isinstance(content, int):
            numbers[number] = content
        else:
            raise ValueError("it holds variables in parts, which are not read")
    kind, shard, offset, size, crc = numbers.values()
    if shard >= shards:
        raise ValueError("a tensor lies in a data file that there is not")
    if kind in TYPES and size != math.prod(shape) * np.dtype(TYPES[kind]).itemsize:
        raise ValueError("a tensor has more or fewer bytes than its shape")
    stem = index.name.removesuffix(".index")
    file = index.with_name(f"{stem}.data-{shard:05}-of-{shards:05}")
    return Entry(kind, shape, file, offset, size, crc)


def _shape(content: bytes) -> tuple[int, ...]:
    extents: list[int] = []
    for number, dimension in _fields(content):
        if number != 2 or not isinstance(dimension, bytes):
            raise ValueError("a tensor has no shape")
        extent = dict(_fields(dimension)).get(1, 0)
        if not isinstance(extent, int) or extent >= 2**40 or len(extents) >= 8:
            raise ValueError("a tensor has a shape that cannot be")
        extents.append(extent)
    return tuple(extents)


def _read(entry: Entry, name: str) -> np.ndarray:
    if entry.type not in TYPES:
        raise damaged(entry.file, f"{name} holds no numbers")
    try:
        with entry.file.open("rb") as file:
            if entry.offset + entry.size > entry.file.stat().st_size:
                raise damaged(entry.file, f"it ends before {name}")
            file.seek(entry.offset)
            content = file.read(entry.size)
    except OSError as error:
        raise ModelError(
            f"cannot read {entry.file}, which belongs to the checkpoint: "
            f"{error.strerror or error}; put it beside the .index"
        ) from error
    if _masked_crc(content) != entry.crc:
        raise damaged(entry.file, f"the bytes of {name} have changed")
    return np.frombuffer(content, TYPES[entry.type]).reshape(entry.shape)


# LevelDB's table and protobuf's messages --------------------------------------------


class _Bytes:
    """Bytes that are taken one after another, and never beyond their end."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if self.at > len(self.content):
            raise ValueError("its index points beyond its end")
        return self.content[start : self.at]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 64, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("its index holds a number that has no end")

    def handle(self) -> tuple[int, int]:
        """Offset and size of a block."""
        return self.varint(), self.varint()


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[str, bytes]]:
    """Yield the keys and values of a block; keys leave out what they share."""
    whole = _Bytes(content)
    whole.at = min(offset, len(content))
    block = whole.take(size)
    ending = whole.take(5)
    if ending[0]:
        raise ValueError("its index is compressed, which is not read")
    if _masked_crc(block + ending[:1]) != int.from_bytes(ending[1:], "little"):
        raise ValueError("the bytes of its index have changed")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or end < 0:
        raise ValueError("its index points beyond its end")
    entries, key = _Bytes(block[:end]), b""
    while entries.at < end:
        shared, own, length = (entries.varint() for _ in range(3))
        if shared > len(key) or shared + own > LONGEST_NAME:
            raise ValueError("a tensor has a name that is not valid")
        key = key[:shared] + entries.take(own)
        yield key.decode("latin-1"), entries.take(length)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protobuf message: numbers, or bytes."""
    rest = _Bytes(message)
    while rest.at < len(message):
        key = rest.varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, rest.varint()
        elif kind == 2:
            yield number, rest.take(rest.varint())
        elif kind in (1, 5):
            yield number, int.from_bytes(rest.take(8 if kind == 1 else 4), "little")
        else:
            raise ValueError("its index holds a field of an unknown kind")


def _masked_crc(content: bytes) -> int:
    """CRC-32C as LevelDB stores it: turned and moved."""
    crc = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
