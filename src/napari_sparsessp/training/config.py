"""What a training is made of: one model for the YAML file and for programs.

Needs no torch, so that a wrong file is refused at once.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_sparsessp.models.card import Positive
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.training.recipe import Recipe

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Ratio = Annotated[int, Field(ge=1, le=64)]
Line = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f]*$")]
Depth = Annotated[int, Field(ge=8, le=512)]
Width = Annotated[int, Field(ge=32, le=2048)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]

DEFAULT_VOXEL = (0.29, 0.29, 0.29)
"""µm; the paper's grid, and that of the shipped models."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSection(_Part):
    """What the new model is called, and what its card says beside the scores.

    Attributes
    ----------
    id : str
        Lower-case letters, digits, ``.``, ``_`` and ``-``.
    name : str, optional
        For people; the id where left out.
    structures : tuple of str, optional
        Ids in the order of the outputs; those of the model that is fine-tuned, or of
        the data, where left out.
    voxel_size : tuple of float, optional
        (z, y, x) in µm of the grid: stacks are resampled to it in y and x.
    version, licence, citation, modality : str
    limits : tuple of str
        Known limits, one sentence each.
    trained_on : str, optional
        Sentences on the data, instead of those that follow from the config.
    scores : Path, optional
        JSON that goes onto the card, beside the scores of the validation.
    weights : {"float32", "float16"}
        Type on disk; float16 halves the file.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
    name: Line | None = None
    structures: Annotated[tuple[Line, ...], Field(min_length=1)] | None = None
    voxel_size: tuple[Positive, Positive, Positive] | None = None
    version: Line = "1"
    licence: Line = "not stated"
    citation: str = ""
    modality: Line = "bright-field"
    limits: tuple[Line, ...] = ()
    trained_on: Line | None = None
    scores: Path | None = None
    weights: Literal["float32", "float16"] = "float32"


class FineTune(_Part):
    """A network that begins as an existing model.

    Attributes
    ----------
    source : str
        ``from`` in the file: a model's id or path.
    freeze_encoder : bool
        Only what comes after the encoder learns.
    blend : float
        Share of the way from the old weights to the new ones that the model keeps:
        on the straight line between them what was learnt before is lost last
        (Wortsman et al. 2022, arXiv 2109.01903).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: Annotated[Line, Field(alias="from")]
    freeze_encoder: bool = False
    blend: Annotated[float, Field(gt=0, le=1)] = 1.0


class Simulated(_Part):
    """Simulated colonies, from a folder or made for this training.

    Attributes
    ----------
    pool : Path, optional
        Folder of colonies; a folder ``validation`` in it is kept for validation.
    colonies : int, optional
        So many are simulated into ``colonies`` in the output folder.
    fresh : bool
        A stock of colonies is renewed one by one while the training goes on.
    slots, every : int
        Colonies in that stock, and the steps after which one of them is replaced.
    held_out : int
        Colonies beside it for validation, always the same.
    seed : int
        Of the first of them; each has the next.
    looks : int
        Bright-field stacks of each.
    shape : tuple of int
        (D, H, W) voxels of each that is simulated here.
    """

    pool: Path | None = None
    colonies: Count | None = None
    fresh: bool = False
    slots: Annotated[int, Field(ge=1, le=10_000)] = 32
    every: Count = 25
    held_out: Annotated[int, Field(ge=0, le=10_000)] = 8
    seed: Seed = 0
    looks: Annotated[int, Field(ge=1, le=64)] = 3
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
    """Real pairs of transmitted light and fluorescence.

    Attributes
    ----------
    path : Path
        A CSV, or a folder of images with both channels in each.
    root : Path, optional
        Where relative paths of the CSV begin; the CSV's own folder by default.
    structure : str, optional
        What the target is, where the CSV does not say; needed for a folder.
    signal, target : str or int, optional
        Channel names or indices, for a folder.
    projection : {"mean", "max"}
        A target of one plane is compared with this projection of the prediction.
    crop : dict
        Axis (``y``, ``x``) to first pixel and the one behind the last, of every file:
        nothing else of it is read.
    share : float, optional
        Of the stacks that patches are drawn from, beside simulated colonies.
    """

    path: Path
    root: Path | None = None
    structure: Line | None = None
    signal: str | int | None = None
    target: str | int | None = None
    projection: Literal["mean", "max"] = "mean"
    crop: dict[Literal["y", "x"], tuple[Annotated[int, Field(ge=0)], Count]] = {}
    share: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _crop_ascends(self) -> Self:
        if any(first >= end for first, end in self.crop.values()):
            raise ValueError("crop needs its smaller pixel first")
        return self


