"""Measure how long full-size checkpoints take to import, and how much memory.

    python -m benchmarks.speed.import_full_size [--folder DIR]

Makes files of the published sizes with random weights, one at a time, as training
leaves them (with Adam's state, 1.5 and 2.4 GB) and as weights alone; imports each with
``sparsessp models import`` and deletes it. Prints JSON; peak memory is that of the
whole process, mapped files included.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

KINDS: dict[str, dict[str, Any]] = {
    "RepMode": {"topology": "3d"},
    "SparseSSP": {"topology": "3to2d", "projection": "code", "folded_width": 1024},
}


def make(kind: str, path: Path, *, adam: bool, **changes: Any) -> int:
    """Write a fake checkpoint; return the number of trainable weights."""
    import torch

    from napari_sparsessp.models.importing.formats import (
        repmode_names,
        sparsessp_names,
    )
    from napari_sparsessp.networks import NetworkConfig, build_network
    from napari_sparsessp.structures import CATALOGUE

    fields = {
        "backbone": "plain",
        "conditioning": "repmode",
        "kernel": 5,
        "outputs": 12,
    }
    config = NetworkConfig.model_validate({**fields, **KINDS[kind], **changes})
    names = repmode_names(4)
    if kind == "SparseSSP":
        names = sparsessp_names(4, gated=True)
    with torch.device("meta"):
        network = build_network(config)
    torch.manual_seed(0)
    state, moments = OrderedDict(), {}
    trained = dict(network.named_parameters())
    for name, empty in network.state_dict().items():
        tensor = torch.empty(empty.shape, dtype=empty.dtype)
        if not tensor.is_floating_point():
            tensor.fill_(1)
        elif name.endswith(("running_var", "norm.weight")):
            tensor.uniform_(0.5, 1.5)
        else:
            tensor.normal_(0, 0.02)
        state[names[name]] = tensor
        if adam and name in trained:
            both = {key: torch.zeros_like(tensor) for key in ("exp_avg", "exp_avg_sq")}
            moments[len(moments)] = {"step": torch.tensor(1.0), **both}
    content: dict[str, Any] = {"optimizer": {"state": moments, "param_groups": []}}
    if kind == "RepMode":
        sets = sorted(structure.dataset for structure in CATALOGUE.values())
        options = argparse.Namespace(adopted_datasets=sets, lr=1e-4)
        content |= {"nn_module": kind, "opts": options, "nn_state": state}
    else:
        content |= {"model": state, "metas": {"epoch": 1999}}
    torch.save(content, path)
    return sum(weight.numel() for weight in trained.values())


def import_one(path: Path) -> dict[str, Any]:
    """Import a file in a fresh process; return seconds and peak memory."""
    command = [sys.executable, "-m", "napari_sparsessp.cli", "models", "import"]
    command += [str(path), "--quiet"]
    own = {**os.environ, "SPARSESSP_MODELS": str(path.parent / "models")}
    began = time.perf_counter()
    child = os.spawnve(os.P_NOWAIT, sys.executable, command, own)
    _, status, usage = os.wait4(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(code)
    scale = 1 if sys.platform == "darwin" else 1024
    (target,) = (path.parent / "models").glob("*.safetensors")
    size = target.stat().st_size
    target.unlink()
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "peak_memory_mib": round(usage.ru_maxrss * scale / 2**20),
        "model_file_mb": round(size / 1e6),
    }


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    folder, rows = parser.parse_args().folder, []
    for kind in KINDS:
        for adam in (False, True):
            with tempfile.TemporaryDirectory(dir=folder) as place:
                path = Path(place) / "best_x8.pth"
                row = {"format": kind, "with_adam": adam}
                row["weights"] = make(kind, path, adam=adam)
                row["file_mb"] = round(path.stat().st_size / 1e6)
                rows.append(row | import_one(path))
                print(json.dumps(rows[-1]), flush=True)


if __name__ == "__main__":
    main()
