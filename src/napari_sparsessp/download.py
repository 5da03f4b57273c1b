"""Download a file over https or from the archive of a DOI; resume a partial download.

The part that has come lies in a hidden folder beside the target; the file gets its
name only when it is whole and its checksum is right. Nothing that a server sends
chooses a path.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import PartialOutput, output_errors, user_path
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.version import __version__

if TYPE_CHECKING:
    import requests

SCHEMES = ("https",)
"""Schemes of addresses; tests allow their own server's ``http``."""

LARGEST = 8 * 2**30
"""Bytes that a file may have unless the caller says otherwise."""

_CHUNK = 32 * 2**10  # small: between two of them it can be cancelled
_BLOCK = 2**20
_TIMEOUT = (15.0, 30.0)  # seconds to connect, and of silence
_MOST_REDIRECTS = 8
_ROOM = "make room or choose another folder"


class WrongFile(InputError):
    """A file that came, and is not the one that was expected."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(
            f"the file from {host} is not the expected one: {why}; check the address "
            "and the checksum"
        )
        self.why = why


def download(
    url: str | ArchiveFile,
    target: str | Path,
    *,
    sha256: str | None = None,
    git_blob_sha1: str | None = None,
    size: int | None = None,
    progress: Progress = no_progress,
    largest: int = LARGEST,
) -> Path:
    """Download a file, whole or not at all; a broken download goes on where it broke.

    `url` is an https address, or a DOI with or without a file's name. `size` (bytes)
    and checksums, by which git may call the file too, are those that it must have.
    `progress` receives bytes, or the step while a server is asked; whatever it raises
    stops the download, and the part that has come stays for the next call. A file that
    is there already with these checksums is not downloaded. InputError: no such file
    or network, an unsafe server, another file than expected; OutputError: it cannot be
    written.
    """
    path = user_path(target)
    given: dict[str, str | None] = {"sha256": sha256, "git_blob_sha1": git_blob_sha1}
    hashes = {kind: digits.lower() for kind, digits in given.items() if digits}
    if path.exists():
        if hashes and path.is_file() and not mismatch(path, hashes, size):
            return path
        raise OutputError(f"{path} exists already; move it away or give another name")
    if isinstance(url, str) and is_doi(url):
        url = find_by_doi(url)
    address, md5 = (url, None) if isinstance(url, str) else (url.url, url.md5)
    check_address(address)
    if md5:
        hashes["md5"] = md5.lower()
    with output_errors(path, _ROOM):
        path.parent.mkdir(parents=True, exist_ok=True)
        place = PartialOutput(path)
        place.lock()
    job = _Download(address, place, hashes, size, progress, largest)
    try:
        with output_errors(path, _ROOM):
            place.folder.mkdir(exist_ok=True)
            job.run()
            place.commit(job.data)
    finally:
        if not (job.data.is_file() and job.data.stat().st_size):
            place.clear()
        place.unlock()
    return path


@dataclass
class _Download:
    """A file on its way into the partial folder of its place."""

    url: str
    place: PartialOutput
    hashes: Mapping[str, str]
    size: int | None
    progress: Progress
    largest: int

    def __post_init__(self) -> None:
        self.host = _host(self.url)
        self.data = self.place.folder / "data"
        self.notes = self.place.folder / "source.json"

    def run(self) -> None:
        """Download all bytes and compare their checksums."""
        resumed = self._receive()
        if resumed and self._mismatch():
            # the first part may have been of another version of the file
            self.data.unlink()
            self._receive()
        if wrong := self._mismatch():
            self.place.clear()
            raise WrongFile(self.host, wrong)

    def _receive(self) -> bool:
        """Download the missing bytes; return whether they continue an earlier part."""
        have = self._bytes_kept()
        headers = {"Accept-Encoding": "identity"}  # else bytes cannot be counted
        if have:
            headers["Range"] = f"bytes={have}-"
            if version := self._version_kept():
                headers["If-Range"] = version
        with _network_errors(self.host), self._ask(headers, have) as answer:
            span = answer.headers.get("Content-Range", "")
            if answer.status_code == 416:  # nothing is missing, or all is another
                if span.rpartition("/")[2] == str(have):
                    return True
                self.data.unlink(missing_ok=True)
                return self._receive()
            goes_on = answer.status_code == 206 and span.startswith(f"bytes {have}-")
            start = have if goes_on else 0
            total = self._check(answer, start)
            self._write(answer, start, total)
        return start > 0

    def _bytes_kept(self) -> int:
        """Return the size of an earlier part that is known to be of the same file."""
        if not self.data.is_file() or not (self._version_kept() or self.hashes):
            return 0
        return self.data.stat().st_size

    def _version_kept(self) -> str:
        """Return the server's name (ETag or date) for the version of the part."""
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            return str(notes["version"]) if notes["url"] == self.url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _ask(self, headers: Mapping[str, str], have: int) -> requests.Response:
        """Ask the server, and the servers it redirects to, for the file."""
        import requests

        url, session = self.url, requests.Session()
        named = {"User-Agent": f"napari-sparsessp/{__version__}", **headers}
        for _ in range(_MOST_REDIRECTS):
            self.progress(have, None, f"asking {_host(url)}")
            answer = session.get(
                url,
                headers=named,
                stream=True,
                allow_redirects=False,
                timeout=_TIMEOUT,
                auth=lambda request: request,  # no passwords from a netrc file
            )
            if not answer.is_redirect:
                return answer
            url = urljoin(url, answer.headers["Location"])
            answer.close()
            check_address(url, self.host)
        raise InputError(f"{self.host} sends in circles; check the address")

    def _check(self, answer: requests.Response, start: int) -> int | None:
        """Refuse before the first byte; return the bytes of the file where known."""
        status = answer.status_code
        if status not in (200, 206):
            raise InputError(_refusal(self.host, status))
        suffix = self.place.path.suffix
        page = answer.headers.get("Content-Type", "").startswith("text/html")
        if page and suffix not in (".html", ".htm"):
            raise InputError(
                f"the address leads to a web page of {self.host}, not to a file; copy "
                "the address of its download button"
            )
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            return None
        try:
            missing = int(answer.headers["Content-Length"])
        except (KeyError, ValueError):
            return None
        self._check_size(start + missing, whole=True)
        free = shutil.disk_usage(self.place.folder).free
        if missing > free:
            raise OutputError(
                f"{self.place.path.name} needs {megabytes(missing)} and the disk of "
                f"{self.place.path.parent} has {megabytes(free)} left; make room or "
                "choose another folder"
            )
        return start + missing

    def _check_size(self, size: int, *, whole: bool = False) -> None:
        wanted = self.size
        if wanted is not None and (size > wanted or (whole and size < wanted)):
            self.place.clear()
            raise WrongFile(self.host, _wrong_size(size, wanted))
        if size > self.largest:
            self.place.clear()
            raise InputError(
                f"the file from {self.host} is larger than the "
                f"{megabytes(self.largest)} that are allowed; check the address"
            )

    def _write(self, answer: requests.Response, start: int, total: int | None) -> None:
        tag = answer.headers.get("ETag", "")
        weak = not tag or tag.startswith("W/")  # If-Range takes no weak tag
        version = answer.headers.get("Last-Modified", "") if weak else tag
        notes = json.dumps({"url": self.url, "version": version})
        self.notes.write_text(notes, encoding="utf-8")
        done = start
        with self.data.open("ab" if start else "wb") as file:
            self.progress(done, total)
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                self._check_size(done)
                self.progress(done, total)
        if total is not None and done != total:
            raise InputError(
                f"the connection to {self.host} broke after {megabytes(done)} of "
                f"{megabytes(total)}; try again, it goes on from there"
            )

    def _mismatch(self) -> str:
        return mismatch(self.data, self.hashes, self.size)


