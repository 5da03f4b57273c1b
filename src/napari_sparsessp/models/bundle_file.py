"""Read the file of a bundle: several models in one folder that count as one.

``bundle.json`` lists the members, ``.safetensors`` files beside it, each with a card of
its own. The bundle's card follows from theirs, and is stored nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from napari_sparsessp.errors import ModelError, invalid_field
from napari_sparsessp.models.card import ModelCard, ModelId

BUNDLE_NAME = "bundle.json"

SCHEMA = 1
"""Newest schema of a bundle's file that this version reads; the one that it writes."""

LARGEST_FILE = 200_000
"""Bytes of a bundle's file; a hundred members take a tenth."""

MOST_MEMBERS = 100

# No part of a path, nothing hidden.
FileName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors$", max_length=120)
]


class Member(BaseModel):
    """One model of a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: FileName


class BundleFile(BaseModel):
    """Contents of ``bundle.json``; the licence and citation of members where empty."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Annotated[int, Field(alias="schema", ge=1, le=SCHEMA)] = SCHEMA
    id: ModelId
    name: Annotated[str, Field(min_length=1, max_length=120)]
    licence: Annotated[str, Field(max_length=10_000)] = ""
    citation: Annotated[str, Field(max_length=10_000)] = ""
    source: dict[str, JsonValue] = {}  # As a card's
    members: Annotated[tuple[Member, ...], Field(min_length=1, max_length=MOST_MEMBERS)]

    @model_validator(mode="after")
    def _names_no_file_twice(self) -> Self:
        # Some file systems do not tell small from large letters.
        if len({one.file.lower() for one in self.members}) < len(self.members):
            raise ValueError("a file is listed twice")
        return self

    def to_json(self) -> str:
        """Return the text of the file."""
        return self.model_dump_json(by_alias=True, indent=2)


def bundle_folder(path: Path) -> Path | None:
    """Return the folder of a bundle that is named by it or its file; else None."""
    if path.name == BUNDLE_NAME and path.is_file():
        return path.parent
    return path if (path / BUNDLE_NAME).is_file() else None


def read_bundle(folder: Path) -> BundleFile:
    """Read ``bundle.json``; ModelError where it is damaged or lists what is not there.

    Only names are checked, and that each is a file in this very folder.
    """
    where = folder / BUNDLE_NAME
    try:
        size = where.stat().st_size
        raw = None if size > LARGEST_FILE else json.loads(where.read_bytes())
    except OSError as error:
        raise ModelError(
            f"cannot read bundle {where}: {error.strerror or error}; check the path"
        ) from error
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict):
        raise ModelError(f"bundle {where} is damaged; get its folder again")
    schema = raw.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise ModelError(
            f"bundle {where} is too new: it has schema {schema} and this version reads "
            f"up to {SCHEMA}; update napari-sparsessp"
        )
    try:
        bundle = BundleFile.model_validate(raw)
    except ValidationError as error:
        name, reason = invalid_field(error)
        raise ModelError(
            f"bundle {where} is damaged ({name or 'file'}: {reason}); get its folder "
            "again"
        ) from error
    for path in member_files(folder, bundle):
        if path.is_symlink() or not path.is_file():
            raise ModelError(
                f"bundle {folder} lists {path.name}, and there is no such file in it; "
                "get its folder again"
            )
    return bundle


def member_files(folder: Path, bundle: BundleFile) -> list[Path]:
    """Return the files of the members, in their order."""
    return [folder / member.file for member in bundle.members]


# The card -----------------------------------------------------------------------------

_ALIKE: dict[str, tuple[str, Callable[[Any], str]]] = {
    "voxel_size": ("voxels of", lambda size: "×".join(f"{x:g}" for x in size) + " µm"),
    "topology": ("topology", str),
    "z_projection": ("projection over z", str),
}
"""In what the members of a bundle must agree, in words."""


def bundle_card(bundle: BundleFile, members: Sequence[ModelCard]) -> ModelCard:
    """Join the members' cards; ModelError where they do not make one model."""
    first = members[0]
    _check_agreement(bundle.id, members)
    structures = dict.fromkeys(name for card in members for name in card.structures)
    each = [set(card.ratios) for card in members]
    ratios = sorted(set.intersection(*each) or set.union(*each))
    return ModelCard(
        id=bundle.id,
        version=first.version if _same(card.version for card in members) else "",
        name=bundle.name,
        licence=bundle.licence or _each(card.licence for card in members),
        citation=bundle.citation or _each(card.citation for card in members),
        structures=tuple(structures),
        topology=first.topology,
        mapping=first.mapping,
        conditioning="multinet",  # a network for each structure
        network={},
        z_projection=first.z_projection,
        voxel_size=first.voxel_size,
        patch=first.patch,
        ratios=tuple(ratios),
        modality=_each((card.modality for card in members), ", "),
        normalisation=_each(card.normalisation for card in members),
        scaling=first.scaling,
        trained_on=_each(card.trained_on for card in members),
        training_images=tuple(
            dict.fromkeys(image for card in members for image in card.training_images)
        ),
        scores=_by_member(members, "scores"),
        limits=_limits(members),
        uncertainty={
            name: card.uncertainty[name]
            for name, card in _first_of_each(members).items()
            if name in card.uncertainty
        },
        source=bundle.source,
        members=tuple(members),
    )


def _check_agreement(bundle_id: str, members: Sequence[ModelCard]) -> None:
    first, ids = members[0], set()
    served: dict[tuple[str, str], str] = {}
    for card in members:
        for field, (what, words) in _ALIKE.items():
            here, there = getattr(card, field), getattr(first, field)
            if here != there:
                raise ModelError(
                    f"{card.id} has {what} {words(here)} and {first.id} has "
                    f"{words(there)}, so they cannot be members of one bundle; put "
                    "them into two"
                )
        if card.id in ids:
            raise ModelError(
                f"two members of bundle {bundle_id} have the id {card.id}; import one "
                "of them with another --id"
            )
        ids.add(card.id)
        for name in card.structures:
            other = served.setdefault((name, card.modality), card.id)
            if other != card.id:
                raise ModelError(
                    f"{other} and {card.id} both predict {name} from {card.modality}; "
                    "leave one of them out of the bundle"
                )


def _first_of_each(members: Sequence[ModelCard]) -> dict[str, ModelCard]:
    """Return structure id to the first member that predicts it."""
    return {name: card for card in reversed(members) for name in card.structures}


def _same(values: Iterable[str]) -> bool:
    return len(set(values)) == 1


def _each(values: Iterable[str], mark: str = "; ") -> str:
    """Join different texts."""
    return mark.join(dict.fromkeys(filter(None, values)))


def _by_member(members: Sequence[ModelCard], field: str) -> dict[str, JsonValue]:
    """Join the members' tables; a title that several have gets the member's name."""
    titles = [title for card in members for title in getattr(card, field)]
    return {
        title if titles.count(title) == 1 else f"{card.name}, {title}": value
        for card in members
        for title, value in getattr(card, field).items()
    }


def _limits(members: Sequence[ModelCard]) -> tuple[str, ...]:
    """List the limits of all members, and those of some with their names."""
    owners: dict[str, list[str]] = {}
    for card in members:
        for limit in card.limits:
            owners.setdefault(limit, []).append(card.name)
    return tuple(
        limit if len(names) == len(members) else f"{', '.join(names)}: {limit}"
        for limit, names in owners.items()
    )
