"""Fit and judge the expected error that ``--uncertainty`` gives.

    python -m benchmarks.figures.uncertainty fit MODEL...          # into cards
    python -m benchmarks.figures.uncertainty judge MODEL... [--figure PNG]
    python -m benchmarks.figures.uncertainty real MODEL --data FILE

``fit`` and ``judge`` use simulated colonies of 32×160×160 voxels that no model learned
from, seeds from 2 100 000 and from 2 300 000, at r = 2 and 8. ``real`` says what is
left of it on allen_hipsc_dna_top.ome.tif.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparsessp import PredictionRequest, Volume, load_model, load_volume, predict
from napari_sparsessp.evaluation.quality import simulated_field
from napari_sparsessp.metrics import zscore_truth
from napari_sparsessp.models.library import Model
from napari_sparsessp.prediction.uncertainty import binned, fit_calibration

SHAPE, RATIOS = (32, 160, 160), (2, 8)
FIT, JUDGE = 2_100_000, 2_300_000
EVERY = 11  # voxels; the rest would only repeat them
BLOCK = (4, 8, 8)  # voxels: about what a person looks at as one spot
HEAD = "error / expected | within | rank, voxels | rank, blocks |"
INK, GREY, COLOURS = "#20242c", "#8b8f98", {2: "#2563a8", 8: "#c2410c"}


@dataclass(frozen=True, eq=False)
class Reliability:
    """How expected errors and true ones belong together."""

    # (bins,) root mean square of expectation and of error, by rising expectation
    expected: np.ndarray
    found: np.ndarray
    ratio: float  # of the root mean squares; above 1: the expectation is too low
    within: float  # share of errors below it; 0.683 were they normally distributed
    rank: float  # Spearman's correlation of expectation and absolute error


def reliability(expected: np.ndarray, error: np.ndarray, bins: int = 10) -> Reliability:
    """Hold expected errors against true ones of the same voxels, (n,)."""
    from scipy.stats import spearmanr

    return Reliability(
        np.sqrt(binned(expected, expected**2, bins)),
        np.sqrt(binned(expected, error**2, bins)),
        float(np.sqrt((error**2).mean() / (expected**2).mean())),
        float((np.abs(error) <= expected).mean()),
        float(spearmanr(expected, np.abs(error)).statistic),
    )


def block_rank(spread: np.ndarray, error: np.ndarray) -> float:
    """Rank correlation over whole blocks of two volumes (D, H, W)."""
    from scipy.stats import spearmanr
    from skimage.measure import block_reduce

    inner = tuple(slice(n // b * b) for n, b in zip(error.shape, BLOCK, strict=True))
    means = (block_reduce(v[inner], BLOCK, np.mean) for v in (spread, error**2))
    return float(spearmanr(*map(np.ravel, means)).statistic)


# predictions -------------------------------------------------------------------------


def bare(model: Model) -> Model:
    """The model without a calibration, so that it gives the bare spread."""
    return replace(model, card=model.card.model_copy(update={"uncertainty": {}}))


def run(model: Model, light: Volume, ratio: int, **changes: Any) -> np.ndarray:
    """Predict from every r-th plane; all channels."""
    request = PredictionRequest(
        simulate_sparse=True, ratio=ratio, device="cpu", precision="fp32", **changes
    )
    return np.asarray(predict(model, light, request=request).volume.array)


def errors_of(
    model: Model, light: Volume, truth: dict[str, Volume], ratio: int
) -> dict[str, list[np.ndarray]]:
    """Spread over turns, error, error of the mean over turns, by structure."""
    both = run(model, light, ratio, tta=True, uncertainty=True)
    plain, names = run(model, light, ratio), model.card.structures
    found = {}
    for k, name in enumerate(names):
        if name in truth:
            true = zscore_truth(np.asarray(truth[name].array))
            found[name] = [both[len(names) + k], plain[k] - true, both[k] - true]
    return found


def colonies(model: Model, first: int, count: int) -> Iterator[tuple[int, dict]]:
    """(ratio, `errors_of`) of held-out colonies."""
    for seed in range(first, first + count):
        field = simulated_field(seed, SHAPE)
        for ratio in RATIOS:
            yield ratio, errors_of(model, field.light, field.truth, ratio)
            print(f"colony {seed}, r = {ratio}", flush=True)


def thinned(some: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Every so many voxels of volumes, put together by what they are."""
    return [
        np.concatenate([a.ravel()[::EVERY] for a in row])
        for row in zip(*some, strict=True)
    ]


