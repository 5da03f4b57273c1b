"""The table itself: mouse and keyboard."""

import pytest
from qtpy.QtCore import Qt

from napari_sparsessp.ui.widgets.model_picker import Quality
from napari_sparsessp.ui.widgets.structure_model import Column, StructureModel
from napari_sparsessp.ui.widgets.structures import StructureTable


@pytest.fixture
def table(qtbot):
    model = StructureModel()
    model.set_structures(("dna", "nucleolus", "microtubule"))
    model.set_layers([("k", "my truth")])
    table = StructureTable(model)
    qtbot.addWidget(table)
    table.resize(380, 200)
    table.show()
    return table


def click(qtbot, table, row, column):
    place = table.visualRect(table.model().index(row, column)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_a_click_anywhere_on_the_name_ticks(qtbot, table):
    click(qtbot, table, 1, Column.NAME)
    assert table.structures.ticked() == ("dna", "microtubule")
    click(qtbot, table, 1, Column.NAME)
    assert table.structures.ticked() == ("dna", "nucleolus", "microtubule")


def test_a_click_on_the_eye_hides(qtbot, table):
    click(qtbot, table, 0, Column.VISIBLE)
    assert table.structures.visible() == ("nucleolus", "microtubule")


def test_truth_is_chosen_from_a_list(qtbot, table):
    click(qtbot, table, 0, Column.TRUTH)
    cell = table.model().index(0, Column.TRUTH)
    editor = table.indexWidget(cell)
    assert [editor.itemText(i) for i in range(editor.count())][1] == "my truth"
    editor.setCurrentIndex(1)
    editor.activated.emit(1)
    assert table.structures.truths() == {"dna": "k"}


def test_keyboard_ticks_and_hides(qtbot, table):
    table.setFocus()
    table.setCurrentIndex(table.model().index(0, Column.NAME))
    qtbot.keyClick(table, Qt.Key.Key_Space)
    qtbot.keyClick(table, Qt.Key.Key_Down)
    qtbot.keyClick(table, Qt.Key.Key_V)
    assert table.structures.ticked() == ("nucleolus", "microtubule")
    assert table.structures.visible() == ("dna", "microtubule")


def test_all_rows_are_in_sight(table):
    table.structures.set_structures(tuple(f"own_{i}" for i in range(12)))
    last = table.visualRect(table.model().index(11, 0))
    assert last.bottom() <= table.viewport().height()


def names(table):
    model = table.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def sort(table, column):
    table.horizontalHeader().sectionClicked.emit(column)


def test_a_click_on_a_header_sorts_turns_round_and_lets_be(table):
    own = names(table)
    sort(table, Column.NAME)
    assert names(table) == sorted(own)
    sort(table, Column.NAME)
    assert names(table) == sorted(own, reverse=True)
    sort(table, Column.NAME)
    assert names(table) == own


@pytest.mark.parametrize("times", [1, 2])
def test_what_has_no_score_comes_last_either_way(table, times):
    table.structures.set_scores({"nucleolus": {"r2": 0.2}, "microtubule": {"r2": 0.7}})
    for _ in range(times):
        sort(table, Column.R2)
    labels = {row.structure.id: row.structure.label for row in table.structures.rows}
    order = [labels["microtubule"], labels["nucleolus"]]
    assert names(table)[:2] == (order if times == 1 else order[::-1])
    assert names(table)[2] == labels["dna"]


def test_sorting_changes_no_order_of_the_request(qtbot, table):
    sort(table, Column.NAME)
    sort(table, Column.NAME)
    assert table.structures.ticked() == ("dna", "nucleolus", "microtubule")
    click(qtbot, table, 0, Column.NAME)
    first = next(
        r for r in table.structures.rows if r.structure.label == names(table)[0]
    )
    assert first.structure.id not in table.structures.ticked()


def test_rows_do_not_jump_while_scores_come_in(table):
    table.structures.set_locked(True)
    sort(table, Column.R2)
    before = names(table)
    table.structures.set_scores({"microtubule": {"r2": 0.9}})
    assert names(table) == before
    table.structures.set_locked(False)
    assert names(table) != before


def test_the_keyboard_sorts(qtbot, table):
    own = names(table)
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_S)
    assert names(table) == sorted(own)
    qtbot.keyClick(table, Qt.Key.Key_S)
    assert names(table) == own


def test_scores_have_columns_once_there_are_any(table):
    table.structures.set_expected({"dna": Quality(0.7, "some images")})
    assert Column.EXPECTED in table.shown_columns()
    assert Column.R2 not in table.shown_columns()
    table.structures.set_scores({"dna": {"r2": 0.6, "pcc": 0.8}})
    assert {Column.R2, Column.PCC} <= set(table.shown_columns())


def test_in_a_narrow_dock_names_are_whole_and_numbers_give_way(table):
    table.structures.set_expected({"dna": Quality(0.7, "some images")})
    table.structures.set_scores({"dna": {"r2": 0.6, "pcc": 0.8}})
    table.resize(700, 200)
    wide = set(table.shown_columns())
    assert {Column.EXPECTED, Column.R2, Column.PCC} <= wide
    table.resize(250, 200)
    assert Column.R2 in table.shown_columns()
    assert Column.EXPECTED not in table.shown_columns()
    assert table.columnWidth(Column.NAME) >= table._name_width()
