"""Networks: torch modules and nothing else."""

import os
import sys
from typing import TYPE_CHECKING

from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.families import (
    UNEXT,
)

if TYPE_CHECKING:
    from napari_sparsessp.networks.network import Network

__all__ = ["NetworkConfig", "build_network"]

if sys.platform == "linux":
    # Have torch take memory in pages of 2 MiB: in pages of 4 KiB, handing out the tens
    # of megabytes of a tile's features costs more than the 1×1 convolution that fills
    # them (docs/speed.md). torch reads this before it first takes memory, never again;
    # whoever predicts or trains comes through this package.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def build_network(config: NetworkConfig) -> "Network":
    """Build a network with fresh random weights.

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
    if config.backbone == "gvt":
        from napari_sparsessp.networks.gvt import GVT

        return GVT(config)
    if config.backbone in UNEXT:
        from napari_sparsessp.networks.unext import UNeXt

        return UNeXt(config)
    if config.backbone == "fnet3d":
        from napari_sparsessp.networks.fnet3d import FNet3D

        return FNet3D(config)
    from napari_sparsessp.networks.unet import MultiNet, UNet

    if config.conditioning == "multinet":
        return MultiNet(config)
    return UNet(config)
