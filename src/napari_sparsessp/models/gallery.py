"""The gallery: published models that are fetched, imported and used on a click.

``gallery.yaml`` beside this file has an entry for each; reading it needs no torch and
no network. `models.fetching` fetches one, once its licence is accepted.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
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

from napari_sparsessp.errors import InputError, ModelError, OutputError, invalid_field
from napari_sparsessp.files import (
    atomic_write,
    folders_file,
    output_errors,
    read_yaml,
)
from napari_sparsessp.models import library
from napari_sparsessp.models.card import Digest, Micrometres, ModelId, Structure
from napari_sparsessp.models.manage import download_folder

GALLERY = Path(__file__).with_name("gallery.yaml")

LICENCES = "licences.json"
"""Beside the file of chosen folders: the licence that was accepted, by entry."""

KEY = "gallery"
"""In the `source` of a card: id of the entry that a model came from."""

UNSEEN = "nobody of us has seen this file"
"""Of an entry that is not `checked`."""

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


class Entry(_Frozen):
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
def read_gallery() -> tuple[Entry, ...]:
    """Read all entries, as they are listed."""
    return parse_gallery(read_yaml(GALLERY, "gallery"))


def parse_gallery(content: Any) -> tuple[Entry, ...]:
    """Validate the content of a gallery's file; ModelError where it is damaged."""
    rows = content if isinstance(content, list) else [content]
    entries: dict[str, Entry] = {}
    for row in rows:
        try:
            entry = Entry.model_validate(row)
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


def find_entry(id_: str) -> Entry:
    """Return an entry by its id; InputError lists what looks like it."""
    from difflib import get_close_matches

    entries = {entry.id: entry for entry in read_gallery()}
    if id_ in entries:
        return entries[id_]
    near = ", ".join(get_close_matches(id_, entries, 3, 0.4))
    meant = f"did you mean {near}? " if near else ""
    raise InputError(
        f"the gallery has no {id_[:80]!r}; {meant}sparsessp models gallery lists it; "
        "or give an https address or a DOI"
    )


def parts_of(entry: Entry) -> tuple[Entry, ...]:
    """Return the members of a bundle, or the entry itself."""
    if not entry.members:
        return (entry,)
    entries = {one.id: one for one in read_gallery()}
    return tuple(entries[id_] for id_ in entry.members)


def files_of(entry: Entry) -> tuple[RemoteFile, ...]:
    """Return all files of an entry, those of its members included."""
    return tuple(file for part in parts_of(entry) for file in part.files)


def download_size(entry: Entry) -> int | None:
    """Return the bytes to download; None where they are not published."""
    sizes = [file.size for file in files_of(entry)]
    known = [size for size in sizes if size is not None]
    return sum(known) if sizes and len(known) == len(sizes) else None


def matches(
    entry: Entry, structure: str = "", modality: str = "", words: str = ""
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
    found: dict[str, Path] = {}
    for one in library.all_entries() if entries is None else entries:
        if one.card is not None and isinstance(id_ := one.card.source.get(KEY), str):
            found.setdefault(id_, one.path)
    return found


def state_of(entry: Entry, installed: Mapping[str, Path]) -> State:
    """Return how far an entry is: not fetched, partly here, or among the models."""
    if entry.id in installed:
        return "yours"
    folders = [waiting_folder(part) for part in (entry, *parts_of(entry))]
    some = any(folder.is_dir() and any(folder.iterdir()) for folder in folders)
    return "partly" if some or installed.keys() & set(entry.members) else "new"


def waiting_folder(entry: Entry) -> Path:
    """Return where the files of an entry wait until it is imported."""
    return download_folder(f"gallery-{entry.id}")


# Licences ---------------------------------------------------------------------------


_unsaved: dict[str, str] = {}
"""Accepted where the file of licences cannot be written."""


def is_accepted(entry: Entry) -> bool:
    """Return whether the licence of an entry, as it is now, was accepted before."""
    return _accepted().get(entry.id) == entry.card_licence


def accept(entry: Entry) -> None:
    """Remember that the licence of an entry, and of its members, is accepted."""
    if is_accepted(entry):
        return
    new = {one.id: one.card_licence for one in (entry, *parts_of(entry))}
    kept = _accepted() | new
    path = folders_file().with_name(LICENCES)
    try:
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, "the accepted licences") as part:
            part.write_text(json.dumps(kept, indent=2), encoding="utf-8")
    except OutputError as error:  # it holds until the program ends
        _unsaved.update(new)
        logger.warning("the licence will be shown again: %s", error)


def _accepted() -> dict[str, str]:
    try:
        path = folders_file().with_name(LICENCES)
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        kept = None
    return (kept if isinstance(kept, dict) else {}) | _unsaved
