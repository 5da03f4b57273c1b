"""Try the warning of domain shift, and measure what the shipped models learned from.

    python -m benchmarks.figures.domain_shift judge [--data FOLDER] [--colonies 24]
    python -m benchmarks.figures.domain_shift ranges --pool POOL --data FOLDER

``judge`` prints the tables of docs/generated/domain-shift.md: images that must not be
warned of, and images that must.
Colonies have 32×160×160 voxels and seeds from 2 500 000, which no range and no margin
was chosen with; FOLDER holds the real files that the page names, else their rows are
left out. ``ranges`` measures what the shipped models learned from and writes it into
their cards. POOL is made by ``python recipes/run.py pool POOL``.
"""

import argparse
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_sparsessp import PredictionRequest, Volume, load_volume
from napari_sparsessp.evaluation.quality import simulated_field
from napari_sparsessp.io.samples import sample_paths
from napari_sparsessp.models.library import read_card
from napari_sparsessp.prediction.domain_shift import check
from napari_sparsessp.prediction.plan import Plan, plan_prediction
from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
from napari_sparsessp.simulation.pool import PooledColony, open_pool
from napari_sparsessp.training.patches import Pair, PatchRecipe

FIRST_SEED, SHAPE = 2_500_000, (32, 160, 160)
CUBE = (VOXEL, VOXEL, VOXEL)
RATIOS = (1, 2, 4, 8)
FEW = 6  # stacks that each spoiling is tried on
CROP, FIELD = "allen_hipsc_dna_top.ome.tif", "allen_hipsc_brightfield_fov.ome.tif"
NEURONS = "isl_neurons_phase_left.ome.tif"
YEAST = ("yeast_5plane_timelapse", "yeast_5plane_a", "yeast_5plane_b", "yeast_5plane_c")
COLONY, DNA, NEURON = "colony-3to2d", "hipsc-dna", "neurons-isl"

Trial = tuple[str, str, Volume, int]
"""Row of the table, model, stack, and the ratio at which planes of it are left out."""


def noisy(stack: np.ndarray, amount: float) -> np.ndarray:
    """Add noise of so many deviations of the stack."""
    noise = np.random.default_rng(0).normal(size=stack.shape)
    return stack + amount * stack.std() * noise


