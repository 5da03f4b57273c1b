"""The card: all that is needed to use a model honestly."""

import json
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from napari_sparsessp.errors import ModelError

if TYPE_CHECKING:
    from napari_sparsessp.networks import NetworkConfig

SCHEMA = 1
"""The newest form of card that this version reads and the one that it writes."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Micrometres = Annotated[float, Field(ge=1e-3, le=1e3)]
"""What a light microscope's voxel can have."""

Structure = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]*$", max_length=64)
]
"""They name channels, layers and files."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_SAME_IN_THE_NETWORK = (
    "topology",
    "mapping",
    "interpolation",
    "projection",
    "conditioning",
)

LARGEST_TEST_INPUT = 2**22
"""Numbers in a card's test input; a card must not be able to fill the memory."""


class Check(BaseModel):
    """How to tell that a model file is what it was when its card was written.

    Attributes
    ----------
    seed : int
        Of the test input (`napari_sparsessp.models.verification.noise`).
    shape : tuple of int
        (inputs, planes, H, W) of the test input.
    outputs : tuple of int
        Which of the network's outputs are computed.
    positions : tuple of int
        Flat indices into the prediction (len(outputs), D, H, W).
    values : tuple of float
        What the network gives there.
    tolerance : float
        Largest deviation that another computer may show.
    tensors : str
        SHA-256 over names, types, shapes and bytes of all weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    shape: tuple[Count, Count, Count, Count]
    outputs: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    positions: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, max_length=1000)
    ]
    values: tuple[Finite, ...]
    tolerance: Positive
    tensors: Digest

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.positions) != len(self.values):
            raise ValueError("a position without a value")
        if math.prod(self.shape) > LARGEST_TEST_INPUT:
            raise ValueError("the test input is too large")
        return self


class Calibration(BaseModel):
    """From the spread of a structure's predictions to the error to be expected.

    Expected error √(floor² + (gain·spread)²), in units of the z-scored truth.

    Attributes
    ----------
    floor : float
        Error that no spread tells of: that of all predictions together.
    gain : float
        Error for each unit of spread.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    floor: NotNegative
    gain: NotNegative

    def expected_error(self, spread: Any) -> Any:
        """Apply it to an array or tensor."""
        return (self.floor**2 + (self.gain * spread) ** 2) ** 0.5


class Range(BaseModel):
    """Where a trait of the images lay that a model learned from.

    Attributes
    ----------
    low, high : float
    distance : float, optional
        µm between the planes that were compared, where the trait depends on it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Finite
    high: Finite
    distance: Positive | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.high <= self.low:
            raise ValueError("a range is empty")
        return self


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
    z_projection : {"none", "mean", "max"}
        What its outputs are: stacks, or projections of the network's planes over z,
        one plane deep, because it learned from such (maximum projections).
    voxel_size : tuple of float
        (z, y, x) of the dense grid in µm.
    patch : tuple of int
        (D, H, W) in voxels that the network was trained on.
    ratios : tuple of float
        Sparsity ratios that it was trained for.
    modality : str
        The transmitted light that it was trained on, for example ``bright-field``.
    normalisation : str
        How the input is scaled before the network sees it, in words.
    scaling : {"robust", "zscore", "none"}
        The same for the program. All measured planes of a stack are scaled together:
        by mean and standard deviation without the most extreme values, by plain mean
        and standard deviation, or not at all.
    trained_on : str
        The data, in words.
    scores : dict
        How it scored, and on what.
    limits : tuple of str
        Known limits, one sentence each.
    uncertainty : dict
        Structure id to its `Calibration`; without one, ``--uncertainty`` gives the
        bare spread.
    familiarity : dict
        Trait of an image (`napari_sparsessp.prediction.traits`) to its ranges in what
        the model learned from; without any, no image is called unfamiliar.
    source : dict
        Of an imported model: format, file name and SHA-256 of the original.
    check : Check or None
        Test input and digest with which the file can be verified by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Annotated[int, Field(alias="schema", ge=1, le=SCHEMA)] = SCHEMA
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
    version: str
    name: str
    licence: str
    citation: str = ""
    structures: Annotated[tuple[Structure, ...], Field(min_length=1)]
    topology: Literal["3d", "2d", "2to3d", "3to2d"]
    mapping: Literal["prefix", "postfix", "none"]
    interpolation: Literal["hold", "nearest", "linear"] = "linear"
    projection: str = ""
    conditioning: str
    network: dict[str, JsonValue]
    z_projection: Literal["none", "mean", "max"] = "none"
    voxel_size: tuple[Micrometres, Micrometres, Micrometres]
    patch: tuple[Count, Count, Count]
    ratios: Annotated[tuple[Annotated[float, Field(ge=1)], ...], Field(min_length=1)]
    modality: str
    normalisation: str
    scaling: Literal["robust", "zscore", "none"] = "robust"
    trained_on: str
    scores: dict[str, JsonValue] = {}
    limits: tuple[str, ...] = ()
    uncertainty: dict[str, Calibration] = {}
    familiarity: dict[str, tuple[Range, ...]] = {}
    source: dict[str, JsonValue] = {}
    check: Check | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(set(self.structures)) != len(self.structures):
            raise ValueError("a structure is listed twice")
        outputs = self.network.get("outputs", len(self.structures))
        if outputs != len(self.structures):
            raise ValueError(
                f"{len(self.structures)} structures for the network's {outputs} outputs"
            )
        for field in _SAME_IN_THE_NETWORK:
            if self.network.get(field, getattr(self, field)) != getattr(self, field):
                raise ValueError(f"{field} is not that of the network")
        return self

    def to_json(self, indent: int | None = 2) -> str:
        """Give the card as JSON text."""
        return self.model_dump_json(by_alias=True, indent=indent)


def network_fields(config: "NetworkConfig") -> dict[str, Any]:
    """Give what a card says of its network, so that the two cannot differ.

    Parameters
    ----------
    config : NetworkConfig

    Returns
    -------
    dict
        Fields of `ModelCard`: topology, mapping, interpolation, projection,
        conditioning and network.
    """
    same = {field: getattr(config, field) for field in _SAME_IN_THE_NETWORK}
    return {**same, "network": config.model_dump(mode="json")}


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
        # Half a surrogate pair could be neither shown nor saved again.
        json.dumps(raw, ensure_ascii=False).encode()
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
