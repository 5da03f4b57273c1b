"""One way to judge, for the command line and for the dock."""

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.agreement import (
    BINS,
    agreement,
    aligned_truth,
    error_of,
    on_the_same_grid,
)
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.volume import Volume

RNG = np.random.default_rng(3)
COUNTS = RNG.gamma(2.0, 40.0, (6, 24, 20)).astype(np.float32)
SIZE = (0.29, 0.29, 0.29)


def volume(array, size=SIZE, origin=(0.0, 0.0, 0.0)):
    return Volume(array, "ZYX", size, origin=origin)


def predicted(noise=0.5):
    z = zscore_truth(COUNTS)
    return (z + noise * RNG.standard_normal(z.shape)).astype(np.float32)


def test_the_scores_are_those_of_the_metrics():
    found = predicted()
    result = agreement(volume(COUNTS), volume(found))
    assert result.scores == score(found, COUNTS)
    np.testing.assert_allclose(result.moments, (COUNTS.mean(), COUNTS.std()), rtol=1e-5)
    assert result.notes == ()


def test_every_voxel_is_counted_once_and_a_perfect_one_lies_on_the_diagonal():
    density = agreement(volume(COUNTS), volume(zscore_truth(COUNTS))).density
    assert density.counts.shape == (BINS, BINS)
    off = density.counts - np.diag(np.diag(density.counts))
    assert off.sum() == 0
    inside = COUNTS.size - density.counts.sum()
    assert 0 <= inside <= 0.001 * COUNTS.size  # the rarest fall off the ends


def test_truth_lies_along_the_first_axis_of_the_density():
    z = zscore_truth(COUNTS)
    counts = agreement(volume(COUNTS), volume(0.25 * z)).density.counts
    rows, columns = (counts.sum(axis=axis) > 0 for axis in (1, 0))
    assert rows.sum() > 2 * columns.sum()


def test_a_truth_on_another_grid_is_resampled_and_this_is_told():
    fine = np.repeat(np.repeat(COUNTS, 2, 1), 2, 2)
    small = (0.29, 0.145, 0.145)
    place = (0.0, -0.0725, -0.0725)
    result = agreement(volume(fine, small, place), volume(predicted()))
    assert any("resampled" in note for note in result.notes)
    assert result.scores["r2"] == pytest.approx(0.75, abs=0.1)


def test_planes_beyond_the_truth_have_no_error():
    longer = np.concatenate([predicted(), np.ones((2, 24, 20), np.float32)])
    error = error_of(volume(COUNTS), volume(longer))
    assert error.shape == longer.shape
    assert np.isnan(error[6:]).all()
    assert np.isfinite(error[:6]).all()


def test_the_error_is_prediction_minus_z_scored_truth():
    found = predicted()
    np.testing.assert_allclose(
        error_of(volume(COUNTS), volume(found)), found - zscore_truth(COUNTS), atol=1e-6
    )


def test_work_can_be_stopped_at_any_plane():
    class Enough(Exception):
        pass

    shares = []

    def watch(share):
        shares.append(share)
        if share > 0.5:
            raise Enough

    with pytest.raises(Enough):
        agreement(volume(COUNTS), volume(predicted()), watch=watch)
    assert shares == sorted(shares)
    assert len(shares) > 10


def test_raw_counts_against_a_z_score_are_told():
    result = agreement(volume(COUNTS), volume(5000 + COUNTS), "dna")
    assert any("dna is not in units" in note for note in result.notes)


def test_projections_lie_nowhere_in_z():
    flat, other = COUNTS[:1], predicted()[:1]
    truth = volume(flat, (4.0, 0.29, 0.29), (9.0, 0.0, 0.0))
    np.testing.assert_allclose(
        aligned_truth(truth, volume(other)), zscore_truth(flat), atol=1e-6
    )


def test_times_must_be_as_many():
    truth = Volume(COUNTS[None].repeat(2, 0), "TZYX", SIZE)
    with pytest.raises(InputError, match="time points"):
        on_the_same_grid(truth, volume(predicted()), print)
