"""The model card: all that is needed to use a model honestly."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from napari_sparsessp.errors import ModelError, invalid_field
from napari_sparsessp.version import __version__

if TYPE_CHECKING:
    from napari_sparsessp.networks import NetworkConfig

SCHEMA = 1
"""Newest card schema that this version reads; the schema that it writes."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Micrometres = Annotated[float, Field(ge=1e-3, le=1e3)]
"""Edge of a light microscope's voxel."""

Structure = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]*$", max_length=64)
]
"""Structure ids name channels, layers and files."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ModelId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]

Scaling = Literal["robust", "zscore", "median_iqr", "none"]
Units = Literal["zscore", "iqr"]
"""Of a prediction: deviations of a z-scored truth, or interquartile ranges above its
median."""

SCALINGS: dict[Scaling, str] = {
    "robust": "z-score of the measured planes, extremes left out",
    "zscore": "z-score of the measured planes",
    "median_iqr": "interquartile ranges above the median of the measured planes",
    "none": "none",
}
"""How an input may be scaled, in words."""

_SAME_IN_THE_NETWORK = (
    "topology",
    "mapping",
    "interpolation",
    "projection",
    "conditioning",
)

LARGEST_TEST_INPUT = 2**22
"""Most numbers in a card's test input, so that a card cannot fill the memory."""


class Check(BaseModel):
    """Digest and test values that verify a model file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Of the test input (`napari_sparsessp.models.verification.noise`)
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    shape: tuple[Count, Count, Count, Count]  # (inputs, planes, H, W) of the test input
    # Which of the network's outputs are computed
    outputs: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    # Flat indices into the prediction (len(outputs), D, H, W)
    positions: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, max_length=1000)
    ]
    values: tuple[Finite, ...]  # Network output there
    tolerance: Positive  # Largest deviation that another computer may show
    tensors: Digest  # SHA-256 over names, types, shapes and bytes of all weights

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.positions) != len(self.values):
            raise ValueError("a position without a value")
        if math.prod(self.shape) > LARGEST_TEST_INPUT:
            raise ValueError("the test input is too large")
        return self


class Calibration(BaseModel):
    """Calibration of a structure's test-time-augmentation spread to its expected error.

    Expected error √(floor² + (gain·spread)²), in units of the z-scored truth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    floor: NotNegative  # Error at spread 0, common to all predictions
    gain: NotNegative  # Error for each unit of spread

    def expected_error(self, spread: Any) -> Any:
        """Return the expected error of an array or tensor of spreads."""
        return (self.floor**2 + (self.gain * spread) ** 2) ** 0.5


