"""Make a stack larger than memory, and a thin model to predict it with.

    python -m benchmarks.speed.large DIR [--shape 200,4096,4096]
    /usr/bin/time -v sparsessp predict DIR/stack.ome.zarr --model DIR/thin.safetensors \
        --out DIR/out.ome.zarr --memory-limit 3GB --overlap 0 --tile 32,768,768

Every chunk is a copy of the first, so that the stack (uint16) takes little disk and
less time; the network has random weights and hardly any channels.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

CUBE = (0.29, 0.29, 0.29)
CHUNK = (10, 512, 512)


def make_stack(path: Path, shape: tuple[int, ...]) -> None:
    """Write an OME-Zarr whose chunks are all the same: dots of the size of cells."""
    import zarr

    group = zarr.create_group(path, zarr_format=3)
    array = group.create_array(
        "0", shape=shape, chunks=CHUNK, dtype="uint16", dimension_names=list("zyx")
    )
    z, y, x = np.ogrid[tuple(slice(0, size) for size in CHUNK)]
    cells = np.sin(2 * np.pi * y / 64) * np.sin(2 * np.pi * x / 64)
    noise = np.random.default_rng(0).integers(0, 16, CHUNK)
    pattern = 1000 + 200 * cells * np.cos(2 * np.pi * z / 10) + noise
    first = tuple(slice(0, min(n, size)) for n, size in zip(shape, CHUNK, strict=True))
    array[first] = pattern[first].astype(np.uint16)
    chunks = path / "0" / "c"
    for index in list(np.ndindex(*array.cdata_shape))[1:]:
        target = chunks.joinpath(*map(str, index))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(chunks / "0" / "0" / "0", target)
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    scale = [{"type": "scale", "scale": list(CUBE)}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    image = {"axes": axes, "datasets": datasets, "name": "large"}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}


def make_model(path: Path) -> None:
    """Save a network of the default kind with hardly any channels."""
    from napari_sparsessp import load_model, save_model
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
    thin = {"id": "thin", "name": "thin", "structures": ("dna",), "uncertainty": {}}
    card = load_model().card.model_copy(update={**thin, **network_fields(config)})
    save_model(path, build_network(config), card)


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", default="200,4096,4096")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    shape = tuple(int(size) for size in options.shape.split(","))
    make_stack(options.folder / "stack.ome.zarr", shape)
    make_model(options.folder / "thin.safetensors")


if __name__ == "__main__":
    main()
