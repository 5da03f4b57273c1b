"""Read and write safetensors files, header and card first, one tensor at a time.

A file is an 8-byte little-endian length, that many bytes of JSON, then the tensors'
bytes. The header is read without torch, which keeps listing models fast and gives each
way in which a download goes wrong its own message. The safetensors library writes from
a second copy of all weights in memory, up to 800 MB for published networks; here the
bytes are streamed.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.errors import ModelError
from napari_sparsessp.files import ELSEWHERE, atomic_write
from napari_sparsessp.tasks import Progress, no_progress

if TYPE_CHECKING:
    import torch

    from napari_sparsessp.models.card import ModelCard

    Tensors = Mapping[str, torch.Tensor]

CARD_KEY = "card"
"""Key of the card's JSON in the file's metadata."""

LARGEST_HEADER = 100_000_000
"""Bytes; safetensors' own limit."""

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2}
_BYTES |= {"I8": 1, "U8": 1, "BOOL": 1}

# torch's words for them, in the same order.
_WORDS = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool"
_CODES = dict(zip(_WORDS.split(), _BYTES, strict=True))

_CHUNK = 16 * 2**20


@dataclass(frozen=True)
class Header:
    """Header of a safetensors file."""

    metadata: dict[str, str]  # Text by key; the card is under `CARD_KEY`
    # shapes, types, offsets: By tensor name: shape, type in safetensors' words (`F32`,
    # `I64`, …), and first and last byte in the file
    shapes: dict[str, tuple[int, ...]]
    types: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, tuple[int, int]] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """Read the header and check that the file is whole."""
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
        raise ModelError(
            f"cannot read model file {path}: {error.strerror or error}; check the path"
        ) from error
    try:
        raw = json.loads(text.decode())
        metadata = dict(raw.pop("__metadata__", {}))
        if not all(isinstance(value, str) for value in metadata.values()):
            raise TypeError("metadata are texts")
        shapes = {name: tuple(entry["shape"]) for name, entry in raw.items()}
        types = {name: str(entry["dtype"]) for name, entry in raw.items()}
        spans = {name: _checked_span(entry) for name, entry in raw.items()}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise _damaged(path, "its header is not a safetensors header") from error
    data = 8 + length
    end = data + max((stop for _, stop in spans.values()), default=0)
    if end != size:
        raise _damaged(path, f"it has {size} bytes and should have {end}")
    offsets = {
        name: (data + start, data + stop) for name, (start, stop) in spans.items()
    }
    return Header(metadata, shapes, types, offsets)


def refuse_foreign(start: bytes, path: Path) -> None:
    """Raise ModelError for pickles and torch archives, which only importers open."""
    pickled = start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05"
    if pickled or start[:4] == b"PK\x03\x04":
        raise ModelError(
            f"model file {path} is a pickle (.p, .pth, .pt), which is not read as it "
            f"is; import it first: sparsessp models import {path}"
        )


def write_tensors(
    path: Path,
    tensors: Tensors,
    metadata: Mapping[str, str],
    progress: Progress = no_progress,
) -> None:
    """Write a safetensors file atomically."""
    # Large items first and then by name, as the library does: every tensor is aligned.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].numel() * tensors[name].element_size()
        header[name] = {
            "dtype": type_code(tensors[name]),
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    parts = (tensor_bytes(tensors[name]) for name in names)
    _write(path, _header_bytes(header), parts, end, progress)


def copy_weights(
    original: Path,
    target: Path,
    card: ModelCard | None = None,
    progress: Progress = no_progress,
    advice: str = ELSEWHERE,
) -> None:
    """Copy a weights file, bit by bit or with another card."""
    with original.open("rb") as file:
        start = b""
        if card is not None:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
            metadata = header.pop("__metadata__", {})
            metadata[CARD_KEY] = card.to_json(indent=None)
            start = _header_bytes({"__metadata__": metadata, **header})
        size = original.stat().st_size
        chunks = iter(lambda: file.read(_CHUNK), b"")
        _write(target, start, chunks, size, progress, advice)


def _header_bytes(header: Mapping[str, object]) -> bytes:
    """Return the length and the JSON of a header, padded to a multiple of 8 bytes."""
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write(
    path: Path,
    start: bytes,
    parts: Iterable[memoryview | bytes],
    total: int,
    progress: Progress,
    advice: str = ELSEWHERE,
) -> None:
    with atomic_write(path, "model", advice) as part, part.open("wb") as file:
        file.write(start)
        done = 0
        for content in parts:
            file.write(content)
            done += len(content)
            progress(done, max(total, 1), "writing")


def type_code(tensor: torch.Tensor) -> str:
    """Return the name of a tensor's type in safetensors."""
    return _CODES[str(tensor.dtype).removeprefix("torch.")]


def tensor_bytes(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a tensor on the CPU, without a copy where contiguous."""
    import torch

    if not tensor.numel():
        return memoryview(b"")
    flat = tensor.detach().contiguous().reshape(-1)
    if flat.stride(0) != 1:  # one element counts as contiguous whatever its stride
        flat = flat.clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8).numpy().data


def digest_of_tensors(tensors: Tensors) -> str:
    """Return the SHA-256 over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(_title(name, type_code(tensor), tuple(tensor.shape)))
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()


def digest_of_file(path: Path, header: Header) -> str:
    """Return `digest_of_tensors` of a safetensors file, without torch."""
    digest = hashlib.sha256()
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
    ):
        for name in sorted(header.shapes):
            digest.update(_title(name, header.types[name], header.shapes[name]))
            start, end = header.offsets[name]
            for at in range(start, end, _CHUNK):
                with view[at : min(at + _CHUNK, end)] as chunk:
                    digest.update(chunk)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _title(name: str, code: str, shape: tuple[int, ...]) -> bytes:
    extents = ",".join(map(str, shape))
    return f"{name}\0{code}\0{extents}\0{math.prod(shape)}\0".encode()


def _checked_span(entry: dict) -> tuple[int, int]:
    """Return a tensor's first and last byte, if its length fits its shape and type."""
    start, end = entry["data_offsets"]
    if not 0 <= start <= end or any(n < 0 for n in entry["shape"]):
        raise ValueError("offsets or shape out of range")
    size = _BYTES.get(entry["dtype"])
    if size is not None and end - start != size * math.prod(entry["shape"]):
        raise ValueError("length does not fit the shape")
    return start, end


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(f"model file {path} is damaged: {why}; get the file again")
