"""The result of a plan: what it suggests, and what a click changes."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QPalette

from napari_sparsessp.ui.plan.result import COLUMNS, PlanResult
from swept import report_of

GOOD = {"dna": (0.6, 0.59, 0.58, 0.4)}


@pytest.fixture
def result(added):
    widget = added(PlanResult())
    widget.resize(380, 700)
    widget.show_structures(["dna"])
    return widget


def _cells(result, row):
    model = result.table
    return [model.index(row, column).data() for column in range(len(COLUMNS))]


def test_the_ratio_of_the_answer_is_suggested(result):
    result.show_report(report_of(GOOD))
    assert result.ratio() == 4
    assert "8 of 32 planes (r = 4) are enough" in result.answer.text()
    assert result.use_button.text() == "Use every 4th plane in Predict"
    assert "25 % of the light" in result.sentence.text()
    assert _cells(result, 2) == ["4th", "8", "0.580 ✓", "25 %", "0.4 s", "0.4 s"]
    assert _cells(result, 3)[2] == "0.400 ✗"


def test_asking_for_less_suggests_fewer_planes(result):
    result.show_report(report_of(GOOD))
    result.rule.native("keep").setValue(60)
    assert result.ratio() == 8
    assert result.report().share == 0.6
    result.rule.native("keep").setValue(99)
    assert result.ratio() == 1
    result.show_report(None)
    assert result.isHidden()
    assert (result.report(), result.ratio()) == (None, None)


def test_a_click_on_the_chart_or_a_row_chooses(result, qtbot):
    result.show_report(report_of(GOOD))
    with qtbot.waitSignal(result.ratio_chosen) as told:
        result.chart.clicked.emit(1.2)
    assert told.args == [2]
    assert result.view.currentIndex().row() == 1
    result.view.setFocus()
    qtbot.keyClick(result.view, Qt.Key.Key_Down)
    assert result.ratio() == 4
    with qtbot.waitSignal(result.use_asked) as asked:
        result.use_button.click()
    assert asked.args == [4]


def test_where_brightness_cannot_tell_the_pattern_is_shown(result):
    result.show_report(report_of({"dna": (-0.1, -0.1, -0.1)}, pattern=0.5))
    assert result.score.value() == "pcc_plane"
    assert result.ratio() == 4
    assert result.answer.text().startswith("R² cannot tell")


def test_what_grows_decides_nothing_and_cannot_be_saved(result):
    result.show_report(report_of({"dna": (0.6, 0.59)}), growing=True, planned=(1, 2, 4))
    assert result.answer.text().startswith("So far r = 1 and 2.")
    assert max(max(curve.x) for curve in result.chart.curves) == 2, "room for r = 4"
    for button in (result.use_button, result.csv_button, result.page_button):
        assert not button.isEnabled()
    result.show_report(report_of(GOOD))
    assert result.ratio() == 4
    assert result.use_button.isEnabled()


def test_a_time_lapse_has_a_column_of_its_own(result):
    result.show_report(report_of(GOOD))
    assert "series" not in result.view.shown_columns()
    result.set_times(100)
    assert "series" in result.view.shown_columns()
    assert result.imaging.native("stacks").text() == "× 100 stacks"
    assert _cells(result, 0)[5] == "2.7 min"
    result.imaging.native("plane_ms").setValue(0)
    assert _cells(result, 0)[4] == "–", "no exposure, no seconds"


def test_curves_follow_the_eyes_and_the_theme(result):
    result.show_report(report_of(GOOD | {"cell_membrane": (0.6, 0.5, 0.4, 0.3)}))
    assert "membrane" not in result.legend.text()
    result.show_structures(["cell_membrane"])
    assert "membrane" in result.legend.text()
    assert "DNA" not in result.legend.text()
    drawn = []
    for back, text in (("#101418", "#f0f0f0"), ("#efefef", "#202020")):
        palette = result.palette()
        palette.setColor(QPalette.ColorRole.Window, QColor(back))
        palette.setColor(QPalette.ColorRole.WindowText, QColor(text))
        result.setPalette(palette)
        drawn += [one.colour for one in result.chart.curves if one.dots and one.colour]
    assert QColor(drawn[0]).lightness() > QColor(drawn[1]).lightness()
