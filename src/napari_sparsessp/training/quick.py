"""A whole training from the few things that a person decides; all else has a default.

The defaults are for one or a few stacks of the microscope that the model will be used
on, and ten minutes on a CPU. docs/training.md has what they give, and the command.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.library import DEFAULT_MODEL, user_folder
from napari_sparsessp.training.config import (
    Budget,
    Data,
    FineTune,
    ModelSection,
    Pairs,
    TrainConfig,
    Validation,
)
from napari_sparsessp.training.recipe import Recipe

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

LossName = Literal["mse", "l1", "l1_msssim", "foreground"]


@dataclass(frozen=True)
class Wish:
    """What a person decides about a training.

    Attributes
    ----------
    id : str
        Of the new model.
    pairs : Pairs
        Where the stacks are.
    validation : Validation
        What is kept back.
    name, licence : str
        Licence of the data.
    source : str
        Model to begin with.
    freeze_encoder : bool
        Only what comes after the encoder learns.
    minutes : float
    device : str
    ratios : tuple of int, optional
        The model's own where left out.
    patch : int, optional
        Pixels along a side.
    learning_rate : float, optional
    loss : str
    """

    id: str
    pairs: Pairs
    validation: Validation
    name: str = ""
    licence: str = ""
    source: str = DEFAULT_MODEL
    freeze_encoder: bool = False
    minutes: float = MINUTES
    device: str = "auto"
    ratios: tuple[int, ...] | None = None
    patch: int | None = None
    learning_rate: float | None = None
    loss: LossName = "mse"


def trainings_folder() -> Path:
    """Folder with a folder for each training; it need not exist."""
    return user_folder() / "trainings"


def run_folder(id_: str) -> Path:
    """Folder of the training of a model, unless another is chosen."""
    return trainings_folder() / id_


def quick_config(wish: Wish, out: Path) -> TrainConfig:
    """Make a whole config of what a person decided.

    Parameters
    ----------
    wish : Wish
    out : Path
        Output folder.

    Returns
    -------
    TrainConfig

    Raises
    ------
    InputError
        A value is impossible; names the field.
    """
    rate = RATE if wish.learning_rate is None else wish.learning_rate
    recipe: dict[str, object] = {"name": "fast", "learning_rate": rate}
    if wish.patch is not None:
        recipe["patch"] = (wish.patch, wish.patch)
    try:
        return TrainConfig(
            out=out,
            model=ModelSection(
                id=wish.id,
                name=wish.name or None,
                licence=wish.licence or "not stated",
            ),
            network=FineTune.model_validate(
                {"from": wish.source, "freeze_encoder": wish.freeze_encoder}
            ),
            data=Data(pairs=wish.pairs),
            recipe=Recipe.model_validate(recipe),
            ratios=wish.ratios,
            loss=wish.loss,
            budget=Budget(
                minutes=wish.minutes,
                save_minutes=max(LEAST_SAVE_MINUTES, wish.minutes / SAVES),
            ),
            validation=wish.validation,
            device=wish.device,
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{field} cannot be used: {reason}; change it") from error
