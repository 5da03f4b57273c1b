"""Which structure each sample of a batch is to become, as numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from napari_sparsessp.networks.conditioning.tsn import StyleMapping
from napari_sparsessp.networks.config import NetworkConfig

LEARNED_CODE = 8
"""Length of a learned code."""


@dataclass(frozen=True)
class Task:
    """One structure for each sample.

    Attributes
    ----------
    index : Tensor
        (B,) whole numbers below T.
    code : Tensor
        (B, K) how the conditioning method writes them.
    one : int or None
        The structure where it is the same for all samples.
    """

    index: torch.Tensor
    code: torch.Tensor
    one: int | None = None


def by_task(
    index: torch.Tensor | int,
    run: Callable[[int, torch.Tensor | slice], torch.Tensor],
) -> torch.Tensor:
    """Run each structure's samples together and put the results back in order.

    Parameters
    ----------
    index : Tensor or int
        (B,) structure of each sample, or the one of all.
    run : callable
        Gets a structure and the rows of its samples, gives (b, …).

    Returns
    -------
    Tensor
        (B, …)
    """
    if isinstance(index, int):
        return run(index, slice(None))
    rows = [(index == one).nonzero()[:, 0] for one in index.unique()]
    if len(rows) == 1:
        return run(int(index[0]), slice(None))
    parts = [run(int(index[some[0]]), some) for some in rows]
    return torch.cat(parts)[torch.cat(rows).argsort()]


def code_length(config: NetworkConfig) -> int:
    """Give K."""
    if config.conditioning == "tsn":
        return StyleMapping.PER_TASK * config.outputs
    if config.conditioning == "condnet":
        lengths = {"hash": 1, "learned": LEARNED_CODE, "onehot": config.outputs}
        return lengths[config.task_code]
    return config.outputs


class TaskCoder(nn.Module):
    """From structure numbers to the method's code.

    One-hot for most; TSN's style vector; for CondNet also ``hash``, a fixed random
    number in ±1, or ``learned``, an embedding.

    Parameters
    ----------
    config : NetworkConfig
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.tasks = config.outputs
        self.style = (
            StyleMapping(config.outputs) if config.conditioning == "tsn" else None
        )
        table = config.task_code if config.conditioning == "condnet" else "onehot"
        self.embedding = None
        if table == "learned":
            self.embedding = nn.Parameter(torch.randn(config.outputs, LEARNED_CODE))
        self.hash: torch.Tensor | None
        self.register_buffer(
            "hash",
            torch.rand(config.outputs, 1) * 2 - 1 if table == "hash" else None,
        )

    def forward(self, index: torch.Tensor, one: int | None = None) -> Task:
        if self.style is not None:
            return Task(index, self.style(index), one)
        if self.embedding is not None:
            return Task(index, self.embedding[index], one)
        if self.hash is not None:
            return Task(index, self.hash[index], one)
        # Compared, not F.one_hot, which looks at the values and cannot be traced.
        every = torch.arange(self.tasks, device=index.device)
        return Task(index, (index[:, None] == every).float(), one)
