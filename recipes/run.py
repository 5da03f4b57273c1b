"""Reproduce hipsc-dna: a colony model, fine-tuned on the one real pair there is.

    python scripts/train_hipsc.py tune  --pool DIR --from MODEL --data FILE
    python scripts/train_hipsc.py split --pool DIR --from MODEL --data FILE --out FILE
    python scripts/train_hipsc.py score --from MODEL --data FILE [--rows 32:64]
    python scripts/train_hipsc.py all   --pool DIR --from MODEL --data FILE --out FILE

FILE of ``--data`` is allen_hipsc_dna_top.ome.tif (32×64×128 voxels; Allen Institute
Software License, so neither it nor what learns from it may be used commercially). DIR
is a pool of simulated colonies, as ``scripts/train_colony.py simulate`` makes it: the
crop is so small that the network would otherwise learn it by heart.

``tune`` is how to choose steps, rate and share without a look at the test: four
trainings on rows 0 to 31, each without a quarter of the columns, which it then scores.
``split`` learns from rows 0 to 31 and prints the scores of rows 32 to 63, beside those
of the model that it began with, the trivial predictors and the noise ceiling. ``all``
learns from every row by the same recipe; ``--scores`` puts what ``split`` said on the
card.
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_sparsessp.evaluation.sweep import plan_sweep, run_sweep
from napari_sparsessp.evaluation.sweep_report import measure_yardsticks
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.metrics import score
from napari_sparsessp.models.serialisation import digest_of_tensors
from napari_sparsessp.models.store import Model, load_model, save_model
from napari_sparsessp.models.verification import make_check
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.normalisation import normalise
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.simulation.pool import PooledColony, open_pool
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.config import TrainConfig
from napari_sparsessp.training.config_file import make_config
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.training.run import Stacks, run_training
from napari_sparsessp.training.setup import make_setup
from napari_sparsessp.training.starting import starting_network
from napari_sparsessp.volume import Volume

LIGHT, TARGET, STRUCTURE = "Bright-field", "DNA", "dna"
RATIOS = (1, 2, 4, 8)
CUT = 32
"""Rows before it are learned from in ``split``; those from it on are scored."""

FOLDS = 4
"""Of the columns, in ``tune``."""

KEYS = ("pcc_plane", "pcc", "r2", "r2_fitted")

LIMITS = [
    "Has seen one crop of 32×64×128 voxels, some ten nuclei of one colony on one "
    "microscope, beside simulated colonies; other cells, contrasts and magnifications "
    "are outside of what it knows.",
    "Fluorescence of the crop is noisy, and dims towards the upper planes: the "
    "prediction does so too.",
    "Has seen data under the Allen Institute Software License: not for commercial use.",
]
MODEL = {
    "id": "hipsc-dna",
    "version": "0.1.0",
    "name": "hiPSC colony, DNA, fine-tuned on one real crop",
    "structures": [STRUCTURE],
    "modality": "bright-field",
    "licence": (
        "Allen Institute Software License (redistribution for non-commercial use only)"
    ),
    "citation": (
        "Ounkomol et al., Nature Methods 15 (2018), doi:10.1038/s41592-018-0111-2 "
        "(data: Allen Institute for Cell Science, AllenCellModeling/pytorch_fnet)"
    ),
    "weights": "float16",
    "limits": LIMITS,
}


@dataclass(frozen=True)
class Recipe:
    """What may be chosen.

    Attributes
    ----------
    steps : int
    rate : float
        Peak of the learning rate.
    share : float
        Of the patches, real ones.
    blend : float
        Share of the way from the old weights to the tuned ones that is gone: on the
        straight line between them what was known before is lost last (Wortsman et
        al. 2022, arXiv 2109.01903).
    freeze : bool
        Leave the encoder as it is.
    seed : int
    """

    steps: int = 120
    rate: float = 3e-4
    share: float = 0.5
    blend: float = 1.0
    freeze: bool = False
    seed: int = 0


def config_of(begin: str, pool: Path, out: Path, recipe: Recipe) -> TrainConfig:
    """The training, as the YAML file of ``sparsessp train`` would have it."""
    return make_config(
        {
            "out": str(out),
            "model": MODEL,
            "network": {"from": begin, "freeze_encoder": recipe.freeze},
            "data": {"simulated": {"pool": str(pool)}},
            # The running mean forgets within the few steps that there are.
            "recipe": {"learning_rate": recipe.rate, "average": 0.98},
            "ratios": list(RATIOS),
            "budget": {"steps": recipe.steps},
            "validation": {"share": 0},
            "seed": recipe.seed,
        }
    )


def cut(volume: Volume, rows: slice) -> Volume:
    """Some rows of a (z, y, x) volume."""
    return volume.with_(array=np.asarray(volume.array)[:, rows])


def real_pair(data: Path, rows: slice, hidden: slice | None = None) -> Pair:
    """The crop's rows as a stack to learn from; the columns of `hidden` do not count.

    Light and target are normalised by what these rows hold, nothing else.
    """
    light = np.asarray(load_volume(data, channel=LIGHT).array, np.float32)[:, rows]
    scale = normalise(light)
    target = np.asarray(load_volume(data, channel=TARGET).array, np.float32)[:, rows]
    counts = np.ones(target.shape, bool)
    if hidden is not None:
        counts[..., hidden] = False
    seen = target[counts]
    target = (target - seen.mean()) / seen.std()
    stack = ((light - scale.mean) / scale.std).astype(np.float32)
    return Pair(stack[None], [target], masks=(counts,), name=data.name)


def mixed(pair: Pair, colonies: list[PooledColony], share: float) -> list[Pair]:
    """Colonies, and the pair as often as makes its patches `share` of all."""
    row = list(CATALOGUE).index(STRUCTURE)
    simulated = [Pair(c.brightfield, [c.fluorescence[row]]) for c in colonies]
    times = max(1, round(len(simulated) * share / (1 - share)))
    return simulated + [pair] * times


def learn(
    options: argparse.Namespace, out: Path, rows: slice, hidden: slice | None = None
) -> Path:
    """Train, and give the model's file in `out`."""
    recipe = Recipe(
        options.steps,
        options.rate,
        options.share,
        options.blend,
        options.freeze,
        options.seed,
    )
    setup = make_setup(config_of(options.begin, options.pool, out, recipe))
    colonies = open_pool(options.pool)
    pair = real_pair(options.data, rows, hidden)
    assert setup.source is not None
    extent = "×".join(map(str, pair.targets[0].shape))
    words = [
        f"Fine-tuned from {setup.source.id} {setup.source.version}, which had seen: "
        f"{setup.source.trained_on}",
        f"Bright-field and DNA of one crop of {extent} voxels of a real hiPSC colony "
        f"({options.data.name}, Allen Institute for Cell Science), "
        f"{recipe.share:.0%} of the patches; the others are of {len(colonies)} "
        "simulated colonies.",
        f"The weights are {recipe.blend:.0%} of the way from the old to the tuned.",
    ]
    stacks = Stacks((STRUCTURE,), mixed(pair, colonies, recipe.share), [], words)
    path = run_training(setup, stacks, lambda status: _tell(status.step, status.loss))
    assert path is not None
    begin = starting_network(setup, setup.network((STRUCTURE,)), (STRUCTURE,))
    return blend(path, begin, recipe.blend)


