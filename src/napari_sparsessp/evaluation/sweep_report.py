"""The result of a sweep: scores by ratio, baselines, ceiling, answer; JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_sparsessp.evaluation.baselines import BASELINES
from napari_sparsessp.evaluation.sampling_advice import (
    SELF_CONSISTENCY,
    ImagingCost,
    KeepShare,
    LoseAtMost,
    Need,
    Point,
    Rule,
    answer,
    has_pattern,
    planes_needed,
)
from napari_sparsessp.files import atomic_write
from napari_sparsessp.metrics import mean_fields
from napari_sparsessp.prediction.report import ModelId, mean_scores
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.version import __version__

CSV_SCORES = ("r2", "r2_fitted", "mse", "mae", "pcc", "pcc_plane", "ssim")

CSV_COLUMNS = (
    *("ratio", "planes", "structure", "scored_against", *CSV_SCORES),
    *("r2_lowest_start", "r2_highest_start", "light_share", "seconds_per_stack"),
    *("seconds_per_series", "seconds_to_predict", "enough"),
)

Scores = dict[str, dict[str, Any]]
"""Structure id to its scores, as in the report of a run."""


class ReportPart(BaseModel):
    """A frozen part of a report that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class PhaseScores(ReportPart):
    """Scores of one phase, with ``r2_fitted``; planes are those of the dense stack."""

    phase: int
    measured_planes: tuple[int, ...]
    seconds: float
    structures: Scores


class RatioScores(ReportPart):
    """Scores of one ratio."""

    ratio: int
    planes: int  # Imaged ones; the most of any phase
    structures: Scores  # Means over phases where there are several
    # `over_images` (one structure of one stack is one image) and `over_structures`;
    # with one stack they are alike
    means: dict[str, dict[str, float | None]]
    phases: tuple[PhaseScores, ...]

    @classmethod
    def of(cls, ratio: int, phases: Sequence[PhaseScores]) -> RatioScores:
        """Return the scores of a ratio from those of its phases."""
        scores = mean_scores([phase.structures for phase in phases])
        return cls(
            ratio=ratio,
            planes=max(len(phase.measured_planes) for phase in phases),
            structures=scores,
            means=mean_fields([scores]),
            phases=tuple(phases),
        )


class Baselines(ReportPart):
    """Scores that do not depend on any model."""

    # Structure id to baseline to scores; none against the dense prediction
    trivial: dict[str, Scores]
    # Structure id to the best scores that a noise-free prediction could reach; None
    # where it cannot be estimated
    ceiling: dict[str, dict[str, float | None] | None]


class WholeReport(ReportPart):
    """A report with its kind, version and date; `to_json` returns its JSON."""

    schema_version: int = Field(1, alias="schema")
    kind: str
    package: str = __version__
    created: str = Field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds")
    )

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)


class SweepReport(WholeReport):
    """The result of a sweep."""

    kind: str = "sweep"
    model: ModelId
    input: str
    finished: bool
    request: PredictionRequest  # Of the first ratio
    device: str
    precision: str
    depth: int  # Planes of the dense stack
    # (z, y, x) of the grid on which everything is scored, µm
    voxel_size: tuple[float, float, float]
    reference: Literal["truth", "dense prediction"] = "truth"
    # share, tolerance: Of the densest stack's score: the share that is to be kept, or
    # the difference that may be lost; one of the two says what is enough
    share: float | None = None
    tolerance: float | None = None
    answer: str
    # Structure id to the fewest planes whose R² is enough; None where even that of the
    # densest stack is no better than a trivial predictor's, or nothing sparser was
    # measured
    planes_needed: dict[str, int | None]
    # The ratio that `answer` names: by the mean R² over structures, else by their
    # pattern; None where neither can tell
    ratio_needed: int | None = None
    ratios: tuple[RatioScores, ...]  # ascending
    baselines: Baselines = Field(alias="yardsticks")
    warnings: tuple[str, ...]

    @property
    def structures(self) -> tuple[str, ...]:
        """Ids of the scored structures."""
        return tuple(self.baselines.trivial)

    @property
    def against_dense(self) -> bool:
        """Whether the model is scored against itself, not against a truth."""
        return self.reference == "dense prediction"

    @property
    def rule(self) -> Rule:
        """The rule for scores that are enough."""
        if self.tolerance is not None:
            return LoseAtMost(self.tolerance)
        return KeepShare() if self.share is None else KeepShare(self.share)

    def curve(self, score: str, structure: str | None = None) -> list[Point]:
        """Return a score over the ratios."""
        points = []
        for step in self.ratios:
            means = step.means["over_structures"]
            values = means if structure is None else step.structures[structure]
            points.append(Point(step.ratio, step.planes, values.get(score)))
        return points


