"""Floor and gain of errors: found again where they are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.prediction.uncertainty import fit_calibration


@settings(max_examples=8, deadline=None)
@given(floor=st.floats(0.05, 1), gain=st.floats(1, 20))
def test_the_right_floor_and_gain_are_found(floor, gain):
    rng = np.random.default_rng(5)
    spread = rng.exponential(0.1, 40_000)
    true = np.sqrt(floor**2 + (gain * spread) ** 2)
    found = fit_calibration(spread, rng.normal(size=len(spread)) * true)
    assert np.median(np.abs(found.expected_error(spread) / true - 1)) < 0.05


def test_errors_that_no_spread_tells_of_are_all_floor():
    rng = np.random.default_rng(6)
    found = fit_calibration(np.zeros(1000), rng.normal(0, 0.7, 1000))
    assert found.floor == pytest.approx(0.7, rel=0.1)
    assert found.gain == 0
