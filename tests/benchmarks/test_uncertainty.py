"""Expected errors: judged for what they are."""

import numpy as np
import pytest

from benchmarks.figures.uncertainty import block_rank, reliability


@pytest.mark.parametrize(("times", "within"), [(1, 0.683), (0.25, 0.2)])
def test_an_expectation_is_judged_as_right_or_too_low(times, within):
    rng = np.random.default_rng(5)
    expected = np.sqrt(0.3**2 + (5 * rng.exponential(0.1, 40_000)) ** 2)
    found = reliability(times * expected, rng.normal(size=40_000) * expected)
    assert found.ratio == pytest.approx(1 / times, rel=0.03)
    assert found.within == pytest.approx(within, abs=0.01)
    np.testing.assert_allclose(times * found.found / found.expected, 1, atol=0.06)
    assert (np.diff(found.expected) > 0).all()


def test_an_expectation_ranks_errors_by_voxel_and_by_block():
    one, other = np.random.default_rng(7).normal(size=(2, 9, 40, 40))
    rank = reliability(np.abs(one).ravel(), other.ravel()).rank
    assert rank == pytest.approx(0, abs=0.05)
    assert block_rank(np.abs(one) ** 2, one) == pytest.approx(1)
