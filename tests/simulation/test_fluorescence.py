"""Fluorescence: the same blur as over the whole volume; what a camera adds."""

import math

import pytest
import torch

from napari_sparsessp.simulation.optics import (
    OFFSET,
    READ_NOISE,
    camera_stack,
    fluorescence,
)
from napari_sparsessp.simulation.parameters import blur, draw_parameters

VOXEL = 0.29


def counted(expected, photons=100.0, bleached=0.0, background=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return camera_stack(expected, photons, bleached, background, generator) - OFFSET


def test_focus_and_haze_in_one_pass_are_two_blurs():
    p = draw_parameters(4)
    density = torch.rand(2, 9, 40, 33, generator=torch.Generator().manual_seed(0)) ** 4
    seen = fluorescence(p, density, VOXEL)
    for one, image in zip(density, seen, strict=True):
        sharp = blur(one, p.blur_xy, p.blur_z, VOXEL)
        whole = sharp + p.haze * blur(one, 1.5, 3.0, VOXEL)
        torch.testing.assert_close(image, whole, atol=1e-5, rtol=0)


def test_later_planes_are_dimmer_by_what_is_bleached():
    """Exponentially: the middle plane has the geometric mean."""
    planes = counted(torch.ones(9, 100, 100), bleached=0.36).mean((1, 2))
    assert planes[0] == pytest.approx(100, rel=0.01)
    assert planes[4] == pytest.approx(80, rel=0.01)
    assert planes[8] == pytest.approx(64, rel=0.01)


def test_background_neither_bleaches_nor_needs_label():
    expected = torch.zeros(5, 100, 100)
    expected[:, :50] = 1
    dark = counted(expected, bleached=0.5, background=0.1)[:, 50:].mean((1, 2))
    torch.testing.assert_close(dark, torch.full((5,), 10.0), atol=0.3, rtol=0)


def test_counts_are_whole_and_as_noisy_as_photons_and_reading_make_them():
    counts = counted(torch.full((4, 200, 200), 7.0), photons=50.0)
    assert torch.equal(counts, counts.round())
    rounding = 1 / 12
    assert float(counts.var()) == pytest.approx(50 + READ_NOISE**2 + rounding, rel=0.02)
    assert math.isclose(float(counts.mean()), 50, rel_tol=0.01)


def test_the_same_seed_gives_the_same_counts():
    expected = torch.rand(3, 20, 20)
    assert torch.equal(counted(expected, seed=5), counted(expected, seed=5))
    assert not torch.equal(counted(expected, seed=5), counted(expected, seed=6))


def test_nothing_but_noise_where_there_is_no_label():
    assert counted(torch.zeros(3, 50, 50)).abs().mean() < 2 * READ_NOISE
