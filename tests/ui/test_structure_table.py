"""The table itself: mouse and keyboard."""

import pytest
from qtpy.QtCore import Qt

from napari_sparsessp.ui.structure_model import Column, StructureModel
from napari_sparsessp.ui.structure_table import StructureTable


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
    assert table.model().ticked() == ("dna", "microtubule")
    click(qtbot, table, 1, Column.NAME)
    assert table.model().ticked() == ("dna", "nucleolus", "microtubule")


def test_a_click_on_the_eye_hides(qtbot, table):
    click(qtbot, table, 0, Column.VISIBLE)
    assert table.model().visible() == ("nucleolus", "microtubule")


def test_truth_is_chosen_from_a_list(qtbot, table):
    click(qtbot, table, 0, Column.TRUTH)
    cell = table.model().index(0, Column.TRUTH)
    editor = table.indexWidget(cell)
    assert [editor.itemText(i) for i in range(editor.count())][1] == "my truth"
    editor.setCurrentIndex(1)
    editor.activated.emit(1)
    assert table.model().truths() == {"dna": "k"}


def test_keyboard_ticks_and_hides(qtbot, table):
    table.setFocus()
    table.setCurrentIndex(table.model().index(0, Column.NAME))
    qtbot.keyClick(table, Qt.Key.Key_Space)
    qtbot.keyClick(table, Qt.Key.Key_Down)
    qtbot.keyClick(table, Qt.Key.Key_V)
    assert table.model().ticked() == ("nucleolus", "microtubule")
    assert table.model().visible() == ("dna", "microtubule")


def test_all_rows_are_in_sight(table):
    table.model().set_structures(tuple(f"own_{i}" for i in range(12)))
    last = table.visualRect(table.model().index(11, 0))
    assert last.bottom() <= table.viewport().height()