class Range(BaseModel):
    """Range of an image statistic over the training data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Finite
    high: Finite
    # µm between the compared planes, for statistics that depend on it
    distance: Positive | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.high <= self.low:
            raise ValueError("a range is empty")
        return self


class ModelCard(BaseModel):
    """Description of a model: network, training data, scores and known limits.

    Examples
    --------
    >>> from napari_sparsessp import load_model
    >>> card = load_model("default").card
    >>> card.topology, card.ratios, len(card.structures)
    ('3to2d', (1.0, 2.0, 4.0, 8.0), 12)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Annotated[int, Field(alias="schema", ge=1, le=SCHEMA)] = SCHEMA
    id: ModelId
    version: str
    name: str
    licence: str
    citation: str = ""
    # Structure ids in the order of the network's outputs
    structures: Annotated[tuple[Structure, ...], Field(min_length=1)]
    topology: Literal["3d", "2d", "2to3d", "3to2d"]  # Dimensions of encoder and decoder
    mapping: Literal["prefix", "postfix", "none"]  # How D/r planes become D
    # How a prefix mapping fills the planes in between
    interpolation: Literal["hold", "nearest", "linear"] = "linear"
    # projection, conditioning: How depth is folded, and how one network serves many
    # structures
    projection: str = ""
    conditioning: str
    network: dict[str, JsonValue]  # Fields of `napari_sparsessp.networks.NetworkConfig`
    # Projection over z that the network was trained to predict, one plane deep (for
    # example maximum projections); `"none"` for stacks
    z_projection: Literal["none", "mean", "max"] = "none"
    # (z, y, x) of the dense grid in µm
    voxel_size: tuple[Micrometres, Micrometres, Micrometres]
    # (D, H, W) in voxels that the network was trained on
    patch: tuple[Count, Count, Count]
    # Sparsity ratios that it was trained for
    ratios: Annotated[tuple[Annotated[float, Field(ge=1)], ...], Field(min_length=1)]
    modality: str
    # normalisation, scaling: How the input is scaled, in words and for the program. All
    # measured planes of a stack are scaled together: by mean and standard deviation
    # without the most extreme values, by plain mean and standard deviation, by median
    # and interquartile range, or not at all
    normalisation: str
    scaling: Scaling = "robust"
    units: Units = "zscore"  # Of what it predicts
    trained_on: str
    # Stacks that it learned from, by `napari_sparsessp.volume.content_hash`
    training_images: tuple[Digest, ...] = ()
    scores: dict[str, JsonValue] = {}  # R² and other scores by test set
    limits: tuple[str, ...] = ()
    # Structure id to its `Calibration`; without it `--uncertainty` returns the
    # uncalibrated spread
    uncertainty: dict[str, Calibration] = {}
    # Image statistic (`napari_sparsessp.prediction.domain_shift`) to its ranges in the
    # training data; without any, no image is called unfamiliar
    familiarity: dict[str, tuple[Range, ...]] = {}
    # Origin of the file: `format`, `file` and `sha256` of an imported checkpoint,
    # `fetched` (address or DOI) of a download, `trained_with` and `began_with` of a
    # training
    source: dict[str, JsonValue] = {}
    check: Check | None = None
    # Cards of a bundle's members; its other fields follow from them, but for what
    # describes a single network. The card of a file has none
    members: tuple[ModelCard, ...] = ()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(set(self.structures)) != len(self.structures):
            raise ValueError("a structure is listed twice")
        outputs = self.network.get("outputs", len(self.structures))
        if outputs != len(self.structures):
            raise ValueError(
                f"{len(self.structures)} structures for the network's {outputs} outputs"
            )
        for name in _SAME_IN_THE_NETWORK:
            if self.network.get(name, getattr(self, name)) != getattr(self, name):
                raise ValueError(f"{name} is not that of the network")
        return self

    @property
    def modalities(self) -> tuple[str, ...]:
        """Kinds of transmitted light that it was made for: of a bundle, several."""
        each = [member.modality for member in self.members]
        return tuple(dict.fromkeys(each or [self.modality]))

    def to_json(self, indent: int | None = 2) -> str:
        """Return the card as JSON text."""
        # Versions before these fields read all other cards.
        newer = {"training_images": (), "members": (), "units": "zscore"}
        unused = {name for name, none in newer.items() if getattr(self, name) == none}
        return self.model_dump_json(by_alias=True, indent=indent, exclude=unused)


def network_fields(config: NetworkConfig) -> dict[str, Any]:
    """Return the fields of `ModelCard` that follow from a network's configuration."""
    from napari_sparsessp.networks.families import (
        UNEXT,
        UNEXT_FIELDS,
    )

    same = {name: getattr(config, name) for name in _SAME_IN_THE_NETWORK}
    # Versions before these fields read the cards of all other networks.
    unused = set() if config.backbone in UNEXT else set(UNEXT_FIELDS)
    return {**same, "network": config.model_dump(mode="json", exclude=unused)}


def parse_card(text: str, where: str) -> ModelCard:
    """Read a card from JSON."""
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
    if raw.get("members"):
        raise ModelError(
            f"the card of model {where} lists members, which only a bundle's folder "
            "has; get the file again"
        )
    try:
        return ModelCard.model_validate(raw)
    except ValidationError as error:
        name, reason = invalid_field(error)
        raise ModelError(
            f"the card of model {where} is damaged ({name or 'card'}: {reason}); "
            "get the file again"
        ) from error


# Expected quality -------------------------------------------------------------------

# A ratio this near to a measured ratio counts as measured.
_NEAR = 1.05

