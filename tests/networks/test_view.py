"""How measured planes reach a network: interpolated, or as channels."""

import pytest
import torch

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.layers import network_input
from napari_sparsessp.networks.network import View
from napari_sparsessp.sparse import SparseView

MODES = ("hold", "nearest", "linear")
TINY = {
    "conditioning": "multihead",
    "outputs": 2,
    "depth": 8,
    "encoder_widths": (4, 4, 8, 8, 8),
    "decoder_widths": (4, 4, 4, 8),
    "folded_width": 16,
    "inputs": 1,
}


def config(**changes):
    return NetworkConfig(**{"backbone": "plain", "topology": "3to2d"} | TINY | changes)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ratio", [2, 4, 8])
@pytest.mark.parametrize("topology", ["2d", "2to3d"])
@pytest.mark.parametrize("backbone", ["plain", "dod"])
def test_for_a_2d_encoder_a_prefix_is_raw_planes_with_summed_kernels(
    backbone, topology, ratio, mode
):
    """Models.md finding 2: r times fewer channels, the same functions."""
    torch.manual_seed(0)
    options = {"backbone": backbone, "topology": topology, "interpolation": mode}
    dense = build_network(config(**options)).eval()
    raw = build_network(config(**options, ratio=ratio)).eval()
    first = (
        "encoder.stem.weight"
        if backbone == "dod"
        else "encoder.levels.0.units.0.conv.weight"
    )
    weights = dense.state_dict()
    mix = torch.from_numpy(SparseView.from_ratio(8 // ratio, ratio).weights(mode))
    weights[first] = torch.einsum("odhw,dn->onhw", weights[first], mix)
    raw.load_state_dict(weights)
    x = torch.randn(2, 1, 8 // ratio, 16, 32)
    with torch.no_grad():
        torch.testing.assert_close(raw(x), dense(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "shape", "words"),
    [
        ({}, (1, 1, 3, 16, 16), "takes 8 planes, or a whole share of them, not 3"),
        ({}, (1, 1, 16, 16, 16), "not 16"),
        ({}, (1, 1, 8, 20, 16), "pad or crop them to 32×16"),
        ({}, (1, 1, 8, 0, 16), "16×16"),
        ({}, (1, 2, 8, 16, 16), r"\(batch, 1, planes"),
        ({}, (1, 8, 16, 16), r"\(batch, 1, planes"),
        ({"topology": "3d"}, (1, 1, 12, 16, 16), "multiple of 8"),
        (
            {"mapping": "postfix", "ratio": 2},
            (1, 1, 2, 16, 16),
            "takes 4 planes, not 2",
        ),
        ({"mapping": "none", "ratio": 2}, (1, 1, 8, 16, 16), "takes 4 planes, not 8"),
    ],
)
def test_the_error_for_a_wrong_stack_says_which_would_fit(changes, shape, words):
    with pytest.raises(InputError, match=words) as error:
        View(config(**changes))(torch.zeros(shape))
    assert "\n" not in str(error.value)


def test_distance_is_the_second_channel():
    """Scaled, and limited where all is equally far."""
    distance = torch.tensor([0.0, 2.0, -4.0, 100.0])
    x = network_input(torch.ones(4, 3, 3), distance)
    assert x.shape == (2, 4, 3, 3)
    torch.testing.assert_close(x[1, :, 0, 0], torch.tensor([0.0, 0.5, -1.0, 2.0]))
