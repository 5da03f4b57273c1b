"""Sentences of the Train dock."""

import math
from typing import TYPE_CHECKING

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.look.duration import duration_text

if TYPE_CHECKING:
    from napari_sparsessp.training.loop import Status
    from napari_sparsessp.ui.train.outlook import TrainOutlook
    from napari_sparsessp.ui.train.work import TrainResult

BY_HEART = (
    "The score has not risen for a while though the loss falls: the network now learns "
    "your stack by heart. You can stop; the best state so far is kept."
)


# Fields of a config, as errors of the training name them, and where they are here.
_FIELDS = {
    "recipe.learning_rate": "the learning rate under More",
    "recipe.patch": "the patch under More",
    "set recipe.precision to fp32": "choose the CPU",
    "recipe.batch": "the patch under More",
    "validation.share": "the share that is kept back",
    "choose another out": "choose another id",
}


def dock_words(text: str) -> str:
    """Say of an error what to change in this dock, not in a file."""
    for field, here in _FIELDS.items():
        text = text.replace(field, here)
    return text


def plan_words(seen: "TrainOutlook") -> str:
    """Say what Train would do."""
    labels = [structure_or_custom(one).label for one in seen.structures]
    what = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" * (len(labels) > 3))
    stacks = sum(one.learn is not None for one in seen.parts)
    return f"Ready: {what} from {stacks} stack{'s' * (stacks != 1)}."


def step_words(status: "Status", minutes: float, best: float | None) -> str:
    """Say how far a training is."""
    done = status.share * minutes
    score = "" if best is None else f" · best R² {number(best)}"
    left = ""
    if math.isfinite(status.seconds_left):  # nobody knows before the first step
        left = f" · {duration_text(status.seconds_left)} left"
    return f"{done:.1f} of {minutes:g} min · step {status.step}{score}{left}"


def end_words(result: "TrainResult") -> str:
    """Say in one line what came out."""
    if result.best is None:
        return "Done. Nothing was kept back, so nobody knows how good it is."
    if result.before is None:
        return f"Done: R² {number(result.best)} on the part kept back."
    gain = f"{number(result.before)} → {number(result.best)}"
    return f"Done: R² {gain} on the part kept back."


def headline_words(name: str, before: float | None, best: float | None) -> str:
    """Name the model, and what it has come to."""
    if before is None or best is None:
        return name
    if best <= before:
        return f"{name}: R² {number(before)} before it learns"
    return f"{name}: R² {number(before)} → {number(best)}"


def number(value: float) -> str:
    """Write a score as one prints it, with a real minus."""
    return f"{value:.2f}".replace("-", "−")


def end_notices(result: "TrainResult") -> list[str]:
    """Warn of what is no success."""
    if result.best is None:
        return []
    if result.step == 0:
        return [
            "Nothing was better than the model to begin with, so the new one is the "
            "same: learn for longer, from more cells, or check that light and truth "
            "show the same field."
        ]
    if result.best < 0.05:
        return [
            "Hardly better than guessing the mean brightness: do not trust it yet. "
            "More stacks help most; check that light and truth show the same field."
        ]
    return []
