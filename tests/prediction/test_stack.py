"""How the measured planes are scaled before a network sees them."""

import numpy as np

from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume


def test_none_gives_the_network_the_values_of_the_file(thin_model):
    card = thin_model.card.model_copy(update={"scaling": "none"})
    unscaled = type(thin_model)(card, thin_model.network, "", thin_model.path)
    array = np.random.default_rng(1).normal(0, 1, (8, 32, 32)).astype(np.float32)
    zscore = thin_model.card.model_copy(update={"scaling": "zscore"})
    scaled = type(thin_model)(zscore, thin_model.network, "", thin_model.path)
    request = PredictionRequest(precision="fp32", device="cpu", ratio=1)
    voxel = (0.29, 0.29, 0.29)
    normalised = (array - array.mean()) / array.std()
    raw = predict(unscaled, Volume(normalised, "ZYX", voxel), request=request)
    same = predict(scaled, Volume(array * 30 + 500, "ZYX", voxel), request=request)
    np.testing.assert_allclose(raw.volume.array, same.volume.array, atol=1e-3)
    louder = predict(unscaled, Volume(normalised * 3, "ZYX", voxel), request=request)
    assert not np.allclose(louder.volume.array, raw.volume.array, atol=1e-2)
