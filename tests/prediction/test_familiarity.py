"""What the model was not made for is told before the first tile, and marked after."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_sparsessp
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.models.card import ModelCard, Range
from napari_sparsessp.models.registry import read_card
from napari_sparsessp.prediction.domain_shift import check, measure, range_at
from napari_sparsessp.prediction.engine import (
    Started,
    TileDone,
    predict,
    predict_stream,
)
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest

FP32 = PredictionRequest(precision="fp32", device="cpu")
WIDE = (Range(low=-9, high=9),)
SHAPE = (8, 64, 80)


def _knowing(card, **familiarity):
    return ModelCard.model_validate(
        card.model_dump(by_alias=True) | {"familiarity": familiarity}
    )


def _told(card, volume, request=FP32):
    return check(plan_prediction(card, volume, request))


def test_a_model_that_knows_nothing_of_its_images_claims_nothing(
    thin_model, make_volume
):
    assert _told(thin_model.card, make_volume(SHAPE)) == ()


def test_a_trait_within_its_range_and_margin_is_not_told(thin_model, make_volume):
    volume = make_volume(SHAPE)
    plan = plan_prediction(thin_model.card, volume, FP32)
    fine = measure(plan)[0]["fine"]
    just = _knowing(thin_model.card, fine=(Range(low=fine - 1.2, high=fine - 0.2),))
    assert _told(just, volume) == ()
    far = _knowing(thin_model.card, fine=(Range(low=fine - 2, high=fine - 1),))
    (text,) = _told(far, volume)
    assert text.startswith("fine detail is 10 times stronger than in anything")
    assert "thin learned from" in text
    assert "expect invented structures" in text
    other = _knowing(thin_model.card, fine=(Range(low=fine + 1, high=fine + 2),))
    assert "10 times weaker" in _told(other, volume)[0]


def test_one_sentence_for_each_kind_of_difference(thin_model, make_volume):
    """Noise is strong in both bands of fine detail; it is said once, farthest first."""
    spans = {
        "fine": (Range(low=-3, high=-1),),
        "finest": (Range(low=-3, high=-2),),
        "coarse": (Range(low=0.5, high=5),),
    }
    texts = _told(_knowing(thin_model.card, **spans), make_volume(SHAPE))
    assert len(texts) == 2
    assert "finest detail" in texts[0]
    assert "slow changes" in texts[1]


def test_neighbouring_planes_are_compared_at_their_distance(thin_model, make_volume):
    """Noise is as unlike at every distance; what is usual is not."""
    usual = (
        Range(low=0.8, high=1.0, distance=0.29),
        Range(low=-0.5, high=0.5, distance=2.32),
    )
    card = _knowing(thin_model.card, alike_middle=usual)
    dense = _told(card, make_volume(SHAPE))
    assert "less alike" in dense[0]
    assert _told(card, make_volume(SHAPE, voxel=(2.32, 0.29, 0.29))) == ()
    assert range_at(usual, 1.305) == pytest.approx((0.15, 0.75))
    assert range_at(usual, 5.0) is None
    assert range_at((), 1.0) is None


def test_copies_of_one_plane_are_told(thin_model, make_volume):
    """Though 1 is not far above the usual 0.97."""
    usual = (Range(low=0.8, high=0.97, distance=0.29),)
    card = _knowing(thin_model.card, alike_middle=usual, alike_fine=usual)
    volume = make_volume(SHAPE)
    (text,) = _told(card, volume.with_(array=volume.array[[3] * 8]))
    assert "more alike" in text


SAMPLE = Path(napari_sparsessp.__file__).parent / "samples" / "colony_sparse.ome.tif"


@pytest.mark.parametrize(
    "model", ["colony-3to2d", "colony-2d", "colony-3d", "colony-2to3d", "hipsc-dna"]
)
def test_shipped_models_know_the_sample_and_do_not_know_noise(model):
    card = read_card(model)
    sample = load_volume(SAMPLE, channel=0)
    assert _told(card, sample) == ()
    noise = np.random.default_rng(1).normal(size=sample.shape).astype(np.float32)
    assert _told(card, sample.with_(array=noise))


def test_it_is_told_before_the_first_tile_and_marked_after(thin_model, make_volume):
    card = _knowing(thin_model.card, fine=(Range(low=-9, high=-8),))
    model = replace(thin_model, card=card)
    events = list(predict_stream(model, make_volume(SHAPE), request=FP32))
    kinds = [type(event) for event in events]
    started = next(event for event in events if isinstance(event, Started))
    assert len(started.warnings) == 1
    assert kinds.index(Started) < kinds.index(TileDone)
    report = events[-1].report
    assert report.unfamiliar == started.warnings
    assert set(report.unfamiliar) <= set(report.warnings)
    assert report.provenance()["unfamiliar"] == list(report.unfamiliar)


def test_planes_that_were_not_measured_are_not_looked_at(thin_model, make_volume):
    card = _knowing(thin_model.card, fine=WIDE)
    volume = make_volume((16, 40, 40))
    poisoned = volume.array.copy()
    poisoned[np.arange(16) % 4 != 1] = np.nan
    request = FP32.model_copy(
        update={"simulate_sparse": True, "ratio": 4.0, "phase": 1}
    )
    clean, dirty = (
        measure(plan_prediction(card, one, request))
        for one in (volume, volume.with_(array=poisoned))
    )
    assert clean == dirty
    assert clean[1] == pytest.approx(4 * 0.29)


def test_masked_values_do_not_count(thin_model, make_volume):
    card = _knowing(thin_model.card, fine=WIDE)
    volume = make_volume(SHAPE)
    volume.array[0, :9, :9] = np.inf
    model = replace(thin_model, card=card)
    request = FP32.model_copy(update={"mask_invalid": True})
    traits = measure(plan_prediction(card, volume, request))[0]
    assert all(np.isfinite(value) for value in traits.values())
    assert predict(model, volume, request=request).report.unfamiliar == ()


def test_only_the_first_time_point_is_looked_at(thin_model, make_volume):
    """So that the text does not depend on what someone looks at first."""
    card = _knowing(thin_model.card, fine=(Range(low=-9, high=-8),))
    series = make_volume((3, *SHAPE), "TZYX")
    request = FP32.model_copy(update={"time": "1:3"})
    assert _told(card, series, request) == _told(card, series.time(1))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Bright-field", None),
        ("TL Brightfield 20x", None),
        ("Phase", "phase contrast"),
        ("DIC", "DIC"),
        ("DAPI (405)", "fluorescence"),
        ("", None),
    ],
)
def test_a_channel_that_names_another_light_is_told(
    thin_model, make_volume, name, told
):
    card = _knowing(thin_model.card, fine=WIDE)
    texts = _told(card, make_volume(SHAPE, channel_names=(name,)))
    assert bool(texts) == (told is not None)
    if told:
        assert repr(name) in texts[0]
        assert told in texts[0]


def test_clipped_images_and_blocks_of_jpeg_are_told(thin_model, make_volume):
    card = _knowing(thin_model.card, fine=WIDE)
    volume = make_volume(SHAPE)
    clipped = volume.with_(array=volume.array.clip(90, 110))
    (text,) = _told(card, clipped)
    assert "clipped" in text
    blocks = np.random.default_rng(1).normal(100, 90, (8, 8, 10))
    blocks = volume.array + blocks.repeat(8, 1).repeat(8, 2).astype(np.float32)
    (text,) = _told(card, volume.with_(array=blocks))
    assert "JPEG" in text


def test_fields_beyond_one_reading_are_looked_at_in_windows(
    thin_model, make_volume, monkeypatch
):
    from napari_sparsessp.prediction import familiarity

    plan = plan_prediction(thin_model.card, make_volume((4, 300, 400)), FP32)
    at_once = measure(plan)
    monkeypatch.setattr(familiarity, "LARGEST_READ", 1)
    assert measure(plan) == at_once
