"""Too little memory for a tile: smaller parts, the same result, then the CPU."""

import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.errors import OutOfMemory, PredictionError
from napari_sparsessp.models.library import load_model
from napari_sparsessp.prediction import device
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.inference import Forward, Inference, split_tile
from napari_sparsessp.prediction.input_stack import read_stack
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.tiling import TileSize, cut_tiles
from thin import save_random, thin_network

FP32 = PredictionRequest(precision="fp32", device="cpu")


class Small(Forward):
    """A device that holds no more than so many pixels of a tile."""

    most = 100 * 100
    seen: list[int]

    def __init__(self, model, plan):
        super().__init__(model, plan)
        self.seen = []

    def predict(self, stack, tile):
        pixels = (tile.read_y[1] - tile.read_y[0]) * (tile.read_x[1] - tile.read_x[0])
        self.seen.append(pixels)
        if pixels > self.most:
            raise OutOfMemory("the device failed (out of memory); choose smaller tiles")
        yield from super().predict(stack, tile)


class Nothing(Small):
    """A device that holds nothing."""

    most = 0


def one_tile(model, volume, request=FP32):
    """Plan, stack and the plan's only tile."""
    plan = plan_prediction(model.card, volume, request)
    (tile,) = plan.tiles
    return plan, read_stack(plan, None), tile


def together(forward, stack, tile):
    """All rows of a tile."""
    given_ = list(forward.predict(stack, tile))
    rows = [row for some, _ in given_ for row in some]
    return rows, np.concatenate([values for _, values in given_])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 200),
    st.sampled_from([4, 8, 16]),
    st.integers(0, 40),
)
def test_parts_partition_what_a_tile_keeps(height, width, most, stride, halo):
    size = TileSize(8, (96, 128), stride, halo=halo, fade=3)
    for tile in cut_tiles((8, height, width), size):
        count = np.zeros((height, width), int)
        for part in split_tile(tile, size, most):
            count[part.box[1:]] += 1
            for keep, read, whole in (
                (part.keep_y, part.read_y, tile.read_y),
                (part.keep_x, part.read_x, tile.read_x),
            ):
                assert 0 < keep[1] - keep[0] <= most
                assert read[0] % stride == read[1] % stride == 0
                # The halo on each side, or the border of what the tile sees.
                assert read[0] in (whole[0], min(read[0], keep[0] - halo))
                assert read[1] in (whole[1], max(read[1], keep[1] + halo))
        expected = np.zeros((height, width), int)
        expected[tile.box[1:]] = 1
        assert (count == expected).all()


@pytest.mark.parametrize("topology", ["3to2d", "2d", "2to3d", "3d"])
def test_parts_give_what_the_whole_tile_gives(tmp_path, make_volume, topology):
    """To rounding: each part sees all that its pixels depend on."""
    decoder = (4, 8, 8) if topology in ("3to2d", "2d") else (4, 8)
    config = thin_network(topology=topology, outputs=3, decoder_widths=decoder)
    model = load_model(save_random(tmp_path / "m.safetensors", config, seed=5))
    plan, stack, tile = one_tile(model, make_volume((8, 150, 90)))
    rows, whole = together(Forward(model, plan), stack, tile)
    inference_ = Inference(model, plan, Small)
    split_rows, parts = together(inference_, stack, tile)
    assert split_rows == rows
    assert np.abs(parts - whole).max() < 1e-5 * whole.std()
    seen = inference_._forward.seen
    failed = sum(pixels > Small.most for pixels in seen)
    together(inference_, stack, tile)  # the size that fitted is remembered
    assert sum(pixels > Small.most for pixels in seen) == failed > 0
    (note,) = inference_.notes
    assert "tiles of 150×90 pixels; parts of" in note


def test_passes_that_were_given_are_not_given_again(thin_model, make_volume):
    """The second of three structures fails, and the tile is split."""
    plan, stack, tile = one_tile(thin_model, make_volume((8, 64, 48)))

    class Fails(Forward):
        failures = 1

        def predict(self, stack, tile):
            ((rows, values),) = super().predict(stack, tile)
            for row in rows:
                if row == 1 and Fails.failures:
                    Fails.failures -= 1
                    raise OutOfMemory("the device failed (out of memory); wait")
                yield [row], values[row : row + 1]

    given_ = [
        rows for rows, _ in Inference(thin_model, plan, Fails).predict(stack, tile)
    ]
    assert given_ == [[0], [1], [2]]


