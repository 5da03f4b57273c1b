"""Files, folders and names that are no stack, or a stack under an odd name."""

import gzip
import os
import zipfile

import numpy as np

from hostile.desk import STACK, Case, Desk
from images import write_stack

NAME = "Zellen Überblick 細胞 (1) & #2.ome.tif"


def _named(name):
    return lambda desk: desk.predict(desk.path(name))


def _file(name, content):
    return lambda desk: desk.predict(desk.text(content, name))


def _pipe(desk: Desk):
    os.mkfifo(desk.path("pipe.ome.tif"))
    return desk.predict(desk.path("pipe.ome.tif"))


def _zarr_of_pipes(desk: Desk):
    desk.path("pipes.ome.zarr").mkdir()
    os.mkfifo(desk.path("pipes.ome.zarr") / "zarr.json")
    return desk.predict(desk.path("pipes.ome.zarr"))


def _link(target):
    def make(desk: Desk):
        desk.good()
        desk.path("link.ome.tif").symlink_to(target)
        return desk.predict(desk.path("link.ome.tif"))

    return make


def _loop(desk: Desk):
    desk.path("a.ome.tif").symlink_to("b.ome.tif")
    desk.path("b.ome.tif").symlink_to("a.ome.tif")
    return desk.predict(desk.path("a.ome.tif"))


def _folder_of_itself(desk: Desk):
    desk.path("round.ome.zarr").mkdir()
    (desk.path("round.ome.zarr") / "zarr.json").symlink_to(".")
    return desk.predict(desk.path("round.ome.zarr"))


def _odd_name(desk: Desk):
    folder = desk.path("mit Leerzeichen und é")
    folder.mkdir()
    return desk.predict(write_stack(folder / NAME, STACK))


def _zip(desk: Desk):
    with zipfile.ZipFile(desk.path("stack.tif"), "w") as archive:
        archive.writestr("../../evil.tif", b"II*\0")
    return desk.predict(desk.path("stack.tif"))


def _squeezed(desk: Desk):
    content = gzip.compress(desk.good("other.ome.tif").read_bytes())
    return desk.predict(desk.text(content, "stack.tif"))


def _wrong_ending(ending):
    def make(desk: Desk):
        return desk.predict(desk.good().rename(desk.path(f"stack{ending}")))

    return make


def _cut(share):
    def make(desk: Desk):
        content = desk.good().read_bytes()
        return desk.predict(desk.text(content[: int(len(content) * share)], "cut.tif"))

    return make


def _rgb(desk: Desk):
    colours = np.stack([STACK, STACK, STACK], -1).astype(np.uint8)
    return desk.predict(write_stack(desk.path("rgb.ome.tif"), colours, "ZYXS"))


CASES = [
    Case("no such file", _named("missing.tif"), r"there is no file missing\.tif"),
    Case("an empty name", lambda desk: desk.predict(""), "no input"),
    Case("a name with a NUL byte", _named("a\0b.tif"), "name"),
    Case("a name of 5 000 letters", _named("a" * 5000 + ".tif"), "name",
         steady=False),
    Case("a folder of anything", _named(""), "folder without an OME-Zarr"),
    Case("an empty file", _file("empty.tif", b""), "is empty"),
    Case("text called .tif", _file("text.tif", "hello"), "cannot be read"),
    Case("a web page called .nd2", _file("page.nd2", "<html>" * 99), "cannot be read"),
    Case("zeros called .nd2", _file("zeros.nd2", bytes(5000)), "cannot be read"),
    Case("the first bytes of an ND2, then nothing",
         _file("cut.nd2", b"\xda\xce\xbe\n" + bytes(12)), "cannot be read"),
    Case("a picture", _file("a.png", b"\x89PNG\r\n\x1a\n"), "picture"),
    Case("an unknown ending", _file("stack.xyz", b"hello"), "cannot be read"),
    Case("a zip file called .tif, with a name that climbs out", _zip, "cannot be read"),
    Case("a TIFF packed with gzip, called .tif", _squeezed, "cannot be read"),
    Case("a TIFF called .nd2", _wrong_ending(".nd2"), "cannot be read"),
    Case("a TIFF called .dat", _wrong_ending(".dat"), "cannot be read"),
    Case("a named pipe", _pipe, "pipe or a device"),
    Case("an OME-Zarr whose metadata is a named pipe", _zarr_of_pipes, "pipe"),
    Case("a device", lambda desk: desk.predict("/dev/zero"), "pipe or a device"),
    Case("a link to a stack", _link("stack.ome.tif"), "", accepted=True),
    Case("a dangling link", _link("gone.ome.tif"), "link.ome.tif"),
    Case("two links in a ring", _loop, "a.ome.tif"),
    Case("an OME-Zarr whose metadata is a link to itself", _folder_of_itself,
         "cannot be read|folder"),
    Case("spaces, umlauts and Chinese in the path", _odd_name, "", accepted=True),
    Case("a TIFF cut in its header", _cut(0.01), "cannot be read|truncated"),
    Case("a TIFF cut after a tenth", _cut(0.1), "truncated|cannot be read"),
    Case("a TIFF cut in the middle", _cut(0.5), "truncated"),
    Case("a TIFF without its last bytes", _cut(0.98), "truncated"),
    Case("a colour (RGB) stack", _rgb, "colour"),
]  # fmt: skip
