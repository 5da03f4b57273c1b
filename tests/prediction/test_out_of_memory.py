"""Too little memory for a tile: smaller parts, the same result, then the CPU."""

import copy
import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.errors import OutOfMemory, PredictionError
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.prediction import device, inference
from napari_sparsessp.prediction.engine import predict, predict_stream
from napari_sparsessp.prediction.inference import Forward, Inference, split_tile
from napari_sparsessp.prediction.input_stack import read_stack
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.tiling import TileSize, cut_tiles

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
def test_parts_give_what_the_whole_tile_gives(thin_model, make_volume, topology):
    """To rounding: each part sees all that its pixels depend on."""
    model = thin_model
    if topology != "3to2d":
        widths = {"encoder_widths": (4, 8), "encoder_blocks": (1, 1)}
        flat = topology == "2d"
        config = NetworkConfig(
            topology=topology,
            outputs=3,
            depth=8,
            decoder_widths=(4, 8, 8) if flat else (4, 8),
            folded_width=8,
            **widths,
        )
        torch.manual_seed(5)
        card = ModelCard.model_validate(
            thin_model.card.model_dump()
            | {
                "topology": topology,
                "projection": config.projection,
                "network": config.model_dump(mode="json"),
            }
        )
        network = build_network(config).eval()
        model = replace(thin_model, card=card, network=network)
    plan, stack, tile = one_tile(model, make_volume((8, 150, 90)))
    rows, whole = together(Forward(model, plan), stack, tile)
    inference_ = Inference(model, plan, Small)
    split_rows, parts = together(inference_, stack, tile)
    assert split_rows == rows
    assert np.abs(parts - whole).max() < 1e-5 * whole.std()
    assert max(inference_._forward.seen[-2:]) <= Small.most
    (note,) = inference_.notes
    assert "tiles of 150×90 pixels; parts of" in note


def test_the_size_that_fitted_is_remembered(thin_model, make_volume):
    plan, stack, tile = one_tile(thin_model, make_volume((8, 150, 90)))
    inference_ = Inference(thin_model, plan, Small)
    together(inference_, stack, tile)
    failed = sum(pixels > Small.most for pixels in inference_._forward.seen)
    together(inference_, stack, tile)
    again = sum(pixels > Small.most for pixels in inference_._forward.seen)
    assert again == failed > 0


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


def test_the_cpu_is_the_last_resort(thin_model, make_volume):
    request = PredictionRequest(precision="fp16")
    plan, stack, tile = one_tile(thin_model, make_volume((8, 80, 80)), request)
    inference_ = Inference(thin_model, plan, OnGpu)
    rows, values = together(inference_, stack, tile)
    assert rows == [0, 1, 2]
    assert np.isfinite(values).all()
    assert inference_.device.type == "cpu"
    assert inference_.precision in ("fp32", "bf16")  # fp16 is a GPU's
    assert any("the CPU was used" in text for text in inference_.notes)


def test_a_network_that_fits_no_gpu_starts_on_the_cpu(thin_model, make_volume):
    plan, stack, tile = one_tile(
        thin_model, make_volume((8, 40, 40)), PredictionRequest()
    )

    class Full(Forward):
        def __init__(self, model, plan):
            if plan.request.device != "cpu":
                raise OutOfMemory("the device failed (out of memory); wait")
            super().__init__(model, plan)

    inference_ = Inference(thin_model, plan, Full)
    assert together(inference_, stack, tile)[0] == [0, 1, 2]
    assert any("the CPU was used" in text for text in inference_.notes)


def test_norms_that_see_the_whole_tile_are_not_split(thin_model, make_volume):
    """Parts would be another prediction: the CPU at once, or an error."""
    config = NetworkConfig(
        backbone="dod",
        topology="2d",
        outputs=3,
        depth=8,
        encoder_widths=(4, 8),
        encoder_blocks=(1, 1),
        decoder_widths=(4,),
    )
    card = thin_model.card.model_copy(
        update={"network": config.model_dump(mode="json"), "topology": "2d"}
    )
    model = replace(thin_model, card=card, network=build_network(config).eval())
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


@pytest.mark.parametrize("end", ["finish", "cancel", "fail"])
def test_a_run_frees_the_device_however_it_ends(
    thin_model, make_volume, monkeypatch, end
):
    """The network's copy is gone, and torch's spare memory is given back."""
    released, copies = [], []
    monkeypatch.setattr(
        inference, "release_device_memory", lambda: released.append(True)
    )

    class Copies(Forward):
        def __init__(self, model, plan):
            super().__init__(model, plan)
            self._network = copy.deepcopy(model.network)
            copies.append(weakref.ref(self._network))

        def predict(self, stack, tile):
            if end == "fail":
                raise PredictionError("the device failed; choose another")
            yield from super().predict(stack, tile)

    def inference_(model, plan):
        return Inference(model, plan, Copies)

    monkeypatch.setattr("napari_sparsessp.prediction.engine.Inference", inference_)
    run = predict_stream(thin_model, make_volume((8, 64, 64)), request=FP32)
    next(run)
    if end == "finish":
        assert [*run]
    elif end == "cancel":
        next(run)
        run.close()
    else:
        with pytest.raises(PredictionError):
            list(run)
    del run
    gc.collect()
    assert released
    assert [ref() for ref in copies] == [None]


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
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 4 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried 4 bytes"),
    ],
)
def test_too_little_memory_is_known_on_every_device(error):
    assert device.out_of_memory(error)


def test_other_errors_are_not_too_little_memory():
    assert not device.out_of_memory(RuntimeError("CUDA error: device-side assert"))
    assert not device.out_of_memory(ValueError("out of memory"))
