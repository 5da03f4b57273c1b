"""FCMAE and UNeXt2 compute what their description says, written down a second time."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.speed.viscy_layout import (
    PUBLISHED,
    Layout,
    plain_window,
    random_state,
    shapes,
    write_checkpoint,
)
from napari_sparsessp.models.importing.convert import open_network
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.unext import ResponseNorm, mean_before

SMALL = {"widths": (12, 24, 48, 96), "blocks": (1, 2, 1, 1)}
LAYOUTS = {
    "3D": Layout(depth=10, **SMALL),
    "3D, one output": Layout(outputs=1, depth=10, decoder_blocks=1, **SMALL),
    "2D": Layout(depth=1, stem=(1, 2, 2), **SMALL),
    "pooled convolution": Layout(
        depth=14, stem=(7, 4, 4), convolves=True, pool=True, **SMALL
    ),
    "convolution": Layout(
        depth=14, stem=(7, 4, 4), convolves=True, pool=False, expansion=2, **SMALL
    ),
    "UNeXt2": Layout(unext2=True, depth=5, convolves=True, **SMALL),
    "deep UNeXt2": Layout(
        unext2=True, depth=14, stem=(7, 4, 4), convolves=True, **SMALL
    ),
}


@pytest.fixture
def opened(tmp_path):
    """`opened(layout)`: the network of ours, the published weights, and an input."""

    def go(layout):
        state = random_state(layout)
        write_checkpoint(tmp_path / "a.ckpt", layout, state)
        network = open_network(tmp_path / "a.ckpt")[1]
        if layout.convolves:  # which leaves no trace in the file
            network.head.pool = layout.pool
        torch.manual_seed(1)
        return network, state, torch.randn(1, 1, layout.depth, 64, 32)

    return go


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_network_computes_what_the_authors_layers_do(name, opened):
    """Both ways: with gradients, and writing over its features without."""
    network, state, x = opened(LAYOUTS[name])
    expected = plain_window(LAYOUTS[name], state, x)
    torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=0)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=0)
        both = network(torch.cat([x, 2 * x.flip(-1)]))
        torch.testing.assert_close(both[:1], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["3D", "pooled convolution"])
def test_chosen_structures_are_those_of_all(name, opened):
    network, _, x = opened(LAYOUTS[name])
    with torch.inference_mode():
        every = network(x)
        features = network.encode(x)
        torch.testing.assert_close(network.decode(features, [1]), every[:, 1:])
        torch.testing.assert_close(network.decode(features, [1, 0]), every.flip(1))


@pytest.mark.parametrize("name", ["3D", "deep UNeXt2"])
def test_half_precision_changes_little(name, opened):
    network, _, x = opened(LAYOUTS[name])
    with torch.inference_mode():
        exact = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            near = network(x).float()
    assert (near - exact).square().mean() < 0.005 * exact.var()


@pytest.mark.parametrize("name", LAYOUTS)
def test_it_learns_with_every_weight(name):
    layout = LAYOUTS[name]
    config = NetworkConfig(
        backbone="unext2" if layout.unext2 else "fcmae",
        topology="2d" if layout.depth == 1 else "3to2d",
        depth=layout.depth,
        stem=layout.stem,
        encoder_widths=(8, 12, 16),
        encoder_blocks=(1, 1, 1),
        decoder_blocks=1,
        head_form="convolution" if layout.convolves else "shuffle",
        head_expansion=1,
    )
    torch.manual_seed(0)
    network = build_network(config).train()
    x = torch.randn(2, 1, config.depth, 32, 32)
    y = F.avg_pool3d(x, (1, 5, 5), 1, (0, 2, 2)) * 3
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(11):
        loss = (network(x, tasks=torch.tensor([0, 1])) - y).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert [n for n, p in network.named_parameters() if p.grad is None] == []
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_are_those_of_the_published_files(name):
    """Weights and tensors of weights.md, section 1.2."""
    counted = [torch.Size(shape).numel() for _, shape in shapes(PUBLISHED[name])]
    assert (sum(counted), len(counted)) == {
        "VSCyto3D": (34_979_328, 252),
        "VSCyto3D 2024": (32_042_729, 273),
        "VSCyto2D": (31_160_888, 252),
        "VSNeuromast": (33_433_689, 257),
        "VSNeuromast 2024": (40_043_689, 273),
    }[name]


def test_a_channel_that_is_silent_has_a_gradient():
    """Its strength is a root of 0, whose slope is infinite."""
    norm = ResponseNorm(2)
    x = torch.zeros(1, 2, 2, 2, requires_grad=True)
    (x[..., :1] + norm(x)).sum().backward()
    assert x.grad.isfinite().all()


def test_padding_and_windows_are_as_published():
    """Counted as VisCy counts its levels: 256 with a stem of 4, where 32 would do."""
    fcmae = NetworkConfig(backbone="fcmae")
    flat = NetworkConfig(backbone="fcmae", topology="2d")
    unext2 = NetworkConfig(backbone="unext2")
    assert [one.padding.multiple for one in (fcmae, flat, unext2)] == [256, 16, 64]
    assert [one.stride for one in (fcmae, flat, unext2)] == [32, 16, 32]
    assert {one.padding.mode for one in (fcmae, flat, unext2)} == {"zeros"}
    assert [one.window_step for one in (fcmae, flat, unext2)] == [1, 1, 1]
    assert [one.fast_step for one in (fcmae, flat, unext2)] == [5, None, None]
    assert fcmae.sees_whole


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"inputs": 2}, "dense stack alone"),
        ({"norm": "batch"}, "norms of its own"),
        ({"projection": "2d"}, "no projection 2d"),
        ({"conditioning": "tsn"}, "choose multihead"),
        ({"topology": "3d"}, "choose 3to2d or 2d"),
        ({"depth": 14}, "groups of 5 planes"),
        ({"depth": 20, "encoder_widths": (10, 16, 16, 16)}, "share 10 channels"),
        ({"depth": 1, "stem": (1, 2, 2)}, "topology 2d"),
        ({"stem": (5, 4, 2)}, "both 2, 4 or 8"),
        ({"stem": (5, 2, 2), "head_form": "convolution"}, "4,4 in y, x"),
        ({"encoder_blocks": (1,)}, "one entry for each"),
        ({"encoder_widths": (96, 192, 384, 770)}, "multiples of 4"),
        ({"decoder_widths": (480, 192, 380)}, "leave them out, or give 480, 192, 384"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_exist_is_explained(changes, says):
    with pytest.raises(ValidationError, match=says):
        NetworkConfig(backbone="fcmae", **changes)


@settings(max_examples=20, deadline=None)
@given(
    size=st.sampled_from([1, 2, 4, 8]),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_a_mean_of_what_came_before_is_a_padded_pooling(size, height, width, seed):
    torch.manual_seed(seed)
    x = torch.randn(1, 2, height, width)
    padded = F.pad(x, (size - 1, 0, size - 1, 0))
    expected = F.avg_pool2d(padded, size, stride=1)
    torch.testing.assert_close(mean_before(x, size), expected, atol=1e-5, rtol=1e-5)


def test_other_layouts_have_other_weights():
    """So that a layout cannot be taken for another by its shapes."""
    seen = {tuple(shapes(layout)) for layout in LAYOUTS.values()}
    assert len(seen) == len(LAYOUTS)
    assert tuple(shapes(replace(LAYOUTS["3D"], pool=False))) in seen
