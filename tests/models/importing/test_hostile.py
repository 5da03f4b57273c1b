"""Whatever a checkpoint holds: one line is said and nothing is run."""

import os
import pickle
import shutil
import sys
import zipfile
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import published
from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.importing import inspect_checkpoint
from napari_sparsessp.models.importing.convert import open_network


def refuse(path, match):
    """Both ways into a checkpoint say no, in one line."""
    for enter in (inspect_checkpoint, open_network):
        with pytest.raises(ModelError, match=match) as error:
            enter(path)
        assert "\n" not in str(error.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "best_r8.pth"


def changed(path, change, table="nn_state", make=published.fnet, **options):
    """Make a checkpoint, change its table of weights, and save it again."""
    make(path, **options)
    with torch.serialization.safe_globals([Namespace]):
        content = torch.load(path, weights_only=True)
    change(content[table])
    torch.save(content, path)
    return path


class Creator:
    """Its pickle makes a file when it is opened without care."""

    def __init__(self, witness, call=os.system):
        self.witness, self.call = witness, call

    def __reduce__(self):
        if self.call is os.system:
            return os.system, (f"touch {self.witness}",)
        return self.call, (str(self.witness), "w")


@pytest.mark.parametrize("call", [os.system, open, eval, exec])
@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle", "in the options"])
def test_a_pickle_that_would_make_a_file_makes_none(tmp_path, path, call, form):
    witness = tmp_path / "was_run"
    hostile = Creator(witness, call)
    if form == "bare pickle":
        path.write_bytes(pickle.dumps({"nn_state": hostile}, protocol=2))
    elif form == "in the options":
        torch.save({"nn_module": "RepMode", "opts": Namespace(a=hostile)}, path)
    else:
        zipped = form == "zip"
        torch.save(
            {"nn_state": {"net_recurse.a": hostile}},
            path,
            _use_new_zipfile_serialization=zipped,
        )
    refuse(path, "is not read|is damaged")
    assert not witness.exists()


def test_a_refused_pickle_gets_no_second_chance(path, monkeypatch):
    seen = []
    load = torch.load

    def spy(*arguments, **options):
        seen.append(options.get("weights_only"))
        return load(*arguments, **options)

    monkeypatch.setattr(torch, "load", spy)
    torch.save({"model": Creator("/nowhere")}, path)
    refuse(path, "could run code")
    assert set(seen) == {True}


def test_only_the_options_class_is_allowed_and_only_while_opening(path):
    torch.save({"nn_state": {}, "path": Path("here")}, path)
    refuse(path, "could run code")
    assert Namespace not in torch.serialization.get_safe_globals()


def test_options_that_pretend_to_be_more_are_only_data(path):
    published.repmode(path)
    with torch.serialization.safe_globals([Namespace]):
        content = torch.load(path, weights_only=True)
    content["opts"].__dict__["adopted_datasets"] = {"dna": 1}
    content["opts"].__dict__["__class__"] = "str"
    torch.save(content, path)
    assert inspect_checkpoint(path).structures is None


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "dna\n", "dna\x1b[31m", "", "/tmp/x", "a" * 999, "é\0"]
)
def test_names_that_are_no_structures_are_refused(path, name):
    published.repmode(path, ("dna", name))
    if name == "dna\n":
        refuse(path, "named twice")
    else:
        refuse(path, "odd way.*cannot be the name of a structure")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>", "a text file .a web page"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "an image"),
        (b"II*\0" + b"\0" * 99, "an image"),
        (b"\0" * 4096, "not those of a torch file"),
        (b"\x93NUMPY\x01\0v\0", "a NumPy array"),
        (b"\x80\x02.", "damaged"),
        (b"\x80\x04\x95\xff\0\0\0\0\0\0\0", "damaged"),
        (b"PK\x03\x04", "damaged"),
        (b"PK\x03\x04" + b"\0" * 500, "damaged"),
        (pickle.dumps({"a": 1}, protocol=2), "more than weights"),
        (pickle.dumps([Path("x")], protocol=4), "more than weights"),
    ],
)
def test_files_of_other_kinds_are_named(path, content, match):
    path.write_bytes(content)
    refuse(path, match)


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    refuse(tmp_path, "is a folder")
    refuse(tmp_path / "nope.p", "No such file.*check the path")


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything"
)
def test_a_file_that_may_not_be_read_is_named(path):
    published.fnet(path)
    path.chmod(0)
    refuse(path, "Permission denied")


