"""Fetch a model from an address or a DOI, and put it among the user's own.

A download waits in a hidden folder of the models' folder until it is added or
imported, so that one that was stopped goes on, also after a restart.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.io.doi import ArchiveFile, find_by_doi, is_doi
from napari_sparsessp.io.downloading import Cancel, Progress, download
from napari_sparsessp.io.server import check_address
from napari_sparsessp.models.origin import of_download
from napari_sparsessp.models.registry import user_folder
from napari_sparsessp.models.store import file_sha256

SUFFIXES = (".safetensors", ".p", ".pth", ".pt", ".ckpt")
"""What a model's file may be called: ours, and the checkpoints that are imported."""

FOLDER = ".downloads"

ORIGIN = "origin.json"
"""Beside a download, so that its origin goes with it wherever it is imported."""

KEPT_DAYS = 30
"""A download that nobody has gone on with for so long is gone at the next one."""

_DIGITS = re.compile(r"(?:sha-?256[:=]?)?([0-9a-f]{64})", re.IGNORECASE)


@dataclass(frozen=True)
class Fetched:
    """A model file that has come.

    Attributes
    ----------
    path : Path
        Where it waits; `forget` removes it.
    origin : str
        Address or DOI as it was asked for.
    sha256 : str
        Of the file.
    checked : bool
        A checksum was known and agrees.
    """

    path: Path
    origin: str
    sha256: str
    checked: bool

    @property
    def is_native(self) -> bool:
        """Whether it is a model of this package rather than one to be imported."""
        return self.path.suffix == ".safetensors"

    @property
    def source(self) -> dict[str, JsonValue]:
        """What the card of the model shall say of it."""
        return of_download(self.origin, self.sha256)

    def forget(self) -> None:
        """Remove the download; the model has been added, or is not wanted."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


def fetch_model(
    origin: str,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Fetched:
    """Download a model file; the same call again goes on where it was stopped.

    Parameters
    ----------
    origin : str
        An https address, or a DOI with or without ``:file.name`` behind it.
    sha256 : str, optional
        What the file must have.
    progress : callable, optional
        Called with (bytes so far, bytes in all or None).
    cancel : optional
        Anything with ``is_set``.

    Returns
    -------
    Fetched

    Raises
    ------
    DownloadStopped, InputError, OutputError
        As `napari_sparsessp.io.downloading.download`.
    """
    origin = origin.strip()
    wanted = checked_digits(sha256)
    where: str | ArchiveFile = origin
    if is_doi(origin):
        where = find_by_doi(origin, SUFFIXES)
        name = model_file_name(where.name)
    else:
        check_address(origin)
        name = model_file_name(unquote(urlsplit(origin).path))
    # A folder for each origin: files of two origins may have one name.
    folder = sha256_of(origin.encode()).hexdigest()[:16]
    target = user_folder() / FOLDER / folder / name
    known = wanted is not None or (isinstance(where, ArchiveFile) and bool(where.md5))
    if target.is_file():  # it came whole, and then could not be added
        found = file_sha256(target)
        if wanted in (None, found):
            return Fetched(target, origin, found, known)
        shutil.rmtree(target.parent, ignore_errors=True)
    _forget_old()
    try:
        download(where, target, sha256=wanted, progress=progress, cancel=cancel)
    finally:
        with suppress(OSError):
            target.parent.rmdir()  # where nothing has come
    fetched = Fetched(target, origin, file_sha256(target), known)
    with atomic_write(target.with_name(ORIGIN), "the origin of a model") as part:
        part.write_text(json.dumps(fetched.source), encoding="utf-8")
    return fetched


def _forget_old() -> None:
    """Remove what nobody has gone on with for a month."""
    folder = user_folder() / FOLDER
    for place in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):
            if place.stat().st_mtime < time.time() - KEPT_DAYS * 86_400:
                shutil.rmtree(place)


def source_of(path: Path) -> dict[str, JsonValue]:
    """Tell where a file came from that waits to be added or imported.

    Parameters
    ----------
    path : Path
        Any file; of those that were not fetched nothing is known.

    Returns
    -------
    dict
        For the card (`napari_sparsessp.models.origin`); empty where nothing is known.
    """
    if path.parent.parent != user_folder() / FOLDER:
        return {}
    try:
        found = json.loads(path.with_name(ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def checked_digits(text: str | None) -> str | None:
    """Read a SHA-256 as people paste it; None for none.

    Raises
    ------
    InputError
        It is none.
    """
    if text is None or not text.strip():
        return None
    match = _DIGITS.fullmatch("".join(text.split()))
    if match is None:
        raise InputError(
            f"{text.strip()[:70]!r} is no SHA-256; it has 64 digits and letters a to f"
        )
    return match.group(1).lower()


def model_file_name(path: str) -> str:
    """Make a file name that is safe on every system of a path in an address.

    Parameters
    ----------
    path : str
        For example ``/records/1/files/best.pth`` or ``…/best.pth/content``.

    Raises
    ------
    InputError
        No part of it is called as model files are.
    """
    for part in reversed(re.split(r"[/\\]", path)):
        stem, dot, suffix = part.rpartition(".")
        if dot and f".{suffix.lower()}" in SUFFIXES:
            clean = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:80]
            return f"{clean or 'model'}.{suffix.lower()}"
    raise InputError(
        f"the address does not end in the name of a model file ({', '.join(SUFFIXES)});"
        " copy the address of the download button, or download it with a browser and "
        "import the file"
    )
