"""The gallery: published models that are fetched, imported and used on a click.

``gallery.yaml`` beside this file has an entry for each; reading it needs no torch and
no network. Nothing is fetched before a user asks for it and accepts the licence.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from napari_sparsessp.download import WrongFile, download, file_digest, mismatch
from napari_sparsessp.errors import InputError, ModelError, OutputError, invalid_field
from napari_sparsessp.files import (
    atomic_write,
    folders_file,
    output_errors,
    read_yaml,
)
from napari_sparsessp.models import library
from napari_sparsessp.models.bundle import make_bundle
from napari_sparsessp.models.card import (
    Digest,
    Micrometres,
    ModelId,
    Structure,
    of_download,
)
from napari_sparsessp.models.manage import download_folder, remove_old_downloads
from napari_sparsessp.tasks import Progress, no_progress, part_of

GALLERY = Path(__file__).with_name("gallery.yaml")

LICENCES = "licences.json"
"""Beside the file of chosen folders: the licence that was accepted, by entry."""

LARGEST = 2 * 2**30
"""Bytes of a file whose size is not published; the largest that is has 0.4 GB."""

UNSEEN = "nobody of us has seen this file"
"""Of an entry that is not `checked`."""

_IMPORT_SHARE = 0.1
"""Of the progress of an entry; the rest is its download."""

logger = logging.getLogger(__name__)

Line = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Https = Annotated[str, Field(max_length=1000, pattern=r"^https://[^\s\x00-\x1f\x7f]+$")]
State = Literal["new", "partly", "yours"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Citation(_Frozen):
    """Publication of a model."""

    text: Line
    doi: Annotated[str, Field(pattern=r"^(10\.\d{4,9}/\S+)?$")] = ""


class RemoteFile(_Frozen):
    """A file of an entry, with what its publisher states of it."""

    # On this computer; of the address nothing but its bytes is used
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$")]
    url: Https
    size: Annotated[int, Field(ge=1)] | None = None  # Bytes
    sha256: Digest | None = None
    git_blob_sha1: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None

    @property
    def hashes(self) -> dict[str, str]:
        """Published checksums by their kind."""
        given = {"sha256": self.sha256, "git_blob_sha1": self.git_blob_sha1}
        return {kind: digits for kind, digits in given.items() if digits}


class GalleryEntry(_Frozen):
    """A published model: what it is for, where it lies, and how it is imported."""

    id: ModelId
    name: Line
    predicts: Annotated[tuple[Structure, ...], Field(min_length=1)]  # Order of outputs
    modality: Line
    dimension: Literal["2d", "3d"]
    voxel_um: tuple[Micrometres, Micrometres, Micrometres] | None  # (z, y, x)
    window_planes: Annotated[int, Field(ge=1)] | None = None  # None: the whole stack
    scaling: Line
    cells: Line
    objective: Line = ""
    licence: Annotated[Line, Field(min_length=1)]
    licence_note: Line = ""
    cite: Citation
    format: Literal["gvtnet-tf1", "viscy-ckpt", "fnet-p", "bundle"]
    files: tuple[RemoteFile, ...] = ()
    members: tuple[ModelId, ...] = ()  # Entries of a bundle
    how: Line = ""  # Where the files have no fixed address: how to get them
    page: Https
    facts: Line = ""  # Where all this is stated
    checked: date | None  # Of a download that somebody of us has seen predict
    # Fields of `Answers` that nothing above says
    answers: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if bool(self.members) != (self.format == "bundle") or (
            bool(self.files) + bool(self.members) + bool(self.how) != 1
        ):
            raise ValueError("an entry has files, members, or how to get it")
        if len({file.name for file in self.files}) != len(self.files):
            raise ValueError("two files have one name")
        return self

    @property
    def can_be_fetched(self) -> bool:
        """Whether its files have addresses."""
        return not self.how

    @property
    def trained_on(self) -> str:
        """Cells and objective, in words."""
        return ", ".join(filter(None, (self.cells, self.objective)))

    @property
    def link(self) -> str:
        """Address of its publication."""
        return f"https://doi.org/{self.cite.doi}" if self.cite.doi else self.page

    @property
    def card_licence(self) -> str:
        """Licence with its note, as a card keeps it."""
        return " ".join(filter(None, (f"{self.licence}.", self.licence_note)))


@lru_cache(maxsize=1)
def read_gallery() -> tuple[GalleryEntry, ...]:
    """Read all entries, as they are listed."""
    return parse_gallery(read_yaml(GALLERY, "gallery"))


def parse_gallery(content: Any) -> tuple[GalleryEntry, ...]:
    """Validate the content of a gallery's file; ModelError where it is damaged."""
    rows = content if isinstance(content, list) else [content]
    entries: dict[str, GalleryEntry] = {}
    for row in rows:
        try:
            entry = GalleryEntry.model_validate(row)
        except ValidationError as error:
            where, reason = invalid_field(error)
            raise _damaged(f"{where}: {reason}") from error
        if entry.id in entries:
            raise _damaged(f"{entry.id} is listed twice")
        entries[entry.id] = entry
    for entry in entries.values():
        members = [entries.get(id_) for id_ in entry.members]
        if any(member is None or not member.files for member in members):
            raise _damaged(f"{entry.id} has a member without files")
        shown = {id_ for member in members if member for id_ in member.predicts}
        if members and shown != set(entry.predicts):
            raise _damaged(f"{entry.id} predicts other structures than its members")
    return tuple(entries.values())


