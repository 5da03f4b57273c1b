"""Depth becomes channels and channels become depth, on every level."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.layers import (
    ChannelToDepth,
    DepthToChannel,
    fold,
    unfold,
)

WIDTHS = (32, 64, 128, 256, 256)  # models.md 1.2, C_k of dod
small = st.integers(1, 5)


def depths(dense):
    return [dense // 2**level for level in range(5)]


def parameters(modules):
    """Weights and biases of all, apart."""
    sizes = [(p.ndim, p.numel()) for m in modules for p in m.parameters()]
    return sum(n for d, n in sizes if d > 1), sum(n for d, n in sizes if d == 1)


@given(shape=st.tuples(small, small, small, small, small), data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_voxel_of_channel_c_and_plane_d_becomes_channel_c_times_depth_plus_d(
    shape, data
):
    _, channels, depth, _, _ = shape
    c = data.draw(st.integers(0, channels - 1))
    d = data.draw(st.integers(0, depth - 1))
    x = torch.randn(shape)
    assert torch.equal(fold(x)[:, c * depth + d], x[:, c, d])
    assert torch.equal(unfold(fold(x), depth), x)


def test_the_paper_projections_have_their_published_size():
    """Models.md 1.4 and 1.5: D = 32, U = 256."""

    def levels(kind, space):
        ends = {DepthToChannel: lambda c: 256, ChannelToDepth: lambda c: c}[kind]
        with torch.device("meta"):
            return [
                kind(c, d, ends(c), space=space)
                for c, d in zip(WIDTHS, depths(32), strict=True)
            ]

    assert parameters(levels(DepthToChannel, "3d")) == (54_528, 248)
    assert parameters(levels(DepthToChannel, "2d"))[0] == 1_179_648
    assert parameters(levels(ChannelToDepth, "3d")) == (51_488, 736)
    shares = [
        layer.projection.weight.shape[0] for layer in levels(DepthToChannel, "3d")
    ]
    assert shares == [8, 16, 32, 64, 128]


@given(depth=st.integers(1, 9), more=st.integers(0, 12), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_any_width_that_holds_the_planes_can_be_folded_into(depth, more, seed):
    """Where D does not divide U a convolution brings ⌈U/D⌉·D channels to U."""
    torch.manual_seed(seed)
    folded = depth + more
    for space in ("3d", "2d"):
        layer = DepthToChannel(3, depth, folded, space=space)
        assert layer(torch.randn(2, 3, depth, 2, 2)).shape == (2, folded, 2, 2)
    exact = DepthToChannel(3, depth, folded)
    assert (exact.after is None) == (folded % depth == 0)
    with pytest.raises(InputError, match=f"{folded + 1} planes cannot be folded"):
        DepthToChannel(3, folded + 1, folded)


@given(
    depth=st.integers(2, 6),
    share=st.integers(1, 4),
    plane=st.integers(0, 5),
    seed=st.integers(0, 9),
)
@settings(max_examples=30, deadline=None)
def test_projected_in_3d_each_plane_keeps_channels_of_its_own(
    depth, share, plane, seed
):
    """A projection in 2D mixes planes."""
    torch.manual_seed(seed)
    plane %= depth
    x = torch.randn(1, 3, depth, 2, 2)
    other = x.clone()
    other[:, :, plane] += 1
    down = DepthToChannel(3, depth, share * depth)
    changed = (down(x) != down(other)).flatten(2).any(2)[0].view(share, depth)
    assert torch.equal(changed.any(0).nonzero().flatten(), torch.tensor([plane]))

    up = ChannelToDepth(share * depth, depth, 3)
    folded, other = fold(torch.randn(1, share, depth, 2, 2)), None
    other = unfold(folded, depth).clone()
    other[:, :, plane] += 1
    changed = (up(folded) != up(fold(other)))[0].flatten(2).any(2)
    assert torch.equal(changed.any(0).nonzero().flatten(), torch.tensor([plane]))


ENCODED = {
    "3d": [(32, 32), (64, 16), (128, 8), (256, 4), (256, 2)],
    "2d": [(32,), (64,), (128,), (256,), (256,)],
    "2to3d": [(32, 32), (64, 16), (128, 8), (256, 4), (256, 2)],
    "3to2d": [(256,)] * 5,
}


@pytest.mark.parametrize("backbone", ["dod", "plain"])
@pytest.mark.parametrize("topology", ENCODED)
def test_every_level_has_the_shape_of_the_papers_figure(topology, backbone):
    """Models.md 1.2 at full size; meta tensors take no memory."""
    config = NetworkConfig(
        backbone=backbone,
        topology=topology,
        conditioning="multihead",
        encoder_widths=WIDTHS,
        outputs=12,
    )
    x = torch.zeros(1, 1, 32, 128, 128, device="meta")
    with torch.device("meta"):
        network = build_network(config)
        features = network.encode(x)
        out = network.decode(features)
    assert [tuple(level.shape[1:]) for level in features.levels] == [
        (*first, 128 // 2**k, 128 // 2**k) for k, first in enumerate(ENCODED[topology])
    ]
    assert out.shape == (1, 12, 32, 128, 128)
