"""Manage the user's models: add, rename, export, delete and restore, download."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue, ValidationError

from napari_sparsessp.download import (
    ArchiveFile,
    check_address,
    download,
    find_by_doi,
    is_doi,
)
from napari_sparsessp.errors import InputError, ModelError, OutputError
from napari_sparsessp.files import atomic_write, output_errors
from napari_sparsessp.models.bundle import (
    ADVICE,
    add_bundle,
    export_bundle,
    rename_bundle,
)
from napari_sparsessp.models.bundle_file import bundle_folder
from napari_sparsessp.models.card import ModelCard, of_download
from napari_sparsessp.models.library import (
    CARD_NAME,
    WEIGHTS_NAME,
    all_entries,
    card_of,
    check_id_free,
    find_model,
    shipped_folder,
    user_folder,
    weights_file,
    write_card,
)
from napari_sparsessp.models.weights import (
    CARD_KEY,
    copy_weights,
    file_sha256,
    read_header,
)
from napari_sparsessp.tasks import Progress, no_progress

KEPT_DAYS = 30
"""Deleted models and abandoned downloads are removed for good after so many days."""

_DAY = 86_400


# Add, rename, export ----------------------------------------------------------------


def add_model(
    path: str | Path,
    *,
    id: str | None = None,  # noqa: A002 - what the card calls it
    source: Mapping[str, JsonValue] | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Copy a model file or folder into the folder of the user's models.

    `id` replaces that of the card, and `source` is added to the card's; without both
    the copy is the file bit by bit. `overwrite` replaces only the user's own model of
    this id; otherwise `library.IdTaken` is raised.
    """
    path = Path(path)
    if (folder := bundle_folder(path)) is not None:
        return add_bundle(
            folder, id=id, source=source, overwrite=overwrite, progress=progress
        )
    card, weights = card_of(path), weights_file(path)
    changes: dict[str, Any] = {}
    if source is not None:
        changes["source"] = {**card.source, **source}
    if id is not None and id != card.id:
        changes["id"] = id
    try:
        changed = ModelCard.model_validate(card.model_dump(by_alias=True) | changes)
    except ValidationError as error:
        raise InputError(
            f"{id!r} is no id of a model; write lower-case letters, digits and -"
        ) from error
    target = user_folder() / f"{changed.id}.safetensors"
    check_id_free(changed.id, target, overwrite)
    with output_errors(f"model {target}", ADVICE):
        target.parent.mkdir(parents=True, exist_ok=True)
        # A card that lies beside has to go into the one file.
        same = not changes and CARD_KEY in read_header(weights).metadata
        copy_weights(weights, target, None if same else changed, progress, ADVICE)
    return target


def rename_model(
    path: str | Path, name: str, progress: Progress = no_progress
) -> ModelCard:
    """Change the name of one of the user's models; return the new card."""
    path = Path(path)
    name = " ".join(name.split())
    if not 0 < len(name) <= 120:
        raise InputError("a model's name has 1 to 120 characters; write another name")
    if path.parent == shipped_folder():
        raise ModelError(
            "a model that came with the plugin keeps its name; export it for a copy "
            "of your own"
        )
    if bundle_folder(path) is not None:
        return rename_bundle(path, name)
    card = card_of(path).model_copy(update={"name": name})
    weights = weights_file(path)
    advice = "make room or check the folder's rights"
    with output_errors(weights, advice):
        copy_weights(weights, weights, card, progress, advice)
    if path.is_dir():
        write_card(path, card)
    return card


