"""Train in several processes together, through the package accelerate."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import nn

from napari_sparsessp.errors import InputError

PATIENCE = timedelta(hours=2)
"""So long the others wait while the main process reads, simulates or validates."""


class Group:
    """The processes that train together; mostly one alone.

    Where ``accelerate launch`` started several, one on each GPU or on several machines,
    each learns from patches of its own, and their gradients are averaged in each step.
    """

    def __init__(self, accelerator: Any = None) -> None:
        self._accelerator = accelerator
        self.rank, self.count = 0, 1
        self.device: str | None = None
        if accelerator is not None:
            self.rank = accelerator.process_index
            self.count = accelerator.num_processes
            self.device = str(accelerator.device)

    @property
    def main(self) -> bool:
        """Whether this is the one that writes, validates and speaks."""
        return self.rank == 0

    def wrap(self, network: nn.Module, uneven: bool) -> nn.Module:
        """Return what to call in a step: it averages gradients, and shares weights."""
        if self._accelerator is None:
            return network
        from accelerate.utils import DistributedDataParallelKwargs

        # Known only now; accelerate reads it when it wraps the network.
        self._accelerator.ddp_handler = DistributedDataParallelKwargs(
            find_unused_parameters=uneven
        )
        return self._accelerator.prepare_model(network)

    def backward(self, loss: torch.Tensor) -> torch.Tensor:
        """Compute gradients; return the loss. Both are averaged over the group."""
        if self._accelerator is None:
            loss.backward()
            return loss
        self._accelerator.backward(loss)
        return self._accelerator.reduce(loss.detach(), "mean")

    def largest(self, *values: float) -> tuple[float, ...]:
        """Agree on the largest of each value in the group."""
        if self._accelerator is None:
            return values
        # MPS knows no float64, and seconds need no more than this.
        mine = torch.tensor([values], device=self.device)
        return tuple(self._accelerator.gather(mine).amax(0).tolist())

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let the main process do something before the others do it."""
        if self._accelerator is None:
            yield
        else:
            with self._accelerator.main_process_first():
                yield

    def leave(self) -> None:
        """Leave the group, so that its connections are closed."""
        if self._accelerator is not None:
            self._accelerator.end_training()


def join_group(device: str = "auto") -> Group:
    """Join the processes that were started with this one, if there are any.

    Raises InputError where accelerate is missing or set up for something else, or the
    device is a certain one.
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
    return Group(accelerator)
