"""Fetch an entry of the gallery: download, check, import; for a bundle each member.

What has come waits in a hidden folder until it is imported, so that a broken download
goes on; a model appears among the user's own only once it is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from napari_sparsessp.download import (
    WrongFile,
    download,
    file_digest,
    megabytes,
    mismatch,
)
from napari_sparsessp.errors import InputError, ModelError, OutputError, invalid_field
from napari_sparsessp.files import atomic_write, output_errors
from napari_sparsessp.models import library
from napari_sparsessp.models.bundle import make_bundle
from napari_sparsessp.models.card import of_download
from napari_sparsessp.models.gallery import (
    KEY,
    Entry,
    RemoteFile,
    installed_ids,
    is_accepted,
    parts_of,
    waiting_folder,
)
from napari_sparsessp.models.importing import Answers, import_checkpoint
from napari_sparsessp.models.manage import remove_old_downloads
from napari_sparsessp.tasks import Progress, no_progress, part_of

LARGEST = 2 * 2**30
"""Bytes of a file whose size is not published; the largest that is has 0.4 GB."""

_IMPORT_SHARE = 0.1
"""Of the progress of an entry; the rest is its download."""


class LicenceNotAccepted(InputError):
    """An entry whose licence nobody has accepted here."""


@dataclass(frozen=True)
class Installed:
    """An entry that is now among the user's models."""

    path: Path  # Its file, or a bundle's folder
    files: Mapping[str, str]  # SHA-256 of each file that came, by its address


