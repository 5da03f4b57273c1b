"""How much packed bytes unpack to, known before they are unpacked."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

HARMLESS = 2**28
"""Bytes that may be unpacked without a question."""

# What the most monotonous content packs to; zlib's bound is that of its format.
_TIGHTEST = {b"\x1f\x8b": 1032, b"\x78": 1032, b"BZh": 50_000, b"\xfd7zXZ": 7_000}

_UNPACKERS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"\x78": zlib.decompressobj,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
}

_PIECE = 2**24


def check_packed(content: bytes, largest: int, name: str) -> None:
    """Refuse a packed block that would unpack to more than is declared.

    Blocks of Blosc and Zstandard say their length. Those of zlib, gzip, bzip2 and
    xz are unpacked for a trial, piece by piece, where they could become large.

    Parameters
    ----------
    content : bytes
        Packed or not; what is not is let through.
    largest : int
        Bytes that it may unpack to.
    name : str
        Of the block, for the message.

    Raises
    ------
    OSError
        It is larger, packed or unpacked.
    """
    if len(content) > largest:
        raise OSError(f"{name} is larger than the block that is declared")
    declared = _declared(content)
    if declared is not None:
        too_large = declared > max(largest, HARMLESS)
    else:
        too_large = _trial(content, largest)
    if too_large:
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
    magic = next((one for one in _UNPACKERS if content.startswith(one)), None)
    if magic is None or len(content) * _TIGHTEST[magic] <= max(largest, HARMLESS):
        return False
    unpacker, total = _UNPACKERS[magic](), 0
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