def test_a_run_goes_on_and_says_so(thin_model, make_volume, monkeypatch):
    """The same voxels, and a line in the report."""
    volume = make_volume((8, 150, 90))
    expected = predict(thin_model, volume, request=FP32)
    decode = type(thin_model.network).decode

    def small(self, features, structures=None):
        if features[0].shape[-1] * features[0].shape[-2] > Small.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return decode(self, features, structures)

    monkeypatch.setattr(type(thin_model.network), "decode", small)
    result = predict(thin_model, volume, request=FP32)
    difference = np.abs(result.volume.array - expected.volume.array).max()
    assert difference < 1e-5 * expected.volume.array.std()
    assert any("memory was too small" in text for text in result.report.warnings)
    assert result.report.memory.planned_mb <= result.report.memory.limit_mb


class OnGpu(Forward):
    """Pretends to be on a GPU, which holds nothing, until it is asked for the CPU."""

    def __init__(self, model, plan):
        super().__init__(model, plan)
        self.wanted = plan.request.device
        if self.wanted != "cpu":
            self.device = torch.device("meta")

    def predict(self, stack, tile):
        if self.wanted != "cpu":
            raise OutOfMemory("the device failed (out of memory); choose smaller tiles")
        yield from super().predict(stack, tile)


@pytest.mark.parametrize("full", [False, True])
def test_the_cpu_is_the_last_resort(thin_model, make_volume, full):
    """For a tile that fits no GPU, and for a network that does not."""
    request = PredictionRequest(precision="fp16")
    plan, stack, tile = one_tile(thin_model, make_volume((8, 80, 80)), request)

    class Full(OnGpu):
        def __init__(self, model, plan):
            super().__init__(model, plan)
            if self.wanted != "cpu":
                raise OutOfMemory("the device failed (out of memory); wait")

    inference_ = Inference(thin_model, plan, Full if full else OnGpu)
    rows, values = together(inference_, stack, tile)
    assert rows == [0, 1, 2]
    assert np.isfinite(values).all()
    assert inference_.device.type == "cpu"
    assert inference_.precision in ("fp32", "bf16")  # fp16 is a GPU's
    assert any("the CPU was used" in text for text in inference_.notes)


def test_norms_that_see_the_whole_tile_are_not_split(tmp_path, make_volume):
    """Parts would be another prediction: the CPU at once, or an error."""
    config = thin_network(backbone="dod", topology="2d", decoder_widths=(4,))
    model = load_model(save_random(tmp_path / "m.safetensors", config))
    volume = make_volume((8, 16, 16))
    plan, stack, tile = one_tile(model, volume, PredictionRequest())
    inference_ = Inference(model, plan, OnGpu)
    together(inference_, stack, tile)
    assert len(inference_.notes) == 1
    assert inference_.device.type == "cpu"
    with pytest.raises(PredictionError, match="close other programs"):
        together(Inference(model, plan, Nothing), stack, tile)


def test_not_even_the_smallest_part_fits(thin_model, make_volume):
    plan, stack, tile = one_tile(thin_model, make_volume((8, 40, 40)))

    with pytest.raises(PredictionError, match="smallest tiles") as caught:
        together(Inference(thin_model, plan, Nothing), stack, tile)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, OutOfMemory)


def test_what_failed_is_gone_before_the_next_try(thin_model, make_volume):
    """Else the memory that was too small would be taken twice."""
    plan, stack, tile = one_tile(thin_model, make_volume((8, 64, 64)))
    alive = []

    class Leaves(Forward):
        tries = 0

        def predict(self, stack, tile):
            assert not [ref for ref in alive if ref() is not None]
            tensor = torch.zeros(10)
            Leaves.tries += 1
            if Leaves.tries < 3:
                alive.append(weakref.ref(tensor))
                raise OutOfMemory("the device failed (out of memory); wait")
            yield from super().predict(stack, tile)

    together(Inference(thin_model, plan, Leaves), stack, tile)
    assert len(alive) == 2


def test_a_gpu_gets_its_spare_memory_back(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("cuda"))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append("mps"))
    device.release_device_memory()
    assert emptied == ["cuda", "mps"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 4 bytes"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: 4 bytes"), True),
        (RuntimeError("CUDA error: device-side assert"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_too_little_memory_is_known_on_every_device(error, expected):
    assert device.out_of_memory(error) == expected
