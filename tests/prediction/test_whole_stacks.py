"""Networks that look at the whole stack: tiles change nothing, memory stays bounded."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sparsessp.errors import InputError, OutOfMemory
from napari_sparsessp.models.library import load_model
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.networks.config import Padding
from napari_sparsessp.prediction.engine import (
    ArrayWriter,
    Looking,
    PredictionCancelled,
    TileDone,
    predict,
    predict_stream,
)
from napari_sparsessp.prediction.inference import Forward
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume
from stored import store
from stored import voxels as stored
from thin import save_random

GVT = {
    "backbone": "gvt",
    "outputs": 2,
    "depth": 8,
    "encoder_widths": (3, 4, 6),
    "encoder_blocks": (1, 1, 1),
    "decoder_widths": (3, 4),
}
SHAPE = (13, 70, 43)
TILES = {"flat": (99, 16, 16), "deep": (4, 99, 99), "both": (8, 24, 99)}


def a_model(path, **config):
    """Random weights; the attention counts."""
    network = NetworkConfig(**config)
    model = load_model(save_random(path, network, seed=1, scaling="zscore"))
    if network.attends:
        with torch.no_grad():
            for layer in ("query", "key", "value", "out"):
                getattr(model.network.attention, layer).weight.mul_(3)
    return model


@pytest.fixture
def model(tmp_path):
    """A thin GVTNet."""
    return a_model(tmp_path / "gvt.safetensors", **GVT)


def asked(**changes):
    return PredictionRequest(precision="fp32", device="cpu", **changes)


def voxels(model, volume, **changes):
    return predict(model, volume, request=asked(**changes)).volume.numpy()


def apart(one, other):
    return np.nanmax(np.abs(one - other))


def test_the_whole_is_the_network_on_the_reflected_stack(model, make_volume):
    """Padded to whole strides in z, y and x, half of it before."""
    volume = make_volume(SHAPE)
    x = volume.numpy()
    x = (x - x.mean()) / x.std()
    padding = [(-n % 4 // 2, -n % 4 - -n % 4 // 2) for n in SHAPE]
    padded = torch.from_numpy(np.pad(x, padding, "reflect"))
    with torch.inference_mode():
        expected = model.network(padded[None, None])[0].numpy()
    inner = tuple(slice(a, a + n) for (a, _), n in zip(padding, SHAPE, strict=True))
    assert apart(voxels(model, volume), expected[(slice(None), *inner)]) <= 1e-5


@pytest.mark.parametrize(
    ("tile", "changes"),
    [
        *((tile, {}) for tile in TILES.values()),
        (TILES["flat"], {"grid": "input", "voxel_size": (0.29, 0.41, 0.41)}),
        (TILES["both"], {"tta": True}),
        (TILES["both"], {"ratio": 2, "voxel_size": (0.58, 0.29, 0.29)}),
        (TILES["both"], {"mask_invalid": True}),
    ],
)
def test_tiles_change_nothing(model, make_volume, tile, changes):
    """On any grid, with turns, from sparse planes and around masked pixels."""
    volume = make_volume((7, *SHAPE[1:]) if "ratio" in changes else SHAPE)
    if "mask_invalid" in changes:
        volume.array[2:4, 20:30, 7] = np.nan
    whole = voxels(model, volume, **changes)
    tiled = voxels(model, volume, tile=tile, **changes)
    np.testing.assert_array_equal(np.isnan(whole), np.isnan(tiled))
    assert apart(whole, tiled) <= 1e-5


def test_a_tile_by_itself_would_be_another_prediction(model, make_volume, monkeypatch):
    """So that the test above can fail."""
    monkeypatch.setattr(NetworkConfig, "attends", False)
    volume = make_volume(SHAPE)
    whole = voxels(model, volume)
    assert apart(whole, voxels(model, volume, tile=TILES["flat"])) > 1e-3


def test_one_look_is_enough_for_a_time_point_and_none_for_one_tile(model, make_volume):
    volume = make_volume((2, *SHAPE), "TZYX")
    events = list(predict_stream(model, volume, request=asked(tile=TILES["both"])))
    looks = [(e.done, e.total) for e in events if isinstance(e, Looking)]
    tiles = sum(isinstance(event, TileDone) for event in events) // 2
    assert looks == [(n, tiles) for n in range(tiles + 1)] * 2
    whole = list(predict_stream(model, volume, request=asked()))
    assert not any(isinstance(event, Looking) for event in whole)


def test_a_stop_while_it_looks_or_later_changes_no_bit(model, make_volume, tmp_path):
    """Of an array or a file; nothing is predicted before the look is over."""
    volume, request = make_volume(SHAPE), asked(tile=TILES["both"])
    whole = predict(model, volume, request=request).volume.numpy()
    writer = ArrayWriter()
    for kind in (Looking, TileDone, None):
        cancel, last = threading.Event(), None
        for event in predict_stream(
            model, volume, request=request, writer=writer, cancel=cancel
        ):
            last = event
            if kind is not None and isinstance(event, kind):
                cancel.set()
        assert isinstance(last, PredictionCancelled) == (kind is not None)
        if kind is Looking:
            assert last.done == 0
    np.testing.assert_array_equal(writer.buffer, whole)
    *_, done = store(model, volume, tmp_path / "out.ome.tif", request)
    assert done.report.tiles == writer.done
    np.testing.assert_array_equal(stored(tmp_path / "out.ome.tif"), whole)


def test_too_little_memory_for_the_whole_is_no_other_prediction(
    model, make_volume, monkeypatch
):
    """Parts look at the whole first, in parts too."""
    volume = make_volume(SHAPE)
    whole = voxels(model, volume)

    def small(method):
        def run(self, stack, tile, *more):
            if (tile.read_y[1] - tile.read_y[0]) > 68:
                raise OutOfMemory("the device failed (out of memory); choose the CPU")
            return method(self, stack, tile, *more)

        return run

    for name in ("look", "predict"):
        monkeypatch.setattr(Forward, name, small(getattr(Forward, name)))
    result = predict(model, volume, request=asked())
    assert any("parts of" in warning for warning in result.report.warnings)
    assert apart(result.volume.numpy(), whole) <= 1e-5


def test_memory_makes_tiles_and_the_whole_is_best(model):
    """The least work first: all at once, then tiles that are as large as they can."""
    config = NetworkConfig(backbone="gvt", outputs=2)
    card = model.card.model_copy(update={"network": config.model_dump(mode="json")})

    def plan(*shape, **changes):
        array = np.broadcast_to(np.float32(1), shape)
        volume = Volume(array, "ZYX", (0.29,) * 3)
        return plan_prediction(card, volume, asked(**changes), stored=True)

    assert len(plan(65, 232, 344, memory_limit="6GB").tiles) == 1
    wide = plan(65, 1024, 1024, memory_limit="2GB")
    assert len(wide.layout.windows) == 1
    deep = plan(700, 300, 300, memory_limit="4GB")
    assert len(deep.layout.windows) > 1  # a deep stack is cut in z
    for made in (wide, deep):
        assert made.memory.planned <= made.memory.limit
        assert 1 < len(made.tiles) < 300
        assert not made.warnings


FLAT = {
    "backbone": "plain",
    "topology": "3to2d",
    "outputs": 2,
    "depth": 4,
    "encoder_widths": (3, 4, 4),
    "encoder_blocks": (1, 1, 1),
    "decoder_widths": (3, 4),
    "folded_width": 8,
    "norm": "instance",
}


@pytest.fixture
def sliding(tmp_path, monkeypatch):
    """A network that is run like VisCy's: zeros around, windows moved by a plane."""
    padding = Padding(16, mode="zeros", centred=True)
    monkeypatch.setattr(NetworkConfig, "window_step", 1)
    monkeypatch.setattr(NetworkConfig, "padding", padding)
    return a_model(tmp_path / "sliding.safetensors", **FLAT)


