"""A stopped run into memory goes on where it ended, and leaves nothing else alive."""

import gc
import threading
import weakref

import numpy as np
import pytest

from napari_sparsessp.errors import InputError, PredictionError
from napari_sparsessp.prediction import engine as run_module
from napari_sparsessp.prediction.engine import (
    ArrayWriter,
    Finished,
    PartDone,
    PredictionCancelled,
    Started,
    TileDone,
    predict,
    predict_stream,
)
from napari_sparsessp.prediction.request import PredictionRequest

FP32 = PredictionRequest(precision="fp32", device="cpu", tile=(8, 16, 16))


def _run(model, volume, writer, request=FP32, stop_at=None, **how):
    """Predict until so many tiles are done; give the events."""
    cancel, events = threading.Event(), []
    for event in predict_stream(
        model, volume, request=request, writer=writer, cancel=cancel, **how
    ):
        events.append(event)
        if isinstance(event, TileDone) and event.done == stop_at:
            cancel.set()
    return events


@pytest.mark.parametrize(("stops", "grid"), [([1, 6], "model"), ([4], "input")])
def test_cancelled_and_resumed_changes_no_bit(thin_model, make_volume, stops, grid):
    volume = make_volume((2, 12, 16, 20), "TZYX", voxel=(0.29, 0.29, 0.33))
    request = FP32.model_copy(update={"grid": grid})
    truth = {"dna": make_volume((12, 16, 20), voxel=(0.29, 0.29, 0.33))}
    writer = ArrayWriter()
    for stop in stops:
        events = _run(thin_model, volume, writer, request, stop, truth=truth)
        assert events[-1] == PredictionCancelled(stop, 8)
        assert (writer.done, writer.total) == (stop, 8)
    events = _run(thin_model, volume, writer, request, truth=truth)
    assert next(e.done for e in events if isinstance(e, Started)) == max(stops)
    tiles = [e.done for e in events if isinstance(e, TileDone)]
    assert tiles == list(range(max(stops) + 1, 9))
    whole = predict(thin_model, volume, request=request, truth=truth)
    np.testing.assert_array_equal(writer.buffer, whole.volume.array)
    assert isinstance(events[-1], Finished)
    report = events[-1].report
    assert report.structures == whole.report.structures
    assert report.normalisation == whole.report.normalisation


@pytest.mark.parametrize("grid", ["model", "input"])
def test_a_part_is_what_the_whole_is_there_and_the_rest_can_follow(
    thin_model, make_volume, grid
):
    volume = make_volume((12, 64, 80), voxel=(0.29, 0.29, 0.33))
    request = FP32.model_copy(update={"grid": grid})
    whole = predict(thin_model, volume, request=request).volume.array
    box = (slice(0, 12), slice(30, 40), slice(3, 12))
    writer = ArrayWriter()
    last = _run(thin_model, volume, writer, request, part=(None, box))[-1]
    assert isinstance(last, PartDone)
    assert 0 < last.done < last.total == writer.total
    inside = (slice(None), *box)
    np.testing.assert_allclose(writer.buffer[inside], whole[inside], atol=1e-6)
    assert not np.allclose(writer.buffer, whole, atol=1e-2)
    tiles = [
        event
        for event in _run(thin_model, volume, writer, request)
        if isinstance(event, TileDone)
    ]
    assert len(tiles) == last.total - last.done
    # tiles came in another order, and sums in float32 know that
    np.testing.assert_allclose(writer.buffer, whole, atol=1e-6)


def test_a_part_of_a_time_lapse_is_of_one_time_point(thin_model, make_volume):
    volume, writer = make_volume((3, 8, 16, 16), "TZYX"), ArrayWriter()
    everything = (slice(0, 8), slice(0, 16), slice(0, 16))
    events = _run(thin_model, volume, writer, part=(1, everything))
    assert {e.time for e in events if isinstance(e, TileDone)} == {1}
    assert isinstance(events[-1], PartDone)
    part = None, everything
    assert isinstance(
        _run(thin_model, volume.time(0), ArrayWriter(), part=part)[-1], Finished
    )


def test_a_user_who_goes_to_another_time_point_is_followed_at_once(
    thin_model, make_volume
):
    volume, seen = make_volume((3, 8, 32, 16), "TZYX"), []
    box = (slice(0, 8), slice(0, 32), slice(0, 16))

    def viewport():
        return (0 if seen else 2), box  # the slider moves after the first tile

    writer = ArrayWriter()
    for event in predict_stream(
        thin_model, volume, request=FP32, writer=writer, viewport=viewport
    ):
        if isinstance(event, TileDone):
            seen.append(event.time)
    assert seen == [2, 0, 0, 2, 1, 1]
    whole = predict(thin_model, volume, request=FP32).volume.array
    np.testing.assert_allclose(writer.buffer, whole, atol=1e-6)


def test_a_failed_run_goes_on_too(thin_model, make_volume, monkeypatch):
    """The tile that failed counts for nothing."""
    volume, writer = make_volume((8, 32, 16)), ArrayWriter()
    encode = type(thin_model.network).encode
    calls = []

    def fail(self, *inputs):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("the driver is gone")
        return encode(self, *inputs)

    with monkeypatch.context() as patch:
        patch.setattr(type(thin_model.network), "encode", fail)
        with pytest.raises(PredictionError):
            _run(thin_model, volume, writer)
    assert writer.done == 1
    _run(thin_model, volume, writer)
    whole = predict(thin_model, volume, request=FP32).volume.array
    np.testing.assert_array_equal(writer.buffer, whole)


def test_other_work_does_not_go_on_with_it(thin_model, make_volume):
    volume, writer = make_volume((8, 32, 32)), ArrayWriter()
    _run(thin_model, volume, writer, stop_at=1)
    other = FP32.model_copy(update={"structures": ("dna",)})
    with pytest.raises(InputError, match="start over"):
        _run(thin_model, volume, writer, other)
    with pytest.raises(InputError, match="start over"):
        _run(thin_model, make_volume((8, 32, 31)), writer)


@pytest.mark.parametrize("end", ["cancelled", "closed", "failed", "finished"])
def test_nothing_of_a_run_is_alive_after_it(thin_model, make_volume, monkeypatch, end):
    """Neither the network's copy for the device, nor the input, nor tiles."""
    alive, writer = [], ArrayWriter()

    def spy(name):
        made = getattr(run_module, name)

        def make(*args, **kwargs):
            result = made(*args, **kwargs)
            alive.append(weakref.ref(result))
            return result

        return make

    for name in ("read_stack", "Inference"):
        monkeypatch.setattr(run_module, name, spy(name))
    cancel = threading.Event()
    stream = predict_stream(
        thin_model,
        make_volume((8, 32, 32)),
        request=FP32,
        writer=writer,
        cancel=cancel,
    )
    for event in stream:
        if isinstance(event, TileDone):
            if end == "failed":

                def fail(*_):
                    raise RuntimeError("the driver is gone")

                monkeypatch.setattr(type(thin_model.network), "encode", fail)
                with pytest.raises(PredictionError):
                    next(stream)
                break
            if end == "cancelled":
                cancel.set()
            elif end == "closed":
                break
    stream.close()
    gc.collect()
    assert len(alive) == 2
    assert [one() for one in alive] == [None, None]
    assert writer.buffer is not None
