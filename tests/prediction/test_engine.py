"""How a run goes; its numerical promises are in test_promises.py."""

import threading

import numpy as np
import pytest

from napari_sparsessp import metrics
from napari_sparsessp.errors import InputError, PredictionError
from napari_sparsessp.prediction.engine import (
    ArrayWriter,
    Finished,
    Planned,
    PredictionCancelled,
    Started,
    StructureDone,
    TileDone,
    predict,
    predict_stream,
)
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume

FP32 = PredictionRequest(precision="fp32", device="cpu")


def _request(**changes):
    return FP32.model_copy(update=changes)


def _array(result):
    return np.asarray(result.volume.array)


def test_what_is_on_screen_comes_first(thin_model, make_volume):
    """Someone looks at the far corner."""
    box = (slice(15, 16), slice(60, 70), slice(60, 70))
    events = predict_stream(
        thin_model,
        make_volume((16, 70, 70)),
        request=_request(tile=(8, 24, 24)),
        viewport=lambda: (None, box),
    )
    first = next(event for event in events if isinstance(event, TileDone))
    assert first.box[1].stop == 70
    assert first.box[2].stop == 70


def test_the_report_names_the_measured_planes(thin_model, make_volume):
    """On the dense grid."""
    request = _request(simulate_sparse=True, ratio=4, phase=1)
    result = predict(thin_model, make_volume((16, 30, 30)), request=request)
    assert result.report.measured_planes == (1, 5, 9, 13)


def test_events_come_in_order(thin_model, make_volume):
    """Planned, started, tiles, structures, finished; the report fits."""
    volume = make_volume((16, 40, 40))
    request = _request(tile=(8, 24, 24))
    truth = {"dna": make_volume((16, 40, 40))}
    events = list(predict_stream(thin_model, volume, request=request, truth=truth))
    kinds = [type(event) for event in events]
    tiles = [event for event in events if isinstance(event, TileDone)]
    assert kinds[:2] == [Planned, Started]
    assert kinds[-4:] == [StructureDone] * 3 + [Finished]
    assert [tile.done for tile in tiles] == list(range(1, len(tiles) + 1))
    assert tiles[-1].total == len(tiles) == events[0].plan.total_tiles
    assert tiles[-1].seconds_left == 0
    report = events[-1].report
    assert report.shape.output == (3, 16, 40, 40)
    assert set(report.structures) == {"dna"}
    assert len(report.structures["dna"]["r2_per_plane"]) == 16
    # Running scores over all cores are those of the (unblended) whole.
    assert tiles[-1].scores["dna"]["r2"] == pytest.approx(
        report.structures["dna"]["r2"], abs=0.05
    )


def test_cancel_takes_effect_before_the_next_tile(thin_model, make_volume):
    """What is done stays in the buffer, the rest stays empty."""
    cancel = threading.Event()
    events = []
    for event in predict_stream(
        thin_model,
        make_volume((8, 64, 64)),
        request=_request(tile=(8, 16, 16)),
        cancel=cancel,
    ):
        events.append(event)
        if isinstance(event, TileDone) and event.done == 2:
            cancel.set()
    assert events[-1] == PredictionCancelled(2, 16)
    buffer = events[0].buffer
    assert np.abs(buffer).max() > 0
    assert not buffer[:, :, 40:, 40:].any()


def test_time_on_screen_comes_first(thin_model, make_volume):
    """The current time point, then the rest; each equals its own prediction."""
    volume = make_volume((3, 6, 24, 24), "TZYX")
    box = (slice(0, 1), slice(0, 24), slice(0, 24))
    events = list(
        predict_stream(thin_model, volume, request=FP32, viewport=lambda: (2, box))
    )
    tiles = [event for event in events if isinstance(event, TileDone)]
    assert [tile.time for tile in tiles] == [2, 0, 1]
    alone = _array(predict(thin_model, volume.time(1), request=FP32))
    np.testing.assert_array_equal(events[0].buffer[1], alone)


def test_flips_are_averaged_the_right_way_round(thin_model, make_volume):
    """With --tta a mirrored image gives the mirrored prediction."""
    volume = make_volume((8, 24, 32))
    mirrored = volume.with_(array=volume.array[:, :, ::-1].copy())
    request = _request(tta=True)
    one = _array(predict(thin_model, volume, request=request))
    other = _array(predict(thin_model, mirrored, request=request))
    np.testing.assert_allclose(one, other[..., ::-1], atol=1e-5)


