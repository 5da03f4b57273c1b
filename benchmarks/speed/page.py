"""Write the tables of docs/generated/speed.md from what was measured.

    python -m benchmarks.speed.page              # from docs/generated/speed_*.json
    python -m benchmarks.speed.page --measure    # measure first; the machine idle

Measuring runs ``sparsessp benchmark speed --field``, ``benchmarks.speed.peak_share``
and ``benchmarks.speed.kernels``, one after the other.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.pages import GENERATED, fill, markdown
from benchmarks.speed.peak_share import (
    LAYER_HEADINGS,
    layer_cells,
    parts,
    peaks_text,
    share_text,
)
from napari_sparsessp.evaluation.speed_tables import (
    FIELD_EXPLANATION,
    FIELD_HEADINGS,
    field_cells,
    field_conditions,
)

PAGE = GENERATED / "speed.md"
FIELD, TRIALS = GENERATED / "speed_field.json", GENERATED / "speed_trials.json"
# What was aimed at, on two cores.
SECONDS, PEAK = 5.0, 0.5
TIMES = {"SparseSSP, released 3-to-2D": 800, "FNet": 40}


def field(result: Mapping[str, Any]) -> str:
    """The field of view by every way, and what was aimed at."""
    width = len(FIELD_HEADINGS)
    rows = [row + [""] * (width - len(row)) for row in field_cells(result)]
    table = markdown([FIELD_HEADINGS, *rows], range(2, width - 1))
    above = [field_conditions(result), FIELD_EXPLANATION, "", table, ""]
    found = {row["name"]: row for row in result["rows"]}
    lines = ["Aims, and what was measured:", ""]
    if "seconds" in found.get("ours", {}):
        ours = found["ours"]["seconds"]
        lines.append(f"- all structures in {SECONDS:g} s: {ours:.2f} s")
    for name, aim in TIMES.items():
        row = found.get(name, {})
        if "ratio" in row:
            once = row.get("ratio_mixed_once")
            more = f" ({once:.0f} were the kernels mixed only once)" if once else ""
            lines.append(f"- {aim} times faster than {name}: {row['ratio']:.0f}{more}")
    if "layers" in result.get("layers", {}):
        share = 100 * parts(result)[-1]["of_peak"]
        goal = f"{100 * PEAK:.0f} % of the measured peak in the convolutions"
        lines.append(f"- {goal}: {share:.0f} %")
    return "\n".join([*above, *lines])


def peaks(result: Mapping[str, Any]) -> str:
    """Where our time goes."""
    layers = result.get("layers", {})
    if "layers" not in layers:
        return f"Not measured ({layers.get('skipped', 'unfinished')})."
    table = markdown([LAYER_HEADINGS, *layer_cells(result)], range(1, 7))
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
        *([name, *row] for name, row in rows.items()),
    ]
    numbers = range(1, len(table[0]))
    return f"Each the best of several turns.{quiet}\n\n{markdown(table, numbers)}"


def sections() -> Iterator[tuple[str, str]]:
    """Every generated part: its name and text."""
    for path, makers in ((FIELD, (field, peaks)), (TRIALS, (trials,))):
        found = json.loads(path.read_text("utf-8"))
        yield from ((make.__name__, make(found)) for make in makers)


def measure() -> None:
    """Run all measurements, one after the other."""
    for module, *words in (
        ("napari_sparsessp.cli", "benchmark", "speed", "--field", "--overwrite",
         "--json", str(FIELD)),
        ("benchmarks.speed.peak_share", str(FIELD)),
        ("benchmarks.speed.kernels", "--json", str(TRIALS)),
    ):  # fmt: skip
        subprocess.run([sys.executable, "-m", module, *words], check=True)


def main() -> None:
    """Fill the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        measure()
    fill(PAGE, sections())


if __name__ == "__main__":
    main()
