"""Multi-Net: a whole network for each structure (Ounkomol et al. 2018)."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from napari_sparsessp.networks.conditioning.task import by_task
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.unet import UNet


class MultiNet(nn.Module):
    """One network a structure; they share nothing but the input.

    Parameters
    ----------
    config : NetworkConfig
    backbone_weights : mapping, optional
        Published tensors of a 2D backbone by name.
    """

    def __init__(
        self,
        config: NetworkConfig,
        backbone_weights: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        one = config.model_copy(update={"conditioning": "multihead", "outputs": 1})
        self.networks = nn.ModuleList(
            UNet(one, backbone_weights) for _ in range(config.outputs)
        )

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Nothing is shared: (B, inputs, n, H, W) as it is."""
        return x

    def decode(
        self, features: torch.Tensor, structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        """(B, S, D, H, W) of the wanted structures, all where left out."""
        wanted = range(self.config.outputs) if structures is None else structures
        return torch.cat([self.networks[one](features) for one in wanted], dim=1)

    def decode_tasks(self, features: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """(B, 1, D, H, W), one structure for each sample."""
        return by_task(index, lambda one, rows: self.networks[one](features[rows]))

    def forward(
        self,
        x: torch.Tensor,
        structures: Sequence[int] | None = None,
        tasks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if tasks is not None:
            return self.decode_tasks(x, tasks)
        return self.decode(x, structures)

    def bake(self) -> None:
        """Fold weight standardisation into plain weights, in place."""
        for network in self.networks:
            assert isinstance(network, UNet)
            network.bake()
        self.config = self.config.model_copy(update={"standardised": False})
