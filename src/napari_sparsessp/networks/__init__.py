"""Networks: torch modules and nothing else."""

from typing import TYPE_CHECKING, Any

from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.pages import ask_for_large_pages

if TYPE_CHECKING:
    from napari_sparsessp.networks.builder import build_network as build_network

__all__ = ["NetworkConfig", "build_network"]

ask_for_large_pages()  # here, for whoever predicts or trains comes through this package


def __getattr__(name: str) -> Any:
    """Load torch only when a network is built; its description needs none."""
    if name == "build_network":
        from napari_sparsessp.networks.builder import build_network

        return build_network
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
