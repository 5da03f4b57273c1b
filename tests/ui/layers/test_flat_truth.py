"""A maximum projection as the truth of a predicted projection, without a viewer."""

import numpy as np
import pytest

layers = pytest.importorskip("napari.layers")

from napari_sparsessp.ui.layers.contrast import FlatTruth, lies_flat  # noqa: E402


def image(planes, **place):
    return layers.Image(np.zeros((planes, 4, 5), np.float32), **place)


@pytest.fixture
def prediction():
    return image(1, scale=(13, 0.3, 0.3), translate=(6, 1, 1))


def test_a_projection_is_seen_at_every_plane_of_its_prediction(prediction):
    truth = image(1)
    assert lies_flat(truth, prediction)
    spread = FlatTruth(truth, prediction)
    assert truth.extent.world[:, 0] == pytest.approx(prediction.extent.world[:, 0])
    assert tuple(truth.scale[1:]) == (1, 1), "y and x are the user's"
    spread.undo()
    assert tuple(truth.scale) == (1, 1, 1)
    assert tuple(truth.translate) == (0, 0, 0)


def test_what_has_depth_or_lies_right_is_left_alone(prediction):
    assert not lies_flat(image(13), prediction)
    assert not lies_flat(image(1), image(13))
    assert not lies_flat(image(1, scale=(13, 1, 1), translate=(6, 0, 0)), prediction)