def test_a_model_of_ours_is_not_imported_again(tmp_path, imported):
    published.fnet(tmp_path / "dna.p")
    refuse(imported(tmp_path / "dna.p").path, "is a model of this plugin already")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_truncated_file_is_damaged(path, share, legacy):
    published.fnet(path, legacy=legacy)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refuse(path, "is damaged: .*get the file again")


@pytest.mark.parametrize("make", [published.repmode, published.fnet])
@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_bytes_are_a_model_error_or_harmless(tmp_path, make, legacy):
    whole = tmp_path / "whole.p"
    make(whole)
    if legacy:
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(whole, weights_only=True)
        torch.save(content, whole, _use_new_zipfile_serialization=False)
    _fuzz(whole.read_bytes(), tmp_path / "best_r8.pth", 200)


def _fuzz(whole: bytes, path: Path, examples: int) -> None:
    # Names, shapes and the zip's directory lie at either end; weights in between.
    ends = st.integers(0, 20_000) | st.integers(len(whole) - 20_000, len(whole) - 1)
    places = ends.filter(lambda at: 0 <= at < len(whole)) | st.integers(
        0, len(whole) - 1
    )

    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8), places)
    def one(changes, end):
        content = bytearray(whole if len(changes) > 4 else whole[: end + 1])
        if changes and end % 2:
            content = bytearray(whole)
        for at, value in changes:
            if at < len(content):
                content[at] = value
        path.write_bytes(content)
        for enter in (inspect_checkpoint, open_network):
            try:
                enter(path)
            except ModelError as error:
                assert "\n" not in str(error)  # noqa: PT017 - either is fine

    one()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", ["weight", "running_var"])
def test_weights_that_are_not_finite_are_refused(path, imported, bad, kind):
    def spoil(state):
        state[next(n for n in state if n.endswith(kind))].view(-1)[0] = bad

    changed(path, spoil)
    for enter in (open_network, imported):
        with pytest.raises(ModelError, match=r"NaN or infinite \(net_recurse"):
            enter(path)


