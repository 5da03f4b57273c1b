"""Networks: torch modules and nothing else."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_sparsessp.networks.config import NetworkConfig

if TYPE_CHECKING:
    import torch

    from napari_sparsessp.networks.network import Network

__all__ = ["NetworkConfig", "build_network"]

if sys.platform == "linux":
    # Have torch take memory in pages of 2 MiB: in pages of 4 KiB, handing out the tens
    # of megabytes of a tile's features costs more than the 1×1 convolution that fills
    # them (docs/speed.md). torch reads this before it first takes memory, never again;
    # whoever predicts or trains comes through this package.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def build_network(
    config: NetworkConfig, backbone_weights: "Mapping[str, torch.Tensor] | None" = None
) -> "Network":
    """Build a network with fresh random weights, or published ones of its 2D backbone.

    Returns
    -------
    A torch module: (B, inputs, n, H, W) → (B, S, D, H, W) for all structures or
    the ``structures`` that are asked for; with ``tasks`` (B,), one for each sample,
    → (B, 1, D, H, W).
    """
    # Only here: the description of a network needs no torch.
    if config.backbone == "slim":
        from napari_sparsessp.networks.slim import Slim

        return Slim(config)
    from napari_sparsessp.networks.unet import MultiNet, UNet

    if config.conditioning == "multinet":
        return MultiNet(config, backbone_weights)
    return UNet(config, backbone_weights)