def install(
    entry: Entry,
    given: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Installed:
    """Fetch an entry's files, check them, and import them as a model of the user's.

    `given` are fields of `Answers` that replace the entry's. What has come stays for
    the next call, a model appears only once it is whole. InputError: the licence is
    not accepted (`accept`), a file is not the published one, or no network; ModelError:
    a file cannot be imported; OutputError: no room.
    """
    given = dict(given or {})
    _check_can_be_fetched(entry, given)
    id_ = given.get("id", entry.id)
    folder = library.user_folder()
    target = folder / (id_ if entry.members else f"{id_}.safetensors")
    library.check_id_free(id_, target, overwrite)
    remove_old_downloads()
    _check_room(entry)
    if not entry.members:
        return _import(entry, given, target, overwrite, progress)
    return _bundle(entry, given, overwrite, progress)


def _check_can_be_fetched(entry: Entry, given: Mapping[str, Any]) -> None:
    if not entry.can_be_fetched:
        raise InputError(
            f"{entry.id} has no fixed address: {entry.how} See {entry.page}"
        )
    if not is_accepted(entry):
        raise LicenceNotAccepted(
            f"the licence of {entry.id} is {entry.card_licence} Add --accept-licence "
            "if you accept it"
        )
    if entry.members and (more := set(given) - {"id", "name"}):
        raise InputError(
            f"{entry.id} is a bundle, whose members say their own {min(more)}; leave "
            "it out"
        )
    if not entry.members and entry.voxel_um is None and "voxel_size" not in given:
        raise InputError(
            f"the voxel size that {entry.id} was trained on is not published; give "
            "that of your images with --voxel-size Z,Y,X"
        )


def _check_room(entry: Entry) -> None:
    """Refuse before the first byte what the disk cannot hold."""
    missing = sum(
        file.size or 0
        for part in parts_of(entry)
        for file in part.files
        if not (waiting_folder(part) / file.name).is_file()
    )
    folder = waiting_folder(entry)
    there = next(place for place in folder.parents if place.exists())
    free = shutil.disk_usage(there).free
    if missing > free:
        raise OutputError(
            f"{entry.id} needs {megabytes(missing)} and the disk of {there} has "
            f"{megabytes(free)} left; make room or set SPARSESSP_MODELS to another "
            "folder"
        )


def _import(
    entry: Entry,
    given: Mapping[str, Any],
    target: Path,
    overwrite: bool,
    progress: Progress,
) -> Installed:
    """Fetch and import a single model."""
    folder, start = waiting_folder(entry), 1 - _IMPORT_SHARE
    digests = _download(entry, folder, part_of(progress, 0, start))
    main = max(entry.files, key=lambda file: file.size or 0)
    source: dict[str, JsonValue] = {KEY: entry.id}
    source |= of_download(main.url, digests[main.url])
    try:
        path = import_checkpoint(
            folder / entry.files[0].name,
            _answers(entry, given),
            target,
            overwrite,
            _import_progress(progress, start, entry),
            source,
        )
    except ModelError:
        for file in entry.files:  # the next try may get a better one
            if not file.hashes:
                (folder / file.name).unlink(missing_ok=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return Installed(path, digests)


def _import_progress(progress: Progress, start: float, entry: Entry) -> Progress:
    far = 0.0  # its steps each begin at 0

    def report(done: float, total: float | None = None, what: str = "") -> None:
        nonlocal far
        far = max(far, min(done / total, 1.0) if total else 0.0)
        text = f"importing {entry.name}: {what}".removesuffix(": ")
        progress(start + (1 - start) * far, None, text)

    return report


def _answers(entry: Entry, given: Mapping[str, Any]) -> Answers:
    """Return all that the importer would ask."""
    cite = entry.cite
    fields = {
        "id": entry.id,
        "name": entry.name,
        "structures": entry.predicts,
        "ratios": (1.0,),
        "voxel_size": entry.voxel_um,
        "scaling": entry.scaling,
        "modality": entry.modality,
        "licence": entry.card_licence,
        "citation": f"{cite.text}, doi {cite.doi}" if cite.doi else cite.text,
        "trained_on": entry.trained_on,
        **entry.answers,
        **given,
    }
    try:
        return Answers.model_validate(fields)
    except ValidationError as error:
        where, reason = invalid_field(error)
        name = where.partition(".")[0]
        raise InputError(
            f"--{name.replace('_', '-')} {str(fields.get(name))[:80]!r} cannot be used "
            f"for {entry.id} ({reason}); give another value, or update "
            "napari-sparsessp"
        ) from error


def _download(entry: Entry, folder: Path, progress: Progress) -> dict[str, str]:
    """Download the files that are missing; return SHA-256 by address."""
    even = any(file.size is None for file in entry.files)
    sizes = [1 if even else file.size or 1 for file in entry.files]
    digests, before = {}, 0
    for file, size in zip(entry.files, sizes, strict=True):
        start, stop = before / sum(sizes), (before + size) / sum(sizes)
        before += size
        target = folder / file.name
        if target.is_file() and mismatch(target, file.hashes, file.size):
            target.unlink()
        if not target.is_file():
            report = _file_progress(part_of(progress, start, stop), entry)
            _download_file(entry, file, target, report)
        digests[file.url] = file_digest(target, "sha256")
    return digests


def _file_progress(progress: Progress, entry: Entry) -> Progress:
    def report(done: float, total: float | None = None, what: str = "") -> None:
        amount = f"{done / 1e6:.1f}" + (f" of {total / 1e6:.1f}" if total else "")
        share = done / total if total else 0.0
        progress(share, None, f"{entry.name}: {what or f'{amount} MB'}")

    return report


def _download_file(
    entry: Entry, file: RemoteFile, target: Path, progress: Progress
) -> None:
    try:
        download(
            file.url,
            target,
            sha256=file.sha256,
            git_blob_sha1=file.git_blob_sha1,
            size=file.size,
            progress=progress,
            largest=LARGEST,
        )
    except WrongFile as error:
        raise InputError(
            f"{file.name} of {entry.id} has changed on the server ({error.why}); "
            f"nothing was installed: look at {entry.page}, or report it to us"
        ) from error
    finally:
        if target.parent.is_dir() and not any(target.parent.iterdir()):
            target.parent.rmdir()


# Bundles ----------------------------------------------------------------------------


def _bundle(
    entry: Entry, given: Mapping[str, Any], overwrite: bool, progress: Progress
) -> Installed:
    """Import all members out of sight, then make them one model."""
    folder, members = waiting_folder(entry), parts_of(entry)
    digests: dict[str, str] = {}
    own = installed_ids()
    missing = [member for member in members if not _at_hand(member, folder, own)]
    for number, member in enumerate(missing):
        start, stop = (0.98 * place / len(missing) for place in (number, number + 1))
        counted = _counted(part_of(progress, start, stop), number + 1, len(missing))
        target = folder / f"{member.id}.safetensors"
        digests |= _import(member, {}, target, True, counted).files
    path = make_bundle(
        given.get("id", entry.id),
        given.get("name", entry.name),
        [folder / f"{member.id}.safetensors" for member in members],
        licence=entry.card_licence,
        citation=_answers(members[0], {}).citation,
        source={KEY: entry.id, "fetched": entry.page},
        overwrite=overwrite,
        progress=part_of(progress, 0.98, 1.0, "making one model of them"),
    )
    shutil.rmtree(folder, ignore_errors=True)
    return Installed(path, digests)


def _at_hand(member: Entry, folder: Path, own: Mapping[str, Path]) -> bool:
    """Return whether a member is imported already; one of the user's is copied."""
    target = folder / f"{member.id}.safetensors"
    if target.is_file():
        try:
            return library.card_of(target).source.get(KEY) == member.id
        except ModelError:
            return False
    path = own.get(member.id)
    if path is None or not path.is_file() or library.card_of(path).id != member.id:
        return False
    with output_errors(target):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(target, "model") as part:
        shutil.copyfile(path, part)
    return True


def _counted(progress: Progress, number: int, count: int) -> Progress:
    def report(done: float, total: float | None = None, what: str = "") -> None:
        progress(done, total, f"{number} of {count}, {what}" if count > 1 else what)

    return report
