"""A prediction from phase that is made first: lazily, honestly, and as recorded."""

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.library import load_model
from napari_sparsessp.prediction import phase_stack
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.normalisation import BlankImage
from napari_sparsessp.prediction.phase import Optics, reconstruct_phase
from napari_sparsessp.prediction.phase_stack import wants_phase
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume
from thin import card_of, save_random, thin_network

OPTICS = {"na": 0.8, "na_condenser": 0.4, "wavelength": 0.6, "index": 1.33}
VOXEL = (0.29, 0.29, 0.29)
SHAPE = (9, 40, 41)


@pytest.fixture(scope="module")
def phase_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("phase") / "phase.safetensors"
    return load_model(save_random(path, thin_network(), modality="quantitative phase"))


def a_request(**changes):
    plain = {"reconstruct": "phase", "device": "cpu", "precision": "fp32", **OPTICS}
    return PredictionRequest(**{**plain, **changes})


def light(shape=SHAPE, seed=3):
    noise = np.random.default_rng(seed).normal(size=shape)
    return (1000 + 100 * noise).astype(np.uint16)


def a_volume(array=None, axes="ZYX", voxel=VOXEL):
    array = light() if array is None else array
    return Volume(array, axes, voxel, ("Bright-field",) * ("C" not in axes))


def test_a_prediction_is_that_of_a_stack_of_phase(phase_model):
    made = reconstruct_phase(light(), VOXEL, Optics(**OPTICS))
    expected = predict(phase_model, Volume(made, "ZYX", VOXEL), request=a_request(
        reconstruct=None, **dict.fromkeys(OPTICS)))  # fmt: skip
    result = predict(phase_model, a_volume(), request=a_request())
    assert np.array_equal(result["dna"].array, expected["dna"].array)
    request = result.report.provenance()["request"]
    assert {name: request[name] for name in OPTICS} == OPTICS
    assert request["reconstruct"] == "phase"
    assert not any("learned from" in one for one in result.report.warnings)


def test_only_measured_planes_are_looked_at(phase_model):
    request = a_request(simulate_sparse=True, ratio=2)
    thinned = light()
    thinned[1::2] = 0
    whole, blind = (
        predict(phase_model, a_volume(one), request=request)["dna"].array
        for one in (light(), thinned)
    )
    assert np.array_equal(whole, blind)


def test_time_points_are_made_one_by_one(phase_model, monkeypatch):
    made = []
    make = phase_stack.PhaseArray._make
    monkeypatch.setattr(
        phase_stack.PhaseArray,
        "_make",
        lambda self, time, progress: made.append(time) or make(self, time, progress),
    )
    lapse = np.stack([light(seed=k) for k in range(3)])
    plan = plan_prediction(phase_model.card, a_volume(lapse, "TZYX"), a_request())
    assert made == []
    result = predict(phase_model, a_volume(lapse, "TZYX"), request=a_request())
    assert made == [0, 1, 2]
    last = predict(phase_model, a_volume(lapse[2]), request=a_request())
    assert np.array_equal(result["dna"].array[2], last["dna"].array)
    kept = plan.volume.array
    assert np.array_equal(kept[1:][0], kept.stack(1))
    planes = plan.volume.time(1).planes([3, 0])
    assert np.array_equal(planes, kept.stack(1)[[3, 0]])


def test_a_stack_that_is_read_by_region_gives_the_same(phase_model, small_share):
    whole = predict(phase_model, a_volume(), request=a_request())
    small_share(9000)
    parts = predict(phase_model, a_volume(), request=a_request())
    assert np.allclose(whole["dna"].array, parts["dna"].array, atol=1e-5)


def test_what_is_no_image_stays_none_and_reaches_no_neighbour(phase_model):
    array = light().astype(np.float32)
    array[4, 10:12, 10:12] = np.nan
    array[:, :, :6] = 0  # Padding
    array[6, :, 6:] = 3  # The shutter was closed
    plan = plan_prediction(phase_model.card, a_volume(array), a_request())
    phase = plan.volume.array[...]
    assert np.isnan(phase[4, 10:12, 10:12]).all()
    assert (phase[:6, :, :6] == phase_stack.NO_IMAGE).all()
    assert (phase[6, :, 6:] == 0).all()
    shown = phase[:, :, 6:]
    assert np.nanmax(np.abs(shown)) < 10
    with pytest.raises(InputError, match="--mask-invalid"):
        predict(phase_model, a_volume(array), request=a_request())
    masked = predict(phase_model, a_volume(array), request=a_request(mask_invalid=True))
    assert np.isnan(masked["dna"].array[4, 10:12, 10:12]).all()
    assert any("plane 6" in one for one in masked.report.warnings)


def test_a_blank_time_point_stays_blank(phase_model):
    lapse = np.stack([light(), np.full_like(light(), 7)])
    result = predict(phase_model, a_volume(lapse, "TZYX"), request=a_request())
    assert np.isnan(result["dna"].array[1]).all()
    with pytest.raises(BlankImage):
        predict(phase_model, a_volume(lapse[1]), request=a_request())


def test_a_large_stack_is_kept_in_a_file(phase_model, monkeypatch):
    expected = predict(phase_model, a_volume(), request=a_request())
    monkeypatch.setattr(phase_stack, "IN_MEMORY", 0)
    plan = plan_prediction(phase_model.card, a_volume(), a_request())
    assert isinstance(plan.volume.array.stack(None), np.memmap)
    result = predict(phase_model, a_volume(), request=a_request())
    assert np.array_equal(result["dna"].array, expected["dna"].array)


@pytest.mark.parametrize(
    ("changes", "voxel", "words"),
    [
        *(({name: None}, VOXEL, f"--{name.replace('_', '-')}") for name in OPTICS),
        ({}, None, "--voxel-size"),
        ({"reconstruct": None}, VOXEL, "--reconstruct"),
        ({"na": 1.4}, VOXEL, "index"),
    ],
)
def test_what_is_missing_is_named(phase_model, changes, voxel, words):
    with pytest.raises(InputError, match=words):
        plan_prediction(phase_model.card, a_volume(voxel=voxel), a_request(**changes))


def test_planes_too_far_apart_and_another_model_are_warned_of(phase_model, thin_model):
    sparse = a_volume(voxel=(1.16, 0.29, 0.29))
    plan = plan_prediction(phase_model.card, sparse, a_request())
    assert any("1.16 µm apart" in one for one in plan.warnings)
    plan = plan_prediction(thin_model.card, a_volume(), a_request())
    assert any("learned from bright-field" in one for one in plan.warnings)
    plan = plan_prediction(phase_model.card, a_volume(), a_request())
    assert not plan.warnings
    plan = plan_prediction(phase_model.card, a_volume(), PredictionRequest())
    assert any("--reconstruct phase" in one for one in plan.warnings)


def test_nanometres_are_refused():
    with pytest.raises(ValueError, match=r"550 nm are 0\.55"):
        a_request(wavelength=550)


@pytest.mark.parametrize(
    ("modality", "wanted"),
    [
        ("quantitative phase", True),
        ("phase from bright-field", True),
        ("phase contrast", False),
        ("phase-contrast", False),
        ("bright-field", False),
    ],
)
def test_phase_is_not_phase_contrast(modality, wanted):
    assert wants_phase(card_of(thin_network(), modality=modality)) is wanted
