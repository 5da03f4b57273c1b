"""Write the tables of docs/speed.md from what was measured.

    python -m benchmarks.speed.page                # from docs/speed_*.json
    python -m benchmarks.speed.page --measure      # measure first; the machine idle

Measuring runs ``sparsessp benchmark speed --field`` and benchmarks/speed/kernels.py, one
after the other.
"""

import argparse
import json
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_sparsessp.evaluation.field_table import (
    HEADINGS,
    LAYER_HEADINGS,
    conditions,
    explanation,
    field_cells,
    layer_cells,
    parts,
    peaks_text,
    share_text,
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "speed.md"
FIELD, TRIALS = ROOT / "docs" / "speed_field.json", ROOT / "docs" / "speed_trials.json"
AIMS = {"seconds": 5.0, "SparseSSP, released 3-to-2D": 800, "FNet": 40, "peak": 0.5}
"""What was aimed at, on two cores."""

table6 = runpy.run_path(str(ROOT / "scripts" / "table6.py"))


def field(result: Mapping[str, Any]) -> str:
    """The field of view by every way."""
    width = len(HEADINGS)
    rows = [row + [""] * (width - len(row)) for row in field_cells(result)]
    table = [_markdown([HEADINGS, *rows], range(2, width - 1))]
    return "\n".join([conditions(result), explanation(), "", *table, "", aims(result)])


def aims(result: Mapping[str, Any]) -> str:
    """Each aim, and what was reached."""
    rows = {row["name"]: row for row in result["rows"]}
    lines = []
    ours = rows.get("ours", {})
    if "seconds" in ours:
        lines.append(
            f"- all structures in {AIMS['seconds']:g} s: {ours['seconds']:.2f} s"
        )
    for name in ("SparseSSP, released 3-to-2D", "FNet"):
        if "ratio" in rows.get(name, {}):
            row = rows[name]
            once = row.get("ratio_mixed_once")
            more = f" ({once:.0f} were the kernels mixed only once)" if once else ""
            lines.append(
                f"- {AIMS[name]} times faster than {name}: {row['ratio']:.0f}{more}"
            )
    if "layers" in result.get("layers", {}):
        share = parts(result)[-1]["of_peak"]
        lines.append(
            f"- {100 * AIMS['peak']:.0f} % of the measured peak in the convolutions: "
            f"{100 * share:.0f} %"
        )
    return "\n".join(["Aims, and what was measured:", "", *lines])


def peaks(result: Mapping[str, Any]) -> str:
    """Where our time goes."""
    if "layers" not in result.get("layers", {}):
        return (
            f"Not measured ({result.get('layers', {}).get('skipped', 'unfinished')})."
        )
    table = _markdown([LAYER_HEADINGS, *layer_cells(result)], range(1, 7))
    return "\n".join([peaks_text(result), share_text(result), "", table])


def trials(result: Mapping[str, Any]) -> str:
    """Milliseconds before and after each change."""
    kinds = [name for name in result if name != "busy"]
    rows: dict[str, list[str]] = {}
    for position, kind in enumerate(kinds):
        for name, (before, after) in result[kind].items():
            cells = rows.setdefault(name, [""] * len(kinds))
            cells[position] = f"{before:.1f} → {after:.1f}"
    quiet = "" if result["busy"] <= 0.3 else " PROVISIONAL: the machine was busy."
    table = [
        ["ms before → after", *kinds],
        *[[name, *row] for name, row in rows.items()],
    ]
    return "\n".join(
        [f"Each the best of several turns.{quiet}", "", _markdown(table, range(1, 9))]
    )


def _markdown(table: list, numbers: range) -> str:
    """A table, its first row the headings; some columns are `numbers`."""
    marks = ["---:" if i in numbers else "---" for i in range(len(table[0]))]
    lines = [table[0], marks, *table[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sections() -> Iterator[tuple[str, str]]:
    """Every generated part: its name and text."""
    for path, makers in ((FIELD, (field, peaks)), (TRIALS, (trials,))):
        found = json.loads(path.read_text("utf-8")) if path.exists() else None
        for make in makers:
            missing = f"Not measured yet: there is no `docs/{path.name}`."
            yield make.__name__, make(found) if found else missing


def measure() -> None:
    """Run both measurements, one after the other."""
    program = [sys.executable, "-m", "napari_sparsessp.cli"]
    field_run = ["benchmark", "speed", "--field", "--json", str(FIELD), "--overwrite"]
    subprocess.run([*program, *field_run], check=True)
    trials_run = [sys.executable, str(ROOT / "scripts" / "speed_trials.py")]
    subprocess.run([*trials_run, "--json", str(TRIALS)], check=True)


def main() -> None:
    """Fill the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        measure()
    page = PAGE.read_text(encoding="utf-8")
    for name, text in sections():
        page = table6["filled"](page, name, text)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
