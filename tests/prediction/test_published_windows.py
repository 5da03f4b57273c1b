"""Networks with published windows and padding: the engine gives what they give."""

import numpy as np
import pytest

from napari_sparsessp.models.library import load_model
from napari_sparsessp.models.raw_forward import run_stack
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from thin import save_random

# The scale is given, so that both see the same numbers.
PLAIN = {"precision": "fp32", "device": "cpu", "normalisation": (100.0, 20.0)}
SMALL = {"encoder_widths": (6, 8, 8, 8), "encoder_blocks": (1, 1, 1, 1)}
NETWORKS = {
    "fcmae": {"backbone": "fcmae", "depth": 15},
    "fcmae 2d": {"backbone": "fcmae", "topology": "2d"},
    "unext2": {"backbone": "unext2", "depth": 5},
}


@pytest.fixture
def model(tmp_path):
    def make(name):
        network = NetworkConfig(decoder_blocks=1, **SMALL, **NETWORKS[name])
        return load_model(save_random(tmp_path / "small.safetensors", network))

    return make


@pytest.mark.parametrize("name", NETWORKS)
def test_the_engine_predicts_as_the_authors_do(name, model, make_volume):
    """In the whole field with its padding, 256 pixels for some, whatever it has."""
    small = model(name)
    volume = make_volume((small.network.config.depth + 2, 37, 70))
    result = predict(small, volume, request=PredictionRequest(**PLAIN))
    expected = run_stack(small.network, (volume.numpy() - 100) / 20)
    got = np.stack([result[one].numpy() for one in small.card.structures])
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_fast_windows_are_their_plain_mean(model, make_volume):
    small = model("fcmae")
    config = small.network.config
    volume = make_volume((20, 24, 32))
    request = PredictionRequest(overlap=1 - config.fast_step / config.depth, **PLAIN)
    plan = plan_prediction(small.card, volume, request)
    assert [window[0] for window in plan.layout.windows] == [(0, 15), (5, 20)]
    result = predict(small, volume, request=request)
    stack = (volume.numpy() - 100) / 20
    first, second = (run_stack(small.network, stack[a : a + 15]) for a in (0, 5))
    got = np.stack([result[one].numpy() for one in small.card.structures])
    np.testing.assert_allclose(got[:, :5], first[:, :5], atol=2e-5)
    both = (first[:, 5:] + second[:, :10]) / 2
    np.testing.assert_allclose(got[:, 5:15], both, atol=2e-5)
