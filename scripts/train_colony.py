"""Reproduce the shipped model: simulate colonies, train, write the model file.

    python scripts/train_colony.py simulate --pool DIR        # 300 colonies, 11 GB
    python scripts/train_colony.py train --pool DIR --run DIR --minutes 100
    python scripts/train_colony.py export --run DIR --out FILE.safetensors

Each step continues where it stopped. Scores: sparsessp benchmark quality --json FILE.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.store import save_model
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.inputs import network_input
from napari_sparsessp.simulation.colony import VOXEL
from napari_sparsessp.simulation.pool import PooledColony, fill_pool, open_pool
from napari_sparsessp.sparse import SparseView
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.loop import TrainingPlan, train
from napari_sparsessp.training.patches import Pair, PatchRecipe

CONFIG = NetworkConfig(
    encoder_widths=(24, 64, 128),
    encoder_blocks=(1, 1, 2),
    decoder_widths=(96, 128, 192, 256),
    standardised=True,
)
STRUCTURES = tuple(CATALOGUE)
TRAINING_SEEDS = range(300)
VALIDATION_SEEDS = range(900_000, 900_006)


@torch.inference_mode()
def window_r2(
    network: torch.nn.Module, colonies: list[PooledColony], ratio: int
) -> float:
    """Mean R² over structures of the middle window, truth as z-scored in the pool."""
    errors, totals = [], []
    for colony in colonies:
        stack = torch.from_numpy(colony.brightfield[0].astype(np.float32))
        view = SparseView.simulate(len(stack), ratio)
        dense = view.to_dense(stack[list(view.planes)].numpy(), "linear")
        window = slice(12, 12 + CONFIG.depth)
        source = network_input(
            torch.from_numpy(dense[window]), torch.from_numpy(view.distance()[window])
        )[None]
        with torch.autocast("cpu", torch.bfloat16):
            prediction = network(source)[0].float()
        truth = torch.from_numpy(colony.fluorescence[:, window].astype(np.float32))
        errors.append((prediction - truth).square().flatten(1).mean(1))
        mean = truth.flatten(1).mean(1)[:, None, None, None]
        totals.append((truth - mean).square().flatten(1).mean(1))
    scores = 1 - torch.stack(errors) / torch.stack(totals)
    return float(scores.mean())


def scores_of(
    network: torch.nn.Module, colonies: list[PooledColony]
) -> dict[str, float]:
    """R² at three ratios, and ``r2``, their mean."""
    scores = {f"r2_at_{r}": window_r2(network, colonies, r) for r in (1, 2, 8)}
    return {**scores, "r2": sum(scores.values()) / len(scores)}


def card(scores: dict, colonies: str) -> ModelCard:
    """The card of the shipped model."""
    return ModelCard(
        id="colony-3to2d",
        version="0.1.0",
        name="hiPSC colony, 12 structures, bright-field (simulated)",
        licence="BSD-3-Clause",
        citation="Zheng et al., SparseSSP, ECCV 2024 (topology); napari-sparsessp",
        structures=STRUCTURES,
        topology=CONFIG.topology,
        mapping=CONFIG.mapping,
        interpolation="linear",
        projection=CONFIG.projection,
        conditioning=CONFIG.conditioning,
        network=CONFIG.model_copy(update={"standardised": False}).model_dump(
            mode="json"
        ),
        voxel_size=(VOXEL, VOXEL, VOXEL),
        patch=(CONFIG.depth, 128, 128),
        ratios=PatchRecipe().ratios,
        modality="bright-field",
        normalisation="z-score of the measured planes, extremes left out",
        trained_on=(
            f"{colonies} simulated hiPSC colonies (napari_sparsessp.simulation), no "
            "real image. Real data had a say in the simulator only: one 32×64×128 "
            "crop of an hiPSC colony (Allen Institute, pytorch_fnet example) gave the "
            "centre of its range of bright-field power spectra, and was looked at when "
            "the direction of light and the shape of nuclei were chosen."
        ),
        scores=scores,
        limits=(
            "Trained on simulated cells only: what it shows of real cells is a guess "
            "that has to be checked against fluorescence.",
            "Made for hiPSC colonies in bright-field at 0.29 µm; other cells, "
            "contrasts and magnifications are outside of what it has seen.",
            "Planes are expected from the cover slip upwards, with light from above, "
            "as an inverted microscope records them.",
            "Fine textures (microtubules, mitochondria, Golgi) are blurred to their "
            "likely place.",
        ),
    )


def export(run: Path, out: Path, scores: dict, colonies: str) -> None:
    """Write the averaged weights, with their standardisation folded in."""
    state = torch.load(run / "state.pt", map_location="cpu", weights_only=True)
    network = build_network(CONFIG)
    network.load_state_dict(state["average"])
    network.bake()
    save_model(out, network, card(scores, colonies), dtype=torch.float16)


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["simulate", "train", "export"])
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--colonies", default=str(len(TRAINING_SEEDS)), help="how many, for the card"
    )
    parser.add_argument("--scores", type=Path, help="JSON of sparsessp benchmark quality")
    options = parser.parse_args()
    if options.step == "export":
        scores = {}
        if options.scores:
            scores = json.loads(options.scores.read_text())["cards"]["colony-3to2d"]
        export(options.run, options.out, scores, options.colonies)
        return
    if options.step == "simulate":
        for seed in fill_pool(options.pool, TRAINING_SEEDS, device=options.device):
            print("colony", seed, flush=True)
        for seed in fill_pool(options.pool / "validation", VALIDATION_SEEDS):
            print("colony", seed, flush=True)
        return
    pairs = [Pair(c.brightfield, c.fluorescence) for c in open_pool(options.pool)]
    held = open_pool(options.pool / "validation")
    torch.manual_seed(0)
    train(
        build_network(CONFIG).to(options.device),
        pairs,
        PatchRecipe(),
        TrainingPlan(options.minutes, device=options.device),
        options.run,
        validate=lambda network: scores_of(network, held),
    )


if __name__ == "__main__":
    main()
