"""The training loop: plain torch, a budget in steps or minutes, resumable."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from napari_sparsessp.errors import InputError, PredictionError
from napari_sparsessp.prediction.device import out_of_memory
from napari_sparsessp.tasks import Cancelled, Progress, no_progress
from napari_sparsessp.training.checkpoints import Position, RunFolder
from napari_sparsessp.training.distributed import Group
from napari_sparsessp.training.losses import make_loss, project
from napari_sparsessp.training.pairs import Pair
from napari_sparsessp.training.patches import (
    Batch,
    PatchRecipe,
    RenewedPairs,
    batches,
    cut_batch,
)

LOG_STEPS = 20
"""Steps between lines of the log that hold the loss alone."""

NORM_BATCHES = 40
"""Batches that the statistics of batch norms are measured on, for averaged weights."""

HOPELESS = 50
"""Steps in a row without a finite gradient after which training gives up."""


@dataclass(frozen=True)
class TrainingPlan:
    """Budget and optimiser of a training; see also `Recipe` of the config."""

    minutes: float  # time budget; the learning rate falls to zero along it
    steps: int | None = None  # the budget instead: it depends on no machine's speed
    batch: int = 4
    learning_rate: float = 1.5e-3  # peak, reached after `warm_up` of the budget
    weight_decay: float = 0.01
    warm_up: float = 0.02
    average: float = 0.998
    save_every: float = 4.0  # minutes between states on disk and validations
    save_steps: int | None = None  # the same in steps
    precision: str = "bf16"
    seed: int = 0
    device: str = "cpu"
    optimiser: str = "adamw"
    schedule: str = "cosine"
    clip: float = 1.0
    loss: str = "mse"
    projection: str = "mean"  # of a prediction whose label is one plane
    # Validate before the first step: what is fine-tuned may be the best already.
    judge_first: bool = False


def learning_rate(plan: TrainingPlan, share: float) -> float:
    """Return the rate after a share (0 to 1) of the budget.

    Warm-up, then half a cosine or no change. torch's own schedules count steps, which
    are unknown beforehand where the budget is in minutes.
    """
    if share < plan.warm_up:
        return plan.learning_rate * max(share / plan.warm_up, 0.02)
    if plan.schedule == "constant":
        return plan.learning_rate
    share = (share - plan.warm_up) / (1 - plan.warm_up)
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


class _LearningNorms(nn.Module):
    """The batch norms of a network that learn, for `update_bn`.

    The network itself is no submodule: frozen norms keep their statistics, and nothing
    but the norms goes into training mode.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            module
            for module in network.modules()
            if isinstance(module, _BatchNorm)
            and all(weight.requires_grad for weight in module.parameters())
        )
        self._call = network.forward

    def forward(self, batch: Batch) -> torch.Tensor:
        return self._call(batch.source, tasks=batch.tasks)


def update_norms(
    network: nn.Module, batches: Iterable[Batch], device: torch.device
) -> None:
    """Measure the batch-norm statistics of averaged weights: all batches count alike.

    A running mean would follow the last few batches of the network that learns.
    """
    norms = _LearningNorms(network.eval()).eval()
    update_bn(batches, norms, device)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Status:
    """Loss and rate after a step."""

    step: int
    share: float
    seconds_left: float
    loss: float
    rate: float
    entry: dict[str, Any] | None = None  # what was logged, where a state was saved
    note: str = ""  # something that the user should know


def train(
    network: nn.Module,
    pairs: Sequence[Pair],
    recipe: PatchRecipe,
    plan: TrainingPlan,
    folder: Path,
    validate: Callable[[nn.Module], dict[str, Any]] | None = None,
    listen: Callable[[Status], None] | None = None,
    progress: Progress = no_progress,
    group: Group | None = None,
) -> None:
    """Train until the budget is used up; resumes what `folder` holds.

    The network lies on the plan's device; parameters without gradient stay as they
    are. `folder` gets ``state.pt`` (to resume), ``best.pt`` (where validation gives an
    ``r2``) and ``log.jsonl``. `validate` scores the averaged network; what it returns
    goes into the log. `listen` is called after each step, `progress` also while stacks
    are waited for; `group` are other processes that train with this one.

    Raises
    ------
    Cancelled
        By `progress` or `validate`; the state was saved after the step.
    SparseSSPError
        Memory does not suffice for one patch, the loss is never finite, or the folder
        cannot be written or holds another training.
    """
    listen = listen if group is None or group.main else None
    _Run(
        network, pairs, recipe, plan, folder, validate, listen, progress,
        group or Group(),
    ).go()  # fmt: skip


