"""OME-XML headers: bombs, lies, odd names and sizes that nobody can mean."""

import tifffile

from hostile.desk import STACK, Case, Desk
from images import STEP, write_stack

LAUGHS = "<!DOCTYPE OME [<!ENTITY a0 'ha'>{}]>".format(
    "".join(f"<!ENTITY a{level} '{f'&a{level - 1};' * 10}'>" for level in range(1, 12))
)

OUTSIDE = "<!DOCTYPE OME [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"

NAMESPACE = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'


def ome(body: str, *, before: str = "", name: str = "x", **pixels) -> str:
    """An OME-XML header with attributes of Pixels that say what they like."""
    fields = {
        "ID": "Pixels:0", "Type": "uint16", "DimensionOrder": "XYZCT",
        "SizeX": 24, "SizeY": 24, "SizeZ": 4, "SizeC": 1, "SizeT": 1,
        "PhysicalSizeX": STEP, "PhysicalSizeY": STEP, "PhysicalSizeZ": STEP,
    } | pixels  # fmt: skip
    said = " ".join(f'{key}="{value}"' for key, value in fields.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<OME {NAMESPACE}>'
        f'<Image ID="Image:0" Name="{name}"><Pixels {said}>{body}</Pixels></Image>'
        "</OME>"
    )


CHANNEL = '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
DATA = f"{CHANNEL}<TiffData/>"


def header(xml: str, *options, name: str = "ome.ome.tif"):
    """The stack in pages, under this header."""

    def make(desk: Desk):
        with tifffile.TiffWriter(desk.path(name)) as tif:
            for page, plane in enumerate(STACK):
                text = xml.encode() if page == 0 else None
                tif.write(plane, description=text, contiguous=False, metadata=None)
        return desk.predict(desk.path(name), *options)

    return make


def _sized(**fields):
    return header(ome(DATA, **fields), "--ratio", 1)


def _all_sized(size):
    return _sized(PhysicalSizeX=size, PhysicalSizeY=size, PhysicalSizeZ=size)


def _unit(size, unit):
    sizes = {f"PhysicalSize{axis}": size for axis in "XYZ"}
    units = {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    return _sized(**sizes, **units)


def _channels(*names, options=()):
    def make(desk: Desk):
        array = STACK[None].repeat(len(names), 0)
        path = desk.path("channels.ome.tif")
        write_stack(path, array, "CZYX", channels=list(names))
        return desk.predict(path, *options)

    return make


def _elsewhere(desk: Desk):
    """A header that takes its pixels from a file outside of its folder."""
    (desk.path("inner")).mkdir()
    write_stack(desk.path("secret.ome.tif"), STACK[::-1].copy())
    data = (
        f'{CHANNEL}<TiffData IFD="0" PlaneCount="4">'
        '<UUID FileName="../secret.ome.tif">urn:uuid:1</UUID></TiffData>'
    )
    return header(ome(data), name="inner/ome.ome.tif")(desk)


def _huge_plane(desk: Desk):
    return header(ome(DATA, SizeX=10**6, SizeY=10**6))(desk)


UNKNOWN = "the pixel size is unknown"

CASES = [
    Case("an entity bomb (a billion laughs)",
         header(ome(DATA, before=LAUGHS, name="&a11;")), "DOCTYPE"),
    Case("an external entity (a file of the reader's)",
         header(ome(DATA, before=OUTSIDE, name="&x;")), "DOCTYPE"),
    Case("a header that is no XML", header("<OME <Image"), UNKNOWN, accepted=True),
    Case("a header cut in the middle", header(ome(DATA)[:300]), UNKNOWN, accepted=True),
    Case("a header of 10 000 elements in each other",
         header(ome(DATA + "<a>" * 10_000 + "</a>" * 10_000)), "",
         accepted=True),
    Case("a header without pixels", header(f"<OME {NAMESPACE}/>"), UNKNOWN,
         accepted=True),
    Case("more planes in the header than in the file", header(ome(DATA, SizeZ=9)),
         "planes 4–8 are empty", accepted=True, like=None),
    Case("10⁹ planes in the header", header(ome(DATA, SizeZ=10**9)), "declares"),
    Case("10⁹ channels in the header", header(ome(DATA, SizeC=10**9)), "declares"),
    Case("a plane of 10⁶ × 10⁶ in the header", _huge_plane, "declares"),
    Case("a size below zero in the header", header(ome(DATA, SizeX=-24)), "",
         accepted=True),
    Case("pixels that are taken from a file outside of the folder", _elsewhere,
         "outside of its folder"),
    *(Case(f"a voxel of {name}", _all_sized(size), UNKNOWN, accepted=True)
      for name, size in (("NaN", "NaN"), ("infinite size", "INF"), ("size 0", 0),
                         ("size −1", -1), ("size 1e30", 1e30), ("size 1e-30", 1e-30),
                         ("size “big”", "big"))),
    Case("voxels of 290 nm", _unit(290, "nm"), "", accepted=True),
    Case("voxels of 0.00029 mm", _unit(0.00029, "mm"), "", accepted=True),
    Case("voxels of 0.29 “pixel”", _unit(0.29, "pixel"), UNKNOWN, accepted=True),
    Case("voxels of 0.29 of a unit that nobody knows", _unit(0.29, "furlong"), UNKNOWN,
         accepted=True),
    Case("two channels, none chosen", _channels("BF", "DNA"), "0 'BF', 1 'DNA'"),
    Case("two channels of one name, none chosen", _channels("BF", "BF"),
         "0 'BF', 1 'BF'"),
    Case("two channels of one name, chosen by it",
         _channels("BF", "BF", options=("--channel", "BF")),
         "2 channels are called 'BF'; .*index: 0, 1"),
    Case("the same, chosen by index",
         _channels("BF", "BF", options=("--channel", "1")), "", accepted=True),
    Case("channels named with spaces and Chinese",
         _channels(" Hell feld ", "明視野", options=("--channel", "明視野")), "",
         accepted=True),
    Case("a channel named with terminal commands, none chosen",
         _channels("BF", "&#x85;\x7f<b>"), "BF"),
    Case("a channel that is not there",
         _channels("BF", "DNA", options=("--channel", "GFP")), "no channel 'GFP'"),
    Case("a channel number that is not there",
         _channels("BF", "DNA", options=("--channel", "-7")), "no channel '-7'"),
]  # fmt: skip
