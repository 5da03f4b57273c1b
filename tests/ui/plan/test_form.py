"""The Plan form: its button is never stuck, ratios are those that the stack gives."""

import pytest

from napari_sparsessp.ui.plan.form import RATIOS, RatioPicker


@pytest.fixture
def picker(added):
    return added(RatioPicker())


def test_a_click_adds_or_drops_a_ratio(picker, qtbot):
    assert picker.ratios() == (1, 2, 4, 8), "those of the paper"
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