def export_model(
    id_or_path: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Copy a model, tensors bit by bit, to a file or folder; return the weights file.

    It carries its card even if the original had it in a file beside. A bundle becomes
    a folder, which is returned.
    """
    path, out = find_model(id_or_path), Path(out).expanduser()
    if bundle_folder(path) is not None:
        return export_bundle(path, out, overwrite=overwrite, progress=progress)
    card, original = card_of(path), weights_file(path)
    has_card = CARD_KEY in read_header(original).metadata
    single = out.suffix == ".safetensors"
    target = out if single else out / WEIGHTS_NAME
    for place in (target,) if single else (target, out / CARD_NAME):
        if place.exists() and (place.is_dir() or not overwrite):
            raise OutputError(
                f"{place} exists already; give another name or --overwrite"
            )
    if target.exists() and target.samefile(original):
        raise OutputError(f"{target} is the model itself; choose another place")
    if target.parent.exists() and not target.parent.is_dir():
        raise OutputError(f"{target.parent} is not a folder; choose another place")
    with output_errors(f"model {out}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_weights(original, target, None if has_card else card, progress)
    if not single:
        write_card(out, card)
    return target


# Delete and restore -----------------------------------------------------------------

_TRASH = ".deleted"


@dataclass(frozen=True)
class Deleted:
    """A deleted model: its place in the trash, and when (seconds since 1970).

    The trash is a hidden folder among the user's models, on the same disk, so that a
    deletion takes no time and can be undone, also after a restart.
    """

    path: Path
    when: float


def delete_model(path: str | Path) -> Deleted:
    """Move one of the user's models, whole or damaged, into the trash."""
    path = Path(path)
    if path.parent == shipped_folder():
        raise ModelError(
            f"{path.stem} came with the plugin and cannot be deleted; it goes when "
            "napari-sparsessp is uninstalled"
        )
    if path.parent != user_folder():
        raise ModelError(
            f"{path} does not lie among your models; delete it where it lies"
        )
    if not (path.exists() or path.is_symlink()):
        raise ModelError(f"there is no model file {path} any more; look again")
    for old in deleted_models():
        if old.when < time.time() - KEPT_DAYS * _DAY:
            shutil.rmtree(old.path.parent, ignore_errors=True)
    now = time.time_ns()
    target = user_folder() / _TRASH / f"{now:020d}" / path.name
    with output_errors(path, "close what uses it", "delete"):
        target.parent.mkdir(parents=True)
        path.rename(target)
    return Deleted(target, now / 1e9)


def deleted_models() -> list[Deleted]:
    """List the trash, the last deleted first."""
    trash = user_folder() / _TRASH
    places = sorted(trash.iterdir(), reverse=True) if trash.is_dir() else []
    return [
        Deleted(path, int(place.name) / 1e9)
        for place in places
        if place.name.isdecimal() and place.is_dir()
        for path in place.iterdir()
    ]


def restore_model(deleted: Deleted) -> Path:
    """Move a deleted model back."""
    target = user_folder() / deleted.path.name
    if not (deleted.path.exists() or deleted.path.is_symlink()):
        raise ModelError(f"{target.stem} is not in the trash any more")
    taken = {entry.card.id for entry in all_entries() if entry.card is not None}
    own_id = None
    with suppress(ModelError):  # a damaged model has no id that another could have
        own_id = card_of(deleted.path).id
    if target.exists() or own_id in taken:
        raise ModelError(
            f"another model has the place of {target.stem} by now; remove that model "
            "first"
        )
    with output_errors(target, f"move it there from {deleted.path}", "restore"):
        deleted.path.rename(target)
        deleted.path.parent.rmdir()
    return target


# Download ---------------------------------------------------------------------------

SUFFIXES = (".safetensors", ".p", ".pth", ".pt", ".ckpt")
"""Endings of model files: ours, and the checkpoints that can be imported."""

_DOWNLOADS = ".downloads"
"""Folder in which a download waits until it is added or imported, so that a stopped
download resumes, also after a restart."""

_ORIGIN = "origin.json"
"""Beside a download, so that its origin goes with it wherever it is imported."""

_DIGITS = re.compile(r"(?:sha-?256[:=]?)?([0-9a-f]{64})", re.IGNORECASE)


@dataclass(frozen=True)
class Fetched:
    """A downloaded model file."""

    path: Path  # Where it waits; `forget` removes it
    origin: str  # Address or DOI as the user gave it
    sha256: str  # Of the file
    checked: bool  # A checksum was given and agrees

    @property
    def is_native(self) -> bool:
        """Whether it is a model of this package rather than a foreign checkpoint."""
        return self.path.suffix == ".safetensors"

    @property
    def source(self) -> dict[str, JsonValue]:
        """The `source` of its card."""
        return of_download(self.origin, self.sha256)

    def forget(self) -> None:
        """Remove the download; the model has been added, or is not wanted."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


def fetch_model(
    origin: str, *, sha256: str | None = None, progress: Progress = no_progress
) -> Fetched:
    """Download a model file; the same call resumes a partial download."""
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
    folder = download_folder(sha256_of(origin.encode()).hexdigest()[:16])
    target = folder / name
    checked = bool(wanted or (isinstance(where, ArchiveFile) and where.md5))
    if target.is_file():  # it came whole, and then could not be added
        digest = file_sha256(target)
        if wanted in (None, digest):
            return Fetched(target, origin, digest, checked)
        shutil.rmtree(folder, ignore_errors=True)
    remove_old_downloads()
    try:
        download(where, target, sha256=wanted, progress=progress)
    finally:
        with suppress(OSError):
            folder.rmdir()  # where nothing has come
    fetched = Fetched(target, origin, file_sha256(target), checked)
    with atomic_write(folder / _ORIGIN, "the origin of a model") as part:
        part.write_text(json.dumps(fetched.source), encoding="utf-8")
    return fetched


def download_folder(name: str) -> Path:
    """Return the folder in which a download waits; it need not exist."""
    return user_folder() / _DOWNLOADS / name


def remove_old_downloads() -> None:
    """Remove the downloads that nobody has wanted for long."""
    downloads = user_folder() / _DOWNLOADS
    for old in downloads.iterdir() if downloads.is_dir() else ():
        with suppress(OSError):
            if old.stat().st_mtime < time.time() - KEPT_DAYS * _DAY:
                shutil.rmtree(old)


def source_of(path: Path) -> dict[str, JsonValue]:
    """Return the `source` for the card of a downloaded file; {} for other files."""
    if path.parent.parent != user_folder() / _DOWNLOADS:
        return {}
    try:
        source = json.loads(path.with_name(_ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return source if isinstance(source, dict) else {}


def checked_digits(text: str | None) -> str | None:
    """Read a SHA-256 as people paste it; None for none."""
    if text is None or not text.strip():
        return None
    match = _DIGITS.fullmatch("".join(text.split()))
    if match is None:
        raise InputError(
            f"{text.strip()[:70]!r} is no SHA-256; it has 64 digits and letters a to f"
        )
    return match.group(1).lower()


def model_file_name(path: str) -> str:
    """Return a file name that is safe on every system for a path in an address."""
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
