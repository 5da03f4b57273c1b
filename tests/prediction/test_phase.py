"""Phase from bright-field: equal to waveorder, linear, the same in tiles."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction import phase
from napari_sparsessp.prediction.phase import (
    Heights,
    Optics,
    Reconstruction,
    reconstruct_phase,
)
from napari_sparsessp.tasks import Cancelled

OPTICS = Optics(na=0.8, na_condenser=0.4, wavelength=0.6, index=1.33)
VOXEL = (0.4, 0.35, 0.3)

odd_sizes = st.tuples(st.integers(3, 9), st.integers(5, 23), st.integers(5, 23))


def cells(shape, seed=0):
    """Light around 100 that changes from plane to plane."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return (100 + 10 * noise).astype(np.float32)


@pytest.mark.parametrize("number", [0, 1])
def test_phase_is_that_of_waveorder(number, shared_parity):
    stored = np.load(shared_parity("weights/phase_waveorder.npz"))
    names = stored["parameter_names"].tolist()
    p = dict(zip(names, stored[f"parameters_{number}"].tolist(), strict=True))
    optics = Optics(
        na=p["na_detection"],
        na_condenser=p["na_illumination"],
        wavelength=p["wavelength_um"],
        index=p["index"],
        planes_downwards=bool(p["invert"]),
        regularisation=p["regularization"],
    )
    assert p["z_padding"] == phase.PADDING
    voxel = (p["z_um"], p["yx_um"], p["yx_um"])
    ours, theirs = (
        reconstruct_phase(stored["x"], voxel, optics),
        stored[f"phase_{number}"],
    )
    assert np.abs(ours - theirs).max() <= 1e-3 * theirs.std()


@settings(max_examples=15, deadline=None)
@given(shape=odd_sizes, scale=st.floats(0.1, 3))
def test_phase_is_linear_in_the_deviation_from_the_mean(shape, scale):
    one, two = cells(shape, 1) - 100, cells(shape, 2) - 100
    # Without a mean of the padded stack, so that brightness 100 is that of each.
    one, two = (
        one - one.mean((1, 2), keepdims=True),
        two - two.mean((1, 2), keepdims=True),
    )
    parts = [reconstruct_phase(100 + light, VOXEL, OPTICS) for light in (one, two)]
    both = reconstruct_phase(100 + scale * (one + two) / 2, VOXEL, OPTICS)
    expected = scale * (parts[0] + parts[1]) / 2
    assert np.abs(both - expected).max() <= 1e-3 * np.abs(expected).max()


@settings(max_examples=10, deadline=None)
@given(shape=odd_sizes, factor=st.floats(0.01, 1000))
def test_a_brighter_lamp_changes_nothing(shape, factor):
    light = cells(shape)
    once = reconstruct_phase(light, VOXEL, OPTICS)
    again = reconstruct_phase(factor * light, VOXEL, OPTICS)
    assert np.abs(again - once).max() <= 1e-3 * np.abs(once).max()


@settings(max_examples=15, deadline=None)
@given(shape=odd_sizes, downwards=st.booleans(), pixel=st.floats(0.1, 0.5))
def test_shortcuts_give_what_the_equations_say(shape, downwards, pixel):
    optics = replace(OPTICS, planes_downwards=downwards)
    light, voxel = cells(shape), (0.4, pixel, 0.3)
    padded = np.pad(light, ((5, 5), (0, 0), (0, 0)), mode="symmetric").astype("f8")
    transfer = naive_transfer(padded.shape, voxel, optics)
    inverse = transfer.conj() / (np.abs(transfer) ** 2 + optics.regularisation)
    deviation = padded / padded.mean() - 1
    expected = np.fft.ifftn(np.fft.fftn(deviation) * inverse).real[5:-5]
    ours = reconstruct_phase(light, voxel, optics)
    assert np.abs(ours - expected).max() <= 1e-4 * np.abs(expected).max()


