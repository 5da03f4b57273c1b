"""Complete what a checkpoint says of itself with what a person answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_sparsessp.errors import InputError, ModelError, invalid_field
from napari_sparsessp.models.card import UNSTATED, ModelId, Positive, Scaling
from napari_sparsessp.structures import CATALOGUE, structure_id

if TYPE_CHECKING:
    import torch

QuestionName = Literal[
    "structures", "ratio", "voxel_size", "scaling", "modality", "head_pool"
]

PUBLISHED_VOXEL = (0.29, 0.29, 0.29)
"""µm (z, y, x) of the grid that all three methods were trained on."""

PUBLISHED_SCALING = "zscore"
"""All three subtract the mean of the whole stack and divide by its deviation."""

PUBLISHED_TWELVE = tuple(
    structure.id
    for structure in sorted(CATALOGUE.values(), key=lambda entry: entry.dataset)
)
"""The published data sets in the order of their task numbers: alphabetical."""

LARGEST_RATIO = 64

NAMELESS = ("best", "checkpoint", "final", "last", "model", "weights")
"""File names that say nothing of a model; its folder's name goes before them."""

CITATIONS = {
    "RepMode": "Zhou et al., RepMode, CVPR 2023",
    "SparseSSP": "Zheng et al., SparseSSP, ECCV 2024",
    "pytorch_fnet": "Ounkomol et al., Nature Methods 2018",
    "GVTNet": "Wang, Xie and Ji, Nature Machine Intelligence 2021",
    "VisCy": "Liu, Hirata-Miyasaki et al., Nature Machine Intelligence 2025",
}

_STRUCTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.+-]{0,63}")
_RATIO = re.compile(r"(?<![a-z0-9])(?:r|x|ratio[ _-]?)(\d{1,2})(?![0-9])", re.ASCII)


@dataclass(frozen=True)
class Question:
    """An information that the network needs and the file lacks."""

    name: QuestionName
    # Structure ids, a whole number, a (z, y, x) in µm, a name, or yes or no; None where
    # nothing suggests itself
    suggestion: Any = None
    # Whether the suggestion may be taken without asking: it is what the published
    # method does, or stands in the file's name. A guess is never taken unasked
    assumable: bool = False
    reason: str = ""  # Where the suggestion comes from, in a few words


@dataclass(frozen=True)
class CheckpointInfo:
    """Contents of a checkpoint, as far as the file shows them."""

    path: Path
    # `RepMode`, `SparseSSP`, `GVTNet`, `pytorch_fnet (legacy)`, `VisCy FCMAE`, …
    format: str
    network: dict[str, Any]  # Fields of `napari_sparsessp.networks.NetworkConfig`
    outputs: int  # Structures T that the network predicts
    # Their ids in the order of the outputs, where the file names them
    structures: tuple[str, ...] | None
    ratio: int | None  # Sparsity ratio, where the file or the published method fixes it
    parameters: int  # Number of trainable parameters
    notes: tuple[str, ...] = ()  # What was read off the shapes, in words
    questions: tuple[Question, ...] = ()  # What the file leaves open
    suggested_id: str = ""  # Where folders name the model and the file does not

    def question(self, name: str) -> Question | None:
        """Return a question by its name; None where the file answers it."""
        return next((entry for entry in self.questions if entry.name == name), None)


@dataclass(frozen=True, eq=False)
class Source:
    """A checkpoint with a place in one of our networks for each of its tensors."""

    found: CheckpointInfo
    # Tensors by their published names
    state: Mapping[str, torch.Tensor] = field(repr=False)
    # Published name of each of our tensors
    names: Mapping[str, str] = field(repr=False)


# Questions --------------------------------------------------------------------------


def questions_for(
    path: Path,
    outputs: int,
    structures: Sequence[str] | None,
    ratio: int | None,
    *,
    depth: int | None = None,
    guess: bool = False,
) -> tuple[Question, ...]:
    """List what has to be asked, with what suggests itself."""
    questions = []
    if structures is None:
        questions.append(_ask_structures(path, outputs, guess=guess))
    if ratio is None:
        named = ratio_in_name(path, depth)
        known = named is not None
        reason = "in the file's name" if known else ""
        questions.append(Question("ratio", named, known, reason))
    published = "as published"
    questions.append(Question("voxel_size", PUBLISHED_VOXEL, True, published))
    questions.append(Question("scaling", PUBLISHED_SCALING, True, published))
    return tuple(questions)


def ratio_in_name(path: Path, depth: int | None = None) -> int | None:
    """Read the ratio from ``best_r8.pth``, ``3to2d_x8.pth`` or ``demo_x8/best.pth``."""
    for name in (path.stem, path.parent.name):
        ratios = {int(match) for match in _RATIO.findall(name.lower())}
        fitting = {
            ratio
            for ratio in ratios
            if 1 <= ratio <= LARGEST_RATIO and (depth is None or depth % ratio == 0)
        }
        if len(fitting) == 1:
            return fitting.pop()
    return None


def named_structures(
    names: Sequence[Any] | None, outputs: int, path: Path
) -> tuple[str, ...] | None:
    """Return the structures that a file names, if they are as many as its outputs."""
    if names is None or len(names) != outputs:
        return None
    try:
        return structure_ids(names)
    except InputError as error:
        raise ModelError(
            f"checkpoint {path} names its structures in an odd way: {error}"
        ) from error


