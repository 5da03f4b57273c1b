"""A small network with a card; no real model is needed to test how they are kept."""

import pytest
import torch

from napari_sparsessp.networks import build_network
from thin import card_of, thin_network


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(thin_network())


@pytest.fixture
def card():
    return card_of(
        thin_network(),
        id="tiny",
        name="Tiny",
        structures=("dna", "golgi_apparatus"),
        scores={"r2": 0.5},
        limits=("predicts nothing",),
    )
