"""Build a network from its description."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_sparsessp.networks.conditioning.multinet import MultiNet
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.network import Network
from napari_sparsessp.networks.slim import Slim
from napari_sparsessp.networks.unet import UNet

if TYPE_CHECKING:
    import torch


def build_network(
    config: NetworkConfig, backbone_weights: "Mapping[str, torch.Tensor] | None" = None
) -> Network:
    """Network with fresh random weights.

    Parameters
    ----------
    config : NetworkConfig
    backbone_weights : mapping, optional
        Published tensors of a 2D backbone by name.

    Returns
    -------
    Network
        A torch module: (B, inputs, n, H, W) → (B, S, D, H, W) for all structures or
        the ``structures`` that are asked for; with ``tasks`` (B,), one for each sample,
        → (B, 1, D, H, W).
    """
    if config.backbone == "slim":
        return Slim(config)
    if config.conditioning == "multinet":
        return MultiNet(config, backbone_weights)
    return UNet(config, backbone_weights)
