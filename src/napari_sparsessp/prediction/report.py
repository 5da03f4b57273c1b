"""The report of a run: what was done, how fast, how good."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from napari_sparsessp.models.card import Units
from napari_sparsessp.prediction.memory import MemoryPlan
from napari_sparsessp.prediction.normalisation import BlankImage, left_out_note
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelId(_Frozen):
    """Which weights."""

    id: str
    sha256: str


class MemberId(ModelId):
    """A bundle's member, and which structures it made."""

    structures: tuple[str, ...]


class Shapes(_Frozen):
    """Voxels of the input and of the output, time points left out."""

    input: tuple[int, ...]
    output: tuple[int, ...]


class Seconds(_Frozen):
    """Wall time: until the input was read, the first tile done, and all."""

    load: float
    first_tile: float
    total: float


class Scaling(_Frozen):
    """Input values became (value − mean) / std, for each time point.

    Planes of the input that were `left_out` are empty or saturated; all of them where
    a time point is blank, and `std` is 0.
    """

    mean: float
    std: float
    left_out: tuple[int, ...] = ()
    padding: float = 0.0  # Share of the input that is padding of one value


class PlannedMemory(_Frozen):
    """Memory planned for the process and a GPU, MiB, and the size of tiles."""

    planned_mb: float
    limit_mb: float
    gpu_mb: float | None = None
    tile: tuple[int, int]


class Report(BaseModel):
    """Report of a prediction; `to_json` returns its JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: int = Field(1, alias="schema")  # ``schema`` in JSON
    package: str  # Version of this package
    created: str = Field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds")
    )  # When the run ended, ISO 8601, UTC
    model: ModelId
    made_for: str = ""  # Cells, light and voxels that a model of others was made for
    members: tuple[MemberId, ...] = ()  # Of a bundle, those that ran
    input: str
    request: PredictionRequest
    ratio: float
    measured_planes: tuple[int, ...]  # On the dense grid
    shape: Shapes
    voxel_size: tuple[float, float, float]  # (z, y, x) of the output, µm
    origin: tuple[float, float, float]
    device: str
    precision: str
    seconds: Seconds
    peak_memory_mb: float  # Of the process, MiB
    memory: PlannedMemory | None = None  # What was planned beside it
    tiles: int
    normalisation: tuple[Scaling, ...]  # Of a bundle, that of its first member
    units: Units = "zscore"  # Of the prediction
    # Structure id to its scores; empty where there is no truth. Over several time
    # points: their mean, with ``n`` time points
    structures: dict[str, dict[str, Any]]
    # In what the input is unlike anything that the model learned from
    unfamiliar: tuple[str, ...] = ()
    # Everything to know before the numbers are used, those included
    warnings: tuple[str, ...]

    def to_json(self, indent: int | None = 2) -> str:
        """Return the report as JSON text."""
        unused = None if self.members else {"members"}
        return self.model_dump_json(by_alias=True, indent=indent, exclude=unused)

    def provenance(self) -> dict[str, Any]:
        """Return what goes into file and layer: the report without its scores."""
        content = self.model_dump(mode="json", by_alias=True)
        del content["structures"]
        if not self.members:
            del content["members"]
        return content


def scaling_notes(
    scalings: Sequence[Scaling], times: Sequence[int] | None
) -> list[str]:
    """Describe what of the input took no part, by its time points.

    InputError: nothing did.
    """
    slots: Sequence[int | None] = times or (None,)
    pairs = list(zip(slots, scalings, strict=False))
    blank = [str(time) for time, scale in pairs if not scale.std]
    if blank and len(blank) == len(pairs):
        raise BlankImage(
            "every time point is blank, so there is nothing to predict from; check "
            "that the right channel and file were chosen"
        )
    notes = [left_out_note({time: one.left_out for time, one in pairs if one.std})]
    if most := max((scale.padding for _, scale in pairs), default=0.0):
        notes.append(
            f"{'up to ' * (len(pairs) > 1)}{most:.1%} of the image is padding of one "
            "value at its border: it took no part in the normalisation and is NaN in "
            "the prediction"
        )
    if blank:
        notes.append(
            f"{len(blank)} of {len(pairs)} time points show nothing and are left blank "
            f"(NaN): time point{'s' * (len(blank) > 1)} {', '.join(blank)}"
        )
    return [note for note in notes if note]


def mean_scores(per_time: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Mean of each score over time points that have it; a single one is left as it is.

    With ``n`` time points in which the structure was scored.
    """
    if len(per_time) == 1:
        return per_time[0]
    result: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(name for scores in per_time for name in scores):
        entries = [scores[name] for scores in per_time if name in scores]
        result[name] = {}
        for field, value in entries[0].items():
            if not isinstance(value, list):
                known = [one[field] for one in entries if one[field] is not None]
                result[name][field] = sum(known) / len(known) if known else None
        result[name]["n"] = len(entries)
    return result


def planned_memory(plan: MemoryPlan) -> PlannedMemory:
    """Return a memory plan as the report has it."""
    gpu = round(plan.on_device / 2**20, 1) if plan.device == "cuda" else None
    return PlannedMemory(
        planned_mb=round(plan.planned / 2**20, 1),
        limit_mb=round(plan.limit / 2**20, 1),
        gpu_mb=gpu,
        tile=plan.tile,
    )


def peak_memory_mb() -> float:
    """Most memory that this process has held so far, MiB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


@dataclass(frozen=True, eq=False)
class PredictionResult(Mapping[str, Volume]):
    """Predicted volumes by structure id, deviations by ``dna_std``, and the report."""

    # CZYX or TCZYX, channel names = structure ids, then, with uncertainty asked for,
    # ``{id}_std`` for each
    volume: Volume
    report: Report

    def __getitem__(self, structure: str) -> Volume:
        """Volume (ZYX or TZYX) of one structure, or of its deviation."""
        if structure not in self.volume.channel_names:
            raise KeyError(structure)
        return self.volume.channel(structure)

    def __iter__(self) -> Iterator[str]:
        """Names of the channels, in their order."""
        return iter(self.volume.channel_names)

    def __len__(self) -> int:
        """Count the channels."""
        return len(self.volume.channel_names)
