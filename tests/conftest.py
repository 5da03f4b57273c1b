"""What all tests share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def own_models_folder(tmp_path_factory, monkeypatch):
    """Each test has an empty folder for the user's models, never the real one."""
    folder = tmp_path_factory.mktemp("models")
    monkeypatch.setenv("SPARSESSP_MODELS", str(folder))
    return folder


@pytest.fixture
def shared_data():
    """Real microscopy beside the checkout: `shared_data("name.ome.tif")`."""

    def find(name: str) -> Path:
        path = SHARED / "data" / name
        if not path.exists():
            pytest.skip(f"{path} is not here (a user's clone has no ../shared)")
        return path

    return find


@pytest.fixture
def shared_parity():
    """Small reference outputs beside the checkout, as `shared_data`."""

    def find(name: str) -> Path:
        path = SHARED / "parity" / name
        if not path.exists():
            pytest.skip(f"{path} is not here (a user's clone has no ../shared)")
        return path

    return find
