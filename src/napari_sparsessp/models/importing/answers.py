"""What a person says of a checkpoint that the file does not."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.card import Positive
from napari_sparsessp.models.importing.found import Found
from napari_sparsessp.models.importing.questions import structure_ids

Line = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Name = Annotated[Line, Field(min_length=1)]
Ratio = Annotated[float, Field(ge=1, le=64, allow_inf_nan=False)]

NAMELESS = ("best", "checkpoint", "final", "last", "model", "weights")
"""File names that say nothing of a model; its folder's name goes before them."""

CITATIONS = {
    "RepMode": "Zhou et al., RepMode, CVPR 2023",
    "SparseSSP": "Zheng et al., SparseSSP, ECCV 2024",
    "pytorch_fnet": "Ounkomol et al., Nature Methods 2018",
}


class Answers(BaseModel):
    """What goes into the card of an imported model.

    Attributes
    ----------
    id : str
        Lower-case letters, digits, ``.``, ``_`` and ``-``.
    name : str
        For people.
    structures : tuple of str
        Ids in the order of the network's outputs.
    ratios : tuple of float
        Sparsity ratios that it was trained for.
    voxel_size : tuple of float
        (z, y, x) in µm of the grid that it was trained on.
    scaling : {"robust", "zscore", "none"}
        See `napari_sparsessp.models.card.ModelCard`.
    modality, licence, citation : str
    limits : tuple of str
        Known limits, one sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
    name: Name
    structures: Annotated[tuple[Name, ...], Field(min_length=1)]
    ratios: Annotated[tuple[Ratio, ...], Field(min_length=1, max_length=20)]
    voxel_size: tuple[Positive, Positive, Positive]
    scaling: Literal["robust", "zscore", "none"]
    modality: Name = "bright-field"
    licence: Name = "not stated in the file; ask its authors"
    citation: Line = ""
    limits: tuple[Line, ...] = ()


def answers_for(found: Found, **given: Any) -> Answers:
    """Complete what a person gave with what the file or the published method says.

    Parameters
    ----------
    found : Found
    **given
        Fields of `Answers`; those that are None count as not given. Structures may
        be written as any of their names, also as the published data sets.

    Returns
    -------
    Answers

    Raises
    ------
    InputError
        A question without a published answer is open, or an answer is impossible.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    fields.setdefault("id", suggested_id(found))
    fields.setdefault("name", fields["id"])
    family = found.format.partition(" ")[0]
    fields.setdefault("citation", CITATIONS.get(family, ""))
    fields["structures"] = _structures(found, fields.get("structures"))
    fields["ratios"] = _ratios(found, fields.get("ratios"))
    for name in ("voxel_size", "scaling"):
        fields.setdefault(name, assumed(found, name))
    try:
        return Answers.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "answers"
        option = {"ratios": "ratio"}.get(field, field).replace("_", "-")
        reason = first["msg"][0].lower() + first["msg"][1:]
        raise InputError(
            f"--{option} {fields.get(field)!r} cannot be used: "
            f"{reason}; give another one"
        ) from error


def assumed(found: Found, name: str) -> Any:
    """Give the answer that may be taken without asking; None where there is none."""
    question = found.question(name)
    return question.suggestion if question and question.assumable else None


def suggested_id(found: Found) -> str:
    """Make an id from the file's name, and its folder's where that says nothing."""
    stem = found.path.stem
    if re.sub(r"[^a-z]+", "", stem.lower()).removeprefix("model") in ("", *NAMELESS):
        stem = f"{found.path.absolute().parent.name}-{stem}"
    slug = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-")
    return slug[:60].rstrip("._-") or "imported"


def _structures(found: Found, given: Any) -> tuple[str, ...]:
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


def _example(found: Found) -> str:
    question = found.question("structures")
    if question and question.suggestion:
        return f"{','.join(question.suggestion)} (suggested: {question.reason})"
    catalogue = ("dna", "nuclear_envelope", "mitochondria")
    shown = ",".join(catalogue[: found.outputs])
    return f"{shown}{',…' if found.outputs > len(catalogue) else ''}, for example"


def _ratios(found: Found, given: Any) -> Any:
    if given is not None:
        return given
    ratio = found.ratio if found.ratio is not None else assumed(found, "ratio")
    if ratio is None:
        raise InputError(
            "neither the file nor its name says for which sparsity ratio the network "
            "was trained; give it with --ratio R (published: 2, 4 and 8)"
        )
    return (float(ratio),)
