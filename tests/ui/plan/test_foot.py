"""The button of the Plan dock: it measures or stops, and is never stuck."""

import pytest

from napari_sparsessp.ui.plan.foot import PlanFoot, PlanState


@pytest.fixture
def foot(qtbot):
    widget = PlanFoot()
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize(
    ("state", "signal"),
    [
        (PlanState.READY, "run_asked"),
        (PlanState.KNOWN, "run_asked"),
        (PlanState.RUNNING, "stop_asked"),
    ],
)
def test_the_button_does_what_it_says(foot, qtbot, state, signal):
    foot.set_state(state)
    with qtbot.waitSignal(getattr(foot, signal)):
        foot.button.click()


@pytest.mark.parametrize("state", [PlanState.BLOCKED, PlanState.STOPPING])
def test_a_button_that_can_do_nothing_is_off_and_says_why(foot, state):
    foot.set_state(state, "Open a z-stack.")
    assert not foot.button.isEnabled()
    assert foot.button.toolTip()


def test_a_key_is_never_a_surprise(foot, qtbot):
    foot.set_state(PlanState.RUNNING)
    with qtbot.assertNotEmitted(foot.stop_asked):
        foot.press(PlanState.READY)
    with qtbot.waitSignal(foot.stop_asked):
        foot.press(PlanState.RUNNING)
    assert foot.state is PlanState.STOPPING


def test_progress_says_what_is_done_and_how_far(foot):
    foot.show_progress("r = 2: tile 3 of 4 · 12 s left", 0.75)
    assert foot.bar.value() == 0.75 * foot.bar.maximum()
    assert "12 s left" in foot.status.text()
