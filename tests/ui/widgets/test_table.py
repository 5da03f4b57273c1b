"""Declared columns: what cells show, sort by and give way to."""

from dataclasses import dataclass

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor

from napari_sparsessp.ui.widgets.basic import Mark
from napari_sparsessp.ui.widgets.table import (
    ROW,
    Column,
    Kind,
    RowsModel,
    RowsOrder,
)
from napari_sparsessp.ui.widgets.table_view import RowsView

TICK = Qt.ItemDataRole.CheckStateRole


@dataclass
class Row:
    id: str
    ticked: bool = True
    shown: bool | None = True
    score: float | None = None
    truth: str | None = None
    locked: bool = False


def columns():
    return (
        Column(
            "name",
            "Structure",
            lambda row: row.id,
            "What it is.",
            kind=Kind.CHECK,
            checked=lambda row: row.ticked,
            set_checked=lambda row, on: setattr(row, "ticked", on),
            can_edit=lambda row: not row.locked,
            colour=lambda _row: QColor("#3080c0"),
            mark=lambda row: Mark.WARN if row.id == "er" else None,
            sortable=True,
        ),
        Column(
            "eye",
            "",
            kind=Kind.EYE,
            sample="00",
            checked=lambda row: row.shown,
            set_checked=lambda row, on: setattr(row, "shown", on),
        ),
        Column(
            "truth",
            "Truth",
            lambda row: row.truth or "–",
            kind=Kind.CHOICE,
            chosen=lambda row: row.truth,
            choices=lambda _row: [(None, "– no truth –"), ("t1", "Truth 1")],
            choose=lambda row, value: setattr(row, "truth", value),
            narrow=36,
            gives_way=2,
        ),
        Column(
            "r2",
            "R²",
            lambda row: "" if row.score is None else f"{row.score:.2f}",
            "1 is perfect.",
            kind=Kind.BAR,
            value=lambda row: row.score,
            notch=lambda _row: 0.8,
            sample="\u22120.00",
            sortable=True,
            descending=True,
            gives_way=1,
            shown=lambda rows: any(row.score is not None for row in rows),
        ),
    )


@pytest.fixture
def rows():
    return [Row("dna", score=0.5), Row("er", shown=None), Row("actin", score=0.9)]


@pytest.fixture
def model(qapp, rows):
    model = RowsModel(columns(), lambda row: row.id)
    model.set_rows(rows)
    return model


@pytest.fixture
def view(added, model):
    view = added(RowsView(RowsOrder(model), "Structures"))
    view.resize(400, 200)
    view.show()
    return view


def ids(view):
    order = view.model()
    return [order.index(row, 0).data(ROW).id for row in range(order.rowCount())]


def test_qt_finds_no_fault_with_the_model(model, qtmodeltester):
    qtmodeltester.check(model, force_py=True)


def test_the_same_rows_are_refreshed_and_other_rows_reset(model, rows, qtbot):
    with qtbot.assertNotEmitted(model.modelReset), qtbot.waitSignal(model.dataChanged):
        assert not model.set_rows(rows)
    with qtbot.waitSignal(model.modelReset):
        assert model.set_rows(rows[:2])
    assert model.place("actin") == -1
    assert model.row("er") is rows[1]


def test_a_tick_is_emitted_and_where_there_is_no_box_there_is_none(model, rows, qtbot):
    with qtbot.waitSignal(model.edited) as caught:
        assert model.setData(model.index(0, 0), Qt.CheckState.Unchecked, TICK)
    assert caught.args == [rows[0], "name"]
    assert not rows[0].ticked
    assert not model.setData(model.index(1, 1), Qt.CheckState.Checked, TICK)
    assert model.index(1, 1).data(TICK) is None
    rows[2].locked = True
    assert not model.setData(model.index(2, 0), Qt.CheckState.Unchecked, TICK)
    assert rows[2].ticked


def test_missing_values_come_last_either_way_and_rows_do_not_jump(view, rows):
    header = view.horizontalHeader()
    assert ids(view) == ["dna", "er", "actin"]
    header.sectionClicked.emit(3)
    assert ids(view) == ["actin", "dna", "er"]
    assert view.model().headerData(3, Qt.Orientation.Horizontal) == "R²\u2009▾"
    header.sectionClicked.emit(3)
    assert ids(view) == ["dna", "actin", "er"]
    rows[0].score = 0.99
    view.rows_model.refresh()
    assert ids(view) == ["dna", "actin", "er"]
    view.order.settle()
    assert ids(view) == ["actin", "dna", "er"]
    header.sectionClicked.emit(3)
    assert ids(view) == ["dna", "er", "actin"]
    assert [row.id for row in view.rows_model.rows] == ["dna", "er", "actin"]


def test_keys_tick_sort_and_choose(view, rows, qtbot):
    with qtbot.waitSignal(view.chosen) as caught:
        view.setCurrentIndex(view.model().index(1, 2))
    assert caught.args == ["er"]
    qtbot.keyClick(view, Qt.Key.Key_Space)
    assert not rows[1].ticked
    qtbot.keyClick(view, Qt.Key.Key_S)
    assert ids(view) == ["actin", "dna", "er"]
    assert view.current() is rows[1]
    with qtbot.assertNotEmitted(view.chosen):
        view.choose("dna")
    assert view.current() is rows[0]


def test_a_click_anywhere_on_a_cell_toggles_it(view, rows, qtbot):
    place = view.visualRect(view.model().index(0, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert not rows[0].ticked


def test_a_truth_is_chosen_from_a_list(view, rows, qtbot):
    assert view.open_choice(view.model().index(0, 0))
    cell = view.model().index(0, 2)
    editor = view.indexWidget(cell)
    editor.setCurrentIndex(1)
    editor.activated.emit(1)
    assert rows[0].truth == "t1"


def test_columns_give_way_in_their_order_and_where_they_have_nothing_to_say(view, rows):
    assert view.shown_columns() == ("name", "eye", "truth", "r2")
    view.resize(80, 200)
    assert view.shown_columns() == ("name", "eye")
    view.resize(400, 200)
    for row in rows:
        row.score = None
    view.rows_model.refresh()
    assert view.shown_columns() == ("name", "eye", "truth")


def test_all_rows_are_in_sight_and_the_current_one_is_painted_apart(view):
    last = view.visualRect(view.model().index(2, 0))
    assert view.viewport().rect().contains(QPoint(5, last.bottom()))
    before = view.grab().toImage()
    view.emphasised = True
    view.choose("dna")
    assert view.grab().toImage() != before


def test_a_table_is_copied_with_all_digits(model):
    text = model.as_text({"structure": lambda row: row.id, "r2": lambda row: row.score})
    assert text == "structure\tr2\ndna\t0.5\ner\t\nactin\t0.9\n"
