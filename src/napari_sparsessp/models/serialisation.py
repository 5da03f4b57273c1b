"""Weights to and from the bytes of a safetensors file, one tensor at a time.

The safetensors library writes from a second copy of all weights in memory; a published
network has up to 800 MB of them. The format is simple enough to write it as it comes:
eight bytes of length, a JSON header, then the tensors' bytes.
"""

import hashlib
import json
import math
import mmap
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.models.header import Header

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, "torch.Tensor"]
Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""

_CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}

_CHUNK = 64 * 2**20


def write_tensors(
    path: Path,
    tensors: Tensors,
    metadata: Mapping[str, str],
    progress: Progress | None = None,
) -> None:
    """Write a safetensors file in one step: a half file is never found.

    Parameters
    ----------
    path : Path
        Replaced if it is there.
    tensors : mapping of str to Tensor
        On the CPU.
    metadata : mapping of str to str
    progress : callable, optional

    Raises
    ------
    OSError
        It cannot be written.
    """
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
    write_parts(path, header_bytes(header), parts, end, progress)


def header_bytes(header: Mapping[str, object]) -> bytes:
    """Give the length and the JSON of a header, padded to a multiple of 8 bytes."""
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write_parts(
    path: Path,
    start: bytes,
    parts: Iterable[memoryview | bytes],
    total: int,
    progress: Progress | None = None,
) -> None:
    """Write under another name and rename.

    Raises
    ------
    OSError
        It cannot be written; nothing is left of it then.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(start)
            done = 0
            for content in parts:
                file.write(content)
                done += len(content)
                if progress is not None:
                    progress("writing", done / max(total, 1))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def type_code(tensor: "torch.Tensor") -> str:
    """Name of a tensor's type in safetensors."""
    return _CODES[str(tensor.dtype).removeprefix("torch.")]


def tensor_bytes(tensor: "torch.Tensor") -> memoryview:
    """Bytes of a tensor on the CPU; no copy where it is contiguous."""
    import torch

    if not tensor.numel():
        return memoryview(b"")
    flat = tensor.detach().contiguous().reshape(-1)
    if flat.stride(0) != 1:  # one element counts as contiguous whatever its stride
        flat = flat.clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8).numpy().data


def digest_of_tensors(tensors: Tensors) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(_title(name, type_code(tensor), tuple(tensor.shape)))
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()


def digest_of_file(path: Path, header: Header) -> str:
    """`digest_of_tensors` of what a safetensors file holds, without torch."""
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


def _title(name: str, code: str, shape: tuple[int, ...]) -> bytes:
    extents = ",".join(map(str, shape))
    return f"{name}\0{code}\0{extents}\0{math.prod(shape)}\0".encode()
