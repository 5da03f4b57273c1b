"""Trials: small networks, trained alike for so many steps, and scored on the way.

What is compared is the network; data, recipe, seeds and scoring are those of the
ground that all trials stand on.
"""

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.files import atomic_write
from napari_sparsessp.networks.config import NetworkConfig

if TYPE_CHECKING:
    from torch import nn

    from napari_sparsessp.training.loop import TrainingPlan
    from napari_sparsessp.training.patches import Pair, PatchRecipe

RESULT_NAME = "result.json"
TIMED_STEPS = 6
"""Of which the fastest counts; the first ones set up."""

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Trial:
    """One network to try.

    Attributes
    ----------
    name : str
    network : NetworkConfig
    ratios : tuple of int
        It is trained for, drawn uniformly, and scored at.
    """

    name: str
    network: NetworkConfig
    ratios: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Ground:
    """What all trials have in common.

    Attributes
    ----------
    training, held : sequence of Pair
        Learnt from, and scored on.
    structures : tuple of str
        Names of the outputs.
    size : tuple of int
        Height and width of a patch.
    batch : int
    learning_rate : float
        Constant, so that the state after n steps does not depend on how many follow.
    average : float
        Decay of the weights' running mean, which is what is scored.
    random_phase : bool
        Draw the first measured plane in training; scores start at plane 0.
    """

    training: "Sequence[Pair]"
    held: "Sequence[Pair]"
    structures: tuple[str, ...]
    size: tuple[int, int]
    batch: int = 2
    learning_rate: float = 2e-3
    average: float = 0.98
    random_phase: bool = True

    def recipe(self, trial: Trial) -> "PatchRecipe":
        """Say how patches are cut for a network."""
        from napari_sparsessp.training.patches import PatchRecipe

        network = trial.network
        return PatchRecipe(
            network.depth,
            *self.size,
            ratios=trial.ratios,
            noise=(0.01, 0.1),
            gain=0.2,
            tilt=0.0,
            clutter=0.0,
            thin=0.0,
            # A network that takes every r-th plane gets those that were measured.
            random_phase=self.random_phase and network.ratio == 1,
            interpolation=network.interpolation,
            inputs=network.inputs,
            every=network.ratio,
        )

    def plan(self, steps: int, seed: int) -> "TrainingPlan":
        """Say how to learn."""
        from napari_sparsessp.training.loop import TrainingPlan

        return TrainingPlan(
            minutes=0.0,
            steps=steps,
            batch=self.batch,
            learning_rate=self.learning_rate,
            warm_up=0.0,
            schedule="constant",
            average=self.average,
            precision="fp32",
            seed=seed,
        )


def run_trial(
    trial: Trial,
    ground: Ground,
    seed: int,
    marks: Mapping[str, int],
    folder: Path,
    tell: Tell = lambda step, steps: None,
) -> dict[str, Any]:
    """Train a network and score it after each of some numbers of steps.

    Parameters
    ----------
    trial : Trial
    ground : Ground
    seed : int
        Of the weights and of the patches.
    marks : mapping
        Name to steps.
    folder : Path
        Holds state and result; a run that was ended goes on from there.
    tell : callable
        Called after each step with how many are done, of how many.

    Returns
    -------
    dict
        ``trial``, ``seed``, and ``marks``: name to ``steps``, ``r2`` (ratio to the
        mean over structures) and ``structures`` (structure to ratio to R²).

    Raises
    ------
    SparseSSPError
        As `napari_sparsessp.training.loop.train`.
    """
    from napari_sparsessp.training.loop import Status, train

    result = read_result(folder) or {"trial": trial.name, "seed": seed, "marks": {}}
    found: dict[str, Any] = result["marks"]
    last = max(marks.values())

    def listen(status: Status) -> None:
        tell(status.step, last)

    by_steps = {one["steps"]: one for one in found.values()}
    for name, steps in sorted(marks.items(), key=lambda mark: mark[1]):
        if found.get(name, {}).get("steps") == steps:
            continue
        if steps not in by_steps:
            network = _fresh(trial, seed)
            train(network, ground.training, ground.recipe(trial),
                  ground.plan(steps, seed), folder, listen=listen)  # fmt: skip
            by_steps[steps] = {"steps": steps, **_scored(trial, ground, folder)}
        found[name] = by_steps[steps]
        with atomic_write(folder / RESULT_NAME, "result") as part:
            part.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def read_result(folder: Path) -> dict[str, Any] | None:
    """Read what a run has found so far; None where it has not."""
    path = folder / RESULT_NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def step_seconds(trial: Trial, ground: Ground) -> float:
    """Measure one training step, the fastest of some, so that other work matters less.

    Parameters
    ----------
    trial : Trial
    ground : Ground

    Returns
    -------
    float
        Seconds, with as many threads as torch is set to.
    """
    from napari_sparsessp.training.loop import Status, train

    moments: list[float] = []

    def listen(status: Status) -> None:
        moments.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        # The last step also saves.
        plan = ground.plan(TIMED_STEPS + 1, 0)
        train(_fresh(trial, 0), ground.training, ground.recipe(trial), plan,
              Path(folder), listen=listen)  # fmt: skip
    moments = moments[:TIMED_STEPS]
    return min(b - a for a, b in zip(moments, moments[1:], strict=False))


def _fresh(trial: Trial, seed: int) -> "nn.Module":
    import torch

    from napari_sparsessp.networks import build_network

    torch.manual_seed(seed)
    return build_network(trial.network)


def _scored(trial: Trial, ground: Ground, folder: Path) -> dict[str, Any]:
    """Score the averaged weights of the last state."""
    from napari_sparsessp.training.state import RunFolder
    from napari_sparsessp.training.validation import Validator

    network = _fresh(trial, 0)
    network.load_state_dict(RunFolder(folder).averaged())
    validator = Validator(
        ground.held, ground.structures, trial.ratios, trial.network.interpolation
    )
    scores = validator(network.eval())["scores"]
    r2 = {
        str(ratio): sum(one[str(ratio)] for one in scores.values()) / len(scores)
        for ratio in trial.ratios
    }
    return {"r2": r2, "structures": scores}
