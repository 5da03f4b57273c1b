"""A thin model whose predictions are stored."""

import pytest

from thin import save_thin


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    from napari_sparsessp.models.library import load_model

    return load_model(save_thin(tmp_path_factory.mktemp("thin") / "thin.safetensors"))
