"""A sweep as a CSV table: a row for each ratio and structure, for any spreadsheet."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.evaluation.imaging_cost import ImagingCost
from napari_sparsessp.files import atomic_write

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep_report import SweepReport

SCORES = ("r2", "r2_fitted", "mse", "mae", "pcc", "pcc_plane", "ssim")

COLUMNS = (
    *("ratio", "planes", "structure", "scored_against", *SCORES),
    *("r2_lowest_start", "r2_highest_start", "light_share", "seconds_per_stack"),
    *("seconds_per_series", "seconds_to_predict", "enough"),
)


def sweep_csv(report: "SweepReport", plane_ms: float = 0.0, times: int = 1) -> str:
    """Write a sweep as CSV text.

    Parameters
    ----------
    report : SweepReport
    plane_ms : float
        Milliseconds for each plane; 0 leaves the seconds of imaging empty.
    times : int
        Stacks of the time-lapse.

    Returns
    -------
    str
        With a heading; empty cells where a score is not defined. ``enough`` is yes
        where the structure keeps what the report's rule asks for.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    for one in report.ratios:
        cost = ImagingCost(one.planes, report.depth, plane_ms, times)
        for name, scores in one.structures.items():
            table.writerow(_row(report, one, name, scores, cost))
    return text.getvalue()


def write_csv(
    report: "SweepReport", path: Path, plane_ms: float = 0.0, times: int = 1
) -> None:
    """Write `sweep_csv` to a file, in one step.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_write(path, "table") as part:
        # spreadsheets take a file without this mark for another alphabet
        part.write_text(sweep_csv(report, plane_ms, times), encoding="utf-8-sig")


def _row(
    report: "SweepReport",
    one: Any,
    name: str,
    scores: dict[str, Any],
    cost: ImagingCost,
) -> dict[str, Any]:
    starts = [phase.structures[name].get("r2") for phase in one.phases]
    known = [value for value in starts if value is not None]
    densest = report.ratios[0].structures[name].get("r2")
    value = scores.get("r2")
    least = None if densest is None else report.rule.least(densest)
    enough = None
    if value is not None and least is not None:
        enough = "yes" if value >= least - 1e-9 else "no"
    timed = cost.plane_ms > 0
    return {
        "ratio": one.ratio,
        "planes": one.planes,
        "structure": name,
        "scored_against": report.reference,
        **{score: scores.get(score) for score in SCORES},
        "r2_lowest_start": min(known, default=None),
        "r2_highest_start": max(known, default=None),
        "light_share": round(cost.light, 6),
        "seconds_per_stack": round(cost.stack_seconds, 6) if timed else None,
        "seconds_per_series": round(cost.series_seconds, 6) if timed else None,
        "seconds_to_predict": one.phases[0].seconds,
        "enough": enough,
    }
