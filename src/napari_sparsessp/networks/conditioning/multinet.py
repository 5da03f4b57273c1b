"""Multi-Net: a whole network for each structure (Ounkomol et al. 2018)."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from napari_sparsessp.networks.conditioning.task import by_task
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.network import Network
from napari_sparsessp.networks.unet import UNet


class MultiNet(Network):
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
        super().__init__(config)
        one = config.model_copy(update={"conditioning": "multihead", "outputs": 1})
        self.networks = nn.ModuleList(
            UNet(one, backbone_weights) for _ in range(config.outputs)
        )

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def decode(
        self, features: torch.Tensor, structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        wanted = self.wanted(structures)
        return torch.cat([self.networks[one](features) for one in wanted], dim=1)

    def decode_tasks(self, features: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return by_task(index, lambda one, rows: self.networks[one](features[rows]))
