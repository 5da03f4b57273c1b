"""A volume stays lazy and says what is wrong with axes, channels and sizes."""

import subprocess
import sys
import zlib

import dask
import dask.array as da
import numpy as np
import pytest
import zarr

from napari_sparsessp.errors import InputError
from napari_sparsessp.volume import Volume

DATA = np.arange(2 * 3 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 3, 4, 5, 6)
STACK = DATA[0, 0]


def _volume(array=DATA, **changes):
    fields = {"channel_names": ("BF", "DNA", "488"), "voxel_size": (1.16, 0.29, 0.29)}
    return Volume(array, "TCZYX", **(fields | changes))


def _as_zarr(data):
    store, chunks = zarr.storage.MemoryStore(), (1, 1, 1, 5, 6)
    array = zarr.create_array(store, shape=data.shape, dtype=data.dtype, chunks=chunks)
    array[...] = data
    return array


def _failing(failure):
    """A lazy stack whose every plane raises."""

    def fail(block):
        raise failure

    lazy = da.from_array(STACK, chunks=(1, 5, 6))
    return lazy.map_blocks(fail, dtype=float, meta=np.zeros((0,) * 3))


@pytest.mark.parametrize("wrap", [np.asarray, da.from_array, _as_zarr])
def test_channels_times_planes_and_regions_come_out_of_any_array(wrap):
    volume = _volume(wrap(DATA))
    np.testing.assert_array_equal(volume.numpy(), DATA)
    stack = volume.time(1).channel("dna")
    assert (stack.axes, stack.shape, stack.channel_names) == (
        "ZYX", (4, 5, 6), ("DNA",)
    )  # fmt: skip
    assert stack.voxel_size == (1.16, 0.29, 0.29)
    planes = stack.planes([3, 0, 3])
    assert planes.dtype == np.float32
    np.testing.assert_array_equal(planes, DATA[1, 1][[3, 0, 3]])
    part = stack.region([3, 1], slice(1, 4), slice(2, 6))
    assert part.dtype == np.uint16
    np.testing.assert_array_equal(part, DATA[1, 1][[3, 1], 1:4, 2:6])
    assert stack.planes([]).shape == (0, 5, 6)


def test_only_the_chunks_of_the_wanted_planes_and_region_are_read():
    read = []

    def load(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.zeros((1, 4, 4))

    lazy = da.map_blocks(
        load, chunks=((1,) * 9, (4, 4), (4, 4)), dtype=float, meta=None
    )
    read.clear()  # dask may call once to find the type
    Volume(lazy, "ZYX", None).region([2, 7], slice(5, 7), slice(0, 3))
    assert sorted(read) == [(2, 1, 0), (7, 1, 0)]


def test_channels_are_found_by_name_case_index_or_listed():
    volume = _volume().time(0)
    for which in ("DNA", "dna", 1, "1"):
        np.testing.assert_array_equal(volume.channel(which).numpy(), DATA[0, 1])
    for which in (488, "488", 2):  # a number that is no index may be a name
        assert volume.channel(which).channel_names == ("488",)
    for which in ("Hoechst", 3, -1, "x"):
        with pytest.raises(InputError, match="0 'BF', 1 'DNA', 2 '488'"):
            volume.channel(which)
    alone = Volume(STACK, "ZYX", None)
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
    ("changes", "said"),
    [
        *(
            ({"voxel_size": size}, "voxel size")
            for size in ((0, 1, 1), (1, -1, 1), (float("nan"), 1, 1), (1, 1))
        ),
        ({"channel_names": ("a", "b")}, "2 channel names"),
    ],
)
def test_sizes_and_names_that_cannot_be_are_refused(changes, said):
    with pytest.raises(InputError, match=said):
        _volume(**changes)


