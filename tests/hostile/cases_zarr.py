"""OME-Zarr folders whose metadata, names and chunks are not what they should be."""

import json
import os
import pickle
import zlib

import numpy as np
import zarr

from hostile.cases_tiff import HALVES
from hostile.desk import STACK, Case, Desk
from images import STEP


def a_zarr(
    desk: Desk,
    array: np.ndarray = STACK,
    axes: str = "zyx",
    *,
    scale: object = None,
    dataset: str = "0",
    zarr_format: int = 3,
    extra: dict | None = None,
    **options,
):
    """An OME-Zarr whose metadata say what they like; gives its path."""
    path = desk.path("image.ome.zarr")
    group = zarr.create_group(path, zarr_format=zarr_format)
    chunks = (1,) * (array.ndim - 2) + array.shape[-2:]
    group.create_array("0", data=array, chunks=chunks, **options)
    kinds = {"t": "time", "c": "channel"}
    unit = {"unit": "micrometer"}
    steps = [STEP if axis in "zyx" else 1 for axis in axes]
    step = {"type": "scale", "scale": steps if scale is None else scale}
    multiscale = {
        "axes": [
            {"name": axis, "type": kinds.get(axis, "space")}
            | (unit if axis in "zyx" else {})
            for axis in axes
        ],
        "datasets": [{"path": dataset, "coordinateTransformations": [step]}],
    }
    image = {"multiscales": [multiscale], **(extra or {})}
    group.attrs.update(
        {"ome": image | {"version": "0.5"}} if zarr_format == 3 else image
    )
    return path


def _good(*arguments, **options):
    return lambda desk: desk.predict(a_zarr(desk, *arguments, **options))


def _changed(change, name="0/zarr.json", **options):
    """Change the JSON of a good one."""

    def make(desk: Desk):
        path = a_zarr(desk, **options)
        content = json.loads((path / name).read_text())
        change(content)
        (path / name).write_text(json.dumps(content))
        return desk.predict(path)

    return make


def _text(text):
    def make(desk: Desk):
        path = a_zarr(desk)
        (path / "zarr.json").write_text(text)
        return desk.predict(path)

    return make


def _chunk(change):
    """Change the first chunk's file, or put something else in its place."""

    def make(desk: Desk):
        path = a_zarr(desk)
        change(path / "0" / "c" / "0" / "0" / "0")
        return desk.predict(path)

    return make


def _image(content):
    return content["attributes"]["ome"]


def _pipe(chunk):
    chunk.unlink()
    os.mkfifo(chunk)


def _link(target):
    """The chunk is a link; what it was lies beside it, as "elsewhere"."""

    def make(chunk):
        chunk.rename(chunk.with_name("elsewhere"))
        chunk.symlink_to(chunk.with_name("elsewhere").parent / target)

    return make


