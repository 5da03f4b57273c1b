"""Downloads from a server on this machine, in all its moods."""

import hashlib
import socket
import sys
import threading

import pytest

from napari_sparsessp import download as module
from napari_sparsessp.download import check_address, download, find_by_doi, is_doi
from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.tasks import Cancelled

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SOME = 3 * 32 * 1024  # whole chunks, so that all of them are kept


@pytest.fixture
def server(file_server):
    file_server.files["model.bin"] = CONTENT
    return file_server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "folder" / "mine.bin"


def only_file(target):
    return [path.name for path in target.parent.iterdir()] == [target.name]


def refuse(server, target, match, name="model.bin", kind=InputError, **how):
    with pytest.raises(kind, match=match) as error:
        download(server.url(name), target, **how)
    assert "\n" not in str(error.value)
    assert not target.exists()


def test_the_file_comes_whole_and_alone_and_once(server, target):
    told = []

    def progress(done, total=None, what=""):
        told.append(what or (done, total))

    how = {"sha256": SHA256, "progress": progress}
    assert download(server.url("model.bin"), target, **how) == target
    assert target.read_bytes() == CONTENT
    assert only_file(target)
    assert told[:2] == ["asking 127.0.0.1", (0, len(CONTENT))]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert download(server.url("model.bin"), target, sha256=SHA256) == target
    assert len(server.asked) == 1


def test_another_file_of_the_name_is_never_replaced(server, target):
    target.parent.mkdir()
    target.write_bytes(b"mine")
    for sha256 in (None, SHA256):
        with pytest.raises(OutputError, match="exists already"):
            download(server.url("model.bin"), target, sha256=sha256)
    assert target.read_bytes() == b"mine"
    assert server.asked == []


@pytest.mark.parametrize("sha256", [None, SHA256])
def test_a_broken_download_goes_on_where_it_broke(server, target, sha256):
    server.cut = SOME
    refuse(server, target, "broke.*try again", sha256=sha256)
    server.cut = None
    download(server.url("model.bin"), target, sha256=sha256)
    assert target.read_bytes() == CONTENT
    assert server.asked[-1] == ("model.bin", "bytes=98304-")
    assert only_file(target)


GIT = hashlib.sha1(b"blob 256000\0" + CONTENT).hexdigest()


def test_a_file_of_a_git_repository_is_checked_by_its_blob(server, target):
    wrong = {"git_blob_sha1": "0" * 40}
    refuse(server, target, "its git blob sha1 is .*not 0000", **wrong)
    right = {"git_blob_sha1": GIT, "size": len(CONTENT)}
    assert download(server.url("model.bin"), target, **right) == target
    assert download(server.url("model.bin"), target, **right) == target
    assert len(server.asked) == 2


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
@pytest.mark.parametrize("length", [True, False])
def test_a_file_of_another_size_is_refused(server, target, size, length):
    server.length = length
    refuse(server, target, "has 256,000 bytes and not", size=size)
    assert list(target.parent.iterdir()) == []


OTHER = CONTENT[::-1]


@pytest.mark.parametrize(
    ("mood", "first", "later", "sha256", "asked"),
    [
        ({"length": True, "cut": len(CONTENT)}, CONTENT + b"end", {}, SHA256, None),
        ({"ranges": False}, CONTENT, {}, None, None),
        ({}, OTHER, {"etag": '"second"'}, None, None),
        ({"etag": None}, CONTENT, {}, None, [None, None]),
        ({"etag": None}, OTHER, {}, SHA256, [None, "bytes=98304-", None]),
    ],
    ids=["all bytes have come", "no ranges", "changed meanwhile",
         "nothing tells versions apart", "only the checksum tells them apart"],
)  # fmt: skip
def test_parts_are_not_sewn_together_wrongly(
    server, target, mood, first, later, sha256, asked
):
    server.files["model.bin"] = first
    vars(server).update({"cut": SOME, **mood})
    refuse(server, target, "broke", sha256=sha256)
    server.files["model.bin"] = CONTENT
    vars(server).update({"cut": None, **later})
    download(server.url("model.bin"), target, sha256=sha256)
    assert target.read_bytes() == CONTENT
    assert asked in (None, [wanted for _, wanted in server.asked])


def test_a_wrong_checksum_leaves_nothing(server, target):
    refuse(server, target, "not the expected one.*checksum", sha256="0" * 64)
    assert list(target.parent.iterdir()) == []


def test_cancel_keeps_what_has_come(server, target):
    server.hold, server.cut = threading.Event(), 50_000

    def progress(done, _total=None, _what=""):
        if done >= 32 * 1024:  # a whole chunk; the rest of it is held back
            server.hold.set()
            raise Cancelled

    with pytest.raises(Cancelled):
        download(server.url("model.bin"), target, progress=progress)
    assert not target.exists()
    server.hold = server.cut = None
    download(server.url("model.bin"), target)
    assert target.read_bytes() == CONTENT
    assert server.asked[-1][1] is not None


