"""From a few options to a whole config, and from a config to all that it leaves open.

`QuickOptions` are the few things that a person decides; all else has a default, for one
or a few stacks of the microscope that the model will be used on, and ten minutes on a
CPU (docs/training.md has what they give). Needs no torch, and no toolkit: the dicts at
the fields of `QuickOptions` are what a form needs to ask for them.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError

from napari_sparsessp.errors import InputError, invalid_field
from napari_sparsessp.files import atomic_write, output_errors
from napari_sparsessp.models.card import ModelCard, Scaling
from napari_sparsessp.models.library import DEFAULT_MODEL, read_card, user_folder
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.config import (
    DEFAULT_VOXEL,
    Budget,
    Data,
    FineTune,
    LossName,
    ModelSection,
    Pairs,
    Recipe,
    TrainConfig,
    Validation,
)

CONFIG_NAME = "config.json"

RATES = {"paper": 1e-4, "fast": 1.5e-3}
"""Of a new network; the first is the paper's."""

GENTLE_RATE = 3e-4
"""Of ``fast`` where a model is fine-tuned: what it knows is not to be lost."""

_MAY_CHANGE = ("out", "budget", "device", "tensorboard", "model")
"""A training may be resumed with these changed."""


@dataclass(frozen=True)
class ResolvedConfig:
    """A config, and all that it leaves open, decided."""

    config: TrainConfig
    source: ModelCard | None  # of the model that is fine-tuned
    voxel_size: tuple[float, float, float]  # (z, y, x) in µm of the model's grid
    scaling: Scaling  # how the transmitted light is normalised

    @property
    def learning_rate(self) -> float:
        """Peak of the learning rate."""
        recipe = self.config.recipe
        if recipe.learning_rate is not None:
            return recipe.learning_rate
        gentle = recipe.name == "fast" and self.source is not None
        return GENTLE_RATE if gentle else RATES[recipe.name]

    def structures(self, labelled: Sequence[str]) -> tuple[str, ...]:
        """Order the network's outputs; `labelled` are the structures of the data."""
        named = self.config.model.structures
        if named is not None:
            wanted = [structure_id(name) for name in named]
        else:
            # Outputs that no label holds would drift while the others learn.
            known = CATALOGUE if self.source is None else self.source.structures
            wanted = [one for one in known if one in labelled]
            wanted += sorted(set(labelled) - set(wanted))
        if len(set(wanted)) != len(wanted):
            raise InputError("model.structures lists one twice; list each once")
        missing = [one for one in wanted if one not in labelled]
        # A model that is fine-tuned may keep more than the new data show.
        if not set(wanted) & set(labelled) or (missing and self.source is None):
            listed = ", ".join(sorted(set(labelled))) or "none"
            raise InputError(
                f"the data have no label of {', '.join(missing)}; they have {listed}: "
                "change model.structures, or the structure column"
            )
        return tuple(wanted)

    def network(self, structures: Sequence[str]) -> NetworkConfig:
        """Describe the network with an output for each structure."""
        given = self.config.network
        outputs = len(structures)
        if isinstance(given, FineTune):
            assert self.source is not None
            fields = dict(self.source.network)
        else:
            fields = given.model_dump(mode="json")
            if "outputs" in given.model_fields_set and given.outputs != outputs:
                raise InputError(
                    f"network.outputs {given.outputs} does not fit {outputs} "
                    "structures; leave it out"
                )
        return NetworkConfig.model_validate({**fields, "outputs": outputs})

    def ratios(self, network: NetworkConfig) -> tuple[int, ...]:
        """Sparsity ratios to draw from."""
        if self.config.ratios is not None:
            return self.config.ratios
        if network.ratio > 1:
            return (network.ratio,)
        known = () if self.source is None else self.source.ratios
        whole = tuple(int(one) for one in known if one == int(one))
        return whole or (1, 2, 4, 8)

    def random_phase(self, network: NetworkConfig) -> bool:
        """Whether the first measured plane is drawn."""
        if self.config.random_phase is not None:
            return self.config.random_phase
        # A network that takes every r-th plane gets those that were measured.
        return self.config.recipe.random_phase and network.ratio == 1


def structure_id(name: str) -> str:
    """Return the catalogue's id for its own names and data sets, else an id of its own.

    Stains stay what they are called: a model may bring ``dapi`` beside ``dna``.
    """
    slug = "_".join(re.findall(r"[a-z0-9]+", name.lower())) or name.strip()
    for one in CATALOGUE.values():
        label = one.label.lower().replace(" ", "_")
        if slug in (one.id, one.dataset, label):
            return one.id
    return slug