def judged(report: SweepReport, rule: Rule) -> SweepReport:
    """Return the report with its answer by another rule; nothing is measured again."""
    ruled = report.model_copy(
        update={
            "share": rule.share if isinstance(rule, KeepShare) else None,
            "tolerance": rule.tolerance if isinstance(rule, LoseAtMost) else None,
        }
    )
    needs = {name: need_of(ruled, name) for name in ruled.structures}
    need = need_of(ruled)
    if need is None and len(ruled.ratios) > 1:
        curve = ruled.curve("pcc_plane")
        if has_pattern(curve, _trivial_pattern(ruled)):
            need = planes_needed(curve, rule)
    return ruled.model_copy(
        update={
            "answer": _answer(ruled),
            "planes_needed": {
                name: None if its is None else its.fewest.planes
                for name, its in needs.items()
            },
            "ratio_needed": None if need is None else need.fewest.ratio,
        }
    )


def need_of(report: SweepReport, structure: str | None = None) -> Need | None:
    """Find the fewest planes whose R² is enough.

    None where nothing sparser was measured, or even the densest prediction is no
    better than a trivial one.
    """
    if len(report.ratios) < 2:
        return None
    need = planes_needed(report.curve("r2", structure), report.rule)
    if structure is None:
        known = [reference_scores(report, "r2")[which] for which in BASELINES]
    else:
        known = [its["r2"] for its in report.baselines.trivial[structure].values()]
    bar = max([0.0, *(value for value in known if value is not None)])
    if need is None or need.densest.value is None or need.densest.value <= bar:
        return None
    return need


def reference_scores(report: SweepReport, score: str) -> dict[str, float | None]:
    """Return a score's mean over structures for each baseline and ``ceiling``."""
    baselines, names = report.baselines, report.structures
    fields: dict[str, Scores] = {
        which: {name: baselines.trivial[name].get(which, {}) for name in names}
        for which in BASELINES
    }
    fields["ceiling"] = {name: baselines.ceiling[name] or {} for name in names}
    return {
        which: mean_fields([its])["over_structures"].get(score)
        for which, its in fields.items()
    }


def _answer(report: SweepReport) -> str:
    names = report.structures
    subject = f"the mean of {len(names)} structures"
    if len(names) == 1:
        subject = structure_or_custom(names[0]).label
    r2 = reference_scores(report, "r2")
    best = {
        f"the baseline “{label}”": r2[which] for which, (label, _) in BASELINES.items()
    }
    curves = report.curve("r2"), report.curve("pcc_plane")
    text = answer(*curves, report.rule, subject, best, _trivial_pattern(report))
    return f"{text} {SELF_CONSISTENCY}" if report.against_dense else text


def _trivial_pattern(report: SweepReport) -> float:
    """Return the best PCC in planes that needs no model."""
    pattern = reference_scores(report, "pcc_plane")
    known = [pattern[which] for which in BASELINES]
    return max([0.0, *(value for value in known if value is not None)])


def write_sweep_csv(
    report: SweepReport, path: Path, plane_ms: float = 0.0, times: int = 1
) -> None:
    """Write a sweep as CSV, in one step: a row for each ratio and structure.

    Empty cells where a score is not defined; ``enough`` is yes where the structure
    keeps what the report's rule asks for. OutputError: it cannot be written.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    table.writeheader()
    for step in report.ratios:
        cost = ImagingCost(step.planes, report.depth, plane_ms, times)
        imaging = {"light_share": round(cost.light, 6)}
        if plane_ms > 0:
            imaging["seconds_per_stack"] = round(cost.stack_seconds, 6)
            imaging["seconds_per_series"] = round(cost.series_seconds, 6)
        for name, scores in step.structures.items():
            starts = [phase.structures[name].get("r2") for phase in step.phases]
            known = [value for value in starts if value is not None]
            densest = report.ratios[0].structures[name].get("r2")
            least = None if densest is None else report.rule.least(densest)
            value = scores.get("r2")
            enough = None
            if value is not None and least is not None:
                enough = "yes" if value >= least - 1e-9 else "no"
            table.writerow(
                {
                    "ratio": step.ratio,
                    "planes": step.planes,
                    "structure": name,
                    "scored_against": report.reference,
                    **{score: scores.get(score) for score in CSV_SCORES},
                    "r2_lowest_start": min(known, default=None),
                    "r2_highest_start": max(known, default=None),
                    **imaging,
                    "seconds_to_predict": step.phases[0].seconds,
                    "enough": enough,
                }
            )
    with atomic_write(path, "table") as part:
        # spreadsheets take a file without this mark for another alphabet
        part.write_text(text.getvalue(), encoding="utf-8-sig")
