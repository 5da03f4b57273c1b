"""Measure the training images of the shipped models, and write it into their cards.

    python scripts/familiarity_ranges.py --pool DIR --data FOLDER

DIR is a pool of simulated colonies, as ``scripts/train_colony.py simulate`` makes it:
what all colony models saw. FOLDER holds the two real files that hipsc-dna and
neurons-isl learned from (allen_hipsc_dna_top.ome.tif, isl_neurons_phase_left.ome.tif).
Run ``scripts/make_checks.py`` afterwards: the files have changed.
"""

import argparse
from pathlib import Path

import numpy as np
import tifffile

from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.models.card import Range
from napari_sparsessp.models.library import find_model, read_card
from napari_sparsessp.models.weights import copy_weights
from napari_sparsessp.prediction.normalisation import normalise
from napari_sparsessp.simulation.pool import open_pool
from napari_sparsessp.training.calibration import familiar_ranges, joined
from napari_sparsessp.training.patches import Pair, PatchRecipe

COLONY = ("colony-3to2d", "colony-3d", "colony-2to3d", "colony-2d")
CROP = "allen_hipsc_dna_top.ome.tif"
NEURONS = "isl_neurons_phase_left.ome.tif"
COLONY_RECIPE = PatchRecipe()
CROP_RECIPE = PatchRecipe(height=64, width=128)
NEURON_RECIPE = PatchRecipe(
    depth=13, height=192, width=192, ratios=(1,), noise=(0.01, 0.3), gain=0.4,
    tilt=0.3, clutter=0.0, thin=0.0,
)  # fmt: skip
"""As ``scripts/train_neurons.py`` has it."""


def stack_pair(light: np.ndarray) -> Pair:
    """A stack as training sees it; its target takes no part here."""
    light = np.asarray(light, np.float32)
    scale = normalise(light)
    stack = ((light - scale.mean) / scale.std).astype(np.float32)
    return Pair(stack[None], [np.zeros_like(stack)])


def ranges_of(
    pool: Path, data: Path, patches: int
) -> dict[str, dict[str, tuple[Range, ...]]]:
    """Ranges of each shipped model by its id."""
    crop = np.asarray(load_volume(data / CROP, channel="Bright-field").array)
    pairs = [Pair(one.brightfield, [one.fluorescence[0]]) for one in open_pool(pool)]
    card = read_card(COLONY[0])
    colonies = familiar_ranges(pairs, COLONY_RECIPE, card.voxel_size, patches)
    table = dict.fromkeys(COLONY, colonies)
    real = familiar_ranges([stack_pair(crop)], CROP_RECIPE, card.voxel_size, patches)
    table["hipsc-dna"] = joined(colonies, real)
    neurons = stack_pair(tifffile.imread(data / NEURONS))
    voxel = read_card("neurons-isl").voxel_size
    table["neurons-isl"] = familiar_ranges([neurons], NEURON_RECIPE, voxel, patches)
    return table


def main() -> None:
    """Measure, and write the cards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--patches", type=int, default=300)
    options = parser.parse_args()
    table = ranges_of(options.pool, options.data, options.patches)
    for model_id, ranges in table.items():
        card = read_card(model_id).model_copy(update={"familiarity": ranges})
        copy_weights(find_model(model_id), find_model(model_id), card)
        print(f"{model_id}: {len(ranges)} traits of {options.patches} patches")


if __name__ == "__main__":
    main()
