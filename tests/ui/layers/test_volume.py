"""From layers of every kind to volumes, without reading a pixel."""

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Image

from napari_sparsessp.errors import InputError
from napari_sparsessp.ui.layers.reading import read_layer

UM = ("um",) * 3


class Unreadable:
    """An array that must not be read."""

    def __init__(self, shape):
        self.shape, self.dtype, self.ndim = shape, np.dtype("uint16"), len(shape)

    def __getitem__(self, key):
        raise AssertionError("a pixel was read")

    def __array__(self, *args, **kwargs):
        raise AssertionError("the array was read")


def layer(shape=(5, 8, 9), data=None, **changes):
    data = np.zeros(shape, np.uint16) if data is None else data
    return Image(data, contrast_limits=(0, 1), **changes)


def test_scale_units_and_position_become_micrometres():
    one = layer(
        scale=(1160, 290, 290), units=("nm",) * 3, translate=(580, 0, 29), name="TL"
    )
    volume = read_layer(one).volume
    assert volume.axes == "ZYX"
    assert volume.voxel_size == pytest.approx((1.16, 0.29, 0.29))
    assert volume.origin == pytest.approx((0.58, 0, 0.029))
    assert volume.name == "TL"


def test_napari_default_scale_means_unknown():
    volume = read_layer(layer()).volume
    assert volume.voxel_size is None
    assert volume.pixel_size is None


def test_scale_without_unit_is_taken_for_micrometres_and_said_so():
    reading = read_layer(layer(scale=(1.16, 0.29, 0.29)))
    assert reading.volume.voxel_size == pytest.approx((1.16, 0.29, 0.29))
    assert reading.unit_assumed


def test_unknown_step_with_known_pixels():
    volume = read_layer(layer(scale=(1, 0.3, 0.3), units=("pixel", "um", "um"))).volume
    assert volume.voxel_size is None
    assert volume.pixel_size == pytest.approx((0.3, 0.3))


def test_typed_size_counts_more_than_the_layer():
    reading = read_layer(layer(scale=(2, 2, 2)), voxel_size=(1.0, 0.5, 0.5))
    assert reading.volume.voxel_size == (1.0, 0.5, 0.5)
    assert not reading.unit_assumed


def test_rgb_is_refused_with_advice():
    with pytest.raises(InputError, match="Split RGB"):
        read_layer(layer((6, 7, 3), rgb=True))


def test_multiscale_takes_the_finest_level():
    levels = [np.zeros((4, 16, 16)), np.zeros((4, 8, 8))]
    one = Image(levels, multiscale=True, contrast_limits=(0, 1))
    assert read_layer(one).volume.shape == (4, 16, 16)


def test_dask_and_zarr_stay_lazy(tmp_path):
    lazy = da.zeros((5, 8, 9), chunks=(1, 8, 9))
    assert hasattr(read_layer(layer(data=lazy)).volume.array, "dask")
    store = zarr.create_array(
        tmp_path / "a.zarr", shape=(5, 8, 9), chunks=(1, 8, 9), dtype="f4"
    )
    assert isinstance(read_layer(layer(data=store)).volume.array, zarr.Array)
    four = zarr.create_array(
        tmp_path / "b.zarr", shape=(1, 5, 8, 9), chunks=(1, 1, 8, 9), dtype="f4"
    )
    assert hasattr(read_layer(layer(data=four)).volume.array, "dask")


def test_no_pixel_is_read():
    class Stub:
        name, rgb, multiscale, ndim = "TL", False, False, 3
        axis_labels, scale, translate = ("z", "y", "x"), (1, 1, 1), (0, 0, 0)
        units = ("um",) * 3
        data = Unreadable((5, 8, 9))

    assert read_layer(Stub()).volume.shape == (5, 8, 9)


@pytest.mark.parametrize("shape", [(1, 5, 8, 9), (1, 1, 5, 8, 9)])
def test_singleton_axes_go(shape):
    reading = read_layer(layer(shape))
    assert reading.volume.axes == "ZYX"
    assert reading.guessed is None


def test_nameless_fourth_axis_is_guessed_and_can_be_told():
    short = read_layer(layer((3, 5, 8, 9)))
    assert (short.volume.axes, short.guessed) == ("CZYX", 0)
    long = read_layer(layer((10, 5, 8, 9)))
    assert (long.volume.axes, long.guessed) == ("TZYX", 0)
    assert read_layer(layer((3, 5, 8, 9)), leading="T").volume.axes == "TZYX"


def test_named_axes_are_believed():
    one = layer((10, 5, 8, 9), axis_labels=("time", "z", "y", "x"))
    reading = read_layer(one)
    assert (reading.volume.axes, reading.guessed) == ("TZYX", None)
    odd = layer((5, 3, 8, 9), axis_labels=("z", "channel", "y", "x"))
    assert read_layer(odd).volume.shape == (3, 5, 8, 9)
    flat = layer((6, 8, 9), axis_labels=("t", "y", "x"))
    assert read_layer(flat).volume.sizes == {"T": 6, "Z": 1, "Y": 8, "X": 9}


def test_a_plain_picture_is_one_plane():
    volume = read_layer(layer((8, 9), scale=(0.3, 0.3), units=("um", "um"))).volume
    assert volume.shape == (1, 8, 9)
    assert volume.voxel_size is None
    assert volume.pixel_size == (0.3, 0.3)


def test_too_many_axes_are_refused():
    with pytest.raises(InputError, match="6 axes"):
        read_layer(layer((2, 2, 2, 2, 8, 9)))
