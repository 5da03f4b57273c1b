"""Reproduce the shipped model neurons-isl: 13 planes of phase contrast to 3 stains.

    python scripts/train_neurons.py split --data FOLDER --run DIR    # columns 0 to 511
    python scripts/train_neurons.py score --data FOLDER --model FILE --json FILE
    python scripts/train_neurons.py all --data FOLDER --run DIR --scores FILE

FOLDER holds isl_neurons_phase_left.ome.tif and isl_neurons_labels_left.ome.tif (In
silico labeling, Christiansen et al. 2018; CC BY 4.0). ``split`` learns from columns
0 to 511, ``score`` measures on 512 to 639 (Pearson, beside the trivial predictors),
``all`` learns from every column by the same recipe and puts those scores on the card.
The training is that of ``sparsessp train``; each step continues where it stopped.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from napari_sparsessp.cli.console import Console
from napari_sparsessp.cli.train_data import find_labels, read_stacks
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.models.store import load_model, save_model
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.training.config import TrainConfig
from napari_sparsessp.training.config_file import make_config
from napari_sparsessp.training.loop import Status
from napari_sparsessp.training.run import run_training
from napari_sparsessp.training.setup import make_setup

PHASE, LABELS = "isl_neurons_phase_left.ome.tif", "isl_neurons_labels_left.ome.tif"
STAINS = ("dapi", "map2", "nfh")
CUT = 512
"""Columns before it are learned from in ``split``; those from it on are scored."""

SMOOTH = 3.0  # pixels; a third of a nucleus' radius, not tuned on the labels

VOXEL = (1.0, 0.3, 0.3)
"""µm, a guess: the files record none; nuclei of about 30 pixels are about 9 µm. Stacks
without a voxel size are taken as they are."""

MODEL = {
    "id": "neurons-isl",
    "version": "0.1.0",
    "name": "Neurons: DAPI, MAP2, NFH from phase contrast (in silico labeling)",
    "structures": list(STAINS),
    "voxel_size": list(VOXEL),
    "modality": "phase contrast",
    "licence": "CC BY 4.0",
    "citation": (
        "Christiansen et al., In silico labeling, Cell 173 (2018), "
        "doi:10.1016/j.cell.2018.03.040 (data)"
    ),
    "weights": "float16",
    "limits": [
        "Has seen a part of one well: human motor neurons derived from iPSCs, fixed, "
        "13 planes of phase contrast of one microscope. Other cells, contrasts and "
        "magnifications are outside of what it knows.",
        "Gives one plane: what a maximum projection of a confocal stack would show, "
        "not where in z it is. Needs all 13 planes.",
        "Pixel size and step in z of its data are not recorded: the voxel size in "
        "this card is a guess from the size of nuclei. A stack without a voxel size "
        "is taken as it is.",
        "Says where a stain is better than how bright: the few brightest cells and "
        "axons come out too dim.",
        "Only some tens of nuclei were seen, most of them in clumps.",
    ],
}
NETWORK = {
    "backbone": "dod",
    "topology": "2d",
    "conditioning": "multihead",
    "inputs": 1,
    "depth": 13,
    "encoder_widths": [24, 48, 96, 160],
    "encoder_blocks": [1, 2, 2, 2],
    "decoder_widths": [24, 48, 96],
    "norm": "none",
    "standardised": True,
}
RECIPE = {
    "name": "fast",
    "batch": 2,
    "patch": [192, 192],
    "learning_rate": 0.002,
    "weight_decay": 0.05,
    "noise": [0.01, 0.3],
    "tilt": 0.3,
    "clutter": 0.0,
    "thin": 0.0,
}


def config_of(run: Path, steps: int) -> TrainConfig:
    """The whole training, as the YAML file of ``sparsessp train`` would have it."""
    return make_config(
        {
            "out": str(run),
            "model": MODEL,
            "network": NETWORK,
            "data": {"pairs": str(run / "data" / "pairs.csv")},
            "recipe": RECIPE,
            "ratios": [1],
            "loss": "mse",
            "budget": {"steps": steps},
            "validation": {"share": 0},
        }
    )


def cut_columns(data: Path, folder: Path, columns: slice) -> None:
    """Write some columns of the pair, and the list that training reads."""
    folder.mkdir(parents=True, exist_ok=True)
    phase = tifffile.imread(data / PHASE)[..., columns]
    labels = tifffile.imread(data / LABELS).reshape(3, 1, len(phase[0]), -1)
    names = {"axes": "CZYX", "Channel": {"Name": [name.upper() for name in STAINS]}}
    files = {"phase.ome.tif": (phase, {"axes": "ZYX"})}
    files["labels.ome.tif"] = (labels[..., columns], names)
    for name, (array, metadata) in files.items():
        if not (folder / name).exists():  # another time stamp would be another cache
            tifffile.imwrite(folder / name, array, metadata=metadata)
    rows = [f"phase.ome.tif,0,labels.ome.tif,{k},{s}" for k, s in enumerate(STAINS)]
    head = "path,signal,path_target,target,structure"
    (folder / "pairs.csv").write_text("\n".join([head, *rows]) + "\n")


def learn(data: Path, run: Path, columns: slice, steps: int) -> Path:
    """Train on some columns; the model's file."""
    cut_columns(data, run / "data", columns)
    config = config_of(run, steps)
    setup = make_setup(config)
    stacks = read_stacks(Console(), setup, find_labels(config.data.pairs))

    def tell(status: Status) -> None:
        if status.step % 20 == 0:
            print(status.step, f"{status.loss:.4f}", flush=True)

    path = run_training(setup, stacks, tell)
    assert path is not None
    return path


