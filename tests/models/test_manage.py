"""The user's models: added, renamed, exported, deleted, restored, downloaded."""

import hashlib
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_sparsessp.errors import InputError, ModelError, OutputError
from napari_sparsessp.models import library, manage
from napari_sparsessp.models.card import (
    of_download,
    of_training,
    origin_word,
    origin_words,
)
from napari_sparsessp.models.library import (
    DEFAULT_MODEL,
    all_entries,
    load_model,
    save_model,
    shipped_folder,
)
from napari_sparsessp.models.manage import (
    add_model,
    checked_digits,
    delete_model,
    deleted_models,
    export_model,
    fetch_model,
    model_file_name,
    rename_model,
    restore_model,
    source_of,
)


@pytest.fixture
def saved(tmp_path, network, card):
    half = torch.float16
    return save_model(tmp_path / "from.safetensors", network, card, dtype=half)


@pytest.fixture
def added(saved):
    return add_model(saved)


def test_id_and_source_of_an_added_model_go_into_its_card(saved):
    target = add_model(saved, id="mine", source={"fetched": "https://a.b/c"})
    assert target.name == "mine.safetensors"
    model, original = load_model(target), load_model(saved)
    assert (model.card.id, model.card.source) == ("mine", {"fetched": "https://a.b/c"})
    for name, tensor in model.network.state_dict().items():
        assert tensor.equal(original.network.state_dict()[name])


def test_an_added_model_is_the_file_and_replaces_none_unasked(
    saved, added, own_models_folder
):
    assert added == own_models_folder / "tiny.safetensors"
    before = saved.read_bytes()
    with pytest.raises(ModelError, match="tiny is installed already"):
        add_model(saved)
    assert added.read_bytes() == before
    add_model(saved, overwrite=True)


def test_no_model_takes_the_id_of_a_shipped_one(saved, own_models_folder):
    with pytest.raises(ModelError, match="with the plugin; choose another"):
        add_model(saved, id=DEFAULT_MODEL, overwrite=True)
    assert list(own_models_folder.iterdir()) == []


@pytest.mark.parametrize("bad", ["", "../up", "Big", "a b"])
def test_an_id_that_is_none_is_refused(saved, bad):
    with pytest.raises(InputError, match="no id of a model"):
        add_model(saved, id=bad)


def test_what_the_meter_raises_leaves_nothing(saved, own_models_folder):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_model(saved, progress=stop)
    assert list(own_models_folder.iterdir()) == []


@pytest.mark.parametrize("place", ["tiny.safetensors", "tiny"])
def test_a_new_name_changes_nothing_else(network, card, own_models_folder, place):
    save_model(own_models_folder / place, network, card)
    before = load_model("tiny")
    assert rename_model(own_models_folder / place, " New \n name ").name == "New name"
    after = load_model("tiny")
    assert after.card == before.card.model_copy(update={"name": "New name"})
    for name, tensor in after.network.state_dict().items():
        assert tensor.equal(before.network.state_dict()[name])


@pytest.mark.parametrize("name", ["", " ", "x" * 121])
def test_a_name_that_is_none_is_refused(added, name):
    with pytest.raises(InputError, match="1 to 120 characters"):
        rename_model(added, name)


def test_only_the_users_own_models_are_renamed_and_deleted(saved):
    path = shipped_folder() / f"{DEFAULT_MODEL}.safetensors"
    with pytest.raises(ModelError, match="keeps its name"):
        rename_model(path, "mine")
    with pytest.raises(ModelError, match="came with the plugin and cannot be deleted"):
        delete_model(path)
    with pytest.raises(ModelError, match="does not lie among your models"):
        delete_model(saved)
    assert path.is_file()
    assert saved.is_file()


def test_a_folder_and_a_damaged_file_are_deleted_as_well(
    network, card, own_models_folder
):
    save_model(own_models_folder / "tiny", network, card)
    (own_models_folder / "broken.safetensors").write_bytes(b"\0" * 50)
    for name in ("tiny", "broken.safetensors"):
        restore_model(delete_model(own_models_folder / name))
        assert (own_models_folder / name).exists()


def test_a_deleted_model_comes_back_as_it_was(added, own_models_folder):
    before = added.read_bytes()
    deleted = delete_model(added)
    assert not added.exists()
    assert [one.path for one in deleted_models()] == [deleted.path]
    assert restore_model(deleted) == added
    assert added.read_bytes() == before
    assert deleted_models() == []


