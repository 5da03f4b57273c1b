"""The table of scores."""

from qtpy.QtCore import Qt

from napari_sparsessp.ui.compare.table import (
    COLUMNS,
    CompareTable,
    ScoreModel,
    ScoreRow,
)

R2 = next(n for n, (key, _, _) in enumerate(COLUMNS) if key == "r2")


def rows():
    return [
        ScoreRow(
            "dna", "DNA", "#00bfff", True, "DNA · truth", {"r2": 0.5, "pcc": 0.75}
        ),
        ScoreRow("nucleolus", "Nucleolus", "#ff0000", False, "", None, "no truth"),
        ScoreRow("actin", "Actin", "#00ff00", True, "a", {"r2": -0.25, "pcc": None}),
    ]


def model():
    made = ScoreModel()
    made.set_rows(rows())
    return made


def column(made, number):
    return [made.index(row, number).data() for row in range(made.rowCount())]


def test_scores_have_two_digits(qapp):
    assert column(model(), R2) == ["0.50", "–", "−0.25"]
    assert column(model(), R2 + 1) == ["0.75", "", "–"]


def test_what_has_no_score_comes_last_whichever_way_it_is_sorted(qapp):
    made = model()
    made.sort(R2, Qt.SortOrder.DescendingOrder)
    assert [row.id for row in made.rows] == ["dna", "actin", "nucleolus"]
    made.sort(R2, Qt.SortOrder.AscendingOrder)
    assert [row.id for row in made.rows] == ["actin", "dna", "nucleolus"]


def test_a_tick_is_told_and_outlives_new_scores(qapp, qtbot):
    made = model()
    check = Qt.ItemDataRole.CheckStateRole
    with qtbot.waitSignal(made.shown_changed):
        assert made.setData(made.index(0, 0), Qt.CheckState.Unchecked, check)
    assert made.shown() == ("actin",)
    made.set_rows(rows())
    assert made.shown() == ("actin",)


def test_the_table_is_copied_with_all_digits(qapp, qtbot):
    made = model()
    made.update_row("dna", scores={"r2": 0.123456789, "pcc": 0.5})
    table = CompareTable(made)
    qtbot.addWidget(table)
    table.copy()
    head, first, *_ = qapp.clipboard().text().splitlines()
    assert head.split("\t")[:3] == ["structure", "r2", "pcc"]
    assert first.split("\t")[:3] == ["dna", "0.123456789", "0.5"]


def test_the_chosen_structure_stays_chosen_when_the_table_is_sorted(qapp, qtbot):
    made = model()
    table = CompareTable(made)
    qtbot.addWidget(table)
    table.choose("actin")
    table.sortByColumn(R2, Qt.SortOrder.AscendingOrder)
    assert table.structure() == "actin"


def test_a_tip_tells_the_scores_that_have_no_column(qapp):
    made = model()
    made.update_row("dna", scores={"r2": 0.5, "pcc_plane": 0.4321})
    tip = made.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "PCC in planes: 0.4321" in tip
    assert "DNA · truth" in tip
    tip = made.index(1, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "choose one below" in tip
