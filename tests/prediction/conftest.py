"""A thin model that predicts fast, and stacks to predict from."""

import numpy as np
import pytest

from napari_sparsessp.volume import Volume


@pytest.fixture(scope="session")
def thin_model(tmp_path_factory):
    """Random weights: enough for every promise but the quality."""
    from napari_sparsessp.models.library import load_model
    from thin import save_thin

    path = save_thin(tmp_path_factory.mktemp("thin") / "thin.safetensors")
    return load_model(path)


@pytest.fixture
def make_volume():
    """`make_volume(shape, axes="ZYX", voxel=…)`: noise, always the same."""

    def make(shape, axes="ZYX", voxel=(0.29, 0.29, 0.29), **more):
        array = np.random.default_rng(7).normal(100, 20, shape).astype(np.float32)
        return Volume(array, axes, voxel, **more)

    return make


@pytest.fixture
def small_share(monkeypatch):
    """`small_share(bytes)`: what the input may take."""
    from napari_sparsessp.prediction import input_stack

    def set_share(size):
        monkeypatch.setattr(input_stack, "_share", lambda plan: size)
        monkeypatch.setattr(input_stack, "AT_ONCE", max(64, size // 8))

    return set_share