CELLS = {
    ("real", True): "real cells, held out",
    ("real", False): "real cells",
    ("simulated", True): "simulated test cells",
    ("simulated", False): "simulated cells",
    (None, True): "cells kept back from training",
    (None, False): "test images",
}
"""What a score was measured on, in a caption: R² on …"""


@dataclass(frozen=True)
class Quality:
    """R² of a model on its test images."""

    measured_on: str  # The images, in words
    # Structure id to sparsity ratio to R² over all voxels
    r2: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    data: Literal["simulated", "real"] | None = None  # None where the card is silent
    held_out: bool = False  # The model that was scored had not seen them

    @property
    def cells(self) -> str:
        """Say on what it was measured, for a caption: ``real cells, held out``."""
        return CELLS[self.data, self.held_out]

    @property
    def ratios(self) -> tuple[float, ...]:
        """All measured ratios, ascending."""
        return tuple(sorted({ratio for row in self.r2.values() for ratio in row}))

    def at(self, structure: str, ratio: float) -> float | None:
        """Return R² of a structure at a ratio, interpolated over log(ratio).

        None outside of the measured ratios.
        """
        row = self.r2.get(structure, {})
        for measured in sorted(row):
            if measured / _NEAR <= ratio <= measured * _NEAR:
                return row[measured]
        low = max((r for r in row if r < ratio), default=None)
        high = min((r for r in row if r > ratio), default=None)
        if low is None or high is None:
            return None
        share = math.log(ratio / low) / math.log(high / low)
        return row[low] + share * (row[high] - row[low])

    def mean(self, ratio: float) -> float | None:
        """Return the mean over the structures that were measured at this ratio."""
        values = [self.at(structure, ratio) for structure in self.r2]
        measured = [value for value in values if value is not None]
        return sum(measured) / len(measured) if measured else None


def expected_quality(card: ModelCard, structure: str | None = None) -> Quality | None:
    """Read R² by ratio from a card: on real cells where it has them, else simulated.

    `structure` has to be among the scores; None where the card has none.
    """
    for quality in all_qualities(card):
        if structure is None or structure in quality.r2:
            return quality
    return None


def all_qualities(card: ModelCard) -> tuple[Quality, ...]:
    """Read all R² of a card, those on real cells first; never compare two kinds."""
    found = [_joined(alike) for alike in _alike(card.members)]
    for title, scores in card.scores.items():
        if card.members or not isinstance(scores, Mapping):
            continue
        for data, held_out, measured in _measured(title, scores, card):
            rows: dict[str, dict[float, float]] = {}
            for structure, ratio, r2 in measured:
                at, value = _number(ratio), _number(r2)
                if at and value is not None:
                    rows.setdefault(structure, {})[at] = value
            if rows:
                said = scores.get("data")
                kind = said if said in ("real", "simulated") else data
                held = scores.get("held_out", held_out) is True
                where = str(scores.get("on", title))
                found.append(Quality(where, rows, kind, held))  # type: ignore[arg-type]
                break
    order = ("real", "simulated", None)
    return tuple(sorted(found, key=lambda one: order.index(one.data)))


def _alike(members: Iterable[ModelCard]) -> Iterable[list[Quality]]:
    """Group the qualities of a bundle's members by what they were measured on."""
    groups: dict[tuple[Any, ...], list[Quality]] = {}
    for member in members:
        for one in all_qualities(member):
            key = (one.measured_on, one.data, one.held_out)
            groups.setdefault(key, []).append(one)
    return groups.values()


def _joined(alike: list[Quality]) -> Quality:
    """Join qualities measured on the same images; the first of a structure counts."""
    rows = {name: row for one in reversed(alike) for name, row in one.r2.items()}
    return replace(alike[0], r2=rows)


_R = r"(\d+(?:\.\d+)?)"


