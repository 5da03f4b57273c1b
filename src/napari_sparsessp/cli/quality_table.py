"""Scores of models as tables for people, beside what they are to be read by."""

from typing import TYPE_CHECKING

from napari_sparsessp.evaluation.baselines import BASELINES

from napari_sparsessp.cli.sweep_table import SCORES, SHORT
from napari_sparsessp.cli.table import COLUMNS, lay_out, number
from napari_sparsessp.evaluation.quality import IMPROVED, REAL, SIMULATED
from napari_sparsessp.metrics import FIELDS

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.quality import Group, QualityReport, Row

_SHORT = {**SHORT, "ceiling": "ceiling"}
_GROUPS = {
    SIMULATED: "held-out simulated colonies, truth free of noise",
    REAL: "real pairs",
}


def quality_tables(report: "QualityReport") -> str:
    """Lay out every group: all means in one table, then a table for each model."""
    parts = []
    for name, group in report.groups.items():
        parts.append(f"{group.fields} {_GROUPS[name]}")
        base = report.options.base
        against = f"{base} at" if base else "the model's own"
        first = min(report.options.ratios)
        parts.append(lay_out(_means(group)))
        parts.append(
            "Means over structures, each weighing alike; R² of images: mean over "
            f"images. Δ: improvement of the means over images on {against} r = {first}."
        )
        parts += [
            lay_out(_by_structure(group, model, score))
            for model in group.models
            for score in SCORES
            if any(row.structures for row in group.models[model].values())
        ]
    return "\n\n".join(parts)


def _means(group: "Group") -> list[list[str]]:
    rows = [
        [
            "mean of structures",
            *(COLUMNS[score] for score in FIELDS),
            "R² of images",
            *(f"Δ {COLUMNS[score]}" for score in IMPROVED),
        ]
    ]
    for name, its in group.models.items():
        for ratio, row in its.items():
            deltas = [_percent(row.delta_imp.get(score)) for score in IMPROVED]
            rows.append([f"{name}, r = {ratio}", *_values(row), *deltas])
    for which, row in group.baselines.items():
        rows.append([_SHORT[which], *_values(row), *("" for _ in IMPROVED)])
    return rows


def _values(row: "Row") -> list[str]:
    mean = row.means["over_structures"]
    images = row.means["over_images"]["r2"]
    return [*(number(mean[score]) for score in FIELDS), number(images)]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f} %"


def _by_structure(group: "Group", model: str, score: str) -> list[list[str]]:
    columns = {f"r={ratio}": row for ratio, row in group.models[model].items()}
    columns |= {_SHORT[which]: group.baselines[which] for which in BASELINES}
    columns["ceiling"] = group.baselines["ceiling"]
    rows = [[f"{model}, {SCORES[score]}", *columns]]
    structures = next(row.structures for row in group.models[model].values())
    for name in structures:
        values = (row.structures.get(name, {}).get(score) for row in columns.values())
        rows.append([name, *map(number, values)])
    means = (row.means["over_structures"][score] for row in columns.values())
    return [*rows, ["mean of structures", *map(number, means)]]
