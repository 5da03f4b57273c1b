"""Models among the user's own: added, renamed, deleted and put back."""

import os

import pytest

from napari_sparsessp.errors import InputError, ModelError, OutputError
from napari_sparsessp.models import trash
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
    delete_model,
    deleted_models,
    put_back,
    rename_model,
)


@pytest.fixture
def saved(tmp_path, network, card):
    return save_model(tmp_path / "from.safetensors", network, card)


@pytest.fixture
def added(saved):
    return add_model(saved)


def test_an_added_model_is_the_file_bit_by_bit(saved, own_models_folder):
    target = add_model(saved)
    assert target == own_models_folder / "tiny.safetensors"
    assert target.read_bytes() == saved.read_bytes()


def test_id_and_source_of_an_added_model_go_into_its_card(saved):
    target = add_model(saved, id="mine", source={"fetched": "https://a.b/c"})
    assert target.name == "mine.safetensors"
    model, original = load_model(target), load_model(saved)
    assert (model.card.id, model.card.source) == ("mine", {"fetched": "https://a.b/c"})
    for name, tensor in model.network.state_dict().items():
        assert tensor.equal(original.network.state_dict()[name])


def test_no_model_is_replaced_unasked(saved, added):
    before = added.read_bytes()
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
    def stop(_what, _share):
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


def test_a_shipped_model_keeps_its_name_and_its_place():
    path = shipped_folder() / f"{DEFAULT_MODEL}.safetensors"
    with pytest.raises(ModelError, match="keeps its name"):
        rename_model(path, "mine")
    with pytest.raises(ModelError, match="came with the plugin and cannot be deleted"):
        delete_model(path)
    assert path.is_file()


def test_a_deleted_model_comes_back_as_it_was(added, own_models_folder):
    before = added.read_bytes()
    deleted = delete_model(added)
    assert not added.exists()
    assert [one.path for one in deleted_models()] == [deleted.path]
    assert put_back(deleted) == added
    assert added.read_bytes() == before
    assert deleted_models() == []


def test_a_folder_and_a_damaged_file_are_deleted_as_well(
    network, card, own_models_folder
):
    save_model(own_models_folder / "tiny", network, card)
    (own_models_folder / "broken.safetensors").write_bytes(b"\0" * 50)
    for name in ("tiny", "broken.safetensors"):
        put_back(delete_model(own_models_folder / name))
        assert (own_models_folder / name).exists()


def test_a_deleted_model_does_not_replace_its_successor(saved, added):
    deleted = delete_model(added)
    again = add_model(saved)
    with pytest.raises(ModelError, match="has the place of tiny by now"):
        put_back(deleted)
    again.rename(again.with_name("other.safetensors"))
    with pytest.raises(ModelError, match="has the place"):
        put_back(deleted)


def test_the_trash_forgets_after_a_month(saved, added, own_models_folder):
    first = delete_model(added)
    month = (trash.KEPT_DAYS + 1) * 86_400 * 10**9
    old = first.path.parent.with_name(f"{int(first.path.parent.name) - month:020d}")
    first.path.parent.rename(old)
    second = delete_model(add_model(saved))
    assert [one.path for one in deleted_models()] == [second.path]


def test_only_the_users_own_models_are_deleted(saved):
    with pytest.raises(ModelError, match="does not lie among your models"):
        delete_model(saved)
    assert saved.exists()


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
    put_back(deleted)
    assert "gone.safetensors" in {one.path.name for one in all_entries()}


def test_a_file_that_changed_is_read_again(added):
    names = [one.name for one in all_entries()]
    rename_model(added, "Other")
    os.utime(added, ns=(1, 1))
    assert [one.name for one in all_entries()] == [*names[:-1], "Other"]


def test_a_list_of_many_reads_each_file_once(added, own_models_folder, monkeypatch):
    from napari_sparsessp.models import collection

    for number in range(200):
        os.link(added, own_models_folder / f"copy-{number}.safetensors")
    assert len(all_entries()) > 200
    monkeypatch.setattr(collection, "card_of", lambda path: pytest.fail(f"read {path}"))
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
