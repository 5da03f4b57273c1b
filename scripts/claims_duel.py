"""The default network against DoDNet of the paper's widths: same data, recipe, time."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from colony_networks import NETWORKS

from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.cost import count_cost
from napari_sparsessp.simulation.pool import fill_pool, open_pool
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.checkpoints import RunFolder
from napari_sparsessp.training.loop import Status, TrainingPlan, train
from napari_sparsessp.training.patches import Pair, PatchRecipe
from napari_sparsessp.training.run import bf16_is_safe
from napari_sparsessp.training.validation import Validator

RATIOS = (2, 4, 8)
SIDE = 128
SHAPE = (40, 160, 160)
TRAINING_SEEDS = range(1_700_000, 1_700_024)
HELD_SEEDS = range(1_800_000, 1_800_008)

NAMES = {"default": "colony-3to2d", "DoDNet": "DoDNet 3-to-2D, the paper's widths"}


def duel_networks() -> dict[str, NetworkConfig]:
    """Both networks."""
    dodnet = NetworkConfig(backbone="dod", topology="3to2d", conditioning="dodnet")
    return {"default": NETWORKS["colony-3to2d"], "DoDNet": dodnet}


def run_duel(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Train both for as many minutes, and score them on held-out colonies.

    All labels of a patch count for both: DoDNet's trunk serves all structures in one
    pass, as the default's does.
    """
    pool = options.pool or options.work / "duel-colonies"
    if options.pool is None:
        for folder, seeds in (
            (pool, TRAINING_SEEDS),
            (pool / "validation", HELD_SEEDS),
        ):
            for seed in fill_pool(folder, seeds, 3, shape=SHAPE):
                say(f"colony {seed}")
    training = [Pair(one.brightfield, one.fluorescence) for one in open_pool(pool)]
    held = [
        Pair(one.brightfield, one.fluorescence)
        for one in open_pool(pool / "validation")
    ]
    runs = []
    for seed in range(options.seeds):
        for name, network in duel_networks().items():
            say(f"{name}, seed {seed}: {options.minutes:g} minutes")
            folder = options.work / "runs-duel" / f"{name}-{seed}-{options.minutes:g}"
            result = trained(network, training, held, options, seed, folder)
            say(f"  {result['steps']} steps, R² {result['r2']}")
            runs.append({"name": name, "seed": seed, **result})
    return {
        "minutes": options.minutes,
        "threads": options.threads,
        "colonies": len(training),
        "held": len(held),
        "networks": {name: costs(one) for name, one in duel_networks().items()},
        "runs": runs,
    }


def costs(network: NetworkConfig) -> dict[str, Any]:
    """What a network is and what it costs, for all structures and for one."""
    one, every = (count_cost(network, which) for which in ([0], None))
    return {
        "parameters": one.parameters,
        "gmac": one.gmac,
        "gmac_all": every.gmac,
        "precision": "bf16" if bf16_is_safe(network, "cpu") else "fp32",
    }


def trained(
    network: NetworkConfig,
    training: list[Pair],
    held: list[Pair],
    options: argparse.Namespace,
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    """Train from scratch by the `fast` recipe; what is done already is read."""
    path = folder / "result.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    torch.manual_seed(seed)
    fresh: Any = build_network(network)
    size = min(SIDE, training[0].looks.shape[-1])
    recipe = PatchRecipe(network.depth, size, size, inputs=network.inputs)
    precision = costs(network)["precision"]
    plan = TrainingPlan(options.minutes, precision=precision, seed=seed)
    last: list[Status] = []
    train(fresh, training, recipe, plan, folder, listen=last.append)
    # The averaged weights are what a training hands on.
    fresh.load_state_dict(RunFolder(folder).averaged())
    validator = Validator(held, tuple(CATALOGUE), RATIOS, network.interpolation)
    scores = validator(fresh.eval())["scores"]
    r2 = {
        str(ratio): sum(one[str(ratio)] for one in scores.values()) / len(scores)
        for ratio in RATIOS
    }
    result = {"steps": RunFolder(folder).position().step, "r2": r2}
    path.write_text(json.dumps(result), encoding="utf-8")
    return result
