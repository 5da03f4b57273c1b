"""Measure what a pass of a network takes, and compare it with the plan: docs/memory.md.

Each row is a fresh process that builds a network with random weights, lets the engine's
`Forward` predict one tile of noise and reads its own peak from the system (Linux).

    python -m benchmarks.speed.memory            # measures, prints and writes the page
    python -m benchmarks.speed.memory --quick    # the first rows only, prints
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "memory.md"
BEGIN, END = "<!-- table: benchmarks/speed/memory.py -->", "<!-- end of table -->"

PRECISIONS = ("fp32", "bf16")
SHIPPED = ("colony-3to2d", "colony-2d", "colony-2to3d", "colony-3d", "hipsc-dna")
PUBLISHED: dict[str, dict[str, Any]] = {
    "DoDNet 3D": {"backbone": "dod", "topology": "3d", "conditioning": "dodnet"},
    "DoDNet 3-to-2D": {
        "backbone": "dod",
        "topology": "3to2d",
        "conditioning": "dodnet",
    },
    "DoDNet 2D": {
        "backbone": "dod",
        "topology": "2d",
        "ratio": 2,
        "conditioning": "dodnet",
    },
    "RepMode 3D": {"backbone": "plain", "topology": "3d", "conditioning": "repmode"},
    "RepMode 3-to-2D": {
        "backbone": "plain",
        "topology": "3to2d",
        "conditioning": "repmode",
    },
    "FNet 3D": {
        "backbone": "fnet",
        "topology": "3d",
        "conditioning": "multihead",
        "outputs": 1,
    },
}
SIDES = {
    "DoDNet 3D": 128,
    "DoDNet 3-to-2D": 128,
    "DoDNet 2D": 256,
    "RepMode 3D": 64,
    "RepMode 3-to-2D": 64,
    "FNet 3D": 96,
}
LARGE = 256  # pixels along a side of a tile


def rows() -> list[dict[str, Any]]:
    """Networks, precisions and sides of tiles that are measured."""
    found = [
        {"model": name, "precision": precision, "side": LARGE, "turned": False}
        for name in SHIPPED
        for precision in PRECISIONS
    ]
    first = {"model": SHIPPED[0], "precision": "bf16"}
    found += [
        first | {"side": LARGE, "turned": True},
        first | {"side": 2 * LARGE, "turned": False},
    ]
    for name, fields in PUBLISHED.items():
        kernel = {"kernel": 5} if fields["conditioning"] == "repmode" else {}
        network = {**fields, **kernel}
        found += [
            {
                "model": name,
                "network": network,
                "precision": precision,
                "side": SIDES[name],
                "turned": False,
            }
            for precision in PRECISIONS
        ]
    return found


def measure(row: dict[str, Any]) -> dict[str, Any]:
    """Measure one row in this process, which nothing else has used."""
    import psutil

    import napari_sparsessp.prediction.engine  # what a prediction loads
    from napari_sparsessp.networks.footprint import weight_bytes

    assert napari_sparsessp
    model, plan, stack = _work(row)
    forward = _forward(model, plan)
    base = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    began = time.perf_counter()
    for _ in forward.predict(stack, plan.tiles[0]):
        pass
    seconds = time.perf_counter() - began
    memory, config = plan.memory, model.network.config
    # Its weights are there before; what a pass makes of them is not.
    planned = memory.on_device - weight_bytes(config)
    return {
        "process": base,
        "measured": _peak() - base,
        "planned": planned,
        "seconds": seconds,
    }


def _work(row: dict[str, Any]) -> tuple[Any, Any, Any]:
    """A model, the plan of one tile and its input."""
    import numpy as np
    import torch

    from napari_sparsessp.models.registry import read_card
    from napari_sparsessp.models.store import Model, load_model
    from napari_sparsessp.networks import NetworkConfig, build_network
    from napari_sparsessp.prediction.plan import plan_prediction
    from napari_sparsessp.prediction.request import PredictionRequest
    from napari_sparsessp.prediction.stack import read_stack
    from napari_sparsessp.prediction.tiling import TileSize
    from napari_sparsessp.volume import Volume

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.manual_seed(0)
    if "network" in row:
        config = NetworkConfig.model_validate({"outputs": 12} | row["network"])
        structures = read_card().structures[: config.outputs]
        card = read_card().model_copy(
            update={
                "structures": structures,
                "network": config.model_dump(mode="json"),
                "topology": config.topology,
                "mapping": config.mapping,
                "projection": config.projection,
                "conditioning": config.conditioning,
            }
        )
        network = build_network(config).eval().requires_grad_(False)
        model = Model(card, network, "", Path())
    else:
        model = load_model(row["model"])
        config = model.network.config
    side = row["side"]
    noise = np.random.default_rng(0).normal(size=(config.depth, side, side))
    volume = Volume(noise.astype(np.float32), "ZYX", model.card.voxel_size)
    # Where each structure is a pass of its own, one pass is enough.
    some = model.card.structures[: 1 if config.per_structure else None]
    request = PredictionRequest(
        structures=some, device="cpu", precision=row["precision"], tta=row["turned"]
    )
    size = TileSize(config.depth, (side, side), config.stride, step=config.ratio)
    plan = plan_prediction(model.card, volume, request, tile_size=size)
    return model, plan, read_stack(plan, None)


def _forward(model: Any, plan: Any) -> Any:
    from napari_sparsessp.prediction.forward import Forward

    return Forward(model, plan)


def _peak() -> int:
    """Bytes that this process has held at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 2**10
    raise SystemExit("the peak of a process is read from /proc; use Linux")


def table(measured: list[dict[str, Any]]) -> str:
    """Markdown of what was measured."""
    lines = [
        "| network | precision | pixels | turned | measured, MiB | planned, MiB "
        "| ratio |",
        "|---|---|---|---|---:|---:|---:|",
    ]
    for row in measured:
        ratio = row["planned"] / row["measured"]
        lines.append(
            f"| {row['model']} | {row['precision']} | {row['side']}×{row['side']} | "
            f"{'yes' if row['turned'] else ''} | {row['measured'] / 2**20:.0f} | "
            f"{row['planned'] / 2**20:.0f} | {ratio:.2f} |"
        )
    ratios = [row["planned"] / row["measured"] for row in measured]
    base = max(row["process"] for row in measured)
    lines += [
        "",
        f"Planned to measured: {min(ratios):.2f} at least, {max(ratios):.2f} at most. "
        "The process before a pass, with its weights and input: "
        f"{base / 2**20:.0f} MiB at most.",
    ]
    return "\n".join(lines)


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
    for row in rows()[: 4 if options.quick else None]:
        command = [sys.executable, __file__, "--row", json.dumps(row)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{row}: {done.stderr.strip().splitlines()[-1]}")
        measured.append(row | json.loads(done.stdout.splitlines()[-1]))
        print(table(measured[-1:]).splitlines()[2], flush=True)
    print(table(measured))
    if not options.quick:
        text = PAGE.read_text()
        start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
        PAGE.write_text(f"{text[:start]}\n\n{table(measured)}\n\n{text[stop:]}")


if __name__ == "__main__":
    main()
