"""Options that few need: folded away, but never hidden when they are not as usual."""

import pytest

from napari_sparsessp.ui.predict.form import OptionsPanel


@pytest.fixture
def panel(qtbot):
    panel = OptionsPanel()
    qtbot.addWidget(panel)
    return panel


def test_defaults_are_silent(panel):
    assert (panel.tta(), panel.uncertainty(), panel.memory_limit()) == (
        False,
        False,
        None,
    )
    assert panel.memory_spin.text() == "automatic"
    assert panel.isHidden()


def test_each_change_is_told(panel, qtbot):
    for change in (
        panel.tta_box.toggle,
        panel.uncertainty_box.toggle,
        lambda: panel.memory_spin.setValue(2.5),
    ):
        with qtbot.waitSignal(panel.changed):
            change()
    assert panel.memory_limit() == 2_500_000_000


def test_what_is_not_as_usual_stays_in_sight(panel):
    panel.more_button.click()
    panel.tta_box.setChecked(True)
    panel.memory_spin.setValue(4)
    panel.more_button.click()
    assert panel.body.isHidden()
    assert not panel.summary.isHidden()
    assert panel.summary.text() == "mean of 8 turns · at most 4.0 GB"


def test_the_plan_of_the_memory_is_shown_where_there_is_one(panel):
    panel.show_memory("tile 384×384, 1.2 of 8.0 GB")
    assert panel.memory_note.text() == "Plan: tile 384×384, 1.2 of 8.0 GB"
    panel.show_memory("")
    assert panel.memory_note.isHidden()


def test_what_is_unfolded_is_scrolled_into_sight(qtbot):
    from napari_sparsessp.ui.predict.form import PredictForm

    form = PredictForm(list)
    qtbot.addWidget(form)
    form.resize(412, 420)
    form.show()
    qtbot.waitExposed(form)
    assert form.options.memory_spin.visibleRegion().isEmpty()
    form.options.more_button.click()
    qtbot.waitUntil(lambda: not form.options.memory_spin.visibleRegion().isEmpty())
