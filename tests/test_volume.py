"""A volume stays lazy and says what is wrong with axes, channels and sizes."""

import zlib

import dask
import dask.array as da
import numpy as np
import pytest
import zarr

from napari_sparsessp.errors import InputError
from napari_sparsessp.volume import Volume

DATA = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 3, 4, 5, 6)


def _volume(array=DATA, **changes):
    fields = {"channel_names": ("BF", "DNA", "BF2"), "voxel_size": (1.16, 0.29, 0.29)}
    return Volume(array, "TCZYX", **(fields | changes))


def _as_zarr(data):
    array = zarr.create_array(
        zarr.storage.MemoryStore(),
        shape=data.shape,
        dtype=data.dtype,
        chunks=(1, 1, 1, 5, 6),
    )
    array[...] = data
    return array


@pytest.mark.parametrize("wrap", [np.asarray, da.from_array, _as_zarr])
def test_channels_times_and_planes_come_out_of_any_array(wrap):
    volume = _volume(wrap(DATA))
    stack = volume.time(1).channel("dna")
    assert stack.axes == "ZYX"
    assert stack.shape == (4, 5, 6)
    assert stack.channel_names == ("DNA",)
    assert stack.voxel_size == (1.16, 0.29, 0.29)
    planes = stack.planes([3, 0, 3])
    assert planes.dtype == np.float32
    np.testing.assert_array_equal(planes, DATA[1, 1][[3, 0, 3]])
    np.testing.assert_array_equal(stack.numpy(), DATA[1, 1])
    np.testing.assert_array_equal(volume.numpy(), DATA)


def test_only_the_wanted_planes_are_read():
    read = []

    def load(block_info=None):
        read.append(block_info[None]["chunk-location"][0])
        return np.zeros((1, 4, 4))

    lazy = da.map_blocks(load, chunks=((1,) * 9, (4,), (4,)), dtype=float, meta=None)
    read.clear()  # dask may call once to find the type
    Volume(lazy, "ZYX", None).planes([2, 7])
    assert sorted(read) == [2, 7]


def test_channels_are_found_by_name_case_index_or_listed():
    volume = _volume().time(0)
    for which in ("DNA", "dna", 1, "1"):
        np.testing.assert_array_equal(volume.channel(which).numpy(), DATA[0, 1])
    for which in ("Hoechst", 3, -1, "x"):
        with pytest.raises(InputError, match="0 'BF', 1 'DNA', 2 'BF2'"):
            volume.channel(which)
    alone = Volume(DATA[0, 0], "ZYX", None)
    assert alone.channel(0).axes == "ZYX"
    with pytest.raises(InputError, match="no channel"):
        alone.channel("BF")


def test_missing_time_points_and_planes_are_named():
    with pytest.raises(InputError, match="time point 2 does not exist; there are 2"):
        _volume().time(2)
    with pytest.raises(InputError, match="plane 4"):
        _volume().time(0).channel(0).planes([4])
    with pytest.raises(InputError, match="choose a channel"):
        _volume().planes([0])


@pytest.mark.parametrize("axes", ["CTZYX", "TCXYZ", "TCZY", "SCZYX", "ZYX", "TCZZYX"])
def test_axes_that_do_not_fit_are_refused(axes):
    with pytest.raises(InputError, match="axes"):
        Volume(DATA, axes, None)


@pytest.mark.parametrize(
    "voxel_size", [(0, 1, 1), (1, -1, 1), (float("nan"), 1, 1), (1, 1)]
)
def test_voxel_sizes_that_cannot_be_are_refused(voxel_size):
    with pytest.raises(InputError, match="voxel size"):
        Volume(DATA, "TCZYX", voxel_size)


def test_names_must_fit_the_channels():
    with pytest.raises(InputError, match="2 channel names"):
        _volume(channel_names=("a", "b"))


def test_pixel_size_follows_the_voxel_size_but_may_be_known_alone():
    volume = _volume()
    assert volume.pixel_size == (0.29, 0.29)
    assert volume.with_(voxel_size=(1, 2, 3)).pixel_size == (2, 3)
    assert volume.with_(voxel_size=None).pixel_size is None
    flat = Volume(DATA, "TCZYX", None, pixel_size=(0.1, 0.2))
    assert flat.voxel_size is None
    assert flat.time(0).pixel_size == (0.1, 0.2)


def test_a_damaged_file_is_named_when_its_planes_are_read():
    def fail(block):
        raise RuntimeError("bad data")

    lazy = da.from_array(DATA[0, 0], chunks=(1, 5, 6))
    broken = Volume(
        lazy.map_blocks(fail, dtype=float, meta=np.zeros((0,) * 3)), "ZYX", None
    )
    for read in (lambda: broken.planes([1]), broken.with_(source="a.tif").numpy):
        with pytest.raises(
            InputError, match="cannot be read to its end .bad data.; copy"
        ):
            read()


