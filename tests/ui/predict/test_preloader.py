"""The model is loaded while the user is at the dock, and unloaded when idle."""

import threading
from types import SimpleNamespace

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget

from napari_sparsessp.ui.engine import Speed
from napari_sparsessp.ui.predict import session
from napari_sparsessp.ui.predict.session import Preloader


class Engine:
    """Notes what is asked of it; waits for `go` while it loads."""

    def __init__(self):
        self.calls, self.stops = [], []
        self.go = threading.Event()
        self.go.set()
        self.loaded = False
        self.error = None
        self.libraries = 0

    def load_libraries(self):
        self.libraries += 1

    def preload(self, plan, progress):
        self.calls.append(plan)
        self.go.wait(20)
        self.stops.append(progress.cancelled.is_set())
        if self.error is not None:
            raise self.error
        self.loaded = True
        return Speed(2.0, {"colony": 5.0})

    def forget(self):
        self.loaded = False


def plan(model="colony", device="cpu"):
    return SimpleNamespace(
        card=SimpleNamespace(id=model),
        request=SimpleNamespace(device=device),
        memory=SimpleNamespace(activations=0),
    )


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def dock(qtbot):
    widget = QWidget()
    QVBoxLayout(widget).addWidget(QLineEdit())
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def preloader(engine, dock, monkeypatch):
    monkeypatch.setattr(session, "free_bytes", lambda: 2**40)
    return Preloader(engine, dock)


def come(dock):
    QApplication.sendEvent(dock, QEvent(QEvent.Type.Enter))


def test_libraries_are_loaded_once_the_dock_is_seen(preloader, engine, dock, qtbot):
    assert not preloader._opened.isActive()
    dock.show()
    qtbot.waitUntil(lambda: engine.libraries == 1)
    assert engine.calls == []  # the model waits for the user


def test_nothing_is_loaded_before_the_user_comes_nor_without_a_plan(preloader, dock):
    preloader.expect(plan())
    assert not preloader._delay.isActive()
    preloader.expect(None)
    come(dock)
    assert not preloader._delay.isActive()


def test_another_model_is_loaded_too(preloader, engine, dock, qtbot):
    preloader.expect(plan())
    with qtbot.waitSignal(preloader.measured):
        come(dock)
    with qtbot.waitSignal(preloader.measured):
        preloader.expect(plan("other"))
    preloader.expect(plan())
    assert not preloader._delay.isActive()  # once is enough
    assert [one.card.id for one in engine.calls] == ["colony", "other"]


def test_where_memory_is_short_nothing_is_loaded_ahead(
    preloader, engine, dock, qtbot, monkeypatch
):
    monkeypatch.setattr(session, "free_bytes", lambda: 2**30)
    preloader.expect(plan())
    come(dock)
    preloader._start()
    assert engine.calls == []


def test_loading_ahead_that_fails_is_silent(preloader, engine, dock, qtbot):
    engine.error = RuntimeError("no such device")
    preloader.expect(plan())
    come(dock)
    qtbot.waitUntil(lambda: bool(engine.stops))
    qtbot.waitUntil(lambda: preloader._task is None)


def test_after_a_while_without_a_run_the_model_goes(preloader, engine, qtbot):
    engine.loaded = True
    preloader.rest()
    assert preloader._idle.isActive()
    with qtbot.waitSignal(preloader.loaded_changed, check_params_cb=lambda on: not on):
        preloader._idle.timeout.emit()
    assert not engine.loaded


def test_a_closed_window_cancels_it(engine, dock, monkeypatch, qtbot):
    monkeypatch.setattr(session, "free_bytes", lambda: 2**40)
    owner = QWidget()
    preloader = Preloader(engine, owner)
    engine.go.clear()
    preloader.expect(plan())
    come(owner)
    qtbot.waitUntil(lambda: bool(engine.calls))
    with qtbot.waitSignal(owner.destroyed):
        owner.deleteLater()
    engine.go.set()
    qtbot.waitUntil(lambda: engine.stops == [True])