def resolve_config(config: TrainConfig) -> ResolvedConfig:
    """Decide what does not depend on the data."""
    source = None
    if isinstance(config.network, FineTune):
        source = read_card(config.network.source)
        if source.members:
            raise InputError(
                f"{source.id} is a bundle of {len(source.members)} models; start from "
                "one of the .safetensors files in its folder"
            )
    voxel = config.model.voxel_size
    if voxel is None:
        voxel = DEFAULT_VOXEL if source is None else source.voxel_size
    if config.data.simulated is not None and voxel != DEFAULT_VOXEL:
        raise InputError(
            f"model.voxel_size {voxel} does not fit data.simulated: colonies are made "
            f"on {DEFAULT_VOXEL[0]} µm cubes; leave one of them out"
        )
    recipe = config.recipe
    keeps = source is not None and "scaling" not in recipe.model_fields_set
    scaling = source.scaling if keeps and source is not None else recipe.scaling
    return ResolvedConfig(config, source, voxel, scaling)


def claim_folder(
    config: TrainConfig, structures: Sequence[str], owner: bool = True
) -> None:
    """Make sure that the output folder holds this training or none.

    `structures` are the network's outputs; a process that is no `owner` only looks.
    Raises InputError where another training is there; names what differs.
    """
    folder: Path = config.out
    file = folder / CONFIG_NAME
    now = json.loads(config.model_dump_json(by_alias=True))
    # The same number of outputs in another order would fit, and be wrong.
    now["structures"] = list(structures)
    now["voxel_size"] = now["model"].pop("voxel_size")
    if (folder / "state.pt").exists() and file.exists():
        try:
            before = _as_today(json.loads(file.read_text(encoding="utf-8")))
        except ValueError:
            before = {}
        differing = [
            name for name in now if name not in _MAY_CHANGE
            and now[name] != before.get(name)
        ]  # fmt: skip
        if differing:
            raise InputError(
                f"{folder} holds a training with another {' and '.join(differing)}; "
                "choose another out, or remove that folder to start again"
            )
    if owner:
        make_folder(folder)
        with atomic_write(file) as part:
            part.write_text(json.dumps(now, indent=2), encoding="utf-8")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it."""
    with output_errors(f"into {folder}", "make room or choose another folder"):
        folder.mkdir(parents=True, exist_ok=True)


def _as_today(before: Any) -> Any:
    """A config with the fields that have been added since, as they were meant."""
    known = {name: before[name] for name in before if name in TrainConfig.model_fields}
    try:
        config = TrainConfig.model_validate(known)
    except ValidationError:
        return before
    return {**before, **json.loads(config.model_dump_json(by_alias=True))}


MINUTES = 10.0
"""Enough for one small pair on a CPU: it is learnt by heart long before."""

RATE = 1e-4
"""Peak of the learning rate: a third of what ``fast`` takes to fine-tune. One small
pair is learnt by heart less soon (docs/training.md)."""

LEAST_SAVE_MINUTES = 0.5
SAVES = 20
"""Validations in a budget: what is learnt by heart is best after a minute or two."""

CONFIG_FILE = "train.yaml"
"""In a run's folder: what `sparsessp train` runs to get the same."""

PAIRS_FILE = "pairs.csv"


MOST_RATIO = 64


def read_ratios(text: str) -> tuple[int, ...]:
    """Read sparsity ratios from a text; raise ValueError with what would be right."""
    words = text.replace(",", " ").replace(";", " ").split()
    if not words or not all(
        word.isdecimal() and 1 <= int(word) <= MOST_RATIO for word in words
    ):
        raise ValueError(
            f"r has to be whole numbers from 1 to {MOST_RATIO}, such as 1, 2, 4, 8"
        )
    return tuple(sorted({int(word) for word in words}))


def write_ratios(ratios: Sequence[int]) -> str:
    """Write sparsity ratios as `read_ratios` reads them."""
    return ", ".join(map(str, ratios))


def read_rate(text: str) -> float:
    """Read a learning rate from a text; raise ValueError with what would be right."""
    try:
        rate = float(text.replace(",", "."))
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise ValueError("the learning rate has to be a number above 0, such as 0.0001")
    return rate


