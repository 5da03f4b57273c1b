"""Memory and time of a stack that is larger than memory: OME-Zarr in, OME-Zarr out.

Makes a 200 × 4096 × 4096 stack (uint16, every chunk a copy of the first, so that it
takes little disk and less time), predicts one structure with a thin network of random
weights in a process of its own, and prints the peak of that process's memory, as the
system counted it, and the time.

    python -m benchmarks.speed.predict_cost --folder /tmp/large
    python -m benchmarks.speed.predict_cost --folder /tmp/large --resume   # goes on after a kill

The folder needs about 15 GB. ``--shape 64,1024,1024`` makes it small.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np

VOXEL = (0.29, 0.29, 0.29)
CHUNK = (10, 512, 512)


def main() -> None:
    """Make, predict, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--shape", default="200,4096,4096")
    parser.add_argument("--memory-limit", default="3GB")
    parser.add_argument("--overlap", default="0.5")
    parser.add_argument("--tile", help="Z,Y,X, otherwise as the memory plan has it")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--out", default="out.ome.zarr", help="or out.ome.tif")
    asked = parser.parse_args()
    shape = tuple(int(size) for size in asked.shape.split(","))
    asked.folder.mkdir(parents=True, exist_ok=True)
    stack, model = asked.folder / "stack.ome.zarr", asked.folder / "thin.safetensors"
    if not stack.exists():
        make_stack(stack, shape)
    if not model.exists():
        make_model(model)
    how = ["--memory-limit", asked.memory_limit, "--overlap", asked.overlap]
    how += ["--tile", asked.tile] if asked.tile else []
    how += ["--resume"] if asked.resume else ["--overwrite"]
    out = asked.folder / asked.out
    began = time.perf_counter()
    code, peak = predict(stack, model, out, how, asked.folder / "report.json")
    seconds = time.perf_counter() - began
    if code:
        raise SystemExit(code)
    report = json.loads((asked.folder / "report.json").read_text())
    size = 4 * np.prod(report["shape"]["output"]) / 1e9
    print(
        f"{' × '.join(map(str, shape))} voxels, {size:.1f} GB of float32 out: "
        f"peak {peak / 1e9:.2f} GB with --memory-limit {asked.memory_limit}, "
        f"{seconds / 60:.1f} min, {report['tiles']} tiles, {chunks(out)}"
    )


def make_stack(path: Path, shape: tuple[int, ...]) -> None:
    """Write an OME-Zarr whose chunks are all the same."""
    import zarr

    partial = path.with_name("making")
    shutil.rmtree(partial, ignore_errors=True)
    group = zarr.create_group(partial, zarr_format=3)
    array = group.create_array(
        "0",
        shape=shape,
        chunks=CHUNK,
        dtype="uint16",
        dimension_names=["z", "y", "x"],
    )
    array[tuple(slice(0, size) for size in CHUNK)] = pattern()[
        tuple(slice(0, min(n, size)) for n, size in zip(shape, CHUNK, strict=True))
    ]
    first = partial / "0" / "c" / "0" / "0" / "0"
    for index in np.ndindex(*array.cdata_shape):
        target = partial.joinpath("0", "c", *map(str, index))
        if target != first:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(first, target)
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    scale = [{"type": "scale", "scale": list(VOXEL)}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    image = {"axes": axes, "datasets": datasets, "name": "large"}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    partial.replace(path)


def pattern() -> np.ndarray:
    """Give one chunk: dots of the size of cells, and a little noise."""
    z, y, x = np.ogrid[tuple(slice(0, size) for size in CHUNK)]
    cells = np.sin(2 * np.pi * y / 64) * np.sin(2 * np.pi * x / 64)
    noise = np.random.default_rng(0).integers(0, 16, CHUNK)
    return (1000 + 200 * cells * np.cos(2 * np.pi * z / 10) + noise).astype(np.uint16)


def make_model(path: Path) -> None:
    """Save a network of the default kind with hardly any channels."""
    import torch

    from napari_sparsessp.models.card import ModelCard, network_fields
    from napari_sparsessp.models.store import save_model
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


def predict(
    stack: Path, model: Path, out: Path, how: list[str], report: Path
) -> tuple[int, int]:
    """Run the command line: its exit code and the most memory that it held, bytes."""
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "napari_sparsessp.cli", "predict", str(stack)]
    command += ["--out", str(out), "--model", str(model), "--report", str(report)]
    command += ["--device", "cpu", "--precision", "fp32", *how]
    child = os.spawnv(os.P_NOWAIT, sys.executable, command)
    _, status, usage = os.wait4(child, 0)
    scale = 1 if sys.platform == "darwin" else 1024
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss * scale


def chunks(out: Path) -> str:
    """Give the size of the chunks in the result, for the record."""
    import zarr

    if out.suffix != ".zarr":
        return "a TIFF"
    array = zarr.open_array(out / "0", mode="r")
    return "chunks of " + " × ".join(map(str, array.chunks))


if __name__ == "__main__":
    main()
