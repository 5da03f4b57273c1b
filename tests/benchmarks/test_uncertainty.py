"""Expected errors: found again where they are known, and judged for what they are."""

import numpy as np
import pytest

from napari_sparsessp.evaluation.reliability import (
    block_means,
    judge,
    rank_correlation,
)


def _errors(count=40_000):
    """Expectations, and normal errors of exactly that size."""
    rng = np.random.default_rng(5)
    expected = np.sqrt(0.3**2 + (5 * rng.exponential(0.1, count)) ** 2)
    return expected, rng.normal(size=count) * expected


def test_a_right_expectation_is_judged_as_right():
    expected, error = _errors()
    found = judge(expected, error)
    assert found.ratio == pytest.approx(1, abs=0.03)
    assert found.within == pytest.approx(0.683, abs=0.01)
    np.testing.assert_allclose(found.found / found.expected, 1, atol=0.06)
    assert (np.diff(found.expected) > 0).all()


def test_an_expectation_that_is_too_low_is_judged_so():
    expected, error = _errors()
    found = judge(expected / 4, error)
    assert found.ratio == pytest.approx(4, abs=0.1)
    assert found.within < 0.25


def test_an_expectation_that_says_nothing_ranks_nothing():
    rng = np.random.default_rng(7)
    one, other = rng.normal(size=(2, 5000))
    assert judge(np.abs(one), other).rank == pytest.approx(0, abs=0.05)
    assert rank_correlation(one, 3 * one + 2) == pytest.approx(1)
    assert np.isnan(rank_correlation(one, np.ones(5000)))


def test_blocks_are_means_of_what_they_hold():
    volume = np.arange(9 * 17 * 16, dtype=float).reshape(9, 17, 16)
    means = block_means(volume)
    assert means.shape == (2 * 2 * 2,)
    assert means[0] == pytest.approx(volume[:4, :8, :8].mean())
    assert block_means(volume[:2, :3, :3]).shape == (1,)