def _first(state):
    return next(iter(state))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.clear(), "no table of weights"),
        (lambda s: s.pop("conv_out.weight"), "conv_out.weight is missing"),
        (lambda s: s.pop("net_recurse.bn0.bias"), "net_recurse.bn0.bias is missing"),
        (lambda s: s.update(more=torch.ones(2)), "more has no place"),
        (lambda s: s.update({"conv_out.weight": torch.ones(3)}), "has the shape 3"),
        (lambda s: s.update({_first(s): torch.ones(0, 1, 3, 3, 3)}), "shape 0×1×3"),
        (lambda s: s.update({_first(s): torch.ones(5, 1, 3, 3, 3)}), "belongs"),
        (lambda s: s.update({_first(s): torch.ones(2, 1, 4, 4, 4)}), "cannot be built"),
        (lambda s: s.update({_first(s): torch.ones(2, 1, 3, 3, 1)}), "the shape"),
        (lambda s: s.update({_first(s): s[_first(s)].int()}), "type int32"),
        (lambda s: s.update({_first(s): s[_first(s)].bool()}), "type bool"),
        (lambda s: s.update({_first(s): s[_first(s)] * 1j}), "not a plain tensor"),
        (lambda s: s.update({_first(s): s[_first(s)].to_sparse()}), "is sparse"),
        (lambda s: s.update({_first(s): s[_first(s)].to("meta")}), "not a plain"),
        (lambda s: s.update({_first(s): 3.0}), "is not a tensor"),
        (lambda s: s.update({7: torch.ones(2)}), "a name that is not valid"),
        (lambda s: s.update({"a\nb": torch.ones(2)}), "a name that is not valid"),
        (lambda s: s.update({f"module.{_first(s)}": torch.ones(2)}), "twice"),
        (
            lambda s: s.update({_first(s): torch.ones(1).expand(4096, 4096, 3, 3, 3)}),
            "larger than",
        ),
        pytest.param(
            lambda s: s.update(
                {_first(s): torch.quantize_per_tensor(torch.ones(2), 1, 0, torch.qint8)}
            ),
            "quantised|could run code",
            marks=pytest.mark.filterwarnings("ignore:torch.quantize"),
        ),
    ],
)
def test_weights_that_are_no_network_are_refused(path, change, match):
    with pytest.raises(ModelError, match=match) as error:
        open_network(changed(path, change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wide", [5000, 200_000])
def test_absurd_widths_cost_no_memory(path, wide):
    def widen(state):
        for name in state:
            state[name] = torch.ones(1).expand(wide, wide, 3, 3, 3)

    with pytest.raises(ModelError, match="larger than"):
        open_network(changed(path, widen))


def test_a_network_of_another_kind_is_refused(path):
    torch.save({"state_dict": {"layer1.weight": torch.ones(2, 2)}}, path)
    refuse(path, "no known network")
    torch.save([torch.ones(2)], path)
    refuse(path, "holds a list")
    torch.save({"nn_state": "text"}, path)
    refuse(path, "no table of weights")


def test_an_ensemble_is_told_to_be_imported_by_its_members(path):
    members = {"paths_model": ["a/model.p", "b/model.p"]}
    torch.save(
        {
            "fnet_model_class": "fnet.fnet_ensemble.FnetEnsemble",
            "fnet_model_kwargs": members,
        },
        path,
    )
    refuse(path, "ensemble.*import the member models")


def test_a_network_without_levels_is_refused(path):
    """Found by flipping bytes: the names of the lower levels no longer match."""

    def misspell(state):
        for name in [n for n in state if ".sub_u" in n]:
            state[name.replace("sub_u", "sub_v")] = state.pop(name)

    changed(path, misspell)
    refuse(path, "it has 0 levels")


def test_mixed_dimensions_are_refused(path):
    def flatten(state):
        for name, tensor in state.items():
            if name.startswith(("decoder_layers", "out_head")) and tensor.ndim == 5:
                state[name] = tensor[..., 0]

    changed(path, flatten, "model", published.sparsessp, topology="3d", depth=32)
    refuse(path, "3D and its decoder 2D without gates")


def _repack(path, compression, extra=b""):
    packed = path.with_name("packed_r8.pth")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", compression) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        if extra:
            new.writestr("bomb/data/999", extra)
    return packed


def test_a_compressed_archive_is_not_unpacked(path):
    published.fnet(path)
    bomb = _repack(path, zipfile.ZIP_DEFLATED, b"\0" * 50_000_000)
    assert bomb.stat().st_size < 1_000_000
    refuse(bomb, "compressed archive")


def test_an_archive_that_claims_more_than_it_has_is_damaged(path):
    published.fnet(path)
    content = bytearray(path.read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 20 : directory + 28] = b"\xff\xff\xff\x7f" * 2
    path.write_bytes(content)
    refuse(path, "larger than the file|unreadable|cut off")


def test_an_archive_of_other_things_is_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    refuse(path, "torch did not write")


def test_a_torch_that_cannot_open_safely_opens_nothing(path, monkeypatch):
    published.fnet(path)
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    refuse(path, "CVE-2025-32434.*update torch")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_description_that_would_fill_the_memory_is_not_read(
    path, monkeypatch, legacy
):
    """Each byte of a pickle can become an object."""
    published.fnet(path, legacy=legacy)
    monkeypatch.setattr(
        "napari_sparsessp.models.importing.checkpoint.LARGEST_PICKLE", 1000
    )
    refuse(path, "larger than that of any network|does not begin like a torch file")


def test_a_file_that_is_far_too_large_is_not_read(path, monkeypatch):
    monkeypatch.setattr(
        "napari_sparsessp.models.importing.checkpoint.LARGEST_FILE", 1000
    )
    published.fnet(path)
    refuse(path, "more than any network")


def test_a_copy_under_a_safetensors_name_is_never_read_as_one(path, tmp_path):
    published.fnet(path)
    other = tmp_path / "other.safetensors"
    shutil.copy(path, other)
    assert inspect_checkpoint(path).format == "pytorch_fnet"
    refuse(other, "pickle|damaged|torch file")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    refuse(path, "pipe or a device")
