"""The config of a training: its YAML file, and the same model for programs.

Needs no torch, so that a wrong file is refused at once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_sparsessp.errors import InputError, invalid_field
from napari_sparsessp.files import read_yaml, user_path
from napari_sparsessp.models.card import Count, ModelId, Positive, Scaling
from napari_sparsessp.networks import NetworkConfig

Extent = Annotated[int, Field(ge=8, le=4096)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]

# The paper's section 4.1 and its released code; fast is ours, as the shipped model was
# trained.
RECIPES: dict[str, dict[str, Any]] = {
    "paper": {
        "optimiser": "adam",
        "learning_rate": 1e-4,
        "weight_decay": 0.0,
        "warm_up": 0.0,
        "schedule": "constant",
        "average": 0.0,
        "clip": 0.0,
        "batch": 8,
        "precision": "fp32",
        "turns": "flips",
        "random_phase": False,
        "noise": None,
        "gain": 0.0,
        "tilt": 0.0,
        "clutter": 0.0,
        "thin": 0.0,
        "scaling": "zscore",
    },
    "fast": {},
}
"""Differences from the defaults of `Recipe`."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


PartT = TypeVar("PartT", bound=_Part)


class Recipe(_Part):
    """Recipe of a training: cutting and varying patches, and the optimiser."""

    name: Literal["fast", "paper"] = "fast"  # gives the values that are left out
    optimiser: Literal["adamw", "adam"] = "adamw"
    # Peak. By default 1.5e-3 (fast; 3e-4 where a model is fine-tuned) or 1e-4.
    learning_rate: Positive | None = None
    weight_decay: NonNegative = 0.01
    warm_up: Share = 0.02  # share of the budget
    # After the warm-up: half a cosine to zero, or as it is.
    schedule: Literal["cosine", "constant"] = "cosine"
    average: Share = 0.998  # decay of the running mean of the weights; 0 keeps none
    clip: NonNegative = 1.0  # largest norm of the gradient; 0 does not clip
    # Patches of a step; halved where memory runs out.
    batch: Annotated[int, Field(ge=1, le=4096)] = 4
    # Of the forward pass; weights are always float32. ``auto`` takes bf16 where the
    # hardware has it and its gradients are right.
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    # (H, W) in voxels; less where the stacks are smaller. Depth is the network's.
    patch: tuple[Extent, Extent] = (128, 128)
    # The eight symmetries in y and x; or mirrored in z, y and x, each with p = 1/2.
    turns: Literal["dihedral", "flips", "none"] = "dihedral"
    # Which planes count as measured is drawn; otherwise every r-th from the first.
    random_phase: bool = True
    # Range of camera noise in standard deviations of the stack, on a log scale.
    noise: tuple[Positive, Positive] | None = (0.01, 0.5)
    gain: NonNegative = 0.4  # contrast is multiplied by 2^u, u uniform in ±gain
    # The lateral spectrum is multiplied by f^u, u uniform in ±tilt.
    tilt: NonNegative = 0.5
    # Largest weight with which another part of the stack is added.
    clutter: NonNegative = 0.4
    thin: Share = 0.1  # share of patches whose stack ends inside the window
    # How stacks are normalised; that of the model that is fine-tuned.
    scaling: Scaling = "robust"

    @model_validator(mode="before")
    @classmethod
    def _as_the_recipe_has_it(cls, values: Any) -> Any:
        if isinstance(values, str):
            values = {"name": values}
        if not isinstance(values, dict):
            return values
        return {**RECIPES.get(str(values.get("name", "fast")), {}), **values}

    @model_validator(mode="after")
    def _noise_ascends(self) -> "Recipe":
        if self.noise is not None and self.noise[0] > self.noise[1]:
            raise ValueError("noise needs its smaller value first")
        return self


LossName = Literal["mse", "l1", "l1_msssim", "foreground"]
Ratio = Annotated[int, Field(ge=1, le=64)]
Line = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f]*$")]
Depth = Annotated[int, Field(ge=8, le=512)]
Width = Annotated[int, Field(ge=32, le=2048)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]

DEFAULT_VOXEL = (0.29, 0.29, 0.29)
"""µm; the paper's grid, and that of the shipped models."""


class ModelSection(_Part):
    """Name of the new model, and its card beside the scores."""

    id: ModelId
    name: Line | None = None  # for people; the id where left out
    # Ids in the order of the outputs; those of the model that is fine-tuned, or of the
    # data, where left out.
    structures: Annotated[tuple[Line, ...], Field(min_length=1)] | None = None
    # (z, y, x) in µm of the grid: stacks are resampled to it in y and x.
    voxel_size: tuple[Positive, Positive, Positive] | None = None
    version: Line = "1"
    licence: Line = "not stated"
    citation: str = ""
    modality: Line = "bright-field"
    limits: tuple[Line, ...] = ()  # known limits, one sentence each
    # Sentences on the data, instead of those that follow from the config.
    trained_on: Line | None = None
    # JSON that goes onto the card, beside the scores of the validation.
    scores: Path | None = None
    # Type on disk; float16 halves the file.
    weights: Literal["float32", "float16"] = "float32"