@pytest.mark.parametrize("overlap", [None, 0.5])
def test_windows_move_by_the_network_s_own_step(sliding, make_volume, overlap):
    """The plain mean of all windows that cover a plane, whole fields, zeros around."""
    volume = make_volume((9, 37, 21))
    x = volume.numpy()
    x = (x - x.mean()) / x.std()
    padded = np.pad(x, ((0, 0), (5, 6), (5, 6)))
    total, count = np.zeros((2, 9, 37, 21)), np.zeros((9, 1, 1))
    for start in range(6) if overlap is None else (0, 2, 4, 5):
        window = torch.from_numpy(padded[start : start + 4].copy())[None, None]
        with torch.inference_mode():
            y = sliding.network(window)[0].numpy()
        total[:, start : start + 4] += y[..., 5:-6, 5:-6]
        count[start : start + 4] += 1
    result = predict(sliding, volume, request=asked(overlap=overlap))
    assert apart(result.volume.numpy(), total / count) <= 1e-5
    assert not any("looks at the whole" in text for text in result.report.warnings)
    tiled = predict(sliding, volume, request=asked(tile=(4, 16, 16)))
    assert any("looks at the whole" in text for text in tiled.report.warnings)
    assert np.isfinite(tiled.volume.numpy()).all()


def test_a_stack_with_fewer_planes_than_a_window_is_refused(sliding, make_volume):
    with pytest.raises(InputError, match="3 planes deep .* takes windows of 4; image"):
        predict(sliding, make_volume((3, 20, 20)), request=asked())


@pytest.mark.parametrize("mode", ["edge", "reflect", "zeros"])
def test_a_stack_read_by_region_is_padded_as_the_whole(
    model, make_volume, small_share, monkeypatch, mode
):
    """In z, y and x, whatever is beyond."""
    import dask.array as da

    from napari_sparsessp.prediction import input_stack
    from napari_sparsessp.prediction.input_stack import read_stack

    padding = Padding(8, 4, mode, centred=True)
    monkeypatch.setattr(NetworkConfig, "padding", padding)
    volume = make_volume(SHAPE)
    x = volume.numpy()
    plan = plan_prediction(model.card, volume, asked(tile=TILES["both"]))
    whole = read_stack(plan, None)
    small_share(9000)
    monkeypatch.setattr(input_stack, "_fits", lambda plan, volume: False)
    lazy = replace(volume, array=da.from_array(x, (2, 9, 11)))
    parts = read_stack(replace(plan, volume=lazy), None)
    kind = {"zeros": "constant"}.get(mode, mode)
    want = np.pad((x - x.mean()) / x.std(), ((1, 2), (1, 1), (2, 3)), kind)
    for tile in plan.tiles:
        place = tuple(
            slice(span[0] + before, span[1] + before)
            for span, before in zip(
                (tile.z, tile.read_y, tile.read_x), (1, 1, 2), strict=True
            )
        )
        one, other = whole.window(tile)[0], parts.window(tile)[0]
        np.testing.assert_allclose(one.numpy(), want[place], atol=1e-4)
        np.testing.assert_array_equal(one.numpy(), other.numpy())
