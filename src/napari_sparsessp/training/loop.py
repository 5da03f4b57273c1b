"""How long and how fast a training learns."""

import copy
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from napari_sparsessp.errors import InputError, PredictionError
from napari_sparsessp.training.checkpoints import Progress, RunFolder
from napari_sparsessp.training.losses import make_loss, project
from napari_sparsessp.training.patches import (
    Batch,
    Pair,
    PatchRecipe,
    RenewedPairs,
    batches,
    cut_batch,
)


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how fast to learn.

    Attributes
    ----------
    minutes
        Time budget; the learning rate falls to zero along it.
    steps
        Budget in steps instead, which does not depend on the machine's speed.
    learning_rate
        Peak, reached after `warm_up` of the budget.
    weight_decay, warm_up, average
        The optimiser's decay; share of the budget; decay of the weights' running
        average, 0 for none.
    save_every
        Minutes between states on disk and validations.
    save_steps
        The same in steps.
    precision
        ``bf16``, ``fp32``.
        Of the forward pass; weights are always float32.
    optimiser
        ``adamw``, ``adam``.
    schedule
        ``cosine``, ``constant``.
    clip
        Largest norm of the gradient; 0 does not clip.
    loss
        See `napari_sparsessp.training.losses.make_loss`.
    projection
        ``mean``, ``max``.
        Of a prediction whose label is one plane.
    judge_first
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


PATIENCE = timedelta(hours=2)
"""So long the others wait while the main process reads, simulates or validates."""


class Group:
    """One process alone.

    Attributes
    ----------
    rank, count
        Which of how many processes.
    device
        Where this one computes, where the group decides that.
    """

    rank = 0
    count = 1
    device: str | None = None

    @property
    def main(self) -> bool:
        """Whether this is the one that writes, validates and speaks."""
        return self.rank == 0

    def joined(self, network: nn.Module, uneven: bool) -> nn.Module:
        """Give what to call in a step in place of the network, which shares weights.

        Parameters
        ----------
        network
            The main process's weights become those of all.
        uneven
            Not every step uses every parameter.
        """
        return network

    def backward(self, loss: torch.Tensor) -> None:
        """Compute gradients, averaged over the group."""
        loss.backward()

    def mean(self, loss: torch.Tensor) -> torch.Tensor:
        """Average a scalar over the group."""
        return loss

    def largest(self, *values: float) -> tuple[float, ...]:
        """Agree on the largest of each value in the group."""
        return values

    def wait(self) -> None:
        """Go on when all have come here."""

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let the main process do something before the others do it."""
        yield

    def leave(self) -> None:
        """Say goodbye to the others."""


class AcceleratedGroup(Group):
    """Processes that accelerate has brought together."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        self.rank = accelerator.process_index
        self.count = accelerator.num_processes
        self.device = str(accelerator.device)

    def joined(self, network: nn.Module, uneven: bool) -> nn.Module:
        """Wrap the network, so that gradients are averaged."""
        from accelerate.utils import DistributedDataParallelKwargs

        # Known only now; accelerate reads it when it wraps the network.
        self._accelerator.ddp_handler = DistributedDataParallelKwargs(
            find_unused_parameters=uneven
        )
        return self._accelerator.prepare_model(network)

    def backward(self, loss: torch.Tensor) -> None:
        """Compute gradients and average them."""
        self._accelerator.backward(loss)

    def mean(self, loss: torch.Tensor) -> torch.Tensor:
        """Average over all processes."""
        return self._accelerator.reduce(loss.detach(), "mean")

    def largest(self, *values: float) -> tuple[float, ...]:
        """Take the largest of all processes."""
        # MPS knows no float64, and seconds need no more than this.
        mine = torch.tensor([values], device=self.device)
        together = self._accelerator.gather(mine)
        return tuple(together.amax(0).tolist())

    def wait(self) -> None:
        """Wait for all."""
        self._accelerator.wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let the others wait for the main process."""
        with self._accelerator.main_process_first():
            yield

    def leave(self) -> None:
        """Leave the group, so that its connections are closed."""
        self._accelerator.end_training()


def join_group(device: str = "auto") -> Group:
    """Join the processes that were started with this one, if there are any.

    Parameters
    ----------
    device
        As in the config; a group puts each process on its own GPU, or all on the CPU.

    Raises
    ------
    InputError
        There are several, but accelerate is missing or set up for something else, or
        the device is a certain one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Group()
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(
            f"device {device} cannot be that of several processes; set it to auto"
        )
    try:
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs
    except ImportError as error:
        raise InputError(
            "several processes were started, and the package accelerate, which brings "
            "them together, is missing; install napari-sparsessp[distributed]"
        ) from error
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision="no",  # the recipe's precision is the loop's own business
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    kind = accelerator.distributed_type.value
    if kind not in ("MULTI_GPU", "MULTI_CPU"):
        raise InputError(
            f"accelerate is set up for {kind}; training knows several GPUs and several "
            "CPUs: run accelerate config again"
        )
    return AcceleratedGroup(accelerator)


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """Give the batch norms that learn; frozen ones keep what they have."""
    return [
        one
        for one in network.modules()
        if isinstance(one, _BatchNorm)
        and all(weight.requires_grad for weight in one.parameters())
    ]