def clipped(stack: np.ndarray, share: float = 3.0) -> np.ndarray:
    """Make 8 bits; the darkest and brightest percent are cut off."""
    low, high = np.percentile(stack, (share, 100 - share))
    return np.clip((stack - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def jpeg(stack: np.ndarray, quality: int) -> np.ndarray:
    """Send each plane as 8 bits through JPEG."""
    planes = []
    for plane in clipped(stack, 0.1):
        file = io.BytesIO()
        Image.fromarray(plane).save(file, "JPEG", quality=quality)
        planes.append(np.asarray(Image.open(file)))
    return np.stack(planes)


SPOILT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "noise as strong as the image": lambda s: noisy(s, 1),
    "noise twice as strong": lambda s: noisy(s, 2),
    "no cells, camera noise alone": lambda s: noisy(s, 1) - s,
    "blurred, σ = 2 pixels": lambda s: gaussian_filter(s, (0, 2, 2)),
    "blurred, σ = 4 pixels": lambda s: gaussian_filter(s, (0, 4, 4)),
    "JPEG, quality 30": lambda s: jpeg(s, 30),
    "JPEG, quality 75": lambda s: jpeg(s, 75),
    "clipped at both ends, 8 bits": clipped,
    "every plane the same": lambda s: np.stack([s[len(s) // 2]] * len(s)),
    "inverted": lambda s: s.max() - s,
    "upside down": lambda s: s[::-1],
}
VOXELS = {
    "pixels said to be 3 times larger": (VOXEL, 3 * VOXEL, 3 * VOXEL),
    "pixels said to be 3 times smaller": (VOXEL, VOXEL / 3, VOXEL / 3),
    "step in z said to be 3 times larger": (3 * VOXEL, VOXEL, VOXEL),
    "step in z said to be 3 times smaller": (VOXEL / 3, VOXEL, VOXEL),
}


def volume(array: Any, voxel: tuple[float, ...] | None = CUBE) -> Volume:
    """A volume of an array (z, y, x)."""
    return Volume(np.ascontiguousarray(array, np.float32), "ZYX", voxel)


def real(path: Path) -> Volume:
    """The bright-field of a real file."""
    return load_volume(path, channel="Bright-field" if path.name == CROP else 0)


def familiar(count: int, data: Path | None) -> Iterator[Trial]:
    """What a model was made for: every warning is a false alarm."""
    for number in range(count):
        light = simulated_field(FIRST_SEED + number, SHAPE).light
        for model in (COLONY, DNA):
            yield "fresh simulated colonies", model, light, RATIOS[number % 4]
    yield "the bundled sample", COLONY, load_volume(sample_paths()[0], channel=0), 1
    if data is None:
        return
    for model in (COLONY, DNA):
        for ratio in RATIOS:
            for name in (CROP, FIELD):
                yield f"real: {name}", model, real(data / name), ratio
    yield f"real: {NEURONS}", NEURON, real(data / NEURONS), 1


def strange(data: Path | None, few: int = FEW) -> Iterator[Trial]:
    """What no model was made for: silence is a miss."""
    fields = [simulated_field(FIRST_SEED + 1000 + k, SHAPE) for k in range(few)]
    lights = [np.asarray(field.light.array, np.float32) for field in fields]
    yield from spoilt("", lights)
    for field in fields:
        for name in ("dna", "cell_membrane"):
            image = noisy(np.asarray(field.truth[name].array), 0.1)
            yield "simulated fluorescence", COLONY, volume(image), 1
    for contrast in ("phase-contrast", "dic"):
        for seed in range(FIRST_SEED + 2000, FIRST_SEED + 2000 + few):
            image = simulate_colony(seed, SHAPE, contrast=contrast).brightfield[0]
            yield f"simulated {contrast}", COLONY, volume(image.numpy()), 1
    for light in lights:
        yield "colonies, to the model of neurons", NEURON, volume(light, None), 1
    if data is None:
        return
    for model in (COLONY, DNA):
        dna = load_volume(data / CROP, channel="DNA").with_(channel_names=())
        for ratio in RATIOS:
            yield "real: DNA of the hiPSC crop, unnamed", model, dna, ratio
        for name in YEAST:
            yeast = load_volume(data / f"{name}.ome.tif")
            yield "real: yeast, bright-field", model, yeast, 1
        neurons = real(data / NEURONS).with_(channel_names=())
        yield "real: neurons, phase contrast, unnamed", model, neurons, 1
    light = np.asarray(real(data / CROP).array, np.float32)
    yield from spoilt("real crop: ", [light])


def spoilt(prefix: str, lights: list[np.ndarray]) -> Iterator[Trial]:
    """Each stack in each wrong form."""
    for kind, spoil in SPOILT.items():
        for light in lights:
            yield prefix + kind, COLONY, volume(spoil(light)), 1
    for kind, voxel in VOXELS.items():
        for light in lights:
            yield prefix + kind, COLONY, volume(light, voxel), 1


def judge(options: argparse.Namespace) -> None:
    """Print how many stacks of each kind were called unfamiliar, and why."""
    print("Familiar: every warning is a false alarm.\n")
    table(familiar(options.colonies, options.data))
    print("Unfamiliar: silence is a miss.\n")
    table(strange(options.data, min(FEW, options.colonies)))


def table(trials: Iterator[Trial]) -> None:
    """Print a row for each kind and model."""
    rows: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for kind, model, stack, ratio in trials:
        plan = plan_of(stack, ratio, model)
        far = [t for t in plan.warnings if "far from" in t or "sparsity ratio" in t]
        rows.setdefault((kind, model), []).append((*far, *check(plan)))
    print("| image | model | stacks | told | what is told most often |")
    print("|---|---|---|---|---|")
    for (kind, model), said in rows.items():
        first = [texts[0] for texts in said if texts]
        cut = r" than |: | \(by |, which|[;,]"
        words = Counter(re.split(cut, text)[0] for text in first).most_common(1)
        most = words[0][0] if words else ""
        print(f"| {kind} | {model} | {len(said)} | {len(first)} | {most} |")
    every = [texts for said in rows.values() for texts in said]
    print(f"| all | | {len(every)} | {sum(map(bool, every))} | |\n")


def plan_of(stack: Volume, ratio: int, model: str = COLONY) -> Plan:
    """Plan a prediction from every r-th plane of a stack."""
    dense = {"simulate_sparse": True, "ratio": float(ratio)} if ratio > 1 else {}
    return plan_prediction(read_card(model), stack, PredictionRequest(**dense))


def pair_of(colony: PooledColony) -> Pair:
    """A colony as training sees it; its target takes no part here."""
    return Pair(colony.brightfield, [colony.fluorescence[0]])


def ranges(options: argparse.Namespace) -> None:
    """Write the training images' ranges into the shipped cards.

    Run ``python tools/make_checks.py`` afterwards: the files have changed.
    """
    from napari_sparsessp.models.library import find_model
    from napari_sparsessp.models.weights import copy_weights
    from napari_sparsessp.prediction.normalisation import normalise
    from napari_sparsessp.training.calibration import (
        INNER,
        joined,
        ranges_of,
        trait_values,
    )

    def inner(name: str, values: np.ndarray) -> tuple[float, float]:
        low, high = np.quantile(values, INNER)
        return float(low), float(high)

    def measured(pairs: list[Pair], model: str, recipe: PatchRecipe) -> Any:
        voxel, patches = read_card(model).voxel_size, options.patches
        values = trait_values(pairs, recipe, voxel[2], patches)
        return ranges_of(values, patches, voxel[0], inner)

    def pair(path: Path) -> Pair:
        light = np.asarray(real(path).array, np.float32)
        scale = normalise(light)
        stack = ((light - scale.mean) / scale.std).astype(np.float32)
        return Pair(stack[None], [np.zeros_like(stack)])

    # As recipes/neurons-isl.yaml has it.
    shape = {"depth": 13, "height": 192, "width": 192, "ratios": (1,)}
    changes = {"noise": (0.01, 0.3), "gain": 0.4, "tilt": 0.3}
    recipe = PatchRecipe(**shape, **changes, clutter=0.0, thin=0.0)
    pool = [pair_of(one) for one in open_pool(options.pool)]
    colonies = measured(pool, COLONY, PatchRecipe())
    crop = measured([pair(options.data / CROP)], DNA, PatchRecipe(height=64, width=128))
    found = dict.fromkeys((COLONY, "colony-3d", "colony-2to3d", "colony-2d"), colonies)
    found[DNA] = joined(colonies, crop)
    found[NEURON] = measured([pair(options.data / NEURONS)], NEURON, recipe)
    for model, some in found.items():
        card = read_card(model).model_copy(update={"familiarity": some})
        copy_weights(find_model(model), find_model(model), card)
        print(f"{model}: {len(some)} statistics of {options.patches} patches")


def main() -> None:
    """Choose what to do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("judge", "ranges"))
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--colonies", type=int, default=24)
    parser.add_argument("--patches", type=int, default=300)
    options = parser.parse_args()
    if options.what == "ranges" and options.pool is None:
        parser.error("ranges needs --pool")
    {"judge": judge, "ranges": ranges}[options.what](options)


if __name__ == "__main__":
    main()
