"""What all tests share."""

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# Several processes share the cores: one thread each, else they wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time, so that what is green here is green elsewhere;
# SPARSESSP_FUZZ looks at others.
settings.register_profile("repeatable", derandomize=True)
if "SPARSESSP_FUZZ" not in os.environ:
    settings.load_profile("repeatable")

# Nobody's own settings are read or written; napari looks when it is imported.
_SETTINGS = Path(tempfile.mkdtemp(prefix="sparsessp-settings-"))
atexit.register(shutil.rmtree, _SETTINGS, ignore_errors=True)
os.environ["NAPARI_CONFIG"] = str(_SETTINGS / "settings.yaml")
os.environ["SPARSESSP_CONFIG"] = str(_SETTINGS)

HAS_DISPLAY = not sys.platform.startswith("linux") or any(
    os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
)
if not HAS_DISPLAY:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(config, items):
    """Draw fewer examples in the fast lane, and no windows where none can be shown."""
    if "not exhaustive" in config.getoption("markexpr"):
        for item in items:
            draw_fewer(getattr(item, "obj", None))
    if HAS_DISPLAY:
        return
    skip = pytest.mark.skip(reason="no display: run under xvfb-run, as make test does")
    for item in items:
        if item.get_closest_marker("viewer"):
            item.add_marker(skip)


def draw_fewer(test):
    """Let hypothesis try a quarter of a test's examples, five at least."""
    drawn = getattr(test, "_hypothesis_internal_use_settings", None)
    if drawn is not None and "SPARSESSP_FUZZ" not in os.environ:
        few = max(5, drawn.max_examples // 4)
        fewer = settings(drawn, max_examples=min(few, drawn.max_examples))
        test._hypothesis_internal_use_settings = fewer


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Wait for Qt as long as a busy machine needs: by looks, of which it has fewer.

    What is waited for comes, or never does: after 6000 looks, a minute of an idle one.
    """
    from pytestqt.qtbot import QtBot

    wait_for_signal = QtBot.waitSignal

    def wait_until(bot, condition, *, timeout=None):
        for _ in range(6000):
            with contextlib.suppress(AssertionError):
                if condition() in (None, True):
                    return
            bot.wait(10)
        condition()  # an assertion says itself what is wrong
        pytest.fail("what was waited for never came")

    def wait_signal(bot, signal, *, timeout=None, **more):
        if more.get("raising", True):  # pytest-qt's assertNotEmitted waits for nothing
            timeout = 600_000
        return wait_for_signal(bot, signal, timeout=timeout, **more)

    monkeypatch.setattr(QtBot, "waitUntil", wait_until)
    monkeypatch.setattr(QtBot, "waitSignal", wait_signal)


@pytest.fixture(autouse=True)
def own_models_folder(tmp_path_factory, monkeypatch):
    """Each test has an empty folder for the user's models, never the real one."""
    folder = tmp_path_factory.mktemp("models")
    monkeypatch.setenv("SPARSESSP_MODELS", str(folder))
    return folder


def _finder(folder: Path):
    """`find(name)`: the file, or the test is skipped."""

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"{path} is not here (a user's clone has no ../shared)")
        return path

    return find


@pytest.fixture
def shared_data():
    """Real microscopy beside the checkout: `shared_data("name.ome.tif")`."""
    return _finder(SHARED / "data")


@pytest.fixture
def shared_parity():
    """Small reference outputs beside the checkout, as `shared_data`."""
    return _finder(SHARED / "parity")


@pytest.fixture
def file_server(monkeypatch):
    """A server of files on this machine, which downloads may use without https."""
    from file_server import FileServer
    from napari_sparsessp import download

    monkeypatch.setattr(download, "SCHEMES", ("http", "https"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    files = FileServer().start()
    yield files
    files.stop()


@pytest.fixture
def served_gallery(monkeypatch, tmp_path_factory):
    """A gallery of small models on an https server of this machine."""
    from served_gallery import ServedGallery

    served = ServedGallery(tmp_path_factory.mktemp("settings"), monkeypatch)
    yield served
    served.stop()