class Witness:
    """Its pickle makes a file where it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def _pickled(filters, dtype):
    """Zarr v2 with a pickle codec, and a pickle that makes a file as its chunks."""

    def make(desk: Desk):
        path = a_zarr(desk, zarr_format=2)
        content = json.loads((path / "0" / ".zarray").read_text())
        content |= {"filters": filters, "dtype": dtype, "compressor": None}
        (path / "0" / ".zarray").write_text(json.dumps(content))
        for chunk in (path / "0").glob("[0-9]*"):
            chunk.write_bytes(pickle.dumps(Witness(desk.path("was_run"))))
        return desk.predict(path)

    return make


def _gzip_bomb(desk: Desk):
    """Chunks of 100 kB that unpack to 100 MB, where 1 152 bytes are declared."""
    path = a_zarr(desk, compressors=zarr.codecs.GzipCodec())
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(2**24)
    bomb = b"".join(packer.compress(block) for _ in range(6)) + packer.flush()
    (path / "0/c/0/0/0").write_bytes(bomb)
    return desk.predict(path)


def _plate(desk: Desk):
    group = zarr.create_group(desk.path("plate.ome.zarr"))
    group.attrs["ome"] = {"plate": {"wells": []}}
    return desk.predict(desk.path("plate.ome.zarr"))


def _bare_array(desk: Desk):
    zarr.save(desk.path("bare.zarr"), STACK)
    return desk.predict(desk.path("bare.zarr"))


HUGE = [10**6, 10**6, 10**6]


def _array(**changes):
    return _changed(lambda content: content.update(changes))


def _chunks_of(planes, *sides, shape=(4, 24, 24)):
    chunks = [planes, *(sides or (24, 24))]
    grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
    return _array(shape=list(shape), chunk_grid=grid)


CASES = [
    Case("Zarr v3 (OME-Zarr 0.5)", _good(), "", accepted=True),
    Case("Zarr v2 (OME-Zarr 0.4)", _good(zarr_format=2), "", accepted=True),
    Case("big-endian Zarr v2", _good(STACK.astype(">u2"), zarr_format=2), "",
         accepted=True),
    Case("bool in Zarr", _good(HALVES), "", accepted=True,
         like=HALVES),
    Case("axes x, y, z", _good(STACK.transpose(2, 1, 0), "xyz"), "", accepted=True),
    Case("axes z, c, t, y, x, of which c and t have one",
         _good(STACK[:, None, None], "zctyx"), "", accepted=True),
    Case("an axis that is neither of t, c, z, y, x",
         _good(np.stack([STACK] * 2), "qzyx"), "axis 'Q' of 2"),
    Case("axes named twice", _good(STACK, "zyy"), "axes"),
    Case("fewer axes than dimensions", _good(STACK, "yx"), "axes"),
    Case("an axis with a long name", _changed(
        lambda c: _image(c)["multiscales"][0]["axes"][0].update(name="z" * 9999),
        "zarr.json"), "axes"),
    Case("a voxel of NaN", _good(scale=[float("nan")] * 3),
         "pixel size is unknown|not valid|cannot be read", accepted=True),
    Case("a voxel of 1e300", _good(scale=[1e300] * 3), "pixel size is unknown",
         accepted=True),
    Case("a scale of two numbers for three axes", _good(scale=[1, 1]), "transform"),
    Case("a scale in words", _good(scale="large"), "transform"),
    Case("a data set outside of the folder", _good(dataset="../../../etc"), "outside"),
    Case("a data set at an absolute path", _good(dataset="/etc"), "outside"),
    Case("a data set that is not there", _good(dataset="7"), "cannot be read"),
    Case("a data set that is the group itself", _good(dataset=""), "cannot be read"),
    Case("no data sets", _changed(
        lambda c: _image(c)["multiscales"][0].update(datasets=[]), "zarr.json"),
        "cannot be read"),
    Case("multiscales that are a number", _changed(
        lambda c: _image(c).update(multiscales=7), "zarr.json"), "multiscales"),
    Case("channel names that are numbers", _changed(
        lambda c: _image(c).update(omero={"channels": [7, None]}), "zarr.json"),
        "", accepted=True),
    Case("a plate", _plate, "a plate"),
    Case("an array without a group", _bare_array, "cannot be read"),
    Case("metadata that are no JSON", _text("{"), "cannot be read"),
    Case("metadata that are nothing", _text(""), "cannot be read"),
    Case("metadata that are a list", _text("[1, 2]"), "cannot be read"),
    Case("metadata in 200 000 brackets", _text("[" * 200_000 + "]" * 200_000),
         "cannot be read"),
    Case("a declared shape of 10⁶ × 10⁶ × 10⁶", _array(shape=HUGE), "declares"),
    Case("one chunk of 10⁶ × 10⁶ × 10⁶", _chunks_of(*HUGE, shape=HUGE), "single chunk"),
    Case("chunks of 0", _chunks_of(0), "cannot be read"),
    Case("chunks below 0", _chunks_of(-1), "cannot be read"),
    Case("a shape below 0", _array(shape=[-4, 24, 24]), "cannot be read|no pixels"),
    Case("a shape with a 0", _array(shape=[0, 24, 24]), "cannot be read|no pixels"),
    Case("an unknown type of numbers", _array(data_type="u77"), "cannot be read"),
    Case("text for numbers", _good(np.array([[["a"] * 4] * 4] * 4)), "holds|objects"),
    Case("an unknown codec", _array(codecs=[{"name": "zap"}]), "cannot be read"),
    Case("a chunk cut short", _chunk(lambda c: c.write_bytes(c.read_bytes()[:40])),
         "to its end"),
    Case("a chunk of nothing", _chunk(lambda c: c.write_bytes(b"")), "to its end"),
    Case("a chunk of noise", _chunk(lambda c: c.write_bytes(bytes(range(256)) * 9)),
         "to its end"),
    Case("a chunk that is a pipe", _chunk(_pipe), "pipe"),
    Case("a chunk that is a link to a device", _chunk(_link("/dev/zero")),
         "pipe or a device"),
    Case("a chunk that is a link to a file of the system",
         _chunk(_link("/etc/hostname")), "to its end"),
    Case("a chunk that is a link to where it really lies", _chunk(_link("elsewhere")),
         "", accepted=True),
    Case("packed chunks that unpack to 100 MB", _gzip_bomb, "to its end"),
    Case("chunks that are pickles (filter)", _pickled([{"id": "pickle"}], "<u2"),
         "could run code|cannot be read"),
    Case("chunks that are pickles (objects)", _pickled([{"id": "pickle"}], "|O"),
         "could run code|cannot be read"),
]  # fmt: skip
