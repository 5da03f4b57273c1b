"""What ten minutes on a CPU teach: the figures of docs/training.md.

    OMP_NUM_THREADS=1 python scripts/train_ten_minutes.py --data FILE [--minutes 10]

FILE is allen_hipsc_dna_top.ome.tif (bright-field and DNA, 32×64×128 voxels; Allen
Institute Software License). The dock's defaults fine-tune colony-3to2d on columns 0 to
87, of which the dock keeps the far end back to choose the best state. Columns 96 to 127
are shown to nobody before the end: they are scored with the model before and after,
with all planes and with every r-th. ``--mirrored`` turns the crop around, so that its
other end is scored: this is where the defaults were chosen.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.models.library import load_model, read_card
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.training.config import Budget, Pairs
from napari_sparsessp.training.data import find_labels, grid_shape, read_stacks
from napari_sparsessp.training.distributed import Group
from napari_sparsessp.training.loop import Status
from napari_sparsessp.training.resolve import (
    PAIRS_FILE,
    SAVES,
    QuickOptions,
    quick_config,
    resolve_config,
)
from napari_sparsessp.training.run import run_training
from napari_sparsessp.training.split import StackShape, choose_validation
from napari_sparsessp.training.stacks import TrainingStack, write_stacks
from napari_sparsessp.volume import Volume

LIGHT, TARGET, STRUCTURE = "Bright-field", "DNA", "dna"
SEEN, TESTED = slice(0, 88), slice(96, 128)
RATIOS = (1, 2, 4, 8)
KEYS = ("r2", "pcc", "pcc_plane")


def main() -> None:
    """Train, score, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--from", dest="source", default="colony-3to2d")
    parser.add_argument("--freeze", action="store_true")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--steps", type=int, help="a budget in place of minutes")
    parser.add_argument("--mirrored", action="store_true")
    given = parser.parse_args()
    light, truth = (load_volume(given.data, channel=one) for one in (LIGHT, TARGET))
    if given.mirrored:
        light, truth = (
            one.with_(array=np.asarray(one.array)[..., ::-1]) for one in (light, truth)
        )
    with tempfile.TemporaryDirectory() as folder:
        model = train(light, truth, Path(folder), given)
        print("| | r | R² | PCC | PCC within planes |\n|---|---|---|---|---|")
        for name, one in (("before", given.source), ("after", model)):
            for ratio in RATIOS:
                found = scores(str(one), light, truth, ratio)
                row = " | ".join(f"{found[key]:.2f}" for key in KEYS)
                print(f"| {name} | {ratio} | {row} |", flush=True)


def train(
    light: Volume, truth: Volume, folder: Path, given: argparse.Namespace
) -> Path:
    """Train as the dock does, and give the model."""
    card = read_card(given.source)
    network = NetworkConfig.model_validate(card.network)
    stack = TrainingStack("crop", part(light, SEEN), {STRUCTURE: part(truth, SEEN)})
    write_stacks([stack], folder, folder / PAIRS_FILE, card.voxel_size[0])
    shape = StackShape("crop", (STRUCTURE,), grid_shape(stack.light, card.voxel_size))
    validation = choose_validation([shape], network.reach, network.stride)
    options = QuickOptions(
        "ten-minutes", Pairs(path=folder / PAIRS_FILE), validation,
        source=given.source, minutes=given.minutes, device="cpu",
        freeze_encoder=given.freeze, learning_rate=given.rate,
    )  # fmt: skip
    config = quick_config(options, folder / "run")
    if given.steps:
        budget = Budget(steps=given.steps, save_steps=max(1, given.steps // SAVES))
        config = config.model_copy(update={"budget": budget})
    resolved = resolve_config(config)
    print(f"kept back of {shape.shape}: {validation}")
    with ExitStack() as closing:
        labels = find_labels(resolved.config.data.pairs)
        stacks = read_stacks(resolved, labels, Group(), closing, warn=print)
        return run_training(resolved, stacks, tell)


def tell(status: Status) -> None:
    """Print what was validated."""
    if status.entry is not None and status.entry.get("r2") is not None:
        spent = status.entry["spent"]
        print(f"{spent:5.0f} s, step {status.step}: R² {status.entry['r2']:.3f}")


def scores(model: str, light: Volume, truth: Volume, ratio: int) -> dict[str, float]:
    """Score the columns that nobody was shown."""
    request = PredictionRequest(
        model=model, structures=(STRUCTURE,), ratio=float(ratio), device="cpu",
        simulate_sparse=ratio > 1,
    )  # fmt: skip
    result = predict(
        load_model(model), part(light, TESTED), request=request,
        truth={STRUCTURE: part(truth, TESTED)},
    )  # fmt: skip
    found = result.report.structures[STRUCTURE]
    assert found is not None
    return {key: float(found[key]) for key in KEYS}


def part(volume: Volume, columns: slice) -> Volume:
    """Some columns of a stack."""
    return volume.with_(array=np.asarray(volume.array)[..., columns])


if __name__ == "__main__":
    main()