class FineTune(_Part):
    """A network that begins as an existing model."""

    model_config = ConfigDict(populate_by_name=True)

    # ``from`` in the file: a model's id or path.
    source: Annotated[Line, Field(alias="from")]
    freeze_encoder: bool = False  # only what comes after the encoder learns
    # Share of the way from the old weights to the new ones that the model keeps: on the
    # straight line between them what was learnt before is lost last (Wortsman et al.
    # 2022, arXiv 2109.01903).
    blend: Annotated[float, Field(gt=0, le=1)] = 1.0


class Simulated(_Part):
    """Simulated colonies, from a folder or made for this training."""

    # Folder of colonies; a folder ``validation`` in it is kept for validation.
    pool: Path | None = None
    # So many are simulated into ``colonies`` in the output folder.
    colonies: Count | None = None
    # A stock of colonies is renewed one by one while the training goes on.
    fresh: bool = False
    # slots, every: colonies in that stock, and the steps after which one of them is
    # replaced.
    slots: Annotated[int, Field(ge=1, le=10_000)] = 32
    every: Count = 25
    # Colonies beside it for validation, always the same.
    held_out: Annotated[int, Field(ge=0, le=10_000)] = 8
    seed: Seed = 0  # of the first of them; each has the next
    looks: Annotated[int, Field(ge=1, le=64)] = 3  # bright-field stacks of each
    # (D, H, W) voxels of each that is simulated here.
    shape: tuple[Depth, Width, Width] = (56, 160, 160)

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if (self.pool is not None) + (self.colonies is not None) + self.fresh != 1:
            raise ValueError("give a pool folder, a number of colonies, or fresh: true")
        # Not by what was given: a config that was written down gives everything.
        fields = type(self).model_fields
        changed = {
            name for name in fields if getattr(self, name) != fields[name].default
        }
        for name in ("slots", "every", "held_out"):
            if name in changed and not self.fresh:
                raise ValueError(f"{name} is for fresh: true; leave it out")
        if self.pool is not None and "shape" in changed:
            raise ValueError("the colonies of a pool have a shape; leave shape out")
        return self


class Pairs(_Part):
    """Real pairs of transmitted light and fluorescence."""

    path: Path  # a CSV, or a folder of images with both channels in each
    # Where relative paths of the CSV begin; the CSV's own folder by default.
    root: Path | None = None
    # What the target is, where the CSV does not say; needed for a folder.
    structure: Line | None = None
    # signal, target: channel names or indices, for a folder.
    signal: str | int | None = None
    target: str | int | None = None
    # A target of one plane is compared with this projection of the prediction.
    projection: Literal["mean", "max"] = "mean"
    # Axis (``y``, ``x``) to first pixel and the one behind the last, of every file:
    # nothing else of it is read.
    crop: dict[Literal["y", "x"], tuple[Annotated[int, Field(ge=0)], Count]] = {}
    # Of the stacks that patches are drawn from, beside simulated colonies.
    share: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _crop_ascends(self) -> Self:
        if any(first >= end for first, end in self.crop.values()):
            raise ValueError("crop needs its smaller pixel first")
        return self


class Data(_Part):
    """Stacks of a training: simulated colonies, real pairs, or both."""

    simulated: Simulated | None = None
    pairs: Pairs | None = None  # a path alone is enough for a CSV

    @model_validator(mode="before")
    @classmethod
    def _a_path_is_enough(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("pairs"), str):
            return {**values, "pairs": {"path": values["pairs"]}}
        return values

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.simulated is None and self.pairs is None:
            raise ValueError("give simulated, or pairs, or both")
        shared = self.pairs is not None and self.pairs.share is not None
        if shared and (self.simulated is None or self.simulated.fresh):
            raise ValueError("pairs.share needs a pool or a number of colonies")
        return self


class Budget(_Part):
    """Length of a training, and how often to save and validate."""

    # steps, minutes: one of them. Only with steps is the result the same on a slower
    # machine.
    steps: Count | None = None
    minutes: Positive | None = None
    # Steps between states on disk; a tenth of the budget by default.
    save_steps: Count | None = None
    # The same in minutes; 4, at most a tenth of the budget, by default.
    save_minutes: Positive | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either steps or minutes")
        return self


class Validation(_Part):
    """The data that are kept back to choose the best state."""

    # Of the stacks, or of their rows or columns; 0 keeps nothing back.
    share: Share = 0.1
    # Whole stacks, or the far end of every stack along an axis: the way out with one or
    # two stacks.
    by: Literal["stack", "y", "x"] = "stack"
    # Pixels of the model's grid along that axis, between the two parts, that are in
    # neither: a cell that is cut in two would be in both.
    gap: Annotated[int, Field(ge=0, le=2048)] = 0
    seed: Seed = 0  # of the choice of stacks
    stacks: Count = 16  # at most so many are scored

    @model_validator(mode="after")
    def _gap_has_an_axis(self) -> Self:
        if self.gap and self.by == "stack":
            raise ValueError("gap is for by: x or by: y; whole stacks need none")
        return self


