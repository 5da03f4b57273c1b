"""One lost time point does not stop a time-lapse, and truths go by time."""

import threading
from contextlib import nullcontext

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.streaming import PredictionWriter
from napari_sparsessp.prediction.engine import (
    ArrayWriter,
    Finished,
    PredictionCancelled,
    TileDone,
    predict,
    predict_stream,
)
from napari_sparsessp.prediction.request import PredictionRequest

FP32 = PredictionRequest(precision="fp32", device="cpu", tile=(8, 16, 16))
SHAPE = (4, 8, 24, 16)


@pytest.fixture
def lapse(make_volume):
    return make_volume(SHAPE, "TZYX")


def spoilt(lapse, *times, value=0):
    array = lapse.array.copy()
    array[list(times)] = value
    return lapse.with_(array=array)


@pytest.mark.parametrize("value", [0, 65_535, np.nan])
@pytest.mark.parametrize("time", [0, 2])
def test_a_blank_time_point_is_left_blank_and_said(thin_model, lapse, time, value):
    whole = predict(thin_model, lapse, request=FP32)
    found = predict(thin_model, spoilt(lapse, time, value=value), request=FP32)
    others = [k for k in range(4) if k != time]
    values, expected = found.volume.array, whole.volume.array
    assert np.isnan(values[time]).all()
    np.testing.assert_array_equal(values[others], expected[others])
    assert found.report.warnings == (
        f"1 of 4 time points show nothing and are left blank (NaN): time point {time}",
    )
    scales = found.report.normalisation
    assert [scale.std == 0 for scale in scales] == [k == time for k in range(4)]
    assert scales[others[0]] == whole.report.normalisation[others[0]]


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("stop", [3, 5])  # before and in the blank one
def test_a_stopped_lapse_with_a_blank_time_point_goes_on(
    thin_model, lapse, tmp_path, stored, stop
):
    volume = spoilt(lapse, 1).with_(source="lapse.tif")
    whole = predict(thin_model, volume, request=FP32)
    path, array, cancel = tmp_path / "o.ome.zarr", ArrayWriter(), threading.Event()
    for again in (False, True):
        sink = PredictionWriter(path, resume=again) if stored else nullcontext(array)
        cancel.clear()
        with sink as writer:
            for event in predict_stream(
                thin_model, volume, request=FP32, writer=writer, cancel=cancel
            ):
                if isinstance(event, TileDone) and not again and event.done == stop:
                    cancel.set()
                if stored and isinstance(event, Finished):
                    writer.finish(event.report.provenance())
        assert isinstance(event, Finished if again else PredictionCancelled)
    values = load_volume(path).numpy() if stored else array.buffer
    np.testing.assert_array_equal(values, whole.volume.array)
    assert event.report.warnings == whole.report.warnings


def test_nothing_but_blank_time_points_is_an_error(thin_model, lapse):
    with pytest.raises(InputError, match="every time point is blank"):
        predict(thin_model, spoilt(lapse, 0, 1, 2, 3), request=FP32)
    one = FP32.model_copy(update={"time": "2"})
    with pytest.raises(InputError, match="time point 2: the image is constant.* or ch"):
        predict(thin_model, spoilt(lapse, 2), request=one)
    given = one.model_copy(update={"normalisation": (100, 20)})
    result = predict(thin_model, spoilt(lapse, 2, value=100), request=given)
    assert np.isfinite(result.volume.array).all()


def test_time_points_that_a_truth_lacks_do_not_count(thin_model, lapse):
    """Nor those that the stack lacks."""
    truth = {"dna": lapse.with_(array=np.roll(lapse.array, 1, 3))}

    def scored(volume, truth):
        report = predict(thin_model, volume, request=FP32, truth=truth).report
        return report.structures["dna"], report.warnings

    alone, _ = scored(lapse.time(3), {"dna": truth["dna"].time(3)})
    lost = {"dna": spoilt(truth["dna"], 0, 1)}
    scores, warnings = scored(spoilt(lapse, 2), lost)
    assert scores["n"] == 1
    assert scores["r2"] == pytest.approx(alone["r2"])
    assert "the truth of dna: nothing at time points 0, 1, not scored there" in warnings


def test_a_truth_at_every_second_time_point_is_matched_to_those_predicted(
    thin_model, lapse
):
    truth = lapse.with_(array=np.roll(lapse.array, 1, 3))
    chosen = FP32.model_copy(update={"time": "::2"})

    def scores(given, request):
        result = predict(thin_model, lapse, request=request, truth={"dna": given})
        return result.report.structures["dna"]

    half = truth.with_(array=truth.array[::2])
    assert scores(half, chosen) == scores(truth, chosen)
    with pytest.raises(InputError, match="has 2 time points, the input 4; say .*0::2"):
        scores(half, FP32)
    timed = {"dna": half.with_(time_step=600.0)}
    result = predict(
        thin_model, lapse.with_(time_step=300.0), request=FP32, truth=timed
    )
    assert result.report.structures["dna"] == scores(truth, chosen)
    assert "nothing at time points 1, 3, not scored" in result.report.warnings[0]
    long = truth.with_(array=np.repeat(truth.array, 2, 0))
    with pytest.raises(InputError, match="8 time points, the input 4; cut the truth"):
        scores(long, FP32)
