"""Fit and judge the expected error that ``--uncertainty`` gives.

    python -m benchmarks.figures.uncertainty compare               # what tells errors?
    python -m benchmarks.figures.uncertainty fit MODEL...          # into facts.json
    python -m benchmarks.figures.uncertainty judge MODEL... [--figure PNG]
    python -m benchmarks.figures.uncertainty real MODEL --data FILE

All but ``real`` use simulated colonies of 32×160×160 voxels that no model learned from,
seeds from 2 100 000 for ``fit`` and from 2 300 000 for ``judge`` and ``compare``, at
r = 2 and 8. ``compare`` holds the spread over eight turns against other signs of an
error: measured planes left out, noise added, windows shifted in z. ``real`` says what
is left of it on allen_hipsc_dna_top.ome.tif.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from napari_sparsessp.evaluation.quality_fields import simulated_field
from napari_sparsessp.evaluation.reliability import (
    Reliability,
    block_means,
    judge,
    rank_correlation,
)
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.metrics import zscore_truth
from napari_sparsessp.models.facts import Facts, read_facts, write_facts
from napari_sparsessp.models.registry import shipped_folder
from napari_sparsessp.models.store import Model, load_model
from napari_sparsessp.prediction.calibration import fit_calibration
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.volume import Volume

SHAPE = (32, 160, 160)
RATIOS = (2, 8)
FIT, JUDGE = 2_100_000, 2_300_000
EVERY = 11  # voxels; the rest would only repeat them
NOISE = 0.2  # deviations of the stack
INK, GREY, COLOURS = "#20242c", "#8b8f98", {2: "#2563a8", 8: "#c2410c"}


@dataclass(frozen=True, eq=False)
class Found:
    """Of one structure in one stack: volumes (D, H, W).

    Attributes
    ----------
    spread : ndarray
        Over the eight turns.
    error, error_mean : ndarray
        Of the plain prediction and of the mean over turns.
    """

    spread: np.ndarray
    error: np.ndarray
    error_mean: np.ndarray


def bare(model: Model) -> Model:
    """The model without a calibration, so that it gives the bare spread."""
    return replace(model, card=model.card.model_copy(update={"uncertainty": {}}))


def run(model: Model, light: Volume, ratio: int, **changes) -> np.ndarray:
    """Predict from every r-th plane; all channels."""
    request = PredictionRequest(
        simulate_sparse=True, ratio=ratio, device="cpu", precision="fp32", **changes
    )
    return np.asarray(predict(model, light, request=request).volume.array)


def found(
    model: Model, light: Volume, truth: dict[str, Volume], ratio: int
) -> dict[str, Found]:
    """Spread and errors of each structure that has a truth."""
    both = run(model, light, ratio, tta=True, uncertainty=True)
    plain = run(model, light, ratio)
    names = model.card.structures
    result = {}
    for number, name in enumerate(names):
        if name not in truth:
            continue
        true = zscore_truth(np.asarray(truth[name].array))
        spread = both[len(names) + number]
        result[name] = Found(spread, plain[number] - true, both[number] - true)
    return result


def colonies(
    model: Model, first: int, count: int, ratios: Sequence[int]
) -> Iterator[tuple[int, int, dict[str, Found]]]:
    """(seed, ratio, found) of each held-out colony."""
    for seed in range(first, first + count):
        field = simulated_field(seed, SHAPE)
        for ratio in ratios:
            yield seed, ratio, found(model, field.light, field.truth, ratio)
            print(f"colony {seed}, r = {ratio}", flush=True)


def fit(options: argparse.Namespace) -> None:
    """Fit every structure of the models, and write it beside the weights."""
    for name in options.models:
        model = bare(load_model(name))
        every: dict[str, list[Found]] = {}
        for _, _, each in colonies(model, FIT, options.colonies, RATIOS):
            for structure, one in each.items():
                thin = [a.ravel()[::EVERY] for a in vars(one).values()]
                every.setdefault(structure, []).append(Found(*thin))
        table = {
            structure: fit_calibration(
                np.concatenate([one.spread for one in some]),
                np.concatenate([one.error for one in some]),
            )
            for structure, some in every.items()
        }
        facts = dict(read_facts(shipped_folder()))
        check = model.card.check
        assert check is not None
        known = facts.get(model.card.id, Facts(tensors=check.tensors))
        if known.tensors != check.tensors:
            known = Facts(tensors=check.tensors)
        facts[model.card.id] = known.model_copy(update={"uncertainty": table})
        print(write_facts(shipped_folder(), facts))


def judged(
    model: Model, count: int
) -> dict[tuple[str, int], tuple[Reliability, Reliability, float]]:
    """(structure, ratio) to: calibrated, mean over turns, rank over blocks."""
    calibrations = model.card.uncertainty
    kept: dict[tuple[str, int], list[Found]] = {}
    blocks: dict[tuple[str, int], list[float]] = {}
    for _, ratio, each in colonies(bare(model), JUDGE, count, RATIOS):
        for structure, one in each.items():
            key = structure, ratio
            thin = [a.ravel()[::EVERY] for a in vars(one).values()]
            kept.setdefault(key, []).append(Found(*thin))
            rank = rank_correlation(
                block_means(one.spread), np.sqrt(block_means(one.error**2))
            )
            blocks.setdefault(key, []).append(rank)
    table = {}
    for key, some in kept.items():
        spread, error, error_mean = (
            np.concatenate([getattr(one, name) for one in some])
            for name in ("spread", "error", "error_mean")
        )
        expected = calibrations[key[0]].expected_error(spread)
        table[key] = (
            judge(expected, error),
            judge(expected, error_mean),
            float(np.mean(blocks[key])),
        )
    return table


def tell_judged(options: argparse.Namespace) -> None:
    """Print a table for each model; draw the first."""
    for number, name in enumerate(options.models):
        model = load_model(name)
        table = judged(model, options.colonies)
        print(f"\n{model.card.id}\n")
        print("| structure | r | floor | gain | error / expected | within | rank, "
              "voxels | rank, blocks | lowest / highest tenth |")  # fmt: skip
        print("|---|---|---|---|---|---|---|---|---|")
        for (structure, ratio), (one, _, blocks) in sorted(table.items()):
            known = model.card.uncertainty[structure]
            tenths = one.found / one.expected
            print(
                f"| {structure} | {ratio} | {known.floor:.2f} | {known.gain:.1f} | "
                f"{one.ratio:.2f} | {one.within:.2f} | {one.rank:.2f} | {blocks:.2f} | "
                f"{tenths[0]:.2f} / {tenths[-1]:.2f} |"
            )
        means = np.mean(
            [(a.ratio, a.within, a.rank, c) for a, _, c in table.values()], axis=0
        )
        with_turns = np.mean([b.ratio for _, b, _ in table.values()])
        words = (
            "mean: error / expected {:.2f}, within {:.2f}, rank {:.2f}, blocks {:.2f}"
        )
        print(words.format(*means), end="; ")
        print(f"with --tta, error / expected {with_turns:.2f}")
        if number == 0 and options.figure:
            draw(table, options.figure)


def draw(table: dict, path: Path) -> None:
    """Expected against true error by tenths, a panel for each structure."""
    structures = sorted({structure for structure, _ in table})
    figure = Figure(figsize=(9.6, 7.4), layout="constrained")
    axes = figure.subplots(3, 4).ravel()
    for panel, structure in zip(axes, structures, strict=True):
        largest = 0.0
        for ratio in RATIOS:
            one = table[structure, ratio][0]
            panel.plot(one.expected, one.found, "o-", ms=3.5, lw=1.2,
                       color=COLOURS[ratio], label=f"r = {ratio}")  # fmt: skip
            largest = max(largest, one.expected.max(), one.found.max())
        edge = 1.08 * largest
        panel.plot([0, edge], [0, edge], color=GREY, lw=0.8, ls=":", zorder=0)
        panel.set(xlim=(0, edge), ylim=(0, edge), aspect="equal")
        panel.set_title(structure_or_custom(structure).label, fontsize=10, color=INK)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("expected error (deviations of the truth)", fontsize=10)
    figure.supylabel("root mean square error", fontsize=10)
    figure.savefig(path, dpi=110)
    print(path)


def compare(options: argparse.Namespace) -> None:
    """Rank signs of an error by how well they tell where it is."""
    model = bare(load_model(options.models[0]))
    ranks: dict[tuple[int, str], list[tuple[float, float]]] = {}
    middle = slice(16, 32)
    for seed in range(JUDGE, JUDGE + options.colonies):
        field = simulated_field(seed, (48, 128, 128))
        for ratio in RATIOS:
            signs = signs_of(model, field.light, ratio)
            plain = signs.pop("plain")
            for number, name in enumerate(model.card.structures):
                true = zscore_truth(np.asarray(field.truth[name].array))
                error = np.abs(plain[number] - true)[middle]
                for sign, volume in signs.items():
                    here = volume[number][middle]
                    voxels = rank_correlation(
                        here.ravel()[::EVERY], error.ravel()[::EVERY]
                    )
                    blocks = rank_correlation(
                        block_means(here), np.sqrt(block_means(error**2))
                    )
                    ranks.setdefault((ratio, sign), []).append((voxels, blocks))
            print(f"colony {seed}, r = {ratio}", flush=True)
    print("\n| r | sign | rank, voxels | rank, blocks |\n|---|---|---|---|")
    for (ratio, sign), some in sorted(ranks.items()):
        voxels, blocks = np.mean(some, axis=0)
        print(f"| {ratio} | {sign} | {voxels:.2f} | {blocks:.2f} |")


def signs_of(model: Model, light: Volume, ratio: int) -> dict[str, np.ndarray]:
    """Volumes (S, D, H, W) that may tell where a prediction is wrong."""
    count = len(model.card.structures)
    plain = run(model, light, ratio)
    turns = run(model, light, ratio, uncertainty=True)[count:]
    array = np.asarray(light.array)
    left_out = [run(model, light, 2 * ratio, phase=p) - plain for p in (0, ratio)]
    rng = np.random.default_rng(0)
    noisy = []
    for _ in range(2):
        noise = rng.normal(0, NOISE * array.std(), array.shape).astype(np.float32)
        noisy.append(run(model, light.with_(array=array + noise), ratio) - plain)
    lower = run(model, light.with_(array=array[:32]), ratio)
    upper = run(model, light.with_(array=array[16:]), ratio)
    shifted = np.zeros_like(plain)
    shifted[:, 16:32] = np.abs(lower[:, 16:] - upper[:, :16])
    signs = {
        "eight turns": turns,
        "planes left out": _size(left_out),
        "noise added": _size(noisy),
        "windows shifted in z": shifted,
        "size of the prediction": np.abs(plain),
    }
    together = ("eight turns", "planes left out", "noise added")
    signs["turns, planes and noise"] = _size([signs[one] for one in together])
    return {"plain": plain, **signs}


def _size(some: Sequence[np.ndarray]) -> np.ndarray:
    return np.sqrt(np.mean(np.square(some), axis=0))


def real(options: argparse.Namespace) -> None:
    """Judge DNA on the real crop at every ratio."""
    light = load_volume(options.data, channel="Bright-field")
    truth = {"dna": load_volume(options.data, channel="DNA")}
    print("| model | r | error / expected | within | rank, voxels | rank, blocks |")
    print("|---|---|---|---|---|---|")
    for name in options.models:
        model = load_model(name)
        known = model.card.uncertainty["dna"]
        for ratio in (1, 2, 4, 8):
            one = found(bare(model), light, truth, ratio)["dna"]
            expected = known.expected_error(one.spread)
            reliability = judge(expected.ravel(), one.error.ravel())
            blocks = rank_correlation(
                block_means(one.spread), np.sqrt(block_means(one.error**2))
            )
            print(
                f"| {model.card.id} | {ratio} | {reliability.ratio:.2f} | "
                f"{reliability.within:.2f} | {reliability.rank:.2f} | {blocks:.2f} |"
            )


def main() -> None:
    """Choose what to do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("compare", "fit", "judge", "real"))
    parser.add_argument("models", nargs="*", default=["colony-3to2d"])
    parser.add_argument("--colonies", type=int, default=6)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    tasks = {"compare": compare, "fit": fit, "judge": tell_judged, "real": real}
    tasks[options.what](options)


if __name__ == "__main__":
    main()
