"""Model files that are fetched: their names, their checksums, their origin."""

import hashlib
import json
import os

import pytest

from napari_sparsessp.download import DownloadStopped
from napari_sparsessp.errors import InputError
from napari_sparsessp.models.manage import (
    checked_digits,
    fetch_model,
    model_file_name,
    source_of,
)

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


@pytest.mark.parametrize(
    "text",
    [
        SHA256,
        f" {SHA256.upper()} ",
        f"sha256:{SHA256}",
        "sha256 " + SHA256[:9] + " " + SHA256[9:],
    ],
)
def test_a_checksum_is_read_as_people_paste_it(text):
    assert checked_digits(text) == SHA256


def test_an_empty_checksum_is_none():
    assert checked_digits(None) is None
    assert checked_digits(" ") is None


def test_a_download_waits_with_its_origin_until_it_is_forgotten(url, own_models_folder):
    fetched = fetch_model(f"  {url} ", sha256=SHA256)
    assert fetched.checked
    assert not fetched.is_native
    assert fetched.path.is_relative_to(own_models_folder)
    assert source_of(fetched.path) == {"fetched": url, "fetched_sha256": SHA256}
    fetched.forget()
    assert list((own_models_folder / ".downloads").iterdir()) == []


def test_what_has_come_is_not_fetched_twice(url, file_server):
    fetch_model(url)
    assert fetch_model(url, sha256=SHA256).checked
    assert len(file_server.asked) == 1


def test_what_has_come_but_is_not_what_is_wanted_is_fetched_again(url, file_server):
    fetch_model(url)
    with pytest.raises(InputError, match="not the expected one"):
        fetch_model(url, sha256="0" * 64)
    assert len(file_server.asked) == 2


def test_two_addresses_with_one_name_do_not_mix(url, file_server):
    file_server.files["other/best.pth"] = b"other"
    first, second = fetch_model(url), fetch_model(file_server.url("other/best.pth"))
    assert first.path.name == second.path.name == "best.pth"
    assert (first.path.read_bytes(), second.path.read_bytes()) == (CONTENT, b"other")


def test_it_stops_when_asked(url):
    class Now:
        def is_set(self):
            return True

    with pytest.raises(DownloadStopped):
        fetch_model(url, cancel=Now())


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


def test_an_origin_is_written_as_json(url):
    fetched = fetch_model(url)
    beside = fetched.path.with_name("origin.json")
    assert json.loads(beside.read_text())["fetched"] == url