@dataclass(frozen=True)
class QuickOptions:
    """Options that a person decides about a training, and how forms ask for them."""

    id: Annotated[
        str,
        {
            "label": "Id",
            "name": "Id of the new model",
            "live": True,
            "tooltip": "How files and the command line call it. It has to be a new "
            "one: a model that is there is never replaced.",
        },
    ]
    pairs: Pairs
    validation: Validation
    name: Annotated[
        str,
        {
            "label": "Name",
            "name": "Name of the new model",
            "live": True,
            "tooltip": "What you call the new model in the lists.",
        },
    ] = ""
    licence: Annotated[
        str,
        {
            "label": "Data licence",
            "name": "Licence of the data",
            "none": "not stated",
            "suggestions": (
                *("CC BY 4.0", "CC0", "CC BY-NC 4.0"),
                "own data, not to be shared",
            ),
            "tooltip": "Under what licence your images are: whoever gets the model "
            "has to know.",
        },
    ] = ""
    source: Annotated[
        str,
        {
            "name": "Model to begin with",
            "choices": (),
            "tooltip": "What the new model knows before it learns from your pairs. It "
            "stays as it is; a new one is made.",
        },
    ] = DEFAULT_MODEL
    freeze_encoder: Annotated[
        bool,
        {
            "label": "Freeze its first half (the encoder)",
            "tooltip": "Only the second half of the network learns: faster, needs less "
            "memory, and forgets less of what it knew. It also learns less, so leave "
            "it off unless you are in a hurry.",
        },
    ] = False
    minutes: Annotated[
        float,
        {
            "name": "Minutes to learn",
            "unit": " min",
            "decimals": 1,
            "min": 0.1,
            "max": 10_000.0,
            "tooltip": "How long to learn. Ten minutes on a CPU are enough for one "
            "small pair; many stacks want an hour and a graphics card. You can stop at "
            "any moment.",
        },
    ] = MINUTES
    device: str = "auto"
    ratios: Annotated[
        tuple[int, ...] | None,
        {
            "label": "Every r-th plane",
            "name": "Sampling to learn, every r-th plane",
            "none": "those of the model",
            "read": read_ratios,
            "write": write_ratios,
            "tooltip": "Every r-th plane is shown to the network while it learns, so "
            "that it can predict from so few. 1, 2, 4, 8 makes it good at all of them.",
        },
    ] = None
    patch: Annotated[
        int | None,
        {
            "label": "Patch",
            "unit": " pixels",
            "none": "automatic",
            "max": 1024,
            "step": 16,
            "tooltip": "Side of the pieces that are learnt from, 128 by itself. "
            "Smaller needs less memory; stacks that are smaller are taken whole.",
        },
    ] = None
    learning_rate: Annotated[
        float | None,
        {
            "label": "Learning rate",
            "none": f"automatic ({RATE:.4f})",
            "read": read_rate,
            "write": "{:g}".format,
            "tooltip": "How fast the weights change. Lower it where the loss jumps, or "
            "is no number.",
        },
    ] = None
    loss: Annotated[
        LossName,
        {
            "label": "Loss",
            "choices": (
                ("mse", "squared error (as published)", "What R² measures."),
                ("l1", "absolute error", "Minds bright outliers less."),
                (
                    "l1_msssim",
                    "absolute error and structure",
                    "Half of it compares patterns.",
                ),
                (
                    "foreground",
                    "foreground counts more",
                    "For structures that fill little of a stack; costs R².",
                ),
            ),
            "tooltip": "What is made small while it learns.",
        },
    ] = "mse"


def trainings_folder() -> Path:
    """Folder with a folder for each training; it need not exist."""
    return user_folder() / "trainings"


def run_folder(id_: str) -> Path:
    """Folder of the training of a model, unless another is chosen."""
    return trainings_folder() / id_


def quick_config(options: QuickOptions, out: Path) -> TrainConfig:
    """Make a whole config of what a person decided; InputError names a wrong field."""
    rate = RATE if options.learning_rate is None else options.learning_rate
    recipe: dict[str, object] = {"name": "fast", "learning_rate": rate}
    if options.patch is not None:
        recipe["patch"] = (options.patch, options.patch)
    try:
        return TrainConfig(
            out=out,
            model=ModelSection(
                id=options.id,
                name=options.name or None,
                licence=options.licence or "not stated",
            ),
            network=FineTune.model_validate(
                {"from": options.source, "freeze_encoder": options.freeze_encoder}
            ),
            data=Data(pairs=options.pairs),
            recipe=Recipe.model_validate(recipe),
            ratios=options.ratios,
            loss=options.loss,
            budget=Budget(
                minutes=options.minutes,
                save_minutes=max(LEAST_SAVE_MINUTES, options.minutes / SAVES),
            ),
            validation=options.validation,
            device=options.device,
        )
    except ValidationError as error:
        field, reason = invalid_field(error)
        raise InputError(f"{field} cannot be used: {reason}; change it") from error
