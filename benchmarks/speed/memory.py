"""Measure a network's memory beside the plan of it, for docs/generated/memory.md.

Each row is a fresh process that builds a network with random weights, lets the engine
predict one tile of noise and reads its own peak from the system (Linux).

    python -m benchmarks.speed.memory            # measures, prints and writes the page
    python -m benchmarks.speed.memory --quick    # the first rows only, prints
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.pages import GENERATED, fill, markdown

PAGE = GENERATED / "memory.md"
SHIPPED = ("colony-3to2d", "colony-2d", "colony-2to3d", "colony-3d", "hipsc-dna")
LARGE = 256  # pixels along a side of a tile
REPMODE = {"backbone": "plain", "conditioning": "repmode", "kernel": 5}
DOD = {"backbone": "dod", "conditioning": "dodnet"}
FNET = {"backbone": "fnet", "conditioning": "multihead", "outputs": 1}
PUBLISHED: dict[str, tuple[int, dict[str, Any]]] = {
    "DoDNet 3D": (128, {**DOD, "topology": "3d"}),
    "DoDNet 3-to-2D": (128, {**DOD, "topology": "3to2d"}),
    "DoDNet 2D": (256, {**DOD, "topology": "2d", "ratio": 2}),
    "RepMode 3D": (64, {**REPMODE, "topology": "3d"}),
    "RepMode 3-to-2D": (64, {**REPMODE, "topology": "3to2d"}),
    "FNet 3D": (96, {**FNET, "topology": "3d"}),
}


def rows() -> list[dict[str, Any]]:
    """Networks, precisions and sides of tiles that are measured."""
    shipped = [{"model": name, "side": LARGE} for name in SHIPPED]
    published = [
        {"model": name, "network": network, "side": side}
        for name, (side, network) in PUBLISHED.items()
    ]
    first = {"model": SHIPPED[0], "precision": "bf16"}
    more = [{**first, "side": LARGE, "tta": True}, {**first, "side": 2 * LARGE}]
    every = [
        [{**row, "precision": name} for row in part for name in ("fp32", "bf16")]
        for part in (shipped, published)
    ]
    return [{"tta": False, **row} for row in (*every[0], *more, *every[1])]


def measure(row: dict[str, Any]) -> dict[str, Any]:
    """Measure one row in this process, which nothing else has used."""
    import psutil

    import napari_sparsessp.prediction.engine  # noqa: F401 - as a prediction loads it
    from napari_sparsessp.evaluation.speed_worker import resident_mib
    from napari_sparsessp.networks.cost import weight_bytes
    from napari_sparsessp.prediction.inference import Forward
    from napari_sparsessp.prediction.input_stack import read_stack

    model, plan = planned(row)
    stack, forward = read_stack(plan, None), Forward(model, plan)
    base = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    for _ in forward.predict(stack, plan.tiles[0]):
        pass
    peak = round(resident_mib("VmHWM") * 2**20)
    # Its weights are there before; what a pass makes of them is not.
    plan_bytes = plan.memory.on_device - weight_bytes(model.network.config)
    return {"process": base, "measured": peak - base, "planned": plan_bytes}


def planned(row: dict[str, Any]) -> tuple[Any, Any]:
    """Return a model and the plan of one tile of noise."""
    import numpy as np
    import torch

    from napari_sparsessp import PredictionRequest, Volume
    from napari_sparsessp.models.card import network_fields
    from napari_sparsessp.models.library import Model, load_model, read_card
    from napari_sparsessp.networks import NetworkConfig, build_network
    from napari_sparsessp.prediction.plan import plan_prediction
    from napari_sparsessp.prediction.tiling import TileSize

    torch.set_num_threads(1)
    torch.manual_seed(0)
    if "network" in row:
        config = NetworkConfig.model_validate({"outputs": 12} | row["network"])
        some = {"structures": read_card().structures[: config.outputs]}
        card = read_card().model_copy(update={**some, **network_fields(config)})
        network = build_network(config).eval().requires_grad_(False)
        model = Model(card, network, "", Path())
    else:
        model = load_model(row["model"])
        config = model.network.config
    side = row["side"]
    noise = np.random.default_rng(0).normal(size=(config.depth, side, side))
    volume = Volume(noise.astype(np.float32), "ZYX", model.card.voxel_size)
    request = PredictionRequest(
        # Where each structure is a pass of its own, one pass is enough.
        structures=model.card.structures[: 1 if config.per_structure else None],
        device="cpu",
        precision=row["precision"],
        tta=row["tta"],
    )
    size = TileSize(config.depth, (side, side), config.stride, step=config.ratio)
    return model, plan_prediction(model.card, volume, request, tile_size=size)


def table(measured: list[dict[str, Any]]) -> str:
    """Markdown of what was measured."""
    head = ("network", "precision", "pixels", "turned", "measured, MiB", "planned, MiB")
    lines = [(*head, "ratio")]
    ratios = [row["planned"] / row["measured"] for row in measured]
    for row, ratio in zip(measured, ratios, strict=True):
        name = (row["model"], row["precision"], f"{row['side']}×{row['side']}")
        mib = (f"{row[what] / 2**20:.0f}" for what in ("measured", "planned"))
        lines.append((*name, "yes" if row["tta"] else "", *mib, f"{ratio:.2f}"))
    base = max(row["process"] for row in measured) / 2**20
    return (
        f"\n{markdown(lines, (4, 5, 6))}\n\n"
        f"Planned to measured: {min(ratios):.2f} at least, {max(ratios):.2f} at most. "
        "The process before a pass, with its weights and input: "
        f"{base:.0f} MiB at most.\n"
    )


def main() -> None:
    """Measure row after row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(json.loads(options.row))))
        return
    measured = []
    for row in rows()[: 2 if options.quick else None]:
        command = [sys.executable, "-m", "benchmarks.speed.memory"]
        command += ["--row", json.dumps(row)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        measured.append(row | json.loads(done.stdout.splitlines()[-1]))
        print(table(measured[-1:]).splitlines()[3], flush=True)
    print(table(measured))
    if not options.quick:
        fill(PAGE, [("table", table(measured))])


if __name__ == "__main__":
    main()
