"""Ratios to try: any number of them, and only those that the stack can give."""

import pytest

from napari_sparsessp.ui.plan.ratio_picker import RATIOS, RatioPicker


@pytest.fixture
def picker(qtbot):
    widget = RatioPicker()
    qtbot.addWidget(widget)
    return widget


def test_the_papers_ratios_are_tried_at_first(picker):
    assert picker.ratios() == (1, 2, 4, 8)
    assert not picker.all_phases()


def test_a_click_adds_or_drops_a_ratio(picker, qtbot):
    with qtbot.waitSignal(picker.changed):
        picker.button(3).click()
    picker.button(8).click()
    assert picker.ratios() == (1, 2, 3, 4)


def test_what_the_stack_cannot_give_is_neither_shown_nor_tried(picker):
    picker.offer((1, 2, 3))
    assert picker.ratios() == (1, 2)
    assert picker.button(4).isHidden()
    picker.offer(RATIOS)
    assert picker.ratios() == (1, 2, 4, 8), "what was chosen comes back"


def test_starting_planes_can_be_tried(picker, qtbot):
    with qtbot.waitSignal(picker.changed):
        picker.phases_box.click()
    assert picker.all_phases()