@torch.no_grad()
def restate_norms(
    network: nn.Module, passes: Iterable[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    """Measure a network's batch-norm statistics anew.

    A running mean follows the last few batches, and those of a network that learns,
    not those of its averaged weights. Here every pass counts the same.

    Parameters
    ----------
    network
        Afterwards in evaluation mode.
    passes
        Inputs and the structures of their samples; unused where there is no norm.
    """
    norms = batch_norms(network)
    if not norms:
        return
    network.eval()
    momenta = [one.momentum for one in norms]
    for one in norms:
        one.reset_running_stats()
        one.momentum = None  # a plain mean
        one.train()
    for source, tasks in passes:
        network(source, tasks=tasks)
    for one, momentum in zip(norms, momenta, strict=True):
        one.momentum = momentum
        one.eval()


__all__ = ["LOG_STEPS", "Status", "TrainingPlan", "learning_rate", "train"]

LOG_STEPS = 20
"""Steps between lines of the log that hold the loss alone."""

NORM_BATCHES = 40
"""Batches that the statistics of batch norms are measured on, for averaged weights."""

HOPELESS = 50
"""Steps in a row without a finite gradient after which training gives up."""


@dataclass(frozen=True)
class Status:
    """What is told after each step.

    Attributes
    ----------
    share
        Of the budget.
    loss, rate
        Running mean of the loss; learning rate.
    entry
        What was logged, where a state was saved.
    note
        Something that the user should know.
    """

    step: int
    share: float
    seconds_left: float
    loss: float
    rate: float
    entry: dict[str, Any] | None = None
    note: str = ""


def train(
    network: nn.Module,
    pairs: Sequence[Pair],
    recipe: PatchRecipe,
    plan: TrainingPlan,
    folder: Path,
    validate: Callable[[nn.Module], dict[str, Any]] | None = None,
    listen: Callable[[Status], None] | None = None,
    stop: Callable[[], bool] | None = None,
    group: Group | None = None,
) -> bool:
    """Train until the budget is used up; continues what `folder` holds.

    Parameters
    ----------
    network
        On the plan's device. Parameters without gradient stay as they are.
    pairs
        Those of `RenewedPairs` change with the step.
    folder
        Gets ``state.pt`` (to resume), ``best.pt`` (where validation gives an ``r2``)
        and ``log.jsonl``.
    validate
        Scores the averaged network; what it returns goes into the log.
    listen
        Called after each step.
    stop
        Asked after each step, and while stacks are waited for; true saves and ends.
    group
        Other processes that train with this one, on the plan's device.

    Returns
    -------
    Whether the budget is used up; otherwise it was stopped.

    Raises
    ------
    PredictionError
        The device has too little memory for one patch, or the loss is never finite.
    OutputError
        The folder cannot be written.
    InputError
        What the folder holds does not belong to this training.
    """
    group = group or Group()
    run = _Run(network, pairs, recipe, plan, folder, group)
    run.validate = validate
    run.listen = listen if listen and group.main else lambda status: None
    return run.go(stop or (lambda: False))


class _Run:
    """One training: network, its average, the optimiser and where they are."""

    validate: Callable[[nn.Module], dict[str, Any]] | None
    listen: Callable[[Status], None]

    def __init__(
        self,
        network: nn.Module,
        pairs: Sequence[Pair],
        recipe: PatchRecipe,
        plan: TrainingPlan,
        folder: Path,
        group: Group,
    ) -> None:
        self.network, self.pairs, self.recipe, self.plan = network, pairs, recipe, plan
        self.device = torch.device(plan.device)
        self.average = copy.deepcopy(network).eval() if plan.average else None
        kind = torch.optim.AdamW if plan.optimiser == "adamw" else torch.optim.Adam
        self.learning = [p for p in network.parameters() if p.requires_grad]
        self.optimiser = kind(
            self.learning, lr=plan.learning_rate, weight_decay=plan.weight_decay
        )
        self.loss = make_loss(plan.loss)
        config: Any = network.config
        several = any(len(pair.targets) > 1 for pair in pairs)
        # Where all structures come out of one pass, all labels of a stack count.
        self.outputs = config.outputs if several and not config.per_structure else None
        self.files = RunFolder(folder, group.main)
        found = self.files.load(network, self.average, self.optimiser, self.device)
        self.at = found or Progress(batch=plan.batch)
        self.group = group
        if group.largest(self.at.step)[0] != self.at.step:
            raise InputError(
                f"not all processes find the same state in {folder}; choose an out "
                "that all of them can read"
            )
        uneven = self.outputs is None and config.outputs > 1
        self.called = group.joined(network, uneven)
        self.saved = (self.at.step, self.at.spent)
        self.lost = 0

    def go(self, stop: Callable[[], bool]) -> bool:
        """Train; true where the budget is used up."""
        if self.plan.judge_first and not self.at.step:
            self._tell(entry=self._saved(validated=True))
        self._to_training()
        while self._share() < 1:
            stream = batches(
                self.pairs, self.recipe, self.at.batch, self.plan.seed,
                self.at.step, self.outputs, workers=self._workers(),
                rank=self.group.rank, stop=stop if self.group.count == 1 else None,
            )  # fmt: skip
            with closing(stream):
                since = time.monotonic()
                for batch in stream:
                    if not self._tried(batch):
                        break  # a smaller batch, from the same step on
                    self.at.spent += time.monotonic() - since
                    self.at.spent, asked = self.group.largest(self.at.spent, stop())
                    self._after_step(stopped=bool(asked))
                    since = time.monotonic()
                    if asked:
                        return self._share() >= 1
                    if self._share() >= 1:
                        return True
                else:  # stopped while the next stacks were waited for
                    self._after_step(stopped=True)
                    return False
        return True

    def _workers(self) -> int:
        """Threads that cut patches; on the CPU the network wants the cores."""
        if self.device.type == "cpu":
            return 1
        return max(1, min(8, (os.cpu_count() or 2) // 2))

    def _tried(self, batch: Batch) -> bool:
        """Learn from a batch; false where it was too large and has been halved."""
        try:
            self._learn(batch.to(self.device))
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
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
        self._tell(note=f"out of memory: the batch is halved to {self.at.batch}")
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
        self.group.backward(loss)
        loss = self.group.mean(loss)
        norm = nn.utils.clip_grad_norm_(self.learning, plan.clip or math.inf)
        # A rare overflow in reduced precision must not end the training.
        if torch.isfinite(norm) and torch.isfinite(loss):
            self.optimiser.step()
            self._follow()
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

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the average follow: weights slowly, statistics of norms at once."""
        if self.average is None:
            return
        decay = min(self.plan.average, (1 + self.at.step) / (10 + self.at.step))
        slow, fast = self.average, self.network
        for one, other in zip(slow.parameters(), fast.parameters(), strict=True):
            if other.requires_grad:
                one.lerp_(other, 1 - decay)
        for old, new in zip(slow.buffers(), fast.buffers(), strict=True):
            old.copy_(new)

    def _after_step(self, stopped: bool) -> None:
        done = self._share() >= 1
        steps, seconds = self.at.step - self.saved[0], self.at.spent - self.saved[1]
        due = (
            steps >= self.plan.save_steps
            if self.plan.save_steps
            else seconds >= 60 * self.plan.save_every
        )
        if done or due or stopped:
            self._tell(entry=self._saved(validated=done or due))
        else:
            if self.at.step % LOG_STEPS == 0 and self.group.main:
                self.files.log(self._entry())
            self._tell()

    def _saved(self, validated: bool) -> dict[str, Any]:
        entry = self._entry()
        if not self.group.main:
            self.group.wait()
            self.saved = (self.at.step, self.at.spent)
            return entry
        if validated and self.average is not None:
            restate_norms(self.average, self._passes())
        if validated and self.validate is not None:
            judged = self.network if self.average is None else self.average
            judged.eval()
            entry |= self.validate(judged)
            score = entry.get("r2")
            if score is not None and score > self.at.best:
                self.at.best = score
                self.files.save_best(judged, self.at)
            self._to_training()
        self.files.save(self.network, self.average, self.optimiser, self.at)
        self.files.log(entry)
        self.group.wait()
        self.saved = (self.at.step, self.at.spent)
        return entry

    def _passes(self) -> Iterator[tuple[torch.Tensor, Any]]:
        """Batches of the next steps, as far as a network sees them."""
        pairs, step = self.pairs, self.at.step
        now = pairs.at(step, Event()) if isinstance(pairs, RenewedPairs) else pairs
        for at in range(step, step + NORM_BATCHES):
            batch = cut_batch(
                now, self.recipe, self.at.batch, self.plan.seed, at, self.outputs
            ).to(self.device)
            yield batch.source, batch.tasks

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

    def _tell(self, entry: dict[str, Any] | None = None, note: str = "") -> None:
        share = self._share()
        left = self.at.spent * (1 - share) / share if share else math.inf
        rate = learning_rate(self.plan, share)
        self.listen(
            Status(self.at.step, share, max(left, 0), self.at.loss, rate, entry, note)
        )


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in text for word in words)


def open_board(folder: Path) -> Callable[[Status], None] | None:
    """Give a listener that writes TensorBoard files, or None without TensorBoard."""
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
