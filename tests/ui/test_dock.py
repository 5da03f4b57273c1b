"""The base of the docks: changes settle, layers are followed, tasks end with it."""

import threading

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from napari_sparsessp.ui.dock import Dock, StepForm
from napari_sparsessp.ui.widgets.basic import Foot, Step


class Small(Dock):
    def __init__(self, viewer):
        super().__init__(viewer, settle_ms=20)
        form = StepForm()
        self.button = QPushButton("Run")
        self.step = Step("From <b>this</b>", last=True)
        foot = Foot("the test")
        foot.stack(foot.bar)
        form.arrange([(self.step, [self.button])], foot)
        self.fill(form)
        self.follow_layers()
        self.pressed, self.refreshed = 0, []
        self.add_shortcut("Ctrl+R", self.press)

    def press(self):
        self.pressed += 1

    def refresh(self):
        self.refreshed.append(self.take_layer_changes())


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def dock(added, viewer):
    return added(Small(viewer))


def test_many_changes_are_one_refresh(dock, viewer, qtbot):
    for _ in range(5):
        viewer.add_image(np.zeros((2, 2)))
        dock.settle()
    qtbot.waitUntil(lambda: dock.refreshed == [True])
    dock.settle()
    qtbot.waitUntil(lambda: dock.refreshed == [True, False])


def test_a_refresh_at_once_leaves_nothing_waiting(dock, qtbot):
    dock.settle()
    dock.refresh_now()
    qtbot.wait(60)
    assert dock.refreshed == [False]


def test_keys_work_wherever_the_focus_is_in_the_dock(dock, qtbot):
    dock.show()
    dock.activateWindow()
    qtbot.waitUntil(dock.isActiveWindow)
    dock.button.setFocus()
    qtbot.keyClick(dock.button, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert dock.pressed == 1


def test_a_dock_that_is_gone_is_not_called_and_its_task_is_cancelled(viewer, qtbot):
    dock, release = Small(viewer), threading.Event()
    task = dock.run_task(lambda _progress: release.wait(10), returned=dock.settle)
    cancelled = task.progress.cancelled
    with qtbot.waitSignal(dock.destroyed):
        dock.deleteLater()
    assert cancelled.is_set()
    release.set()
    viewer.add_image(np.zeros((2, 2)))
