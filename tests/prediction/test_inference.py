"""Eight turns of a field: exact there and back, and what they say of a prediction."""

import copy
import threading
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.models.card import Calibration, ModelCard
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.inference import (
    TRANSFORMS,
    Forward,
    cancellable_network,
)
from napari_sparsessp.prediction.input_stack import read_stack
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.tasks import Cancelled

FP32 = PredictionRequest(precision="fp32", device="cpu")


def _request(**changes):
    return FP32.model_copy(update=changes)


def _array(result):
    return np.asarray(result.volume.array)


class FakeNetwork(torch.nn.Module):
    """Gives `value` of what it sees, for each output; records the shapes it gets."""

    def __init__(self, like, value):
        super().__init__()
        self.config, self.value, self.seen = like.config, value, []

    def encode(self, x):
        self.seen.append(tuple(x.shape))
        return x

    def decode(self, x, outputs):
        return torch.stack([(k + 1) * self.value(x[0, 0]) for k in outputs])[None]


def _with(model, value):
    return replace(model, network=FakeNetwork(model.network, value))


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 7), width=st.integers(1, 7))
def test_every_turn_is_undone_exactly(height, width):
    field = torch.arange(2.0 * height * width).reshape(1, 2, height, width)
    for turn in TRANSFORMS:
        turned = turn.apply(field)
        sides = (height, width)[:: -1 if turn.quarters % 2 else 1]
        assert turned.shape[-2:] == sides
        assert torch.equal(turn.undo(turned), field)
    assert TRANSFORMS[0].apply(field) is field


@pytest.mark.parametrize("tile", [None, (8, 16, 24)])
def test_a_network_that_turns_with_its_image_gives_the_same_bits(
    thin_model, make_volume, tile
):
    """On a field that is not square, and where no side is a multiple of the stride."""
    volume = make_volume((8, 37, 61))
    model = _with(thin_model, lambda x: x * x)
    plain = _array(predict(model, volume, request=_request(tile=tile)))
    both = _request(tile=tile, tta=True, uncertainty=True)
    turned = _array(predict(model, volume, request=both))
    np.testing.assert_array_equal(turned[:3], plain)
    assert not turned[3:].any()


def test_a_network_that_sees_up_and_left_gives_the_mean_of_the_eight(
    thin_model, make_volume
):
    """It sees how far each pixel is from the upper left corner of what it gets."""
    volume = make_volume((8, 24, 40))

    def position(x):
        height, width = x.shape[-2:]
        rows, columns = torch.arange(height)[:, None], torch.arange(width)
        return (2.0 * rows + 3.0 * columns).expand(x.shape)

    model = _with(thin_model, position)
    found = _array(predict(model, volume, request=_request(tta=True, uncertainty=True)))
    y, x = np.mgrid[:24, :40].astype(float)
    views = [
        a * down + b * right
        for a, b in ((2, 3), (3, 2))
        for down in (y, 23 - y)
        for right in (x, 39 - x)
    ]
    np.testing.assert_allclose(found[0, 0], np.mean(views, 0), rtol=1e-5)
    np.testing.assert_allclose(found[1, 3], 2 * np.mean(views, 0), rtol=1e-5)
    np.testing.assert_allclose(found[3, 0], np.std(views, 0), rtol=1e-4, atol=1e-4)


def test_turned_tiles_still_fit_the_stride(thin_model, make_volume):
    model = _with(thin_model, lambda x: x)
    stride = model.network.config.stride
    predict(model, make_volume((8, 21, 51)), request=_request(tta=True))
    seen = {shape[-2:] for shape in model.network.seen}
    assert len(model.network.seen) == 8
    assert len(seen) == 2
    assert all(side % stride == 0 for shape in seen for side in shape)


def test_only_one_turn_is_in_memory_at_a_time(thin_model, make_volume):
    """Features of the turn before are gone when the next one is encoded."""
    import weakref

    model = _with(thin_model, lambda x: x)
    alive, encode = [], model.network.encode

    def watched(x):
        features = encode(x.clone())
        alive.append(weakref.ref(features))
        assert sum(one() is not None for one in alive) <= 2
        return features

    model.network.encode = watched
    predict(model, make_volume((8, 32, 32)), request=_request(tta=True))
    assert len(alive) == 8


