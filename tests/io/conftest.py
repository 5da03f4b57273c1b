"""A thin model whose predictions are stored."""

import pytest

from thin import save_thin


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    from napari_sparsessp.models.library import load_model

    return load_model(save_thin(tmp_path_factory.mktemp("thin") / "thin.safetensors"))


@pytest.fixture
def every_plane_is_noted(monkeypatch):
    """So that a run which is stopped early has something to go on with."""
    from napari_sparsessp.io import growing

    monkeypatch.setattr(growing, "SECONDS_BETWEEN_NOTES", 0.0)
