"""Expected errors: judged for what they are."""

import numpy as np
import pytest

from benchmarks.figures.uncertainty import block_means, rank_correlation, reliability


@pytest.mark.parametrize(("times", "within"), [(1, 0.683), (0.25, 0.2)])
def test_an_expectation_is_judged_as_right_or_too_low(times, within):
    rng = np.random.default_rng(5)
    expected = np.sqrt(0.3**2 + (5 * rng.exponential(0.1, 40_000)) ** 2)
    found = reliability(times * expected, rng.normal(size=40_000) * expected)
    assert found.ratio == pytest.approx(1 / times, rel=0.03)
    assert found.within == pytest.approx(within, abs=0.01)
    np.testing.assert_allclose(times * found.found / found.expected, 1, atol=0.06)
    assert (np.diff(found.expected) > 0).all()


def test_an_expectation_that_says_nothing_ranks_nothing():
    one, other = np.random.default_rng(7).normal(size=(2, 5000))
    assert reliability(np.abs(one), other).rank == pytest.approx(0, abs=0.05)
    assert rank_correlation(one, 3 * one + 2) == pytest.approx(1)
    assert np.isnan(rank_correlation(one, np.ones(5000)))


def test_blocks_are_means_of_what_they_hold():
    volume = np.arange(9 * 17 * 16, dtype=float).reshape(9, 17, 16)
    means = block_means(volume)
    assert means.shape == (2 * 2 * 2,)
    assert means[0] == pytest.approx(volume[:4, :8, :8].mean())
    assert block_means(volume[:2, :3, :3]).shape == (1,)
