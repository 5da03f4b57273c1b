"""The first network: shapes, cost, and what does not depend on what."""

import pytest
import torch
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

from napari_sparsessp.models.library import read_card
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.layers import DepthToChannel, fold, network_input, unfold

SMALL = NetworkConfig(
    outputs=5,
    depth=8,
    encoder_widths=(4, 8),
    encoder_blocks=(1, 2),
    decoder_widths=(8, 8, 12),
    folded_width=8,
    standardised=True,
)


@pytest.fixture(scope="module")
def network():
    """A small one with random weights."""
    torch.manual_seed(0)
    return build_network(SMALL).eval()


def test_fold_puts_depth_fastest():
    """Channel c, plane d become c·D + d; unfold takes it back."""
    x = torch.arange(2 * 3 * 4.0).view(1, 2, 3, 2, 2)
    folded = fold(x)
    assert folded.shape == (1, 6, 2, 2)
    torch.testing.assert_close(folded[0, 1 * 3 + 2], x[0, 1, 2])
    torch.testing.assert_close(unfold(folded, 3), x)


@pytest.mark.parametrize(("width", "depth", "folded"), [(32, 16, 128), (128, 4, 256)])
def test_depth_to_channel_shapes(width, depth, folded):
    """U channels, whatever the depth (models.md 1.4)."""
    layer = DepthToChannel(width, depth, folded, standardised=False)
    out = layer(torch.zeros(1, width, depth, 6, 6))
    assert out.shape == (1, folded, 6, 6)
    assert layer.projection.weight.shape[0] == folded // depth


def test_all_structures_in_one_pass(network):
    """(B, 2, D, H, W) → (B, T, D, H, W), any multiple of the stride."""
    with torch.no_grad():
        assert network(torch.zeros(2, 2, 8, 12, 20)).shape == (2, 5, 8, 12, 20)


def test_a_choice_of_structures_is_a_choice_of_outputs(network):
    """Encode once, decode what is wanted."""
    x = torch.randn(1, 2, 8, 16, 16)
    with torch.no_grad():
        every, some = network(x), network.decode(network.encode(x), [4, 1])
    torch.testing.assert_close(some, every[:, [4, 1]], atol=1e-5, rtol=0)


def test_nothing_beyond_the_reach_is_seen(network):
    """What the tiles rely on: a far pixel changes nothing, a near one does."""
    reach = SMALL.reach
    x = torch.zeros(1, 2, 8, 16, 3 * 64)
    far, near = x.clone(), x.clone()
    column = 64
    far[..., -(-(column + reach + 1) // 1)] = 50.0
    near[..., column + 3] = 50.0
    with torch.no_grad():
        still = network(x)[..., column]
        torch.testing.assert_close(network(far)[..., column], still, atol=0, rtol=0)
        assert (network(near)[..., column] - still).abs().max() > 1e-4


def test_baking_leaves_the_output_as_it_is():
    """Weight standardisation is gone, its effect is not."""
    torch.manual_seed(1)
    network = build_network(SMALL).eval()
    x = torch.randn(1, 2, 8, 16, 16)
    with torch.no_grad():
        before = network(x)
        network.bake()
        torch.testing.assert_close(network(x), before, atol=1e-5, rtol=1e-4)
    assert not any("gain" in name for name in network.state_dict())
    assert network.config.standardised is False


def test_shipped_network_stays_below_20_gmac():
    """All twelve structures of a 32×128×128 patch (issue 2, item 4)."""
    config = NetworkConfig.model_validate(read_card().network)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build_network(config)(torch.zeros(1, 2, 32, 128, 128))
    assert config.outputs == 12
    assert counter.get_total_flops() / 2e9 <= 20


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": 12},
        {"encoder_blocks": (1,)},
        {"decoder_widths": (8, 8)},
        {"folded_width": 6},
        {"topology": "4d"},
        {"colour": "blue"},
    ],
)
def test_a_network_that_does_not_fit_is_refused(changes):
    """By the description, before torch is asked."""
    with pytest.raises(ValidationError):
        NetworkConfig(**{**SMALL.model_dump(), **changes})


def test_distance_is_the_second_channel():
    """Scaled, and limited where all is equally far."""
    distance = torch.tensor([0.0, 2.0, -4.0, 100.0])
    x = network_input(torch.ones(4, 3, 3), distance)
    assert x.shape == (2, 4, 3, 3)
    torch.testing.assert_close(x[1, :, 0, 0], torch.tensor([0.0, 0.5, -1.0, 2.0]))
