"""Three contrasts of one object, each with the marks it is known by."""

from dataclasses import replace

import pytest
import torch

from napari_sparsessp.simulation import Contrast
from napari_sparsessp.simulation.optics import transmitted
from napari_sparsessp.simulation.parameters import draw_parameters

VOXEL = 0.29
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


@pytest.mark.parametrize("contrast", list(Contrast))
def test_an_empty_field_is_evenly_bright(contrast):
    empty = torch.zeros(5, 32, 30)
    seen = transmitted(draw_parameters(1), empty, empty, VOXEL, contrast)
    torch.testing.assert_close(seen, torch.ones(5, 32, 30))


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


def test_turning_the_prism_round_turns_the_relief_round():
    p = draw_parameters(1)
    there = in_focus("dic", p)
    back = in_focus("dic", replace(p, shear_angle=p.shear_angle + torch.pi))
    torch.testing.assert_close(there, -back, atol=1e-5, rtol=0)


@pytest.mark.parametrize("contrast", list(Contrast))
def test_an_absorbing_disc_is_dark(contrast):
    volume = disc(0.01)
    seen = transmitted(draw_parameters(1), 0 * volume, volume, VOXEL, contrast)
    assert seen[FOCUS, MIDDLE, MIDDLE] < 0.97


@pytest.mark.parametrize("contrast", list(Contrast))
def test_light_stays_positive_and_bounded_for_a_strong_object(contrast):
    torch.manual_seed(0)
    strong = 0.2 * torch.randn(8, 48, 48)
    seen = transmitted(draw_parameters(1), strong, strong.abs(), VOXEL, contrast)
    assert float(seen.min()) >= 0
    assert torch.isfinite(seen).all()


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
