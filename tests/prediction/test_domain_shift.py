"""What the model was not made for is told before the first tile, and marked after."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_sparsessp
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.models.card import ModelCard, Range, is_foreign, made_for
from napari_sparsessp.models.library import read_card
from napari_sparsessp.prediction.domain_shift import (
    check,
    image_traits,
    measure,
    neighbours,
    range_at,
    recording_traits,
    windows,
)
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


def test_a_trait_within_its_range_and_margin_is_not_told(thin_model, make_volume):
    volume = make_volume(SHAPE)
    assert _told(thin_model.card, volume) == ()  # it knows nothing of its images
    plan = plan_prediction(thin_model.card, volume, FP32)
    fine = measure(plan)[0]["fine"]
    just = _knowing(thin_model.card, fine=(Range(low=fine - 1.2, high=fine - 0.2),))
    assert _told(just, volume) == ()
    far = _knowing(thin_model.card, fine=(Range(low=fine - 2, high=fine - 1),))
    (text,) = _told(far, volume)
    assert text.startswith("your image has more fine detail than the training images")
    assert "images of thin (fine detail 10 times stronger): noise" in text
    assert "structures may be invented: check channel and voxel size" in text
    other = _knowing(thin_model.card, fine=(Range(low=fine + 1, high=fine + 2),))
    assert "is blurrier than the training images" in _told(other, volume)[0]
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
    plain = recording_traits([volume.array])
    assert plain["saturated"] < 1e-3
    assert plain["blocks"] < 1.1
    clipped = volume.with_(array=volume.array.clip(90, 120))  # one σ
    (text,) = _told(card, clipped)
    assert "clipped" in text
    share = recording_traits([clipped.array])["saturated"]
    assert share == pytest.approx(0.31, abs=0.01)
    level = np.random.default_rng(1).normal(100, 90, 10).repeat(8)
    grid = np.random.default_rng(1).normal(100, 90, (8, 10)).repeat(8, 0).repeat(8, 1)
    (text,) = _told(card, volume.with_(array=volume.array + np.float32(grid)))
    assert "JPEG" in text
    wave = np.sin(np.arange(80) * 2 * np.pi / 8) * 90
    for periodic in (level, level[:64, None], wave + wave[:64, None]):
        other = volume.with_(array=volume.array + np.float32(periodic))
        assert not any("JPEG" in text for text in _told(card, other))


@pytest.mark.parametrize("side", [32, 64])
def test_a_small_field_is_not_taken_for_jpeg(side):
    chance = np.random.default_rng(side)
    fields = (chance.normal(size=(3, side, side)) for _ in range(100))
    assert all(recording_traits([one])["blocks"] < 1.2 for one in fields)


def test_fields_beyond_one_reading_are_looked_at_in_windows(
    thin_model, make_volume, monkeypatch
):
    from napari_sparsessp.prediction import domain_shift

    plan = plan_prediction(thin_model.card, make_volume((4, 300, 400)), FP32)
    at_once = measure(plan)
    monkeypatch.setattr(domain_shift, "LARGEST_READ", 1)
    assert measure(plan) == at_once


PIXEL = 0.29
PAIRS = [(0, 1), (1, 2), (2, 3)]


def _waves(cycles, size=128, planes=4, phase=0.0):
    """Planes of one sine, `cycles` per µm, each `phase` further than the last."""
    x = np.arange(size) * PIXEL
    rows = [np.sin(2 * np.pi * (cycles * x + phase * k)) for k in range(planes)]
    return np.stack([np.tile(row, (size, 1)) for row in rows])


@pytest.mark.parametrize(
    ("cycles", "band"), [(0.1, "coarse"), (0.75, "fine"), (1.2, "finest")]
)
def test_a_bands_power_is_told_in_powers_of_ten_of_the_middle(cycles, band):
    both = _waves(0.3) + np.sqrt(10) * _waves(cycles)
    traits = image_traits([both], PAIRS, PIXEL)
    assert traits[band] == pytest.approx(1, abs=0.02)


def test_planes_alike_and_opposite_are_told():
    same = image_traits([_waves(0.3) + _waves(0.75)], PAIRS, PIXEL)
    assert same["alike_middle"] == pytest.approx(1)
    against = _waves(0.3) + _waves(0.75, phase=0.5)
    traits = image_traits([against], PAIRS, PIXEL)
    assert traits["alike_middle"] == pytest.approx(1, abs=0.01)
    assert traits["alike_fine"] == pytest.approx(-1, abs=0.01)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 100), st.floats(-100, 100), st.sampled_from([1, -1]))
def test_gain_and_offset_do_not_count(gain, offset, sign):
    """But for the sign, which an inverted image's skewness has."""
    stack = np.random.default_rng(1).gamma(2, 1, (4, 96, 96))
    plain = image_traits([stack], PAIRS, PIXEL)
    changed = image_traits([sign * gain * stack + offset], PAIRS, PIXEL)
    plain["skewness"] *= sign
    assert changed == pytest.approx(plain, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(
    planes=st.integers(1, 4), height=st.integers(1, 20), width=st.integers(1, 20),
    level=st.sampled_from([0.0, 1.0]),
)  # fmt: skip
def test_any_shape_gives_finite_numbers(planes, height, width, level):
    rng = np.random.default_rng(4)
    piece = level * rng.normal(size=(planes, height, width)).astype(np.float32)
    pairs = [(k, k + 1) for k in range(planes - 1)]
    traits = image_traits([piece], pairs, PIXEL) | recording_traits([piece])
    assert all(np.isfinite(value) for value in traits.values())


def test_what_the_pixels_could_not_show_is_left_out():
    stack = np.random.default_rng(5).normal(size=(4, 128, 128))
    assert "finest" in image_traits([stack], PAIRS, PIXEL, nyquist=1.5)
    traits = image_traits([stack], PAIRS, PIXEL, nyquist=0.9)
    assert not {"fine", "finest", "alike_fine"} & set(traits)


def test_a_single_plane_has_no_neighbours():
    assert neighbours(1) == []
    assert neighbours(2) == [(0, 1)]
    assert neighbours(100) == [(0, 1), (33, 34), (65, 66), (98, 99)]
    traits = image_traits([_waves(0.3, planes=1) + _waves(0.75, planes=1)], [], PIXEL)
    assert "fine" in traits
    assert "alike_middle" not in traits


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 5000), side=st.integers(1, 500))
def test_windows_lie_inside_and_on_multiples_of_eight(size, side):
    found = windows(size, side)
    assert 1 <= len(found) <= 2
    for one in found:
        assert 0 <= one.start < one.stop <= size
        assert one.stop - one.start == min(size, side)
        assert one.start % 8 == 0


