"""TIFFs of every kind of number and axis, and TIFFs that lie about themselves."""

import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile

from hostile.desk import STACK, Case, Desk

SMALL = np.clip(STACK // 16, 0, 255)
"""The stack in 8 bits."""

HALVES = np.median(STACK) < STACK


def _kind(array, **options):
    def make(desk: Desk):
        return desk.predict(desk.tiff(array, metadata={"axes": "ZYX"}, **options))

    return make


def _axes(axes):
    """The stack with its axes in another order."""

    def make(desk: Desk):
        letters = "ZYX"
        array = STACK
        for axis in axes:
            if axis not in letters:
                letters, array = letters + axis, array[..., None]
        array = array.transpose([letters.index(axis) for axis in axes])
        ome = axes.endswith("YX")  # its header allows no other
        path = desk.path("axes.ome.tif" if ome else "axes.tif")
        metadata = {"axes": axes}
        tifffile.imwrite(
            path, array, ome=ome, metadata=metadata, photometric="minisblack"
        )
        return desk.predict(path)

    return make


def declared(
    path: Path,
    width: int,
    height: int,
    *,
    pixels: bytes = b"\0" * 64,
    counted: int | None = None,
    compression: int = 1,
    pages: int = 1,
    bits: int = 16,
    following: int | None = None,
) -> Path:
    """A TIFF by hand, whose tags say what they like.

    `counted` is the length that it claims for its pixels, `following` where the page
    after the last one is said to be.
    """
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    content = head + pixels
    for page in range(pages):
        tags = [
            (256, 4, width),
            (257, 4, height),
            (258, 3, bits),
            (259, 3, compression),
            (262, 3, 1),
            (273, 4, 8),
            (277, 3, 1),
            (278, 4, height),
            (279, 4, len(pixels) if counted is None else counted),
        ]
        end = len(content) + 2 + 12 * len(tags) + 4
        after = end if page < pages - 1 else (following or 0)
        content += struct.pack("<H", len(tags))
        for code, kind, value in tags:
            content += struct.pack("<HHII", code, kind, 1, value)
        content += struct.pack("<I", after)
    path.write_bytes(content)
    return path


def _declared(*size, **options):
    def make(desk: Desk):
        path = declared(desk.path("lies.tif"), *size, **options)
        return desk.predict(path, "--ratio", 4)

    return make


def _bomb(desk: Desk):
    """A real zlib stream of 200 MB of zeros in 200 kB, for a plane of 20 000²."""
    pixels = zlib.compress(bytes(200_000_000), 9)
    return desk.predict(
        declared(desk.path("bomb.tif"), 20_000, 20_000, pixels=pixels, compression=8),
        *("--ratio", 4),
    )


def _more_than_declared(desk: Desk):
    """The same stream for a plane of 24 × 24: what is too much is not unpacked."""
    pixels = zlib.compress(bytes(100_000_000), 9)
    return desk.predict(
        declared(desk.path("bomb.tif"), 24, 24, pixels=pixels, compression=8, pages=3)
    )


def _damaged_zip(desk: Desk):
    path = desk.tiff(STACK, compression="zlib")
    with tifffile.TiffFile(path) as opened:
        start = opened.pages[2].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 40] = bytes(40)
    return desk.predict(desk.text(bytes(content), path.name))


def _constant(desk: Desk):
    return desk.predict(desk.tiff(np.full_like(STACK, 7)))


def _big_offset(offset, kind):
    return STACK.astype(kind) + np.array(offset, kind)


def _with(value):
    array = STACK.astype(np.float32)
    array[2, 3, 4] = value
    return array


def _planar_colours(desk: Desk):
    array = np.stack([SMALL] * 3, 1).astype(np.uint8)
    return desk.predict(
        desk.tiff(array, photometric="rgb", planarconfig="separate", metadata=None)
    )


ASSUMED = "pixel size is unknown.*|z step is unknown.*"

CASES = [
    *(
        Case(f"{name} values", _kind(array, **options), ASSUMED, accepted=True,
             like=STACK if like is None else like)
        for name, array, like, options in (
            ("big-endian", STACK, None, {"byteorder": ">"}),
            ("uint8", SMALL.astype("u1"), SMALL, {}),
            ("int8", (SMALL - 128).astype("i1"), SMALL, {}),
            ("int16", STACK.astype("i2"), None, {}),
            ("int32 below zero", STACK.astype("i4") - 5000, None, {}),
            ("int64", STACK.astype("i8"), None, {}),
            ("uint64 above 2⁵³, in steps of 2⁴⁰", STACK.astype("u8") << 40, None, {}),
            ("float16", SMALL.astype("f2"), SMALL, {}),
            ("float64", STACK.astype("f8") * 1e-3, None, {}),
            ("float64 around 1e-30", STACK * 1e-30, None, {}),
            ("float64 around 1e30", STACK * 1e26, None, {}),
            ("float32, big-endian", STACK.astype("f4"), None, {"byteorder": ">"}),
            ("two (bilevel)", HALVES, HALVES, {}),
            ("zlib-packed", STACK, None, {"compression": "zlib"}),
            ("LZW-packed", STACK, None, {"compression": "lzw"}),
            ("tiled BigTIFF", STACK, None, {"bigtiff": True, "tile": (16, 16)}),
        )
    ),
    *(
        Case(f"axes {axes}", _axes(axes), ASSUMED, accepted=True)
        for axes in ("XYZ", "XZY", "YXZ", "ZXY", "TZCYX", "CTZYX", "ZTCYX", "TCZYX")
    ),
    Case("complex values", _kind(STACK.astype("c8")), "complex64"),
    Case("uint64 above 2⁵³, one apart", _kind(_big_offset(2**60, "u8")),
         "constant"),
    Case("counts on an offset of 2³¹ (uint32)", _kind(_big_offset(2**31, "u4")), "far"),
    Case("float64 around 1e300", _kind(STACK * 1e296), "infinite|large|range"),
    Case("one value that is not a number", _kind(_with(np.nan)), "1 NaN or infinite"),
    Case("one infinite value", _kind(_with(np.inf)), "1 NaN or infinite"),
    Case("one value of 1e38", _kind(_with(1e38)), ".*", accepted=True, like=None),
    Case("a constant image", _constant, "constant"),
    Case("colours in planes of their own", _planar_colours, "colour"),
    Case("packed pixels damaged in the middle", _damaged_zip, "damaged|to its end"),
    Case("a plane of 10⁶ × 10⁶ in 200 bytes", _declared(10**6, 10**6), "declares"),
    Case("the same, which claims that its pixels are packed",
         _declared(10**6, 10**6, compression=8), "declares"),
    Case("the same with a length of pixels that it does not have",
         _declared(10**6, 10**6, counted=2**31), "declares"),
    Case("a plane without width", _declared(0, 24), "cannot be read|no pixels"),
    Case("a packed plane that unpacks to 400 MB of zeros in 200 kB", _bomb,
         "declares|to its end"),
    Case("packed planes that unpack to more than they declare", _more_than_declared,
         "constant|cannot be read|damaged"),
    Case("pages in a ring", _declared(8, 4, pages=3, following=72),
         "cannot be read|truncated|damaged"),
    Case("a page after the last, outside of the file",
         _declared(8, 4, pages=2, following=10**6), "truncated"),
    Case("an unknown compression", _declared(8, 4, compression=60_000),
         "cannot be read|damaged"),
    Case("values of 77 bits", _declared(8, 4, bits=77), "cannot be read|damaged|holds"),
]  # fmt: skip
