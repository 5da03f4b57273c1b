"""A model with random weights that predicts fast: enough for all but the quality."""

STRUCTURES = ("dna", "cell_membrane", "mitochondria")


def save_thin(path):
    """Write the model to a file and give its path; the same weights each time."""
    import torch

    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.store import save_model
    from napari_sparsessp.networks import NetworkConfig, build_network

    config = NetworkConfig(
        outputs=3,
        depth=8,
        encoder_widths=(4, 8),
        encoder_blocks=(1, 1),
        decoder_widths=(8, 8, 12),
        folded_width=8,
    )
    torch.manual_seed(3)
    card = ModelCard(
        id="thin",
        version="1",
        name="thin",
        licence="BSD-3-Clause",
        structures=STRUCTURES,
        topology="3to2d",
        mapping="prefix",
        projection="3d",
        conditioning="multihead",
        network=config.model_dump(mode="json"),
        voxel_size=(0.29, 0.29, 0.29),
        patch=(8, 32, 32),
        ratios=(1, 2, 4, 8),
        modality="bright-field",
        normalisation="z-score",
        trained_on="nothing",
    )
    save_model(path, build_network(config), card)
    return path
