"""DOIs: which file of an archive is meant. No archive is asked."""

import hashlib

import pytest

from napari_sparsessp.download import download, find_by_doi, is_doi
from napari_sparsessp.errors import InputError
from napari_sparsessp.io import doi

DOI = "10.5281/zenodo.1234"


class Archive:
    """What pooch makes of a DOI."""

    def __init__(self, files):
        self.files = files

    def populate_registry(self, pooch):
        pooch.registry.update(self.files)

    def download_url(self, name):
        return f"https://archive.example/{name}"


@pytest.fixture
def archive(monkeypatch):
    """`archive(files)`: what the next DOI leads to; `opened` keeps the DOIs."""

    def holding(files):
        opened = []

        def open_archive(text):
            opened.append(text)
            if isinstance(files, Exception):
                raise files
            return Archive(files)

        monkeypatch.setattr(doi, "open_archive", open_archive)
        return opened

    return holding


@pytest.mark.parametrize("before", ["", "doi:", "https://doi.org/", "DOI: "])
def test_a_doi_may_be_written_as_people_do(archive, before):
    opened = archive({"a.safetensors": "md5:" + "0" * 32})
    found = find_by_doi(f" {before}{DOI}:a.safetensors ")
    assert opened == [DOI]
    assert (found.name, found.md5) == ("a.safetensors", "0" * 32)
    assert found.url == "https://archive.example/a.safetensors"


@pytest.mark.parametrize("text", ["https://zenodo.org/records/1", "model.pth", "10.5"])
def test_what_is_no_doi_is_not_taken_for_one(text):
    assert not is_doi(text)


def test_the_only_fitting_file_need_not_be_named(archive):
    archive({"readme.md": "", "net.pth": ""})
    assert find_by_doi(DOI, (".pth",)).name == "net.pth"


@pytest.mark.parametrize("name", ["", ":c.pth"])
def test_which_files_there_are_is_told(archive, name):
    archive({"a.pth": "", "b.pth": "", "readme.md": ""})
    with pytest.raises(InputError, match=r"one of them: a\.pth, b\.pth$"):
        find_by_doi(DOI + name, (".pth",))


@pytest.mark.parametrize("checksum", ["", "md5:xyz", "sha1:" + "0" * 40])
def test_a_checksum_of_another_kind_is_none(archive, checksum):
    archive({"a.pth": checksum})
    assert find_by_doi(DOI).md5 is None


@pytest.mark.parametrize(
    "error", [ConnectionError("no"), ValueError("Invalid\narchive"), KeyError("files")]
)
def test_an_archive_that_cannot_be_read_is_one_line(archive, error):
    archive(error)
    with pytest.raises(InputError, match="cannot be read .*browser") as told:
        find_by_doi(DOI)
    assert "\n" not in str(told.value)


def test_the_archives_checksum_is_compared(archive, file_server, tmp_path, monkeypatch):
    file_server.files["a.pth"] = b"content"
    monkeypatch.setattr(Archive, "download_url", lambda _s, name: file_server.url(name))
    archive({"a.pth": "md5:" + "0" * 32})
    with pytest.raises(InputError, match="its md5 is"):
        download(f"doi:{DOI}", tmp_path / "a.pth")
    md5 = hashlib.md5(b"content").hexdigest()
    archive({"a.pth": f"md5:{md5}"})
    download(f"doi:{DOI}", tmp_path / "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == b"content"


def test_pooch_still_offers_what_is_used_of_it():
    from pooch.downloaders import DataRepository, doi_to_repository

    assert callable(doi_to_repository)
    assert {"populate_registry", "download_url"} <= set(dir(DataRepository))
