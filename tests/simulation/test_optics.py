"""The weak-object transfer: what passes, and how fast it is worked out."""

import math
from dataclasses import replace

import pytest
import torch

from napari_sparsessp.simulation import Contrast
from napari_sparsessp.simulation.optics import (
    OFFSET,
    READ_NOISE,
    camera_stack,
    fluorescence,
    transmitted,
    weak_object_transfer,
)
from napari_sparsessp.simulation.parameters import blur, draw_parameters

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


SIZE, MIDDLE = 128, 64
FOCUS = 4
RADIUS = 3.0  # µm


def distance():
    """From the middle of the field, µm."""
    along = (torch.arange(SIZE) - MIDDLE) * VOXEL
    return torch.hypot(along[:, None], along[None])


def disc(strength=0.002):
    """A thin disc in focus, denser than the medium; too weak for second orders."""
    volume = torch.zeros(2 * FOCUS + 1, SIZE, SIZE)
    volume[FOCUS] = strength * torch.sigmoid((RADIUS - distance()) / 0.15)
    return volume


def in_focus(contrast, p=None, volume=None):
    """The change of the light in the disc's plane."""
    volume = disc() if volume is None else volume
    p = p or draw_parameters(1)
    return transmitted(p, volume, 0 * volume, VOXEL, contrast)[FOCUS] - 1


def test_a_phase_object_in_focus_shows_in_phase_contrast_alone():
    """Bright-field needs defocus for it."""
    inside = distance() < RADIUS - 0.5
    assert in_focus("bright-field").abs().max() < 1e-5
    assert in_focus("phase-contrast")[inside].mean() < -0.003


def test_phase_contrast_has_halo_and_shade_off():
    """Bright around a dense disc; inside, darkest at the rim."""
    seen, away = in_focus("phase-contrast"), distance()
    halo = seen[(away > RADIUS + 0.4) & (away < RADIUS + 1.0)].mean()
    assert halo > 0.3 * seen[away < 1].mean().abs()
    far = seen[away > RADIUS + 8].mean()
    assert abs(far) < 0.1 * halo
    rim = seen[(away > RADIUS - 1.0) & (away < RADIUS - 0.5)].mean()
    assert rim < 1.2 * seen[away < 0.6].mean() < 0


def test_a_wide_phase_object_fades_in_phase_contrast():
    """Its light passes the ring like the direct light: no contrast is left."""
    wide = torch.full((9, SIZE, SIZE), 0.002)
    assert in_focus("phase-contrast", volume=wide).abs().max() < 1e-3


@pytest.mark.parametrize("angle", [0.0, torch.pi / 2])
def test_dic_shows_the_slope_along_the_shear(angle):
    """Light and dark sides opposite each other; nothing across; the middle level."""
    p = replace(draw_parameters(1), shear_angle=angle)
    seen = in_focus("dic", p)
    along = seen[MIDDLE] if angle == 0.0 else seen[:, MIDDLE]
    across = seen[:, MIDDLE] if angle == 0.0 else seen[MIDDLE]
    step = int(RADIUS / VOXEL)
    left, right = along[MIDDLE - step - 2 : MIDDLE], along[MIDDLE + 1 :][: step + 2]
    assert left.max() > 0.002
    torch.testing.assert_close(left, -right.flip(0), atol=1e-5, rtol=0)
    assert across.abs().max() < 0.02 * left.max()
    assert along[MIDDLE].abs() < 1e-5


def test_the_image_does_not_wrap_around_along_z():
    """A bead in the first plane leaves none of itself in the last."""
    bead = torch.zeros(40, 32, 32)
    bead[0] = disc()[FOCUS, 48:80, 48:80]
    short = transmitted(draw_parameters(3), bead[:10], 0 * bead[:10], VOXEL)
    long = transmitted(draw_parameters(3), bead, 0 * bead, VOXEL)
    torch.testing.assert_close(long[:10], short, atol=1e-5, rtol=0)


def test_an_unknown_contrast_is_refused():
    with pytest.raises(ValueError, match="dark-field"):
        in_focus("dark-field")


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


def test_counts_are_whole_and_as_noisy_as_photons_and_reading_make_them():
    counts = counted(torch.full((4, 200, 200), 7.0), photons=50.0)
    assert torch.equal(counts, counts.round())
    rounding = 1 / 12
    assert float(counts.var()) == pytest.approx(50 + READ_NOISE**2 + rounding, rel=0.02)
    assert math.isclose(float(counts.mean()), 50, rel_tol=0.01)


@pytest.mark.parametrize("contrast", list(Contrast))
def test_light_is_even_without_an_object_dark_behind_an_absorber_and_bounded(contrast):
    p, empty = draw_parameters(1), torch.zeros(5, 32, 30)
    even = transmitted(p, empty, empty, VOXEL, contrast)
    torch.testing.assert_close(even, torch.ones(5, 32, 30))
    volume = disc(0.01)
    dark = transmitted(p, 0 * volume, volume, VOXEL, contrast)
    assert dark[FOCUS, MIDDLE, MIDDLE] < 0.97
    strong = 0.2 * torch.randn(8, 48, 48, generator=torch.Generator().manual_seed(0))
    seen = transmitted(p, strong, strong.abs(), VOXEL, contrast)
    assert float(seen.min()) >= 0
    assert torch.isfinite(seen).all()


def test_labels_bleach_plane_by_plane_and_background_does_not():
    """Exponentially: the middle plane has the geometric mean."""
    expected = torch.zeros(9, 100, 100)
    expected[:, :50] = 1
    planes = counted(expected, bleached=0.36, background=0.1)
    label = planes[:, :50].mean((1, 2)) - 10
    for plane, light in ((0, 100), (4, 80), (8, 64)):
        assert label[plane] == pytest.approx(light, rel=0.02)
    dark = planes[:, 50:].mean((1, 2))
    torch.testing.assert_close(dark, torch.full((9,), 10.0), atol=0.3, rtol=0)
    assert counted(0 * expected).abs().mean() < 2 * READ_NOISE
    assert torch.equal(counted(expected, seed=5), counted(expected, seed=5))
