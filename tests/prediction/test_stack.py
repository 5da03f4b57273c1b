"""How the measured planes are scaled before a network sees them."""

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.normalisation import normalise
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume


@pytest.fixture
def planes():
    noise = np.random.default_rng(0).normal(40_000, 20, (6, 50, 60))
    return noise.astype(np.float32)


def test_zscore_is_the_plain_mean_and_deviation_of_what_is_finite(planes):
    planes[0, 0, 0], planes[2, 3, 4] = 60_000, np.nan
    scale = normalise(planes, "zscore")
    finite = planes[np.isfinite(planes)].astype(np.float64)
    assert scale.mean == pytest.approx(finite.mean(), rel=1e-7)
    assert scale.std == pytest.approx(finite.std(), rel=1e-4)


def test_robust_takes_no_notice_of_a_hot_pixel_and_zscore_does(planes):
    before = normalise(planes), normalise(planes, "zscore")
    planes[0, 0, 0] = 1e6
    after = normalise(planes), normalise(planes, "zscore")
    assert after[0].std == pytest.approx(before[0].std, rel=0.01)
    assert after[1].std > 5 * before[1].std


@pytest.mark.parametrize("scaling", ["robust", "zscore", "none"])
@pytest.mark.parametrize("value", [7.0, 40_000.1, np.nan])
def test_a_constant_image_is_refused_whatever_the_scaling(scaling, value):
    with pytest.raises(InputError, match="constant"):
        normalise(np.full((3, 9, 9), value, np.float32), scaling)


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