class Data(_Part):
    """Where the training gets its stacks.

    Attributes
    ----------
    simulated : Simulated, optional
    pairs : Pairs, optional
        A path alone is enough for a CSV.
    """

    simulated: Simulated | None = None
    pairs: Pairs | None = None

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
    """How long to learn, and how often to save and validate.

    Attributes
    ----------
    steps, minutes : int or float, optional
        One of them. Only with steps is the result the same on a slower machine.
    save_steps : int, optional
        Steps between states on disk; a tenth of the budget by default.
    save_minutes : float, optional
        The same in minutes; 4, at most a tenth of the budget, by default.
    """

    steps: Count | None = None
    minutes: Positive | None = None
    save_steps: Count | None = None
    save_minutes: Positive | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either steps or minutes")
        return self


class Validation(_Part):
    """What is kept back to choose the best state.

    Attributes
    ----------
    share : float
        Of the stacks, or of their rows or columns; 0 keeps nothing back.
    by : {"stack", "y", "x"}
        Whole stacks, or the far end of every stack along an axis: the way out with
        one or two stacks.
    gap : int
        Pixels of the model's grid along that axis, between the two parts, that are
        in neither: a cell that is cut in two would be in both.
    seed : int
        Of the choice of stacks.
    stacks : int
        At most so many are scored.
    """

    share: Share = 0.1
    by: Literal["stack", "y", "x"] = "stack"
    gap: Annotated[int, Field(ge=0, le=2048)] = 0
    seed: Seed = 0
    stacks: Count = 16

    @model_validator(mode="after")
    def _gap_has_an_axis(self) -> Self:
        if self.gap and self.by == "stack":
            raise ValueError("gap is for by: x or by: y; whole stacks need none")
        return self


class TrainConfig(_Part):
    """A whole training.

    Attributes
    ----------
    out : Path
        Output folder: state, log, cache, and at the end the model.
    model : ModelSection
    network : NetworkConfig or FineTune
        Fields of a new network, or ``from: MODEL``. Its `outputs` follow from the
        structures.
    data : Data
    recipe : Recipe
        ``paper`` or ``fast``, or a recipe's name with changed values.
    ratios : tuple of int, optional
        Sparsity ratios, drawn uniformly; those the model or the network is for.
    random_phase : bool, optional
        The first measured plane is drawn too; the recipe's by default.
    loss : {"mse", "l1", "l1_msssim", "foreground"}
    budget : Budget
    validation : Validation
    seed : int
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    tensorboard : bool
        Also write TensorBoard files.
    """

    out: Path
    model: ModelSection
    network: NetworkConfig | FineTune = NetworkConfig()
    data: Data
    recipe: Recipe = Recipe(name="fast")
    ratios: Annotated[tuple[Ratio, ...], Field(min_length=1)] | None = None
    random_phase: bool | None = None
    loss: Literal["mse", "l1", "l1_msssim", "foreground"] = "mse"
    budget: Budget
    validation: Validation = Validation()
    seed: Seed = 0
    device: str = "auto"
    tensorboard: bool = False

    @model_validator(mode="before")
    @classmethod
    def _which_network(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "network" not in values:
            return values
        return {**values, "network": as_network(values["network"])}


def as_network(values: Any) -> Any:
    """Choose between a new network and a model to begin with, by ``from``.

    Raises
    ------
    pydantic.ValidationError
        A field is impossible.
    """
    if not isinstance(values, dict):
        return values
    kind = FineTune if "from" in values or "source" in values else NetworkConfig
    return kind.model_validate(values)
