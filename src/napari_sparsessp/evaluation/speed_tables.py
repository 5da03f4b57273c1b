"""Lay out the results of `sparsessp benchmark speed` as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PATCH_HEADINGS = (
    *("combination", "parameters", "GMAC 1", "GMAC 12", "s 1", "s 12", "12/1"),
    *("merge s", "MiB 1", "MiB 12", "k"),
)
FIELD_HEADINGS = ("prediction", "precision", "s", "times ours", "MiB", "measured")

QUIET = 0.3
"""Cores that others may keep busy before the figures are called provisional."""

FIELD_EXPLANATION = (
    "s: ours, from a volume in memory to the blended prediction in memory; of the "
    "others the networks alone: the fastest piece measured, after a warm-up, times "
    "the exact number of pieces. Each structure is a pass of its own. RepMode "
    "and SparseSSP mix their experts' kernels before each window, as their code "
    "does. MiB: peak of a fresh process above what it had before the network."
)

Result = Mapping[str, Any]


def speed_text(result: Result) -> str:
    """Lay out the result of a patch for a terminal."""
    table = aligned([PATCH_HEADINGS, *patch_cells(result)])
    below = [patch_conditions(result), patch_explanation(result), *verdicts(result)]
    return "\n".join([table, "", *below])


def field_text(result: Result) -> str:
    """Lay out the result of a field of view for a terminal."""
    table = aligned([FIELD_HEADINGS, *field_cells(result)])
    return "\n".join([table, "", field_conditions(result), FIELD_EXPLANATION])


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Lay out rows in columns, the first to the left, the others to the right.

    A row that is shorter than the first ends in a text of its own.
    """
    full = [row for row in table if len(row) == len(table[0])]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    widths[0] = max(len(row[0]) for row in table)
    lines = []
    for row in table:
        cells = zip(row[1:], widths[1:], strict=False)
        right = [cell.rjust(width) for cell, width in cells]
        lines.append("  ".join([row[0].ljust(widths[0]), *right]))
    return "\n".join(lines)


def patch_cells(result: Result) -> list[list[str]]:
    """Return the cells of each row; a row that was not measured says why."""
    return [_patch_row(entry) for entry in result["rows"]]


def _patch_row(entry: Result) -> list[str]:
    cells = [
        entry["name"],
        f"{entry['parameters'] / 1e6:.2f} M" if "parameters" in entry else "–",
        _number(entry.get("gmac_one")),
        _number(entry.get("gmac_all")),
    ]
    if "skipped" in entry:
        return [*cells, f"left out: {entry['skipped']}"]
    tries = (entry.get("repeats_one"), entry.get("repeats_all"))
    return [
        *cells,
        _number(entry.get("seconds_one"), 3),
        _number(entry.get("seconds_all"), 3),
        _number(entry.get("times")),
        _number(entry.get("seconds_merge")),
        _number(entry.get("peak_one_mib"), 0),
        _number(entry.get("peak_all_mib"), 0),
        "/".join(str(k) for k in tries if k is not None),
    ]


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def patch_conditions(result: Result) -> str:
    """Say where and how a patch was measured, in one sentence."""
    machine, options = result["machine"], result["options"]
    size = "×".join(map(str, options["size"]))
    bf16 = "with" if machine.get("bf16") else "without"
    return (
        f"One {size} patch at r = {options['ratio']}, {options['precision']}, "
        f"on {options['threads']} of {machine['cores']} cores; {machine['cpu']} "
        f"{bf16} bf16 instructions, torch {machine.get('torch', '?')}."
    )


def patch_explanation(result: Result) -> str:
    """Explain the columns of a patch."""
    options = result["options"]
    return (
        "1 and 12: structures predicted. s: seconds of a forward pass, the best of k "
        f"after a warm-up (fewer than {options['repeats']} where passes take over "
        f"{options['patience']:.0f} s together). merge s: mixing RepMode's experts and "
        "folding batch norm in, once for each structure, not part of s. MiB: the peak "
        "of a fresh process's resident memory above what it had before the network was "
        "built."
    )


def verdicts(result: Result) -> list[str]:
    """Say whether the bounds on twelve structures hold."""
    lines = []
    for bound, who in (
        (1.15, "shared trunk (dodnet, multihead)"),
        (2.0, "conditioned decoder, 3to2d"),
    ):
        times = {
            row["name"]: row["times"]
            for row in result["rows"]
            if row.get("bound") == bound and "times" in row
        }
        missed = {name: x for name, x in times.items() if x > bound}
        if times:
            held = f"{len(times) - len(missed)} of {len(times)} rows"
            line = f"{who}: 12 structures take at most {bound:g} × one in {held}"
            misses = [f"; {name} takes {x:.2f} ×" for name, x in missed.items()]
            lines.append(line + "".join(misses))
    return lines


def field_cells(result: Result) -> list[list[str]]:
    """Return the cells of each row; a row that was not measured says why."""
    cells: list[list[str]] = []
    for row in result["rows"]:
        name, precision = row["name"], row["precision"]
        if "skipped" in row:
            cells.append([name, precision, f"left out: {row['skipped']}"])
            continue
        measured = f"end to end, best of {row.get('repeats')}"
        if row["kind"] != "engine":
            pieces = "windows" if row["kind"] == "windows" else "structures"
            measured = f"scaled from {row['measured']} of {row['pieces']} {pieces}"
        cells.append(
            [
                f"{name} ({row['model']})" if "model" in row else name,
                precision,
                seconds_text(row["seconds"]),
                _times(row.get("ratio")),
                f"{row['peak_mib']:.0f}",
                measured,
            ]
        )
        if "seconds_mixed_once" in row:
            seconds = seconds_text(row["seconds_mixed_once"])
            times = _times(row.get("ratio_mixed_once"))
            cells.append(["– kernels mixed only once", "", seconds, times, "", ""])
    return cells


def seconds_text(seconds: float) -> str:
    """Write seconds with three digits at most."""
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"


def _times(times: float | None) -> str:
    if times is None:
        return "–"
    return f"{times:.1f}" if times < 20 else f"{times:.0f}"


def field_conditions(result: Result) -> str:
    """Say where and how a field was measured, in a few sentences."""
    machine, options = result["machine"], result["options"]
    size = "×".join(map(str, options["shape"]))
    device = "" if options["device"] == "cpu" else f", device {options['device']}"
    text = (
        f"One field of view, {size} voxels, all structures, r = 1, on "
        f"{options['threads']} of {machine['cores']} cores{device}; {machine['cpu']}."
    )
    if result["busy"] > QUIET:
        text += f" PROVISIONAL: others kept {result['busy']:.1f} cores busy meanwhile."
    return text
