"""Try the warning of unfamiliar images: on what must be quiet, and on what must not.

    python -m benchmarks.figures.familiarity judge --data FOLDER [--colonies 24]

Simulated colonies are of 32×160×160 voxels with seeds from 2 500 000, which no range
and no margin was chosen with. FOLDER holds the real files that `docs/familiarity.md`
names; without it their rows are left out. Prints two tables in Markdown.
"""

import argparse
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

import napari_sparsessp
from napari_sparsessp.evaluation.quality_fields import simulated_field
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.registry import read_card
from napari_sparsessp.prediction.familiarity import unfamiliar
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
from napari_sparsessp.volume import Volume

FIRST_SEED = 2_500_000
SHAPE = (32, 160, 160)
CUBE = (VOXEL, VOXEL, VOXEL)
RATIOS = (1, 2, 4, 8)
SAMPLE = Path(napari_sparsessp.__file__).parent / "samples" / "colony_sparse.ome.tif"
FEW = 6
"""Stacks that each spoiling is tried on."""

CROP = "allen_hipsc_dna_top.ome.tif"
FIELD = "allen_hipsc_brightfield_fov.ome.tif"
NEURONS = "isl_neurons_phase_left.ome.tif"
STAINS = "isl_neurons_labels_left.ome.tif"
YEAST = ("yeast_5plane_timelapse", "yeast_5plane_a", "yeast_5plane_b", "yeast_5plane_c")
COLONY, DNA, NEURON = "colony-3to2d", "hipsc-dna", "neurons-isl"


@dataclass(frozen=True, eq=False)
class Trial:
    """One stack, and the model that it is given to.

    Attributes
    ----------
    kind : str
        Row of the table.
    model : str
    volume : Volume
    ratio : int
        Of a dense stack, of which the rest is left out.
    """

    kind: str
    model: str
    volume: Volume
    ratio: int = 1


