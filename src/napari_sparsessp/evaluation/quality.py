"""Measure how good models are: each on the same held-out fields, beside baselines.

Fields are simulated colonies that no training has seen, and real pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field as JsonField

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.baselines import BASELINES
from napari_sparsessp.evaluation.sweep import (
    PlannedRun,
    measure_baselines,
    plan_sweep,
    run_sweep,
)
from napari_sparsessp.evaluation.sweep_report import (
    Baselines,
    ReportPart,
    Scores,
    WholeReport,
)
from napari_sparsessp.metrics import FIELDS, improvement, mean_fields, means
from napari_sparsessp.prediction.report import ModelId
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.library import Model

SIMULATED, REAL = "simulated", "real"
"""Groups of fields; means are taken within each."""

Shape = tuple[int, int, int]

SHAPE = (56, 160, 160)
"""(D, H, W) voxels of a colony."""

PHOTONS = 20_000.0
"""At the bright end of the bright-field."""

KEPT = (*FIELDS, "r2_fitted")
"""Scores that are kept of each structure."""

IMPROVED = ("r2", "mse", "mae")
"""Scores whose improvement Δ_Imp is reported, as in the paper."""

# As `sparsessp simulate` writes colonies: deviation of the light over its mean, and
# the camera's read noise in photons.
_CONTRAST = 0.08
_READ_NOISE = 5.0

_PERFECT = {"r2": 1.0, "pcc": 1.0, "pcc_plane": 1.0, "noise_share": 0.0}


@dataclass(frozen=True, eq=False)
class Field:
    """A dense stack and the truth of some structures."""

    name: str
    group: str
    light: Volume  # Transmitted light, ZYX
    truth: dict[str, Volume]  # Structure id to its ground truth, ZYX
    noise_free: bool = False  # The truth is an expectation, so that the ceiling is 1


@dataclass(frozen=True, eq=False)
class FieldSource:
    """A field that is opened, or simulated, when it is scored."""

    name: str
    group: str
    open: Callable[[], Field]


def colony_sources(
    colonies: int, first_seed: int, shape: Shape = SHAPE, photons: float = PHOTONS
) -> list[FieldSource]:
    """Return colonies, none simulated yet; trainings use seeds below 1 000 000."""
    return [
        FieldSource(
            f"colony {seed}", SIMULATED, partial(simulated_field, seed, shape, photons)
        )
        for seed in range(first_seed, first_seed + colonies)
    ]


def simulated_field(seed: int, shape: Shape = SHAPE, photons: float = PHOTONS) -> Field:
    """Simulate one colony as a microscope would record it; `seed` fixes its noise too.

    Parameters and units are those of `colony_sources`.
    """
    import torch

    from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
    from napari_sparsessp.simulation.optics import photon_noise

    colony = simulate_colony(seed, shape)
    light = (1 + _CONTRAST * colony.brightfield[0]).clamp_min(0)
    if photons:
        noise = torch.Generator().manual_seed(seed)
        light = photon_noise(light, photons, _READ_NOISE, noise)
    cube = (VOXEL, VOXEL, VOXEL)
    truth = {
        name: Volume(image.numpy(), "ZYX", cube)
        for name, image in zip(colony.structures, colony.fluorescence, strict=True)
    }
    name = f"colony {seed}"
    volume = Volume(light.numpy(), "ZYX", cube, name=name)
    return Field(name, SIMULATED, volume, truth, noise_free=True)


def parse_pair(text: str) -> tuple[str, str | int, str | int, str]:
    """Read ``FILE:SIGNAL:TARGET:STRUCTURE``; a drive's colon in FILE does no harm."""
    parts = text.rsplit(":", 3)
    if len(parts) != 4 or not all(parts):
        raise InputError(
            f"--pair {text!r} cannot be used; write FILE:SIGNAL:TARGET:STRUCTURE, for "
            "example cells.ome.tif:Bright-field:DNA:dna"
        )
    path, *channels, structure = parts
    signal, target = (int(c) if c.isdecimal() else c for c in channels)
    return path, signal, target, structure


