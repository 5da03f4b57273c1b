"""From layers of every kind to volumes, without reading a pixel, and back in place."""

from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Image
from scipy.ndimage import affine_transform, gaussian_filter

from fake_engine import card
from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.scoring import onto_grid
from napari_sparsessp.ui.layers.reading import (
    are_turned,
    lie_apart,
    placement,
    read_layer,
)
from napari_sparsessp.volume import Grid

UM = ("um",) * 3
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")


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


def test_no_pixel_is_read():
    stub = SimpleNamespace(
        name="TL",
        ndim=3,
        axis_labels=("z", "y", "x"),
        scale=(1, 1, 1),
        translate=(0, 0, 0),
        rotate=np.eye(3),
        shear=np.zeros(3),
        affine=np.eye(4),
        units=UM,
        metadata={},
        data=Unreadable((5, 8, 9)),
    )
    assert read_layer(stub).volume.shape == (5, 8, 9)


def test_scale_units_and_position_become_micrometres():
    one = layer(
        scale=(1160, 290, 290), units=("nm",) * 3, translate=(580, 0, 29), name="TL"
    )
    volume = read_layer(one).volume
    assert volume.axes == "ZYX"
    assert volume.voxel_size == pytest.approx((1.16, 0.29, 0.29))
    assert volume.origin == pytest.approx((0.58, 0, 0.029))
    assert volume.name == "TL"


def test_dask_and_zarr_stay_lazy_and_of_several_levels_the_finest_counts(tmp_path):
    levels = [np.zeros((4, 16, 16)), np.zeros((4, 8, 8))]
    one = Image(levels, multiscale=True, contrast_limits=(0, 1))
    assert read_layer(one).volume.shape == (4, 16, 16)
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


@pytest.mark.parametrize(
    ("shape", "place", "voxel_size", "pixel_size", "assumed"),
    [
        ((5, 8, 9), {}, None, None, False),
        ((5, 8, 9), {"scale": (2, 0.3, 0.3)}, (2, 0.3, 0.3), (0.3, 0.3), True),
        ((5, 8, 9), {"scale": (1, 0.3, 0.3), "units": ("pixel", "um", "um")},
         None, (0.3, 0.3), False),
        ((8, 9), {"scale": (0.3, 0.3), "units": ("um", "um")},
         None, (0.3, 0.3), False),
    ],
    ids=["napari's default", "without units", "unknown step", "a plain picture"],
)  # fmt: skip
def test_what_is_not_known_of_a_size_stays_unknown(
    shape, place, voxel_size, pixel_size, assumed
):
    found = read_layer(layer(shape, **place))
    assert found.volume.voxel_size == voxel_size
    assert found.volume.pixel_size == pixel_size
    assert found.unit_assumed == assumed
    typed = read_layer(layer(shape, **place), voxel_size=(1.0, 0.5, 0.5))
    assert typed.volume.voxel_size == (1.0, 0.5, 0.5)
    assert not typed.unit_assumed


@pytest.mark.parametrize(
    ("shape", "rgb", "words"),
    [((6, 7, 3), True, "Split RGB"), ((2, 2, 2, 2, 8, 9), False, "6 axes")],
)
def test_what_is_no_stack_is_refused_with_advice(shape, rgb, words):
    with pytest.raises(InputError, match=words):
        read_layer(layer(shape, rgb=rgb))


@pytest.mark.parametrize(
    ("shape", "leading", "axes", "guessed"),
    [
        ((1, 5, 8, 9), None, "ZYX", None),
        ((1, 1, 5, 8, 9), None, "ZYX", None),
        ((3, 5, 8, 9), None, "CZYX", 0),
        ((10, 5, 8, 9), None, "TZYX", 0),
        ((3, 5, 8, 9), "T", "TZYX", 0),
    ],
)
def test_axes_without_names_are_guessed_and_can_be_given(shape, leading, axes, guessed):
    found = read_layer(layer(shape), leading=leading)
    assert (found.volume.axes, found.guessed) == (axes, guessed)


def test_named_axes_are_believed():
    one = layer((10, 5, 8, 9), axis_labels=("time", "z", "y", "x"))
    reading = read_layer(one)
    assert (reading.volume.axes, reading.guessed) == ("TZYX", None)
    odd = layer((5, 3, 8, 9), axis_labels=("z", "channel", "y", "x"))
    assert read_layer(odd).volume.shape == (3, 5, 8, 9)
    flat = layer((6, 8, 9), axis_labels=("t", "y", "x"))
    assert read_layer(flat).volume.sizes == {"T": 6, "Z": 1, "Y": 8, "X": 9}


