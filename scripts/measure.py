"""Measure what the documents say about speed and memory.

    python scripts/measure.py IMAGE                 # the network, the command line
    xvfb-run -a python scripts/measure.py IMAGE --dock   # from Run to the first tile
    xvfb-run -a python scripts/measure.py IMAGE --dock --hasty   # Run at once

IMAGE is a transmitted-light stack, for example the Allen field of view
(57×204×341 voxels). Prints JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 300


def command_line(image: Path, *options: str) -> dict:
    """Wall seconds and peak memory of a whole ``sparsessp predict``."""
    import resource

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.ome.tif"
        report = Path(folder) / "report.json"
        program = Path(sys.executable).with_name("sparsessp")
        command = [str(program), "predict", str(image), "--structures", "all"]
        command += list(options)
        command += ["--out", str(out), "--report", str(report), "--quiet"]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - began
        content = json.loads(report.read_text())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "options": " ".join(options),
        "wall_s": round(wall, 1),
        "peak_memory_mib": round(peak / 2**10),
        "output": content["shape"]["output"],
        "precision": content["precision"],
        "tiles": content["tiles"],
        "prediction_s": content["seconds"]["total"],
    }


def network() -> dict:
    """Parameters and cost of the shipped network, all structures together."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from napari_sparsessp import load_model

    model = load_model()
    source = torch.zeros(1, model.network.config.inputs, *model.card.patch)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.network(source)
    weights = sum(weight.numel() for weight in model.network.parameters())
    return {
        "parameters": weights,
        "gmac_per_patch": round(counter.get_total_flops() / 2e9, 2),
        "patch": model.card.patch,
    }


def dock(image: Path, *, hasty: bool = False) -> dict:
    """Seconds from Run to the first tile on screen; the second run has its model.

    Parameters
    ----------
    image : Path
    hasty : bool
        Press Run as soon as there is a plan; otherwise the pointer is in the dock
        until the model is loaded ahead.
    """
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_sparsessp import load_volume

    volume = load_volume(image)
    assert volume.voxel_size is not None
    viewer = napari.Viewer(show=True)
    viewer.add_image(
        volume.numpy(), name="TL", scale=volume.voxel_size, units=("um",) * 3
    )
    _, panel = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")

    def wait_for(condition) -> float:
        began = time.perf_counter()
        while not condition():
            QApplication.processEvents()
            time.sleep(0.002)  # as Qt's own loop: an idle window leaves the CPU alone
            if time.perf_counter() - began > SECONDS:
                raise SystemExit("waited in vain")
        return time.perf_counter() - began

    wait_for(lambda: panel.preview.plan is not None)
    result: dict[str, object] = {}
    if not hasty:
        panel.preloader.notice_user()
        ahead = wait_for(lambda: panel.preloader.busy)
        ahead += wait_for(lambda: not panel.preloader.busy)
        result["loading ahead_s"] = round(ahead, 2)
    first = "first run, torch and model are loaded" if hasty else "first run"
    for run in (first, "second run"):
        seen: list[float] = []
        began = time.perf_counter()
        panel.run()
        panel.session.tile_done.connect(
            lambda _, seen=seen: seen.append(time.perf_counter())
        )
        wait_for(lambda seen=seen: bool(seen))
        QApplication.processEvents()
        shown = time.perf_counter() - began
        wait_for(lambda: panel.run_in_progress is None)
        result[run] = {
            "first_tile_s": round(shown, 2),
            "all_s": round(time.perf_counter() - began, 2),
        }
    viewer.close()
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--dock", action="store_true")
    parser.add_argument("--hasty", action="store_true", help="press Run at once")
    options = parser.parse_args()
    if options.dock:
        result: object = dock(options.image, hasty=options.hasty)
    else:
        result = [
            network(),
            command_line(options.image, "--ratio", "1"),
            command_line(options.image, "--simulate-sparse", "--ratio", "4"),
        ]
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
