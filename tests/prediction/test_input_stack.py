"""A large stack is read once, ahead of the network, and let go of at the end."""

import gc
import threading
import time
import weakref
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazy import FP32, VOXEL, both_ways, columns, counting
from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction import engine, input_stack
from napari_sparsessp.prediction.engine import (
    PredictionCancelled,
    TileDone,
    predict,
    predict_stream,
)
from napari_sparsessp.prediction.input_stack import (
    read_stack,
)
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.tiling import cut_tiles
from napari_sparsessp.volume import Volume


@pytest.mark.parametrize(
    ("shape", "chunks", "share"),
    [
        ((24, 40, 40), (1, 20, 20), 70_000),  # for all windows of a column
        # As TIFFs have them, every tile needs a part of the one chunk: in float32
        # they would not fit, in the file's own bytes they do.
        ((6, 300, 40), (1, 300, 40), 3 * 6 * 300 * 40),
    ],
)
def test_planes_are_decoded_once(thin_model, small_share, shape, chunks, share):
    array = np.random.default_rng(1).integers(0, 99, shape, np.uint8)
    lazy, counts = counting(array, chunks)
    volume = Volume(lazy, "ZYX", (0.29,) * 3)
    plan, _, stack_ = both_ways(thin_model, volume, small_share, share)
    assert len({(tile.keep_y, tile.z) for tile in plan.tiles}) > 2
    counts.clear()
    for tile in columns(plan.tiles):
        stack_.window(tile)
    # Chunks that a column's windows touch, or each plane
    halo = {(tile.read_y, tile.read_x) for tile in plan.tiles}
    assert max(counts.values()) <= (len(halo) if chunks[1] == 20 else 1)


def test_the_next_tile_is_read_while_the_network_computes(thin_model, small_share):
    asked, allowed = [], threading.Event()
    array = np.random.default_rng(1).integers(0, 99, (8, 480, 24), np.uint16)

    class Slow:
        """Reads its lower part only when it may."""

        shape, dtype, ndim = array.shape, array.dtype, array.ndim
        chunks = (8, 8, 24)

        def __getitem__(self, key):
            if key[1].start >= plan.tiles[-2].read_y[1]:
                asked.append(threading.current_thread())
                assert allowed.wait(20)
            return array[key]

    volume = Volume(Slow(), "ZYX", (0.29,) * 3)
    plan = plan_prediction(
        thin_model.card,
        volume,
        FP32.model_copy(update={"tile": (8, 64, 24), "normalisation": (50.0, 30.0)}),
    )
    small_share(20_000)
    allowed.set()
    lazy = read_stack(plan, None)
    allowed.clear()
    asked.clear()
    before, last = plan.tiles[-2], plan.tiles[-1]
    lazy.following = last
    lazy.window(before)
    deadline = time.monotonic() + 20
    while not asked and time.monotonic() < deadline:
        time.sleep(0.001)
    assert asked  # `window` of the tile before has returned already
    allowed.set()
    dense, _ = lazy.window(last)
    assert dense.shape[1] == last.read_y[1] - last.read_y[0]


def _failing(array, where):
    def load(block_info=None):
        place = block_info[None]["array-location"]
        if place[1][0] <= where < place[1][1] and fail.is_set():
            raise KeyError("codec 'x' is not there")
        return array[tuple(slice(*span) for span in place)]

    fail = threading.Event()
    chunks = da.core.normalize_chunks((4, 16, 24), array.shape)
    return da.map_blocks(load, chunks=chunks, dtype=array.dtype, meta=array[:0]), fail


def test_an_error_of_the_reading_thread_comes_once_with_the_files_name(
    thin_model, small_share
):
    array = np.random.default_rng(1).integers(0, 99, (8, 120, 24), np.uint16)
    lazy, fail = _failing(array, 110)
    volume = Volume(lazy, "ZYX", (0.29,) * 3, source="/data/broken.zarr")
    small_share(9000)
    events = predict_stream(
        thin_model, volume, request=FP32.model_copy(update={"tile": (8, 24, 24)})
    )
    next(event for event in events if isinstance(event, TileDone))
    fail.set()
    with pytest.raises(InputError, match=r"broken\.zarr cannot be read") as caught:
        list(events)
    assert "\n" not in str(caught.value)
    assert list(events) == []
    for share in (2**30, 9000):  # and while the scale is found
        small_share(share)
        with pytest.raises(InputError, match=r"broken\.zarr cannot be read"):
            predict(thin_model, volume, request=FP32)


@pytest.mark.parametrize("closed", [True, False])
def test_everything_is_let_go(thin_model, small_share, closed):
    array = np.random.default_rng(1).integers(0, 99, (8, 80, 24), np.uint16)
    volume = Volume(da.from_array(array, (1, 80, 24)), "ZYX", VOXEL)
    plan, _, lazy = both_ways(thin_model, volume, small_share, 9000)
    lazy.window(plan.tiles[0])
    threads = [one for one in threading.enumerate() if "read-ahead" in one.name]
    pixels = weakref.ref(lazy.pixels)
    if closed:
        lazy.close()
    del lazy
    gc.collect()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert pixels() is None


