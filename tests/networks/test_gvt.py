"""GVTNet a few planes at a time, in tiles, and whole: the same numbers."""

import pytest
import torch

from napari_sparsessp.networks import NetworkConfig, build_network, gvt

WIDTHS = (3, 4, 6)


@pytest.fixture
def network():
    """Thin, with norms that change what passes."""
    torch.manual_seed(2)
    config = NetworkConfig(
        backbone="gvt",
        outputs=2,
        depth=8,
        encoder_widths=WIDTHS,
        encoder_blocks=(1, 1, 1),
        decoder_widths=WIDTHS[:-1],
    )
    network = build_network(config).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif name.endswith(("running_mean", "norm1.bias", "norm2.bias")):
            tensor.normal_()
    return network


@pytest.mark.parametrize("at_once", [1, 20_000, 2**30])
@pytest.mark.parametrize("size", [(4, 4, 4), (20, 12, 24)])
def test_a_few_planes_at_a_time_give_what_the_whole_gives(
    network, monkeypatch, at_once, size
):
    """However many these are; the pass with gradients knows no planes."""
    monkeypatch.setattr(gvt, "PLANES_BYTES", at_once)
    x = torch.randn(1, 1, *size)
    plain = network(x).detach()
    with torch.inference_mode():
        torch.testing.assert_close(network(x), plain, rtol=0, atol=1e-5)
    with torch.no_grad():
        features = network.encode(x)
        for rows in ([1], [0, 1]):  # its features can be decoded again
            y = network.decode(features, rows)
            torch.testing.assert_close(y, plain[:, rows], rtol=0, atol=1e-5)


@torch.no_grad()
def test_sums_of_tiles_are_those_of_the_whole(network):
    """And the attention uses those that it is given."""
    x = torch.randn(1, 1, 8, 16, 8)
    whole = network.whole_sums(x)
    left = torch.zeros(2, 4, 2, dtype=torch.bool)
    left[:, :1] = True
    both = network.whole_sums(x, left) + network.whole_sums(x, ~left)
    assert both.voxels == whole.voxels == 16
    torch.testing.assert_close(both.products, whole.products)
    same = network.decode(network.encode(x, both))
    torch.testing.assert_close(same, network(x))
    other = network.encode(x, network.whole_sums(x + 1))
    assert (network.decode(other) - same).abs().max() > 1e-3
