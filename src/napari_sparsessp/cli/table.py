"""Scores as a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = {
    "r2": "R²",
    "mse": "MSE",
    "mae": "MAE",
    "pcc": "PCC",
    "pcc_plane": "PCC/plane",
    "ssim": "SSIM",
    "psnr": "PSNR",
    "nrmse": "NRMSE",
}
"""Heading by field of the report."""


def score_table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay out the scores, one structure a row, with their mean where there are several.

    Parameters
    ----------
    scores : mapping
        Structure id to the fields of the report; structures without truth are left
        out.
    """
    scored = {name: fields for name, fields in scores.items() if "r2" in fields}
    if not scored:
        return ""
    rows = [["structure", *COLUMNS.values()]]
    for name, fields in scored.items():
        rows.append([name, *(number(fields.get(column)) for column in COLUMNS)])
    if len(scored) > 1:
        means = [_mean(scored, column) for column in COLUMNS]
        rows.append(["mean of structures", *map(number, means)])
    return lay_out(rows)


def lay_out(rows: Sequence[Sequence[str]]) -> str:
    """Align columns: the first to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    )


def _mean(scored: Mapping[str, Mapping[str, Any]], column: str) -> float | None:
    values = [fields.get(column) for fields in scored.values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def number(value: float | None) -> str:
    """Write a score; a dash where it is not defined."""
    return "–" if value is None else f"{value:.3f}"
