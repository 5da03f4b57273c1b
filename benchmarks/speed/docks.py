"""Measure how the docks answer: the longest stretch of work, and the first tile.

    python -m benchmarks.speed.docks [--only predict] [--minutes 0.3]
    python -m benchmarks.speed.docks --only first_tile --image IMAGE [--hasty]

Opens every dock, predicts in 2D and 3D, plans a sampling and trains for a few steps, on
the bundled sample, with napari's factory settings; prints for each part the longest
stretch of work of the interface's thread as JSON. Work is processor time of that thread
alone, so that another program's load hardly counts; ``wall_ms`` is by the clock.
``first_tile`` measures from Run to the first tile on screen, with the model loaded
ahead, or with Run pressed at once (``--hasty``). Without a display the program starts
itself again under Xvfb.
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

from benchmarks.pages import ROOT

PATIENCE = 900.0
PARTS = ("open", "predict", "plan", "train")
REPEAT = 4  # the sample has every 4th plane; each is repeated for a dense stack

Rows = dict[str, dict[str, float]]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=0.3, help="of training")
    parser.add_argument("--only", choices=(*PARTS, "first_tile"), action="append")
    parser.add_argument("--image", type=Path, help="for first_tile")
    parser.add_argument("--hasty", action="store_true", help="press Run at once")
    options = parser.parse_args()
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        return under_xvfb()
    sys.path.insert(0, str(ROOT / "tests"))
    found: Rows = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["SPARSESSP_CONFIG"] = folder
        os.environ["SPARSESSP_MODELS"] = str(Path(folder) / "models")
        for part in options.only or PARTS:
            found |= globals()[f"measure_{part}"](options)
            gc.collect()
    print(json.dumps(found, indent=2))
    return 0


def under_xvfb() -> int:
    """Start again on a virtual screen."""
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        print("there is no display; install xvfb", file=sys.stderr)
        return 2
    again = [sys.executable, "-m", "benchmarks.speed.docks", *sys.argv[1:]]
    command = [xvfb, "-a", "-s", "-screen 0 1600x1000x24", *again]
    return subprocess.run(command, check=False).returncode


def measure_open(_options: Any) -> Rows:
    """Opening of each dock, as the user waits for it; the first one pays for all."""
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-sparsessp")
    found = {}
    for widget in manifest.contributions.widgets:
        viewer = new_viewer()
        began, work = time.perf_counter(), time.thread_time()
        viewer.window.add_plugin_dock_widget("napari-sparsessp", widget.display_name)
        found[f"open {widget.display_name}"] = {
            "work_ms": round(1000 * (time.thread_time() - work)),
            "wall_ms": round(1000 * (time.perf_counter() - began)),
        }
        wait(0.5)
        viewer.close()
    return found


def measure_predict(_options: Any) -> Rows:
    """Twelve structures: the session's first run, one with layers, and one in 3D."""
    viewer, dock = new_dock("Predict")
    viewer.open_sample("napari-sparsessp", "sparse_colony")
    wait_until(lambda: dock.preview.plan is not None, "a plan")
    found = {}
    for name in ("predict, first run", "predict again, 2D", "predict again, 3D"):
        if name.endswith("3D"):
            viewer.dims.ndisplay = 3
            wait(0.5)
        found[name] = beat(dock, dock.run, lambda: dock.run_in_progress is None)
    viewer.close()
    return found


def measure_plan(_options: Any) -> Rows:
    """How R² falls as planes are left out of a dense stack."""
    viewer, dock = new_dock("Plan sampling", add_dense_pair)
    wait_until(lambda: dock.preview.job is not None, "a plan")
    found = {"plan": beat(dock, dock.run, lambda: dock.current is None)}
    viewer.close()
    return found


def measure_train(options: Any) -> Rows:
    """Some minutes of learning from one pair, its curves and its preview."""
    viewer, dock = new_dock("Train", add_dense_pair)
    dock.form.time.update(minutes=options.minutes)
    wait_until(lambda: dock.preview.job is not None, "a pair")
    found = {"train": beat(dock, dock.train, lambda: not dock.session.busy)}
    viewer.close()
    return found


def measure_first_tile(options: Any) -> Rows:
    """Seconds from Run to the first tile on screen; the second run has its model."""
    from napari_sparsessp import load_volume

    volume, units = load_volume(options.image), ("um",) * 3
    viewer, dock = new_dock("Predict")
    viewer.add_image(volume.numpy(), name="TL", scale=volume.voxel_size, units=units)
    wait_until(lambda: dock.preview.plan is not None, "a plan")
    result: Rows = {}
    if not options.hasty:
        began = time.perf_counter()
        dock.preloader.notice_user()  # as if the pointer were in the dock
        wait_until(lambda: dock.preloader.busy, "the model's start")
        wait_until(lambda: not dock.preloader.busy, "the model")
        result["loading ahead"] = {"s": round(time.perf_counter() - began, 2)}
    for name in ("first run", "second run"):
        seen: list[float] = []
        began = time.perf_counter()
        dock.run()
        dock.session.tile_done.connect(lambda _, seen=seen: seen.append(1))
        wait_until(lambda seen=seen: bool(seen), "the first tile")
        wait(0)
        first = time.perf_counter() - began
        wait_until(lambda: dock.run_in_progress is None, "the prediction")
        whole = time.perf_counter() - began
        result[name] = {"first_tile_s": round(first, 2), "all_s": round(whole, 2)}
    viewer.close()
    return result


def beat(
    dock: Any, start: Callable[[], Any], done: Callable[[], Any]
) -> dict[str, float]:
    """Start something and return the longest stretch, by work and by the clock."""
    from heartbeat import Heartbeat

    gc.collect()
    heart = Heartbeat()
    heart.start()
    start()
    wait_until(done, "the end")
    wait(0.3)
    heart.stop()
    message = dock.form.foot.message
    if message.is_error:
        raise SystemExit(message.text.text())
    return {"work_ms": round(1000 * heart.longest), "wall_ms": round(1000 * heart.wall)}


def new_viewer() -> Any:
    """A viewer whose window is up, as large as a laptop's."""
    import napari

    viewer = napari.Viewer(title="napari", show=False)
    window = viewer.window._qt_window
    window.resize(1280, 800)
    window.show()
    wait(0.5)
    return viewer


def new_dock(name: str, fill: Callable[[Any], None] = lambda viewer: None) -> Any:
    """A viewer with something in it, and a dock."""
    viewer = new_viewer()
    fill(viewer)
    return viewer, viewer.window.add_plugin_dock_widget("napari-sparsessp", name)[1]


def add_dense_pair(viewer: Any) -> None:
    """Add the sample with its planes repeated, and its DNA."""
    from napari_sparsessp import load_volume
    from napari_sparsessp.io.samples import sample_paths

    stack, truth = sample_paths()
    light = np.repeat(load_volume(stack).numpy(), REPEAT, axis=0)
    dna = load_volume(truth, channel="dna").numpy()[: len(light)]
    place = {"scale": (0.29,) * 3, "units": ("um",) * 3}
    viewer.add_image(light[: len(dna)], name="bright-field", **place)
    viewer.add_image(dna, name="DNA", visible=False, **place)


def wait(seconds: float) -> None:
    """Let the application work."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, "a moment")


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Let the application work until something is true."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + PATIENCE
    QApplication.processEvents()
    while not condition():
        QApplication.processEvents()
        time.sleep(0.002)  # as Qt's own loop: an idle window leaves the CPU alone
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")


if __name__ == "__main__":
    sys.exit(main())
