"""Padding of a shifted, sheared or stitched stack is found, masked and said."""

import dask.array as da
import numpy as np
import pytest

from lazy import both_ways
from napari_sparsessp.models.card import Range
from napari_sparsessp.prediction.domain_shift import check
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.ground_truth import survey_note, survey_truth
from napari_sparsessp.prediction.normalisation import normalise, padding_value
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest

FP32 = PredictionRequest(precision="fp32", device="cpu")
SHAPE = (8, 40, 48)


def framed(values, fill):
    values[:, :6], values[:, :, :12] = fill, fill


def sheared(values, fill):
    for z, plane in enumerate(values):
        plane[:, : 3 * z] = fill


def tilted(values, fill):
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    x = x // 2 * 2  # a single pixel at an end of a row is no padding
    values[:, (y + x < 20) | (y + x > 68)] = fill


@pytest.fixture(params=[framed, sheared, tilted])
def padded(request, make_volume):
    """A stack, the padded one, and where the padding lies."""

    def make(fill=0.0):
        whole = make_volume(SHAPE)
        array = whole.array.copy()
        request.param(array, fill)
        return whole, whole.with_(array=array), array == fill

    return make


@pytest.mark.parametrize("fill", [0.0, 100.0, 65_535.0])
def test_padding_is_masked_and_takes_no_part(thin_model, padded, fill):
    whole, volume, outside = padded(fill)
    result = predict(thin_model, volume, request=FP32)
    np.testing.assert_array_equal(np.isnan(result["dna"].array), outside)
    scale, kept = result.report.normalisation[0], normalise(whole.array)
    assert scale.padding == pytest.approx(outside.mean(), abs=1e-4)
    assert (scale.mean, scale.std) == pytest.approx((kept.mean, kept.std), rel=0.03)
    (warning,) = result.report.warnings
    assert f"{outside.mean():.1%} of the image is padding" in warning


def test_padding_that_is_read_by_region_is_the_same(thin_model, padded, small_share):
    _, volume, _ = padded()
    volume = volume.with_(array=da.from_array(volume.array, (2, 9, 11)))
    plan, one, other = both_ways(thin_model, volume, small_share, 9000)
    assert one.normalisation == other.normalisation
    assert one.normalisation.padding > 0
    for tile in plan.tiles:
        np.testing.assert_array_equal(one.window(tile)[0], other.window(tile)[0])
        np.testing.assert_array_equal(one.masked(tile), other.masked(tile))


def test_padding_is_neither_clipping_nor_compression(thin_model, padded):
    card = thin_model.card.model_copy(
        update={"familiarity": {"x": (Range(low=0, high=9),)}}
    )
    plan = plan_prediction(card, padded()[1], FP32)
    assert check(plan, padded=True) == ()
    assert "clipped" in check(plan)[0]


def test_padding_of_a_truth_is_not_scored(padded):
    _, volume, outside = padded()
    found = survey_truth(volume)
    np.testing.assert_array_equal(np.isnan(found.truth.array), outside)
    assert f"padding of one value ({outside.mean():.1%} of it)" in survey_note(
        "dna", {None: found}
    )


def test_fading_light_and_backgrounds_of_one_value_are_no_padding():
    y, x = np.mgrid[:64, :64]
    noise = np.random.default_rng(1).normal(0, 1, (64, 64))
    vignette = (255 - 0.2 * ((y - 32) ** 2 + (x - 32) ** 2) + noise).clip(0)
    assert (vignette == 0).mean() > 0.02
    cells = np.where(np.hypot(y % 32 - 16, x % 32 - 16) < 9, 200 + 9 * noise, 0)
    assert padding_value([vignette.round(), cells, noise]) is None
