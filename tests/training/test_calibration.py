"""The errors that a new model's card expects are those of what was kept back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import napari_sparsessp
from napari_sparsessp.errors import PredictionError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.models.card import Range
from napari_sparsessp.models.library import load_model
from napari_sparsessp.prediction.domain_shift import SEEN
from napari_sparsessp.prediction.domain_shift import check as unfamiliar
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.training import calibration
from napari_sparsessp.training.calibration import calibrations, joined, learned_ranges
from napari_sparsessp.training.patches import Pair, PatchRecipe
from napari_sparsessp.volume import Volume, content_hash
from thin import card_of, save_random, thin_network

FP32 = ("cpu", "fp32")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "thin.safetensors"
    names = ("dna", "golgi_apparatus")
    return load_model(save_random(path, thin_network(), structures=names))


def _pair(model, depth=8, noise=0.5, **more):
    """A stack whose truth is what the model predicts of it, and noise."""
    chance = np.random.default_rng(0)
    look = chance.normal(size=(1, depth, 48, 40)).astype(np.float32)
    request = PredictionRequest(
        ratio=1, normalisation=(0, 1), device="cpu", precision="fp32"
    )
    light = Volume(look[0], "ZYX", model.card.voxel_size)
    truth = np.asarray(predict(model, light, request=request).volume.array)
    return Pair(look, truth + noise * chance.normal(size=truth.shape), **more)


def _dense(model):
    return _with(model, ratios=(1.0,))


def _with(model, **fields):
    card = model.card.model_copy(update=fields)
    return type(model)(card, model.network, model.sha256, model.path)


def test_the_expected_error_is_that_of_the_prediction_that_is_shown(model):
    """Also at a ratio: what is not measured there adds to it."""
    pair = _pair(model)
    found = calibrations(_dense(model), [pair], *FP32)
    assert found.keys() == {"dna", "golgi_apparatus"}
    for one in found.values():
        assert one.floor == pytest.approx(0.5, rel=0.1)
    sparse = calibrations(model, [pair], *FP32)
    assert sparse["dna"].expected_error(1.0) > found["dna"].floor


def test_masked_voxels_and_structures_without_truth_do_not_count(model):
    pair = _pair(model, outputs=(0, 1))
    mask = np.ones((8, 48, 40), bool)
    mask[:, :, :9] = False
    targets = pair.targets[:1].copy()
    targets[:, :, :, :9] = 1000
    masked = Pair(pair.looks, targets, (0,), (mask,))
    found = calibrations(_dense(model), [masked], *FP32)
    assert found.keys() == {"dna"}
    assert found["dna"].floor == pytest.approx(0.5, rel=0.1)


def test_a_projection_is_held_against_its_one_plane(model):
    flat = _with(_dense(model), z_projection="mean")
    pair = _pair(model, noise=0)
    target = pair.targets.mean(1, keepdims=True) + 0.3
    found = calibrations(flat, [Pair(pair.looks, target)] * 2, *FP32)
    error = found["dna"].expected_error(0.0)
    assert error == pytest.approx(0.3, rel=0.2)


def test_too_few_voxels_give_no_calibration(model):
    pair = _pair(model)
    tiny = Pair(pair.looks[..., :5, :5], pair.targets[..., :5, :5])
    assert calibrations(model, [], *FP32) == {}
    assert calibrations(model, [tiny], *FP32) == {}
    assert calibrations(model, [tiny, pair], *FP32).keys() == set(model.card.structures)


def test_a_device_that_fails_costs_no_model(model, monkeypatch):
    """The weights are worth more than what is known of their errors."""

    def failing(*_, **__):
        raise PredictionError("out of memory; close other programs")

    monkeypatch.setattr(calibration, "predict", failing)
    assert calibrations(model, [_pair(model)], *FP32) == {}


SAMPLE = Path(napari_sparsessp.__file__).parent / "samples" / "colony_sparse.ome.tif"
RECIPE = PatchRecipe(depth=8, height=16, width=16, ratios=(1, 2))


@pytest.fixture(scope="module")
def sample():
    return load_volume(SAMPLE, channel=0)


@pytest.fixture(scope="module")
def quarters(sample):
    """Stacks of the same kind, which differ as fields of one dish do."""
    stack = sample.numpy()
    half = stack.shape[-1] // 2
    return [stack[:, y : y + half, x : x + half] for y in (0, half) for x in (0, half)]


@pytest.fixture(autouse=True)
def fewer_windows(monkeypatch):
    """Enough for a colony and a blurred colony to differ."""
    monkeypatch.setattr(calibration, "WINDOWS", 30)


def _pairs(stacks):
    looks = [np.asarray(one, np.float32) for one in stacks]
    looks = [(one - one.mean()) / one.std() for one in looks]
    return [Pair(one[None], [one]) for one in looks]


def warnings_of(volume, ranges):
    card = card_of(
        thin_network(), familiarity=ranges, voxel_size=volume.voxel_size, ratios=(1,)
    )
    return unfamiliar(plan_prediction(card, volume, PredictionRequest(ratio=1)))


def test_another_field_is_familiar_and_a_blurred_one_is_not(sample, quarters):
    """A model of small patches, for an image that is looked at in larger windows."""
    ranges = learned_ranges(_pairs(quarters[:3]), RECIPE, sample.voxel_size)
    other = sample.with_(array=quarters[3])
    assert warnings_of(other, ranges) == ()
    blurred = gaussian_filter(other.array.astype(np.float32), (0, 4, 4))
    assert "weaker" in warnings_of(other.with_(array=blurred), ranges)[0]
    copies = other.with_(array=quarters[3][[2] * 8])
    assert "more alike" in warnings_of(copies, ranges)[0]


def test_a_stack_that_the_model_learned_from_is_recognised(sample):
    """By its pixels, whatever type holds them; another stack is not."""
    seen = sample.with_(array=sample.numpy().astype(np.float64))
    card = card_of(
        thin_network(), voxel_size=sample.voxel_size, ratios=(1,),
        training_images=(content_hash(seen),),
    )  # fmt: skip
    other = sample.with_(array=sample.numpy() + np.uint16(1))
    for volume, expected in ((sample, (SEEN,)), (other, ())):
        plan = plan_prediction(card, volume, PredictionRequest(ratio=1))
        assert unfamiliar(plan) == expected


def test_stacks_that_differ_more_make_room_for_another(quarters):
    """Not only for what is between them."""
    chance = np.random.default_rng(0)
    noisy = [
        one / one.std() + much * chance.normal(size=one.shape)
        for one, much in zip(quarters, (0, 0.2, 0.4), strict=False)
    ]
    bare = replace(RECIPE, noise=None, tilt=0.0, clutter=0.0, gain=0.0)
    like, unlike = (
        learned_ranges(_pairs(stacks), bare, (1.16, 0.29, 0.29))["finest"][0]
        for stacks in (quarters[:3], noisy)
    )
    assert unlike.high - unlike.low > 2 * (like.high - like.low)


def test_a_stack_thinner_than_the_window_is_not_taken_for_copies():
    """The network sees its end planes repeated; its image has them once."""
    noise = np.random.default_rng(0).normal(size=(3, 3, 80, 80))
    ranges = learned_ranges(_pairs(noise), RECIPE, (0.29,) * 3)
    assert max(one.high for one in ranges["alike_middle"]) < 0.8


def test_what_the_model_began_with_stays_familiar(quarters):
    pairs, voxel = _pairs(quarters), (1.16, 0.29, 0.29)
    alone = learned_ranges(pairs, RECIPE, voxel)
    before = {"fine": (Range(low=-9, high=alone["fine"][0].low - 1),)}
    card = card_of(thin_network(), familiarity=before)
    both = learned_ranges(pairs, RECIPE, voxel, card)
    assert both == {"fine": (Range(low=-9, high=alone["fine"][0].high),)}


def test_nothing_is_claimed_of_what_cannot_be_known(quarters):
    """One or two stacks, small ones, a model that has seen who knows what."""
    voxel = (1.16, 0.29, 0.29)
    assert learned_ranges(_pairs(quarters[:2]), RECIPE, voxel) == {}
    small = np.random.default_rng(0).normal(size=(3, 8, 60, 90))
    assert learned_ranges(_pairs(small), RECIPE, voxel) == {}
    card = card_of(thin_network())
    assert learned_ranges(_pairs(quarters), RECIPE, voxel, card) == {}


def test_ranges_are_joined_at_the_distances_that_all_know():
    def alike(*spans):
        ranges = [Range(low=low, high=1.0, distance=d) for d, low in spans]
        return {"alike_fine": tuple(ranges), "fine": (Range(low=0, high=1),)}

    near, far = alike((0.3, 0.8), (0.6, 0.4)), alike((0.4, 0.6), (0.8, 0.2))
    found = joined(near, far)
    assert [one.distance for one in found["alike_fine"]] == [0.6]
    assert found["alike_fine"][0].low == pytest.approx(0.4)
    assert found["fine"] == near["fine"]
    assert joined(near, {"fine": (Range(low=-1, high=0.5),)}) == {
        "fine": (Range(low=-1, high=1),)
    }