def mismatch(path: Path, hashes: Mapping[str, str], size: int | None = None) -> str:
    """Describe a checksum or size (bytes) that differs; "" if all agree."""
    have = path.stat().st_size
    if size is not None and have != size:
        return _wrong_size(have, size)
    for kind, expected in hashes.items():
        if (digits := file_digest(path, kind)) != expected:
            name = kind.replace("_", " ")
            return f"its {name} is {digits[:16]}… and not {expected[:16]}…"
    return ""


def file_digest(path: Path, kind: str) -> str:
    """Return a checksum of a file: ``sha256``, ``md5``, or git's for a blob."""
    if kind != "git_blob_sha1":
        with path.open("rb") as file:
            return hashlib.file_digest(file, kind).hexdigest()
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _wrong_size(have: int, wanted: int) -> str:
    return f"it has {have:,} bytes and not {wanted:,}"


# Servers ----------------------------------------------------------------------------


def check_address(url: str, origin: str = "") -> None:
    """Raise InputError for an address that is not safe to download from."""
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if scheme and scheme not in SCHEMES:
        by = f"{origin} sends to an address that" if origin else f"{url[:80]!r}"
        raise InputError(
            f"{by} is not encrypted ({scheme[:10]}); only https is fetched: download "
            "the file with a browser"
        )
    if not host:
        raise InputError(
            f"{url[:80]!r} is no address of a file; copy the whole link, which begins "
            "with https://, or give a DOI"
        )


