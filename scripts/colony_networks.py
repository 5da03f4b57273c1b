"""The three shipped networks; `train_colony.py` trains them."""

from napari_sparsessp.networks import NetworkConfig

NETWORKS: dict[str, NetworkConfig] = {
    "colony-3to2d": NetworkConfig(
        encoder_widths=(24, 64, 128),
        encoder_blocks=(1, 1, 2),
        decoder_widths=(96, 128, 192, 256),
        standardised=True,
    ),
    "colony-2d": NetworkConfig(
        topology="2d",
        encoder_widths=(96, 144, 192),
        encoder_blocks=(1, 1, 1),
        decoder_widths=(96, 128, 160, 192),
        standardised=True,
    ),
    "colony-3d": NetworkConfig(
        topology="3d",
        encoder_widths=(24, 64, 128),
        encoder_blocks=(1, 1, 1),
        decoder_widths=(32, 64, 128),
        standardised=True,
    ),
    "colony-2to3d": NetworkConfig(
        topology="2to3d",
        projection="2d",
        encoder_widths=(96, 144, 192),
        encoder_blocks=(1, 1, 1),
        decoder_widths=(32, 64, 128),
        standardised=True,
    ),
}
"""Networks by the id of their model."""
