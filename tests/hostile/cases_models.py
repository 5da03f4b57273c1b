"""Model files, cards and checkpoints of strangers."""

import json
import pickle
import zipfile

import torch

from hostile.cases_zarr import Witness
from hostile.desk import Case, Desk


def _with_model(make):
    """Predict a good stack with a model file that `make` lays out."""

    def arguments(desk: Desk):
        image, model = desk.good(), make(desk)
        return desk.predict(image, "--model", model)

    return arguments


def _header(change):
    """The small model with another header; the weights stay."""

    def make(desk: Desk):
        content = desk.model.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:end])
        changed = change(header)
        text = (changed if isinstance(changed, str) else json.dumps(header)).encode()
        whole = len(text).to_bytes(8, "little") + text + content[end:]
        return desk.text(whole, "model.safetensors")

    return _with_model(make)


def _card(network=None, **changes):
    """The small model with another card."""

    def change(header):
        card = json.loads(header["__metadata__"]["card"])
        card.update(changes)
        card["network"].update(network or {})
        header["__metadata__"]["card"] = json.dumps(card)

    return _header(change)


def _card_text(text):
    return _header(lambda header: header["__metadata__"].update(card=text))


def _tensor(**changes):
    """The small model whose first tensor is declared otherwise."""

    def change(header):
        first = sorted(name for name in header if name != "__metadata__")[0]
        header[first].update(changes)

    return _header(change)


def _bytes(content):
    def make(desk: Desk):
        return desk.text(content, "model.safetensors")

    return _with_model(make)


def _saved(content, name="model.pth"):
    def make(desk: Desk):
        torch.save(content, desk.path(name))
        return desk.path(name)

    return make


def _import(make):
    def arguments(desk: Desk):
        path = make(desk)
        return ["models", "import", path, "--out", desk.path("models"), "--ratio", 1]

    return arguments


def _payload(desk: Desk):
    content = {"nn_state": Witness(desk.path("was_run"))}
    return desk.text(pickle.dumps(content, protocol=2), "model.p")


def _payload_in_zip(desk: Desk):
    return _saved({"nn_state": Witness(desk.path("was_run"))}, "model.p")(desk)


def _slip(desk: Desk):
    """A torch archive one of whose names climbs out of its folder."""
    path = _saved({"nn_state": {"net_recurse.a": torch.ones(2)}})(desk)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil", "evil")
    return path


def _packed_archive(desk: Desk):
    """A torch archive that unpacks to 100 MB from 100 kB."""
    path = desk.path("model.pth")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}))
        archive.writestr("model/data/0", bytes(100_000_000))
    return path


def _not_finite(desk: Desk):
    return desk.text(desk.model.read_bytes()[:-4] + b"\xff" * 4, "model.safetensors")


def _id(model_id):
    return lambda desk: desk.predict(desk.good(), "--model", model_id)


CASES = [
    Case("a model that is not there", _id("nope"), "no model called nope",
         steady=False),
    Case("a model's name that climbs out of its folder", _id("../../../../nope/x"),
         "no model file", steady=False),
    Case("an empty model's name", _id(""), "model"),
    Case("a model's name with a NUL byte", _id("a\0b"), "no model called",
         steady=False),
    Case("a model's name of 5 000 letters", _id("a" * 5000), "no model called",
         steady=False),
    Case("a device for a model", _id("/dev/zero"), "pipe or a device"),
    Case("a picture called .safetensors", _bytes(b"\x89PNG\r\n\x1a\n" * 9), "damaged"),
    Case("an empty model file", _bytes(b""), "damaged"),
    Case("a header of 2⁶³ bytes", _bytes(b"\xff" * 7 + b"\x7f{}"), "damaged"),
    Case("a header of nothing", _bytes(bytes(8)), "damaged"),
    Case("a header that is no JSON", _header(lambda header: "{"), "damaged"),
    Case("a header in 100 000 brackets",
         _header(lambda header: "[" * 100_000 + "]" * 100_000), "damaged"),
    Case("a header with a list for a card",
         _header(lambda header: header["__metadata__"].update(card=[1])), "damaged"),
    Case("a header without a card",
         _header(lambda header: header.pop("__metadata__") and None), "has no card"),
    Case("overlapping tensors", _tensor(data_offsets=[8, 16]), "damaged"),
    Case("a tensor before the file", _tensor(data_offsets=[-8, 8]), "damaged"),
    Case("a tensor beyond the file", _tensor(data_offsets=[0, 10**15]), "damaged"),
    Case("a tensor of 10¹⁸ numbers", _tensor(shape=[10**9, 10**9]), "damaged"),
    Case("a tensor with a size below 0", _tensor(shape=[-4, -4]), "damaged"),
    Case("a tensor of an unknown type", _tensor(dtype="F77"), "damaged|type"),
    Case("a tensor of another type of the same length", _tensor(dtype="I32"),
         "damaged|fit|type"),
    Case("weights that are not numbers (NaN)", _with_model(_not_finite),
         "NaN|finite|damaged"),
    Case("a card that is no JSON", _card_text("{"), "not valid JSON"),
    Case("a card in 100 000 brackets", _card_text("[" * 100_000), "not valid JSON"),
    Case("a card with the number NaN", _card_text('{"voxel_size": [NaN, 1, 1]}'),
         "damaged"),
    Case("a card that is newer than the program", _card(schema=99), "too new"),
    Case("a card whose id climbs out of its folder", _card(id="../../x"), "id"),
    Case("a card with an unknown field", _card(run="rm -rf"), "run"),
    Case("a card with a voxel of 0", _card(voxel_size=[0, 0, 0]), "voxel_size"),
    Case("a card with a voxel of 10⁻⁹ µm", _card(voxel_size=[1e-9] * 3),
         "voxel_size"),
    Case("a card with a structure twice", _card(structures=["dna", "dna"]), "twice"),
    Case("a card with a structure that is a path", _card(structures=["../a", "b"]),
         "structures.0"),
    Case("a network 10⁶ channels wide", _card({"encoder_widths": [10**6, 10**6]}),
         "network|width|channels"),
    Case("a network 10⁹ planes deep", _card({"depth": 10**9}), "network|deep|depth"),
    Case("a network with an unknown part", _card({"run": "rm"}), "network|run"),
    Case("a pickle for a model", _with_model(_payload), "pickle"),
    Case("a pickle with a program, to import", _import(_payload), "could run code"),
    Case("the same as torch writes it", _import(_payload_in_zip), "could run code"),
    Case("an archive with a name that climbs out, to import", _import(_slip),
         "cannot be imported|did not write|missing|damaged"),
    Case("a packed archive of 100 MB, to import", _import(_packed_archive),
         "compressed archive"),
    Case("a folder, to import", lambda desk: _import(lambda d: d.folder)(desk),
         "is a folder"),
    Case("a text, to import", _import(lambda desk: desk.text("hello", "a.p")), "text"),
    Case("a network of another kind, to import",
         _import(_saved({"state_dict": {"layer1.weight": torch.ones(2, 2)}})),
         "no known network"),
]  # fmt: skip
