"""Reproduce the shipped model neurons-isl: 13 planes of phase contrast to 3 stains.

    python scripts/train_neurons.py split --data FOLDER --run DIR  # columns 0 to 511
    python scripts/train_neurons.py score --data FOLDER --run DIR  # columns 512 to 639
    python scripts/train_neurons.py all --data FOLDER --run DIR    # all columns

FOLDER holds isl_neurons_phase_left.ome.tif and isl_neurons_labels_left.ome.tif (In
silico labeling, Christiansen et al. 2018; CC BY 4.0). ``split`` learns from columns
0 to 511, at a high rate and then at a lower one.
``score`` measures it on the others, beside the trivial predictors. ``all`` goes on with
every column and puts those scores on the card. The training is that of ``sparsessp
train``; each step continues where it stopped, and leaves a model in DIR.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
import yaml

from napari_sparsessp.cli.main import app_main
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.models.library import load_model, save_model
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest

PHASE, LABELS = "isl_neurons_phase_left.ome.tif", "isl_neurons_labels_left.ome.tif"
STAINS = ("dapi", "map2", "nfh")
CUT = 512
"""Columns before it are learned from in ``split``; those from it on are scored."""

STEPS = {"rough": 1258, "fine": 200, "all": 200}
"""Of the three phases."""

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
    "weight_decay": 0.05,
    "clutter": 0.0,
    "thin": 0.0,
}
# Strong noise keeps a network that sees one field from learning it by heart: with at
# most 0.05 in the later phases, scores on unseen columns fell.
ROUGH = {"learning_rate": 0.002, "noise": [0.01, 0.3], "gain": 0.4, "tilt": 0.3}
FINE = {**ROUGH, "learning_rate": 0.0006, "average": 0.995}


def config_of(run: Path, data: Path, steps: int, begin: Path | None) -> dict[str, Any]:
    """One phase, as the YAML file of ``sparsessp train`` has it.

    Parameters
    ----------
    run, data : Path
        Output folder; folder with ``pairs.csv``.
    steps : int
    begin : Path or None
        The model to go on with; a fresh network where there is none.
    """
    fresh = begin is None
    return {
        "out": str(run),
        "model": MODEL if fresh else {**MODEL, "limits": []},
        "network": NETWORK if fresh else {"from": str(begin)},
        "data": {"pairs": str(data / "pairs.csv")},
        "recipe": {**RECIPE, **(ROUGH if fresh else FINE)},
        "ratios": [1],
        "loss": "mse",
        "budget": {"steps": steps},
        "validation": {"share": 0},
    }


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


def learn(run: Path, data: Path, steps: int, begin: Path | None = None) -> Path:
    """Train one phase with ``sparsessp train``; the model's file."""
    run.mkdir(parents=True, exist_ok=True)
    file = run / "train.yaml"
    file.write_text(yaml.safe_dump(config_of(run, data, steps, begin)))
    try:
        app_main(["train", str(file)])
    except SystemExit as end:
        if end.code:
            raise
    return run / f"{MODEL['id']}.safetensors"


def with_card(path: Path, out: Path, words: str, scores: dict[str, Any]) -> None:
    """Write the model with what it has seen, in plain words, and its scores."""
    model = load_model(path)
    changes = {
        "trained_on": words,
        "scores": scores,
        "limits": tuple(MODEL["limits"]),
    }
    save_model(
        out, model.network, model.card.model_copy(update=changes), dtype=torch.float16
    )


def words_of(steps: tuple[int, ...]) -> str:
    """What the model was trained on; steps of each phase."""
    phases = [
        f"{steps[0]} steps and, at a lower rate, {steps[1]}, on columns 0 to {CUT - 1}"
    ]
    if len(steps) > 2:
        phases.append(f"then {steps[2]} steps on all columns")
    width, height = RECIPE["patch"]
    return (
        "One field of one well of the in silico labeling data (condition_blue_sample), "
        "left 640 of its columns: 1024×640 pixels, 13 planes of phase contrast, with "
        f"DAPI, MAP2 and NFH as maximum projections. {', '.join(phases)}, of "
        f"{RECIPE['batch']} patches of 13×{height}×{width} voxels in eight symmetries, "
        "strong changes of contrast and noise, squared error. The last running mean of "
        f"the weights. Of five recipes, the scores on columns {CUT} to 639 were seen."
    )


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
        "on": f"columns {CUT} to 639 of isl_neurons_left, one plane, by the state that "
        f"had seen columns 0 to {CUT - 1} only"
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


def run_step(options: argparse.Namespace) -> None:
    """Run one step; each needs those before it."""
    run: Path = options.run.absolute()
    half, split = run / "split.safetensors", run / "split.json"
    if options.step == "split":
        cut_columns(options.data, run / "left", slice(0, CUT))
        rough = learn(run / "rough", run / "left", options.rough)
        fine = learn(run / "fine", run / "left", options.fine, rough)
        with_card(fine, half, words_of((options.rough, options.fine)), {})
    elif options.step == "score":
        table = json.dumps(scores_of(half, options.data), indent=2)
        print(table)
        split.write_text(table + "\n")
    else:
        cut_columns(options.data, run / "whole", slice(None))
        path = learn(run / "all", run / "whole", options.all, half)
        words = words_of((options.rough, options.fine, options.all))
        scores = {"split": json.loads(split.read_text())}
        with_card(path, run / "neurons-isl.safetensors", words, scores)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["split", "score", "all"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    for phase, steps in STEPS.items():
        parser.add_argument(f"--{phase}", type=int, default=steps, help="steps")
    run_step(parser.parse_args())


if __name__ == "__main__":
    main()
