"""How long and how fast a training learns."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how fast to learn.

    Attributes
    ----------
    minutes : float
        Time budget; the learning rate falls to zero along it.
    steps : int, optional
        Budget in steps instead, which does not depend on the machine's speed.
    batch : int
    learning_rate : float
        Peak, reached after `warm_up` of the budget.
    weight_decay, warm_up, average : float
        The optimiser's decay; share of the budget; decay of the weights' running
        average, 0 for none.
    save_every : float
        Minutes between states on disk and validations.
    save_steps : int, optional
        The same in steps.
    precision : {"bf16", "fp32"}
        Of the forward pass; weights are always float32.
    seed : int
    device : str
    optimiser : {"adamw", "adam"}
    schedule : {"cosine", "constant"}
    clip : float
        Largest norm of the gradient; 0 does not clip.
    loss : str
        See `napari_sparsessp.training.losses.make_loss`.
    projection : {"mean", "max"}
        Of a prediction whose label is one plane.
    judge_first : bool
        Validate before the first step: what is fine-tuned may be the best already.
    """

    minutes: float
    steps: int | None = None
    batch: int = 4
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    warm_up: float = 0.02
    average: float = 0.998
    save_every: float = 4.0
    save_steps: int | None = None
    precision: str = "bf16"
    seed: int = 0
    device: str = "cpu"
    optimiser: str = "adamw"
    schedule: str = "cosine"
    clip: float = 1.0
    loss: str = "mse"
    projection: str = "mean"
    judge_first: bool = False


def learning_rate(plan: TrainingPlan, progress: float) -> float:
    """Warm-up, then half a cosine or no change; `progress` runs from 0 to 1."""
    if progress < plan.warm_up:
        return plan.learning_rate * max(progress / plan.warm_up, 0.02)
    if plan.schedule == "constant":
        return plan.learning_rate
    share = (progress - plan.warm_up) / (1 - plan.warm_up)
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
