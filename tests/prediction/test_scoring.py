"""A deviation is held against true errors, and said to be bare where it never was."""

from dataclasses import replace

import numpy as np
import pytest

from napari_sparsessp.evaluation.agreement import agreement
from napari_sparsessp.models.card import Calibration, ModelCard
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.scoring import Scorer, deviation_scores
from napari_sparsessp.prediction.tiling import TileSize, cut_tiles
from napari_sparsessp.volume import Grid, Volume

FP32 = PredictionRequest(precision="fp32", device="cpu", uncertainty=True)


def test_a_right_deviation_has_two_thirds_within_and_a_ratio_of_one():
    rng = np.random.default_rng(1)
    deviation = rng.uniform(0.2, 2, (6, 60, 60))
    predicted = rng.normal(size=deviation.shape)
    truth = predicted + deviation * rng.normal(size=deviation.shape)
    truth[0] = np.nan
    found = deviation_scores(predicted, deviation, truth)
    assert found["within_std"] == pytest.approx(0.683, abs=0.01)
    assert found["error_over_std"] == pytest.approx(1, abs=0.02)
    half = deviation_scores(predicted, deviation / 2, truth)
    assert half["error_over_std"] == pytest.approx(2, abs=0.04)
    assert half["within_std"] < 0.4


def test_nothing_known_gives_no_number():
    none = np.full((2, 3, 3), np.nan)
    found = deviation_scores(none, none, none)
    assert found == {"within_std": None, "error_over_std": None}


@pytest.mark.parametrize("axes", ["ZYX", "TZYX"])
def test_the_report_holds_the_deviation_against_the_truth(
    thin_model, make_volume, axes
):
    shape = (8, 24, 32) if axes == "ZYX" else (2, 8, 24, 32)
    volume = make_volume(shape, axes)
    result = predict(thin_model, volume, request=FP32, truth={"dna": volume})
    scores = result.report.structures["dna"]
    assert 0 <= scores["within_std"] <= 1
    assert scores["error_over_std"] > 0
    plain = FP32.model_copy(update={"uncertainty": False})
    report = predict(thin_model, volume, request=plain, truth={"dna": volume}).report
    assert "within_std" not in report.structures["dna"]
    assert report.structures["dna"]["r2"] == scores["r2"]


@pytest.mark.parametrize("room", [None, 0], ids=["in memory", "in blocks"])
def test_interquartile_ranges_above_the_median_are_scored_in_the_truth_s_units(room):
    """What such a model would predict at best has R² 1, tile by tile and at the end."""
    rng = np.random.default_rng(2)
    counts = (100 * rng.gamma(2, 1, (4, 16, 24)) + 7).astype(np.float32)
    low, middle, high = np.percentile(counts, (25, 50, 75))
    best = ((counts - middle) / (high - low)).astype(np.float32)
    truth = Volume(counts, "ZYX", (1.0, 1.0, 1.0))
    grid = Grid(counts.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    channels, output = ("dna", "dna_std"), np.stack([best, np.ones_like(best)])
    scorer = Scorer({"dna": truth}, grid, channels, room, in_iqrs=True)
    scorer.start(None, {})
    (tile,) = cut_tiles(counts.shape, TileSize(4, (32, 32), 8))
    scorer.add(tile, (0, 1), output)
    assert all(one["r2"] > 0.99999 for one in scorer.current().values())
    scores = scorer.final(output)["dna"]
    assert scores["r2"] > 0.99999
    plain = Scorer({"dna": truth}, grid, channels, room)
    plain.start(None, {})
    assert plain.final(output)["dna"]["r2"] < 0.99
    if room is None:
        gap = scorer.final(output + 1) or scores  # an error of a range, as foretold
        assert gap["within_std"] == 1


def test_a_run_and_an_evaluation_agree_on_what_is_in_ranges(thin_model, make_volume):
    card = thin_model.card.model_copy(update={"units": "iqr"})
    volume, request = (
        make_volume((8, 24, 32)),
        FP32.model_copy(update={"uncertainty": False, "structures": ("dna",)}),
    )
    result = predict(
        replace(thin_model, card=card), volume, request=request, truth={"dna": volume}
    )
    report = result.report
    assert report.provenance()["units"] == "iqr"
    assert any("interquartile ranges" in note for note in report.warnings)
    mine = result["dna"].with_(zscored=True, in_iqrs=True)
    found = agreement(volume, mine, "dna").scores["r2"]
    assert found == pytest.approx(report.structures["dna"]["r2"], abs=1e-5)
    z = predict(thin_model, volume, request=request, truth={"dna": volume}).report
    assert z.structures["dna"]["r2"] != pytest.approx(found, abs=1e-3)


def test_a_deviation_without_calibration_is_said_to_be_bare(thin_model, make_volume):
    volume = make_volume((8, 24, 24))
    (text,) = predict(thin_model, volume, request=FP32).report.warnings
    assert "bare spread" in text
    every = {name: Calibration(floor=0, gain=9) for name in thin_model.card.structures}
    card = ModelCard.model_validate(
        thin_model.card.model_dump(by_alias=True) | {"uncertainty": every}
    )
    known = replace(thin_model, card=card)
    assert predict(known, volume, request=FP32).report.warnings == ()
