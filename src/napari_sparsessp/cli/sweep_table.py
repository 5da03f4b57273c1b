"""A sweep as tables for people: scores by ratio beside what they are read by."""

from typing import TYPE_CHECKING

from napari_sparsessp.cli.table import lay_out, number
from napari_sparsessp.evaluation.baselines import BASELINES
from napari_sparsessp.evaluation.sweep_report import reference_scores

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep_report import SweepReport

SCORES = {"r2": "R²", "pcc_plane": "PCC within planes"}
"""The paper's score, and the one to judge real cells by."""

SHORT = {
    "plane_mean": "plane mean",
    "smoothness": "smoothness",
    "input": "input",
    "negative": "negative",
}
"""Headings of the baselines."""


def sweep_table(report: "SweepReport") -> str:
    """Lay out one table a score: structures down, ratios and baselines across."""
    return "\n\n".join(
        lay_out(_rows(report, score, heading)) for score, heading in SCORES.items()
    )


def _rows(report: "SweepReport", score: str, heading: str) -> list[list[str]]:
    sticks = () if report.against_dense else tuple(BASELINES)
    ceilings = [] if report.against_dense else ["ceiling"]
    rows = [
        [
            heading,
            *(f"r={one.ratio} ({one.planes})" for one in report.ratios),
            *(SHORT[name] for name in sticks),
            *ceilings,
            *(["planes needed"] if score == "r2" else []),
        ]
    ]
    for structure in report.structures:
        ceiling = report.baselines.ceiling[structure] or {}
        trivial = report.baselines.trivial[structure]
        rows.append(
            [
                structure,
                *(number(point.value) for point in report.curve(score, structure)),
                *(number(trivial[name].get(score)) for name in sticks),
                *(number(ceiling.get(score)) for _ in ceilings),
                *([_count(report.planes_needed[structure])] if score == "r2" else []),
            ]
        )
    if len(report.structures) > 1:
        means = [point.value for point in report.curve(score)]
        known = reference_scores(report, score)
        means += [known[name] for name in (*sticks, *ceilings)]
        empty = [""] if score == "r2" else []
        rows.append(["mean of structures", *map(number, means), *empty])
    return rows


def _count(planes: int | None) -> str:
    return "–" if planes is None else str(planes)
