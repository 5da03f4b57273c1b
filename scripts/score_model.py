"""Score a model on colonies that it has never seen, as the README and the card say.

    python scripts/score_model.py [--model ID|PATH] [--colonies 12] [--json FILE]
    python scripts/score_model.py --real ../shared/data/allen_hipsc_dna_top.ome.tif

Held-out simulated colonies (seeds from 1 000 000, noise-free truth): mean R² of each
structure and over structures at r = 1, 2, 4, 8, beside the mean intensity by plane.
Real pair: DNA within planes, beside the trivial predictors and the noise ceiling.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from napari_sparsessp import PredictionRequest, load_model, load_volume, predict
from napari_sparsessp.evaluation.sweep import plan_sweep, run_sweep
from napari_sparsessp.evaluation.sweep_report import measure_yardsticks
from napari_sparsessp.evaluation.yardsticks import plane_mean
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
from napari_sparsessp.simulation.optics import photon_noise
from napari_sparsessp.volume import Volume

FIRST_SEED = 1_000_000
RATIOS = (1, 2, 4, 8)
CUBE = (VOXEL, VOXEL, VOXEL)


def _simulated(model, colonies: int) -> dict:
    scores: dict[int | str, list[dict[str, float]]] = {ratio: [] for ratio in RATIOS}
    scores["plane_mean"] = []
    for seed in range(FIRST_SEED, FIRST_SEED + colonies):
        colony = simulate_colony(seed)
        noise = torch.Generator().manual_seed(seed)
        light = (1 + 0.08 * colony.brightfield[0]).clamp_min(0)
        light = photon_noise(light, 20_000, 5.0, noise)
        volume = Volume(light.numpy(), "ZYX", CUBE)
        truth = {
            name: Volume(image.numpy(), "ZYX", CUBE)
            for name, image in zip(colony.structures, colony.fluorescence, strict=True)
        }
        for ratio in RATIOS:
            request = PredictionRequest(simulate_sparse=True, ratio=ratio)
            report = predict(model, volume, request=request, truth=truth).report
            scores[ratio].append(
                {name: one["r2"] for name, one in report.structures.items()}
            )
        scores["plane_mean"].append(
            {
                name: score(plane_mean(zscore_truth(image)), image)["r2"]
                for name, image in ((key, one.numpy()) for key, one in truth.items())
            }
        )
    table = {
        f"r2_{'at' if isinstance(what, int) else 'of'}_{what}": {
            name: round(float(np.mean([one[name] for one in all_])), 3)
            for name in all_[0]
        }
        for what, all_ in scores.items()
    }
    for row in table.values():
        row["mean"] = round(float(np.mean(list(row.values()))), 3)
    return table


def _real(model, path: Path) -> dict:
    volume = load_volume(path, channel="Bright-field")
    truth = {"dna": load_volume(path, channel="DNA")}
    runs = plan_sweep(model.card, volume, truth, PredictionRequest(), RATIOS)
    yardsticks, _, _ = measure_yardsticks(runs[0])
    rows = {
        f"at_{result.ratio}": result.structures["dna"]
        for result, _ in run_sweep(model, runs)
    }
    rows |= yardsticks.trivial["dna"]
    rows["noise_ceiling"] = yardsticks.ceiling["dna"] or {}
    keys = ("pcc_plane", "pcc", "r2", "r2_fitted")
    return {
        name: {key: round(row[key], 3) for key in keys if row.get(key) is not None}
        for name, row in rows.items()
    }


def main() -> None:
    """Score and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--colonies", type=int, default=12)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = load_model(options.model)
    result: dict = {}
    if options.colonies:
        result[f"{options.colonies} held-out simulated colonies"] = _simulated(
            model, options.colonies
        )
    if options.real:
        result["real hiPSC DNA, zero-shot"] = _real(model, options.real)
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text)


if __name__ == "__main__":
    main()