def trivial(phase: np.ndarray) -> dict[str, np.ndarray]:
    """Predictors that know nothing of the stains, each a z-scored (1, H, W)."""
    from scipy.ndimage import gaussian_filter

    light = zscore_truth(phase.astype(np.float32))
    mean = light.mean(0)
    size = [0, SMOOTH, SMOOTH]
    spread = gaussian_filter(light**2, size) - gaussian_filter(light, size) ** 2
    rough = np.sqrt(np.maximum(spread, 0)).mean(0)
    shown = {"input": mean, "negative": -mean, "roughness": rough}
    return {name: zscore_truth(one[None]) for name, one in shown.items()}


def scores_of(model_file: Path, data: Path) -> dict[str, Any]:
    """Pearson and R² of each stain on the columns from `CUT` on."""
    model, phase = load_model(model_file), load_volume(data / PHASE)
    labels = load_volume(data / LABELS)
    request = PredictionRequest(precision="fp32", device="cpu")
    whole = predict(model, phase, request=request).volume.array
    strip = phase.with_(array=np.asarray(phase.array)[..., CUT:])
    alone = predict(model, strip, request=request).volume.array
    truth = {s: np.asarray(labels.channel(k).array) for k, s in enumerate(STAINS)}
    predictors = {"model": whole[..., CUT:], "model, strip alone": alone}
    for name, image in trivial(np.asarray(phase.array)).items():
        predictors[name] = np.stack([image[..., CUT:]] * len(STAINS))
    table: dict[str, Any] = {
        "on": f"columns {CUT} to 639 of isl_neurons_left, one plane, trained on "
        f"columns 0 to {CUT - 1} by the same recipe"
    }
    for measure in ("pcc", "r2"):
        for name, images in predictors.items():
            row = {
                s: round(score(images[k], truth[s][..., CUT:])[measure], 3)
                for k, s in enumerate(STAINS)
            }
            table[f"{measure} of {name}"] = row
        # A constant, the mean by plane of one plane, has no Pearson and R² 0.
    return table


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["split", "score", "all"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scores", type=Path, help="JSON of the step score")
    options = parser.parse_args()
    if options.step == "score":
        table = json.dumps(scores_of(options.model, options.data), indent=2)
        print(table)
        if options.json is not None:
            options.json.write_text(table + "\n")
        return
    columns = slice(0, CUT) if options.step == "split" else slice(None)
    path = learn(options.data, options.run.absolute(), columns, options.steps)
    if options.scores is not None:
        model = load_model(path)
        scores = {"split": json.loads(options.scores.read_text())}
        card = model.card.model_copy(update={"scores": scores})
        save_model(path, model.network, card, dtype=torch.float16)
    print(path)


if __name__ == "__main__":
    main()