def test_no_planes_are_an_empty_stack():
    assert Volume(DATA[0, 0], "ZYX", None).planes([]).shape == (0, 5, 6)
    assert Volume(da.from_array(DATA[0, 0]), "ZYX", None).planes([]).shape == (0, 5, 6)


def test_a_channel_called_by_a_number_is_found_by_it():
    volume = _volume(channel_names=("405", "488", "561"))
    assert volume.channel(488).channel_names == ("488",)
    assert volume.channel("561").channel_names == ("561",)
    assert volume.channel(1).channel_names == ("488",)
    with pytest.raises(InputError, match="no channel 640"):
        volume.channel(640)


@pytest.mark.parametrize("failure", [EOFError, OSError, RuntimeError, zlib.error])
def test_whatever_a_reader_raises_half_way_is_one_clear_line(failure):
    class Damaged:
        shape = (3, 4, 4)
        dtype = np.dtype("u2")
        ndim = 3

        def __getitem__(self, index):
            raise failure("cut off")

    volume = Volume(Damaged(), "ZYX", None, source="stack.tif")
    for read in (volume.numpy, lambda: volume.planes([1])):
        with pytest.raises(InputError, match=r"stack\.tif cannot be read to its end"):
            read()


@pytest.mark.parametrize("wrap", [np.asarray, da.from_array, _as_zarr])
def test_a_region_is_the_file_s_own_values_and_nothing_else(wrap):
    volume = _volume(wrap(DATA)).time(1).channel(2)
    part = volume.region([3, 1], slice(1, 4), slice(2, 6))
    assert part.dtype == np.uint16
    np.testing.assert_array_equal(part, DATA[1, 2][[3, 1], 1:4, 2:6])
    with pytest.raises(InputError, match="plane 4"):
        volume.region([4], slice(None), slice(None))


def test_only_the_chunks_of_a_region_are_read():
    read = []

    def load(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.zeros((1, 4, 4))

    lazy = da.map_blocks(
        load, chunks=((1,) * 9, (4, 4), (4, 4)), dtype=float, meta=None
    )
    read.clear()
    Volume(lazy, "ZYX", None).region([2], slice(5, 7), slice(0, 3))
    assert read == [(2, 1, 0)]


def test_chunks_are_those_of_the_file():
    assert _volume().chunks is None
    lazy = da.from_array(DATA, (1, 3, 3, 5, 2))
    assert _volume(lazy).chunks == ((1, 1), (3,), (3, 1), (5,), (2, 2, 2))
    assert _volume(_as_zarr(DATA)).chunks[2:] == ((1,) * 4, (5,), (6,))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (DATA[0, 0] * 1j, "complex128"),
        (DATA[0, 0].astype(str), "<U5"),
        (DATA[0, 0].astype(object), "object"),
        ([[[1, 2]]], "list"),
        (DATA[0, 0][:0], "at least one pixel"),
        (DATA[0, 0][..., :0], "at least one pixel"),
        (da.from_array(DATA[0, 0])[da.from_array(DATA[0, 0, :, 0, 0]) > 5], "nan"),
    ],
)
def test_what_is_no_image_is_refused(array, said):
    with pytest.raises(InputError, match=said):
        Volume(array, "ZYX", None)


@pytest.mark.parametrize(
    "failure", [KeyError("codec"), IndexError(), TypeError("x\ny"), ZeroDivisionError()]
)
def test_whatever_a_lazy_array_raises_is_one_line_with_the_file_s_name(failure):
    def fail(block):
        raise failure

    lazy = da.from_array(DATA[0, 0], chunks=(1, 5, 6))
    lazy = lazy.map_blocks(fail, dtype=float, meta=np.zeros((0,) * 3))
    with pytest.raises(InputError, match=r"a\.tif cannot be read") as caught:
        Volume(lazy, "ZYX", None, source="a.tif").planes([0, 1, 2])
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_into_memory_says_what_to_do():
    def fail(block):
        raise MemoryError

    lazy = da.from_array(DATA[0, 0], chunks=(1, 5, 6))
    lazy = lazy.map_blocks(fail, dtype=float, meta=np.zeros((0,) * 3))
    with pytest.raises(InputError, match=r"a\.tif does not fit .* crop it"):
        Volume(lazy, "ZYX", None, source="a.tif").planes([0])


def test_a_scheduler_that_somebody_chose_is_used():
    used = []

    def scheduler(graph, keys, **_):
        used.append(keys)
        return dask.get(graph, keys)

    lazy = da.from_array(DATA[0, 0], chunks=(1, 5, 6))
    with dask.config.set(scheduler=scheduler):
        planes = Volume(lazy, "ZYX", None).planes([1])
    assert used
    np.testing.assert_array_equal(planes[0], DATA[0, 0, 1])


def test_values_beyond_float32_are_infinite_and_not_a_warning():
    planes = Volume(np.full((1, 2, 2), 1e300), "ZYX", None).planes([0])
    assert np.isinf(planes).all()
