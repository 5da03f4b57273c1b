"""The table of scores."""

import pytest
from qtpy.QtCore import Qt

from napari_sparsessp.ui.compare.table import ScoreRow, ScoreTable


def rows():
    return [
        ScoreRow(
            "dna", "DNA", "#00bfff", True, "DNA · truth", {"r2": 0.5, "pcc": 0.75}
        ),
        ScoreRow("nucleolus", "Nucleolus", "#ff0000", False, "", None, "no truth"),
        ScoreRow("actin", "Actin", "#00ff00", True, "a", {"r2": -0.25, "pcc": None}),
    ]


@pytest.fixture
def table(added):
    table = added(ScoreTable())
    table.set_rows(rows())
    return table


def cells(table, key, role=Qt.ItemDataRole.DisplayRole):
    model, column = table.model(), table.rows_model.column(key)
    return [model.index(row, column).data(role) for row in range(model.rowCount())]


def sort_by(table, key):
    table.horizontalHeader().sectionClicked.emit(table.rows_model.column(key))


def test_a_tick_is_emitted_and_outlives_new_scores(table, qtbot):
    check = Qt.ItemDataRole.CheckStateRole
    with qtbot.waitSignal(table.shown_changed):
        assert table.model().setData(
            table.model().index(0, 0), Qt.CheckState.Unchecked, check
        )
    assert table.shown() == ("actin",)
    table.set_rows(rows())
    assert table.shown() == ("actin",)


def test_the_table_is_copied_as_it_is_sorted_with_all_digits(table, qapp, qtbot):
    table.rows[0].scores = {"r2": 0.123456789, "pcc": 0.5}
    sort_by(table, "r2")
    sort_by(table, "r2")
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    head, first, second, _ = qapp.clipboard().text().splitlines()
    assert head.split("\t")[:3] == ["structure", "r2", "pcc"]
    assert first.split("\t")[:3] == ["actin", "-0.25", ""]
    assert second.split("\t")[:3] == ["dna", "0.123456789", "0.5"]


def test_the_chosen_structure_stays_chosen_when_rows_are_sorted_or_come(table):
    table.choose("actin")
    sort_by(table, "r2")
    assert table.structure() == "actin"
    table.set_rows(rows()[1:])
    assert table.structure() == "actin"


def test_scores_have_two_digits_and_a_tip_has_those_without_a_column(table):
    assert cells(table, "r2") == ["0.50", "–", "−0.25"]
    assert cells(table, "pcc") == ["0.75", "", "–"]
    table.rows[0].scores = {"r2": 0.5, "pcc_plane": 0.4321}
    tips = cells(table, "structure", Qt.ItemDataRole.ToolTipRole)
    assert "PCC in planes: 0.4321" in tips[0]
    assert "DNA · truth" in tips[0]
    assert "choose one below" in tips[1]