def test_a_deleted_model_does_not_replace_its_successor(saved, added):
    deleted = delete_model(added)
    again = add_model(saved)
    with pytest.raises(ModelError, match="has the place of tiny by now"):
        restore_model(deleted)
    again.rename(again.with_name("other.safetensors"))
    with pytest.raises(ModelError, match="has the place"):
        restore_model(deleted)


def test_the_trash_forgets_after_a_month(saved, added, own_models_folder):
    first = delete_model(added)
    month = (manage.KEPT_DAYS + 1) * 86_400 * 10**9
    old = first.path.parent.with_name(f"{int(first.path.parent.name) - month:020d}")
    first.path.parent.rename(old)
    second = delete_model(add_model(saved))
    assert [one.path for one in deleted_models()] == [second.path]


def test_a_model_that_cannot_be_moved_is_told(added, monkeypatch):
    def busy(*_):
        raise OSError(13, "in use")

    monkeypatch.setattr("pathlib.Path.rename", busy)
    with pytest.raises(OutputError, match="in use; close what uses it"):
        delete_model(added)
    assert added.exists()


def test_the_list_has_all_models_and_tells_the_damaged_ones(added, own_models_folder):
    (own_models_folder / "broken.safetensors").write_bytes(b"\0" * 50)
    (own_models_folder / "notes.txt").write_text("mine")
    deleted = delete_model(add_model(added, id="gone"))
    entries = all_entries()
    assert entries[0].is_default
    assert entries[0].origin == "came with the plugin"
    own = {one.path.name: one for one in entries if not one.shipped}
    assert set(own) == {"tiny.safetensors", "broken.safetensors"}
    assert own["tiny.safetensors"].size == added.stat().st_size
    broken = own["broken.safetensors"]
    assert (broken.card, broken.name) == (None, "broken.safetensors")
    assert "damaged" in broken.problem
    restore_model(deleted)
    assert "gone.safetensors" in {one.path.name for one in all_entries()}


def test_a_file_that_changed_is_read_again(added):
    names = [one.name for one in all_entries()]
    rename_model(added, "Other")
    os.utime(added, ns=(1, 1))
    assert [one.name for one in all_entries()] == [*names[:-1], "Other"]


def test_a_list_of_many_reads_each_file_once(added, own_models_folder, monkeypatch):
    for number in range(200):
        os.link(added, own_models_folder / f"copy-{number}.safetensors")
    assert len(all_entries()) > 200
    monkeypatch.setattr(library, "card_of", lambda path: pytest.fail(f"read {path}"))
    assert len(all_entries()) > 200


@pytest.mark.parametrize(
    ("source", "word", "words"),
    [
        ({}, "file", "added from a file"),
        ({"format": "RepMode", "file": "a.p"}, "RepMode", "imported from RepMode"),
        (of_training(), "trained", "trained from scratch with this plugin"),
        (of_training("thin"), "trained", "trained from thin with this plugin"),
        (
            of_download("https://www.zenodo.org/a?token=1", ""),
            "zenodo.org",
            "fetched from zenodo.org",
        ),
        (
            of_download("10.5281/zenodo.1:a", ""),
            "DOI 10.5281/zenodo.1:a",
            "fetched from DOI 10.5281/zenodo.1:a",
        ),
        (
            {"format": "SparseSSP", **of_download("https://a.org/b.pth", "")},
            "SparseSSP",
            "imported from SparseSSP, fetched from a.org",
        ),
    ],
)
def test_where_a_model_comes_from_is_said_in_words(source, word, words):
    assert origin_words(source) == words
    assert origin_word(source) == word
    assert origin_words(source, shipped=True) == "came with the plugin"
    assert origin_word(source, shipped=True) == "plugin"


def test_no_secret_of_an_address_goes_into_a_card():
    kept = of_download("https://a.org/b.pth?token=secret#x", "0" * 64)
    assert kept == {"fetched": "https://a.org/b.pth", "fetched_sha256": "0" * 64}


@pytest.mark.parametrize("out", ["copy.safetensors", "new/copy.safetensors", "folder"])
def test_a_copy_has_the_same_bytes(saved, tmp_path, out):
    target = export_model(saved, tmp_path / out)
    assert target.read_bytes() == saved.read_bytes()
    assert load_model(tmp_path / out).card == load_model(saved).card


def test_a_card_from_a_file_beside_goes_into_the_copy(tmp_path, network, card):
    folder = tmp_path / "folder"
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors", {"more": "kept"})
    (folder / "card.json").write_text(card.to_json())
    target = export_model(folder, tmp_path / "copy.safetensors")
    assert load_model(target).card == card
    before = load_file(folder / "model.safetensors")
    for name, tensor in load_file(target).items():
        assert torch.equal(tensor, before[name])


