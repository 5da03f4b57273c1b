"""A packed block that would fill the memory is refused before it does."""

import bz2
import gzip
import lzma
import zlib

import numcodecs
import pytest

from napari_sparsessp.io import zarr_reading as packing

PACKERS = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "Zstandard": numcodecs.Zstd().encode,
    "Blosc": numcodecs.Blosc().encode,
}


@pytest.fixture(autouse=True)
def small_harm(monkeypatch):
    monkeypatch.setattr(packing, "HARMLESS", 10_000)


@pytest.mark.parametrize("name", PACKERS)
def test_what_is_declared_is_let_through_and_more_is_refused(name):
    packed = bytes(PACKERS[name](bytes(range(256)) * 4000))
    packing.check_packed(packed, 256 * 4000, "0/0")
    packed = bytes(PACKERS[name](bytes(5_000_000)))
    with pytest.raises(OSError, match="0/0 unpacks to more"):
        packing.check_packed(packed, 1_000_000, "0/0")
    with pytest.raises(OSError, match="larger than the block"):
        packing.check_packed(bytes(2000), 1000, "0/0")


def test_what_only_looks_packed_is_let_through():
    for magic in (b"\x1f\x8b", b"\x78", b"BZh9", b"\xfd7zXZ\0", b"\x02\x01"):
        packing.check_packed(magic + bytes(range(200, 250)) * 20, 10**6, "0/0")
