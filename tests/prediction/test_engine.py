"""How a run goes; its numerical promises are in test_promises.py."""

import numpy as np
import pytest

from napari_sparsessp import metrics
from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.engine import (
    ArrayWriter,
    Finished,
    Planned,
    Started,
    StructureDone,
    TileDone,
    predict,
    predict_stream,
)
from napari_sparsessp.prediction.request import PredictionRequest

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


def test_a_truth_of_uneven_planes_is_scored_where_it_was_recorded(
    thin_model, make_volume
):
    """As its input is; the dense truth of which it is a part gives the same there."""
    volume = make_volume((16, 24, 24))
    ramp = np.arange(16, dtype=np.float32)[:, None, None] + volume.array[:1]
    kept = [0, 1, 2, 9, 15]
    heights = (tuple(0.29 * z for z in kept),)
    dense = volume.with_(array=ramp)
    uneven = dense.with_(array=ramp[kept], plane_z=heights)
    scores, scores_dense = (
        predict(thin_model, volume, request=FP32, truth={"dna": one}).report
        for one in (uneven, dense)
    )
    assert "not evenly spaced" in " ".join(scores.warnings)
    wanted = scores_dense.structures["dna"]["r2"]
    assert scores.structures["dna"]["r2"] == pytest.approx(wanted, abs=1e-4)


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


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"structures": [3]}, "structures"),
        ({"ratio": "a"}, "ratio"),
        ({"request": PredictionRequest(device="tpu")}, "auto, cpu"),
        ({"writer": ArrayWriter(np.zeros((1, 8, 16, 16)))}, "float32 zeros of shape"),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(thin_model, make_volume, given, text):
    """Before anything is computed, whatever Python lets through."""
    with pytest.raises(InputError, match=text):
        predict_stream(thin_model, make_volume((8, 16, 16)), **given)


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
    assert report["measured_planes"] == list(range(8))
    assert list(result) == list(thin_model.card.structures)
