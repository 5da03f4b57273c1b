"""A model of projections gives one plane, and is scored as one."""

from dataclasses import replace

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.prediction.blending import flattened
from napari_sparsessp.prediction.engine import TileDone, predict, predict_stream
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume

STACK, DEPTH = (8, 48, 64), 8
FP32 = PredictionRequest(precision="fp32", device="cpu")


def _flat(model, how):
    card = ModelCard.model_validate(
        {**model.card.model_dump(by_alias=True), "z_projection": how}
    )
    return replace(model, card=card)


@pytest.fixture(params=["mean", "max"])
def how(request):
    return request.param


def test_one_plane_is_the_projection_of_the_planes(thin_model, make_volume, how):
    """In the stack's middle, as thick as it, whatever the tiles."""
    volume = make_volume(STACK)
    planes = np.asarray(predict(thin_model, volume, request=FP32).volume.array)
    wanted = getattr(planes, how)(1, keepdims=True)
    for tile in (None, (8, 32, 32)):
        request = FP32.model_copy(update={"tile": tile})
        result = predict(_flat(thin_model, how), volume, request=request)
        assert result.volume.shape == (3, 1, 48, 64)
        atol = 1e-5 if tile is None else 0.02 * wanted.std()
        np.testing.assert_allclose(result.volume.array, wanted, atol=atol)
        assert result.volume.voxel_size == pytest.approx((8 * 0.29, 0.29, 0.29))
        assert result.volume.origin[0] == pytest.approx(3.5 * 0.29)


def test_on_the_inputs_pixels_it_is_one_plane_too(thin_model, make_volume, how):
    volume = make_volume(STACK, voxel=(0.29, 0.5, 0.5))
    request = FP32.model_copy(update={"grid": "input"})
    planes = predict(thin_model, volume, request=request).volume.array
    flat = predict(_flat(thin_model, how), volume, request=request).volume
    assert flat.shape == (3, 1, 48, 64)
    if how == "mean":  # resampling and a mean change places
        np.testing.assert_allclose(flat.array, planes.mean(1, keepdims=True), atol=1e-4)


@pytest.mark.parametrize("truth_voxel", [None, (5.0, 0.29, 0.29)])
def test_a_truth_of_one_plane_is_scored(thin_model, make_volume, truth_voxel):
    """Its step in z means nothing; while tiles come the scores are there already."""
    model, volume = _flat(thin_model, "mean"), make_volume(STACK)
    values = predict(model, volume, request=FP32)["dna"].array
    truth = Volume(3 * values + 40, "ZYX", truth_voxel)
    request = FP32.model_copy(update={"tile": (8, 32, 32)})
    stream = predict_stream(model, volume, request=request, truth={"dna": truth})
    tiles = [event for event in stream if isinstance(event, TileDone)]
    assert len(tiles) > 1
    assert all(event.box[0] == slice(0, 1) for event in tiles)
    report = predict(model, volume, request=FP32, truth={"dna": truth}).report
    assert report.structures["dna"]["pcc"] == pytest.approx(1, abs=1e-4)
    assert tiles[-1].scores["dna"]["pcc"] == pytest.approx(1, abs=1e-3)
    assert report.shape.output == (3, 1, 48, 64)


def test_a_truth_with_planes_is_refused_with_the_way_out(thin_model, make_volume):
    volume = make_volume(STACK)
    with pytest.raises(InputError, match="maximum projection"):
        predict(_flat(thin_model, "mean"), volume, truth={"dna": volume})


def test_another_depth_than_it_learned_is_told(thin_model, make_volume):
    model = _flat(thin_model, "mean")
    deep = predict(model, make_volume((12, 32, 32)), request=FP32)
    assert deep.volume.shape == (3, 1, 32, 32)
    assert any("12 planes deep" in text for text in deep.report.warnings)
    right = predict(model, make_volume((DEPTH, 32, 32)), request=FP32)
    assert not any("planes deep" in text for text in right.report.warnings)


def test_masked_planes_take_no_part_in_a_projection(how):
    planes = np.stack([np.full((2, 3), value, np.float32) for value in (1, 3, 8)])
    planes[2, 0, 0] = np.nan
    planes[:, 1, 1] = np.nan
    flat = flattened(planes[None], how)[0]
    assert flat.dtype == np.float32
    assert flat[0, 0, 1] == (4 if how == "mean" else 8)
    assert flat[0, 0, 0] == (2 if how == "mean" else 3)
    assert np.isnan(flat[0, 1, 1])
    assert np.isnan(flat).sum() == 1
