"""The weak-object transfer: what passes, and how fast it is worked out."""

import math
from dataclasses import replace

import pytest
import torch

from napari_sparsessp.simulation import Contrast
from napari_sparsessp.simulation.optics import fast_length, weak_object_transfer
from napari_sparsessp.simulation.parameters import draw_parameters

VOXEL = 0.29
Q = torch.tensor([0.0, 0.8, 50.0])


def test_an_even_object_passes_without_phase():
    """And light at an angle goes a longer way through it, by the mean secant."""
    p = replace(draw_parameters(2), condenser_na=0.5, objective_na=1.2)
    transfer = weak_object_transfer(p, 4, VOXEL, Q)[:, 0]
    sine = torch.sqrt((torch.arange(1000) + 0.5) / 1000) * 0.5 / p.medium
    secant = float((1 / torch.sqrt(1 - sine**2)).mean())
    torch.testing.assert_close(
        transfer.real, torch.full((7,), secant), atol=2e-3, rtol=0
    )
    assert transfer.imag.abs().max() < 1e-5


def test_nothing_passes_beyond_the_pupil():
    for contrast in Contrast:
        transfer = weak_object_transfer(draw_parameters(2), 4, VOXEL, Q, contrast)
        assert transfer[:, 2].abs().max() < 1e-3


def test_without_a_ring_defocus_has_opposite_phase_on_both_sides():
    transfer = weak_object_transfer(draw_parameters(2), 6, VOXEL, Q)
    torch.testing.assert_close(transfer.flip(0), transfer.conj())
    assert transfer[0, 1].imag.abs() > 0.01


def test_the_ring_turns_diffracted_light_by_a_quarter_wave():
    """And dims the direct light, so that diffracted light weighs more beside it."""
    p = replace(draw_parameters(2), ring_transmission=0.25, ring_width=0.1)
    on, beside, _ = weak_object_transfer(p, 1, VOXEL, Q, Contrast.PHASE_CONTRAST)[0]
    assert math.degrees(math.atan2(on.imag, on.real)) == pytest.approx(0, abs=5)
    assert abs(beside.imag) > 10 * abs(beside.real) > 0
    plain = weak_object_transfer(p, 1, VOXEL, Q)[0, 1]
    assert float(abs(beside.imag / plain.real)) == pytest.approx(2.0, rel=0.25)


@pytest.mark.parametrize("least", [1, 7, 63, 94, 121, 511])
def test_a_fast_length_is_long_enough_and_smooth(least):
    length = fast_length(least)
    assert least <= length <= 1.2 * least + 1
    rest = length
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    assert rest == 1
