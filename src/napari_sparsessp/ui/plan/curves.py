"""A sweep as curves over the ratio, as rows of costs, and in words. Pure."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from napari_sparsessp.evaluation.baselines import BASELINES
from napari_sparsessp.evaluation.sampling_advice import ImagingCost
from napari_sparsessp.evaluation.sweep_report import need_of, reference_scores
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.widgets.charts import Curve

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep_report import Point, SweepReport

SCORES = {"r2": "R²", "pcc_plane": "PCC in planes"}
"""Scores that the chart can show, and their names."""

MEAN = "mean"

# The axis never hides how far from nothing a score is, nor stretches to minus infinity.
_LOWEST = -0.5


@dataclass(frozen=True)
class RatioRow:
    """One ratio, as the table shows it."""

    ratio: int
    score: float | None
    kept: float | None  # share of the densest stack's score
    enough: bool | None  # by the report's rule
    cost: ImagingCost
    predicted: float  # seconds of one prediction


def rows_of(
    report: "SweepReport", score: str, plane_ms: float, times: int
) -> list[RatioRow]:
    """Return a row for each ratio; `score` is ``r2`` or ``pcc_plane``."""
    curve = report.curve(score)
    densest = curve[0].value if curve else None
    least = None if densest is None else report.rule.least(densest)
    if score == "r2" and need_of(report) is None and len(report.ratios) > 1:
        least = None  # a share of what is worthless is nothing to be content with
    rows = []
    for point, one in zip(curve, report.ratios, strict=True):
        value = point.value
        kept = value / densest if value is not None and densest else None
        enough = None
        if least is not None and value is not None and len(curve) > 1:
            enough = value >= least - 1e-9
        cost = ImagingCost(one.planes, report.depth, plane_ms, times)
        seconds = one.phases[0].seconds
        rows.append(RatioRow(one.ratio, value, kept, enough, cost, seconds))
    return rows


def curves_of(
    report: "SweepReport",
    score: str,
    shown: Collection[str],
    colour: Callable[[str], str],
    faint: str,
    until: int = 1,
) -> list[Curve]:
    """Return the curves of the structures that are shown, and what they are read by.

    Each doubling of the ratio is one step along x.
    """
    places = [math.log2(one.ratio) for one in report.ratios]
    curves: list[Curve] = []
    names = [name for name in report.structures if name in shown]
    for name in names:
        label = structure_or_custom(name).label
        values = _values(report.curve(score, name))
        curves.append(Curve(label, places, values, colour(name), dots=True))
        curves += _spread(report, score, name, colour(name))
    several = len(report.structures) > 1
    mean = _values(report.curve(score))
    if several or not names:
        label = f"mean of {len(report.structures)}" if several else MEAN
        curves.append(Curve(label, places, mean, dots=True))
    ends = [places[0], max(math.log2(until), places[-1], places[0] + 0.5)]
    curves.sort(key=_height)
    # level lines: what is enough, and what needs no network
    densest = mean[0]
    least = None if math.isnan(densest) else report.rule.least(densest)
    if least is not None:
        curves.append(Curve("enough", ends, [least] * 2, faint, dashed=True))
    known = reference_scores(report, score)
    best = max(
        (value for key in BASELINES if (value := known[key]) is not None),
        default=_LOWEST,
    )
    if best > _LOWEST:
        curves.append(Curve("possible without a network", ends, [best] * 2, faint))
    return curves


def _height(curve: Curve) -> float:
    """Sort key: the curve that ends highest first, lines between starts last."""
    return -curve.y[-1] if curve.name and not math.isnan(curve.y[-1]) else math.inf


def legend_of(curves: Sequence[Curve]) -> str:
    """Name the curves in rich text, in the order in which they lie, highest first."""
    parts = []
    for curve in curves:
        if not curve.name:
            continue
        sign = "●" if curve.dots else "╌╌" if curve.dashed else "—"
        tint = f' style="color: {curve.colour}"' if curve.colour else ""
        name = escape(curve.name).replace(" ", "&nbsp;")
        parts.append(f"<span{tint}>{sign}</span>&nbsp;{name}")
    return "&nbsp;&nbsp; ".join(parts)


def range_of(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the y range: from 0, or below it where a curve is, to just above all."""
    values = [value for curve in curves for value in curve.y if not math.isnan(value)]
    low = max(min([0.0, *values]) * 1.1, _LOWEST)
    high = max([0.1, *values])
    return low, min(1.08 * high, high + 0.05)


def _spread(report: "SweepReport", score: str, name: str, colour: str) -> list[Curve]:
    """Lines from the lowest to the highest start of each ratio."""
    x: list[float] = []
    y: list[float] = []
    for one in report.ratios:
        values = [phase.structures[name].get(score) for phase in one.phases]
        known = [value for value in values if value is not None]
        if len(known) > 1:
            x += [math.log2(one.ratio)] * 2 + [math.nan]
            y += [min(known), max(known), math.nan]
    return [Curve("", x, y, colour)] if x else []


def _values(points: Sequence["Point"]) -> list[float]:
    return [math.nan if one.value is None else one.value for one in points]


def nth(ratio: int) -> str:
    """Write ``every plane``, ``2nd``, ``3rd``, ``4th``."""
    if ratio == 1:
        return "every plane"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(ratio % 10, "th")
    if 10 < ratio % 100 < 20:
        ending = "th"
    return f"{ratio}{ending}"


def listed(parts: Sequence[str]) -> str:
    """Write ``a``, ``a and b``, ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def seconds_text(seconds: float) -> str:
    """Write a time with as many digits as one cares for: ``0.4 s``, ``3.2 min``."""
    if seconds < 0.995:
        return f"{seconds:.2g} s"
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds)} s"


def cost_sentence(cost: ImagingCost, predicted: float) -> str:
    """Say what a ratio means at the microscope; `predicted` is in seconds."""
    dense = cost.planes == cost.dense_planes

    def compared(seconds: float, dense_seconds: float) -> str:
        text = seconds_text(seconds)
        return text if dense else f"{text} instead of {seconds_text(dense_seconds)}"

    planes = f"{cost.planes} of {cost.dense_planes} planes"
    parts = [f"{planes}: {100 * cost.light:.3g} % of the light"]
    if dense:
        parts = [f"All {cost.dense_planes} planes: all of the light"]
    if cost.plane_ms:
        stack = compared(cost.stack_seconds, cost.dense_stack_seconds)
        parts.append(f"{stack} a stack")
    if cost.plane_ms and cost.times > 1:
        series = compared(cost.series_seconds, cost.dense_series_seconds)
        parts.append(f"{series} of imaging for {cost.times} stacks")
    text = f"{', '.join(parts)}."
    if not dense:
        more = _short(cost.stacks_for_one)
        text += f" Or {more} times as many stacks with the light of dense ones."
    return f"{text} Predicting one took {seconds_text(predicted)} here."


def each_sentence(report: "SweepReport") -> str:
    """Say how many planes each structure needs, where there are several."""
    if len(report.structures) < 2 or len(report.ratios) < 2:
        return ""
    by_planes: dict[int | None, list[str]] = {}
    for name in report.structures:
        label = structure_or_custom(name).label
        by_planes.setdefault(report.planes_needed[name], []).append(label)
    parts = [
        f"{planes} planes for {listed(by_planes[planes])}"
        for planes in sorted(one for one in by_planes if one is not None)
    ]
    if None in by_planes:
        parts.append(f"nobody can tell for {listed(by_planes[None])}")
    return f"Each by itself: {'; '.join(parts)}."


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
