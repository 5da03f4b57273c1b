"""Networks: torch modules and nothing else."""

from napari_sparsessp.networks.builder import build_network
from napari_sparsessp.networks.config import NetworkConfig

__all__ = ["NetworkConfig", "build_network"]
