"""Traits of a stack: what they are of simple images, and what they do not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.prediction.domain_shift import (
    image_traits,
    neighbours,
    recording_traits,
    windows,
)

PIXEL = 0.29
PAIRS = [(0, 1), (1, 2), (2, 3)]


def _waves(cycles, size=128, planes=4, phase=0.0):
    """Planes of one sine, `cycles` per µm, each `phase` further than the last."""
    x = np.arange(size) * PIXEL
    rows = [np.sin(2 * np.pi * (cycles * x + phase * k)) for k in range(planes)]
    return np.stack([np.tile(row, (size, 1)) for row in rows])


@pytest.mark.parametrize(
    ("cycles", "band"), [(0.1, "coarse"), (0.75, "fine"), (1.2, "finest")]
)
def test_a_bands_power_is_told_in_powers_of_ten_of_the_middle(cycles, band):
    both = _waves(0.3) + np.sqrt(10) * _waves(cycles)
    traits = image_traits([both], PAIRS, PIXEL)
    assert traits[band] == pytest.approx(1, abs=0.02)


def test_planes_alike_and_opposite_are_told():
    same = image_traits([_waves(0.3) + _waves(0.75)], PAIRS, PIXEL)
    assert same["alike_middle"] == pytest.approx(1)
    against = _waves(0.3) + _waves(0.75, phase=0.5)
    traits = image_traits([against], PAIRS, PIXEL)
    assert traits["alike_middle"] == pytest.approx(1, abs=0.01)
    assert traits["alike_fine"] == pytest.approx(-1, abs=0.01)


@settings(max_examples=15, deadline=None)
@given(gain=st.floats(0.01, 100), offset=st.floats(-100, 100))
def test_gain_and_offset_do_not_count(gain, offset):
    stack = np.random.default_rng(1).normal(size=(4, 96, 96))
    plain = image_traits([stack], PAIRS, PIXEL)
    changed = image_traits([gain * stack + offset], PAIRS, PIXEL)
    assert changed == pytest.approx(plain, abs=1e-6)


def test_the_size_of_the_field_does_not_count():
    """Of white noise, whose power is known: areas of the rings in frequency."""
    noise = np.random.default_rng(2).normal(size=(8, 256, 256))
    small = image_traits([noise[:, :96, :96]], PAIRS, PIXEL)
    large = image_traits([noise], PAIRS, PIXEL)
    assert large["fine"] == pytest.approx(np.log10(0.75 / 0.2275), abs=0.03)
    assert small == pytest.approx(large, abs=0.15)


def test_an_inverted_image_has_the_opposite_skewness():
    spots = np.random.default_rng(3).exponential(size=(4, 128, 128)) ** 2
    one, other = (image_traits([sign * spots], PAIRS, PIXEL) for sign in (1, -1))
    assert one["skewness"] > 0.05
    assert other["skewness"] == pytest.approx(-one["skewness"])
    assert other["peaks"] == pytest.approx(one["peaks"])


@settings(max_examples=15, deadline=None)
@given(
    planes=st.integers(1, 4), height=st.integers(1, 20), width=st.integers(1, 20),
    level=st.sampled_from([0.0, 1.0]),
)  # fmt: skip
def test_any_shape_gives_finite_numbers(planes, height, width, level):
    rng = np.random.default_rng(4)
    piece = level * rng.normal(size=(planes, height, width)).astype(np.float32)
    pairs = [(k, k + 1) for k in range(planes - 1)]
    traits = image_traits([piece], pairs, PIXEL) | recording_traits([piece])
    assert all(np.isfinite(value) for value in traits.values())


def test_what_the_pixels_could_not_show_is_left_out():
    stack = np.random.default_rng(5).normal(size=(4, 128, 128))
    assert "finest" in image_traits([stack], PAIRS, PIXEL, nyquist=1.5)
    traits = image_traits([stack], PAIRS, PIXEL, nyquist=0.9)
    assert not {"fine", "finest", "alike_fine"} & set(traits)


def test_a_single_plane_has_no_neighbours():
    assert neighbours(1) == []
    assert neighbours(2) == [(0, 1)]
    assert neighbours(100) == [(0, 1), (33, 34), (65, 66), (98, 99)]
    traits = image_traits([_waves(0.3, planes=1) + _waves(0.75, planes=1)], [], PIXEL)
    assert "fine" in traits
    assert "alike_middle" not in traits


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 5000), side=st.integers(1, 500))
def test_windows_lie_inside_and_on_multiples_of_eight(size, side):
    found = windows(size, side)
    assert 1 <= len(found) <= 2
    for one in found:
        assert 0 <= one.start < one.stop <= size
        assert one.stop - one.start == min(size, side)
        assert one.start % 8 == 0


def test_clipping_is_told():
    noise = np.random.default_rng(6).normal(size=(4, 64, 64))
    assert recording_traits([noise])["saturated"] < 1e-3
    clipped = recording_traits([np.clip(noise, -9, 1)])["saturated"]
    assert clipped == pytest.approx(0.16, abs=0.01)


@pytest.mark.parametrize("axis", [1, 2])
def test_blocks_are_told_along_both_axes(axis):
    noise = np.random.default_rng(7).normal(size=(4, 128, 128))
    assert recording_traits([noise])["blocks"] < 1.1
    level = np.random.default_rng(8).normal(size=16).repeat(8)
    shape = [1, 1, 1]
    shape[axis] = 128
    assert recording_traits([noise + level.reshape(shape)])["blocks"] > 1.25
