"""The form: a button that says what it does, messages, folded options, the menu."""

from dataclasses import replace

import pytest
from qtpy.QtWidgets import QApplication

from fake_engine import card
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.predict.export import ExportMenu
from napari_sparsessp.ui.predict.form import (
    OptionsPanel,
    PredictFoot,
    PredictForm,
    RunState,
)
from napari_sparsessp.ui.predict.planning import PredictionPreview, SpeedEstimate
from napari_sparsessp.ui.tasks import error_details
from napari_sparsessp.ui.widgets.style import duration_text


@pytest.fixture
def panel(added):
    panel = added(PredictFoot())
    panel.show()
    return panel


def test_the_button_says_what_it_does_or_why_it_cannot(panel, qtbot):
    panel.set_state(RunState.BLOCKED, "Choose the channel.")
    assert not panel.button.isEnabled()
    assert panel.button.toolTip() == "Choose the channel."
    panel.set_state(RunState.READY)
    with qtbot.waitSignal(panel.run_asked):
        panel.button.click()
    panel.set_state(RunState.RUNNING)
    assert panel.button.text() == "Cancel"
    panel.show_tiles(3, 12, 42.0)
    assert panel.status.text() == "3 of 12 tiles · 42 s left"
    assert (panel.bar.value(), panel.bar.maximum()) == (3, 12)
    with qtbot.waitSignal(panel.cancel_asked):
        panel.button.click()
    assert panel.button.text() == "Cancelling…"
    assert not panel.button.isEnabled()


def test_resume_stands_beside_start_over(panel, qtbot):
    panel.set_state(RunState.RESUMABLE)
    panel.show_stopped(7, 12, "Cancelled")
    assert panel.button.text() == "Resume"
    assert panel.status.text() == "Cancelled: 7 of 12 tiles are done and stay."
    assert (panel.bar.value(), panel.bar.maximum()) == (7, 12)
    with qtbot.waitSignal(panel.resume_asked):
        panel.button.click()
    with qtbot.waitSignal(panel.run_asked):
        panel.again_button.click()
    panel.set_state(RunState.READY)
    assert not panel.again_button.isVisible()


def test_durations_in_words():
    said = [duration_text(seconds) for seconds in (0.4, 42.4, 600, 9000)]
    assert said == ["about a second", "42 s", "10 min", "2.5 h"]


def test_an_error_is_shown_and_can_be_copied(panel, qapp):
    try:
        raise ValueError("inner")
    except ValueError as error:
        details = error_details(error, PredictionRequest(structures=("dna",)))
    panel.message.show_error("ratio 0.5 cannot be used; give 1 or more", details)
    assert panel.message.is_error
    assert panel.message.text.text() == "Ratio 0.5 cannot be used; give 1 or more."
    panel.message.copy_button.click()
    copied = QApplication.clipboard().text()
    for part in ("ValueError: inner", '"dna"', "napari", "Traceback"):
        assert part in copied


def test_notices_are_no_errors_and_many_are_folded(panel):
    panel.message.show_notices(["one is unknown", "x.tif is large", "three is unknown"])
    assert panel.message.text.text() == "One is unknown.\nx.tif is large."
    assert panel.message.more_button.text() == "1 more…"
    panel.message.more_button.click()
    assert "Three is unknown." in panel.message.text.text()
    assert not panel.message.is_error
    panel.message.show_notices([])
    assert not panel.message.isVisible()


# options ----------------------------------------------------------------------


@pytest.fixture
def options(added):
    return added(OptionsPanel())


def test_unusual_options_stay_in_sight(options):
    assert options.isHidden()
    assert options.rows.native("memory_gb").text() == "automatic"
    options.more_button.click()
    options.rows.native("tta").setChecked(True)
    options.rows.native("memory_gb").setValue(4)
    options.more_button.click()
    assert options.body.isHidden()
    assert not options.summary.isHidden()
    assert options.summary.text() == "average of 8 · at most 4.0 GB"
    options.show_memory("tile 384×384, 1.2 of 8.0 GB")
    assert options.memory_note.text() == "Plan: tile 384×384, 1.2 of 8.0 GB"
    options.show_memory("")
    assert options.memory_note.isHidden()


def test_fast_windows_are_offered_where_a_model_moves_them_by_one(options):
    options.more_button.click()
    assert not options.rows.native("fast").isVisibleTo(options)
    options.show_windows(5)
    assert options.rows.native("fast").isVisibleTo(options)
    assert options.rows.native("fast").text() == "Fast: every 5th window"
    assert "a 5th of the time" in options.rows.native("fast").toolTip()
    options.rows.native("fast").setChecked(True)
    assert options.fast
    assert options.summary.text() == "every 5 planes"
    options.show_windows(None)  # another model
    assert not options.fast
    assert options.summary.text() == ""


def test_unfolded_options_are_scrolled_into_sight(qtbot, added):
    form = added(PredictForm(list))
    form.resize(412, 420)
    form.show()
    qtbot.waitExposed(form)
    row = form.options.rows.native("memory_gb")
    assert row.visibleRegion().isEmpty()
    form.options.more_button.click()
    qtbot.waitUntil(lambda: not row.visibleRegion().isEmpty())


@pytest.fixture
def form(added, qtbot):
    form = added(PredictForm(list))
    form.resize(424, 800)
    form.show()
    qtbot.waitExposed(form)
    return form


def test_run_stays_where_it_is_whatever_texts_wrap(form, qtbot):
    foot = form.foot
    place = foot.button.mapTo(form, foot.button.rect().topLeft())
    foot.set_status("3 of 12 tiles are done and stay. " * 6)
    foot.message.show_notices(["a warning of several lines " * 9])
    qtbot.waitUntil(lambda: foot.message.height() > 2 * foot.button.height())
    assert foot.button.mapTo(form, foot.button.rect().topLeft()) == place


def test_expected_scores_say_on_what_cells_and_go_with_their_column(form, qtbot):
    simulated = {f"r2_at_{ratio}": {"dna": 0.7, "nucleolus": 0.6} for ratio in (1, 4)}
    scores = {
        "16 colonies": simulated,
        "dna of 1 real pair(s)": {"at_1": {"r2": 0.1}, "at_4": {"r2": 0.0}},
    }
    form.topology.set_cards([card(structures=("dna", "nucleolus"), scores=scores)])
    form.show_model()
    form.show_preview(
        replace(form.state(), ratio=4), PredictionPreview(), SpeedEstimate()
    )
    rows = form.structures.rows
    assert [row.expected_text() for row in rows] == ["0.00", "0.60"]
    assert form.measured_note.text() == (
        "Expected: R² on real cells; Nucleolus: on simulated test cells."
    )
    assert "16 colonies" in form.measured_note.toolTip()
    qtbot.waitUntil(form.measured_note.isVisible)
    place = form.table.rows_model.column("expected")
    for hidden in (True, False):  # as where scores leave it no room
        form.table.setColumnHidden(place, hidden)
        qtbot.waitUntil(lambda off=hidden: form.measured_note.isVisible() is not off)


def test_the_export_menu_is_known_by_name_and_teaches(added):
    menu = added(ExportMenu())
    assert menu.accessibleName()
    for action in (menu.copy_action, menu.request_action, menu.save_action):
        assert action.toolTip() != action.text()
