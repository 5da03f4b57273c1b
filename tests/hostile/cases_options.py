"""Odd options, and requests and lists written by strangers."""

import os

from hostile.desk import STACK, Case, Desk
from images import write_stack


def _with(*options):
    return lambda desk: desk.predict(desk.good(), *options)


def _bare(*options):
    """A stack that says nothing of its voxels."""
    return lambda desk: desk.predict(desk.tiff(STACK), *options)


def _request(text):
    def make(desk: Desk):
        return desk.predict(desk.good(), "--request", desk.text(text, "request.yaml"))

    return make


def _request_at(path):
    return lambda desk: desk.predict(desk.good(), "--request", path)


def _request_pipe(desk: Desk):
    os.mkfifo(desk.path("request.yaml"))
    return desk.predict(desk.good(), "--request", desk.path("request.yaml"))


def _truth(text):
    return lambda desk: desk.predict(desk.good(), "--truth", text)


def _out(name):
    def make(desk: Desk):
        arguments = desk.predict(desk.good())
        arguments[arguments.index(desk.out)] = desk.path(name)
        return arguments

    return make


def _over_input(desk: Desk):
    """The output would replace the input while it is read."""
    path = write_stack(desk.out, STACK)
    return desk.predict(path, "--overwrite")


def _onto_folder(desk: Desk):
    desk.out.mkdir()
    return desk.predict(desk.good(), "--overwrite")


def _onto_link(desk: Desk):
    desk.out.symlink_to(desk.path("gone") / "out.ome.tif")
    return desk.predict(desk.good())


TRAINING = """
out: {out}
model: {{id: mine}}
data: {{pairs: {{path: {pairs}, structure: dna}}}}
recipe: {{patch: [16, 16], batch: 2, precision: fp32}}
budget: {{steps: 1}}
device: cpu
"""


def _pairs(text, name="pairs.csv"):
    """Train from a list of pairs."""

    def make(desk: Desk):
        desk.good()
        desk.text(text, name)
        filled = TRAINING.format(out=desk.path("run"), pairs=desk.path(name))
        config = desk.text(filled, "train.yaml")
        return ["train", config]

    return make


def _config(text):
    return lambda desk: ["train", desk.text(text, "train.yaml")]


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)

