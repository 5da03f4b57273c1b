"""The header of a safetensors file, read and checked without torch.

A file is an 8-byte little-endian length, that many bytes of JSON, then the tensors'
bytes. Reading it by hand keeps listing models fast, and gives each way in which a
download goes wrong its own message.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from napari_sparsessp.errors import ModelError

CARD_KEY = "card"
"""Key of the card's JSON in the file's metadata."""

LARGEST_HEADER = 100_000_000
"""Bytes; safetensors' own limit."""

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2}
_BYTES |= {"I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself.

    Attributes
    ----------
    metadata : dict
        Free text by key; the card is under `CARD_KEY`.
    shapes : dict
        Shape of each tensor by name.
    types : dict
        Type of each tensor by name, in safetensors' words: ``F32``, ``I64``, …
    offsets : dict
        Where each tensor's bytes begin and end in the file.
    """

    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    types: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, tuple[int, int]] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """Read the header and check that the file is whole.

    Raises
    ------
    ModelError
        The file is missing, unreadable, truncated, a pickle, or something else.
    """
    try:
        if path.is_fifo() or path.is_char_device():  # opening it could wait for ever
            raise _damaged(path, "it is a pipe or a device")
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            # Headers of some lengths begin like a pickle; their bytes are all there.
            if size < 8 or length > min(size - 8, LARGEST_HEADER):
                refuse_foreign(start, path)
                raise _damaged(path, "its header is cut off or is not safetensors")
            text = file.read(length)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(
            f"cannot read model file {path}: {reason}; check the path"
        ) from error
    try:
        raw = json.loads(text.decode())
        metadata = dict(raw.pop("__metadata__", {}))
        if not all(isinstance(value, str) for value in metadata.values()):
            raise TypeError("metadata are texts")
        shapes = {name: tuple(entry["shape"]) for name, entry in raw.items()}
        types = {name: str(entry["dtype"]) for name, entry in raw.items()}
        end = max((_checked_end(entry) for entry in raw.values()), default=0)
        offsets = {name: _place(entry, 8 + length) for name, entry in raw.items()}
    except (
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise _damaged(path, "its header is not a safetensors header") from error
    if 8 + length + end != size:
        raise _damaged(path, f"it has {size} bytes and should have {8 + length + end}")
    return Header(metadata, shapes, types, offsets)


def refuse_foreign(start: bytes, path: Path) -> None:
    """Say clearly that pickles and torch archives are not read here.

    A pickle runs whatever code its author put in. Only the importers open some, with
    a reader that runs nothing.
    """
    pickled = start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05"
    if pickled or start[:4] == b"PK\x03\x04":
        raise ModelError(
            f"model file {path} is a pickle (.p, .pth, .pt), which is not read as it "
            f"is; import it first: sparsessp models import {path}"
        )


def _checked_end(entry: dict) -> int:
    """Offset behind a tensor's last byte, if its length fits its shape and type."""
    start, end = entry["data_offsets"]
    if not 0 <= start <= end or any(n < 0 for n in entry["shape"]):
        raise ValueError("offsets or shape out of range")
    size = _BYTES.get(entry["dtype"])
    if size is not None and end - start != size * math.prod(entry["shape"]):
        raise ValueError("length does not fit the shape")
    return end


def _place(entry: dict, data: int) -> tuple[int, int]:
    start, end = entry["data_offsets"]
    return data + start, data + end


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(f"model file {path} is damaged: {why}; get the file again")
