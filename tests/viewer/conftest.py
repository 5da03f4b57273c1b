"""A viewer with the dock from the manifest and a fake engine behind it."""

from pathlib import Path

import pytest

from fake_engine import MICRO, FakeEngine, light
from napari_sparsessp.ui import predict_dock


def pytest_collection_modifyitems(items):
    """Everything in this folder needs a display."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.viewer)


@pytest.fixture(autouse=True)
def synchronous_slicing(monkeypatch):
    """Slice in the interface's thread, whatever the machine's settings say."""
    monkeypatch.setenv("NAPARI_ASYNC", "0")


@pytest.fixture
def engine(monkeypatch):
    """The engine that the next dock gets."""
    fake = FakeEngine()
    monkeypatch.setattr(predict_dock, "InstalledEngine", lambda: fake)
    return fake


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """An empty viewer, seen as a plugin sees it."""
    return make_napari_viewer_proxy()


@pytest.fixture
def dock(viewer, engine):
    """The Predict dock of a viewer that holds a sparse stack, opened as users do."""
    viewer.add_image(light(), name="bright-field", **MICRO)
    _, widget = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    return widget


@pytest.fixture
def finish(qtbot):
    """Wait until a dock's prediction has ended."""

    def wait(dock, timeout=20_000):
        qtbot.waitUntil(lambda: dock.run_in_progress is None, timeout=timeout)

    return wait