_SILENT = "{host} has fallen silent; try again, it goes on from there"
_BROKE = "the connection to {host} broke; try again, it goes on from there"
_FAILURES = {
    "SSLError": "the certificate of {host} cannot be trusted; download the file with "
    "a browser",
    "ProxyError": "the proxy does not let us reach {host}; check the proxy's settings",
    "ConnectTimeout": "{host} does not answer; try again later",
    "ReadTimeout": _SILENT,
    "ChunkedEncodingError": _BROKE,
    "ContentDecodingError": _BROKE,
    "ConnectionError": "cannot reach {host}; check the address and the internet "
    "connection, or download the file with a browser",
}
"""Message by the name of an exception of requests, the special ones first."""


@contextmanager
def _network_errors(host: str) -> Iterator[None]:
    """Raise whatever requests raises as an InputError of one line."""
    import requests

    try:
        yield
    except requests.RequestException as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        name = next((name for name in _FAILURES if name in kinds), "")
        text = _FAILURES.get(name, "{host} cannot be asked for this address; check it")
        if name == "ConnectionError" and "timed out" in str(error).lower():
            text = _SILENT  # in the middle of the file
        raise InputError(text.format(host=host)) from error


def _refusal(host: str, status: int) -> str:
    """Describe an HTTP status that is not the file."""
    if status in (404, 410):
        return f"{host} has no such file ({status}); check the address"
    if status in (401, 403):
        return (
            f"{host} does not give this file to everyone ({status}); log in with a "
            "browser and download it there"
        )
    if status in (429, 500, 502, 503, 504):
        return f"{host} is busy or out of order ({status}); try again later"
    return f"{host} refuses the file ({status}); check the address"


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def megabytes(size: int) -> str:
    """Write a number of bytes: ``74.1 MB``, ``1.2 GB``."""
    return f"{size / 1e6:.3g} MB" if size < 1e9 else f"{size / 1e9:.3g} GB"


# DOIs -------------------------------------------------------------------------------

_DOI = re.compile(
    r"(?:doi:\s*|https?://(?:dx\.)?doi\.org/)?(10\.\d{4,9}/[^\s:]+)(?::(.+))?",
    re.IGNORECASE,
)
_SHOWN = 8


@dataclass(frozen=True)
class ArchiveFile:
    """A file of an archive."""

    name: str  # As the archive calls it; never to be used as a path
    url: str
    md5: str | None  # Checksum that the archive lists


def is_doi(text: str) -> bool:
    """Return whether a text is a DOI, with or without a file's name behind it."""
    return _DOI.fullmatch(text.strip()) is not None


def find_by_doi(text: str, suffixes: tuple[str, ...] = ()) -> ArchiveFile:
    """Ask the archive of a DOI for a file; this goes over the network.

    The name behind the DOI, ``10.5281/zenodo.1234:file.name``, may be left out where
    a single file has one of the `suffixes`.
    """
    match = _DOI.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"{text[:80]!r} is no DOI; a DOI looks like 10.5281/zenodo.1234:file.name"
        )
    doi, name = match.groups()
    try:
        archive = open_archive(doi)
        listed: Any = SimpleNamespace(registry={})
        archive.populate_registry(listed)
        name = _choose(listed.registry, name, suffixes, doi)
        url = archive.download_url(name)
    except (OSError, ValueError, LookupError, TypeError) as error:
        # pooch and requests raise these; the archive's own words help nobody
        raise InputError(
            f"the archive of DOI {doi} cannot be read ({_reason(error)}); open it in a "
            "browser and give the address of the file"
        ) from error
    kind, _, digits = str(listed.registry[name]).rpartition(":")
    valid = kind in ("", "md5") and re.fullmatch(r"[0-9a-f]{32}", digits)
    return ArchiveFile(name, str(url), digits if valid else None)


def open_archive(doi: str) -> Any:
    """Return pooch's repository of a DOI."""
    from pooch.downloaders import doi_to_repository

    return doi_to_repository(doi, timeout=_TIMEOUT[1])


def _choose(
    files: dict[str, str], name: str | None, suffixes: tuple[str, ...], doi: str
) -> str:
    """Return the only file that fits, or the named file."""
    fitting = [
        file for file in files if not suffixes or file.lower().endswith(suffixes)
    ]
    if name is None and len(fitting) == 1:
        return fitting[0]
    if name in files:
        return name
    shown = ", ".join(sorted(fitting)[:_SHOWN]) or "none that can be used"
    more = f" and {len(fitting) - _SHOWN} more" if len(fitting) > _SHOWN else ""
    problem = f"has no file {name}" if name else "has several files"
    raise InputError(
        f"DOI {doi} {problem}; write {doi}:NAME with one of them: {shown}{more}"
    )


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answer {error.response.status_code}"
    if isinstance(error, requests.RequestException):
        return "no connection"
    return " ".join(str(error).split())[:120] or type(error).__name__
