"""Measure how long full-size checkpoints take to import, and how much memory.

    python -m benchmarks.speed.import_full_size [--folder DIR]

Makes files of the published sizes with random weights, one at a time, as training
leaves them (with Adam's state, 1.5 and 2.4 GB) and as weights alone; imports each in a
fresh process and deletes it. Prints JSON; peak memory is that of the whole process,
mapped files included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from pathlib import Path

KINDS = {
    "RepMode": {"backbone": "plain", "topology": "3d", "conditioning": "repmode"},
    "SparseSSP": {
        "backbone": "plain",
        "topology": "3to2d",
        "conditioning": "repmode",
        "projection": "code",
        "folded_width": 1024,
    },
}


def make(kind: str, path: Path, *, adam: bool) -> int:
    """Write a fake checkpoint; gives the number of trainable weights."""
    import torch

    from napari_sparsessp.models.importing import repmode, sparsessp
    from napari_sparsessp.networks import NetworkConfig, build_network

    config = NetworkConfig(**KINDS[kind], kernel=5, outputs=12)
    names = repmode.published_names(4)
    if kind == "SparseSSP":
        names = sparsessp.published_names(4, gated=True)
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
            pair = {"exp_avg": torch.zeros_like(tensor)}
            pair["exp_avg_sq"] = torch.zeros_like(tensor)
            moments[len(moments)] = {"step": torch.tensor(1.0), **pair}
    content = {"optimizer": {"state": moments, "param_groups": []}}
    if kind == "RepMode":
        options = argparse.Namespace(adopted_datasets=_data_sets(), lr=1e-4)
        content |= {"nn_module": kind, "opts": options, "nn_state": state}
    else:
        content |= {"model": state, "metas": {"epoch": 1999}}
    torch.save(content, path)
    return sum(weight.numel() for weight in trained.values())


def _data_sets() -> list[str]:
    from napari_sparsessp.structures import CATALOGUE

    return sorted(structure.dataset for structure in CATALOGUE.values())


def import_one(path: Path) -> dict:
    """Import a file in this process; gives seconds by stage and peak memory."""
    import resource

    began = time.perf_counter()
    from napari_sparsessp.models.importing import (
        answers_for,
        import_checkpoint,
        inspect_checkpoint,
    )

    found = inspect_checkpoint(path)
    inspected = time.perf_counter() - began
    target = import_checkpoint(path, answers_for(found), path.parent)
    total = time.perf_counter() - began
    size = target.stat().st_size
    target.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds_to_inspect": round(inspected, 1),
        "seconds": round(total, 1),
        "peak_memory_mib": round(peak / 2 ** (20 if sys.platform == "darwin" else 10)),
        "model_file_mb": round(size / 1e6),
    }


def _child(*arguments: str) -> dict:
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main() -> None:
    """Measure all, or do one step of it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--make", nargs=3, metavar=("KIND", "ADAM", "FILE"))
    parser.add_argument("--one", type=Path)
    options = parser.parse_args()
    if options.make:
        kind, adam, file = options.make
        print(json.dumps({"weights": make(kind, Path(file), adam=adam == "adam")}))
    elif options.one:
        print(json.dumps(import_one(options.one)))
    else:
        rows = []
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            for kind in KINDS:
                for adam in ("alone", "adam"):
                    path = Path(folder) / "best_x8.pth"
                    row = {"format": kind, "with_adam": adam == "adam"}
                    row |= _child("--make", kind, adam, str(path))
                    row["file_mb"] = round(path.stat().st_size / 1e6)
                    rows.append(row | _child("--one", str(path)))
                    path.unlink()
        print(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
