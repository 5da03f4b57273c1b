"""The network on its device: what it gives, and the memory it gives it in."""

import numpy as np
import pytest

from napari_sparsessp.prediction.inference import Forward
from napari_sparsessp.prediction.input_stack import read_stack
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest


def predictions(model, volume, precision):
    """Each tile's prediction: as it was given, and a copy from that moment."""
    request = PredictionRequest(device="cpu", precision=precision)
    plan = plan_prediction(model.card, volume, request)
    stack, forward = read_stack(plan, None), Forward(model, plan)
    assert len(plan.tiles) > 1
    for tile in plan.tiles:
        ((_, prediction),) = forward.predict(stack, tile)
        yield prediction, prediction.copy()


def test_tiles_of_one_size_come_in_the_same_memory(thin_model, make_volume):
    """And each is whole until the next one is asked for."""
    volume = make_volume((3 * thin_model.card.patch[0] // 2, 16, 24))
    reduced = list(predictions(thin_model, volume, "bf16"))
    assert len({given.ctypes.data for given, _ in reduced}) == 1
    exact = [copied for _, copied in predictions(thin_model, volume, "fp32")]
    for (given, copied), wanted in zip(reduced, exact, strict=True):
        assert given.dtype == np.float32
        assert np.abs(copied - wanted).max() < 0.1 * wanted.std()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_prediction_has_its_pixels_beside_each_other(
    thin_model, make_volume, precision
):
    """So that blending and writing need not walk through all of it for a plane."""
    volume = make_volume((3 * thin_model.card.patch[0] // 2, 16, 24))
    for given, _ in predictions(thin_model, volume, precision):
        assert given.strides[-1] == given.itemsize
        assert given.strides[-2] < given.strides[-3]
