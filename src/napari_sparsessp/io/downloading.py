"""Download a file when the user asks for it: checked, resumed, cancelled at once.

What has come so far lies in a hidden folder beside the file to be; the file gets its
name only when it is whole and its checksum is right. Nothing that a server says
chooses a path.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import PartialOutput, user_path
from napari_sparsessp.io.doi import ArchiveFile, find_by_doi, is_doi
from napari_sparsessp.io.server import ask, check_address, reaching, refusal

if TYPE_CHECKING:
    import requests

LARGEST = 8 * 2**30
"""Bytes that a file may have unless the caller says otherwise."""

_CHUNK = 32 * 2**10  # small: between two of them it can be cancelled

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come and, where it is known, those of the file."""


class Cancel(Protocol):
    """How a download learns that it shall stop, for example `threading.Event`."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...


class DownloadStopped(Exception):
    """The user stopped a download; what has come waits for the next try."""


def download(
    url: str | ArchiveFile,
    target: str | Path,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    largest: int = LARGEST,
) -> Path:
    """Fetch a file; the same call again goes on where the last one was stopped.

    Parameters
    ----------
    url : str or ArchiveFile
        An https address, or a DOI of an archive (Zenodo, figshare, Dataverse) as
        ``10.5281/zenodo.1234:file.name``, or what `find_by_doi` made of one.
    target : str or Path
        The file to be. Its folder is made.
    sha256 : str, optional
        What the file must have, in hexadecimal digits. Archives with a DOI say a
        checksum of their own, which is always compared.
    progress : callable, optional
        Called with (bytes so far, bytes in all or None). What it raises stops the
        download like `cancel`.
    cancel : optional
        Anything with ``is_set``, for example `threading.Event`.
    largest : int
        Bytes that the file may have.

    Returns
    -------
    Path
        The file. One that was there already with this `sha256` is not fetched again.

    Raises
    ------
    DownloadStopped
        `cancel` was set.
    InputError
        There is no such file or network, the server is no safe one, or the file is
        not the one that was expected.
    OutputError
        The file cannot be written, or another one has its name.
    """
    path = user_path(target)
    if path.exists():
        if sha256 is not None and path.is_file() and _digest(path, "sha256") == sha256:
            return path
        raise OutputError(f"{path} exists already; move it away or give another name")
    if isinstance(url, str) and is_doi(url):
        url = find_by_doi(url)
    url, md5 = (url, None) if isinstance(url, str) else (url.url, url.md5)
    check_address(url)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        place = PartialOutput(path)
        place.lock()
    wanted = {"sha256": sha256, "md5": md5}
    checksums = {kind: digits for kind, digits in wanted.items() if digits}
    fetch = _Fetch(url, place, checksums, progress, cancel, largest)
    try:
        fetch.run()
        with _writing(path):
            place.commit(fetch.data)
    finally:
        if not fetch.has_some():
            place.clear()
        place.unlock()
    return path


class _Fetch:
    """One file on its way."""

    def __init__(
        self,
        url: str,
        place: PartialOutput,
        checksums: dict[str, str],
        progress: Progress | None,
        cancel: Cancel | None,
        largest: int,
    ) -> None:
        self.url = url
        self.host = urlsplit(url).hostname or url
        self.target = place.path
        self.place = place
        self.data = place.folder / "data"
        self.notes = place.folder / "source.json"
        self.checksums = checksums
        self.progress = progress or (lambda _done, _total: None)
        self.cancel = cancel
        self.largest = largest

    def run(self) -> None:
        """Get all bytes and compare their checksums."""
        with _writing(self.target):
            self.place.folder.mkdir(exist_ok=True)
        resumed = self._get()
        if resumed and self._wrong() is not None:
            # the first part may have been of another version of the file
            self.data.unlink()
            self._get()
        wrong = self._wrong()
        if wrong is not None:
            kind, found = wrong
            self.place.clear()
            raise InputError(
                f"the file from {self.host} is not the expected one: its {kind} is "
                f"{found[:16]}… and not {self.checksums[kind][:16]}…; check the "
                "address and the checksum"
            )

    def has_some(self) -> bool:
        """Whether anything has come that the next try can go on with."""
        return self.data.is_file() and self.data.stat().st_size > 0

    def _get(self) -> bool:
        """Get what is missing; tell whether it was added to an earlier part."""
        self._look()
        have = self._kept()
        with reaching(self.host), self._answer(have) as answer:
            if answer.status_code == 416:  # nothing is missing, or all is another
                whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
                if whole == str(have):
                    return True
                self.data.unlink(missing_ok=True)
                return self._get()
            start = have if _continues(answer, have) else 0
            self._check(answer, start)
            self._receive(answer, start)
        return start > 0

    def _kept(self) -> int:
        """Bytes of an earlier try that can be told to be of the same file."""
        if not self.data.is_file():
            return 0
        return self.data.stat().st_size if self._validator() or self.checksums else 0

    def _validator(self) -> str:
        """What the server called this version of the file, as far as it did."""
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            return str(notes["version"]) if notes["url"] == self.url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _answer(self, have: int) -> requests.Response:
        """Ask for the rest of the file."""
        headers = {"Accept-Encoding": "identity"}  # else bytes cannot be counted
        if have:
            headers["Range"] = f"bytes={have}-"
            if validator := self._validator():
                headers["If-Range"] = validator
        return ask(self.url, headers, self._look)

    def _check(self, answer: requests.Response, start: int) -> None:
        """Refuse before the first byte what can be known by then."""
        status = answer.status_code
        if status not in (200, 206):
            raise InputError(refusal(self.host, status))
        kind = answer.headers.get("Content-Type", "")
        if kind.startswith("text/html") and self.target.suffix not in (".html", ".htm"):
            raise InputError(
                f"the address leads to a web page of {self.host}, not to a file; copy "
                "the address of its download button"
            )
        total = _total(answer, start)
        if total is None:
            return
        self._check_size(total)
        with _writing(self.target):
            free = shutil.disk_usage(self.place.folder).free
        if total - start > free:
            raise OutputError(
                f"{self.target.name} needs {_megabytes(total - start)} and the disk of "
                f"{self.target.parent} has {_megabytes(free)} left; make room or "
                "choose another folder"
            )

    def _check_size(self, size: int) -> None:
        if size > self.largest:
            self.place.clear()
            raise InputError(
                f"the file from {self.host} is larger than the "
                f"{_megabytes(self.largest)} that are allowed; check the address"
            )

    def _receive(self, answer: requests.Response, start: int) -> None:
        total = _total(answer, start)
        done = start
        with _writing(self.target):
            notes = {"url": self.url, "version": _version(answer)}
            self.notes.write_text(json.dumps(notes), encoding="utf-8")
            file = self.data.open("ab" if start else "wb")
        self.progress(done, total)
        with file:
            for chunk in answer.iter_content(_CHUNK):
                self._look()
                with _writing(self.target):
                    file.write(chunk)
                done += len(chunk)
                self._check_size(done)
                self.progress(done, total)
            with _writing(self.target):
                file.flush()
        if total is not None and done != total:
            raise InputError(
                f"the connection to {self.host} broke after {_megabytes(done)} of "
                f"{_megabytes(total)}; try again, it goes on from there"
            )

    def _wrong(self) -> tuple[str, str] | None:
        """Kind and digits of a checksum that is not the expected one."""
        for kind, wanted in self.checksums.items():
            found = _digest(self.data, kind)
            if found != wanted.lower():
                return kind, found
        return None

    def _look(self) -> None:
        if self.cancel is not None and self.cancel.is_set():
            raise DownloadStopped


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; make room or choose "
            "another folder"
        ) from error


def _continues(answer: requests.Response, have: int) -> bool:
    span = answer.headers.get("Content-Range", "")
    return answer.status_code == 206 and span.startswith(f"bytes {have}-")


def _total(answer: requests.Response, start: int) -> int | None:
    """Bytes of the whole file, where the server says them."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        return None
    with suppress(KeyError, ValueError):
        return start + int(answer.headers["Content-Length"])
    return None


def _version(answer: requests.Response) -> str:
    """What tells this version of the file from others, as If-Range wants it."""
    tag = answer.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return answer.headers.get("Last-Modified", "")


def _digest(path: Path, kind: str) -> str:
    with _writing(path), path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB" if size < 1e9 else f"{size / 1e9:.3g} GB"
