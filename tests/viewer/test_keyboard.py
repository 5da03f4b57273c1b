"""A whole prediction without a mouse: every control has the focus in its turn."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_sparsessp.ui.layers.metadata import KEY, is_prediction
from napari_sparsessp.ui.predict.form import RunState


@pytest.fixture
def shown(viewer, dock, qtbot):
    """The dock in a window that has the keyboard."""
    window = dock.window()
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isVisible)
    dock.refresh_now()
    return dock


def tab_order(dock):
    """The dock's controls that take the focus, in the order of the tab key."""
    first = widget = dock.form.input.layer_box
    found = []
    while True:
        usable = widget.isVisible() and widget.isEnabled()
        takes = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        if dock.isAncestorOf(widget) and usable and takes:
            found.append(widget)
        widget = widget.nextInFocusChain()
        if widget is first:
            return found


def test_the_tab_key_goes_down_the_sentence_and_all_say_what_they_are(shown):
    form, order = shown.form, tab_order(shown)
    wanted = [
        form.input.layer_box,
        form.sampling.segments.button("auto"),
        form.table,
        form.topology.buttons["3to2d"],
        form.topology.model_box,
        form.device.native("device"),
        form.foot.button,
    ]
    places = [order.index(widget) for widget in wanted]
    assert places == sorted(places)
    for widget in order:
        text = widget.text() if hasattr(widget, "text") else ""
        assert widget.accessibleName() or text, widget
        assert widget.toolTip() or widget is form.table, text


def test_a_prediction_is_made_and_looked_at_without_a_mouse(
    shown, viewer, engine, finish, qtbot
):
    form = shown.form
    form.table.setFocus()
    form.none_button.setFocus()
    qtbot.keyClick(form.none_button, Qt.Key.Key_Space)
    assert form.structures.ticked() == ()
    form.table.setFocus()
    form.table.setCurrentIndex(form.table.model().index(4, 0))
    qtbot.keyClick(form.table, Qt.Key.Key_Space)
    assert form.structures.ticked() == ("dna",)
    four = form.sampling.segments.button("4")
    four.setFocus()
    qtbot.keyClick(four, Qt.Key.Key_Space)
    assert form.sampling.ratio() == 4
    qtbot.waitUntil(lambda: form.foot.state is RunState.READY)
    form.foot.button.setFocus()
    qtbot.keyClick(form.foot.button, Qt.Key.Key_Space)
    assert shown.run_in_progress is not None
    finish(shown)
    (layer,) = [one for one in viewer.layers if is_prediction(one)]
    assert layer.metadata[KEY]["state"] == "done"
    qtbot.keyClick(form.table, Qt.Key.Key_V)
    assert not layer.visible
    side = form.foot.layouts.button("side")
    qtbot.keyClick(side, Qt.Key.Key_Space)
    assert shown.view.layouts.current == "side"


def test_every_control_shows_that_it_has_the_focus(shown, qtbot):
    """The focus is never lost from sight: some pixels differ."""
    for widget in tab_order(shown)[:6]:
        QApplication.processEvents()
        widget.clearFocus()
        shown.form.foot.button.setFocus()
        before = widget.grab().toImage()
        widget.setFocus()
        QApplication.processEvents()
        if widget.hasFocus():
            assert widget.grab().toImage() != before, widget
