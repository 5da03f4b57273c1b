"""The processes that train together; mostly one alone.

Where ``accelerate launch`` started several, one on each GPU or on several machines, the
package accelerate brings them together: each learns from patches of its own, and their
gradients are averaged in each step. Alone, nothing of it is imported.
"""

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
    """One process alone.

    Attributes
    ----------
    rank, count : int
        Which of how many processes.
    device : str or None
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
        network : Module
            The main process's weights become those of all.
        uneven : bool
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
    """Processes that accelerate has brought together.

    Parameters
    ----------
    accelerator : accelerate.Accelerator
    """

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
    device : str
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
