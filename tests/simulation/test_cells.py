"""Nuclei and the cells around them."""

from dataclasses import replace

import pytest
import torch

from napari_sparsessp.simulation.cells import drifting_speckle, grow_cells, jostled
from napari_sparsessp.simulation.optics import oblique_brightfield
from napari_sparsessp.simulation.parameters import (
    RandomFields,
    blur,
    draw_parameters,
    lateral_frequencies,
)

SHAPE = (48, 112, 112)


def _cells(seed=3, **changes):
    changes = {"edge": 0.0, "floor": 1.0, "height": 12.0, **changes}
    p = replace(draw_parameters(seed), **changes)
    fields = RandomFields(SHAPE, 0.29, torch.Generator().manual_seed(seed))
    return grow_cells(p, SHAPE, fields)


def test_nuclei_lie_within_their_cells():
    """Nowhere in a wall, above the roof or below the floor."""
    cells = _cells()
    inside = cells.nucleus > 0
    assert inside.float().mean() > 0.05
    assert float(cells.wall[inside].min()) > 0.1
    assert float(cells.top[inside].min()) > 0
    assert float(cells.bottom[inside].min()) > 0


def test_nuclei_have_a_believable_size():
    """Whole ones are 6 to 16 µm across, as in hiPSC colonies."""
    from skimage.measure import label, regionprops
    from skimage.segmentation import clear_border

    cells = _cells(mitotic=0.0, spacing=11.0, nucleus_size=0.75, crowding=0.0)
    seen = (cells.nucleus > 0).any(0).numpy()
    across = [
        one.equivalent_diameter_area * 0.29
        for one in regionprops(label(clear_border(seen)))
    ]
    assert len(across) >= 3
    assert 6 < sorted(across)[len(across) // 2] < 16


def test_crowding_puts_nuclei_at_different_heights():
    """Their centres spread along z."""

    def spread(crowding):
        cells = _cells(crowding=crowding, height=16.0, mitotic=0.0)
        return float(cells.poles[:, 0].std())

    assert spread(0.9) > 1.15 * spread(0.0)


def test_cells_swell_where_their_nucleus_is():
    """Then borders are not the same in all planes."""

    def change(swell):
        cells = _cells(swell=swell, lean=0.0, crowding=0.9, height=16.0, bend=0.0)
        wall = cells.wall
        return float((wall[12] - wall[36]).abs().mean())

    assert change(0.0) < 1e-4
    assert change(2.4) > 0.2


def test_dividing_cells_have_bright_narrow_chromosomes_and_no_nucleoli():
    """A metaphase plate, or two plates on their way apart."""
    resting, dividing = _cells(mitotic=0.0), _cells(mitotic=1.0)
    assert float(resting.mitosis.max()) == 0
    assert float(dividing.nucleoli.max()) == 0
    assert (dividing.nucleus > 0).sum() < 0.5 * (resting.nucleus > 0).sum()


def test_blur_has_the_width_that_it_is_given():
    """Of a point, along z and across; planes beyond the ends are like the ends."""
    flat = torch.full((9, 16, 16), 2.5)
    torch.testing.assert_close(blur(flat, 0.4, 0.6, 0.29), flat)
    point = torch.zeros(41, 41, 41)
    point[20, 20, 20] = 1.0
    soft = blur(point, 0.58, 0.87, 0.29)
    steps = (torch.arange(41) - 20) * 0.29
    for axis, sigma in ((0, 0.87), (1, 0.58), (2, 0.58)):
        others = tuple(one for one in range(3) if one != axis)
        profile = soft.sum(others)
        width = torch.sqrt((profile * steps**2).sum() / profile.sum())
        assert float(width) == pytest.approx(sigma, rel=0.05)


VOXEL = 0.29


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _correlation(a, b):
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def _field(depth=40, size=96):
    """One smooth plane, repeated: nothing changes along z."""
    white = torch.randn(1, size, size, generator=_generator(1))
    gain = torch.exp(-4 * lateral_frequencies((size, size), VOXEL))
    plane = torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(size, size))
    return (plane / plane.std()).expand(depth, -1, -1).contiguous()


