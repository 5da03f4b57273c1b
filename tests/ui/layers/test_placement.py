"""A prediction lies where its input lies, whatever the layer's units and turns."""

import numpy as np
import pytest
from napari.layers import Image

from fake_engine import card
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.layers.reading import placement, read_layer

UM = ("um",) * 3


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


def test_planes_coincide_with_the_measured_ones():
    source, prediction = placed(scale=(1.16, 0.29, 0.29), units=UM)
    for plane in range(8):
        dense = world(prediction, (4 * plane, 0, 0))
        assert dense == pytest.approx(world(source, (plane, 0, 0)))


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


def test_pixels_of_unknown_size_stay_pixels():
    source, prediction = placed()
    assert [str(unit) for unit in prediction.units] == ["pixel"] * 3
    assert tuple(prediction.scale) == pytest.approx((1, 1, 1))
    assert tuple(prediction.extent.world[1]) == tuple(source.extent.world[1])


def test_typed_voxel_size_overlays_the_layer_in_its_own_units():
    source, prediction = placed(voxel_size=(1.16, 0.58, 0.58))
    assert tuple(prediction.scale) == pytest.approx((0.25, 0.5, 0.5))
    assert outer(prediction) == pytest.approx(outer(source))


def test_ratio_without_voxel_size_spreads_the_planes():
    _, prediction = placed(request=PredictionRequest(ratio=4))
    assert prediction.scale[0] == pytest.approx(0.25)


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
    assert outer(prediction) == pytest.approx(outer(source))


def test_time_axis_keeps_its_scale_and_label():
    source, prediction = placed(
        shape=(10, 8, 40, 50),
        scale=(30, 1.16, 0.29, 0.29),
        units=("s", *UM),
        axis_labels=("t", "z", "y", "x"),
    )
    assert prediction.ndim == 4
    assert prediction.scale[0] == 30
    assert prediction.units == source.units
    assert prediction.axis_labels == ("t", "z", "y", "x")


def test_input_grid_keeps_the_inputs_pixels():
    source, prediction = placed(
        scale=(1.16, 0.5, 0.5), units=UM, request=PredictionRequest(grid="input")
    )
    assert prediction.data.shape[1:] == source.data.shape[1:]
    assert tuple(prediction.scale[1:]) == tuple(source.scale[1:])
