"""The model is loaded while the user makes up their mind, and let go when idle."""

import threading
from types import SimpleNamespace

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget

from napari_sparsessp.ui.engine.rehearsal import Rehearsed
from napari_sparsessp.ui.predict import dock as model_keeper
from napari_sparsessp.ui.predict.dock import ModelKeeper


class Engine:
    """Notes what is asked of it; waits for `go` while it rehearses."""

    def __init__(self):
        self.calls, self.stops = [], []
        self.go = threading.Event()
        self.go.set()
        self.loaded = False
        self.error = None

    def rehearse(self, plan, stop):
        self.calls.append(plan)
        self.go.wait(20)
        self.stops.append(stop.is_set())
        if self.error is not None:
            raise self.error
        self.loaded = True
        return Rehearsed(2.0, {"colony": 5.0})

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
def keeper(engine, dock, monkeypatch):
    monkeypatch.setattr(model_keeper, "free_bytes", lambda: 2**40)
    return ModelKeeper(engine, dock)


def come(dock):
    QApplication.sendEvent(dock, QEvent(QEvent.Type.Enter))


def test_nothing_is_loaded_before_the_user_comes(keeper, engine, qtbot):
    keeper.expect(plan())
    qtbot.wait(3 * model_keeper._LOOK_MS + model_keeper._AFTER_MS)
    assert engine.calls == []


def test_nothing_is_loaded_without_a_plan(keeper, engine, dock, qtbot):
    come(dock)
    keeper.expect(None)
    qtbot.wait(3 * model_keeper._LOOK_MS + model_keeper._AFTER_MS)
    assert engine.calls == []


def test_once_the_pointer_is_in_the_dock_it_is_loaded_and_timed(
    keeper, engine, dock, qtbot
):
    wanted = plan()
    keeper.expect(wanted)
    with qtbot.waitSignals([keeper.rehearsed, keeper.loaded_changed]) as told:
        come(dock)
    assert engine.calls == [wanted]
    assert told.all_signals_and_args[-1].args[1].rate == 2.0
    keeper.expect(plan())
    assert not keeper.busy
    assert not keeper._start.isActive()  # once is enough


def test_another_model_is_loaded_too(keeper, engine, dock, qtbot):
    keeper.expect(plan())
    with qtbot.waitSignal(keeper.rehearsed):
        come(dock)
    with qtbot.waitSignal(keeper.rehearsed):
        keeper.expect(plan("other"))
    assert [one.card.id for one in engine.calls] == ["colony", "other"]


def test_it_gives_way_to_a_run(keeper, engine, dock, qtbot):
    engine.go.clear()
    keeper.expect(plan())
    come(dock)
    qtbot.waitUntil(lambda: bool(engine.calls))
    keeper.give_way()
    engine.go.set()
    qtbot.waitUntil(lambda: not keeper.busy)
    assert engine.stops == [True]


def test_where_memory_is_short_nothing_is_loaded_ahead(
    keeper, engine, dock, qtbot, monkeypatch
):
    monkeypatch.setattr(model_keeper, "free_bytes", lambda: 2**30)
    keeper.expect(plan())
    keeper.intend()
    keeper._begin()
    assert not keeper.busy
    assert engine.calls == []


def test_a_rehearsal_that_fails_says_nothing(keeper, engine, dock, qtbot):
    engine.error = RuntimeError("no such device")
    keeper.expect(plan())
    come(dock)
    qtbot.waitUntil(lambda: bool(engine.stops))
    qtbot.waitUntil(lambda: not keeper.busy)


def test_after_a_while_without_a_run_the_model_goes(keeper, engine, qtbot):
    engine.loaded = True
    keeper.settle()
    assert keeper._idle.isActive()
    with qtbot.waitSignal(keeper.loaded_changed, check_params_cb=lambda on: not on):
        keeper._idle.timeout.emit()
    assert not engine.loaded


def test_a_window_that_goes_stops_its_rehearsal(engine, dock, monkeypatch, qtbot):
    monkeypatch.setattr(model_keeper, "free_bytes", lambda: 2**40)
    owner = QWidget()
    keeper = ModelKeeper(engine, owner)
    engine.go.clear()
    keeper.expect(plan())
    keeper.intend()
    qtbot.waitUntil(lambda: bool(engine.calls))
    owner.deleteLater()
    qtbot.wait(50)
    engine.go.set()
    qtbot.waitUntil(lambda: engine.stops == [True])