def placed(
    shape=(8, 40, 50), voxel_size=None, request=None, z_projection="none", **changes
):
    """A layer and what would be predicted from it, as two layers."""
    source = Image(np.zeros(shape, np.uint8), contrast_limits=(0, 1), **changes)
    reading = read_layer(source, voxel_size=voxel_size)
    request = request or PredictionRequest(voxel_size=voxel_size)
    model = card().model_copy(update={"z_projection": z_projection})
    plan = plan_prediction(model, reading.volume, request)
    axes = 4 if plan.output_axes.startswith("T") else 3
    shape = plan.output_shape[-3:]
    if axes == 4:
        shape = (plan.output_shape[0], *shape)
    where = placement(source, reading, plan)
    prediction = Image(np.zeros(shape, np.float32), contrast_limits=(0, 1), **where)
    return source, prediction


def world(layer, index):
    return np.asarray(layer.data_to_world(np.asarray(index, float)))


def outer(layer):
    """World positions of the outer corners of the y/x field, at z index 0."""
    height, width = layer.data.shape[-2:]
    lead = (0.0,) * (layer.ndim - 2)
    return np.stack(
        [world(layer, (*lead, y, x)) for y in (-0.5, height - 0.5) for x in (-0.5,)]
        + [world(layer, (*lead, -0.5, width - 0.5))]
    )


@pytest.mark.parametrize(
    ("scale", "units"),
    [
        ((1.16, 0.29, 0.29), UM),
        ((1160, 290, 290), ("nm",) * 3),
        ((0.29, 0.331, 0.294), UM),
    ],
)
def test_fields_share_outer_edges_units_and_first_plane(scale, units):
    source, prediction = placed(scale=scale, units=units, translate=(3, 7, 11))
    assert prediction.units == source.units
    size = np.asarray(scale[1:])
    assert np.all(np.abs(outer(prediction) - outer(source))[:, 1:] <= size)
    assert world(prediction, (0, 0, 0))[0] == pytest.approx(3)
    step = len(prediction.data) / len(source.data)
    for plane in range(8):
        dense = world(prediction, (step * plane, 0, 0))[0]
        assert dense == pytest.approx(world(source, (plane, 0, 0))[0], rel=0.01)


def test_a_projection_is_one_plane_as_thick_as_its_stack():
    """So that it is seen at every plane of the input."""
    source, prediction = placed(
        scale=(0.29, 0.29, 0.29), units=UM, translate=(3, 7, 11), z_projection="mean"
    )
    assert prediction.data.shape[0] == 1
    assert prediction.scale[0] == pytest.approx(8 * 0.29)
    np.testing.assert_allclose(
        prediction.extent.world[:, 1:], source.extent.world[:, 1:]
    )
    for edge in (-0.5, 0.5):
        plane = -0.5 if edge < 0 else 7.5
        place = world(prediction, (edge, 0, 0))[0]
        assert place == pytest.approx(world(source, (plane, 0, 0))[0])


@pytest.mark.parametrize(
    ("changes", "scale"),
    [
        ({}, (1, 1, 1)),
        ({"request": PredictionRequest(ratio=4)}, (0.25, 1, 1)),
        ({"voxel_size": (1.16, 0.58, 0.58)}, (0.25, 0.5, 0.5)),
        ({"request": PredictionRequest(grid="input"), "scale": (1.16, 0.5, 0.5),
          "units": UM}, (0.29, 0.5, 0.5)),
        ({"shape": (10, 8, 40, 50), "axis_labels": tuple("tzyx"), "units": ("s", *UM),
          "scale": (30, 1.16, 0.29, 0.29)}, (30, 0.29, 0.29, 0.29)),
    ],
    ids=["unknown size", "ratio", "typed size", "input's grid", "time-lapse"],
)  # fmt: skip
def test_a_prediction_overlays_its_input_in_the_inputs_own_units(changes, scale):
    source, prediction = placed(**changes)
    assert tuple(prediction.scale) == pytest.approx(scale)
    assert prediction.units == source.units
    assert outer(prediction) == pytest.approx(outer(source))
    if prediction.ndim == 4:
        assert prediction.axis_labels == source.axis_labels


def test_rotation_shear_and_affine_are_kept():
    turn = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    affine = np.eye(4)
    affine[1, 3] = 5
    source, prediction = placed(
        scale=(0.29, 0.58, 0.58),
        units=UM,
        rotate=turn,
        shear=[0, 0, 0.2],
        affine=affine,
        translate=(1, 2, 3),
    )
    assert outer(prediction) == pytest.approx(outer(source), abs=0.29 / 2)


CELLS = gaussian_filter(np.random.default_rng(0).normal(size=(4, 60, 70)), 2)
TURN = np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])


