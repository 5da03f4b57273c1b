"""Measure how the Predict dock answers: longest stretch of work, and first tile.

    python -m benchmarks.speed.docks [--image IMAGE] [--hasty]

Predicts all structures twice with napari's factory settings, on the bundled sample or
on IMAGE, after the model was loaded ahead or with Run pressed at once (``--hasty``).
Prints the longest stretch of the interface's thread as JSON: ``work_ms`` is processor
time of that thread alone, so that another program's load hardly counts, ``wall_ms`` is
by the clock; and the seconds from Run to the first tile on screen, and to the end.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.pages import ROOT
from tools.story import (
    SMALL,
    Stage,
    check,
    load_model_ahead,
    under_xvfb,
    wait,
    without_display,
)


def measure(stage: Stage, image: Path | None, hasty: bool) -> dict[str, Any]:
    """Return the figures of both runs."""
    from heartbeat import Heartbeat

    dock = stage.dock("Predict")
    if image is None:
        stage.viewer.open_sample("napari-sparsessp", "sparse_colony")
    else:
        dock._files.open(image)
    stage.look(lambda: dock.preview.plan is not None, "a plan", 0.005)
    if not hasty:
        load_model_ahead(stage, dock)
    rows = {}
    for name in ("first run", "second run"):
        seen: list[float] = []
        heart, began = Heartbeat(), time.perf_counter()
        heart.start()
        dock.run()
        dock.session.tile_done.connect(lambda _, seen=seen: seen.append(1))
        stage.look(lambda seen=seen: bool(seen), "the first tile", 0.005)
        first = time.perf_counter() - began
        stage.look(lambda: dock.run_in_progress is None, "the prediction", 0.005)
        whole = time.perf_counter() - began
        wait(0.3)
        heart.stop()
        check(dock)
        longest = {"work_ms": 1000 * heart.longest, "wall_ms": 1000 * heart.wall}
        seconds = {"first_tile_s": round(first, 2), "all_s": round(whole, 2)}
        rows[name] = {key: round(ms) for key, ms in longest.items()} | seconds
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path)
    parser.add_argument("--hasty", action="store_true", help="press Run at once")
    options = parser.parse_args()
    if without_display():
        return under_xvfb(["-m", "benchmarks.speed.docks", *sys.argv[1:]], (1600, 1000))
    sys.path.insert(0, str(ROOT / "tests"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["SPARSESSP_MODELS"] = str(Path(folder) / "models")
        stage = Stage(Path(folder), "dark", SMALL)
        print(json.dumps(measure(stage, options.image, options.hasty), indent=2))
        stage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