def _damaged(why: str) -> ModelError:
    return ModelError(f"the gallery is damaged ({why}); reinstall napari-sparsessp")


def find_entry(id_: str) -> GalleryEntry:
    """Return an entry by its id; InputError lists what looks like it."""
    from difflib import get_close_matches

    entries = {entry.id: entry for entry in read_gallery()}
    if id_ in entries:
        return entries[id_]
    near = ", ".join(get_close_matches(id_, entries, 3, 0.4))
    meant = f"did you mean {near}? " if near else ""
    raise InputError(
        f"the gallery has no {id_[:80]!r}; {meant}sparsessp models gallery lists it; or "
        "give an https address or a DOI"
    )


def parts_of(entry: GalleryEntry) -> tuple[GalleryEntry, ...]:
    """Return the members of a bundle, or the entry itself."""
    if not entry.members:
        return (entry,)
    entries = {one.id: one for one in read_gallery()}
    return tuple(entries[id_] for id_ in entry.members)


def files_of(entry: GalleryEntry) -> tuple[RemoteFile, ...]:
    """Return all files of an entry, those of its members included."""
    return tuple(file for part in parts_of(entry) for file in part.files)


def download_size(entry: GalleryEntry) -> int | None:
    """Return the bytes to download; None where they are not published."""
    sizes = [file.size for file in files_of(entry)]
    known = [size for size in sizes if size is not None]
    return sum(known) if sizes and len(known) == len(sizes) else None


def matches(
    entry: GalleryEntry, structure: str = "", modality: str = "", words: str = ""
) -> bool:
    """Return whether an entry predicts, takes and mentions what is looked for."""
    text = " ".join(
        [
            *(entry.id, entry.name, entry.modality, entry.cells, entry.objective),
            *(entry.licence, entry.cite.text, entry.dimension, *entry.predicts),
        ]
    ).lower()
    return (
        (not structure or structure in entry.predicts)
        and (not modality or modality.lower() == entry.modality.lower())
        and all(word in text for word in words.lower().split())
    )


# State ------------------------------------------------------------------------------


def installed_ids(entries: Iterable[library.Entry] | None = None) -> dict[str, Path]:
    """Return the models that came from the gallery: path by the id of the entry."""
    found = {}
    for one in library.all_entries() if entries is None else entries:
        if one.card is not None and isinstance(id_ := one.card.source.get(KEY), str):
            found.setdefault(id_, one.path)
    return found


KEY = "gallery"
"""In the `source` of a card: id of the entry that a model came from."""


def state_of(entry: GalleryEntry, installed: Mapping[str, Path]) -> State:
    """Return how far an entry is: not fetched, partly here, or among the models."""
    if entry.id in installed:
        return "yours"
    folders = [_folder(part) for part in (entry, *parts_of(entry))]
    some = any(folder.is_dir() and any(folder.iterdir()) for folder in folders)
    return "partly" if some or installed.keys() & set(entry.members) else "new"


def _folder(entry: GalleryEntry) -> Path:
    """Return where the files of an entry wait until it is imported."""
    return download_folder(f"gallery-{entry.id}")


# Licences ---------------------------------------------------------------------------


class LicenceNotAccepted(InputError):
    """An entry whose licence nobody has accepted here."""


def is_accepted(entry: GalleryEntry) -> bool:
    """Return whether the licence of an entry, as it is now, was accepted before."""
    return _accepted().get(entry.id) == entry.card_licence


