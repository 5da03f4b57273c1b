r"""Reproduce the shipped colony models: simulate colonies, train, write model files.

    python scripts/train_colony.py simulate --pool POOL          # 300 colonies, 13 GB
    python scripts/train_colony.py train colony-3to2d --pool POOL --run RUN --minutes 65
    python scripts/train_colony.py export colony-3to2d --run RUN --out new.safetensors
    sparsessp benchmark quality --model new.safetensors --json scores.json
    python scripts/train_colony.py export colony-3to2d --run RUN \
        --scores scores.json --out colony-3to2d.safetensors

The others are colony-2d, colony-3d and colony-2to3d. Each step continues where it
stopped. ``--start STATE`` begins with what fits of the states of other runs.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from colony_networks import NETWORKS

from napari_sparsessp.models.card import ModelCard, network_fields
from napari_sparsessp.models.library import save_model
from napari_sparsessp.models.verification import make_check
from napari_sparsessp.models.weights import digest_of_tensors
from napari_sparsessp.networks import build_network
from napari_sparsessp.networks.layers import network_input
from napari_sparsessp.networks.network import Network
from napari_sparsessp.simulation.colony import VOXEL
from napari_sparsessp.simulation.pool import PooledColony, fill_pool, open_pool
from napari_sparsessp.sparse import SparseView
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.loop import TrainingPlan, train
from napari_sparsessp.training.patches import Pair, PatchRecipe

STRUCTURES = tuple(CATALOGUE)
TRAINING_SEEDS = range(300)
VALIDATION_SEEDS = range(900_000, 900_012)
JUDGED = (2, 8)
"""Ratios whose R² on the validation colonies chooses the best state."""


@torch.inference_mode()
def window_r2(network: Network, colonies: list[PooledColony], ratio: int) -> float:
    """Mean R² over structures of the middle window, truth as z-scored in the pool."""
    errors, totals = [], []
    for colony in colonies:
        stack = torch.from_numpy(colony.brightfield[0].astype(np.float32))
        view = SparseView.simulate(len(stack), ratio)
        dense = view.to_dense(stack[list(view.planes)].numpy(), "linear")
        window = slice(12, 12 + network.config.depth)
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


def scores_of(network: Network, colonies: list[PooledColony]) -> dict[str, float]:
    """R² at two ratios, and ``r2``, their mean."""
    scores = {f"r2_at_{r}": window_r2(network, colonies, r) for r in JUDGED}
    return {**scores, "r2": sum(scores.values()) / len(scores)}


def begin_with(network: Network, states: list[Path]) -> None:
    """Take from the averaged weights of other runs what has the same name and shape."""
    own = network.state_dict()
    for path in states:
        state = torch.load(path, map_location="cpu", weights_only=True)["average"]
        fits = {
            name: tensor
            for name, tensor in state.items()
            if name in own and own[name].shape == tensor.shape
        }
        print(f"{path}: {len(fits)} of {len(own)} tensors taken", flush=True)
        own |= fits
    network.load_state_dict(own)


def card(id_: str, scores: dict, made: str) -> ModelCard:
    """The card of a shipped model."""
    config = NETWORKS[id_]
    return ModelCard(
        id=id_,
        version="0.2.0",
        name=f"hiPSC colony, 12 structures, bright-field (simulated), {id_[7:]}",
        licence="BSD-3-Clause",
        citation="Zheng et al., SparseSSP, ECCV 2024 (topologies); napari-sparsessp",
        structures=STRUCTURES,
        **network_fields(config.model_copy(update={"standardised": False})),
        voxel_size=(VOXEL, VOXEL, VOXEL),
        patch=(config.depth, 128, 128),
        ratios=PatchRecipe().ratios,
        modality="bright-field",
        normalisation="z-score of the measured planes, extremes left out",
        trained_on=(
            f"{made} No real image was learnt from. Real data had a say in the "
            "simulator only: the bright-field of one 32×64×128 crop of an hiPSC colony "
            "(Allen Institute for Cell Science, pytorch_fnet example, Allen Institute "
            "Software License) was what its spectrum, its correlation between planes "
            "and its looks were held against; of that crop's DNA, the direction of "
            "light and the shape and size of nuclei."
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


def export(id_: str, run: Path, out: Path, scores: dict, made: str) -> None:
    """Write the averaged weights, with their standardisation folded in."""
    state = torch.load(run / "state.pt", map_location="cpu", weights_only=True)
    network = build_network(NETWORKS[id_])
    network.load_state_dict(state["average"])
    network.requires_grad_(False).bake()
    # The check is of the weights as they are in the file.
    network = network.half().float().eval()
    tensors = {name: one.half() for name, one in network.state_dict().items()}
    check = make_check(network, digest_of_tensors(tensors))
    checked = card(id_, scores, made).model_copy(update={"check": check})
    save_model(out, network, checked, dtype=torch.float16)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", required=True)
    simulate = steps.add_parser("simulate")
    simulate.add_argument("--pool", type=Path, required=True)
    simulate.add_argument("--device", default="cpu")
    learn = steps.add_parser("train")
    learn.add_argument("model", choices=NETWORKS)
    learn.add_argument("--pool", type=Path, required=True)
    learn.add_argument("--run", type=Path, required=True)
    learn.add_argument("--minutes", type=float, default=65)
    learn.add_argument("--rate", type=float, default=1.5e-3)
    learn.add_argument("--start", type=Path, nargs="*", default=[])
    learn.add_argument("--device", default="cpu")
    write = steps.add_parser("export")
    write.add_argument("model", choices=NETWORKS)
    write.add_argument("--run", type=Path, required=True)
    write.add_argument("--out", type=Path, required=True)
    write.add_argument("--scores", type=Path, help="JSON of benchmark quality")
    write.add_argument(
        "--made",
        default=f"{len(TRAINING_SEEDS)} simulated hiPSC colonies "
        "(napari_sparsessp.simulation).",
        help="how it was made, for the card",
    )
    return parser.parse_args()


def main() -> None:
    """Run one step."""
    options = _options()
    if options.step == "export":
        scores: dict = {}
        if options.scores:
            cards = json.loads(options.scores.read_text())["cards"]
            scores = cards[options.model if len(cards) > 1 else next(iter(cards))]
        export(options.model, options.run, options.out, scores, options.made)
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
    network = build_network(NETWORKS[options.model])
    if not (options.run / "state.pt").exists():
        begin_with(network, options.start)
    train(
        network.to(options.device),
        pairs,
        PatchRecipe(),
        TrainingPlan(
            options.minutes,
            device=options.device,
            learning_rate=options.rate,
            warm_up=0.03,
        ),
        options.run,
        validate=lambda judged: scores_of(judged, held),
    )


if __name__ == "__main__":
    main()
