"""A desk for each test, and what a good stack gives."""

import numpy as np
import pytest

from hostile.desk import Desk, make_model
from images import STEP
from napari_sparsessp import PredictionRequest, Volume, load_model, predict


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """Path of a small model."""
    return make_model(tmp_path_factory.mktemp("model") / "small.safetensors")


@pytest.fixture
def desk(tmp_path, model_file):
    return Desk(tmp_path, model_file)


@pytest.fixture(scope="session")
def expected(model_file):
    """What a stack in memory gives: `expected(array)`."""
    model, known = load_model(model_file), {}
    request = PredictionRequest(ratio=1, device="cpu", precision="fp32")

    def give(array):
        if id(array) not in known:
            volume = Volume(array, "ZYX", (STEP, STEP, STEP))
            result = predict(model, volume, request=request).volume.numpy()
            known[id(array)] = array, result  # kept, so that its id stays its own
        return known[id(array)][1]

    return give


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether two predictions agree but for the rounding of their inputs."""
    return found.shape == wanted.shape and bool(
        np.abs(found - wanted).max() <= 1e-3 * wanted.std()
    )
