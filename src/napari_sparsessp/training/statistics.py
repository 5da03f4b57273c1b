"""Statistics of batch norms for averaged weights."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


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
    network : Module
        Afterwards in evaluation mode.
    passes : iterable of tuple
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
