"""The card: all that is needed to use a model honestly."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from napari_sparsessp.errors import ModelError

SCHEMA = 1
"""The newest form of card that this version reads and the one that it writes."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class ModelCard(BaseModel):
    """What a model is, what it was trained on and what it must not be trusted with.

    Attributes
    ----------
    schema_version : int
        Form of the card; ``schema`` in JSON.
    id, version, name, licence, citation : str
        The id is lower-case letters, digits, ``.``, ``_`` and ``-``.
    structures : tuple of str
        Ids of the structures, in the order of the network's outputs.
    topology : {"3d", "2d", "2to3d", "3to2d"}
        Dimensions of encoder and decoder.
    mapping : {"prefix", "postfix", "none"}
        How D/r planes become D.
    interpolation : {"hold", "nearest", "linear"}
        How a prefix mapping fills the planes in between.
    projection, conditioning : str
        How depth is folded, and how one network serves many structures.
    network : dict
        What `napari_sparsessp.networks.NetworkConfig` needs to build the network.
    voxel_size : tuple of float
        (z, y, x) of the dense grid in µm.
    patch : tuple of int
        (D, H, W) in voxels that the network was trained on.
    ratios : tuple of float
        Sparsity ratios that it was trained for.
    modality : str
        The transmitted light that it was trained on, for example ``bright-field``.
    normalisation : str
        How the input is scaled before the network sees it.
    trained_on : str
        The data, in words.
    scores : dict
        How it scored, and on what.
    limits : tuple of str
        Known limits, one sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Annotated[int, Field(alias="schema", ge=1, le=SCHEMA)] = SCHEMA
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
    version: str
    name: str
    licence: str
    citation: str = ""
    structures: Annotated[tuple[str, ...], Field(min_length=1)]
    topology: Literal["3d", "2d", "2to3d", "3to2d"]
    mapping: Literal["prefix", "postfix", "none"]
    interpolation: Literal["hold", "nearest", "linear"] = "linear"
    projection: str = ""
    conditioning: str
    network: dict[str, JsonValue]
    voxel_size: tuple[Positive, Positive, Positive]
    patch: tuple[Count, Count, Count]
    ratios: Annotated[tuple[Annotated[float, Field(ge=1)], ...], Field(min_length=1)]
    modality: str
    normalisation: str
    trained_on: str
    scores: dict[str, JsonValue] = {}
    limits: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(set(self.structures)) != len(self.structures):
            raise ValueError("a structure is listed twice")
        outputs = self.network.get("outputs", len(self.structures))
        if outputs != len(self.structures):
            raise ValueError(
                f"{len(self.structures)} structures for the network's {outputs} outputs"
            )
        for field in ("topology", "mapping", "projection", "conditioning"):
            if self.network.get(field, getattr(self, field)) != getattr(self, field):
                raise ValueError(f"{field} is not that of the network")
        return self

    def to_json(self, indent: int | None = 2) -> str:
        """Give the card as JSON text."""
        return self.model_dump_json(by_alias=True, indent=indent)


def parse_card(text: str, where: str) -> ModelCard:
    """Read a card from JSON.

    Parameters
    ----------
    text : str
        JSON.
    where : str
        Where the text comes from, for the message.

    Raises
    ------
    ModelError
        The card is damaged, or newer than this version understands.
    """
    try:
        raw: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"the card of model {where} is not valid JSON; get the file again"
        ) from error
    if not isinstance(raw, dict):
        raise ModelError(f"the card of model {where} is not a card; get the file again")
    schema = raw.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise ModelError(
            f"model {where} is too new: its card has schema {schema} and this version "
            f"reads up to {SCHEMA}; update napari-sparsessp"
        )
    try:
        return ModelCard.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "card"
        raise ModelError(
            f"the card of model {where} is damaged ({field}: {first['msg']}); "
            "get the file again"
        ) from error
