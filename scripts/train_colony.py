"""Reproduce the shipped model: simulate colonies, train, write the model file.

    python scripts/train_colony.py simulate --pool DIR        # 300 colonies, 11 GB
    python scripts/train_colony.py train --pool DIR --run DIR --minutes 100
    python scripts/train_colony.py export --run DIR --out colony-3to2d.safetensors

Each step continues where it stopped. Scores: scripts/score_model.py.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.simulation.pool import PooledColony, fill_pool, open_pool
from napari_sparsessp.training.loop import TrainingPlan, train
from napari_sparsessp.training.patches import Pair, PatchRecipe, network_input

CONFIG = NetworkConfig(
    encoder_widths=(24, 64, 128),
    encoder_blocks=(1, 1, 2),
    decoder_widths=(96, 128, 192, 256),
    standardised=True,
)
TRAINING_SEEDS = range(300)
VALIDATION_SEEDS = range(900_000, 900_006)


@torch.inference_mode()
def window_r2(network: torch.nn.Module, colonies: list[PooledColony], ratio: int) -> float:
    """Mean R² over structures of the middle window, truth as z-scored in the pool."""
    errors, totals = [], []
    for colony in colonies:
        from napari_sparsessp.sparse import SparseView

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


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["simulate", "train"])
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
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
        build_network(CONFIG).to(options.device),
        pairs,
        PatchRecipe(),
        TrainingPlan(options.minutes, device=options.device),
        options.run,
        validate=lambda net: {f"r2_at_{r}": window_r2(net, held, r) for r in (1, 2, 8)},
    )


if __name__ == "__main__":
    main()