def _measured(
    title: str, scores: Mapping[str, Any], card: ModelCard
) -> Iterator[tuple[str | None, bool, list[tuple[str, Any, Any]]]]:
    """Yield each form that a program writes into cards.

    The kind of data that the form is for, where its ``data`` does not say it, whether
    they were held out, and (structure, ratio, R²).
    """
    # r2_at_4: {structure: R²}, from `benchmark quality` on simulated colonies
    rows = [
        (structure, match[1], _mapping(values).get(structure))
        for key, values in scores.items()
        if (match := re.fullmatch(f"r2_at_{_R}", key))
        for structure in card.structures
    ]
    yield "simulated", True, rows
    # "dna of 1 real pair(s)": {at_4: {"r2": …}}, from the same on real pairs
    if (structure := title.partition(" of ")[0]) in card.structures:
        rows = [
            (structure, match[1], _mapping(values).get("r2"))
            for key, values in scores.items()
            if (match := re.fullmatch(f"at_{_R}", key))
        ]
        yield "real", False, rows
    # {structure: {ratio: R²}}, from a training
    table = _mapping(scores.get("r2_by_structure_and_ratio"))
    rows = [
        (structure, ratio, value)
        for structure in card.structures
        for ratio, value in _mapping(table.get(structure)).items()
    ]
    yield None, True, rows
    # The recipes of the models that learned from real cells score a part of them.
    if len(card.structures) == 1:  # {"r = 4": {"r2": …}}
        rows = [
            (card.structures[0], match[1], _mapping(values).get("r2"))
            for key, values in _mapping(scores.get("fine-tuned")).items()
            if (match := re.fullmatch(f"r = {_R}", key))
        ]
        yield "real", True, rows
    if len(card.ratios) == 1:
        values = _mapping(scores.get("r2 of model"))
        rows = [(name, card.ratios[0], values.get(name)) for name in card.structures]
        yield "real", True, rows


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


# Purpose ----------------------------------------------------------------------------

UNSTATED = "not stated in the file; see its publication"
"""Training data of an imported model, where nobody says."""


def is_foreign(card: ModelCard) -> bool:
    """Return whether others trained a model, so that no range of images is measured."""
    if card.members:
        return all(map(is_foreign, card.members))
    return "format" in card.source and not card.familiarity


def made_for(card: ModelCard) -> str:
    """Say what a model of others was made for: cells, objective, light, voxels.

    "" for a model of this package, whose card has measured ranges.
    """
    if not is_foreign(card):
        return ""
    cells = "" if card.trained_on == UNSTATED else card.trained_on
    sizes = [f"{size:g}" for size in card.voxel_size]
    voxel = sizes[0] if len(set(sizes)) == 1 else f"{' × '.join(sizes)}"
    return ", ".join(filter(None, (cells, card.modality, f"{voxel} µm")))


# Origin -----------------------------------------------------------------------------


def of_download(url: str, sha256: str) -> dict[str, JsonValue]:
    """Return the `source` of a card for a file fetched from an address or DOI."""
    for mark in "?#":  # what may follow is private, such as a token
        url = url.partition(mark)[0]
    return {"fetched": url, "fetched_sha256": sha256}


def of_training(began_with: str = "") -> dict[str, JsonValue]:
    """Return the `source` of a card for a model trained with this version."""
    made: dict[str, JsonValue] = {"trained_with": f"napari-sparsessp {__version__}"}
    return {**made, "began_with": began_with} if began_with else made


def origin_words(source: Mapping[str, Any], *, shipped: bool = False) -> str:
    """Describe a `source`: ``imported from RepMode, fetched from zenodo.org``."""
    if shipped:
        return "came with the plugin"
    parts = []
    if "format" in source:
        parts.append(f"imported from {source['format']}")
    if "trained_with" in source:
        began = source.get("began_with")
        made = f"trained from {began}" if began else "trained from scratch"
        parts.append(f"{made} with this plugin")
    if "fetched" in source:
        parts.append(f"fetched from {_host(str(source['fetched']))}")
    return ", ".join(parts) or "added from a file"


def origin_word(source: Mapping[str, Any], *, shipped: bool = False) -> str:
    """Describe a card's `source` in one word, for a narrow column."""
    if shipped:
        return "plugin"
    if "format" in source:
        return str(source["format"]).partition(" ")[0]
    if "trained_with" in source:
        return "trained"
    return _host(str(source["fetched"])) if "fetched" in source else "file"


def _host(address: str) -> str:
    host = urlsplit(address).hostname
    return host.removeprefix("www.") if host else f"DOI {address}"