def test_input_grid_is_the_model_grid_resampled(thin_model, make_volume):
    """Same field, the input's pixels."""
    volume = make_volume((8, 30, 30), voxel=(0.29, 0.58, 0.58))
    result = predict(thin_model, volume, request=_request(grid="input"))
    assert result.volume.shape == (3, 8, 30, 30)
    assert result.volume.voxel_size == (0.29, 0.58, 0.58)
    model = _array(predict(thin_model, volume, request=FP32))
    ours = _array(result)
    means = [a.reshape(3, -1).mean(1) for a in (model, ours)]
    np.testing.assert_allclose(*means, atol=0.02 * model.std())


def test_invalid_values_are_refused_or_masked(thin_model, make_volume):
    """Where they are is said; masked on request only."""
    volume = make_volume((8, 24, 24))
    volume.array[3, 5, 6] = np.inf
    with pytest.raises(InputError, match="first in plane 3"):
        predict(thin_model, volume, request=FP32)
    result = predict(thin_model, volume, request=_request(mask_invalid=True))
    invalid = ~np.isfinite(_array(result))
    assert invalid[:, 3, 5, 6].all()
    assert invalid.sum() == 3


def test_planes_beyond_the_truth_are_not_scored(thin_model, make_volume):
    """The rest counts as if the grid ended there."""
    volume = make_volume((4, 24, 24), voxel=(1.16, 0.29, 0.29))
    truth = make_volume((13, 24, 24))
    result = predict(thin_model, volume, request=FP32, truth={"dna": truth})
    scores = result.report.structures["dna"]
    assert [one is None for one in scores["r2_per_plane"]] == [False] * 13 + [True] * 3
    expected = metrics.score(result["dna"].array[:13], truth.array)
    assert scores["r2"] == pytest.approx(expected["r2"], abs=1e-6)
    assert scores["pcc_plane"] == pytest.approx(expected["pcc_plane"], abs=1e-6)


def test_arguments_of_the_wrong_kind_are_one_clear_error(thin_model, make_volume):
    """Whatever Python lets through."""
    with pytest.raises(InputError, match="structures"):
        predict_stream(thin_model, make_volume((4, 24, 24)), structures=[3])
    with pytest.raises(InputError, match="ratio"):
        predict_stream(thin_model, make_volume((4, 24, 24)), ratio="a")


def test_a_constant_image_is_refused(thin_model):
    """Nothing to predict from."""
    volume = Volume(np.full((8, 16, 16), 7, np.uint16), "ZYX", (0.29,) * 3)
    with pytest.raises(InputError, match="constant"):
        predict(thin_model, volume)


def test_hot_pixels_do_not_change_the_scale(thin_model, make_volume):
    """Ten saturated pixels leave the rest of the prediction where it was."""
    volume = make_volume((8, 64, 64))
    hot = volume.array.copy()
    hot[0, 0, :10] = 1e6
    before = predict(thin_model, volume, request=FP32).report.normalisation[0]
    after = predict(
        thin_model, volume.with_(array=hot), request=FP32
    ).report.normalisation[0]
    assert after.std == pytest.approx(before.std, rel=0.02)
    assert after.mean == pytest.approx(before.mean, rel=0.02)


def test_a_buffer_of_the_wrong_shape_is_refused(thin_model, make_volume):
    """Before anything is computed."""
    with pytest.raises(InputError, match="float32 zeros of shape"):
        predict_stream(
            thin_model,
            make_volume((8, 16, 16)),
            writer=ArrayWriter(np.zeros((1, 8, 16, 16))),
        )


def test_an_unknown_device_lists_those_there_are(thin_model, make_volume):
    """auto and cpu at least."""
    request = PredictionRequest(device="tpu")
    with pytest.raises(InputError, match="auto, cpu"):
        predict(thin_model, make_volume((8, 16, 16)), request=request)


def test_a_failing_device_becomes_one_clear_error(thin_model, make_volume, monkeypatch):
    """RuntimeErrors never leave the engine: napari would swallow them."""

    def fail(*_):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")

    monkeypatch.setattr(type(thin_model.network), "encode", fail)
    with pytest.raises(PredictionError, match="smallest tiles") as caught:
        predict(thin_model, make_volume((8, 16, 16)), request=FP32)
    assert "\n" not in str(caught.value)


def test_report_is_the_contract(thin_model, make_volume):
    """Field names that others read."""
    import json

    volume = make_volume((8, 16, 16))
    result = predict(thin_model, volume, request=FP32, truth={"dna": volume})
    report = json.loads(result.report.to_json())
    fields = "schema package model input ratio measured_planes shape device precision"
    fields += " seconds peak_memory_mb tiles structures warnings"
    assert set(fields.split()) <= set(report)
    assert set(report["seconds"]) == {"load", "first_tile", "total"}
    scores = "r2 mse mae pcc pcc_plane ssim psnr nrmse r2_per_plane"
    assert set(report["structures"]["dna"]) == set(scores.split())
    assert report["peak_memory_mb"] > 1
    assert list(result) == list(thin_model.card.structures)
