"""What moves between planes, and light off the axis."""

import torch

from napari_sparsessp.simulation.cells import drifting_speckle, jostled
from napari_sparsessp.simulation.optics import oblique_brightfield
from napari_sparsessp.simulation.parameters import draw_parameters

VOXEL = 0.29


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _correlation(a, b):
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def _field(depth=40, size=96):
    """One smooth plane, repeated: nothing changes along z."""
    white = torch.randn(1, size, size, generator=_generator(1))
    fy = torch.fft.fftfreq(size, VOXEL)[:, None]
    fx = torch.fft.rfftfreq(size, VOXEL)[None]
    gain = torch.exp(-4 * (fy**2 + fx**2))
    plane = torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(size, size))
    return (plane / plane.std()).expand(depth, -1, -1).contiguous()


def test_speckle_has_the_spectrum_of_the_stack_and_no_mean():
    """Power in two bands is that of the stack."""
    stack = _field()
    speckle = drifting_speckle(stack, VOXEL, 0.5, _generator())
    fy = torch.fft.fftfreq(96, VOXEL)[:, None]
    fx = torch.fft.rfftfreq(96, VOXEL)[None]
    radius = torch.sqrt(fy**2 + fx**2)
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
    fy = torch.fft.fftfreq(96, VOXEL)[:, None]
    fx = torch.fft.rfftfreq(96, VOXEL)[None]
    square = fy**2 + fx**2
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
    assert torch.equal(jostled(stack, VOXEL, 0.1, 1.5, _generator()), moved)


def test_content_is_nearly_untouched_by_a_tiny_step():
    """Without movement the planes stay."""
    stack = _field()
    assert _correlation(jostled(stack, VOXEL, 1e-4, 1.5, _generator()), stack) > 0.999


def test_oblique_light_moves_what_is_out_of_focus_and_leaves_what_is_in_focus():
    """The image of a point wanders with focus; straight light keeps it in place."""
    from dataclasses import replace

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
    from dataclasses import replace

    p = replace(draw_parameters(1), slant=0.0, shear_angle=0.0)
    index = torch.zeros(17, 64, 64)
    index[8, 20:44, 20:44] = 0.02
    flat = torch.zeros_like(index)
    plane = oblique_brightfield(replace(p, relief=0.6), index, flat, VOXEL)[8]
    left, right = plane[32, 16:24].sum(), plane[32, 40:48].sum()
    assert float(left * right) < 0