def affine(matrix=None, shift=(0.0, 0.0, 0.0)):
    """An affine as a registration writes it, µm."""
    whole = np.eye(4)
    whole[1:3, 1:3] = np.eye(2) if matrix is None else matrix
    whole[:3, 3] = shift
    return whole


def cells(data=CELLS, **changes):
    return Image(data, name="truth", **{"scale": (0.29,) * 3, "units": UM, **changes})


@pytest.mark.parametrize(
    ("light", "truth", "origin", "size"),
    [
        ({}, {"affine": affine(shift=(0, 1.45, -0.58))}, (0, 1.45, -0.58), 0.29),
        ({"translate": (1, 2, 3)}, {"affine": affine(np.diag([2.0, 2.0]))}, (0,) * 3,
         (0.29, 0.58, 0.58)),
        ({"affine": affine(TURN, (0, 5, 5))}, {"affine": affine(TURN, (0, 5, 5))},
         None, 0.29),
        ({"rotate": (20, 30, 5)}, {"rotate": (20, 30, 5)}, None, 0.29),
        ({"shear": (0, 0.1, 0.2)}, {"shear": (0, 0.1, 0.2)}, None, None),
        ({"affine": affine(np.diag([2.0, 2.0]))}, {}, None, 0.29),
        ({}, {"data": CELLS[::-1, :, ::-1], "scale": (-0.29, 0.29, -0.29),
          "translate": (3 * 0.29, 0, 69 * 0.29)}, (0,) * 3, 0.29),
    ],
    ids=["shift", "scale", "turned alike", "out of the plane alike", "sheared alike",
         "the input's affine", "mirrored"],
)  # fmt: skip
def test_the_whole_transform_of_both_layers_counts(light, truth, origin, size):
    one = read_layer(cells(**light))
    other = read_layer(cells(**truth), onto=one).volume
    assert other.origin == pytest.approx(
        one.volume.origin if origin is None else origin
    )
    mirrored = "data" in truth
    assert are_turned(read_layer(cells(**truth)), one) == mirrored
    if size is not None:
        assert other.voxel_size == pytest.approx(np.broadcast_to(size, 3))
    np.testing.assert_array_equal(other.numpy(), CELLS)


def test_the_affine_of_an_input_is_part_of_its_voxel_size():
    volume = read_layer(cells(affine=affine(np.diag([2.0, 2.0])))).volume
    assert volume.voxel_size == pytest.approx((0.29, 0.58, 0.58))


def test_a_shift_by_affine_is_the_same_as_by_translate():
    light, shift = read_layer(cells()), (0.29, 1.45, -0.6)
    ways = [{"affine": affine(shift=shift)}, {"translate": shift}]
    by_affine, by_translate = (read_layer(cells(**one), onto=light) for one in ways)
    assert by_affine.volume.origin == by_translate.volume.origin
    assert by_affine.volume.voxel_size == by_translate.volume.voxel_size


def test_a_truth_that_is_turned_in_the_plane_is_resampled():
    shift = np.array([8.0, -5.0])
    turned = [affine_transform(one, TURN, shift, order=3) for one in CELLS]
    place = affine(TURN, (0, *(0.29 * shift)))
    light = read_layer(cells())
    truth = cells(np.array(turned), affine=place)
    assert are_turned(read_layer(truth), light)
    volume = read_layer(truth, onto=light).volume
    assert hasattr(volume.array, "dask"), "no pixel is read yet"
    grid = Grid(CELLS.shape, (0.29,) * 3, (0.0,) * 3)
    back = onto_grid(volume, grid)[:, 12:-12, 12:-12]
    assert np.isfinite(back).all()
    seen = CELLS[:, 12:-12, 12:-12]
    assert np.corrcoef(back.ravel(), seen.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("askew", [{"rotate": (0, 20, 0)}, {"shear": (0.1, 0, 0)}])
def test_what_is_turned_out_of_the_plane_is_refused_by_name(askew):
    light = read_layer(cells())
    with pytest.raises(InputError, match="'truth' is turned or sheared out of the pla"):
        read_layer(cells(**askew), onto=light)


@pytest.mark.parametrize(
    ("changes", "apart"),
    [
        ({}, False),
        ({"translate": (0, 0.1, 0)}, False),
        ({"translate": (0, 0.3, 0)}, True),
        ({"rotate": 1}, True),
        ({"scale": (0.29, 0.3, 0.3)}, True),
        ({"affine": affine(shift=(0, 0, 1))}, True),
        ({"scale": (1, 1, 1), "units": ("pixel",) * 3}, False),
        ({"data": CELLS[:1], "translate": (0.6, 0, 0)}, False),
    ],
)
def test_pairs_that_lie_apart_are_recognised(changes, apart):
    assert lie_apart(read_layer(cells()), read_layer(cells(**changes))) is apart
