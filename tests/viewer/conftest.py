"""A viewer with the dock from the manifest and a fake engine behind it."""

import threading
from pathlib import Path

import pytest

from compared import CUBES, add_prediction, counts, predicted, same_noise
from fake_engine import MICRO, FakeEngine, light
from napari_sparsessp.prediction.engine import TileDone
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.predict import dock as predict_dock
from thin import save_thin


def pytest_collection_modifyitems(items):
    """Everything in this folder needs a display."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.viewer)


@pytest.fixture(autouse=True)
def synchronous_slicing(monkeypatch):
    """Slice in the interface's thread, whatever the machine's settings say."""
    monkeypatch.setenv("NAPARI_ASYNC", "0")


@pytest.fixture(autouse=True)
def noise_of_its_own():
    """Give each test the same noise, whatever ran before it."""
    same_noise()


@pytest.fixture
def engine(monkeypatch):
    """The engine that the next dock gets."""
    fake = FakeEngine()
    monkeypatch.setattr(predict_dock, "InstalledEngine", lambda: fake)
    return fake


class ThinEngine(InstalledEngine):
    """The real engine with small tiles; it waits for `go` after `hold_at` tiles."""

    shown = "thin"

    def __init__(self):
        super().__init__()
        self.go = threading.Event()
        self.hold_at = None
        self.boxes = []

    def cards(self):
        return [card for card in super().cards() if card.id == self.shown]

    def plan(self, card, volume, request, truth):
        small = request.model_copy(update={"tile": (8, 32, 32)})
        return super().plan(card, volume, small, truth)

    def stream(self, *job):
        for event in super().stream(*job):
            if isinstance(event, TileDone):
                self.boxes.append((event.time, event.box))
            yield event
            if isinstance(event, TileDone) and event.done == self.hold_at:
                self.go.wait()


@pytest.fixture(scope="session")
def thin_folder(tmp_path_factory):
    """A folder of models with a thin one in it."""
    folder = tmp_path_factory.mktemp("models")
    save_thin(folder / "thin.safetensors")
    return folder


@pytest.fixture
def thin_engine(monkeypatch, thin_folder):
    """The real engine with a thin model, for the next dock."""
    monkeypatch.setenv("SPARSESSP_MODELS", str(thin_folder))
    engine = ThinEngine()
    monkeypatch.setattr(predict_dock, "InstalledEngine", lambda: engine)
    yield engine
    engine.go.set()


@pytest.fixture(scope="session")
def shared_viewer():
    """This process's one viewer: opening napari costs more than most tests do."""
    from shared_viewer import SharedViewer

    shared = SharedViewer()
    yield shared
    shared.close()


@pytest.fixture
def viewer(shared_viewer, monkeypatch, request):
    """An empty viewer, seen as a plugin sees it."""
    from napari.utils._proxies import PublicOnlyProxy

    from shared_viewer import leave_unpainted

    monkeypatch.setenv("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "True")
    checker = "napari._qt.threads.status_checker.StatusChecker.start"
    monkeypatch.setattr(checker, lambda checker: None)
    opened = shared_viewer.open()
    if request.node.get_closest_marker("painted") is None:
        leave_unpainted(monkeypatch)
    yield PublicOnlyProxy(opened)
    shared_viewer.clean()


@pytest.fixture
def hidden_viewer(shared_viewer):
    """The shared viewer is none that a test has left open."""
    with shared_viewer.hidden():
        yield


@pytest.fixture
def make_napari_viewer(hidden_viewer, make_napari_viewer):
    """napari's own, for a test that closes its viewer or needs two."""
    return make_napari_viewer


@pytest.fixture
def predict_on(request):
    """`predict_on(array, …)`: the Predict dock of a viewer with it, opened as users do.

    Without more words the array is a sparse bright-field stack; None adds no layer.
    """

    def go(array, viewer=None, **more):
        viewer = viewer or request.getfixturevalue("viewer")
        if array is not None:
            viewer.add_image(array, **{"name": "bright-field", **MICRO, **more})
        _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
        dock.refresh_now()
        return dock

    return go


@pytest.fixture
def dock(engine, predict_on):
    """The Predict dock of a viewer that holds a sparse stack."""
    return predict_on(light())


@pytest.fixture
def finish(qtbot):
    """Wait until a dock's prediction has ended."""

    def wait(dock):
        qtbot.waitUntil(lambda: dock.run_in_progress is None)

    return wait


@pytest.fixture
def ran(finish):
    """`ran(dock)`: run its prediction to the end."""

    def go(dock):
        dock.run()
        finish(dock)

    return go


@pytest.fixture
def stacks(viewer):
    """A sparse input, two truths and two predictions, as a finished run leaves them."""
    source = viewer.add_image(light(2, 24, 32), name="bright-field", **MICRO)
    truths = {id_: counts() for id_ in ("dna", "nucleolus")}
    found = {id_: predicted(truth) for id_, truth in truths.items()}
    for id_, truth in truths.items():
        viewer.add_image(truth, name=f"{id_} · truth", visible=False, **CUBES)
    for id_, data in found.items():
        add_prediction(viewer, source, id_, data)
    return truths, found


@pytest.fixture
def compare(viewer, qtbot):
    """`compare()`: open the dock and wait until everything is scored."""

    def opened():
        _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Compare")
        dock.refresh_now()
        dock.compute()
        wait(dock)
        return dock

    def wait(dock):
        qtbot.waitUntil(lambda: not dock.comparison.queue.busy)
        dock.refresh_now()
        dock.compute()
        qtbot.waitUntil(lambda: not dock.comparison.queue.busy)

    opened.wait = wait
    return opened