@pytest.mark.parametrize("share", [2**30, 9000])
def test_one_time_point_is_held_at_a_time(thin_model, small_share, share, monkeypatch):
    held, most = [], []
    read = engine.read_stack

    def watched(*arguments):
        gc.collect()
        most.append(sum(one() is not None for one in held))
        found = read(*arguments)
        held.append(weakref.ref(found.pixels))
        return found

    monkeypatch.setattr(engine, "read_stack", watched)
    small_share(share)
    array = np.random.default_rng(1).integers(0, 99, (3, 3, 30, 40), np.uint8)
    volume = Volume(da.from_array(array, (1, 1, 30, 40)), "TZYX", VOXEL)
    predict(thin_model, volume, structures=["dna"], request=FP32)
    gc.collect()
    assert most == [0] * 3
    assert [one() for one in held] == [None] * 3


def test_only_the_channel_and_the_time_points_that_are_asked_for_are_read(thin_model):
    array = np.random.default_rng(1).integers(0, 99, (40, 30, 3, 20, 20), np.uint8)
    lazy, counts = counting(array, (1, 1, 1, 20, 20))
    volume = Volume(lazy, "TCZYX", VOXEL)
    asked = FP32.model_copy(update={"channel": 7, "time": "3:39:30"})
    result = predict(thin_model, volume, structures=["dna"], request=asked)
    assert result.volume.shape[:2] == (2, 1)
    assert set(counts) == {(t, 7, z, 0, 0) for t in (3, 33) for z in range(3)}


@pytest.mark.parametrize("share", [2**30, 2000])
def test_a_run_that_is_cancelled_while_it_reads_ends_as_cancelled(
    thin_model, small_share, share
):
    cancel = threading.Event()
    array = np.random.default_rng(1).integers(0, 99, (8, 40, 24), np.uint16)

    def load(block):
        cancel.set()
        return block

    lazy = da.from_array(array, (1, 40, 24)).map_blocks(load, meta=array[:0])
    small_share(share)
    *_, last = predict_stream(
        thin_model, Volume(lazy, "ZYX", VOXEL), request=FP32, cancel=cancel
    )
    assert isinstance(last, PredictionCancelled)
    assert last.done == 0


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
            patch.setattr(input_stack, "_share", lambda plan: size)
            patch.setattr(input_stack, "_fits", lambda plan, volume: size == 2**30)
            patch.setattr(input_stack, "AT_ONCE", max(64, size // 8))

        plan, whole, lazy = both_ways(thin_model, volume, set_share, share)
    assert lazy.normalisation == whole.normalisation
    for tile in data.draw(st.permutations(plan.tiles)):
        for one, other in zip(whole.window(tile), lazy.window(tile), strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("interpolation", ["linear", "hold", "nearest"])
@pytest.mark.parametrize("scaling", ["robust", "zscore", "none"])
def test_scale_and_masked_pixels_are_the_same_to_the_bit(
    thin_model, small_share, interpolation, scaling
):
    changes = {"interpolation": interpolation, "scaling": scaling}
    model = replace(thin_model, card=thin_model.card.model_copy(update=changes))
    array = np.random.default_rng(1).gamma(2, 900, (5, 50, 60)).astype(np.float32)
    array[1, 3:9, 4], array[4, 40:, :], array[3] = np.nan, np.inf, 0
    volume = Volume(da.from_array(array, (2, 9, 11)), "ZYX", VOXEL)
    plan, whole, lazy = both_ways(model, volume, small_share, 9000, mask_invalid=True)
    assert whole.normalisation == lazy.normalisation
    assert whole.left_out == lazy.left_out == (() if scaling == "none" else (3,))
    found = 0
    for tile in plan.tiles:
        np.testing.assert_array_equal(whole.window(tile)[0], lazy.window(tile)[0])
        np.testing.assert_array_equal(whole.masked(tile), lazy.masked(tile))
        found += whole.masked(tile).sum()
    assert found


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


def test_the_share_decides(thin_model):
    array = np.random.default_rng(1).normal(100, 9, (6, 60, 40)).astype(np.float32)
    plan = plan_prediction(thin_model.card, Volume(array, "ZYX", (0.29,) * 3), FP32)
    needed = 2 * array.nbytes
    for share, held in ((needed, True), (needed - 1, False)):
        memory = replace(plan.memory, input_share=share)
        found = read_stack(replace(plan, memory=memory), None)
        assert (found.pixels.source is None) == held


def test_parts_of_tiles_have_the_bits_of_the_whole_too(thin_model, small_share):
    """What is predicted where a device's memory is too small for a tile."""
    array = np.random.default_rng(1).integers(0, 99, (9, 90, 90), np.uint8)
    volume = Volume(da.from_array(array, (2, 90, 31)), "ZYX", VOXEL)
    plan, whole, lazy = both_ways(thin_model, volume, small_share, 20_000)
    size = replace(plan.tile_size, core=(8, 16), halo=8)
    parts = cut_tiles(plan.model_shape, size)
    for tile in [*plan.tiles[:2], *parts[::3], *plan.tiles[1:3]]:
        np.testing.assert_array_equal(whole.window(tile)[0], lazy.window(tile)[0])


def test_none_gives_the_network_the_values_of_the_file(thin_model):
    def with_scaling(how, array):
        card = thin_model.card.model_copy(update={"scaling": how})
        model, volume = (
            replace(thin_model, card=card),
            Volume(array, "ZYX", (0.29,) * 3),
        )
        return predict(model, volume, request=FP32).volume.array

    array = np.random.default_rng(1).normal(0, 1, (8, 32, 32)).astype(np.float32)
    normalised = (array - array.mean()) / array.std()
    raw = with_scaling("none", normalised)
    same = with_scaling("zscore", array * 30 + 500)
    np.testing.assert_allclose(raw, same, atol=1e-3)
    assert not np.allclose(with_scaling("none", normalised * 3), raw, atol=1e-2)