def test_pixel_size_follows_the_voxel_size_but_may_be_known_alone():
    volume = _volume()
    assert volume.pixel_size == (0.29, 0.29)
    assert volume.with_(voxel_size=(1, 2, 3)).pixel_size == (2, 3)
    assert volume.with_(voxel_size=None).pixel_size is None
    flat = Volume(DATA, "TCZYX", None, pixel_size=(0.1, 0.2))
    assert flat.voxel_size is None
    assert flat.time(0).pixel_size == (0.1, 0.2)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        *((kind("cut off"), r"to its end \('?cut off'?\); copy")
          for kind in (EOFError, OSError, RuntimeError, zlib.error, KeyError)),
        (IndexError(), "to its end .IndexError"),
        (TypeError("x\ny"), "to its end .x.;"),
        (MemoryError(), "does not fit .* crop it"),
    ],
)  # fmt: skip
def test_whatever_a_reader_raises_is_one_line_with_the_file_s_name(failure, said):
    broken = Volume(_failing(failure), "ZYX", None, source="a.tif")
    for read in (broken.numpy, lambda: broken.planes([0, 1, 2])):
        with pytest.raises(InputError, match=rf"a\.tif .*{said}") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_chunks_are_those_of_the_file():
    assert _volume().chunks is None
    lazy = da.from_array(DATA, (1, 3, 3, 5, 2))
    assert _volume(lazy).chunks == ((1, 1), (3,), (3, 1), (5,), (2, 2, 2))
    assert _volume(_as_zarr(DATA)).chunks[2:] == ((1,) * 4, (5,), (6,))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (STACK * 1j, "complex128"),
        (STACK.astype(str), "<U5"),
        (STACK.astype(object), "object"),
        (STACK.astype([("a", "u2")]), "holds"),
        (STACK.tolist(), "list"),
        (None, "NoneType"),
        (STACK[:0], "at least one pixel"),
        (STACK[..., :0], "at least one pixel"),
        (da.from_array(STACK)[da.from_array(STACK[:, 0, 0]) > 5], "nan"),
    ],
)
def test_what_is_no_image_is_refused(array, said):
    with pytest.raises(InputError, match=said) as caught:
        Volume(array, "ZYX", None)
    assert "\n" not in str(caught.value)


FORKED = """
import multiprocessing, sys
from napari_sparsessp import load_volume
def read(path):
    return float(load_volume(path).numpy().mean())
if __name__ == "__main__":
    print(read(sys.argv[1]))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.map_async(read, [sys.argv[1]]).get(timeout=300)[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="others do not fork")
def test_a_forked_process_reads_after_its_parent_did(tmp_path):
    """Of a pool of threads that is kept, none is left in the child."""
    group = zarr.create_group(tmp_path / "a.ome.zarr")
    group.create_array("0", data=STACK, chunks=(1, 5, 6))
    axes = [{"name": axis, "type": "space"} for axis in "zyx"]
    image = {"axes": axes, "datasets": [{"path": "0"}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    command = [sys.executable, "-c", FORKED, str(tmp_path / "a.ome.zarr")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(STACK.mean())] * 2


def test_a_scheduler_that_somebody_chose_is_used():
    used = []

    def scheduler(graph, keys, **_):
        used.append(keys)
        return dask.get(graph, keys)

    with dask.config.set(scheduler=scheduler):
        planes = Volume(da.from_array(STACK, chunks=(1, 5, 6)), "ZYX", None).planes([1])
    assert used
    np.testing.assert_array_equal(planes[0], STACK[1])


def test_values_beyond_float32_are_infinite_and_not_a_warning():
    planes = Volume(np.full((1, 2, 2), 1e300), "ZYX", None).planes([0])
    assert np.isinf(planes).all()


def test_uneven_planes_become_even_ones_by_their_heights():
    """Of values that are their heights each plane has its own again."""
    heights = (2.0, 2.5, 4.0, 8.0)
    array = np.broadcast_to(np.reshape(heights, (4, 1, 1)), (4, 5, 6))
    uneven = Volume(array, "ZYX", (1.0, 0.3, 0.3), plane_z=(heights,))
    even = uneven.evened(0.5)
    assert (even.voxel_size, even.origin[0], even.plane_z) == ((0.5, 0.3, 0.3), 2, ())
    assert even.planes([0, 1, 7, 12])[:, 0, 0].tolist() == [2, 2.5, 5.5, 8]
    assert even.shape == (13, 5, 6)
    lapse = uneven.with_(array=np.stack([array, array + 1]), axes="TZYX")
    assert lapse.evened(0.5).time(1).planes([7])[0, 0, 0] == 6.5
    plain = uneven.with_(plane_z=())
    assert plain.evened(0.5) is plain
