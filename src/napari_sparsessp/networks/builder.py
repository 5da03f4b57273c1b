"""Build a network from its description."""

from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.three_to_two import ThreeToTwo


def build_network(config: NetworkConfig) -> ThreeToTwo:
    """Network with fresh random weights.

    Parameters
    ----------
    config : NetworkConfig

    Returns
    -------
    torch.nn.Module
        With ``encode``, ``decode`` and ``forward``: (B, inputs, D, H, W) →
        (B, T, D, H, W).
    """
    return ThreeToTwo(config)
