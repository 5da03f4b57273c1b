"""Trivial predictors and noise ceilings, on images whose scores are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.baselines import (
    BASELINES,
    light_predictors,
    noise_ceiling,
    noise_variance,
    plane_mean,
    score_baselines,
    with_fitted,
)
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.volume import Grid, Volume

CUBE = (0.29, 0.29, 0.29)


def _noise(shape=(8, 48, 48), seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _scores(light, truth):
    grid = Grid(light.shape, CUBE, (0.0, 0.0, 0.0))
    volume = Volume(light, "ZYX", CUBE)
    return score_baselines(volume, {"dna": truth}, grid)["dna"]


def test_a_truth_that_is_the_input_is_told_by_the_input():
    light = _noise()
    scores = _scores(3 * light + 1000, 7 * light - 5)
    assert list(scores) == list(BASELINES)
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
    scores = _scores(_noise(), _noise(seed=3) + np.linspace(0, 3, 8)[:, None, None])
    assert scores["plane_mean"]["pcc"] > 0.5
    assert scores["plane_mean"]["pcc_plane"] is None
    predicted = plane_mean(truth)
    assert predicted[1:-1].mean(axis=(1, 2)) == pytest.approx(np.arange(1, 7))
    changed = truth.copy()
    changed[4] += 100 * np.random.default_rng(0).random((10, 10))
    assert np.array_equal(plane_mean(changed)[4], predicted[4])
    assert not np.array_equal(plane_mean(changed)[3], predicted[3])


def test_planes_without_truth_have_no_say():
    truth = np.repeat(np.arange(6.0), 16).reshape(6, 4, 4)
    truth[5] = np.nan
    predicted = plane_mean(truth)
    assert predicted[4].mean() == 3
    assert np.isfinite(predicted).all()
    assert not plane_mean(_noise((1, 8, 8))).any(), "no neighbours"


def test_the_fitted_score_is_that_of_the_best_straight_line():
    truth = zscore_truth(gaussian_filter(_noise(), 1))
    prediction = 0.3 * truth + 0.2 * _noise(seed=5) + 0.7
    slope, offset = np.polyfit(prediction.ravel(), truth.ravel(), 1)
    best = score(slope * prediction + offset, truth)["r2"]
    scores = with_fitted(score(prediction, truth))
    assert scores["r2_fitted"] == pytest.approx(best, abs=1e-4)
    assert scores["r2"] < best
    assert with_fitted(score(-prediction, truth))["r2_fitted"] == 0


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


def _cells(shape=(16, 96, 96), blur=2.5, seed=0):
    """Smooth structure, bright objects on a dark ground: no noise."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.standard_normal(shape), blur)
    field /= field.std()
    return 20 + 100 / (1 + np.exp(-4 * (field - 0.5)))


def _camera(clean, seed=1):
    """Photons and 3 counts of read noise."""
    rng = np.random.default_rng(seed)
    return rng.poisson(clean) + rng.normal(0, 3, clean.shape)


def _ceiling(stack, grid=None):
    truth = Volume(stack.astype(np.float32), "ZYX", CUBE)
    return noise_ceiling(truth, grid or Grid(stack.shape, CUBE, (0.0, 0.0, 0.0)))


def _best(clean, noisy):
    """What the noise-free image itself scores, in units of the z-scored truth."""
    return score((clean - noisy.mean()) / noisy.std(), noisy)


@pytest.mark.parametrize("axes", ["zyx", "yx"])
def test_the_variance_of_photon_and_read_noise_is_found(axes):
    clean = _cells()
    found = noise_variance(_camera(clean), axes)
    true = clean + 9
    assert found.mean() == pytest.approx(true.mean(), rel=0.12)
    bright = clean > np.percentile(clean, 90)
    assert found[bright].mean() == pytest.approx(true[bright].mean(), rel=0.25)
    assert found[bright].mean() > 1.5 * found[~bright].mean()


def test_the_careful_estimate_takes_fine_structure_along_z_for_noise():
    clean = _cells()
    true = (clean + 9).mean()
    assert true < noise_variance(_camera(clean), "z").mean() < 1.4 * true
    slow = _cells(blur=6)
    found = noise_variance(_camera(slow), "z").mean()
    assert found == pytest.approx((slow + 9).mean(), rel=0.05)


@pytest.mark.parametrize("dimmer", [1, 4, 10])
def test_the_noise_free_image_scores_the_ceiling(dimmer):
    clean = _cells() / dimmer
    noisy = _camera(clean)
    best, ceiling = _best(clean, noisy), _ceiling(noisy)
    assert best["r2"] < 0.97, "noise must matter for this test to say anything"
    assert ceiling.r2 == pytest.approx(best["r2"], abs=0.03)
    assert ceiling.r2_careful == pytest.approx(best["r2"], abs=0.05)
    assert ceiling.pcc == pytest.approx(best["pcc"], abs=0.03)
    assert ceiling.pcc_plane == pytest.approx(best["pcc_plane"], abs=0.03)


def test_resampling_the_truth_averages_noise_away():
    clean = _cells((16, 128, 128), blur=5) / 4
    noisy = _camera(clean)
    coarse = tuple(2 * step for step in CUBE)
    half = Grid((8, 64, 64), coarse, tuple(step / 2 for step in CUBE))
    fine, resampled = _ceiling(noisy), _ceiling(noisy, half)
    # Means of 2×2×2 voxels (or softer) would keep an eighth of the noise at most.
    assert resampled.noise_share < fine.noise_share / 5
    assert resampled.r2 > fine.r2


def test_noise_that_neighbours_share_is_seen_between_planes_only():
    clean = _cells(blur=4)
    rng = np.random.default_rng(2)
    shared = gaussian_filter(rng.standard_normal(clean.shape), (0, 1, 1))
    noisy = clean + 15 * shared / shared.std()
    best, ceiling = _best(clean, noisy)["r2"], _ceiling(noisy)
    assert ceiling.r2 > best + 0.1
    assert ceiling.r2_careful == pytest.approx(best, abs=0.05)


def test_rare_sharp_spots_are_not_taken_for_noise():
    clean = _cells(blur=4)
    noisy = _camera(clean)
    plain = noise_variance(noisy).mean()
    noisy[::4, ::16, ::16] += 500
    assert noise_variance(noisy).mean() == pytest.approx(plain, rel=0.25)


def test_planes_that_the_truth_does_not_reach_do_not_count():
    noisy = _camera(_cells())
    longer = Grid((20, 96, 96), CUBE, (0.0, 0.0, 0.0))
    whole, beyond = _ceiling(noisy), _ceiling(noisy, longer)
    assert beyond.r2 == pytest.approx(whole.r2, abs=1e-6)


def test_extremes_have_the_ceiling_that_they_must():
    assert _ceiling(_cells(blur=4)).r2 > 0.999
    assert _ceiling(np.random.default_rng(0).normal(100, 5, (8, 64, 64))).r2 < 0.05
    flat = _ceiling(_camera(_cells())[:2])
    assert 0 < flat.r2 < 1
    assert flat.r2_careful is None
    with pytest.raises(InputError, match="constant"):
        _ceiling(np.ones((4, 16, 16)))
    with pytest.raises(InputError, match="constant"):
        light_predictors(np.full((3, 8, 8), 7.0), CUBE[1:])