def test_nothing_is_replaced_unasked(saved, tmp_path):
    out = tmp_path / "copy.safetensors"
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already"):
        export_model(saved, out)
    assert out.read_bytes() == b"precious"
    export_model(saved, out, overwrite=True)
    assert out.read_bytes() == saved.read_bytes()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "card.json").write_text("precious")
    with pytest.raises(OutputError, match=r"card\.json exists already"):
        export_model(saved, folder)
    with pytest.raises(OutputError, match="is the model itself"):
        export_model(saved, saved, overwrite=True)
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(ModelError, match="damaged"):
        export_model(saved, tmp_path / "damaged.safetensors")
    assert not (tmp_path / "damaged.safetensors").exists()


CONTENT = b"PK\x03\x04 weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def url(file_server):
    file_server.files["best.pth"] = CONTENT
    return file_server.url("best.pth")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/records/1/files/best.pth", "best.pth"),
        ("/api/records/1/files/My model.PTH/content", "My-model.pth"),
        ("/a/../../.ssh/x.safetensors", "x.safetensors"),
        ("/a/..%2F..\\evil.pt", "evil.pt"),
        ("/.pth", "model.pth"),
        ("/" + "x" * 300 + ".p", "x" * 80 + ".p"),
        ("/con\u202efdp.ckpt", "con-fdp.ckpt"),
    ],
)
def test_a_name_from_an_address_is_safe_everywhere(path, name):
    assert model_file_name(path) == name


@pytest.mark.parametrize("path", ["", "/", "/model", "/a.pth.html", "/x.zip"])
def test_an_address_without_a_models_name_is_refused(path):
    with pytest.raises(InputError, match="name of a model file"):
        model_file_name(path)


def test_a_checksum_is_read_as_people_paste_it():
    spaced = f"sha256 {SHA256[:9]} {SHA256[9:]}"
    for text in (SHA256, f" {SHA256.upper()} ", f"sha256:{SHA256}", spaced):
        assert checked_digits(text) == SHA256
    assert checked_digits(None) is checked_digits(" ") is None


def test_a_download_waits_with_its_origin_until_it_is_forgotten(url, own_models_folder):
    fetched = fetch_model(f"  {url} ", sha256=SHA256)
    assert fetched.checked
    assert not fetched.is_native
    assert fetched.path.is_relative_to(own_models_folder)
    assert source_of(fetched.path) == {"fetched": url, "fetched_sha256": SHA256}
    fetched.forget()
    assert list((own_models_folder / ".downloads").iterdir()) == []


def test_what_has_come_is_fetched_again_only_if_it_is_not_what_is_wanted(
    url, file_server
):
    fetch_model(url)
    assert fetch_model(url, sha256=SHA256).checked
    assert len(file_server.asked) == 1
    with pytest.raises(InputError, match="not the expected one"):
        fetch_model(url, sha256="0" * 64)
    assert len(file_server.asked) == 2


def test_two_addresses_with_one_name_do_not_mix(url, file_server):
    file_server.files["other/best.pth"] = b"other"
    first, second = fetch_model(url), fetch_model(file_server.url("other/best.pth"))
    assert first.path.name == second.path.name == "best.pth"
    assert (first.path.read_bytes(), second.path.read_bytes()) == (CONTENT, b"other")


@pytest.mark.parametrize("content", [None, "{", "[1]"])
def test_of_a_file_that_was_not_fetched_nothing_is_known(
    tmp_path, own_models_folder, content
):
    assert source_of(tmp_path / "best.pth") == {}
    folder = own_models_folder / ".downloads" / "x"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "origin.json").write_text(content)
    assert source_of(folder / "best.pth") == {}


def test_a_download_of_which_nothing_came_leaves_nothing(
    file_server, own_models_folder
):
    with pytest.raises(InputError, match="has no such file"):
        fetch_model(file_server.url("missing.pth"))
    assert list((own_models_folder / ".downloads").iterdir()) == []


def test_downloads_that_nobody_wanted_go_after_a_month(url, own_models_folder):
    old = own_models_folder / ".downloads" / "old"
    old.mkdir(parents=True)
    (old / "best.pth").write_bytes(b"weights")
    os.utime(old, (1, 1))
    fetched = fetch_model(url)
    assert list(old.parent.iterdir()) == [fetched.path.parent]