@dataclass(eq=False)
class _Run:
    """One training: network, its average, the optimiser and where they are."""

    network: nn.Module
    pairs: Sequence[Pair]
    recipe: PatchRecipe
    plan: TrainingPlan
    folder: Path
    validate: Callable[[nn.Module], dict[str, Any]] | None
    listen: Callable[[Status], None] | None
    progress: Progress
    group: Group

    def __post_init__(self) -> None:
        network, plan, group, folder = self.network, self.plan, self.group, self.folder
        self.device = torch.device(plan.device)
        kind = torch.optim.AdamW if plan.optimiser == "adamw" else torch.optim.Adam
        self.learning = [p for p in network.parameters() if p.requires_grad]
        self.optimiser = kind(
            self.learning, lr=plan.learning_rate, weight_decay=plan.weight_decay
        )
        self.loss = make_loss(plan.loss)
        config: Any = network.config
        several = any(len(pair.targets) > 1 for pair in self.pairs)
        # Where all structures come out of one pass, all labels of a stack count.
        self.outputs = config.outputs if several and not config.per_structure else None
        self.average: AveragedModel | None = None
        if plan.average:
            self.average = AveragedModel(network, multi_avg_fn=self._mean_of_weights)
            self.average.n_averaged += 1  # the initial weights
            self.average.eval()
        self.files = RunFolder(folder, group.main)
        resumed = self.files.load(network, self._averaged, self.optimiser, self.device)
        self.at = resumed or Position(batch=plan.batch)
        if group.largest(self.at.step)[0] != self.at.step:
            raise InputError(
                f"not all processes find the same state in {folder}; choose an out "
                "that all of them can read"
            )
        uneven = self.outputs is None and config.outputs > 1
        self.called = group.wrap(network, uneven)
        self.saved = (self.at.step, self.at.spent)
        self.lost = 0
        self.cancelled = False

    @property
    def _averaged(self) -> nn.Module | None:
        return None if self.average is None else self.average.module

    def _mean_of_weights(self, averaged: Any, current: Any, _: Any) -> None:
        """Let averaged weights follow: faster at first, when they are still bad."""
        decay = min(self.plan.average, (1 + self.at.step) / (10 + self.at.step))
        get_ema_multi_avg_fn(decay)(averaged, current, _)

    def go(self) -> None:
        """Train until the budget is used up, or raise `Cancelled`."""
        if self.plan.judge_first and not self.at.step:
            self._emit(entry=self._save(validated=True))
        self._to_training()
        workers = 1  # that cut patches: on the CPU the network wants the cores
        if self.device.type != "cpu":
            workers = max(1, min(8, (os.cpu_count() or 2) // 2))
        while self._share() < 1:
            stream = batches(
                self.pairs, self.recipe, self.at.batch, self.plan.seed,
                self.at.step, self.outputs, workers=workers,
                rank=self.group.rank,
                waiting=self._report if self.group.count == 1 else None,
            )  # fmt: skip
            with closing(stream):
                self._learn_from(stream)

    def _learn_from(self, stream: Iterator[Batch]) -> None:
        """Learn until the budget is used up or a batch was too large for memory."""
        while self._share() < 1:
            since = time.monotonic()
            try:
                batch = next(stream)
            except Cancelled:  # while the next stacks were waited for
                self._after_step(cancelled=True)
                raise
            if not self._fits(batch):
                return
            self.at.spent += time.monotonic() - since
            cancelled = float(self._is_cancelled())
            self.at.spent, cancelled = self.group.largest(self.at.spent, cancelled)
            self._after_step(bool(cancelled))
            if cancelled and self._share() < 1:
                raise Cancelled

    def _report(self) -> None:
        self.progress(self._share(), None, "learning")

    def _is_cancelled(self) -> bool:
        try:
            self._report()
        except Cancelled:
            self.cancelled = True
        return self.cancelled

    def _fits(self, batch: Batch) -> bool:
        """Learn from a batch; false where it was too large and has been halved."""
        try:
            self._learn(batch.to(self.device))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if self.group.count > 1:  # the others are waiting for these gradients
                raise PredictionError(
                    "memory does not suffice for this process's patches; lower "
                    "recipe.batch, which is that of each process"
                ) from error
            self.optimiser.zero_grad(set_to_none=True)
        else:
            return True
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.at.batch == 1:
            raise PredictionError(
                "memory does not suffice for a single patch; choose a smaller "
                "recipe.patch or network, or another device"
            )
        self.at.batch //= 2
        self._emit(note=f"out of memory: the batch is halved to {self.at.batch}")
        return False

    def _learn(self, batch: Batch) -> None:
        plan = self.plan
        rate = learning_rate(plan, self._share())
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        source = batch.source
        if self.device.type != "mps":  # there channels last is no faster layout
            source = source.contiguous(memory_format=torch.channels_last_3d)
        reduced = plan.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=reduced):
            prediction = self.called(source, tasks=batch.tasks)
        prediction = project(
            prediction.float(), batch.weight, batch.projected, plan.projection
        )
        loss = self.loss(prediction, batch.target, batch.weight)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.group.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.learning, plan.clip or math.inf)
        # A rare overflow in reduced precision must not end the training.
        if torch.isfinite(norm) and torch.isfinite(loss):
            self.optimiser.step()
            if self.average is not None:
                self.average.update_parameters(self.network)
            # A plain mean at first, else the first patch would count for long.
            share = max(0.02, 1 / (self.at.step + 1))
            old, new = self.at.loss, loss.item()
            self.at.loss = new if math.isnan(old) else old + share * (new - old)
            self.lost = 0
        else:
            self.at.skipped += 1
            self.lost += 1
        self.at.step += 1
        if self.lost >= HOPELESS:
            raise PredictionError(
                f"the loss was not finite in {HOPELESS} steps in a row; lower "
                "recipe.learning_rate or set recipe.precision to fp32"
            )

    def _after_step(self, cancelled: bool) -> None:
        done = self._share() >= 1
        steps, seconds = self.at.step - self.saved[0], self.at.spent - self.saved[1]
        due = (
            steps >= self.plan.save_steps
            if self.plan.save_steps
            else seconds >= 60 * self.plan.save_every
        )
        if done or due or cancelled:
            self._emit(entry=self._save(validated=done or due))
        else:
            if self.at.step % LOG_STEPS == 0 and self.group.main:
                self.files.log(self._entry())
            self._emit()

    def _save(self, validated: bool) -> dict[str, Any]:
        """Validate, write the state and the log; return what was logged."""
        entry = self._entry()
        if self.group.main:
            if validated:
                entry |= self._validate()
            self.files.save(self.network, self._averaged, self.optimiser, self.at)
            self.files.log(entry)
        self.group.wait()
        self.saved = (self.at.step, self.at.spent)
        return entry

    def _validate(self) -> dict[str, Any]:
        judged = self._averaged or self.network
        if self.average is not None:
            update_norms(judged, self._next_batches(), self.device)
        if self.validate is None:
            return {}
        scores: dict[str, Any] = {}
        try:
            scores = self.validate(judged.eval())
        except Cancelled:
            self.cancelled = True
        score = scores.get("r2")
        if score is not None and score > self.at.best:
            self.at.best = score
            self.files.save_best(judged, self.at)
        self._to_training()
        return scores

    def _next_batches(self) -> Iterator[Batch]:
        pairs, step = self.pairs, self.at.step
        now = pairs.at(step, Event()) if isinstance(pairs, RenewedPairs) else pairs
        for at in range(step, step + NORM_BATCHES):
            yield cut_batch(
                now, self.recipe, self.at.batch, self.plan.seed, at, self.outputs
            )

    def _entry(self) -> dict[str, Any]:
        entry = asdict(self.at)
        del entry["best"]
        entry["loss"] = None if math.isnan(self.at.loss) else self.at.loss
        return {**entry, "rate": learning_rate(self.plan, self._share())}

    def _to_training(self) -> None:
        """Training mode, but frozen parts keep the statistics of their norms too."""
        self.network.train()
        for module in self.network.modules():
            own = list(module.parameters())
            if own and not any(one.requires_grad for one in own):
                module.eval()

    def _share(self) -> float:
        """Share of the budget that is used up."""
        plan = self.plan
        if plan.steps:
            return self.at.step / plan.steps
        return self.at.spent / (60 * plan.minutes)

    def _emit(self, entry: dict[str, Any] | None = None, note: str = "") -> None:
        if self.listen is None:
            return
        share = self._share()
        left = self.at.spent * (1 - share) / share if share else math.inf
        rate = learning_rate(self.plan, share)
        self.listen(
            Status(self.at.step, share, max(left, 0), self.at.loss, rate, entry, note)
        )


def tensorboard_writer(folder: Path) -> Callable[[Status], None] | None:
    """Return a listener that writes TensorBoard files; None without that package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    writer = SummaryWriter(str(folder))

    def listen(status: Status) -> None:
        if status.step % LOG_STEPS == 0 or status.entry is not None:
            writer.add_scalar("loss", status.loss, status.step)
            writer.add_scalar("rate", status.rate, status.step)
        if status.entry is not None:
            for structure, scores in status.entry.get("scores", {}).items():
                for ratio, value in scores.items():
                    writer.add_scalar(f"r2/{structure}/{ratio}", value, status.step)
            if status.entry.get("r2") is not None:
                writer.add_scalar("r2/mean", status.entry["r2"], status.step)
            writer.flush()

    return listen
