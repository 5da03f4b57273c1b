"""The result of `sparsessp benchmark quality`: all scores, their means, cards."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from napari_sparsessp import __version__
from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.quality_fields import REAL, SIMULATED
from napari_sparsessp.evaluation.sweep_report import Yardsticks
from napari_sparsessp.evaluation.yardsticks import YARDSTICKS
from napari_sparsessp.metrics import FIELDS, improvement, mean_fields, means
from napari_sparsessp.prediction.report import ModelId

Scores = dict[str, dict[str, float | None]]
"""Structure id to the fields of the report."""

IMPROVED = ("r2", "mse", "mae")
"""Scores of which Δ_Imp is told, as in the paper."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class FieldScores(_Part):
    """All scores on one field.

    Attributes
    ----------
    name, group : str
    digest : str
        Of its voxels.
    yardsticks : Yardsticks
    models : dict
        Name of a model to ratio to structure to scores.
    """

    name: str
    group: str
    digest: str
    yardsticks: Yardsticks
    models: dict[str, dict[int, Scores]]


class QualityOptions(_Part):
    """What was asked for.

    Attributes
    ----------
    colonies, first_seed : int
    shape : tuple of int
        (D, H, W) of a colony.
    photons : float
    ratios : tuple of int
    pairs : tuple of str
        Real ones, as on the command line.
    base : str or None
        Model that Δ_Imp is against, at the smallest ratio; each model's own smallest
        ratio where it is None.
    """

    colonies: int
    first_seed: int
    shape: tuple[int, int, int]
    photons: float
    ratios: tuple[int, ...]
    pairs: tuple[str, ...] = ()
    base: str | None = None


class Row(_Part):
    """Means of one predictor over the fields of a group.

    Attributes
    ----------
    means : dict
        ``over_images`` and ``over_structures`` of every score.
    structures : dict
        Structure id to the mean of every score.
    delta_imp : dict
        Improvement in percent over the base, of the means over images; None where
        the base is not above 0.
    """

    means: dict[str, dict[str, float | None]]
    structures: Scores
    delta_imp: dict[str, float | None] = {}


class Group(_Part):
    """Summary of the simulated or of the real fields.

    Attributes
    ----------
    fields : int
    models : dict
        Name of a model to ratio to its row.
    yardsticks : dict
        Name of each trivial predictor, and ``ceiling``, to its row.
    """

    fields: int
    models: dict[str, dict[int, Row]]
    yardsticks: dict[str, Row]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class QualityReport(_Part):
    """Everything; `to_json` gives its JSON.

    Attributes
    ----------
    schema_version : int
        ``schema`` in JSON.
    kind, package, created : str
    finished : bool
    options : QualityOptions
    models : dict
        Name in the tables to id and sha256.
    groups : dict
        ``simulated`` and ``real``, those that there are.
    cards : dict
        Name of a model to the scores that its card should tell.
    fields : tuple of FieldScores
    """

    schema_version: int = Field(1, alias="schema")
    kind: str = "quality"
    package: str = __version__
    created: str = Field(default_factory=_now)
    finished: bool
    options: QualityOptions
    models: dict[str, ModelId]
    groups: dict[str, Group]
    cards: dict[str, dict[str, Any]]
    fields: tuple[FieldScores, ...]

    def to_json(self, indent: int | None = 1) -> str:
        """Give the report as JSON text."""
        return self.model_dump_json(by_alias=True, indent=indent)


def quality_report(
    fields: Sequence[FieldScores],
    models: Mapping[str, ModelId],
    options: QualityOptions,
    finished: bool,
) -> QualityReport:
    """Put together what is known after some fields, or after all."""
    groups = {
        name: _group([one for one in fields if one.group == name], models, options)
        for name in (SIMULATED, REAL)
        if any(one.group == name for one in fields)
    }
    return QualityReport(
        finished=finished,
        options=options,
        models=dict(models),
        groups=groups,
        cards={name: card_scores(groups, name) for name in models},
        fields=tuple(fields),
    )


def usable(
    report: QualityReport, models: Mapping[str, ModelId], options: QualityOptions
) -> dict[str, FieldScores]:
    """Give what an earlier report knows of the same weights, by field.

    Raises
    ------
    InputError
        It is of other colonies.
    """
    for name in ("first_seed", "shape", "photons"):
        if getattr(report.options, name) != getattr(options, name):
            raise InputError(
                f"the scores to go on with were made with {name} "
                f"{getattr(report.options, name)}; ask for the same, or give another "
                "file"
            )
    same = {name for name, one in models.items() if report.models.get(name) == one}
    return {
        field.name: field.model_copy(
            update={
                "models": {
                    name: its for name, its in field.models.items() if name in same
                }
            }
        )
        for field in report.fields
    }


def _group(
    fields: Sequence[FieldScores],
    models: Mapping[str, ModelId],
    options: QualityOptions,
) -> Group:
    rows = {
        name: {
            ratio: _row(one.models.get(name, {}).get(ratio, {}) for one in fields)
            for ratio in options.ratios
        }
        for name in models
    }
    improved = {
        name: {
            ratio: row.model_copy(
                update={"delta_imp": _delta(row, _base(rows, name, options))}
            )
            for ratio, row in its.items()
        }
        for name, its in rows.items()
    }
    sticks = {
        which: _row(
            {name: its[which] for name, its in one.yardsticks.trivial.items()}
            for one in fields
        )
        for which in YARDSTICKS
    }
    sticks["ceiling"] = _row(
        {name: its or {} for name, its in one.yardsticks.ceiling.items()}
        for one in fields
    )
    return Group(fields=len(fields), models=improved, yardsticks=sticks)


def _row(images: Iterable[Mapping[str, Mapping[str, Any]]]) -> Row:
    known = list(images)
    structures: Scores = {}
    for score in FIELDS:
        both = means(
            (name, its.get(score)) for one in known for name, its in one.items()
        )
        for name, value in both.structures.items():
            structures.setdefault(name, {})[score] = value
    return Row(means=mean_fields(known), structures=structures)


def _base(
    rows: Mapping[str, Mapping[int, Row]], name: str, options: QualityOptions
) -> Row:
    return rows[options.base or name][min(options.ratios)]


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
    """Give what a model's card should tell of it.

    Parameters
    ----------
    groups : mapping
        Of a report.
    name : str
        Of the model.

    Returns
    -------
    dict
        R² of each structure by ratio on simulated colonies; Pearson and R² by ratio on
        real pairs; both with what they are to be read by.
    """
    result: dict[str, Any] = {}
    for kind, group in groups.items():
        rows = {f"at_{ratio}": row for ratio, row in group.models[name].items()}
        rows |= {f"of_{which}": row for which, row in group.yardsticks.items()}
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
                key: _few(row.structures[structure])
                for key, row in known.items()
                if structure in row.structures
            }
    return result


def _r2(row: Row) -> dict[str, float]:
    known = ((name, its.get("r2")) for name, its in row.structures.items())
    values = {name: round(value, 3) for name, value in known if value is not None}
    mean = row.means["over_structures"]["r2"]
    return values if mean is None else {**values, "mean": round(mean, 3)}


def _few(scores: Mapping[str, float | None]) -> dict[str, float]:
    kept = ((key, scores.get(key)) for key in ("pcc_plane", "pcc", "r2"))
    return {key: round(value, 3) for key, value in kept if value is not None}
