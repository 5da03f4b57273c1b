"""Measure memory and time of a whole ``sparsessp predict`` in a process of its own.

    python -m benchmarks.speed.predict_cost IMAGE [OPTIONS of predict]
    python -m benchmarks.speed.predict_cost large --folder /tmp/large
    python -m benchmarks.speed.predict_cost large --folder /tmp/large --resume

``large`` makes a stack that is larger than memory (200 × 4096 × 4096, uint16, every
chunk a copy of the first, so that it takes little disk and less time) and predicts one
structure with a thin network of random weights, OME-Zarr in, OME-Zarr out; about 15 GB.
``--resume`` goes on after a kill, ``--shape 64,1024,1024`` makes it small. Peak memory
is that of the process, as the system counted it.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

VOXEL = (0.29, 0.29, 0.29)
CHUNK = (10, 512, 512)


def main() -> None:
    """Predict, and print the cost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", help="a stack, or: large")
    parser.add_argument("--folder", type=Path, help="of the large stack")
    parser.add_argument("--shape", default="200,4096,4096")
    parser.add_argument("--memory-limit", default="3GB")
    parser.add_argument("--overlap", default="0.5")
    parser.add_argument("--tile", help="Z,Y,X, otherwise as the memory plan has it")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--out", default="out.ome.zarr", help="or out.ome.tif")
    asked, options = parser.parse_known_args()
    if asked.image != "large":
        with tempfile.TemporaryDirectory() as folder:
            print(
                json.dumps(predict(asked.image, Path(folder) / "a.ome.tif", *options))
            )
        return
    if asked.folder is None:
        parser.error("large needs --folder")
    shape = tuple(int(size) for size in asked.shape.split(","))
    asked.folder.mkdir(parents=True, exist_ok=True)
    stack, model = asked.folder / "stack.ome.zarr", asked.folder / "thin.safetensors"
    if not stack.exists():
        make_stack(stack, shape)
    if not model.exists():
        make_model(model)
    how = ["--model", str(model), "--device", "cpu", "--precision", "fp32"]
    how += ["--memory-limit", asked.memory_limit, "--overlap", asked.overlap]
    how += ["--tile", asked.tile] if asked.tile else []
    how += ["--resume"] if asked.resume else ["--overwrite"]
    print(json.dumps(predict(str(stack), asked.folder / asked.out, *how, *options)))


def predict(image: str, out: Path, *how: str) -> dict[str, Any]:
    """Run the command line; return its seconds, most memory and what it did."""
    report = out.with_name("report.json")
    command = [sys.executable, "-m", "napari_sparsessp.cli", "predict", image, *how]
    command += ["--out", str(out), "--report", str(report), "--quiet"]
    report.unlink(missing_ok=True)
    began = time.perf_counter()
    child = os.spawnv(os.P_NOWAIT, sys.executable, command)
    _, status, usage = os.wait4(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(code)
    scale = 1 if sys.platform == "darwin" else 1024
    content = json.loads(report.read_text("utf-8"))
    return {
        "options": " ".join(how),
        "wall_s": round(time.perf_counter() - began, 1),
        "peak_memory_mib": round(usage.ru_maxrss * scale / 2**20),
        "output": content["shape"]["output"],
        "output_gb": round(4 * np.prod(content["shape"]["output"]) / 1e9, 2),
        "precision": content["precision"],
        "tiles": content["tiles"],
        "prediction_s": content["seconds"]["total"],
    }


def make_stack(path: Path, shape: tuple[int, ...]) -> None:
    """Write an OME-Zarr whose chunks are all the same: dots of the size of cells."""
    import zarr

    partial = path.with_name("making")
    shutil.rmtree(partial, ignore_errors=True)
    group = zarr.create_group(partial, zarr_format=3)
    array = group.create_array(
        "0", shape=shape, chunks=CHUNK, dtype="uint16", dimension_names=list("zyx")
    )
    z, y, x = np.ogrid[tuple(slice(0, size) for size in CHUNK)]
    cells = np.sin(2 * np.pi * y / 64) * np.sin(2 * np.pi * x / 64)
    noise = np.random.default_rng(0).integers(0, 16, CHUNK)
    pattern = 1000 + 200 * cells * np.cos(2 * np.pi * z / 10) + noise
    first = tuple(slice(0, min(n, size)) for n, size in zip(shape, CHUNK, strict=True))
    array[first] = pattern[first].astype(np.uint16)
    chunk = partial / "0" / "c" / "0" / "0" / "0"
    for index in np.ndindex(*array.cdata_shape):
        target = partial.joinpath("0", "c", *map(str, index))
        if target != chunk:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(chunk, target)
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    scale = [{"type": "scale", "scale": list(VOXEL)}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    image = {"axes": axes, "datasets": datasets, "name": "large"}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    partial.replace(path)


def make_model(path: Path) -> None:
    """Save a network of the default kind with hardly any channels."""
    import torch

    from napari_sparsessp import ModelCard, save_model
    from napari_sparsessp.models.card import network_fields
    from napari_sparsessp.networks import NetworkConfig, build_network

    config = NetworkConfig(
        outputs=1,
        depth=32,
        encoder_widths=(1, 2),
        encoder_blocks=(1, 1),
        decoder_widths=(2, 2, 16),
        folded_width=16,
    )
    torch.manual_seed(0)
    card = ModelCard(
        id="thin",
        version="1",
        name="thin",
        licence="BSD-3-Clause",
        structures=("dna",),
        **network_fields(config),
        voxel_size=VOXEL,
        patch=(32, 32, 32),
        ratios=(1, 2, 4, 8),
        modality="bright-field",
        normalisation="z-score",
        trained_on="nothing",
    )
    save_model(path, build_network(config), card)


if __name__ == "__main__":
    main()
