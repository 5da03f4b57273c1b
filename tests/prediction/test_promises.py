"""The numerical promises, over random shapes and networks of several kinds."""

import threading

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sparsessp.models.library import load_model
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction import input_stack
from napari_sparsessp.prediction.engine import (
    ArrayWriter,
    Finished,
    Planned,
    PredictionCancelled,
    TileDone,
    predict,
    predict_stream,
)
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume
from thin import save_random

FP32 = PredictionRequest(precision="fp32", device="cpu")
PROMISE = 0.02  # of the prediction's standard deviation
ROUNDING = 1e-5

KINDS = {
    "slim 3to2d": {"decoder_widths": (4, 6, 8)},
    "slim 2d": {"topology": "2d", "decoder_widths": (4, 6, 8)},
    "slim 3d": {"topology": "3d", "decoder_widths": (4, 6)},
    "dod, group norm": {
        "backbone": "dod",
        "topology": "2to3d",
        "norm": "group",
        "groups": 4,
        "decoder_widths": (4, 8),
        "encoder_widths": (4, 8, 8),
        "encoder_blocks": (1, 1, 1),
    },
}


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Thin networks of several kinds, with random weights."""
    folder = tmp_path_factory.mktemp("kinds")
    made = {}
    for index, (kind, changes) in enumerate(KINDS.items()):
        thin = {
            "outputs": 3,
            "depth": 8,
            "encoder_widths": (4, 6),
            "encoder_blocks": (1, 1),
            "folded_width": 8,
        }
        config = NetworkConfig(**(thin | changes))
        path = folder / f"kind-{index}.safetensors"
        save_random(path, config, seed=index, patch=(8, 64, 64))
        made[kind] = load_model(path)
    return made


def promise(examples):
    """Few examples: every one runs networks."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


every_kind = pytest.mark.parametrize("kind", KINDS)
ratios = st.sampled_from([1, 1.7, 2, 4])
sides = st.one_of(st.integers(1, 9), st.integers(10, 70))
shapes = st.tuples(st.integers(1, 14), sides, sides).filter(lambda s: np.prod(s) > 1)


