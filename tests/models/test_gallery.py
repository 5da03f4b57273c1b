"""The gallery: what it lists, and models fetched by https from this machine."""

import hashlib
import shutil
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from napari_sparsessp.errors import InputError, ModelError, OutputError
from napari_sparsessp.models import fetching, gallery
from napari_sparsessp.models.fetching import LicenceNotAccepted, install
from napari_sparsessp.models.gallery import (
    accept,
    download_size,
    files_of,
    find_entry,
    installed_ids,
    is_accepted,
    matches,
    parse_gallery,
    read_gallery,
    state_of,
)
from napari_sparsessp.models.library import (
    IdTaken,
    all_entries,
    card_of,
    load_model,
    read_card,
)
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.tasks import Cancelled
from served_gallery import fnet_file


def own_models():
    return [entry.path.name for entry in all_entries() if not entry.shipped]


def waiting(folder):
    """Names of what has come and waits, hidden parts included."""
    downloads = folder / ".downloads"
    return sorted(p.name for p in downloads.rglob("*") if p.is_file())


def refused(entry, match, kind=InputError, **how):
    with pytest.raises(kind, match=match) as error:
        install(entry, **how)
    assert "\n" not in str(error.value)
    assert own_models() == []
    return str(error.value)


@pytest.fixture
def dna(served_gallery):
    entry = served_gallery.add("real-dna")
    accept(entry)
    return entry


# What is listed ---------------------------------------------------------------------


def test_the_packaged_gallery_has_a_network_for_each_of_the_twelve():
    entries = {entry.id: entry for entry in read_gallery()}
    whole = entries["gvt-all-twelve"]
    assert set(whole.predicts) == set(CATALOGUE)
    assert len(whole.members) == 12
    files = files_of(whole)
    assert len({file.url for file in files}) == 24
    assert download_size(whole) == 12 * (74_078_492 + 9285)
    data = [file for file in files if ".data-" in file.name]
    assert len({file.git_blob_sha1 for file in data}) == 12
    dic = entries["gvt-nuclear-envelope-dic"]
    assert (dic.modality, "dic_lamin_b1" in dic.files[0].url) == ("DIC", True)
    assert len(entries) == 20
    assert not entries["allen-lf-dna"].can_be_fetched


@pytest.mark.parametrize("entry", read_gallery(), ids=lambda entry: entry.id)
def test_every_entry_can_be_imported_unasked(entry):
    for file in entry.files:
        assert Path(file.url).suffix == Path(file.name).suffix
    given = {} if entry.voxel_um else {"voxel_size": (0.29, 0.29, 0.29)}
    if entry.scaling != "median_iqr":
        assert fetching._answers(entry, given).structures == entry.predicts


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"files": [{"name": "../x", "url": "https://a.b/x"}]}, "files.0.name"),
        ({"files": [{"name": "x", "url": "http://a.b/x"}]}, "files.0.url"),
        ({"page": "javascript:alert(1)"}, "page"),
        ({"files": []}, "how to get it"),
        ({"members": ["real-dna"]}, "how to get it"),
        ({"colour": "red"}, "colour"),
        ({"id": "../evil"}, "id"),
    ],
)
def test_a_damaged_gallery_is_refused(served_gallery, changes, match):
    served_gallery.add("real-dna")
    served_gallery.rows[0] |= changes
    with pytest.raises(ModelError, match=match):
        served_gallery.entries()


def test_members_of_a_bundle_are_entries_with_files(served_gallery):
    dna = served_gallery.add("real-dna")
    served_gallery.add_bundle("both", dna)
    for wrong in (["both"], ["nobody"]):
        served_gallery.rows[1]["members"] = wrong
        with pytest.raises(ModelError, match="member without files"):
            served_gallery.entries()
    with pytest.raises(ModelError, match="listed twice"):
        parse_gallery([served_gallery.rows[0]] * 2)


def test_an_unknown_id_gets_advice():
    with pytest.raises(InputError, match="did you mean gvt-dna"):
        find_entry("gvt-dnaa")


def test_entries_are_filtered_by_structure_modality_and_words():
    def ids(*how):
        return [entry.id for entry in read_gallery() if matches(entry, *how)]

    assert ids("nuclear_envelope", "dic") == ["gvt-nuclear-envelope-dic"]
    assert ids("", "", "neuromast BSD") == ["cytoland-vsneuromast"]
    assert "gvt-all-twelve" in ids("golgi_apparatus")


# Fetch ------------------------------------------------------------------------------


