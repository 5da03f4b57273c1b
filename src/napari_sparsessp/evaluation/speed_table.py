"""The result of `sparsessp benchmark speed` as a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any

HEADINGS = (
    "combination",
    "parameters",
    "GMAC 1",
    "GMAC 12",
    "s 1",
    "s 12",
    "12/1",
    "merge s",
    "MiB 1",
    "MiB 12",
    "k",
)


def speed_cells(result: Mapping[str, Any]) -> list[list[str]]:
    """Cells of each row below `HEADINGS`; a row that was not measured says why."""
    return [_cells(entry) for entry in result["rows"]]


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Lay out rows in columns, the first to the left, the others to the right.

    A row that is shorter than the first ends in a text of its own.
    """
    count = len(table[0])
    full = [row for row in table if len(row) == count]
    widths = [max(len(row[i]) for row in full) for i in range(count)]
    widths[0] = max(len(row[0]) for row in table)
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=False)]
        )
        for row in table
    )


def conditions(result: Mapping[str, Any]) -> str:
    """Say where and how it was measured, in one sentence."""
    machine, options = result["machine"], result["options"]
    size = "×".join(map(str, options["size"]))
    bf16 = "with" if machine.get("bf16") else "without"
    return (
        f"One {size} patch at r = {options['ratio']}, {options['precision']}, "
        f"on {options['threads']} of {machine['cores']} cores; {machine['cpu']} "
        f"{bf16} bf16 instructions, torch {machine.get('torch', '?')}."
    )


def explanation(result: Mapping[str, Any]) -> str:
    """Say what the columns mean."""
    options = result["options"]
    return (
        "1 and 12: structures predicted. s: seconds of a forward pass, the best of k "
        f"after a warm-up (fewer than {options['repeats']} where passes take over "
        f"{options['patience']:.0f} s together). merge s: mixing RepMode's experts and "
        "folding batch norm in, once for each structure, not part of s. MiB: the peak "
        "of a fresh process's resident memory above what it had before the network was "
        "built."
    )


def verdicts(result: Mapping[str, Any]) -> list[str]:
    """Say whether what is promised of twelve structures holds."""
    who = {1.15: "shared trunk (dodnet, multihead)", 2.0: "decoder told, 3to2d"}
    lines = []
    for claim in result.get("claims", []):
        if not claim["rows"]:
            continue
        bound, missed = claim["bound"], claim["missed"]
        held = claim["rows"] - len(missed)
        lines.append(
            f"{who[bound]}: 12 structures take at most {bound:g} × one in {held} of "
            f"{claim['rows']} rows"
            + "".join(f"; {name} takes {times:.2f} ×" for name, times in missed.items())
        )
    return lines


def speed_text(result: Mapping[str, Any]) -> str:
    """Lay out the whole result for a terminal."""
    table = aligned([HEADINGS, *speed_cells(result)])
    below = [conditions(result), explanation(result), *verdicts(result)]
    return "\n".join([table, "", *below])


def _cells(entry: Mapping[str, Any]) -> list[str]:
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
