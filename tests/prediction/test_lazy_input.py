"""A stack that is larger than its share of memory gives the very same numbers."""

import dataclasses

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazy import FP32, VOXEL, both_ways, counting
from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction import decoded, stack
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.input_stack import (
    PixelsFromFile,
    PixelsInMemory,
    read_stack,
)
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.tiling import cut_tiles
from napari_sparsessp.volume import Volume


@settings(max_examples=15, deadline=None)
@given(
    st.data(),
    st.tuples(st.integers(1, 9), st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.floats(0.3, 1.2), st.floats(0.15, 0.6), st.floats(0.15, 0.6)),
    st.integers(1, 40_000),
    st.sampled_from([np.uint8, np.uint16, ">u2", np.float16, np.float32, np.int64]),
)
def test_any_window_has_the_bits_of_the_whole(
    thin_model, data, shape, voxel, share, dtype
):
    array = np.random.default_rng(5).integers(0, 250, shape).astype(dtype)
    array.flat[0], array.flat[-1] = (3, 250) if array.size > 1 else (3, 3)
    if array.size < 2:
        return
    chunks = tuple(data.draw(st.integers(1, size)) for size in shape)
    lazily = data.draw(st.booleans())
    volume = Volume(da.from_array(array, chunks) if lazily else array, "ZYX", voxel)
    with pytest.MonkeyPatch.context() as patch:

        def set_share(size):
            patch.setattr(stack, "_share", lambda plan: size)
            patch.setattr(stack, "_fits", lambda plan, volume: size == 2**30)
            patch.setattr(decoded, "AT_ONCE", max(64, size // 8))

        plan, whole, lazy = both_ways(thin_model, volume, set_share, share)
    assert lazy.normalisation == whole.normalisation
    for tile in data.draw(st.permutations(plan.tiles)):
        for one, other in zip(whole.window(tile), lazy.window(tile), strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("scaling", ["robust", "zscore", "none"])
def test_the_scale_is_the_same_to_the_bit(thin_model, small_share, scaling):
    card = thin_model.card.model_copy(update={"scaling": scaling})
    model = type(thin_model)(card, thin_model.network, "", thin_model.path)
    array = np.random.default_rng(1).gamma(2, 900, (7, 37, 41)).astype(np.float32)
    array[3] = 0
    volume = Volume(da.from_array(array, (2, 9, 11)), "ZYX", VOXEL)
    _, whole, lazy = both_ways(model, volume, small_share, 5000)
    assert whole.normalisation == lazy.normalisation
    assert whole.left_out == lazy.left_out == (() if scaling == "none" else (3,))


@pytest.mark.parametrize("interpolation", ["linear", "hold", "nearest"])
def test_masked_pixels_are_the_same(thin_model, small_share, interpolation):
    card = thin_model.card.model_copy(update={"interpolation": interpolation})
    model = type(thin_model)(card, thin_model.network, "", thin_model.path)
    array = np.random.default_rng(1).normal(100, 9, (5, 50, 60)).astype(np.float32)
    array[1, 3:9, 4] = np.nan
    array[4, 40:, :] = np.inf
    volume = Volume(da.from_array(array, (1, 50, 60)), "ZYX", VOXEL)
    plan, whole, lazy = both_ways(model, volume, small_share, 9000, mask_invalid=True)
    found = 0
    for tile in plan.tiles:
        np.testing.assert_array_equal(whole.window(tile)[0], lazy.window(tile)[0])
        np.testing.assert_array_equal(whole.masked(tile), lazy.masked(tile))
        found += whole.masked(tile).sum()
    assert found


def test_a_prediction_has_the_same_bits(thin_model, small_share):
    array = np.random.default_rng(1).integers(0, 4000, (2, 11, 70, 90), np.uint16)
    volume = Volume(da.from_array(array, (1, 1, 70, 90)), "TZYX", VOXEL)
    request = FP32.model_copy(update={"tile": (8, 32, 32)})
    whole = predict(thin_model, volume, request=request)
    small_share(40_000)
    lazy = predict(thin_model, volume, request=request)
    np.testing.assert_array_equal(whole.volume.array, lazy.volume.array)
    assert lazy.report.normalisation == whole.report.normalisation


def test_a_scale_that_is_known_saves_the_first_reading(thin_model, small_share):
    array = np.random.default_rng(1).integers(0, 99, (6, 60, 40), np.uint8)
    lazy, counts = counting(array, (1, 60, 40))
    plan, whole, _ = both_ways(
        thin_model, Volume(lazy, "ZYX", VOXEL), small_share, 20_000
    )
    counts.clear()
    again = read_stack(plan, None, known=whole.normalisation)
    assert not counts
    assert again.normalisation == whole.normalisation
    tile = plan.tiles[0]
    np.testing.assert_array_equal(whole.window(tile)[0], again.window(tile)[0])


def test_values_that_are_not_finite_are_found_though_the_scale_is_given(
    thin_model, small_share
):
    array = np.random.default_rng(1).normal(100, 9, (6, 60, 40)).astype(np.float32)
    array[4, 50, 3] = np.nan
    given = FP32.model_copy(update={"normalisation": (100.0, 9.0)})
    for share in (2**30, 9000):
        small_share(share)
        with pytest.raises(InputError, match="1 NaN or infinite values, .* plane 4"):
            predict(thin_model, Volume(array, "ZYX", VOXEL), request=given)


def test_the_share_decides(thin_model):
    array = np.random.default_rng(1).normal(100, 9, (6, 60, 40)).astype(np.float32)
    plan = plan_prediction(thin_model.card, Volume(array, "ZYX", (0.29,) * 3), FP32)
    needed = 2 * array.nbytes
    for share, held in ((needed, PixelsInMemory), (needed - 1, PixelsFromFile)):
        memory = dataclasses.replace(plan.memory, input_share=share)
        found = read_stack(dataclasses.replace(plan, memory=memory), None)
        assert isinstance(found.pixels, held)


def test_parts_of_tiles_have_the_bits_of_the_whole_too(thin_model, small_share):
    """What is predicted where a device's memory is too small for a tile."""
    array = np.random.default_rng(1).integers(0, 99, (9, 90, 90), np.uint8)
    volume = Volume(da.from_array(array, (2, 90, 31)), "ZYX", VOXEL)
    plan, whole, lazy = both_ways(thin_model, volume, small_share, 20_000)
    size = dataclasses.replace(plan.tile_size, core=(8, 16), halo=8)
    parts = cut_tiles(plan.model_shape, size)
    for tile in [*plan.tiles[:2], *parts[::3], *plan.tiles[1:3]]:
        np.testing.assert_array_equal(whole.window(tile)[0], lazy.window(tile)[0])