def test_an_entry_becomes_a_model_that_says_where_it_is_from(
    dna, served_gallery, own_models_folder
):
    shares = []
    done = install(dna, progress=lambda share, _t=None, what="": shares.append(share))
    card = read_card("real-dna")
    assert done.path == own_models_folder / "real-dna.safetensors"
    assert card.structures == ("dna",)
    assert card.trained_on == "hiPSC colonies, 100×"
    assert card.licence.startswith("GPL-3.0. Nobody says")
    assert card.citation == "Wang 2021, doi 10.1038/s42256-020-00283-x"
    digits = hashlib.sha256(fnet_file()).hexdigest()
    assert card.source["gallery"] == "real-dna"
    assert card.source["fetched"] == dna.files[0].url
    assert card.source["fetched_sha256"] == card.source["sha256"] == digits
    assert done.files == {dna.files[0].url: digits}
    assert waiting(own_models_folder) == []
    assert shares == sorted(shares)
    load_model("real-dna")
    with pytest.raises(IdTaken):
        install(dna)
    assert len(served_gallery.server.asked) == 1


def test_the_licence_is_accepted_once_and_again_when_it_changes(served_gallery):
    entry = served_gallery.add("real-dna")
    text = refused(entry, "licence of real-dna is GPL-3.0", LicenceNotAccepted)
    assert "--accept-licence" in text
    assert served_gallery.server.asked == []
    accept(entry)
    assert is_accepted(entry)
    assert not is_accepted(served_gallery.add("other"))
    served_gallery.rows[0]["licence"] = "CC BY 4.0"
    assert not is_accepted(served_gallery.entries()[0])


@pytest.mark.parametrize("text", ["[1]", "{", '{"real-dna": 7}'])
def test_a_damaged_file_of_licences_asks_again(served_gallery, text):
    entry = served_gallery.add("real-dna")
    accept(entry)
    file = served_gallery.file.with_name(gallery.LICENCES)
    file.write_text(text)
    assert not is_accepted(entry)
    accept(entry)
    assert is_accepted(entry)


def test_a_licence_that_cannot_be_kept_holds_for_this_time(
    served_gallery, monkeypatch, caplog
):
    entry = served_gallery.add("real-dna")
    monkeypatch.setattr(gallery, "_unsaved", {})
    monkeypatch.setenv("SPARSESSP_CONFIG", str(served_gallery.file / "no-folder"))
    accept(entry)
    assert is_accepted(entry)
    assert "will be shown again" in caplog.text


def test_a_file_that_changed_on_the_server_is_refused(
    dna, served_gallery, own_models_folder
):
    changed = bytearray(fnet_file())
    changed[500] ^= 1
    served_gallery.server.files["real-dna/model.p"] = bytes(changed)
    text = refused(dna, "model.p of real-dna has changed on the server")
    assert "git blob sha1" in text
    assert "https://example.org/models" in text
    served_gallery.server.files["real-dna/model.p"] += b"more"
    refused(dna, "it has .* bytes and not")
    assert waiting(own_models_folder) == []


def test_a_broken_connection_goes_on_where_it_broke(
    dna, served_gallery, own_models_folder
):
    server = served_gallery.server
    server.cut = 32 * 1024
    refused(dna, "broke.* try again")
    assert "data" in waiting(own_models_folder)
    assert state_of(dna, installed_ids()) == "partly"
    server.cut = None
    install(dna)
    assert server.asked[-1] == ("real-dna/model.p", "bytes=32768-")
    assert state_of(dna, installed_ids()) == "yours"


def test_a_damaged_file_without_a_checksum_is_not_kept(
    served_gallery, own_models_folder
):
    served_gallery.add("real-dna", content=fnet_file()[:-2000])
    entry = served_gallery.change_file("real-dna", git_blob_sha1=None, size=None)
    accept(entry)
    refused(entry, "model.p", ModelError)
    assert waiting(own_models_folder) == []
    served_gallery.server.files["real-dna/model.p"] = fnet_file()
    install(entry)


def test_no_network_and_a_full_disk_are_one_line(dna, served_gallery, monkeypatch):
    room = namedtuple("Room", "total used free")(10, 9, 1)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _path: room)
        refused(dna, "real-dna needs .* MB and the disk", OutputError)
    assert served_gallery.server.asked == []
    served_gallery.server.stop()
    refused(dna, "cannot reach 127.0.0.1")


def test_a_disk_that_fills_up_leaves_no_model(dna, served_gallery, own_models_folder):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 * 1024, limits[1]))
    try:
        refused(dna, "cannot write .*File too large; make room", OutputError)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "data" in waiting(own_models_folder)
    install(dna)
    assert served_gallery.server.asked[-1][1] == "bytes=32768-"


