"""A sweep as curves over the ratio, and as rows of what each ratio would cost. Pure."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from napari_sparsessp.evaluation.baselines import BASELINES
from napari_sparsessp.evaluation.sampling_advice import ImagingCost
from napari_sparsessp.evaluation.sweep_report import need_of, reference_scores
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.look.chart import Curve

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep_report import SweepReport

SCORES = {"r2": "R²", "pcc_plane": "Pearson in planes"}
"""What the chart can show, and its name."""

MEAN = "mean"

# The axis never hides how far from nothing a score is, nor stretches to minus infinity.
_LOWEST = -0.5


@dataclass(frozen=True)
class RatioRow:
    """One ratio, as the table shows it.

    Attributes
    ----------
    ratio : int
    score : float or None
        Mean over structures.
    kept : float or None
        Share of the densest stack's.
    enough : bool or None
        By the report's rule; None where nobody can tell.
    cost : ImagingCost
    predicted : float
        Seconds that predicting the stack took.
    """

    ratio: int
    score: float | None
    kept: float | None
    enough: bool | None
    cost: ImagingCost
    predicted: float


def place_of(ratio: float) -> float:
    """Where a ratio stands on the chart's axis: each doubling is one step."""
    return math.log2(ratio)


def ratio_at(place: float, ratios: Sequence[int]) -> int:
    """Give the ratio that is nearest to a place on the axis."""
    return min(ratios, key=lambda one: abs(place_of(one) - place))


def ticks_of(ratios: Sequence[int]) -> list[tuple[float, str]]:
    """Name the places of the ratios."""
    return [(place_of(one), str(one)) for one in ratios]


def rows_of(
    report: "SweepReport", score: str, plane_ms: float, times: int
) -> list[RatioRow]:
    """Give a row for each ratio.

    Parameters
    ----------
    report : SweepReport
    score : str
        ``r2`` or ``pcc_plane``.
    plane_ms : float
        Milliseconds for each plane.
    times : int
        Stacks of the time-lapse.
    """
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
        rows.append(
            RatioRow(one.ratio, value, kept, enough, cost, one.phases[0].seconds)
        )
    return rows


def curves_of(
    report: "SweepReport",
    score: str,
    shown: Collection[str],
    colour: Callable[[str], str],
    faint: str,
    until: int = 1,
) -> list[Curve]:
    """Give the curves of the structures that are shown, and what they are read by.

    Parameters
    ----------
    report : SweepReport
    score : str
    shown : collection of str
        Structure ids.
    colour : callable
        Gives a structure's colour.
    faint : str
        Colour of what is no measurement.
    until : int
        The sparsest ratio that is still to come: the axis has room for it.
    """
    places = [place_of(one.ratio) for one in report.ratios]
    curves = []
    names = [name for name in report.structures if name in shown]
    for name in names:
        label = structure_or_custom(name).label
        values = [_number(point.value) for point in report.curve(score, name)]
        curves.append(Curve(label, places, values, colour(name), dots=True))
        curves += _spread(report, score, name, colour(name))
    several = len(report.structures) > 1
    mean = [_number(point.value) for point in report.curve(score)]
    if several or not names:
        label = f"mean of {len(report.structures)}" if several else MEAN
        curves.append(Curve(label, places, mean, dots=True))
    ends = [places[0], max(place_of(until), places[-1], places[0] + 0.5)]
    return sorted(curves, key=_height) + _lines(report, score, ends, mean[0], faint)


def _lines(
    report: "SweepReport",
    score: str,
    ends: Sequence[float],
    densest: float,
    faint: str,
) -> list[Curve]:
    """Level lines: what is enough, and what needs no network."""
    lines = []
    least = None if math.isnan(densest) else report.rule.least(densest)
    if least is not None:
        lines.append(Curve("enough", ends, [least] * 2, faint, dashed=True))
    known = reference_scores(report, score)
    best = max(
        (value for key in BASELINES if (value := known[key]) is not None),
        default=None,
    )
    if best is not None and best > _LOWEST:
        lines.append(Curve("possible without a network", ends, [best] * 2, faint))
    return lines


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
    """Give the y range: from 0, or below it where a curve is, to just above all."""
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
            x += [place_of(one.ratio)] * 2 + [math.nan]
            y += [min(known), max(known), math.nan]
    return [Curve("", x, y, colour)] if x else []


def _number(value: float | None) -> float:
    return math.nan if value is None else value