class FieldScores(ReportPart):
    """All scores on one field."""

    name: str
    group: str
    baselines: Baselines = JsonField(alias="yardsticks")
    # Name of a model to ratio to structure to scores
    models: dict[str, dict[int, Scores]]


class QualityOptions(ReportPart):
    """Options of a benchmark."""

    colonies: int
    first_seed: int
    shape: tuple[int, int, int]  # (D, H, W) of a colony
    photons: float
    ratios: tuple[int, ...]
    pairs: tuple[str, ...] = ()  # Real ones, as on the command line
    # Model that Δ_Imp is against, at the smallest ratio; each model's own smallest
    # ratio where it is None
    base: str | None = None


class Row(ReportPart):
    """Means of one predictor over the fields of a group."""

    # `over_images` and `over_structures` of every score
    means: dict[str, dict[str, float | None]]
    structures: Scores  # Structure id to the mean of every score
    # Improvement in percent over the base, of the means over images; None where the
    # base is not above 0
    delta_imp: dict[str, float | None] = {}


class Group(ReportPart):
    """Summary of the simulated or of the real fields."""

    fields: int
    models: dict[str, dict[int, Row]]  # Name of a model to ratio to its row
    # Name of each trivial predictor, and `ceiling`, to its row
    baselines: dict[str, Row] = JsonField(alias="yardsticks")


class QualityReport(WholeReport):
    """The result of `sparsessp benchmark quality`."""

    kind: str = "quality"
    finished: bool
    options: QualityOptions
    models: dict[str, ModelId]  # Name in the tables to id and sha256
    groups: dict[str, Group]  # `simulated` and `real`, those that there are
    # Name of a model to the scores that belong on its card
    cards: dict[str, dict[str, Any]]
    fields: tuple[FieldScores, ...]


def measure_quality(
    models: Mapping[str, Model],
    sources: Sequence[FieldSource],
    ratios: Sequence[int],
    request: PredictionRequest,
    progress: Progress = no_progress,
) -> Iterator[FieldScores]:
    """Score every model on every field at every ratio, field by field."""
    for number, source in enumerate(sources):
        progress(number, len(sources), f"{source.name}: opening")
        field = source.open()
        progress(number, len(sources), f"{source.name}: baselines")
        baselines = _baselines(field, models, request)
        scores: dict[str, dict[int, Scores]] = {}
        for step, (name, model) in enumerate(models.items()):
            done = number + step / len(models)
            progress(done, len(sources), f"{source.name}: {name}")
            # A model without any structure of the field has no scores.
            scores[name] = {ratio: {} for ratio in sorted(set(ratios))}
            for result, _ in run_sweep(model, _planned(field, model, ratios, request)):
                scores[name][result.scores.ratio] = _kept(result.scores.structures)
        yield FieldScores(
            name=field.name, group=field.group, baselines=baselines, models=scores
        )


def _baselines(
    field: Field, models: Mapping[str, Model], request: PredictionRequest
) -> Baselines:
    """Score the baselines, on the grid of the model with the most structures."""
    planned = [_planned(field, model, (1,), request) for model in models.values()]
    fitting = [runs[0] for runs in planned if runs]
    if not fitting:
        raise InputError(
            f"no model predicts any of the structures of {field.name}: "
            f"{', '.join(field.truth)}; give another model or leave that field out"
        )
    baselines, _, _ = measure_baselines(max(fitting, key=lambda run: len(run.truth)))
    ceiling: dict[str, Any] = dict(baselines.ceiling)
    if field.noise_free:
        ceiling = {name: dict(_PERFECT) for name in ceiling}
    trivial = {name: _kept(its) for name, its in baselines.trivial.items()}
    return Baselines(trivial=trivial, ceiling=ceiling)


def _planned(
    field: Field, model: Model, ratios: Sequence[int], request: PredictionRequest
) -> list[PlannedRun]:
    known = model.card.structures
    truth = {name: its for name, its in field.truth.items() if name in known}
    if not truth:
        return []
    return plan_sweep(model.card, field.light, truth, request, ratios)


