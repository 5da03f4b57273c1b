"""What a network costs: parameters and multiply-adds, counted and not guessed."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_sparsessp.networks.builder import build_network
from napari_sparsessp.networks.config import NetworkConfig


@dataclass(frozen=True)
class Cost:
    """Cost of one patch.

    Attributes
    ----------
    parameters : int
    multiply_adds : int
        Of all convolutions and matrix products, the dynamic ones included.
    """

    parameters: int
    multiply_adds: int

    @property
    def gmac(self) -> float:
        """10⁹ multiply-adds."""
        return self.multiply_adds / 1e9


@torch.no_grad()
def count_cost(
    config: NetworkConfig,
    structures: Sequence[int] | None = None,
    size: tuple[int, int] = (128, 128),
) -> Cost:
    """Count without memory for weights or images (on torch's meta device).

    Parameters
    ----------
    config : NetworkConfig
    structures : sequence of int, optional
        The predicted ones, all where left out. RepMode's are merged first, which is
        not counted: it is done once, not for each patch.
    size : tuple of int
        Height and width of the patch.

    Returns
    -------
    Cost
    """
    with torch.device("meta"):
        network = build_network(config).eval()
        x = torch.empty(1, config.inputs, config.planes, *size)
        with FlopCounterMode(display=False) as counter:
            network(x, structures)
    parameters = sum(weight.numel() for weight in network.parameters())
    return Cost(parameters, counter.get_total_flops() // 2)