def test_an_untrusted_server_is_refused(dna, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    refused(dna, "certificate of 127.0.0.1 cannot be trusted")


def test_what_cannot_be_fetched_says_how_to_get_it(served_gallery):
    entry = served_gallery.add("by-hand", files=[], how="Get it with Quilt.")
    accept(entry)
    refused(entry, "no fixed address: Get it with Quilt. See https://example.org")


def test_an_unknown_voxel_size_is_asked_for(served_gallery):
    entry = served_gallery.add("flat", voxel_um=None)
    accept(entry)
    refused(entry, "--voxel-size")
    install(entry, {"voxel_size": (0.29, 0.325, 0.325), "id": "mine"})
    assert read_card("mine").voxel_size == (0.29, 0.325, 0.325)
    assert state_of(entry, installed_ids()) == "yours"


def test_a_cancelled_import_leaves_no_model_and_keeps_the_download(
    dna, served_gallery, own_models_folder
):
    def stop(_share, _total=None, what=""):
        if what.startswith("importing"):
            raise Cancelled

    with pytest.raises(Cancelled):
        install(dna, progress=stop)
    assert own_models() == []
    assert waiting(own_models_folder) == ["model.p"]
    install(dna)
    assert len(served_gallery.server.asked) == 1


# Two files that belong together -------------------------------------------------------


@pytest.fixture
def gvtnet(served_gallery, shared_parity):
    """A checkpoint as GVTNets' repository has it, with small widths."""
    folder = shared_parity("weights/gvtnet_label_free")
    entry = served_gallery.add_gvtnet("real-gvt", folder)
    accept(entry)
    return entry


def test_a_published_gvtnet_becomes_a_model(gvtnet, own_models_folder):
    done = install(gvtnet)
    card = card_of(done.path)
    assert card.source["format"] == "GVTNet"
    assert card.source["fetched"].endswith(".data-00000-of-00001")
    assert len(done.files) == 2
    assert waiting(own_models_folder) == []
    assert load_model("real-gvt").card.structures == ("dna",)


def test_an_index_that_was_changed_is_fetched_again(
    gvtnet, served_gallery, own_models_folder
):
    name = f"real-gvt/{gvtnet.files[0].name}"
    right = served_gallery.server.files[name]
    wrong = bytearray(right)
    wrong[900] ^= 1  # it has its own CRC-32C
    served_gallery.server.files[name] = bytes(wrong)
    refused(gvtnet, "model.ckpt", ModelError)
    assert waiting(own_models_folder) == [gvtnet.files[1].name]  # its checksum is right
    served_gallery.server.files[name] = right
    install(gvtnet)
    assert [asked for asked, _ in served_gallery.server.asked].count(name) == 2
    assert len(served_gallery.server.asked) == 3


def test_truncated_tensors_are_refused(gvtnet, served_gallery, own_models_folder):
    name = f"real-gvt/{gvtnet.files[1].name}"
    served_gallery.server.files[name] = served_gallery.server.files[name][:-100]
    refused(gvtnet, "has changed on the server .*bytes and not")
    assert waiting(own_models_folder) == [gvtnet.files[0].name]


# Bundles ----------------------------------------------------------------------------


@pytest.fixture
def pair(served_gallery):
    ids = ("dna", "nucleolus")
    parts = [served_gallery.add(f"real-{id_}", id_) for id_ in ids]
    entry = served_gallery.add_bundle("both", *parts)
    accept(entry)
    return entry


def test_members_appear_together_or_not_at_all(pair, served_gallery, own_models_folder):
    server = served_gallery.server
    server.statuses["real-nucleolus/model.p"] = 503
    refused(pair, "busy or out of order")
    assert state_of(pair, installed_ids()) == "partly"
    del server.statuses["real-nucleolus/model.p"]
    told = []
    done = install(pair, progress=lambda _s, _t=None, what="": told.append(what))
    assert [name for name, _ in server.asked].count("real-dna/model.p") == 1
    assert any("Real nucleolus: " in what and " MB" in what for what in told)
    card = read_card("both")
    assert card.structures == ("dna", "nucleolus")
    assert card.source["gallery"] == "both"
    assert card.licence.startswith("GPL-3.0")
    assert own_models() == [done.path.name]
    assert waiting(own_models_folder) == []
    assert state_of(pair, installed_ids()) == "yours"


def test_a_member_that_is_yours_is_not_fetched_again(pair, served_gallery):
    first, _ = gallery.parts_of(pair)
    assert is_accepted(first)  # with the bundle
    install(first)
    assert state_of(pair, installed_ids()) == "partly"
    install(pair)
    assert sorted(own_models()) == ["both", "real-dna.safetensors"]
    assert card_of(installed_ids()["real-dna"]).id == "real-dna"
    assert len(served_gallery.server.asked) == 2


def test_a_cancelled_bundle_leaves_no_row(pair, served_gallery):
    stop = threading.Event()

    def progress(_share, _total=None, what=""):
        if what.startswith("2 of 2"):
            stop.set()
        if stop.is_set():
            raise Cancelled

    with pytest.raises(Cancelled):
        install(pair, progress=progress)
    assert own_models() == []
    assert state_of(pair, installed_ids()) == "partly"