class TrainConfig(_Part):
    """A whole training."""

    out: Path  # output folder: state, log, cache, and at the end the model
    model: ModelSection
    # Fields of a new network, or ``from: MODEL``. Its `outputs` follow from the
    # structures.
    network: NetworkConfig | FineTune = NetworkConfig()
    data: Data
    # ``paper`` or ``fast``, or a recipe's name with changed values.
    recipe: Recipe = Recipe(name="fast")
    # Sparsity ratios, drawn uniformly; those the model or the network is for.
    ratios: Annotated[tuple[Ratio, ...], Field(min_length=1)] | None = None
    # The first measured plane is drawn too; the recipe's by default.
    random_phase: bool | None = None
    loss: LossName = "mse"
    budget: Budget
    validation: Validation = Validation()
    seed: Seed = 0
    device: str = "auto"  # ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``
    tensorboard: bool = False  # also write TensorBoard files

    @model_validator(mode="before")
    @classmethod
    def _which_network(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "network" not in values:
            return values
        return {**values, "network": as_network(values["network"])}


def as_network(values: Any) -> Any:
    """Choose between a new network and a model to begin with, by ``from``."""
    if not isinstance(values, dict):
        return values
    kind = FineTune if "from" in values or "source" in values else NetworkConfig
    return kind.model_validate(values)


_SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): TrainConfig,
    ("model",): ModelSection,
    ("data",): Data,
    ("data", "simulated"): Simulated,
    ("data", "pairs"): Pairs,
    ("recipe",): Recipe,
    ("budget",): Budget,
    ("validation",): Validation,
}


def read_config(path: str | Path) -> TrainConfig:
    """Read a YAML file; relative paths in it begin at its folder.

    InputError names the field that is impossible and what would be right.
    """
    path = user_path(path)
    values = read_yaml(path, "config")
    return make_config(values, path.parent)


def make_config(values: Any, folder: Path | None = None) -> TrainConfig:
    """Check a config; raises InputError as `read_config` does."""
    if not isinstance(values, dict):
        raise InputError("the config has no `field: value` lines; see docs/training.md")
    try:
        # First and alone, so that an error is of one kind of network.
        network = as_network(values.get("network", {}))
        config = TrainConfig.model_validate({**values, "network": network})
    except ValidationError as error:
        raise InputError(_first(error, values)) from error
    return _placed(config, folder or Path())


def _first(error: ValidationError, values: dict[str, Any]) -> str:
    first = error.errors()[0]
    place = tuple(str(part) for part in first["loc"])
    if error.title in ("NetworkConfig", "FineTune"):
        place = ("network", *place)
    if first["type"] == "extra_forbidden":
        section = place[:-1]
        kind = _SECTIONS.get(section)
        if section == ("network",):
            kind = FineTune if error.title == "FineTune" else NetworkConfig
        known = ", ".join(
            field.alias or name for name, field in kind.model_fields.items()
        ) if kind else "none of that name"  # fmt: skip
        where = f"{'.'.join(section)} has" if section else "a config has"
        return f"{where} no field {place[-1]}; it has {known}"
    name = ".".join(place) or "config"
    if first["type"] == "missing":
        return f"the config lacks {name}; add it (see docs/training.md)"
    _, reason = invalid_field(error)
    value: Any = values
    for part in place:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            break
    shown = "" if isinstance(value, Mapping) else f" {value!r}"
    return f"{name}{shown} cannot be used: {reason[0].lower()}{reason[1:]}"


def _placed(part: PartT, folder: Path) -> PartT:
    """Make paths absolute, so that nothing depends on where a program runs."""
    update: dict[str, Any] = {}
    for name, value in part:
        if isinstance(value, Path):
            update[name] = (folder / user_path(value)).absolute()
        elif isinstance(value, FineTune):
            beside = (folder / user_path(value.source)).absolute()
            if beside.exists():
                update[name] = value.model_copy(update={"source": str(beside)})
        elif isinstance(value, _Part):
            update[name] = _placed(value, folder)
    return part.model_copy(update=update)


def config_text(config: TrainConfig, folder: Path | None = None) -> str:
    """Write what differs from the defaults as YAML that `read_config` reads.

    Paths of what lies in `folder`, where the file will be, are relative to it, so that
    both can be moved together; absolute without it.
    """
    import yaml

    values = config.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    # Said in any case: a reader shall not have to know the defaults of a version.
    recipe = config.recipe.model_dump(mode="json")
    start = Recipe(name=config.recipe.name).model_dump(mode="json")
    changed = {name: one for name, one in recipe.items() if one != start[name]}
    values["recipe"] = {"name": config.recipe.name, **changed}
    values["seed"], values["device"] = config.seed, config.device
    values["validation"] = config.validation.model_dump(mode="json")
    if folder is not None:
        values = _relative(values, folder.absolute())
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _relative(value: Any, folder: Path) -> Any:
    """Shorten the paths of what lies in a folder."""
    if isinstance(value, dict):
        return {name: _relative(one, folder) for name, one in value.items()}
    if isinstance(value, str) and Path(value).is_absolute():
        path = Path(value)
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return value
