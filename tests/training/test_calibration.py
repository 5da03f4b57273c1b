"""The errors that a new model's card expects are those of what was kept back."""

import numpy as np
import pytest

from napari_sparsessp.errors import PredictionError
from napari_sparsessp.models.library import load_model
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.training import calibration
from napari_sparsessp.training.calibration import calibrations
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.volume import Volume
from thin import save_random, thin_network

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


def test_too_little_tells_nothing(model):
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