def test_it_can_be_cancelled_before_a_server_is_asked(server, target):
    def progress(_done, _total=None, _what=""):
        raise Cancelled

    with pytest.raises(Cancelled):
        download(server.url("model.bin"), target, progress=progress)
    assert server.asked == []
    assert list(target.parent.iterdir()) == []


def test_an_unknown_length_is_told_as_unknown(server, target):
    server.length, told = False, []
    download(server.url("model.bin"), target, progress=lambda *n: told.append(n))
    assert {total for _, total, *_ in told} == {None}


def test_redirects_are_followed_with_the_range(server, target):
    server.redirects["here"] = "/model.bin"
    server.cut = SOME
    refuse(server, target, "broke", name="here")
    server.cut = None
    download(server.url("here"), target)
    assert target.read_bytes() == CONTENT
    assert server.asked[-1] == ("model.bin", "bytes=98304-")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("ftp://127.0.0.1/x", "not encrypted"),
        ("file:///etc/passwd", "not encrypted"),
        ("/here", "in circles"),
    ],
)
def test_redirects_end_and_lead_to_no_other_kind_of_place(server, target, place, said):
    server.redirects["here"] = place
    refuse(server, target, said, name="here")


def test_a_redirect_from_https_to_http_is_refused():
    with pytest.raises(InputError, match="example.org sends to .* not encrypted"):
        check_address("http://example.org/model", "example.org")


@pytest.mark.parametrize(
    ("status", "match"),
    [
        (404, "has no such file"),
        (403, "log in with a browser"),
        (503, "try again later"),
        (418, "refuses"),
    ],
)
def test_a_refusal_is_told_in_words(server, target, status, match):
    server.statuses["model.bin"] = status
    refuse(server, target, match)


def test_a_web_page_is_not_taken_for_a_file(server, target):
    server.kind = "text/html; charset=utf-8"
    refuse(server, target, "a web page .*download button")


@pytest.mark.parametrize("length", [True, False])
def test_a_file_that_is_too_large_is_refused(server, target, length):
    server.length = length
    refuse(server, target, "larger than the 0.001 MB", largest=1000)
    assert list(target.parent.iterdir()) == []


def test_a_full_disk_and_a_closed_folder_are_told(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    refuse(server, tmp_path / "file" / "x.bin", "cannot write", kind=OutputError)
    full = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _path: full)
    said = "0.256 MB .* 0.001 MB left; make room"
    refuse(server, tmp_path / "x.bin", said, kind=OutputError)


@pytest.mark.skipif(sys.platform == "win32", reason="a closed port is slow to say so")
def test_a_server_that_is_not_there_is_told(server, target):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=r"cannot reach 127\.0\.0\.1.*internet"):
        download(f"http://127.0.0.1:{port}/x", target)


def test_a_silent_server_is_not_waited_for_for_ever(server, target, monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT", (5.0, 0.2))
    server.hold, server.cut = threading.Event(), SOME
    refuse(server, target, "fallen silent; try again")


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("http://example.org/model", "not encrypted .http."),
        ("ftp://example.org/model", "not encrypted"),
        ("file:///etc/passwd", "not encrypted .file."),
        ("example.org/model", "no address"),
        ("https://[::1/model", "no address"),
        ("", "no address"),
    ],
)
def test_only_https_is_fetched(target, url, match):
    with pytest.raises(InputError, match=match):
        download(url, target)


def test_two_downloads_of_one_file_do_not_mix(server, target):
    met = []

    def progress(done, _total=None, _what=""):
        if not met:
            met.append(done)
            with pytest.raises(OutputError, match="another process"):
                download(server.url("model.bin"), target)

    download(server.url("model.bin"), target, progress=progress)
    assert met
    assert target.read_bytes() == CONTENT


def test_no_password_is_sent_along(server, target, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    download(server.url("model.bin"), target)
    assert "Authorization" not in server.headers[0]


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

        monkeypatch.setattr(module, "open_archive", open_archive)
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
    with pytest.raises(InputError, match="is no DOI"):
        find_by_doi(text)


@pytest.mark.parametrize("name", ["", ":c.pth"])
def test_the_only_fitting_file_need_not_be_named_and_several_are_listed(archive, name):
    archive({"readme.md": "", "net.pth": ""})
    assert find_by_doi(DOI, (".pth",)).name == "net.pth"
    archive({"a.pth": "", "b.pth": "", "readme.md": ""})
    with pytest.raises(InputError, match=r"one of them: a\.pth, b\.pth$"):
        find_by_doi(DOI + name, (".pth",))


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
    for other in ("", "md5:xyz", "sha1:" + "0" * 40):
        archive({"a.pth": other})
        assert find_by_doi(DOI).md5 is None
    archive({"a.pth": f"md5:{md5}"})
    download(f"doi:{DOI}", tmp_path / "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == b"content"


def test_pooch_still_offers_what_is_used_of_it():
    from pooch.downloaders import DataRepository, doi_to_repository

    assert callable(doi_to_repository)
    assert {"populate_registry", "download_url"} <= set(dir(DataRepository))
