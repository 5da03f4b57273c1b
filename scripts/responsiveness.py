"""How long the window is busy at a stretch: ``python scripts/responsiveness.py``.

Opens every dock, predicts in 2D and 3D, plans a sampling and trains for a few steps, on
the bundled sample, with napari's factory settings; prints for each part the longest
stretch of work of the interface's thread as JSON. Work is processor time of that thread
alone, so that another program's load hardly counts; ``wall_ms`` is by the clock.
Without a display it starts itself again under Xvfb.

``--minutes M`` trains for so long (0.3 unless told), ``--only predict`` and so on
measure one part.
"""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 900.0
PARTS = ("open", "predict", "plan", "train")
# The sample has every 4th plane; each is repeated where a dense stack is needed.
REPEAT = 4


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.3)
    parser.add_argument("--only", choices=PARTS, action="append")
    options = parser.parse_args()
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        return under_xvfb()
    sys.path.insert(0, str(ROOT / "tests"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["SPARSESSP_CONFIG"] = folder
        os.environ["SPARSESSP_MODELS"] = str(Path(folder) / "models")
        wanted = options.only or PARTS
        found: dict[str, dict[str, float]] = {}
        for part in wanted:
            found |= globals()[f"measure_{part}"](options)
            gc.collect()
    longest = max(one["work_ms"] for one in found.values())
    print(json.dumps({**found, "longest_ms": longest}, indent=2))
    return 0


def under_xvfb() -> int:
    """Start again on a virtual screen."""
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        print("there is no display; install xvfb", file=sys.stderr)
        return 2
    screen = "-screen 0 1600x1000x24"
    command = [xvfb, "-a", "-s", screen, sys.executable, *sys.argv]
    return subprocess.run(command, check=False).returncode


def measure_open(_options: Any) -> dict[str, dict[str, float]]:
    """Opening of each dock, as the user waits for it; the first one pays for all."""
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-sparsessp")
    found = {}
    for widget in manifest.contributions.widgets:
        viewer = new_viewer()
        name = widget.display_name
        began, work = time.perf_counter(), time.thread_time()
        viewer.window.add_plugin_dock_widget("napari-sparsessp", name)
        found[f"open {name}"] = {
            "work_ms": round(1000 * (time.thread_time() - work)),
            "wall_ms": round(1000 * (time.perf_counter() - began)),
        }
        wait(0.5)
        viewer.close()
    return found


def measure_predict(_options: Any) -> dict[str, dict[str, float]]:
    """Twelve structures: the session's first run, one with layers, and one in 3D."""
    viewer = new_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    viewer.open_sample("napari-sparsessp", "sparse_colony")
    wait_until(lambda: dock.preview.plan is not None, "a plan")

    def run() -> None:
        dock.run()
        wait_until(lambda: dock.run_in_progress is None, "the prediction")
        check(dock)

    found = {"predict, first run": beat(run), "predict again, 2D": beat(run)}
    viewer.dims.ndisplay = 3
    wait(0.5)
    found["predict again, 3D"] = beat(run)
    viewer.close()
    return found


def measure_plan(_options: Any) -> dict[str, dict[str, float]]:
    """How R² falls as planes are left out of a dense stack."""
    viewer = new_viewer()
    add_dense_pair(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Plan sampling")
    wait_until(lambda: dock.outlook.job is not None, "a plan")

    def run() -> None:
        dock.run()
        wait_until(lambda: dock.current is None, "the curve")
        check(dock)

    found = {"plan": beat(run)}
    viewer.close()
    return found


def measure_train(options: Any) -> dict[str, dict[str, float]]:
    """Some minutes of learning from one pair, its curves and its preview."""
    viewer = new_viewer()
    add_dense_pair(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Train")
    dock.form.minutes.setValue(options.minutes)
    wait_until(lambda: dock.outlook.job is not None, "a pair")

    def run() -> None:
        dock.train()
        wait_until(lambda: not dock.running.busy, "the training")
        check(dock)

    found = {"train": beat(run)}
    viewer.close()
    return found


def beat(run: Callable[[], None]) -> dict[str, float]:
    """Run something and give the longest stretch, by work and by the clock."""
    from heartbeat import Heartbeat

    gc.collect()
    heart = Heartbeat()
    heart.start()
    run()
    wait(0.3)
    heart.stop()
    return {
        "work_ms": round(1000 * heart.longest),
        "wall_ms": round(1000 * heart.wall),
    }


def new_viewer() -> Any:
    """A viewer whose window is up, as large as a laptop's."""
    import napari

    viewer = napari.Viewer(title="napari", show=False)
    window = viewer.window._qt_window
    window.resize(1280, 800)
    window.show()
    wait(0.5)
    return viewer


def add_dense_pair(viewer: Any) -> None:
    """The sample with its planes repeated, and its DNA."""
    from napari_sparsessp.ui.samples import sparse_colony

    layers = {attributes["name"]: data for data, attributes, _ in sparse_colony()}
    light = np.repeat(np.asarray(layers["Colony · bright-field"]), REPEAT, axis=0)
    dna = np.asarray(layers["DNA · truth"])[: len(light)]
    place = {"scale": (0.29,) * 3, "units": ("um",) * 3}
    viewer.add_image(light[: len(dna)], name="bright-field", **place)
    viewer.add_image(dna, name="DNA", visible=False, **place)


def check(dock: Any) -> None:
    """End with the dock's own words where something went wrong."""
    message = dock.form.foot.message
    if message.is_error:
        raise SystemExit(message.text.text())


def wait(seconds: float) -> None:
    """Let the application work."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.002)


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Let the application work until something is true."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + PATIENCE
    while not condition():
        QApplication.processEvents()
        time.sleep(0.002)
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")


if __name__ == "__main__":
    sys.exit(main())