def naive_transfer(shape, voxel, optics):
    """The equations of the module as they stand, (Z, Y, X) in the order of fftn."""
    depth, finer = shape[0], [math.ceil(v / optics.largest_pixel) for v in voxel[1:]]
    size = [n * k for n, k in zip(shape[1:], finer, strict=True)]
    steps = [v / k for v, k in zip(voxel[1:], finer, strict=True)]
    y, x = (np.fft.fftfreq(*one) for one in zip(size, steps, strict=True))
    f, k = np.hypot(y[:, None], x), optics.index / optics.wavelength
    gamma = np.sqrt(np.maximum(k**2 - f**2, 0))
    edge = np.sqrt(k**2 - (optics.na_condenser / optics.wavelength) ** 2)
    pupil = expit(1e4 * (optics.na / optics.wavelength - f))
    source = expit(4 * shape[2] * voxel[2] * (gamma - edge)) * (f <= k)
    z = np.fft.ifftshift((np.arange(depth) - depth // 2) * voxel[0])
    z = z[::-1] if optics.planes_downwards else z
    wave = pupil * np.exp(2j * np.pi * z[:, None, None] * gamma)
    green = -1j / (4 * np.pi) * wave / (gamma + 1 - pupil)
    lit, passed = np.fft.fft2(source * pupil * wave), np.fft.fft2(pupil * green)
    response = np.fft.ifft2(2 * (lit.conj() * passed).real)
    window = np.fft.ifftshift(np.hanning(depth))[:, None, None]
    transfer = np.fft.fft(window * response, axis=0) * voxel[0]
    transfer = np.fft.fftshift(transfer / (source * pupil**2).sum(), axes=(1, 2))
    middle = (
        slice(a // 2 - b // 2, a // 2 - b // 2 + b)
        for a, b in zip(size, shape[1:], strict=True)
    )
    return np.fft.ifftshift(transfer[:, *middle], axes=(1, 2))


def test_a_dense_ball_becomes_bright_and_dark_with_planes_downwards():
    shape, voxel = (31, 48, 50), (0.3, 0.3, 0.3)
    z, y, x = np.indices(shape) * 0.3
    ball = (z - 4.5) ** 2 + (y - 7) ** 2 + (x - 7) ** 2 < 2.5**2
    transfer = naive_transfer(shape, voxel, OPTICS)
    light = 100 + 10 * np.fft.ifftn(np.fft.fftn(ball) * transfer).real
    for downwards, sign in ((False, 1), (True, -1)):
        optics = replace(OPTICS, planes_downwards=downwards, regularisation=1e-4)
        middle = sign * reconstruct_phase(light.astype("f4"), voxel, optics)[15]
        assert np.corrcoef(middle.ravel(), ball[15].ravel())[0, 1] > 0.6


def test_tiles_change_nothing_that_counts():
    light = gaussian_filter(cells((9, 200, 230)), (0, 1, 1))
    light += 30 * np.sin(np.arange(230) / 20).astype("f4")  # Uneven light reaches far
    heights = Heights.of(np.arange(9) * 0.4, OPTICS)
    levels = light.mean((1, 2), dtype="f8")
    results = []
    for most in (2**30, 9 * 130 * 130 * 8):
        job = Reconstruction(light.shape, VOXEL[1:], heights, OPTICS, most=most)
        results.append(np.empty_like(light))
        read = lambda y, x: light[:, y, x]  # noqa: E731
        job.run(read, results[-1], heights.mean_of(levels))
    assert len(job.cores) > 3
    whole, tiled = results
    assert np.abs(tiled - whole).max() <= 1e-2 * whole.std()


def test_planes_in_between_are_interpolated_for_planes_that_are_too_far_apart():
    light = cells((5, 20, 21))
    far = 2.5 * OPTICS.largest_step
    heights = Heights.of(np.arange(5) * far, OPTICS)
    assert heights.step == pytest.approx(far / 3)
    dense = np.stack([np.interp(np.arange(13) / 3, np.arange(5), one)
                      for one in light.reshape(5, -1).T], 1)  # fmt: skip
    expected = reconstruct_phase(
        dense.reshape(13, 20, 21).astype("f4"), (far / 3, 0.35, 0.3), OPTICS
    )[::3]
    ours = reconstruct_phase(light, (far, 0.35, 0.3), OPTICS)
    assert np.abs(ours - expected).max() <= 1e-4 * np.abs(expected).max()


def test_progress_goes_up_to_its_end_and_cancels():
    shares = []
    reconstruct_phase(
        cells((5, 20, 21)),
        (0.41, 0.35, 0.3),
        OPTICS,
        progress=lambda done, *_: shares.append(done),
    )
    assert shares == sorted(shares)
    assert 0.9 < shares[-1] <= 1

    def cancel(done, *_):
        if done > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        reconstruct_phase(cells((5, 9, 9)), VOXEL, OPTICS, progress=cancel)


def test_transfer_functions_are_made_once_and_few_are_kept(monkeypatch):
    made = []
    make = phase._make_response
    monkeypatch.setattr(
        phase, "_make_response", lambda *a: made.append(a[0]) or make(*a)
    )
    light = cells((4, 13, 17))
    for strength in (1e-2, 1e-3):  # Another strength is the same function
        optics = replace(OPTICS, regularisation=strength, planes_downwards=True)
        reconstruct_phase(light, (0.42, 0.35, 0.3), optics)
    assert len(made) == 1
    for height in (12, 11, 10):
        reconstruct_phase(light[:, :height], (0.42, 0.35, 0.3), OPTICS)
    assert len(phase._cache._kept) <= 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"na": 1.4}, "index"),
        ({"na_condenser": 0.9}, "condenser"),
    ],
)
def test_impossible_optics_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        replace(OPTICS, **changes)


@pytest.mark.parametrize(
    ("light", "words"),
    [
        (cells((2, 9, 9)), "at least three"),
        (cells((4, 9, 9)) - 200, "mean brightness"),
    ],
)
def test_stacks_without_phase_are_refused(light, words):
    with pytest.raises(InputError, match=words):
        reconstruct_phase(light, VOXEL, OPTICS)
