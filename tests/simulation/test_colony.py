"""Simulated colonies: same seed, same colony; physics of the right sign."""

import math

import pytest
import torch

from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
from napari_sparsessp.simulation.optics import (
    photon_noise,
    reshape_spectrum,
    transmitted,
)
from napari_sparsessp.simulation.parameters import (
    blur,
    draw_parameters,
    lateral_frequencies,
)
from napari_sparsessp.simulation.pool import fill_pool, open_pool
from napari_sparsessp.structures import CATALOGUE

SHAPE = (24, 48, 48)


@pytest.fixture(scope="module")
def colony():
    """One small colony, two looks."""
    return simulate_colony(11, SHAPE, looks=2)


def test_same_seed_same_colony(colony):
    """And another seed another."""
    again = simulate_colony(11, SHAPE, looks=2)
    torch.testing.assert_close(again.fluorescence, colony.fluorescence)
    torch.testing.assert_close(again.brightfield, colony.brightfield)
    other = simulate_colony(12, SHAPE)
    assert not torch.allclose(other.fluorescence, colony.fluorescence)


def test_a_colony_has_all_twelve_structures(colony):
    """In the catalogue's order, finite, none empty."""
    assert colony.structures == tuple(CATALOGUE)
    assert colony.fluorescence.shape == (12, *SHAPE)
    assert torch.isfinite(colony.fluorescence).all()
    assert (colony.fluorescence.flatten(1).std(1) > 0).all()


def test_looks_are_normalised(colony):
    """Mean 0, standard deviation 1, and not all the same."""
    for look in colony.brightfield:
        assert float(look.mean()) == pytest.approx(0, abs=1e-4)
        assert float(look.std()) == pytest.approx(1, abs=1e-3)
    assert not torch.allclose(*colony.brightfield)


def test_dna_is_inside_the_nuclear_envelope(colony):
    """Where there is most DNA there is no membrane, no endoplasmic reticulum."""
    one = dict(zip(colony.structures, colony.fluorescence, strict=True))
    inside = one["dna"] > 0.7 * one["dna"].max()
    for name in ("cell_membrane", "endoplasmic_reticulum", "mitochondria"):
        assert one[name][inside].mean() < one[name].mean()


def _bead(index: float, absorption: float) -> torch.Tensor:
    p = draw_parameters(5)
    volume = torch.zeros(33, 64, 64)
    volume[16, 32, 32] = 1.0
    volume = blur(volume, 0.35, 0.35, VOXEL)
    return transmitted(p, index * volume, absorption * volume, VOXEL)[:, 32, 32]


def test_a_phase_bead_turns_its_contrast_through_focus():
    """A dense bead is a lens: bright on one side of focus, dark on the other.

    In an inverted microscope the light comes from above, so that the bright side
    lies below, at smaller z.
    """
    along_z = _bead(0.02, 0.0)
    assert along_z[11] > 1.0
    assert along_z[21] < 1.0
    assert (along_z[11] - 1) == pytest.approx(float(1 - along_z[21]), rel=0.15)


def test_an_absorbing_bead_is_dark_in_focus():
    """And darkest there."""
    along_z = _bead(0.0, 0.02)
    assert along_z[16] < 0.999
    assert int(along_z.argmin()) == 16


def test_reshaping_reaches_the_target_slope():
    """White noise becomes a power law above the knee."""
    torch.manual_seed(0)
    stack = torch.randn(8, 128, 128)
    shaped = reshape_spectrum(
        stack, VOXEL, knee=0.2, slope=2.0, plateau=0.0, share=1.0, per_plane=False
    )
    power = torch.fft.rfft2(shaped).abs().square().mean(0)
    radius = lateral_frequencies((128, 128), VOXEL).sqrt()
    low = power[(radius > 0.45) & (radius < 0.55)].mean()
    high = power[(radius > 0.9) & (radius < 1.1)].mean()
    assert math.log2(float(low / high)) == pytest.approx(2.0, abs=0.5)


def test_photon_noise_is_poisson():
    """Variance equals mean in photons, plus the read noise."""
    image = torch.full((200, 200), 3.0)
    noisy = photon_noise(image, 400.0, 10.0, torch.Generator().manual_seed(0))
    assert float(noisy.mean()) == pytest.approx(3.0, rel=0.01)
    in_photons = noisy * 400.0 / 3.0
    assert float(in_photons.var()) == pytest.approx(400 + 100, rel=0.05)


def test_a_pool_fills_once_and_opens(tmp_path, monkeypatch):
    """What is there is not simulated again."""
    from napari_sparsessp.simulation import pool

    made = []

    def small(seed, **more):
        made.append(seed)
        return simulate_colony(seed, (16, 32, 32), **more)

    monkeypatch.setattr(pool, "simulate_colony", small)
    assert list(fill_pool(tmp_path, [1, 2])) == [1, 2]
    assert list(fill_pool(tmp_path, [1, 2, 3])) == [1, 2, 3]
    assert made == [1, 2, 3]
    opened = open_pool(tmp_path)
    assert [one.seed for one in opened] == [1, 2, 3]
    assert opened[0].brightfield.shape == (3, 16, 32, 32)
    assert abs(float(opened[0].fluorescence[4].astype("f4").std()) - 1) < 0.01