# verbs -------------------------------------------------------------------------------


def cells(values: Sequence[float]) -> str:
    """Cells of a table."""
    return " | ".join(f"{value:.2f}" for value in values)


def fit(options: argparse.Namespace) -> None:
    """Fit every structure of the models, and write it into their cards.

    Run ``python tools/make_checks.py`` after shipped models have changed.
    """
    from napari_sparsessp.models.library import weights_file
    from napari_sparsessp.models.weights import copy_weights

    for name in options.models:
        model = bare(load_model(name))
        every: dict[str, list[Any]] = {}
        for _, found in colonies(model, FIT, options.colonies):
            for structure, one in found.items():
                every.setdefault(structure, []).append(one[:2])
        table = {key: fit_calibration(*thinned(some)) for key, some in every.items()}
        file = weights_file(model.path)
        card = load_model(name).card.model_copy(update={"uncertainty": table})
        copy_weights(file, file, card)
        print(file)


def judge(options: argparse.Namespace) -> None:
    """Print a table for each model; draw the first."""
    for number, name in enumerate(options.models):
        model = load_model(name)
        kept: dict[tuple[str, int], list[Any]] = {}
        for ratio, found in colonies(bare(model), JUDGE, options.colonies):
            for structure, one in found.items():
                kept.setdefault((structure, ratio), []).append(one)
        print(f"\n{model.card.id}\n")
        print("| structure | r | floor | gain |", HEAD, "lowest / highest tenth |")
        print("|---" * 9, "|", sep="")
        drawn, means = {}, []
        for (structure, ratio), some in sorted(kept.items()):
            known = model.card.uncertainty[structure]
            spread, error, error_mean = thinned(some)
            expected = known.expected_error(spread)
            one = drawn[structure, ratio] = reliability(expected, error)
            blocks = float(np.mean([block_rank(a, b) for a, b, _ in some]))
            row = one.ratio, one.within, one.rank, blocks
            means.append((*row, reliability(expected, error_mean).ratio))
            fitted = f"{known.floor:.2f} | {known.gain:.1f}"
            tenths = [f"{share:.2f}" for share in one.found / one.expected]
            ends = f"{tenths[0]} / {tenths[-1]}"
            print(f"| {structure} | {ratio} | {fitted} | {cells(row)} | {ends} |")
        words = (
            "mean: error / expected {:.2f}, within {:.2f}, rank {:.2f}, blocks {:.2f}; "
            "with --tta, error / expected {:.2f}"
        )
        print(words.format(*np.mean(means, axis=0)))
        if number == 0 and options.figure:
            draw(drawn, options.figure)


def draw(table: dict[tuple[str, int], Reliability], path: Path) -> None:
    """Expected against true error by tenths, a panel for each structure."""
    from matplotlib.figure import Figure

    from napari_sparsessp.structures import structure_or_custom

    structures = sorted({structure for structure, _ in table})
    figure = Figure(figsize=(9.6, 7.4), layout="constrained")
    axes = figure.subplots(-(-len(structures) // 4), 4, squeeze=False).ravel()
    for panel, structure in zip(axes, structures, strict=False):
        edge = 0.0
        for ratio in RATIOS:
            one = table[structure, ratio]
            panel.plot(one.expected, one.found, "o-", ms=3.5, lw=1.2,
                       color=COLOURS[ratio], label=f"r = {ratio}")  # fmt: skip
            edge = max(edge, 1.08 * max(one.expected.max(), one.found.max()))
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


def real(options: argparse.Namespace) -> None:
    """Judge DNA on the real crop at every ratio."""
    light = load_volume(options.data, channel="Bright-field")
    truth = {"dna": load_volume(options.data, channel="DNA")}
    print("| model | r |", HEAD)
    print("|---" * 6, "|", sep="")
    for name in options.models:
        model = load_model(name)
        known = model.card.uncertainty["dna"]
        for ratio in (1, 2, 4, 8):
            spread, error, _ = errors_of(bare(model), light, truth, ratio)["dna"]
            one = reliability(known.expected_error(spread).ravel(), error.ravel())
            row = one.ratio, one.within, one.rank, block_rank(spread, error)
            print(f"| {model.card.id} | {ratio} | {cells(row)} |")


def main() -> None:
    """Choose what to do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("fit", "judge", "real"))
    parser.add_argument("models", nargs="*", default=["colony-3to2d"])
    parser.add_argument("--colonies", type=int, default=6)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    {"fit": fit, "judge": judge, "real": real}[options.what](options)


if __name__ == "__main__":
    main()