def _kept(scores: Mapping[str, Mapping[str, Any]]) -> Scores:
    return {
        name: {score: its.get(score) for score in KEPT} for name, its in scores.items()
    }


def quality_report(
    fields: Sequence[FieldScores],
    models: Mapping[str, ModelId],
    options: QualityOptions,
    finished: bool,
) -> QualityReport:
    """Return the report after some fields, or after all."""
    groups = {
        name: _group([f for f in fields if f.group == name], models, options)
        for name in (SIMULATED, REAL)
        if any(field.group == name for field in fields)
    }
    return QualityReport(
        finished=finished,
        options=options,
        models=dict(models),
        groups=groups,
        cards={name: card_scores(groups, name) for name in models},
        fields=tuple(fields),
    )


def _group(
    fields: Sequence[FieldScores],
    models: Mapping[str, ModelId],
    options: QualityOptions,
) -> Group:
    rows = {
        name: {
            ratio: _row(field.models.get(name, {}).get(ratio, {}) for field in fields)
            for ratio in options.ratios
        }
        for name in models
    }
    improved: dict[str, dict[int, Row]] = {}
    for name, its in rows.items():
        base = rows[options.base or name][min(options.ratios)]
        improved[name] = {
            ratio: row.model_copy(update={"delta_imp": _delta(row, base)})
            for ratio, row in its.items()
        }
    trivial = [field.baselines.trivial for field in fields]
    baselines = {
        which: _row(
            {name: its[which] for name, its in each.items()} for each in trivial
        )
        for which in BASELINES
    }
    baselines["ceiling"] = _row(
        {name: its or {} for name, its in field.baselines.ceiling.items()}
        for field in fields
    )
    return Group(fields=len(fields), models=improved, baselines=baselines)


def _row(images: Iterable[Mapping[str, Mapping[str, Any]]]) -> Row:
    known = list(images)
    structures: Scores = {}
    for score in FIELDS:
        both = means(
            (name, its.get(score)) for image in known for name, its in image.items()
        )
        for name, value in both.structures.items():
            structures.setdefault(name, {})[score] = value
    return Row(means=mean_fields(known), structures=structures)


def _delta(row: Row, base: Row) -> dict[str, float | None]:
    result: dict[str, float | None] = {}
    for score in IMPROVED:
        value = row.means["over_images"][score]
        against = base.means["over_images"][score]
        result[score] = None
        if value is not None and against is not None and against > 0:
            result[score] = improvement(against, value, score)
    return result


def card_scores(groups: Mapping[str, Group], name: str) -> dict[str, Any]:
    """Return the scores that belong on a model's card.

    R² of each structure by ratio on simulated colonies; Pearson and R² by ratio on
    real pairs; both with the baselines to read them by.
    """
    result: dict[str, Any] = {}
    for kind, group in groups.items():
        rows = {f"at_{ratio}": row for ratio, row in group.models[name].items()}
        rows |= {f"of_{which}": row for which, row in group.baselines.items()}
        known = {key: row for key, row in rows.items() if row.structures}
        if not any(key.startswith("at_") for key in known):
            continue
        if kind == SIMULATED:
            del known["of_ceiling"]  # 1, for the truth is free of noise
            result[f"{group.fields} held-out simulated colonies"] = {
                f"r2_{key}": _r2(row) for key, row in known.items()
            }
            continue
        for structure in next(iter(known.values())).structures:
            result[f"{structure} of {group.fields} real pair(s)"] = {
                key: _rounded(row.structures[structure], ("pcc_plane", "pcc", "r2"))
                for key, row in known.items()
                if structure in row.structures
            }
    return result


def _r2(row: Row) -> dict[str, float]:
    values = {name: its.get("r2") for name, its in row.structures.items()}
    return _rounded({**values, "mean": row.means["over_structures"]["r2"]})


def _rounded(
    scores: Mapping[str, float | None], keys: Iterable[str] | None = None
) -> dict[str, float]:
    kept = ((key, scores.get(key)) for key in keys or scores)
    return {key: round(value, 3) for key, value in kept if value is not None}
