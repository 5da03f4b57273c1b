"""Models with random weights that predict fast: enough for all but the quality."""

STRUCTURES = ("dna", "cell_membrane", "mitochondria")


def a_card(**fields):
    """A card that says nothing remarkable but for `fields`."""
    from napari_sparsessp.models.card import ModelCard

    plain = {
        "version": "1",
        "name": fields["id"],
        "licence": "BSD-3-Clause",
        "voxel_size": (0.29, 0.29, 0.29),
        "ratios": (1, 2, 4, 8),
        "modality": "bright-field",
        "normalisation": "z-score",
        "trained_on": "nothing",
    }
    return ModelCard(**{**plain, **fields})


def card_of(config, **fields):
    """The card of a network; `structures` or the first of the three above."""
    from napari_sparsessp.models.card import network_fields

    plain = {
        "id": "thin",
        "structures": STRUCTURES[: config.outputs],
        "patch": (config.depth, 32, 32),
    }
    return a_card(**{**plain, **network_fields(config), **fields})


def save_random(path, config, seed=0, **fields):
    """Write a network with the random weights of `seed` and give the file's path.

    Its card has the file's name as id, and `fields`.
    """
    import torch

    from napari_sparsessp.models.library import save_model
    from napari_sparsessp.networks import build_network

    torch.manual_seed(seed)
    card = card_of(config, **{"id": path.stem, **fields})
    return save_model(path, build_network(config), card)


def thin_network(**changes):
    """The smallest network of the default kind, of two structures."""
    from napari_sparsessp.networks import NetworkConfig

    plain = {
        "outputs": 2,
        "depth": 8,
        "encoder_widths": (4, 4),
        "encoder_blocks": (1, 1),
        "decoder_widths": (4, 8, 8),
        "folded_width": 8,
    }
    return NetworkConfig(**{**plain, **changes})


def save_thin(path):
    """Write the model to a file and give its path; the same weights each time."""
    config = thin_network(outputs=3, encoder_widths=(4, 8), decoder_widths=(8, 8, 12))
    return save_random(path, config, seed=3)
