"""The slim family keeps its promises in each of the four topologies."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.cost import count_cost
from napari_sparsessp.networks.families import (
    TOPOLOGIES,
)
from napari_sparsessp.networks.layers import Convolution
from napari_sparsessp.networks.slim import VoxelHead

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "colony.yaml"
SHIPPED = {
    name: NetworkConfig.model_validate(step["network"])
    for name, step in yaml.safe_load(RECIPE.read_text("utf-8"))["steps"].items()
}


def small(topology, **changes):
    """Two levels: stride 4, eight planes, five structures."""
    options = {
        "topology": topology,
        "outputs": 5,
        "depth": 8,
        "encoder_widths": (4, 8),
        "encoder_blocks": (1, 2),
        "decoder_widths": (8, 12) if topology.endswith("3d") else (8, 8, 12),
        "folded_width": 8,
        "standardised": True,
    }
    return NetworkConfig(**options | changes)


def network(topology, **changes):
    torch.manual_seed(0)
    return build_network(small(topology, **changes)).eval()


each_topology = pytest.mark.parametrize("topology", TOPOLOGIES)


@each_topology
@pytest.mark.parametrize("size", [(4, 4), (12, 20), (28, 8)])
@torch.no_grad()
def test_any_multiple_of_the_stride_is_taken(topology, size):
    x = torch.randn(2, 2, 8, *size)
    assert network(topology)(x).shape == (2, 5, 8, *size)


@torch.no_grad()
def test_a_3d_network_takes_stacks_of_any_multiple_of_its_z_stride():
    """Others have their planes as channels somewhere; 2D ones have no stride in z."""
    assert network("2d", depth=7)(torch.zeros(1, 2, 7, 8, 8)).shape == (1, 5, 7, 8, 8)
    made_for_eight = network("3d")
    assert made_for_eight(torch.zeros(1, 2, 12, 8, 8)).shape == (1, 5, 12, 8, 8)
    with pytest.raises(InputError, match="multiple of 4; pad or crop them to 8"):
        made_for_eight(torch.zeros(1, 2, 6, 8, 8))


@each_topology
@torch.no_grad()
def test_baking_leaves_the_output_as_it_is(topology):
    slim = network(topology)
    x = torch.randn(1, 2, 8, 16, 16)
    before = slim(x)
    slim.bake()
    torch.testing.assert_close(slim(x), before, atol=1e-5, rtol=1e-4)
    assert not any("gain" in name for name in slim.state_dict())
    same = build_network(slim.config).eval()
    same.load_state_dict(slim.state_dict())
    assert torch.equal(same(x), slim(x))


@each_topology
def test_no_3d_feature_has_full_resolution(topology):
    """What makes the family cheap; only the input itself may be read there."""
    slim = network(topology)
    seen = []
    for module in slim.modules():
        if isinstance(module, Convolution) and module.dimension == 3:
            module.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[1:]))
    slim(torch.zeros(1, 2, 8, 16, 16))
    assert bool(seen) is (topology != "2d")
    full = [shape for shape in seen if max(shape[2:]) > 8]
    assert all(channels == slim.config.inputs for channels, *_ in full)


@torch.no_grad()
def test_sub_voxels_are_where_a_transposed_convolution_has_them():
    head = VoxelHead(6, 3)
    head.weight.normal_()
    head.bias.normal_()
    x = torch.randn(2, 6, 2, 3, 4)
    weight = head.weight.view(3, 8, 6).permute(2, 0, 1).reshape(6, 3, 2, 2, 2)
    expected = F.conv_transpose3d(x, weight, stride=2)
    expected += head.bias.view(1, 3, 2, 2, 2).repeat(1, 1, 2, 3, 4)
    torch.testing.assert_close(head(x), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(head(x, [2, 0]), expected[:, [2, 0]], atol=1e-5, rtol=0)


@pytest.mark.parametrize("topology", ["3d", "2to3d"])
@torch.no_grad()
def test_a_fresh_network_has_no_checkerboard(topology):
    """The eight sub-voxels of a coarse one start as equals."""
    y = network(topology)(torch.randn(1, 2, 8, 16, 16))
    coarse = F.avg_pool3d(y, 2)
    blocks = F.interpolate(coarse, scale_factor=2, mode="nearest")
    torch.testing.assert_close(y, blocks, atol=1e-5, rtol=0)
    assert coarse.std() > 1e-3


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_are_small(name):
    """Twelve structures of a 32×128×128 patch."""
    config = SHIPPED[name]
    cost = count_cost(config)
    assert name == f"colony-{config.topology}"
    assert (config.outputs, config.depth) == (12, 32)
    assert cost.gmac <= 13
    assert cost.parameters <= (4.7e6 if config.topology == "3to2d" else 3.5e6)


@each_topology
def test_a_topology_alone_is_a_whole_description(topology):
    """With the widths that ship."""
    config = NetworkConfig(topology=topology)
    assert NetworkConfig.model_validate(config.model_dump(mode="json")) == config
    if topology != "3to2d":
        shipped = SHIPPED[f"colony-{topology}"]
        assert config == shipped.model_copy(update={"standardised": False})