def jpeg(stack: np.ndarray, quality: int) -> np.ndarray:
    """Each plane as 8 bits through JPEG."""
    low, high = np.percentile(stack, (0.1, 99.9))
    grey = np.clip((stack - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    planes = []
    for plane in grey:
        file = io.BytesIO()
        Image.fromarray(plane).save(file, "JPEG", quality=quality)
        planes.append(np.asarray(Image.open(file)))
    return np.stack(planes)


def clipped(stack: np.ndarray) -> np.ndarray:
    """8 bits, the darkest and brightest 3 % cut off."""
    low, high = np.percentile(stack, (3, 97))
    return np.clip((stack - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def noisy(stack: np.ndarray, amount: float) -> np.ndarray:
    """Noise of so many deviations of the stack."""
    noise = np.random.default_rng(0).normal(size=stack.shape)
    return stack + amount * stack.std() * noise


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
}  # fmt: skip
VOXELS = {
    "pixels said to be 3 times larger": (VOXEL, 3 * VOXEL, 3 * VOXEL),
    "pixels said to be 3 times smaller": (VOXEL, VOXEL / 3, VOXEL / 3),
    "step in z said to be 3 times larger": (3 * VOXEL, VOXEL, VOXEL),
    "step in z said to be 3 times smaller": (VOXEL / 3, VOXEL, VOXEL),
}


def stack(array: np.ndarray, voxel: tuple[float, ...] | None = CUBE) -> Volume:
    """A volume of an array (z, y, x)."""
    return Volume(np.ascontiguousarray(array, np.float32), "ZYX", voxel)


def familiar(count: int, data: Path | None) -> Iterator[Trial]:
    """What a model was made for: every warning is a false alarm."""
    for number in range(count):
        light = simulated_field(FIRST_SEED + number, SHAPE).light
        for model in (COLONY, DNA):
            ratio = RATIOS[number % 4]
            yield Trial("fresh simulated colonies", model, light, ratio)
    yield Trial("the bundled sample", COLONY, load_volume(SAMPLE, channel=0))
    if data is None:
        return
    for model in (COLONY, DNA):
        for ratio in RATIOS:
            for name in (CROP, FIELD):
                light = _light(data / name)
                yield Trial(f"real: {name}", model, light, ratio)
    neurons = load_volume(data / NEURONS, channel=0)
    yield Trial(f"real: {NEURONS}", NEURON, neurons)


def _light(path: Path) -> Volume:
    return load_volume(path, channel="Bright-field" if path.name == CROP else 0)


def strange(data: Path | None) -> Iterator[Trial]:
    """What no model was made for: silence is a miss."""
    fields = [simulated_field(FIRST_SEED + 1000 + k, SHAPE) for k in range(FEW)]
    lights = [np.asarray(field.light.array, np.float32) for field in fields]
    for kind, spoil in SPOILT.items():
        for light in lights:
            yield Trial(kind, COLONY, stack(spoil(light)))
    for kind, voxel in VOXELS.items():
        for light in lights:
            yield Trial(kind, COLONY, stack(light, voxel))
    for field in fields:
        for name in ("dna", "cell_membrane"):
            image = noisy(np.asarray(field.truth[name].array), 0.1)
            yield Trial("simulated fluorescence", COLONY, stack(image))
    for contrast in ("phase-contrast", "dic"):
        for number in range(FEW):
            seed = FIRST_SEED + 2000 + number
            image = simulate_colony(seed, SHAPE, contrast=contrast).brightfield[0]
            yield Trial(f"simulated {contrast}", COLONY, stack(image.numpy()))
    for light in lights:
        yield Trial("colonies, to the model of neurons", NEURON, stack(light, None))
    if data is not None:
        yield from _strange_files(data)


def _strange_files(data: Path) -> Iterator[Trial]:
    for model in (COLONY, DNA):
        for ratio in RATIOS:
            dna = load_volume(data / CROP, channel="DNA").with_(channel_names=())
            yield Trial("real: DNA of the hiPSC crop, unnamed", model, dna, ratio)
        for name in YEAST:
            yeast = load_volume(data / f"{name}.ome.tif")
            yield Trial("real: yeast, bright-field", model, yeast)
        neurons = load_volume(data / NEURONS, channel=0).with_(channel_names=())
        yield Trial("real: neurons, phase contrast, unnamed", model, neurons)
    light = np.asarray(_light(data / CROP).array, np.float32)
    for kind, spoil in SPOILT.items():
        yield Trial(f"real crop: {kind}", COLONY, stack(spoil(light)))
    for kind, voxel in VOXELS.items():
        yield Trial(f"real crop: {kind}", COLONY, stack(light, voxel))


def told(trial: Trial, card: ModelCard) -> tuple[str, ...]:
    """Warnings of this trial, those of the voxel size included."""
    dense = trial.ratio > 1
    request = PredictionRequest(
        simulate_sparse=dense, ratio=trial.ratio if dense else None
    )
    plan = plan_prediction(card, trial.volume, request)
    far = tuple(t for t in plan.warnings if "far from" in t or "sparsity ratio" in t)
    return (*far, *unfamiliar(plan))


def table(trials: Iterator[Trial], cards: dict[str, ModelCard]) -> None:
    """Print how many stacks of each kind were called unfamiliar, and why."""
    rows: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for trial in trials:
        texts = told(trial, cards[trial.model])
        rows.setdefault((trial.kind, trial.model), []).append(texts)
    print("| image | model | stacks | told | what is told most often |")
    print("|---|---|---|---|---|")
    for (kind, model), found in rows.items():
        hits = sum(bool(texts) for texts in found)
        first = [texts[0] for texts in found if texts]
        words = Counter(
            re.split(r" than in |: | \(by |, which|[;,]", text)[0] for text in first
        )
        most = words.most_common(1)[0][0] if words else ""
        print(f"| {kind} | {model} | {len(found)} | {hits} | {most} |")
    stacks = sum(len(found) for found in rows.values())
    hits = sum(bool(texts) for found in rows.values() for texts in found)
    print(f"| all | | {stacks} | {hits} | |\n")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--colonies", type=int, default=24)
    options = parser.parse_args()
    cards = {model: read_card(model) for model in (COLONY, DNA, NEURON)}
    print("Familiar: every warning is a false alarm.\n")
    table(familiar(options.colonies, options.data), cards)
    print("Unfamiliar: silence is a miss.\n")
    table(strange(options.data), cards)


if __name__ == "__main__":
    main()
