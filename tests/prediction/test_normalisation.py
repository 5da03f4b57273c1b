"""One scale for a stack: robust, and the same however the stack is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction import normalisation
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.normalisation import (
    Survey,
    empty_planes,
    left_out_note,
    normalise,
    plane_list,
)
from napari_sparsessp.prediction.request import PredictionRequest

FP32 = PredictionRequest(precision="fp32", device="cpu")


@pytest.fixture
def planes():
    noise = np.random.default_rng(0).normal(40_000, 20, (6, 50, 60))
    return noise.astype(np.float32)


def _as_before(planes, scaling):
    """Mean and deviation by the definition, all at once."""
    if scaling == "zscore":
        finite = planes[np.isfinite(planes)].astype(np.float64)
        return finite.mean(), finite.std()
    sample = planes.reshape(-1)[:: max(1, planes.size // normalisation.SAMPLE)]
    sample = sample[np.isfinite(sample)].astype(np.float64)
    if scaling == "median_iqr":
        low, middle, high = np.percentile(sample, (25, 50, 75))
        return middle, high - low
    inner = np.clip(sample, *np.percentile(sample, (0.05, 99.95)))
    return inner.mean(), inner.std()


@pytest.mark.parametrize("scaling", ["robust", "zscore", "median_iqr"])
@pytest.mark.parametrize("sample", [100, 777, 10**6])
def test_the_scale_is_what_its_definition_says(planes, scaling, sample, monkeypatch):
    monkeypatch.setattr(normalisation, "SAMPLE", sample)
    planes[0, 0, 0], planes[2, 3, 4] = 60_000, np.nan
    scale = normalise(planes, scaling)
    mean, std = _as_before(planes, scaling)
    assert scale.mean == pytest.approx(mean, rel=1e-9)
    assert scale.std == pytest.approx(std, rel=1e-7)
    assert scale.left_out == ()


def test_quartiles_leave_out_what_shows_nothing_and_need_a_spread(planes):
    dark = np.concatenate([planes, np.zeros_like(planes[:2])])
    assert normalise(dark, "median_iqr").left_out == (6, 7)
    assert normalise(dark, "median_iqr").mean == normalise(planes, "median_iqr").mean
    planes[:, :, :40] = planes[0, 0, 0]
    with pytest.raises(InputError, match="no interquartile range.*crop it"):
        normalise(planes, "median_iqr")
    with pytest.raises(normalisation.BlankImage):
        normalise(np.ones_like(planes), "median_iqr")


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 30), st.integers(1, 30))
@pytest.mark.parametrize("scaling", ["robust", "zscore", "median_iqr"])
def test_parts_in_any_order_give_the_same_bits(scaling, data, n, height, width):
    planes = np.random.default_rng(height).gamma(2, 50, (n, height, width))
    planes = planes.astype(np.float32)
    planes[0, 0, 0] = planes.max() * 2 + 1  # not constant
    if n * height * width > 1:
        planes[-1, -1, -1] = np.nan
    whole, parts = Survey(planes.shape, scaling), Survey(planes.shape, scaling)
    cut = data.draw(st.integers(1, height))
    bands = [(k, row) for k in range(n) for row in range(0, height, cut)]
    for index, plane in enumerate(planes):
        whole.add(index, 0, plane)
    for index, row in data.draw(st.permutations(bands)):
        parts.add(index, row, planes[index, row : row + cut])
    results = [_result(survey) for survey in (whole, parts)]
    assert results[0] == results[1]
    assert (whole.invalid == parts.invalid).all()


def _result(survey):
    try:
        return survey.result()
    except InputError:
        return "constant"


def test_robust_takes_no_notice_of_a_hot_pixel_and_zscore_does(planes):
    before = normalise(planes), normalise(planes, "zscore")
    planes[0, 0, 0] = 1e6
    after = normalise(planes), normalise(planes, "zscore")
    assert after[0].std == pytest.approx(before[0].std, rel=0.01)
    assert after[1].std > 5 * before[1].std


@pytest.mark.parametrize("scaling", ["robust", "zscore", "none"])
@pytest.mark.parametrize("value", [7.0, 40_000.1, np.nan])
def test_a_constant_image_is_refused_whatever_the_scaling(scaling, value):
    with pytest.raises(InputError, match="constant"):
        normalise(np.full((3, 9, 9), value, np.float32), scaling)


SPOILT = {
    "zeros": lambda noise: 0 * noise,
    "saturated": lambda noise: 0 * noise + 65_535,
    "zeros with hot pixels": lambda noise: 65_535 * _few(noise),
    "shutter closed": lambda noise: 100 + noise * 0.02,
    "nearly saturated": lambda noise: np.where(noise > 45, 65_000, 65_535),
}


def _few(noise):
    pixels = np.zeros(noise.shape)
    pixels[3, :20] = 1
    return pixels


@pytest.mark.parametrize("kind", SPOILT)
@pytest.mark.parametrize("scaling", ["robust", "zscore", "median_iqr"])
def test_a_plane_that_shows_nothing_takes_no_part(planes, scaling, kind):
    expected = normalise(np.delete(planes, 2, 0), scaling)
    noise = np.random.default_rng(1).normal(0, 20, planes[2].shape)
    planes[2] = SPOILT[kind](noise)
    scale = normalise(planes, scaling)
    assert scale.left_out == (2,)
    assert (scale.mean, scale.std) == pytest.approx(
        (expected.mean, expected.std), rel=1e-6
    )


def test_planes_out_of_focus_or_of_another_brightness_take_part():
    rng = np.random.default_rng(0)
    planes = (
        rng.normal(0, 1, (6, 40, 40)) * np.array([1, 4, 9, 30, 8, 2])[:, None, None]
    )
    planes += np.array([100, 120, 130, 90, 80, 150])[:, None, None]
    assert empty_planes([plane.ravel() for plane in planes]) == ()
    flat = normalise(np.arange(5.0)[:, None, None] * np.ones((5, 4, 4)))
    assert (flat.left_out, flat.mean) == ((), pytest.approx(2))


@pytest.mark.parametrize("value", [0, 65_535])
def test_an_empty_plane_hardly_changes_the_prediction_elsewhere(
    thin_model, make_volume, value
):
    volume = make_volume((8, 48, 48), voxel=(2.32, 0.29, 0.29))
    spoilt = volume.array.copy()
    spoilt[0] = value
    before = predict(thin_model, volume, request=FP32)
    after = predict(thin_model, volume.with_(array=spoilt), request=FP32)
    far = np.s_[:, 24:]  # three measured planes away: beyond the network's reach in z
    one, other = (run.volume.numpy()[far].ravel() for run in (before, after))
    assert np.corrcoef(one, other)[0, 1] > 0.999
    assert np.abs(one - other).max() < 0.1 * one.std()
    (warning,) = [text for text in after.report.warnings if "normalisation" in text]
    assert warning.startswith("plane 0 is empty or saturated")
    assert after.report.normalisation[0].left_out == (0,)
    assert not any("normalisation" in text for text in before.report.warnings)


def test_one_sentence_tells_of_all_time_points():
    assert left_out_note({None: ()}) == ""
    assert left_out_note({None: (3,)}).startswith("plane 3 is empty")
    many = left_out_note({0: (), 1: [0, 1, 2, 5, 7, 8], 5: (2,)})
    assert many.startswith("planes 0–2, 5, 7–8 of time point 1 (and planes of 1 more)")
    assert plane_list({None: range(0, 40, 2)}) == "planes 0, 2, 4, 6, 8, 10, 12, 14, …"


def test_a_given_scale_is_used_and_reported(thin_model, make_volume):
    volume = make_volume((2, 8, 24, 24), "TZYX")
    own = predict(thin_model, volume, request=FP32)
    scales = {(one.mean, one.std) for one in own.report.normalisation}
    assert len(scales) == 2  # each time point has its own
    mean, std = own.report.normalisation[0].mean, own.report.normalisation[0].std
    given = FP32.model_copy(update={"normalisation": (mean, std)})
    result = predict(thin_model, volume, request=given)
    assert [(one.mean, one.std) for one in result.report.normalisation] == [
        (mean, std)
    ] * 2
    np.testing.assert_array_equal(result.volume.array[0], own.volume.array[0])
    assert (result.volume.array[1] != own.volume.array[1]).any()


@pytest.mark.parametrize("bad", [(1, 0), (1, -2), (np.nan, 1), (1, np.inf), (1,)])
def test_an_impossible_scale_is_no_request(bad):
    with pytest.raises(ValueError, match="normalisation"):
        PredictionRequest(normalisation=bad)
