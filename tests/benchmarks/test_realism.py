"""Statistics of transmitted-light stacks, and how far apart two kinds are."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmarks.figures import realism

VOXEL = 0.29


def power_law(seed: int, slope: float, shape=(8, 64, 128), along_z=0.0) -> np.ndarray:
    """Noise whose lateral power falls as f^−slope; planes share `along_z`."""
    rng = np.random.default_rng(seed)
    fy = np.fft.fftfreq(2 * shape[1], VOXEL)[:, None]
    fx = np.fft.rfftfreq(2 * shape[2], VOXEL)[None]
    gain = np.hypot(fy, fx).clip(0.01) ** (-slope / 2)
    planes: list[np.ndarray] = []
    for _ in range(shape[0]):
        white = np.fft.rfft2(rng.standard_normal((2 * shape[1], 2 * shape[2])))
        fresh = np.fft.irfft2(white * gain)
        share = along_z if planes else 0.0
        kept = planes[-1] if planes else 0.0
        planes.append(share * kept + np.sqrt(1 - share**2) * fresh)
    # Cut out of a field twice as large, so that nothing wraps around.
    return np.stack(planes)[:, : shape[1], : shape[2]]


@pytest.mark.parametrize("slope", [1.0, 2.5])
def test_a_power_law_is_read_off_the_spectrum(slope):
    over, values = realism.power_spectrum(power_law(0, slope), VOXEL)
    fitted = np.polyfit(np.log10(over), values, 1)[0]
    assert fitted == pytest.approx(-slope, abs=0.15)


def test_gain_offset_and_the_crops_size_leave_the_spectrum_alone():
    stack = power_law(1, 1.0, (16, 64, 128))
    both = [realism.power_spectrum(s, VOXEL)[1] for s in (stack, 7 + 3 * stack)]
    assert np.allclose(*both)
    white = np.random.default_rng(0).standard_normal((16, 128, 128))
    for piece in (white, white[:, :64, :64]):
        level = realism.power_spectrum(piece, VOXEL)[1]
        # White noise of unit variance: one voxel's area at every frequency.
        assert np.allclose(level[2:], np.log10(VOXEL**2), atol=0.08)


def test_correlation_along_z_is_that_of_the_process():
    stack = power_law(2, 1.0, (48, 64, 128), along_z=0.8)
    found = realism.axial_correlation(stack, VOXEL, "high")
    assert np.allclose(found[1][:4], 0.8 ** np.arange(1, 5), atol=0.03)
    assert found[0][0] == VOXEL
    near = realism.neighbour_coherence(stack, VOXEL)
    assert np.allclose(near[1][4:], 0.8, atol=0.08)


def test_the_focus_curve_peaks_where_a_thing_is_sharp():
    sharp = power_law(4, 0.5, (1, 64, 64))
    blurred = [gaussian_filter(sharp[0], abs(z - 5) / 2) for z in range(16)]
    for band in ("", "mid", "high"):
        found = realism.focus_curve(np.stack(blurred), VOXEL, band)
        assert found[1].argmax() == 5
        assert found[1].mean() == pytest.approx(1)


def test_the_histogram_tells_rare_bright_specks_from_normal_noise():
    rng = np.random.default_rng(5)
    normal = rng.standard_normal((8, 64, 64))
    specks = normal + 8 * (rng.random(normal.shape) < 0.02)
    ramp = np.arange(8)[:, None, None]  # a plane's mean does not count
    assert np.allclose(realism.shape_of_histogram(normal + ramp)[1], (0, 0), atol=0.1)
    assert realism.shape_of_histogram(specks)[1].min() > 1
    assert realism.histogram(specks)[1][-1] > 3.5


def test_one_more_of_the_same_kind_is_near_and_a_blurred_one_far():
    kind = [power_law(seed, 1.5, along_z=0.7) for seed in range(10, 30)]
    one = power_law(99, 1.5, along_z=0.7)
    measured = [realism.all_statistics(stack, VOXEL) for stack in kind]

    def distances(stack):
        return {
            name: realism.compare(found, [other[name] for other in measured])
            for name, found in realism.all_statistics(stack, VOXEL).items()
        }

    same, blurred = distances(one), distances(gaussian_filter(one, 0.6))
    assert np.median([each.distance for each in same.values()]) < 1.5
    for name in ("spectrum", "coherence", "axial_high"):
        assert same[name].distance < 2.5 < blurred[name].distance
        assert blurred[name].farther == 0
