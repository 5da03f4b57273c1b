"""Train the shipped models again: a recipe is a config of ``sparsessp train``.

    python recipes/run.py pool POOL                        # 312 colonies, 13 GB
    python recipes/run.py train colony colony-3to2d --pool POOL --run RUN
    python recipes/run.py train hipsc-dna split --pool POOL --data DATA --run RUN
    python recipes/run.py score hipsc-dna split --data DATA --run RUN

A recipe, ``recipes/NAME.yaml``, has ``base``, a config, and ``steps``, what each step
changes of it; ``$POOL``, ``$DATA`` and ``$RUN`` stand for the folders that are given.
``train`` writes RUN/STEP/train.yaml and runs ``sparsessp train`` with it; the same
command resumes. ``score`` predicts what ``score`` of the recipe names, at every ratio,
with the step's model and the one that it began with, and writes RUN/STEP.json, which
``model.scores`` of a later step puts on its card. ``--set budget.steps=10`` changes a
value.
"""

import argparse
import json
import sys
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import yaml

from napari_sparsessp import PredictionRequest, load_model, load_volume, predict
from napari_sparsessp.volume import Volume

HERE = Path(__file__).resolve().parent
RECIPES = sorted(path.stem for path in HERE.glob("*.yaml"))
TRAINING_SEEDS, VALIDATION_SEEDS = range(300), range(900_000, 900_012)
KEYS = ("r2", "pcc", "pcc_plane")


def read_recipe(name: str, **folders: Path | None) -> dict[str, Any]:
    """Read a recipe and fill in the folders that are given."""
    given = {k.upper(): str(v.absolute()) for k, v in folders.items() if v is not None}
    text = (HERE / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(Template(text).safe_substitute(given, HERE=str(HERE)))


def config_of(recipe: dict[str, Any], step: str, *changes: str) -> dict[str, Any]:
    """Return the config of a step, with ``section.field=value`` changed."""
    if step not in recipe["steps"]:
        raise SystemExit(f"no step {step}; choose of {', '.join(recipe['steps'])}")
    config = merged(recipe["base"], recipe["steps"][step])
    config.pop("score", None)
    for change in changes:
        place, _, value = change.partition("=")
        new = yaml.safe_load(value)
        for name in reversed(place.split(".")):
            new = {name: new}
        config = merged(config, new)
    return config


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return a config with another's values over it; null removes one."""
    both = {}
    for key, value in other.items():
        inner = isinstance(value, dict) and isinstance(one.get(key), dict)
        # A model to begin with takes the place of a new network.
        inner = inner and "from" not in value
        both[key] = merged(one[key], value) if inner else value
    return {key: value for key, value in {**one, **both}.items() if value is not None}


def train(options: argparse.Namespace) -> None:
    """Train a step of a recipe."""
    from napari_sparsessp.cli.main import app_main

    folders = {"pool": options.pool, "data": options.data, "run": options.run}
    recipe = read_recipe(options.recipe, **folders)
    config = config_of(recipe, options.step, *options.set)
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    if "$" in text:
        raise SystemExit("the recipe needs --pool or --data too; see --help")
    file = Path(config["out"]) / "train.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    app_main(["train", str(file)])


def make_pool(options: argparse.Namespace) -> None:
    """Simulate the colonies that the colony models learn from, and those to score."""
    from napari_sparsessp.simulation.pool import fill_pool

    held = options.folder / "validation"
    for folder, seeds in ((options.folder, TRAINING_SEEDS), (held, VALIDATION_SEEDS)):
        for seed in fill_pool(folder, seeds, device=options.device):
            print("colony", seed, flush=True)


def score(options: argparse.Namespace) -> None:
    """Score a step's model, and the one that it began with, where a recipe says."""
    recipe = read_recipe(options.recipe, data=options.data, run=options.run)
    config = config_of(recipe, options.step)
    what = merged(recipe["score"], recipe["steps"][options.step].get("score", {}))
    model = Path(config["out"]) / f"{config['model']['id']}.safetensors"
    models = {options.step: model, "before": config.get("network", {}).get("from")}
    table: dict[str, Any] = {"on": what["on"]}
    for name, source in models.items():
        if source is not None:
            table[name] = scores_of(source, what)
    text = json.dumps(table, indent=1, ensure_ascii=False)
    print(text)
    (options.run / f"{options.step}.json").write_text(text + "\n", encoding="utf-8")


def scores_of(source: str | Path, what: dict[str, Any]) -> dict[str, Any]:
    """Score a model at each ratio, on the crop of a recipe's ``score``."""
    model, found = load_model(source), {}
    light = cropped(load_volume(what["light"], channel=what["channel"]), what["crop"])
    truth = {
        name: cropped(load_volume(what["truth"], channel=channel), what["crop"])
        for name, channel in what["structures"].items()
    }
    for ratio in what["ratios"]:
        request = PredictionRequest(
            structures=tuple(truth),
            ratio=float(ratio),
            simulate_sparse=ratio > 1,
            device="cpu",
        )
        report = predict(model, light, request=request, truth=truth).report
        for name, row in report.structures.items():
            found[f"{name}, r = {ratio}"] = {
                key: round(row[key], 3) for key in KEYS if row.get(key) is not None
            }
    return found


def cropped(volume: Volume, crop: dict[str, list[int]]) -> Volume:
    """Cut pixels out of a volume: axis to first and end."""
    index = tuple(slice(*crop.get(axis.lower(), (None,))) for axis in volume.axes)
    return volume.with_(array=np.asarray(volume.array)[index])


def main() -> None:
    """Run one verb."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    pool = verbs.add_parser("pool", help="simulate the colonies")
    pool.add_argument("folder", type=Path)
    pool.add_argument("--device", default="cpu")
    pool.set_defaults(do=make_pool)
    for do in (train, score):
        verb = verbs.add_parser(do.__name__, help=do.__doc__)
        verb.add_argument("recipe", choices=RECIPES)
        verb.add_argument("step")
        verb.add_argument("--run", type=Path, required=True, help="folder of results")
        verb.add_argument("--data", type=Path, help="folder of real files")
        verb.add_argument("--pool", type=Path, help="folder of colonies")
        verb.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
        verb.set_defaults(do=do)
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    sys.exit(main())
