"""The networks of the four shipped colony models; `train_colony.py` trains them."""

from napari_sparsessp.networks import NetworkConfig

NETWORKS: dict[str, NetworkConfig] = {
    # Narrower than its family's own widths.
    "colony-3to2d": NetworkConfig(
        encoder_widths=(24, 64, 128),
        encoder_blocks=(1, 1, 2),
        decoder_widths=(96, 128, 192, 256),
        standardised=True,
    ),
    **{
        f"colony-{topology}": NetworkConfig(topology=topology, standardised=True)
        for topology in ("2d", "3d", "2to3d")
    },
}
"""Networks by the id of their model."""
