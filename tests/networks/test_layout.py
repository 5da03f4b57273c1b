"""How values lie in memory changes the time, never the numbers."""

import os
import subprocess
import sys

import pytest
import torch

from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.families import (
    TOPOLOGIES,
)
from napari_sparsessp.networks.layers import (
    Convolution,
    asks_onednn,
    channels_last,
    fold,
    unfold,
)

VARIABLE = "THP_MEM_ALLOC_ENABLE"


def small(topology):
    torch.manual_seed(0)
    config = NetworkConfig(
        topology=topology,
        outputs=3,
        depth=8,
        encoder_widths=(4, 8),
        encoder_blocks=(1, 1),
        decoder_widths=(8, 12) if topology.endswith("3d") else (8, 8, 12),
        folded_width=8,
    )
    return build_network(config).eval()


def stack(batch=1):
    return torch.randn(batch, 2, 8, 16, 20)


def last(x):
    return x.contiguous(
        memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d
    )


def test_folding_keeps_channels_last():
    x = torch.randn(2, 3, 4, 5, 6)
    folded = fold(last(x))
    assert channels_last(folded)
    assert torch.equal(folded, fold(x))
    taken_back = unfold(folded, 4)
    assert channels_last(taken_back)
    assert torch.equal(taken_back, x)


def test_folding_leaves_the_usual_layout_as_it_is():
    x = torch.randn(2, 3, 4, 5, 6)
    assert fold(x).data_ptr() == x.data_ptr()
    assert unfold(fold(x), 4).data_ptr() == x.data_ptr()


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("batch", [1, 2])
@torch.no_grad()
def test_a_network_gives_the_same_in_either_layout(topology, batch):
    network, x = small(topology), stack(batch)
    usual, other = network(x), network(last(x))
    torch.testing.assert_close(other, usual, atol=1e-5, rtol=0)


@pytest.mark.parametrize("topology", ["2d", "3to2d"])
@torch.inference_mode()
def test_a_decoder_of_planes_keeps_one_layout_and_predicts_pixels_last(topology):
    """Every other layout in between costs a copy for each convolution."""
    network, seen = small(topology), []
    for module in network.modules():
        if isinstance(module, Convolution) and module is not network.head:
            module.register_forward_hook(lambda *args: seen.append(args[-1]))
    prediction = network(last(stack()))
    assert len(seen) > 10
    assert all(channels_last(one) for one in seen)
    assert prediction.is_contiguous()


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (2, 2), (4, 2), (1, 1)])
def test_predictions_and_training_use_the_same_convolution(size, stride):
    """Asked by name or by torch, it is the same sum of products."""
    layer = Convolution(3, 5, 7, size, stride)
    x = last(torch.randn(1, 5, 6, 8, 10))
    with torch.no_grad():
        assert not asks_onednn(x)
        usual = layer(x)
    with torch.inference_mode():
        assert asks_onednn(x) == torch.backends.mkldnn.is_available()
        torch.testing.assert_close(layer(x), usual, atol=1e-5, rtol=0)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert not asks_onednn(x)
        assert layer(x).dtype == torch.bfloat16


@pytest.mark.parametrize("said", [None, "0"])
def test_large_pages_are_asked_for_unless_the_user_says_otherwise(said):
    """In a fresh process, for torch looks once only."""
    environment = {k: v for k, v in os.environ.items() if k != VARIABLE}
    if said is not None:
        environment[VARIABLE] = said
    code = (
        "import os, sys, napari_sparsessp.networks; "
        f"print(os.environ.get('{VARIABLE}'), 'torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    wanted = said or ("1" if sys.platform == "linux" else "None")
    assert answer.stdout.split() == [wanted, "False"]


EMPTY = """
import sys, torch
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.layers import without_values
with without_values():
    for method in ("condnet", "dodnet", "tgnet", "tsn", "repmode"):
        fields = {"backbone": "plain", "conditioning": method, "task_code": "hash"}
        assert next(build_network(NetworkConfig(**fields)).parameters()).is_meta
    build_network(NetworkConfig())
print("torch._dynamo" in sys.modules)
"""


def test_an_empty_network_costs_no_import_of_a_compiler():
    """Of seconds, where random numbers go to the meta device."""
    run = [sys.executable, "-c", EMPTY]
    answer = subprocess.run(run, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False"]