@st.composite
def cuts(draw):
    """A shape and a tile, of which there are few enough to be quick."""
    shape = draw(shapes)
    least = [max(1, -(-side // 3)) for side in shape[1:]]
    tile = (8, *(draw(st.integers(size, 70)) for size in least))
    return shape, tile


def noise(shape, dtype=np.float32):
    values = np.random.default_rng(7).normal(110, 30, shape)
    return np.clip(values, 1, 250).astype(dtype)


def volume_of(array, axes="ZYX"):
    return Volume(array, axes, None, pixel_size=(0.29, 0.29))


def request(**changes):
    return FP32.model_copy(update=changes)


def array_of(model, volume, **changes):
    return np.asarray(predict(model, volume, request=request(**changes)).volume.array)


@every_kind
@promise(6)
@given(cuts(), ratios)
def test_tiled_is_whole(models, kind, cut, ratio):
    shape, tile = cut
    volume = volume_of(noise(shape))
    whole = array_of(models[kind], volume, ratio=ratio)
    tiled = array_of(models[kind], volume, ratio=ratio, tile=tile)
    assert np.isfinite(whole).all()
    allowed = ROUNDING if kind.startswith("slim") else PROMISE
    spread = max(whole.std(), 1e-3 * np.abs(whole).max())
    assert np.abs(whole - tiled).max() <= allowed * spread + 1e-7


@every_kind
@promise(2)
@given(cuts(), ratios)
def test_the_same_request_gives_the_same_bits(models, kind, cut, ratio):
    shape, tile = cut
    volume = volume_of(noise(shape))
    first, second = (
        array_of(models[kind], volume, ratio=ratio, tile=tile) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


@every_kind
@promise(3)
@given(cuts(), st.data())
def test_the_order_of_tiles_does_not_matter(models, kind, cut, data):
    """Someone who moves about gets the volume of someone who looks away."""
    shape, tile = cut
    volume = volume_of(noise(shape))

    def looking():
        corner = [data.draw(st.integers(0, size - 1)) for size in shape]
        return None, tuple(slice(start, start + 1) for start in corner)

    asked = request(ratio=1, tile=tile)
    events = predict_stream(models[kind], volume, request=asked, viewport=looking)
    planned = next(events)
    assert isinstance(list(events)[-1], Finished)
    plain = array_of(models[kind], volume, ratio=1, tile=tile)
    spread = max(plain.std(), np.abs(plain).max())
    np.testing.assert_allclose(planned.buffer, plain, atol=ROUNDING * spread)


@every_kind
@promise(2)
@given(shapes, ratios)
def test_together_equals_alone(models, kind, shape, ratio):
    volume = volume_of(noise(shape))
    model = models[kind]
    together = predict(model, volume, request=request(ratio=ratio))
    for name in model.card.structures:
        alone = predict(model, volume, structures=[name], request=request(ratio=ratio))
        scale = max(1.0, float(np.abs(together[name].array).max()))
        np.testing.assert_allclose(
            together[name].array, alone[name].array, atol=ROUNDING * scale
        )


@every_kind
@promise(2)
@given(cuts(), st.data())
def test_cancelled_and_resumed_is_uninterrupted(models, kind, cut, data):
    """Stopped after any tile, any number of times."""
    shape, tile = cut
    model, volume = models[kind], volume_of(noise((2, *shape)), "TZYX")
    asked = request(ratio=1, tile=tile)
    expected = predict(model, volume, request=asked)
    writer, runs = ArrayWriter(), 0
    while True:
        cancel, runs = threading.Event(), runs + 1
        patience = data.draw(st.integers(1, 5)) if runs < 6 else 10**9
        for event in predict_stream(
            model, volume, request=asked, writer=writer, cancel=cancel
        ):
            patience -= isinstance(event, TileDone)
            if patience <= 0:
                cancel.set()
            if isinstance(event, Planned):
                buffer = event.buffer
        if isinstance(event, Finished):
            break
        assert isinstance(event, PredictionCancelled)
    np.testing.assert_array_equal(buffer, expected.volume.array)
    assert event.report.normalisation == expected.report.normalisation


def _poisoned(array, ratio, phase):
    """NaN wherever it was not measured."""
    poisoned = array.copy()
    unmeasured = np.arange(array.shape[-3]) % ratio != phase
    poisoned[..., unmeasured, :, :] = np.nan
    return poisoned


@every_kind
@promise(4)
@given(
    st.tuples(st.integers(3, 16), st.integers(2, 40), st.integers(2, 40)),
    st.sampled_from([2, 3, 8]),
    st.data(),
)
def test_what_was_not_measured_is_never_looked_at(models, kind, shape, ratio, data):
    phase = data.draw(st.integers(0, min(ratio, shape[0]) - 1))
    times = data.draw(st.booleans())
    share = data.draw(st.sampled_from([2**30, 3000]))
    lazily = data.draw(st.booleans())
    changes = {
        "simulate_sparse": True,
        "ratio": ratio,
        "phase": phase,
        "grid": data.draw(st.sampled_from(["model", "input"])),
        "tile": data.draw(st.sampled_from([None, (8, 16, 16)])),
    }
    axes = "TZYX" if times else "ZYX"
    clean = noise((2, *shape) if times else shape)
    dirty = _poisoned(clean, ratio, phase)
    # Chunks that hold measured and other planes.
    held = da.from_array(dirty, (*dirty.shape[:-3], 2, 9, 9)) if lazily else dirty
    expected = predict(models[kind], volume_of(clean, axes), request=request(**changes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(input_stack, "_share", lambda plan: share)
        result = predict(
            models[kind], volume_of(held, axes), request=request(**changes)
        )
    np.testing.assert_array_equal(result.volume.array, expected.volume.array)
    assert result.report.normalisation == expected.report.normalisation
    assert result.report.warnings == expected.report.warnings


def _memmap(array, folder, dtype):
    path = folder / "planes.raw"
    array.astype(dtype).tofile(path)
    return np.memmap(path, dtype, "r", shape=array.shape)


# tests/hostile/test_arrays.py has more, of arrays in memory.
FORMS = {
    "float64": lambda a, _: a.astype(np.float64),
    "uint64": lambda a, _: a.astype(np.uint64),
    "memory-mapped": lambda a, folder: _memmap(a, folder, "u1"),
    "memory-mapped, big-endian": lambda a, folder: _memmap(a, folder, ">i4"),
    "dask": lambda a, _: da.from_array(a, (3, 7, 50)),
    "dask, odd chunks": lambda a, _: da.from_array(a, ((1, 5, 3), (30,), (1, 39))),
    "dask, transposed": lambda a, _: da.from_array(a.T.copy(), (7, 9, 2)).T,
    "zarr": lambda a, _: zarr.array(a, chunks=(2, 11, 13)),
    "zarr, shards": lambda a, _: zarr.create_array(
        zarr.storage.MemoryStore(), data=a, chunks=(1, 5, 5), shards=(3, 15, 20)
    ),
}


@pytest.fixture(scope="module")
def as_it_is(models):
    """A prediction from a plain array in memory."""
    array = noise((9, 30, 40), np.uint8)
    return array_of(models["slim 3to2d"], volume_of(array), ratio=2, tile=(8, 16, 24))


@pytest.mark.parametrize("share", [2**30, 9000])
@pytest.mark.parametrize("form", sorted(FORMS))
def test_however_an_array_lies_the_bits_are_the_same(
    models, as_it_is, form, share, tmp_path, monkeypatch
):
    array = noise((9, 30, 40), np.uint8)
    model = models["slim 3to2d"]
    monkeypatch.setattr(input_stack, "_share", lambda plan: share)
    volume = volume_of(FORMS[form](array, tmp_path))
    got = array_of(model, volume, ratio=2, tile=(8, 16, 24))
    np.testing.assert_array_equal(got, as_it_is)


def test_single_axes_and_masks_of_true_and_false_change_nothing(models):
    array = noise((5, 20, 30)) > 110
    model = models["slim 3to2d"]
    expected = array_of(model, volume_of(array.astype(np.uint8)), ratio=2)
    for axes in ("TCZYX", "CZYX", "TZYX", "ZYX"):
        volume = volume_of(array[(None,) * (len(axes) - 3)], axes)
        got = array_of(model, volume, ratio=2)
        np.testing.assert_array_equal(got.reshape(expected.shape), expected)
