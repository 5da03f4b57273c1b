"""A small network with a card; no real model is needed to test how they are kept."""

import sys
import types

import pytest
import torch
from pydantic import BaseModel, ConfigDict

from napari_sparsessp import networks
from thin import a_card


class NetworkConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    width: int


def build_network(config: NetworkConfig) -> torch.nn.Module:
    if config.width > 64:
        raise ValueError("width must be at most 64")
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, config.width, 3), torch.nn.BatchNorm2d(config.width)
    )


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    fake = types.ModuleType("napari_sparsessp.networks")
    fake.__path__ = networks.__path__  # its modules are the real ones
    fake.NetworkConfig = NetworkConfig
    fake.build_network = build_network
    monkeypatch.setitem(sys.modules, "napari_sparsessp.networks", fake)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(NetworkConfig(width=4))


@pytest.fixture
def card():
    return a_card(
        id="tiny",
        name="Tiny",
        structures=("dna", "golgi_apparatus"),
        topology="3to2d",
        mapping="prefix",
        conditioning="multihead",
        network={"width": 4},
        patch=(32, 128, 128),
        normalisation="z-score of the stack",
        scores={"r2": 0.5},
        limits=("predicts nothing",),
    )
