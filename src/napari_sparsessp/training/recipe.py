"""Recipes: how to learn, with every value open to change."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Extent = Annotated[int, Field(ge=8, le=4096)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Noise = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
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
"""What differs from the defaults of `Recipe`."""


class Recipe(BaseModel):
    """How patches are cut and varied, and how the weights follow.

    Attributes
    ----------
    name : {"fast", "paper"}
        Where the values begin that are not given.
    optimiser : {"adamw", "adam"}
    learning_rate : float, optional
        Peak. By default 1.5e-3 (fast; 3e-4 where a model is fine-tuned) or 1e-4.
    weight_decay : float
    warm_up : float
        Share of the budget.
    schedule : {"cosine", "constant"}
        After the warm-up: half a cosine to zero, or as it is.
    average : float
        Decay of the running mean of the weights; 0 keeps none.
    clip : float
        Largest norm of the gradient; 0 does not clip.
    batch : int
        Patches of a step; halved where memory runs out.
    precision : {"auto", "fp32", "bf16"}
        Of the forward pass; weights are always float32. ``auto`` takes bf16 where the
        hardware has it and its gradients are right.
    patch : tuple of int
        (H, W) in voxels; less where the stacks are smaller. Depth is the network's.
    turns : {"dihedral", "flips", "none"}
        The eight symmetries in y and x; or mirrored in z, y and x, each with p = 1/2.
    random_phase : bool
        Which planes count as measured is drawn; otherwise every r-th from the first.
    noise : tuple of float or None
        Range of camera noise in standard deviations of the stack, on a log scale.
    gain : float
        Contrast is multiplied by 2^u, u uniform in ±gain.
    tilt : float
        The lateral spectrum is multiplied by f^u, u uniform in ±tilt.
    clutter : float
        Largest weight with which another part of the stack is added.
    thin : float
        Share of patches whose stack ends inside the window.
    scaling : {"robust", "zscore", "none"}
        How stacks are normalised; that of the model that is fine-tuned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["fast", "paper"] = "fast"
    optimiser: Literal["adamw", "adam"] = "adamw"
    learning_rate: Rate | None = None
    weight_decay: NonNegative = 0.01
    warm_up: Share = 0.02
    schedule: Literal["cosine", "constant"] = "cosine"
    average: Share = 0.998
    clip: NonNegative = 1.0
    batch: Annotated[int, Field(ge=1, le=4096)] = 4
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    patch: tuple[Extent, Extent] = (128, 128)
    turns: Literal["dihedral", "flips", "none"] = "dihedral"
    random_phase: bool = True
    noise: tuple[Noise, Noise] | None = (0.01, 0.5)
    gain: NonNegative = 0.4
    tilt: NonNegative = 0.5
    clutter: NonNegative = 0.4
    thin: Share = 0.1
    scaling: Literal["robust", "zscore", "none"] = "robust"

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
