"""How well a training's own ranges tell images apart, by how many stacks it had.

    python scripts/familiarity_stacks.py --pool POOL

POOL is as ``scripts/train_colony.py simulate`` makes it. A training of 3, 6 or 12 of
its colonies writes ranges into its card; colonies of POOL/validation, which take no
part, must be familiar, and what is spoiled must not. Prints the table of
docs/familiarity.md.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_sparsessp.models.library import read_card
from napari_sparsessp.prediction.domain_shift import check
from napari_sparsessp.prediction.plan import Plan, plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.simulation.colony import VOXEL
from napari_sparsessp.simulation.pool import PooledColony, open_pool
from napari_sparsessp.training.calibration import learned_ranges
from napari_sparsessp.training.patches import Pair, PatchRecipe
from napari_sparsessp.volume import Volume

CUBE = (VOXEL, VOXEL, VOXEL)
STACKS = (3, 6, 12)
DRAWS = 3
RATIOS = (1, 4)
RECIPES = {
    "fast": PatchRecipe(),
    "fast, optics as they are": PatchRecipe(
        noise=None, gain=0.0, tilt=0.0, clutter=0.0, thin=0.0
    ),
}


def images(colonies: list[PooledColony]) -> Iterator[tuple[str, np.ndarray]]:
    """Kind and stack of what is looked at."""
    chance = np.random.default_rng(0)
    for colony in colonies:
        light = colony.brightfield[0].astype(np.float32)
        yield "another colony", light
        noise = chance.normal(size=light.shape).astype(np.float32)
        yield "noise twice as strong as the image", light + 2 * noise
        yield "blurred, σ = 2 pixels", gaussian_filter(light, (0, 2, 2))
        middle = len(light) // 2
        yield "every plane the same", light[[middle] * len(light)]
        yield "fluorescence of DNA", colony.fluorescence[0].astype(np.float32)


def plans(colonies: list[PooledColony]) -> dict[str, list[Plan]]:
    """Each image at each ratio, by its kind."""
    found: dict[str, list[Plan]] = {}
    for kind, stack in images(colonies):
        for ratio in RATIOS:
            request = PredictionRequest(ratio=ratio, simulate_sparse=True)
            volume = Volume(stack, "ZYX", CUBE)
            plan = plan_prediction(read_card(), volume, request)
            found.setdefault(kind, []).append(plan)
    return found


def told(
    colonies: list[PooledColony], recipe: PatchRecipe, judged: dict[str, list[Plan]]
) -> list[float]:
    """Share of each kind that a training with these colonies finds unlike its own."""
    pairs = [Pair(one.brightfield, [one.fluorescence[0]]) for one in colonies]
    ranges = learned_ranges(pairs, recipe, CUBE)
    card = read_card().model_copy(update={"familiarity": ranges})
    return [
        sum(bool(check(replace(plan, card=card))) for plan in some) / len(some)
        for some in judged.values()
    ]


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", type=Path, required=True)
    folder = parser.parse_args().pool
    pool, judged = open_pool(folder), plans(open_pool(folder / "validation"))
    print("| recipe | stacks |", " | ".join(judged), "|")
    print("|---|---|", "---|" * len(judged), sep="")
    chance = np.random.default_rng(1)
    for name, recipe in RECIPES.items():
        for count in STACKS:
            picks = [chance.choice(len(pool), count, False) for _ in range(DRAWS)]
            shares = np.mean(
                [told([pool[k] for k in pick], recipe, judged) for pick in picks], 0
            )
            cells = " | ".join(f"{share:.0%}" for share in shares)
            print(f"| {name} | {count} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
