"""The noise ceiling, on images whose noise is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.ceiling import noise_ceiling, noise_variance
from napari_sparsessp.metrics import score
from napari_sparsessp.volume import Grid, Volume

STEP = (0.29, 0.29, 0.29)


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
    truth = Volume(stack.astype(np.float32), "ZYX", STEP)
    return noise_ceiling(truth, grid or Grid(stack.shape, STEP, (0.0, 0.0, 0.0)))


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
    coarse = tuple(2 * step for step in STEP)
    half = Grid((8, 64, 64), coarse, tuple(step / 2 for step in STEP))
    fine, resampled = _ceiling(noisy), _ceiling(noisy, half)
    # Means of 2×2×2 voxels (or softer) would keep an eighth of the noise at most.
    assert resampled.noise_share < fine.noise_share / 5
    assert resampled.r2 > fine.r2


def test_an_image_without_noise_has_next_to_no_ceiling():
    assert _ceiling(_cells(blur=4)).r2 > 0.999


def test_noise_alone_leaves_nothing_to_predict():
    noise = np.random.default_rng(0).normal(100, 5, (8, 64, 64))
    assert _ceiling(noise).r2 < 0.05


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
    longer = Grid((20, 96, 96), STEP, (0.0, 0.0, 0.0))
    whole, beyond = _ceiling(noisy), _ceiling(noisy, longer)
    assert beyond.r2 == pytest.approx(whole.r2, abs=1e-6)


def test_two_planes_are_judged_in_plane():
    ceiling = _ceiling(_camera(_cells())[:2])
    assert 0 < ceiling.r2 < 1
    assert ceiling.r2_careful is None


def test_a_constant_truth_has_no_ceiling():
    with pytest.raises(InputError, match="constant"):
        _ceiling(np.ones((4, 16, 16)))