def structure_ids(names: Sequence[Any]) -> tuple[str, ...]:
    """Turn names of structures into ids; data sets of the paper are understood."""
    ids = []
    for name in names:
        if not isinstance(name, str) or not _STRUCTURE.fullmatch(name.strip()):
            shown = repr(name)[:60]
            raise InputError(
                f"{shown} cannot be the name of a structure; use letters, digits and _"
            )
        id_ = structure_id(name.strip())
        if id_ not in CATALOGUE:
            id_ = id_.lower().replace(" ", "_")
        if id_ in ids:
            raise InputError(f"structure {id_} is named twice; name each output once")
        ids.append(id_)
    return tuple(ids)


def _ask_structures(path: Path, outputs: int, *, guess: bool) -> Question:
    if outputs == len(PUBLISHED_TWELVE):
        return Question(
            "structures", PUBLISHED_TWELVE, True, "the published twelve, in order"
        )
    if guess and outputs == 1:
        for name in (path.stem, path.parent.name):
            if (id_ := structure_id(name)) in CATALOGUE:
                return Question("structures", (id_,), False, "in the file's name")
    return Question("structures")


# Answers ----------------------------------------------------------------------------

Line = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Name = Annotated[Line, Field(min_length=1)]
Ratio = Annotated[float, Field(ge=1, le=LARGEST_RATIO, allow_inf_nan=False)]


class Answers(BaseModel):
    """Fields for the card of an imported model (`napari_sparsessp.ModelCard`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: ModelId
    name: Name
    structures: Annotated[tuple[Name, ...], Field(min_length=1)]
    ratios: Annotated[tuple[Ratio, ...], Field(min_length=1, max_length=20)]
    voxel_size: tuple[Positive, Positive, Positive]
    scaling: Scaling
    modality: Name = "bright-field"
    # Whether the head averages pixels; None where the file says it, or there is no such
    # head
    head_pool: bool | None = None
    licence: Name = "not stated in the file; ask its authors"
    citation: Line = ""
    trained_on: Name = UNSTATED  # Cells and objective
    limits: tuple[Line, ...] = ()


def answers_for(found: CheckpointInfo, **given: Any) -> Answers:
    """Complete a person's answers with what the file or the published method says."""
    fields = {name: value for name, value in given.items() if value is not None}
    fields.setdefault("id", suggested_id(found))
    fields.setdefault("name", fields["id"])
    family = found.format.partition(" ")[0]
    fields.setdefault("citation", CITATIONS.get(family, ""))
    fields["structures"] = _structures(found, fields.get("structures"))
    if "ratios" not in fields:
        fields["ratios"] = (_ratio(found),)
    for name in ("voxel_size", "scaling", "modality", "head_pool"):
        if (answer := assumed(found, name)) is not None:
            fields.setdefault(name, answer)
    if "voxel_size" not in fields:
        raise InputError(
            "the file does not say for which voxel size the network was trained; give "
            "it in µm with --voxel-size Z,Y,X"
        )
    try:
        return Answers.model_validate(fields)
    except ValidationError as error:
        where, reason = invalid_field(error)
        name = where.partition(".")[0]
        option = {"ratios": "ratio"}.get(name, name or "answers").replace("_", "-")
        raise InputError(
            f"--{option} {fields.get(name)!r} cannot be used: "
            f"{reason[0].lower()}{reason[1:]}; give another value"
        ) from error


def assumed(found: CheckpointInfo, name: str) -> Any:
    """Return the answer that may be taken without asking; None where there is none."""
    question = found.question(name)
    return question.suggestion if question and question.assumable else None


def suggested_id(found: CheckpointInfo) -> str:
    """Make an id from the file's name, and its folder's where that says nothing."""
    if found.suggested_id:
        return found.suggested_id
    stem = found.path.stem
    if re.sub(r"[^a-z]+", "", stem.lower()).removeprefix("model") in ("", *NAMELESS):
        stem = f"{found.path.absolute().parent.name}-{stem}"
    slug = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-")
    return slug[:60].rstrip("._-") or "imported"


def _structures(found: CheckpointInfo, given: Any) -> tuple[str, ...]:
    names = given if given is not None else found.structures
    if names is None:
        names = assumed(found, "structures")
    if names is None:
        which = (
            "which structure its output is; name it"
            if found.outputs == 1
            else f"which structures its {found.outputs} outputs are; name them in order"
        )
        raise InputError(
            f"the file does not say {which} with --structures {_example(found)}"
        )
    ids = structure_ids(names)
    if len(ids) != found.outputs:
        raise InputError(
            f"{len(ids)} structures are named for the network's {found.outputs} "
            f"outputs ({', '.join(ids)}); name each output, in their order"
        )
    return ids


def _example(found: CheckpointInfo) -> str:
    question = found.question("structures")
    if question and question.suggestion:
        return f"{','.join(question.suggestion)} (suggested: {question.reason})"
    catalogue = ("dna", "nuclear_envelope", "mitochondria")
    shown = ",".join(catalogue[: found.outputs])
    return f"{shown}{',…' if found.outputs > len(catalogue) else ''}, for example"


def _ratio(found: CheckpointInfo) -> float:
    ratio = found.ratio if found.ratio is not None else assumed(found, "ratio")
    if ratio is None:
        raise InputError(
            "neither the file nor its name says for which sparsity ratio the network "
            "was trained; give it with --ratio R (published: 2, 4 and 8)"
        )
    return float(ratio)