def test_speckle_has_the_spectrum_of_the_stack_and_no_mean():
    """Power in two bands is that of the stack."""
    stack = _field()
    speckle = drifting_speckle(stack, VOXEL, 0.5, _generator())
    radius = lateral_frequencies((96, 96), VOXEL).sqrt()
    for low, high in ((0.15, 0.35), (0.5, 0.8)):
        band = (radius > low) & (radius < high)
        ours, theirs = (
            torch.fft.rfft2(one).abs().square().mean(0)[band].mean()
            for one in (speckle, stack)
        )
        assert 0.7 < float(ours / theirs) < 1.4
    assert abs(float(speckle.mean())) < 1e-6


def test_speckle_forgets_itself_like_diffusion():
    """Of one band, the correlation over two planes is that over one, squared."""
    stack = torch.randn(60, 96, 96, generator=_generator(3))
    rate = 0.5
    speckle = drifting_speckle(stack, VOXEL, rate, _generator())
    spectrum = torch.fft.rfft2(speckle)
    square = lateral_frequencies((96, 96), VOXEL)
    band = (square > 0.9) & (square < 1.1)
    power = spectrum.abs().square()[:, band].mean()

    def after(lag):
        pairs = spectrum[lag:, band] * spectrum[:-lag, band].conj()
        return float(pairs.real.mean() / power)

    one = float(torch.exp(torch.tensor(-rate)))
    assert abs(after(1) - one) < 0.04
    assert abs(after(2) - one**2) < 0.06


def test_jostling_moves_content_by_about_the_step_and_comes_back():
    """Neighbouring planes differ less than distant ones, which differ boundedly."""
    stack = _field()
    moved = jostled(stack, VOXEL, 0.1, 1.5, _generator())
    assert moved.shape == stack.shape
    near = _correlation(moved[:-1], moved[1:])
    far = _correlation(moved[:-20], moved[20:])
    assert far < near < 0.9999
    assert far > 0.3  # places, on average, stay where they are
    assert _correlation(moved, stack) > far
    assert _correlation(jostled(stack, VOXEL, 1e-4, 1.5, _generator()), stack) > 0.999
    assert torch.equal(jostled(stack, VOXEL, 0.1, 1.5, _generator()), moved)


def test_oblique_light_moves_what_is_out_of_focus_and_leaves_what_is_in_focus():
    """The image of a point wanders with focus; straight light keeps it in place."""
    p = replace(
        draw_parameters(1), slant=0.3, relief=0.0, shear_angle=0.0, condenser_na=0.3
    )
    index = torch.zeros(33, 64, 64)
    index[16, 31:33, 31:33] = 0.02
    absorption = torch.zeros_like(index)

    def wander(tangent):
        stack = oblique_brightfield(
            replace(p, slant=tangent), index, absorption, VOXEL
        ).square()
        x = torch.arange(64.0)
        centre = (stack.sum(1) * x).sum(1) / stack.sum((1, 2))
        return centre - centre[16]

    assert float(wander(0.0).abs()[8:25].max()) < 0.2
    slanted = wander(0.3)
    # 8 planes away from focus, tan = 0.3: 2.4 pixels, one way and the other.
    assert float(slanted[8] * slanted[24]) < 0
    assert 1.0 < float((slanted[24] - slanted[8]).abs()) < 8.0


def test_relief_shows_phase_in_focus():
    """A phase step is all but invisible in focus, and one-sided with relief."""
    p = replace(draw_parameters(1), slant=0.0, shear_angle=0.0)
    index = torch.zeros(17, 64, 64)
    index[8, 20:44, 20:44] = 0.02
    flat = torch.zeros_like(index)
    plane = oblique_brightfield(replace(p, relief=0.6), index, flat, VOXEL)[8]
    left, right = plane[32, 16:24].sum(), plane[32, 40:48].sum()
    assert float(left * right) < 0
