"""What trivial predictors score, on images where that is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.yardsticks import (
    YARDSTICKS,
    light_predictors,
    mean_of_others,
    plane_mean,
    score_fitted,
    score_yardsticks,
)
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.volume import Grid, Volume

CUBE = (0.29, 0.29, 0.29)


def _noise(shape=(8, 48, 48), seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _scores(light, truth):
    grid = Grid(light.shape, CUBE, (0.0, 0.0, 0.0))
    volume = Volume(light, "ZYX", CUBE)
    return score_yardsticks(volume, {"dna": truth}, grid)["dna"]


def test_a_truth_that_is_the_input_is_told_by_the_input():
    light = _noise()
    scores = _scores(3 * light + 1000, 7 * light - 5)
    assert list(scores) == list(YARDSTICKS)
    assert scores["input"]["r2"] == pytest.approx(1, abs=1e-4)
    assert scores["negative"]["r2"] == pytest.approx(-3, abs=1e-3)
    assert scores["negative"]["pcc"] == pytest.approx(-1, abs=1e-4)
    assert abs(scores["smoothness"]["pcc"]) < 0.1


def test_smoothness_finds_the_smooth_half():
    truth = np.zeros((6, 64, 64), np.float32)
    truth[:, :, :32] = 1
    light = _noise(truth.shape) * np.where(truth > 0, 0.2, 1) + 500
    scores = _scores(light, truth + 0.01 * _noise(truth.shape, 1))
    assert scores["smoothness"]["pcc_plane"] > 0.9
    assert abs(scores["input"]["pcc"]) < 0.1


def test_predictors_know_mean_and_deviation_only():
    light = _noise() * 40 + 3000
    for predictor in light_predictors(light, CUBE[1:]).values():
        assert predictor.mean() == pytest.approx(0, abs=1e-3)
        assert predictor.std() == pytest.approx(1, abs=1e-3)


def test_the_mean_by_plane_follows_a_trend_but_never_the_plane_itself():
    truth = np.repeat(np.arange(8.0), 100).reshape(8, 10, 10)
    predicted = plane_mean(truth)
    assert predicted[1:-1].mean(axis=(1, 2)) == pytest.approx(np.arange(1, 7))
    changed = truth.copy()
    changed[4] += 100 * np.random.default_rng(0).random((10, 10))
    assert np.array_equal(plane_mean(changed)[4], predicted[4])
    assert not np.array_equal(plane_mean(changed)[3], predicted[3])


def test_the_mean_by_plane_has_no_pearson_within_planes():
    trend = np.linspace(0, 3, 8)[:, None, None]
    scores = _scores(_noise(), _noise(seed=3) + trend)["plane_mean"]
    assert scores["pcc"] > 0.5
    assert scores["pcc_plane"] is None


def test_a_single_plane_has_no_neighbours_and_is_predicted_by_zero():
    assert not plane_mean(_noise((1, 8, 8))).any()


def test_planes_without_truth_have_no_say():
    truth = np.repeat(np.arange(6.0), 16).reshape(6, 4, 4)
    truth[5] = np.nan
    predicted = plane_mean(truth)
    assert predicted[4].mean() == 3
    assert np.isfinite(predicted).all()


def test_an_image_has_no_say_in_its_own_mean_by_plane():
    truths = [_noise(seed=seed) for seed in range(3)]
    predicted = mean_of_others(truths, 1)
    truths[1] = truths[1] + 50
    assert np.array_equal(mean_of_others(truths, 1), predicted)
    assert predicted[:, 0, 0] == pytest.approx(
        (truths[0] + truths[2]).mean(axis=(1, 2)) / 2, abs=1e-5
    )
    with pytest.raises(InputError, match="at least two"):
        mean_of_others(truths[:1], 0)


def test_the_fitted_score_is_that_of_the_best_straight_line():
    truth = zscore_truth(gaussian_filter(_noise(), 1))
    prediction = 0.3 * truth + 0.2 * _noise(seed=5) + 0.7
    slope, offset = np.polyfit(prediction.ravel(), truth.ravel(), 1)
    best = score(slope * prediction + offset, truth)["r2"]
    scores = score_fitted(prediction, truth)
    assert scores["r2_fitted"] == pytest.approx(best, abs=1e-4)
    assert scores["r2"] < best
    assert score_fitted(-prediction, truth)["r2_fitted"] == 0


def test_a_constant_light_is_refused():
    with pytest.raises(InputError, match="constant"):
        light_predictors(np.full((3, 8, 8), 7.0), CUBE[1:])


def test_local_smoothness_of_real_bright_field_is_as_weak_as_it_is_known_to_be(
    shared_data,
):
    from napari_sparsessp import load_volume

    path = shared_data("allen_hipsc_dna_top.ome.tif")
    light = load_volume(path, channel="Bright-field").numpy()
    dna = load_volume(path, channel="DNA").numpy()
    scores = _scores(light, dna)
    assert 0.1 < scores["smoothness"]["pcc_plane"] < 0.2
    assert scores["plane_mean"]["pcc"] > 0.3
