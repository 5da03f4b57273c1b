"""Resampling keeps the object where it is and does not alias."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.errors import InputError
from napari_sparsessp.resampling import (
    LateralResampling,
    grid_coverage,
    resample_yx,
    resample_zyx,
    resampled_origin,
    resampled_size,
)

steps = st.floats(0.05, 3)
sizes = st.integers(1, 40)


def _centres(n, step, origin):
    return origin + step * np.arange(n)


@given(sizes, sizes, steps, steps)
def test_size_covers_the_same_extent_to_half_a_pixel(h, w, step_in, step_out):
    for n in (h, w):
        size = resampled_size(n, step_in, step_out)
        assert size >= 1
        if size > 1:
            assert abs(size * step_out - n * step_in) <= 0.5 * step_out + 1e-6


@settings(deadline=None)
@given(sizes, sizes, steps, steps, st.sampled_from(["linear", "cubic"]))
def test_constants_stay_constant(h, w, step_in, step_out, method):
    image = np.full((h, w), 7.5, np.float32)
    result = resample_yx(image, (step_in, 1), (step_out, 1.3), method=method)
    np.testing.assert_allclose(result, 7.5, rtol=1e-5)


@settings(deadline=None)
@given(steps, steps, st.sampled_from(["linear", "cubic"]))
def test_a_ramp_stays_at_its_place_in_micrometres(step_in, step_out, method):
    n, origin = 60, 3.0
    x = _centres(n, step_in, origin)
    result = resample_yx(
        np.broadcast_to(x, (2, n)), (1, step_in), (1, step_out), method=method
    )
    (start,) = resampled_origin((origin,), (step_in,), (step_out,))
    expected = _centres(result.shape[1], step_out, start)
    margin = 2 * max(step_in, step_out) + step_in  # the kernel's reach past the edge
    inside = (expected > x[0] + margin) & (expected < x[-1] - margin)
    np.testing.assert_allclose(
        result[0][inside], expected[inside], rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize(
    ("method", "mode"), [("linear", "bilinear"), ("cubic", "bicubic")]
)
@pytest.mark.parametrize("size", [(17, 23), (40, 31), (95, 130)])
def test_inner_pixels_are_near_torchs_antialiased_interpolation(method, mode, size):
    image = np.random.default_rng(1).normal(size=(1, 40, 62)).astype(np.float32)
    step = (40 / size[0], 62 / size[1])
    ours = resample_yx(image, (1, 1), step, size, method=method)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None], size=size, mode=mode, antialias=True
    )[0].numpy()
    rim = [max(3, int(np.ceil(2 / s)) + 1) for s in step]  # they cut the kernel there
    inner = (slice(None), slice(rim[0], -rim[0]), slice(rim[1], -rim[1]))
    # Where it shrinks by a fraction theirs is off centre by up to a tenth of a pixel.
    tolerance = 5e-5 if min(size) > 90 else 0.08
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=tolerance)
    assert np.abs(ours[inner] - theirs[inner]).mean() < tolerance / 4


def test_stripes_are_averaged_away_and_outside_the_edge_counts():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (8, 64))
    small = resample_yx(stripes, (1, 1), (1, 4))
    assert np.abs(small[:, 1:-1] - 0.5).max() < 0.01
    image = np.array([[1.0, 2.0]], np.float32)
    grown = resample_yx(image, (1, 1), (1, 0.25))
    np.testing.assert_allclose(grown[0, :2], 1)
    np.testing.assert_allclose(grown[0, -2:], 2)


def test_all_leading_axes_are_kept_and_equal_steps_are_the_identity():
    image = np.random.default_rng(0).normal(size=(2, 3, 8, 9)).astype(np.float32)
    result = resample_yx(image, (1, 1), (2, 3))
    assert result.shape == (2, 3, 4, 3)
    np.testing.assert_array_equal(
        result[1, 2], resample_yx(image[1, 2], (1, 1), (2, 3))
    )
    np.testing.assert_array_equal(resample_yx(image, (0.3, 0.2), (0.3, 0.2)), image)
    allen = resample_yx(np.zeros((204, 341)), (0.331, 0.294), (0.29, 0.29))
    assert allen.shape == (233, 346)


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(*[st.floats(0.2, 2)] * 3),
    st.tuples(*[st.floats(0.2, 2)] * 3),
    st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_a_stack_on_another_grid_keeps_its_place(voxel_in, voxel_out, shift):
    size_in, origin_in = (24, 20, 22), (1.0, -2.0, 0.5)
    axes = [_centres(*each) for each in zip(size_in, voxel_in, origin_in, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    origin_out = tuple(o + s for o, s in zip(origin_in, shift, strict=True))
    size_out = (12, 11, 10)
    result = resample_zyx(
        z + 10 * y - 5 * x, voxel_in, origin_in, voxel_out, origin_out, size_out
    )
    assert result.shape == size_out
    targets = [
        _centres(*each) for each in zip(size_out, voxel_out, origin_out, strict=True)
    ]
    reach = [a + b for a, b in zip(voxel_in, voxel_out, strict=True)]
    keep = [
        (t > axis[0] + r) & (t < axis[-1] - r)
        for t, axis, r in zip(targets, axes, reach, strict=True)
    ]
    z, y, x = np.meshgrid(*targets, indexing="ij")
    inside = np.ix_(*keep)
    expected = (z + 10 * y - 5 * x)[inside]
    np.testing.assert_allclose(result[inside], expected, rtol=1e-4, atol=1e-3)


def test_the_same_grid_is_the_identity_and_a_far_one_the_edge():
    stack = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    voxel, origin = (0.29, 0.1, 0.1), (1.0, 2.0, 3.0)
    same = resample_zyx(stack, voxel, origin, voxel, origin, stack.shape)
    np.testing.assert_array_equal(same, stack)
    far = resample_zyx(stack, voxel, origin, voxel, (1e6, 2.0, 3.0), (2, 5, 6))
    np.testing.assert_allclose(far, stack[[-1, -1]], rtol=1e-6)


def test_coverage_tells_how_much_of_a_grid_an_image_reaches():
    voxel, origin = (1, 1, 1), (0, 0, 0)
    args = (voxel, origin, (10, 10, 10), voxel)
    assert grid_coverage((10, 10, 10), *args, origin) == (1, 1, 1)
    assert grid_coverage((10, 10, 10), *args, (5, -20, 0)) == (0.5, 0, 1)
    # Half-pixel geometry: the same field in larger pixels covers all of it.
    larger = ((5,) * 3, (2,) * 3, (0.5,) * 3)
    assert grid_coverage(*larger, (10, 10, 10), voxel, origin) == (1, 1, 1)


@pytest.mark.parametrize("step", [0, -1, float("nan")])
def test_impossible_pixel_sizes_are_refused(step):
    with pytest.raises(InputError, match="pixel size"):
        resample_yx(np.zeros((4, 4)), (step, 1), (1, 1))


@settings(deadline=None, max_examples=60)
@given(st.data(), sizes, sizes, steps, steps, st.sampled_from(["linear", "cubic"]))
def test_a_region_has_the_very_numbers_of_the_whole(
    data, h, w, step_in, step_out, method
):
    image = np.random.default_rng(h).normal(100, 9, (h, w)).astype(np.float32)
    lateral = LateralResampling((h, w), (step_in, 1), (step_out, 1.3), method=method)
    whole = lateral(image)
    assert whole.shape == lateral.size
    rows, columns = (_part(data, size) for size in lateral.size)
    pixels = np.ascontiguousarray(image[lateral.source(rows, columns)])
    assert pixels.size
    region = lateral(pixels, (rows, columns))
    np.testing.assert_array_equal(region, whole[rows, columns])


def _part(data, size):
    start = data.draw(st.integers(0, size - 1))
    return slice(start, data.draw(st.integers(start + 1, size)))
