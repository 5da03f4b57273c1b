"""The training loop: plain torch, a time budget, resumable."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from napari_sparsessp.training.patches import Pair, PatchRecipe, patch_batches


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
        Peak, reached after `warm_up` of the budget, then a cosine.
    weight_decay, warm_up, average : float
        AdamW's decay; share of the budget; decay of the weights' running average.
    save_every : float
        Minutes between states on disk and validations.
    precision : {"bf16", "fp32"}
        Of the forward pass; weights are always float32.
    seed : int
    device : str
    """

    minutes: float
    steps: int | None = None
    batch: int = 4
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    warm_up: float = 0.02
    average: float = 0.998
    save_every: float = 4.0
    precision: str = "bf16"
    seed: int = 0
    device: str = "cpu"


def learning_rate(plan: TrainingPlan, progress: float) -> float:
    """Warm-up then half a cosine; `progress` runs from 0 to 1."""
    if progress < plan.warm_up:
        return plan.learning_rate * max(progress / plan.warm_up, 0.02)
    share = (progress - plan.warm_up) / (1 - plan.warm_up)
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _progress(plan: TrainingPlan, step: int, spent: float) -> float:
    """Share of the budget that is used up."""
    return step / plan.steps if plan.steps else spent / (60 * plan.minutes)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def train(
    network: nn.Module,
    average: nn.Module,
    pairs: Sequence[Pair],
    recipe: PatchRecipe,
    plan: TrainingPlan,
    folder: Path,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
) -> None:
    """Train until the time budget is used up; continues what `folder` holds.

    Parameters
    ----------
    network, average : Module
        Two of the same shape; `average` ends up with the running mean of the weights.
    pairs : sequence of Pair
    recipe : PatchRecipe
    plan : TrainingPlan
    folder : Path
        Gets ``state.pt`` (to resume) and ``log.jsonl``.
    validate : callable, optional
        Scores the averaged network; what it returns goes into the log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
    )
    state_file = folder / "state.pt"
    step, spent = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, map_location=plan.device, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    else:
        average.load_state_dict(network.state_dict())
    kind = torch.device(plan.device).type
    batches = patch_batches(pairs, recipe, plan.batch, plan.seed + step)
    last, saved, running = time.monotonic(), spent, 0.0
    network.train()
    for source, target in batches:
        rate = learning_rate(plan, _progress(plan, step, spent))
        for group in optimiser.param_groups:
            group["lr"] = rate
        source = source.to(plan.device).contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(kind, torch.bfloat16, enabled=plan.precision == "bf16"):
            prediction = network(source)
        loss = (prediction.float() - target.to(plan.device)).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        # A rare overflow in reduced precision must not end the training.
        if torch.isfinite(norm):
            optimiser.step()
        _follow(average, network, min(plan.average, (1 + step) / (10 + step)))
        step += 1
        running = 0.98 * running + 0.02 * loss.item() if step > 1 else loss.item()
        spent += time.monotonic() - last
        last = time.monotonic()
        done = _progress(plan, step, spent) >= 1
        if done or spent - saved >= 60 * plan.save_every:
            saved = spent
            entry: dict[str, float] = {"step": step, "spent": spent, "loss": running}
            if validate is not None:
                entry.update(validate(average))
            _save_state(state_file, network, average, optimiser, step, spent)
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(entry) + "\n")
            last = time.monotonic()
        if done:
            return


def _save_state(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    step: int,
    spent: float,
) -> None:
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "network": network.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
            "spent": spent,
        },
        partial,
    )
    partial.replace(path)
