"""A thin model that predicts fast, and stacks to predict from."""

import numpy as np
import pytest

from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.volume import Volume

STRUCTURES = ("dna", "cell_membrane", "mitochondria")


@pytest.fixture(scope="session")
def thin_model(tmp_path_factory):
    """Random weights: enough for every promise but the quality."""
    import torch

    from napari_sparsessp.models.store import load_model, save_model
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
    path = tmp_path_factory.mktemp("thin") / "thin.safetensors"
    save_model(path, build_network(config), card)
    return load_model(path)


@pytest.fixture
def make_volume():
    """`make_volume(shape, axes="ZYX", voxel=…)`: noise, always the same."""

    def make(shape, axes="ZYX", voxel=(0.29, 0.29, 0.29), **more):
        array = np.random.default_rng(7).normal(100, 20, shape).astype(np.float32)
        return Volume(array, axes, voxel, **more)

    return make