def accept(entry: GalleryEntry) -> None:
    """Remember that the licence of an entry, and of its members, is accepted."""
    if is_accepted(entry):
        return
    kept = _accepted()
    kept |= {one.id: one.card_licence for one in (entry, *parts_of(entry))}
    path = folders_file().with_name(LICENCES)
    try:
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, "the accepted licences") as part:
            part.write_text(json.dumps(kept, indent=2), encoding="utf-8")
    except OutputError as error:  # it holds for this time
        logger.warning("the licence will be shown again: %s", error)


def _accepted() -> dict[str, str]:
    try:
        path = folders_file().with_name(LICENCES)
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


# Fetch and import -------------------------------------------------------------------


@dataclass(frozen=True)
class Installed:
    """An entry that is now among the user's models."""

    path: Path  # Its file, or a bundle's folder
    files: Mapping[str, str]  # SHA-256 of each file that came, by its address


def install(
    entry: GalleryEntry,
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


def _check_can_be_fetched(entry: GalleryEntry, given: Mapping[str, Any]) -> None:
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


def _check_room(entry: GalleryEntry) -> None:
    """Refuse before the first byte what the disk cannot hold."""
    missing = sum(
        file.size or 0
        for part in parts_of(entry)
        for file in part.files
        if not (_folder(part) / file.name).is_file()
    )
    folder = _folder(entry)
    there = next(place for place in folder.parents if place.exists())
    free = shutil.disk_usage(there).free
    if missing > free:
        raise OutputError(
            f"{entry.id} needs {megabytes(missing)} and the disk of {there} has "
            f"{megabytes(free)} left; make room or set SPARSESSP_MODELS to another "
            "folder"
        )


def megabytes(size: float) -> str:
    """Write a number of bytes: ``74.1 MB``, ``1.2 GB``."""
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2g} GB"


def _import(
    entry: GalleryEntry,
    given: Mapping[str, Any],
    target: Path,
    overwrite: bool,
    progress: Progress,
) -> Installed:
    """Fetch and import a single model."""
    from napari_sparsessp.models.importing import import_checkpoint

    folder, start = _folder(entry), 1 - _IMPORT_SHARE
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


def _import_progress(progress: Progress, start: float, entry: GalleryEntry) -> Progress:
    far = 0.0  # its steps each begin at 0

    def report(done: float, total: float | None = None, what: str = "") -> None:
        nonlocal far
        far = max(far, min(done / total, 1.0) if total else 0.0)
        text = f"importing {entry.name}: {what}".removesuffix(": ")
        progress(start + (1 - start) * far, None, text)

    return report


def _answers(entry: GalleryEntry, given: Mapping[str, Any]) -> Any:
    """Return all that the importer would ask."""
    from napari_sparsessp.models.importing import Answers

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


def _download(entry: GalleryEntry, folder: Path, progress: Progress) -> dict[str, str]:
    """Download the files that are missing; return SHA-256 by address."""
    sizes = [file.size or 1 for file in entry.files]
    if None in [file.size for file in entry.files]:
        sizes = [1] * len(sizes)
    digests, before = {}, 0
    for file, size in zip(entry.files, sizes, strict=True):
        span = [place / sum(sizes) for place in (before, before + size)]
        before += size
        target = folder / file.name
        if target.is_file() and mismatch(target, file.hashes, file.size):
            target.unlink()
        if not target.is_file():
            report = _file_progress(part_of(progress, *span), entry)
            _download_file(entry, file, target, report)
        digests[file.url] = file_digest(target, "sha256")
    return digests


def _file_progress(progress: Progress, entry: GalleryEntry) -> Progress:
    def report(done: float, total: float | None = None, what: str = "") -> None:
        amount = f"{done / 1e6:.1f}" + (f" of {total / 1e6:.1f}" if total else "")
        share = done / total if total else 0.0
        progress(share, None, f"{entry.name}: {what or f'{amount} MB'}")

    return report


def _download_file(
    entry: GalleryEntry, file: RemoteFile, target: Path, progress: Progress
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
    entry: GalleryEntry, given: Mapping[str, Any], overwrite: bool, progress: Progress
) -> Installed:
    """Import all members out of sight, then make them one model."""
    folder, members = _folder(entry), parts_of(entry)
    digests: dict[str, str] = {}
    own = installed_ids()
    missing = [member for member in members if not _at_hand(member, folder, own)]
    for number, member in enumerate(missing):
        span = [0.98 * place / len(missing) for place in (number, number + 1)]
        counted = _counted(part_of(progress, *span), number + 1, len(missing))
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


def _at_hand(member: GalleryEntry, folder: Path, own: Mapping[str, Path]) -> bool:
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
