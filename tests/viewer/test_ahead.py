"""The model is loaded while the user is at the dock; Run then begins at once."""

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from fake_engine import light
from napari_sparsessp.ui.predict import session

pytestmark = pytest.mark.painted


@pytest.fixture
def ready(thin_engine, predict_on, monkeypatch):
    """The real engine's dock with a plan, on a machine with memory to spare."""
    monkeypatch.setattr(session, "free_bytes", lambda: 2**40)
    return predict_on(light())


def test_it_is_loaded_and_timed_before_run_and_used_by_it(
    ready, thin_engine, qtbot, ran
):
    assert not thin_engine.loaded
    assert ready.session.speed.seconds(ready.preview.plan) is None
    with qtbot.waitSignal(ready.preloader.measured):
        QApplication.sendEvent(ready, QEvent(QEvent.Type.Enter))
    assert thin_engine.loaded
    model = thin_engine._loaded[1]
    qtbot.waitUntil(lambda: " · " in ready.form.foot.status.text())
    button = ready.form.topology.buttons[ready.form.topology.card().topology]
    assert button.accessibleName().startswith("Topology 3D → 2D, ")
    ran(ready)
    assert thin_engine._loaded[1] is model


def test_unloading_frees_it_and_the_next_run_loads_it_again(
    ready, thin_engine, qtbot, ran
):
    ran(ready)
    button = ready.form.options.unload_button
    qtbot.waitUntil(lambda: not button.isHidden())
    button.click()
    assert not thin_engine.loaded
    assert button.isHidden()
    ran(ready)
    assert thin_engine.loaded


def test_run_waits_for_a_model_that_is_just_being_loaded(
    ready, thin_engine, qtbot, ran
):
    ready.preloader._start()
    ran(ready)
    qtbot.waitUntil(lambda: ready.preloader._task is None)
    assert ready.layers.layers()
    assert thin_engine.loaded