@torch.no_grad()
def blend(path: Path, begin: torch.nn.Module, share: float) -> Path:
    """Go back along the straight line to where the training began; rewrites the file.

    Parameters
    ----------
    path : Path
        Of the tuned model.
    begin : Module
        The network before the first step.
    share : float
        1 leaves the tuned weights.
    """
    model = load_model(path)
    if begin.config.standardised:
        begin.bake()  # as the tuned file is
    old = begin.state_dict()
    between = {
        name: torch.lerp(old[name], tensor, share).to(torch.float16)
        for name, tensor in model.network.state_dict().items()
    }
    model.network.load_state_dict(between)
    check = make_check(model.network, digest_of_tensors(between))
    card = model.card.model_copy(update={"check": check})
    return save_model(path, model.network, card, dtype=torch.float16)


def _tell(step: int, loss: float) -> None:
    if step % 25 == 0:
        print(f"step {step}, loss {loss:.3f}", flush=True)


def tune(options: argparse.Namespace) -> dict[str, float]:
    """Score columns that were kept back, within the rows that may be learned from.

    Every column is predicted by the one training that did not learn from it; what
    they say together is scored, for a single fold holds about one nucleus.
    """
    rows, begin = slice(0, CUT), load_model(options.begin)
    light = cut(load_volume(options.data, channel=LIGHT), rows)
    truth = np.asarray(load_volume(options.data, channel=TARGET).array)[:, rows]
    width = truth.shape[-1] // FOLDS
    shown = {ratio: np.empty_like(truth, np.float32) for ratio in RATIOS}
    for fold in range(FOLDS):
        hidden = slice(fold * width, (fold + 1) * width)
        with tempfile.TemporaryDirectory() as folder:
            tuned = load_model(learn(options, Path(folder), rows, hidden))
        for ratio in RATIOS:
            shown[ratio][..., hidden] = _dna(tuned, light, ratio)[..., hidden]
    table = {}
    for ratio in RATIOS:
        for name, image in (
            ("before", _dna(begin, light, ratio)),
            ("after", shown[ratio]),
        ):
            value = score(image, truth)["pcc_plane"]
            table[f"{name}, r = {ratio}"] = round(value, 3)
    return table


