"""A halo as wide as the network reaches: no pixel beyond counts, few less would do.

NaN in one column of the input becomes NaN wherever that column counts.
"""

import pytest
import torch

from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.families import (
    TOPOLOGIES,
)

THIN = {
    "inputs": 1,
    "outputs": 2,
    "depth": 8,
    "conditioning": "multihead",
    "encoder_widths": (2, 3, 4),
    "encoder_blocks": (1, 1, 1),
    "decoder_widths": (2, 3),
    "folded_width": 8,
    "norm": "batch",
}
CONFIGS = [
    *[{"backbone": "plain", "topology": one} for one in TOPOLOGIES],
    *[{"backbone": "dod", "topology": one} for one in TOPOLOGIES],
    {"backbone": "fnet", "topology": "3d"},
    {"backbone": "gvt", "topology": "3d"},
    {"backbone": "plain", "topology": "3d", "kernel": 5},
    {
        "backbone": "plain",
        "topology": "3to2d",
        "kernel": 5,
        "conditioning": "repmode",
        "projection": "code",
    },
    *[
        {
            "backbone": "slim",
            "topology": one,
            "encoder_widths": (3, 4),
            "encoder_blocks": blocks,
            "decoder_widths": (4, 6) if one.endswith("3d") else (4, 4, 6),
            "norm": "none",
        }
        for one in TOPOLOGIES
        for blocks in ((1, 2), (2, 1))
    ],
]


def farthest(network, stride):
    """Pixels from an input column to the farthest output column that it changes."""
    side = 32 * stride
    seen, more = 0, ()
    if network.config.attends:  # to all columns, by its sums
        zeros = torch.zeros(1, 1, network.config.planes, stride, side)
        more = (network.whole_sums(zeros),)
    for column in range(side // 2, side // 2 + stride):
        x = torch.zeros(1, 1, network.config.planes, stride, side)
        x[..., column] = torch.nan
        y = network.decode(network.encode(x, *more), [0])
        changed = y.isnan().any(dim=(0, 1, 2, 3)).nonzero().flatten()
        assert changed[0] > 0  # the picture is wide enough
        assert changed[-1] < side - 1
        seen = max(seen, column - int(changed[0]), int(changed[-1]) - column)
    return seen


@pytest.mark.parametrize(
    "changes", CONFIGS, ids=lambda one: "-".join(map(str, one.values()))
)
@torch.no_grad()
def test_the_reach_covers_all_that_is_seen_and_little_more(changes):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(**THIN | changes)).eval()
    config = network.config
    assert not config.sees_whole
    seen = farthest(network, config.stride)
    assert seen <= config.reach
    assert seen > config.reach - config.stride