CASES = [
    *(
        Case(f"`{' '.join(options)}`", _with(*options), said)
        for options, said in (
            (("--tile", "0,0,0"), "--tile"),
            (("--tile", "-1,8,8"), "--tile"),
            (("--tile", "8,8"), "--tile"),
            (("--tile", "8,8,8,8"), "--tile"),
            (("--tile", "a,b,c"), "--tile"),
            (("--tile", "1e3,8,8"), "--tile"),
            (("--tile", ""), "--tile"),
            (("--ratio", "nan"), "ratio"),
            (("--ratio", "inf"), "ratio"),
            (("--ratio", "0"), "ratio"),
            (("--ratio", "-1"), "ratio"),
            (("--ratio", "1e308"), "ratio|planes"),
            (("--ratio", "two"), "valid number"),
            (("--ratio", ""), "ratio"),
            (("--structures", ""), "structure"),
            (("--structures", " , "), "structure"),
            (("--voxel-size", "1,2"), "--voxel-size"),
            (("--voxel-size", "0.29,0.29,nan"), "--voxel-size"),
            (("--voxel-size", "1e30,0.29,0.29"), "voxel|planes"),
            (("--voxel-size", "0.29,1e9,1e9"), "memory|voxel|large"),
            (("--voxel-size", "0.29,1e-9,1e-9"), "voxel|small|pixel"),
            (("--channel", ""), "channel"),
            (("--scene", "-1"), "scene"),
            (("--time", "0:0"), "time"),
            (("--time", "::0"), "time"),
            (("--overlap", "nan"), "overlap"),
            (("--overlap", "-1"), "overlap"),
            (("--device", ""), "device"),
            (("--device", "cuda:-1"), "device|cuda"),
            (("--device", "cpu:9999999999999999999999"), "device|cpu"),
            (("--precision", ""), "precision"),
            (("--grid", "../x"), "--grid"),
            (("--topology", ""), "topology"),
            (("--memory-limit", "-4GB"), "memory"),
            (("--memory-limit", "1e999GB"), "memory"),
            (("--memory-limit", "1B"), "memory"),
            (("--no-such-option",), "no such option|No such option"),
        )
    ),
    Case("a channel of 400 digits", _with("--channel", "9" * 400), "no channel"),
    Case("a time of 5 000 digits", _with("--time", "9" * 5000), "time"),
    Case("a name in the home folder of nobody",
         lambda desk: desk.predict("~nobody-of-this-name/x.tif"), "home folder"),
    Case("a ratio of 1e308 of a stack that says no voxel size",
         _bare("--ratio", "1e308"), "ratio|planes"),
    Case("a truth without a file", _truth("dna="), "STRUCTURE=FILE"),
    Case("a truth of an unknown structure", _truth("kneecap=x.tif"), "no structure"),
    Case("a truth in a device", _truth("dna=/dev/zero"), "pipe or a device"),
    Case("an output without a name", _out(".ome.tif"), "ending"),
    Case("an output with a NUL byte", _out("a\0b.ome.tif"), "null byte"),
    Case("an output of 5 000 letters", _out("a" * 5000 + ".ome.tif"), "name of a file",
         steady=False),
    Case("an output in a folder that is not there", _out("no/where.ome.tif"),
         "does not exist"),
    Case("an output that is a folder", _onto_folder, "not a result of this kind"),
    Case("an output that is a dangling link", _onto_link, "exists already"),
    Case("an output that is the input", _over_input, "is an input"),
    Case("a request that is not there", _request_at("/no/request.yaml"),
         "No such file"),
    Case("a request that is a folder", _request_at("/"), "request /"),
    Case("a request that is a device", _request_at("/dev/zero"), "pipe or a device"),
    Case("a request that is a pipe", _request_pipe, "pipe or a device"),
    Case("a request with a NUL byte", _request("ratio: \0"), "not valid YAML"),
    Case("a request that is no text", _request(b"\xff\xfe\x00\x01"), "not valid YAML"),
    Case("a request of 2 MB", _request("#" * 2_000_000), "too large"),
    Case("a request of nothing", _request(""), "field: value"),
    Case("a request that is a list", _request("[1, 2]"), "field: value"),
    Case("a request in 100 000 brackets", _request("[" * 100_000), "not valid YAML"),
    Case("a request with an anchor bomb", _request(BOMB),
         "more than 100000 values"),
    Case("a request that contains itself", _request("truth: &a {x: *a}"),
         "contains itself"),
    Case("a request that is a program",
         _request("!!python/object/apply:os.system ['touch was_run']"),
         "not valid YAML"),
    Case("a request with a field twice", _request("ratio: 1\nratio: 2"), "twice"),
    Case("a request with an unknown field", _request("colour: red"), "no field colour"),
    Case("a request with a number for a field", _request("7: 8"), "field: value"),
    Case("a request with a ratio of NaN", _request("ratio: .nan"), "ratio"),
    Case("a request with a tile of 0", _request("tile: [0, 0, 0]"), "tile"),
    Case("a request with a tile below 0", _request("tile: [-8, 8, 8]"), "tile"),
    Case("a request with a tile of 10³⁰", _request(f"tile: [{10**30}, 8, 8]"), "",
         accepted=True),
    Case("a request with a phase of 10³⁰", _request(f"phase: {10**30}"), "phase"),
    Case("a request with yes for a ratio", _request("ratio: {yes: no}"), "ratio"),
    Case("a request with a structure that is a path",
         _request("structures: [../../etc/passwd]"), "structure"),
    Case("a list of pairs that is not there",
         _config(TRAINING.format(out="run", pairs="no.csv")), "no.csv"),
    Case("a list of pairs without columns", _pairs("a,b\n1,2\n"), "no column path"),
    Case("a list of pairs with a formula", _pairs(
        "path,signal,target\n=HYPERLINK(\"http://x\"),0,0\n"), "not there"),
    Case("a list of pairs with a path outside",
         _pairs("path,signal,target\n../../../nope.tif,0,0\n"), "not there"),
    Case("a list of pairs with a device", _pairs("path,signal,target\n/dev/zero,0,0\n"),
         "pipe or a device|not there"),
    Case("a list of pairs with a name of 5 000 letters",
         _pairs(f"path,signal,target\n{'a' * 5000},0,0\n"), "not there"),
    Case("a list of pairs with a NUL byte", _pairs("path,signal,target\na\0b,0,0\n"),
         "CSV|not there"),
    Case("a list of pairs that is no text", _pairs(b"\xff\xfe\x00"), "no CSV"),
    Case("a list of pairs with a quote that never ends",
         _pairs('path,signal,target\n"' + "x" * 200_000), "CSV|not there|empty"),
    Case("a list of pairs with a line of 10⁵ commas",
         _pairs("path,signal,target\n" + "," * 100_000), "empty"),
    Case("a training config that is a list", _config("[1]"), "field: value"),
    Case("a training config of something else", _config("run: rm"), "config"),
]  # fmt: skip