def _dna(model: Model, light: Volume, ratio: int) -> np.ndarray:
    request = PredictionRequest(
        simulate_sparse=True, ratio=ratio, structures=(STRUCTURE,), device="cpu"
    )
    return np.asarray(predict(model, light, request=request).volume.array).reshape(
        light.array.shape
    )


def scores_of(model: Model, data: Path, rows: slice) -> dict[str, Any]:
    """Scores of some rows at every ratio: given alone, and within the whole crop."""
    light = load_volume(data, channel=LIGHT)
    dna = load_volume(data, channel=TARGET)
    alone, truth = cut(light, rows), cut(dna, rows)
    request = PredictionRequest(device="cpu")
    runs = plan_sweep(model.card, alone, {STRUCTURE: truth}, request, RATIOS)
    table = {
        f"r = {result.ratio}": _few(result.structures[STRUCTURE])
        for result, _ in run_sweep(model, runs)
    }
    target = np.asarray(truth.array)
    for ratio in RATIOS:
        shown = _dna(model, light, ratio)[:, rows]
        table[f"r = {ratio}, within the crop"] = _few(score(shown, target))
    yardsticks, _, _ = measure_yardsticks(runs[0])
    for name, row in yardsticks.trivial[STRUCTURE].items():
        table[name] = _few(row)
    table["noise_ceiling"] = _few(yardsticks.ceiling[STRUCTURE] or {})
    return table


def _few(row: Any) -> dict[str, float]:
    return {key: round(row[key], 3) for key in KEYS if row.get(key) is not None}


def _text(table: dict[str, Any], depth: int = 1) -> str:
    """JSON with a line for each row of scores."""
    lines = []
    for name, row in table.items():
        nested = isinstance(row, dict) and any(
            isinstance(v, dict) for v in row.values()
        )
        value = _text(row, depth + 1) if nested else json.dumps(row, ensure_ascii=False)
        lines.append(f"{' ' * depth}{json.dumps(name)}: {value}")
    return "{\n" + ",\n".join(lines) + "\n" + " " * (depth - 1) + "}"


def _rows(text: str) -> slice:
    first, last = text.split(":")
    return slice(int(first), int(last))


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["tune", "split", "score", "all"])
    parser.add_argument("--pool", type=Path, help="simulated colonies")
    parser.add_argument("--from", dest="begin", default="colony-3to2d")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="the model file to write")
    parser.add_argument("--rows", type=_rows, default=slice(CUT, 2 * CUT))
    parser.add_argument("--scores", type=Path, help="JSON that split wrote or is to")
    chosen = Recipe()
    parser.add_argument("--steps", type=int, default=chosen.steps)
    parser.add_argument("--rate", type=float, default=chosen.rate)
    parser.add_argument("--share", type=float, default=chosen.share)
    parser.add_argument("--blend", type=float, default=chosen.blend)
    parser.add_argument("--freeze", action="store_true", help="the encoder")
    parser.add_argument("--seed", type=int, default=chosen.seed)
    options = parser.parse_args()
    if options.step == "tune":
        print(json.dumps(tune(options), indent=1))
        return
    if options.step == "score":
        scores = scores_of(load_model(options.begin), options.data, options.rows)
        print(_text(scores))
        return
    _write(options)


def _write(options: argparse.Namespace) -> None:
    """The steps that leave a model: ``split`` scores it, ``all`` cites that score."""
    split = options.step == "split"
    rows = slice(0, CUT) if split else slice(None)
    with tempfile.TemporaryDirectory() as folder:
        made = learn(options, Path(folder), rows)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, options.out)
    if split:
        held = slice(CUT, 2 * CUT)
        table = {
            "on": f"rows {CUT} to {2 * CUT - 1} of {options.data.name}, trained on "
            f"rows 0 to {CUT - 1} by the same recipe",
            "fine-tuned": scores_of(load_model(options.out), options.data, held),
            "before": scores_of(load_model(options.begin), options.data, held),
        }
        text = _text(table)
        print(text)
        if options.scores is not None:
            options.scores.write_text(text + "\n")
    elif options.scores is not None:
        model = load_model(options.out)
        scores = {"split": json.loads(options.scores.read_text())}
        card = model.card.model_copy(update={"scores": scores})
        save_model(options.out, model.network, card, dtype=torch.float16)
    print(options.out)


if __name__ == "__main__":
    main()