def test_asking_for_the_deviation_does_not_change_the_prediction(
    thin_model, make_volume
):
    volume = make_volume((8, 24, 40))
    plain = predict(thin_model, volume, request=FP32)
    result = predict(thin_model, volume, request=_request(uncertainty=True))
    names = thin_model.card.structures
    assert tuple(result) == (*names, *(f"{name}_std" for name in names))
    np.testing.assert_array_equal(_array(result)[:3], _array(plain))
    assert result.report.request.uncertainty
    assert result.report.shape.output == (6, 8, 24, 40)
    assert result["dna_std"].array.min() >= 0
    assert result["dna_std"].array.max() > 0


def test_a_calibrated_model_gives_the_error_to_be_expected(thin_model, make_volume):
    volume = make_volume((8, 24, 40))
    card = ModelCard.model_validate(
        thin_model.card.model_dump(by_alias=True)
        | {"uncertainty": {"dna": Calibration(floor=0.5, gain=2)}}
    )
    request = _request(uncertainty=True)
    raw = predict(thin_model, volume, request=request)
    result = predict(replace(thin_model, card=card), volume, request=request)
    expected = np.sqrt(0.25 + 4 * raw["dna_std"].array ** 2)
    np.testing.assert_allclose(result["dna_std"].array, expected, rtol=1e-4)
    other = [one["mitochondria_std"].array for one in (raw, result)]
    np.testing.assert_array_equal(*other)


def test_deviations_are_neither_scored_nor_told_as_structures(thin_model, make_volume):
    from napari_sparsessp.prediction.engine import (
        StructureDone,
        TileDone,
        predict_stream,
    )

    volume = make_volume((8, 24, 24))
    events = list(
        predict_stream(
            thin_model,
            volume,
            request=_request(uncertainty=True, grid="input"),
            truth={"dna": volume},
        )
    )
    tiles = [event for event in events if isinstance(event, TileDone)]
    assert tiles[-1].structures == thin_model.card.structures
    assert sum(isinstance(event, StructureDone) for event in events) == 3
    assert set(events[-1].report.structures) == {"dna"}
    assert np.abs(events[0].buffer).reshape(6, -1).max(1).all()


def predictions(model, volume, precision):
    """Each tile's prediction: as it was given, and a copy from that moment."""
    request = PredictionRequest(device="cpu", precision=precision)
    plan = plan_prediction(model.card, volume, request)
    stack, forward = read_stack(plan, None), Forward(model, plan)
    assert len(plan.tiles) > 1
    for tile in plan.tiles:
        ((_, prediction),) = forward.predict(stack, tile)
        yield prediction, prediction.copy()


def test_tiles_of_one_size_come_in_the_same_memory(thin_model, make_volume):
    """And each is whole until the next one is asked for, its pixels beside each other.

    Blending and writing need not walk through all of it for a plane.
    """
    volume = make_volume((3 * thin_model.card.patch[0] // 2, 16, 24))
    reduced = list(predictions(thin_model, volume, "bf16"))
    assert len({planes.ctypes.data for planes, _ in reduced}) == 1
    exact = list(predictions(thin_model, volume, "fp32"))
    for (planes, copied), (whole, wanted) in zip(reduced, exact, strict=True):
        assert planes.dtype == np.float32
        assert np.abs(copied - wanted).max() < 0.1 * wanted.std()
        for values in (planes, whole):
            assert values.strides[-1] == values.itemsize
            assert values.strides[-2] < values.strides[-3]


def test_no_layer_begins_after_the_stop():
    """Of a copy for another device neither; nothing stays behind, also after errors."""
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    cancel = threading.Event()
    with cancellable_network(network, cancel):
        network(torch.zeros(2))
        other = copy.deepcopy(network)
        cancel.set()
        for stopped in (network[1], other):
            with pytest.raises(Cancelled):
                stopped(torch.zeros(2))
    with suppress(ValueError), cancellable_network(network, cancel):
        raise ValueError
    assert not any(one._forward_pre_hooks for one in network.modules())
