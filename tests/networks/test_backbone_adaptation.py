"""Published weights keep their meaning at other channels, patches and sizes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.networks.backbones import (
    adapt_channels,
    resize_kernel,
    resize_positions,
)


@given(planes=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_grey_image_gives_the_same_activations_in_any_number_of_planes(planes, seed):
    generator = torch.Generator().manual_seed(seed)
    rgb = torch.randn(4, 3, 7, 7, generator=generator)
    grey = torch.randn(1, 1, 16, 16, generator=generator)
    adapted = adapt_channels(rgb, planes)
    torch.testing.assert_close(
        F.conv2d(grey.expand(-1, planes, -1, -1), adapted),
        F.conv2d(grey.expand(-1, 3, -1, -1), rgb),
        atol=1e-4,
        rtol=1e-4,
    )


def test_no_plane_is_treated_as_a_colour():
    adapted = adapt_channels(torch.randn(4, 3, 2, 2), 3)
    assert torch.equal(adapted[:, 0], adapted[:, 2])


def test_weights_for_these_very_planes_are_left_alone():
    weight = torch.randn(4, 16, 2, 2)
    assert adapt_channels(weight, 16) is weight


def resized(patch, size):
    """Linear along y and x, the resizing that the kernel is fitted to."""
    return F.interpolate(patch, size=(size, size), mode="bilinear", align_corners=False)


@given(old=st.integers(2, 16), more=st.integers(0, 10), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_grown_patch_gives_the_same_token(old, more, seed):
    """Exact for growing, as FlexiViT proves; 14 → 16 is DINOv2's."""
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.randn(3, 2, old, old, generator=generator)
    patch = torch.randn(5, 2, old, old, generator=generator)
    new = old + more
    torch.testing.assert_close(
        F.conv2d(resized(patch, new), resize_kernel(kernel, new)),
        F.conv2d(patch, kernel),
        atol=1e-3,
        rtol=1e-3,
    )


def test_a_shrunk_patch_gives_the_closest_token():
    """Least squares: no other kernel answers white noise patches better."""
    torch.manual_seed(0)
    kernel = torch.randn(1, 1, 6, 6).double()
    best = resize_kernel(kernel, 4)
    patches = torch.eye(36, dtype=torch.float64).view(36, 1, 6, 6)
    small = resized(patches, 4)

    def error(candidate):
        gap = F.conv2d(small, candidate) - F.conv2d(patches, kernel)
        return float(gap.square().sum())

    for _ in range(20):
        assert error(best) <= error(best + 0.05 * torch.randn_like(best))


def test_positions_of_another_grid_are_the_same_landscape():
    """A smooth ramp stays a ramp; the class token's is not mixed in."""
    ramp = torch.linspace(0, 1, 8)[:, None].expand(8, 8).reshape(1, 64, 1)
    positions = torch.cat([torch.full((1, 1, 1), 9.0), ramp], dim=1)
    grown = resize_positions(positions, 1 + 16**2)
    assert grown.shape == (1, 257, 1)
    assert grown[0, 0, 0] == 9.0
    grid = grown[0, 1:, 0].view(16, 16)
    assert (grid.diff(dim=0)[2:-2] > 0).all()
    torch.testing.assert_close(grid[:, 0], grid[:, 15])


@pytest.mark.parametrize("count", [5, 1 + 7])
def test_positions_that_fit_or_are_no_square_are_left_alone(count):
    positions = torch.randn(1, 5, 3)
    assert resize_positions(positions, count) is positions