# Models of others -------------------------------------------------------------------


@pytest.fixture
def foreign(thin_model):
    """The thin model as if others had trained it, on stacks of 8 planes."""
    return thin_model.card.model_copy(
        update={
            "source": {"format": "pytorch_fnet", "file": "model.p"},
            "trained_on": "hiPSC colonies, 100×",
            "ratios": (1.0,),
        }
    )


def _all_told(card, volume, request=FP32):
    plan = plan_prediction(card, volume, request)
    return [*plan.warnings, *check(plan)]


def test_a_stack_like_that_of_a_foreign_model_needs_no_word(foreign, make_volume):
    more = {"channel_names": ("Bright-field",)}
    assert _all_told(foreign, make_volume(SHAPE, **more)) == []
    assert _all_told(foreign, make_volume(SHAPE, voxel=(0.29, 0.35, 0.25))) == []
    assert made_for(foreign) == "hiPSC colonies, 100×, bright-field, 0.29 µm"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"voxel": (0.29, 0.145, 0.145)}, "are 1/2 of the 0.29 µm"),
        ({"voxel": (0.29, 0.58, 0.58)}, "are 2 times the 0.29 µm"),
        ({"voxel": (1.16, 0.29, 0.29)}, "planes 1.16 µm apart are coarser than the 0"),
        ({"shape": (5, 64, 80)}, "is 5 planes deep .* saw 8 at a time"),
        ({"channel_names": ("DIC",)}, "called 'DIC', .* learned from bright-field"),
    ],
)
def test_each_difference_from_a_foreign_model_is_one_sentence_with_advice(
    foreign, make_volume, change, words
):
    shape = change.pop("shape", SHAPE)
    (text,) = _all_told(foreign, make_volume(shape, **change))
    assert re.search(words, text)
    assert re.search("; (image|choose)", text)


@pytest.mark.parametrize(
    ("name", "words"),
    [("Phase3D", ""), ("phase", ""), ("BF", "make phase from bright"), ("DIC", "DIC")],
)
def test_a_channel_called_phase_may_be_quantitative(foreign, make_volume, name, words):
    card = foreign.model_copy(update={"modality": "quantitative phase"})
    told = _all_told(card, make_volume(SHAPE, channel_names=(name,)))
    assert len(told) == bool(words)
    assert words in "".join(told)


def test_a_bundle_of_foreign_models_is_foreign(foreign, thin_model):
    assert is_foreign(thin_model.card.model_copy(update={"members": (foreign,)}))
    assert not is_foreign(thin_model.card)
    assert made_for(thin_model.card) == ""
    ranged = foreign.model_copy(update={"familiarity": {"fine": WIDE}})
    assert not is_foreign(ranged)


def test_the_report_says_what_a_foreign_model_was_made_for(
    foreign, thin_model, make_volume
):
    model = replace(thin_model, card=foreign)
    report = predict(model, make_volume(SHAPE), request=FP32).report
    assert report.made_for == made_for(foreign)
    assert "hiPSC colonies" in report.to_json()
