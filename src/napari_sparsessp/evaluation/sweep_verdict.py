"""What a sweep's scores mean: how many planes are needed, or why nobody can tell."""

from typing import TYPE_CHECKING, Any

from napari_sparsessp.evaluation.planes_needed import (
    SELF_CONSISTENCY,
    KeepShare,
    LoseAtMost,
    Need,
    Rule,
    answer,
    has_pattern,
    planes_needed,
)
from napari_sparsessp.evaluation.yardsticks import YARDSTICKS
from napari_sparsessp.metrics import mean_fields
from napari_sparsessp.structures import structure_or_custom

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep_report import SweepReport


def judged(report: "SweepReport", rule: Rule) -> "SweepReport":
    """Give a report with its answer by another rule; nothing is measured anew.

    Parameters
    ----------
    report : SweepReport
    rule : KeepShare or LoseAtMost
        What is enough.
    """
    ruled = report.model_copy(
        update={
            "share": rule.share if isinstance(rule, KeepShare) else None,
            "tolerance": rule.tolerance if isinstance(rule, LoseAtMost) else None,
        }
    )
    needs = {name: need_of(ruled, name) for name in ruled.structures}
    return ruled.model_copy(
        update={
            "answer": _answer(ruled),
            "planes_needed": {
                name: None if need is None else need.fewest.planes
                for name, need in needs.items()
            },
            "ratio_needed": _ratio_needed(ruled),
        }
    )


def need_of(report: "SweepReport", structure: str | None = None) -> Need | None:
    """Find the fewest planes whose R² is enough.

    Parameters
    ----------
    report : SweepReport
    structure : str, optional
        The mean over structures where it is left out.

    Returns
    -------
    Need or None
        None where nothing sparser was measured, or even the densest prediction is no
        better than a trivial one.
    """
    if len(report.ratios) < 2:
        return None
    need = planes_needed(report.curve("r2", structure), report.rule)
    if structure is None:
        known = [reference_scores(report, "r2")[which] for which in YARDSTICKS]
    else:
        sticks = report.yardsticks.trivial[structure].values()
        known = [one["r2"] for one in sticks]
    bar = max([0.0, *(value for value in known if value is not None)])
    if need is None or need.densest.value is None or need.densest.value <= bar:
        return None
    return need


def _ratio_needed(report: "SweepReport") -> int | None:
    need = need_of(report)
    if need is None and len(report.ratios) > 1:
        curve = report.curve("pcc_plane")
        if has_pattern(curve, _trivial_pattern(report)):
            need = planes_needed(curve, report.rule)
    return None if need is None else need.fewest.ratio


def reference_scores(report: "SweepReport", score: str) -> dict[str, float | None]:
    """Give what a score is read by: its mean over structures.

    Returns
    -------
    dict
        Name of each yardstick, and ``ceiling``.
    """
    sticks, names = report.yardsticks, report.structures
    fields: dict[str, dict[str, dict[str, Any]]] = {
        which: {name: sticks.trivial[name].get(which, {}) for name in names}
        for which in YARDSTICKS
    }
    fields["ceiling"] = {name: sticks.ceiling[name] or {} for name in names}
    return {
        which: mean_fields([one])["over_structures"].get(score)
        for which, one in fields.items()
    }


def _answer(report: "SweepReport") -> str:
    names = report.structures
    what = (
        structure_or_custom(names[0]).label
        if len(names) == 1
        else f"the mean of {len(names)} structures"
    )
    r2 = reference_scores(report, "r2")
    best = {
        f"the yardstick “{label}”": r2[which]
        for which, (label, _) in YARDSTICKS.items()
    }
    curves = report.curve("r2"), report.curve("pcc_plane")
    told = answer(*curves, report.rule, what, best, _trivial_pattern(report))
    return f"{told} {SELF_CONSISTENCY}" if report.against_dense else told


def _trivial_pattern(report: "SweepReport") -> float:
    """The best Pearson within planes that needs no model."""
    pattern = reference_scores(report, "pcc_plane")
    known = [pattern[which] for which in YARDSTICKS]
    return max([0.0, *(value for value in known if value is not None)])
