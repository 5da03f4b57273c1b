"""A network that looks up between its layers, and forgets to when it is done."""

import threading

import pytest
import torch

from napari_sparsessp.prediction.inference import cancellable_network
from napari_sparsessp.tasks import Cancelled


def _network():
    return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))


def test_no_layer_begins_after_the_stop():
    network, cancel = _network(), threading.Event()
    with cancellable_network(network, cancel):
        network(torch.zeros(2))
        cancel.set()
        with pytest.raises(Cancelled):
            network[1](torch.zeros(2))
    network(torch.zeros(2))


def test_a_copy_for_another_device_is_stopped_as_well():
    import copy

    network, cancel = _network(), threading.Event()
    with cancellable_network(network, cancel):
        other = copy.deepcopy(network)
        cancel.set()
        with pytest.raises(Cancelled):
            other(torch.zeros(2))


def test_nothing_stays_behind_an_error():
    network = _network()
    with (
        pytest.raises(ValueError, match="x"),
        cancellable_network(network, threading.Event()),
    ):
        raise ValueError("x")
    assert not any(one._forward_pre_hooks for one in network.modules())
