"""Write TensorFlow's checkpoint V2, for tests that read it."""

import struct

import google_crc32c
import numpy as np

from napari_sparsessp.models.importing.tensorflow import MAGIC, TYPES

NUMBERS = {np.dtype(name): number for number, name in TYPES.items()}
SOME = {
    "a/kernel": np.arange(6, dtype="<f4").reshape(2, 3),
    "a/kernel/Adam": np.ones((2, 3), "<f4"),
    "b/steps": np.array(7, "<i8"),
}


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number, value):
    """A field of a protobuf message: a number, or bytes behind their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def masked(content):
    crc = google_crc32c.value(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def block(pairs):
    """A block of a table; each key leaves out what it shares with the one before."""
    out, before = b"", b""
    for key, value in pairs:
        shared = next(
            (k for k, (a, b) in enumerate(zip(before, key, strict=False)) if a != b),
            min(len(before), len(key)),
        )
        lengths = map(varint, (shared, len(key) - shared, len(value)))
        out += b"".join(lengths) + key[shared:] + value
        before = key
    return out + struct.pack("<2I", 0, 1)


def entry(array, offset, **changes):
    shape = b"".join(field(2, field(1, extent)) for extent in array.shape)
    numbers = {"dtype": NUMBERS[array.dtype], "offset": offset, "size": array.nbytes}
    numbers |= changes
    message = field(1, numbers["dtype"]) + field(2, shape)
    message += field(4, numbers["offset"]) + field(5, numbers["size"])
    return message + varint(6 << 3 | 5) + masked(array.tobytes())


def write(folder, tensors=SOME, header=None, ending=b"\0", **changes):
    """A bundle of one data file; its index has a block for each tensor."""
    out, data, handles = b"", b"", []

    def put(pairs):
        nonlocal out
        content = block(pairs)
        place = varint(len(out)) + varint(len(content))
        out += content + ending + masked(content + ending)
        return place

    handles.append((b"", put([(b"", field(1, 1) if header is None else header)])))
    for name in sorted(tensors):
        place = {"offset": len(data), **changes}
        pair = (name.encode(), entry(tensors[name], **place))
        data += tensors[name].tobytes()
        handles.append((pair[0], put([pair])))
    meta = put([])
    footer = (meta + put(handles)).ljust(40, b"\0") + MAGIC
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(data)
    index = folder / "model.ckpt.index"
    index.write_bytes(out + footer)
    return index
