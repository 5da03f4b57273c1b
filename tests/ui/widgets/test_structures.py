"""The table of structures: ticks, eyes, truths found by name, live scores."""

import pytest
from qtpy.QtCore import Qt

from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.ui.widgets.card_text import Quality
from napari_sparsessp.ui.widgets.structures import (
    StructureModel,
    StructureTable,
)


@pytest.fixture
def table(added):
    model = StructureModel()
    model.set_structures(("dna", "nucleolus", "microtubule"))
    model.set_layers([("k", "my truth")])
    table = added(StructureTable(model))
    table.resize(380, 200)
    table.show()
    return table


def cell_of(table, row, column):
    return table.model().index(row, table.rows_model.column(column))


def click(qtbot, table, row, column):
    place = table.visualRect(cell_of(table, row, column)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def names(table):
    model = table.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def sort(table, column):
    table.horizontalHeader().sectionClicked.emit(table.rows_model.column(column))


def test_sorting_changes_no_order_of_the_request(qtbot, table):
    sort(table, "name")
    sort(table, "name")
    assert table.structures.ticked() == ("dna", "nucleolus", "microtubule")
    click(qtbot, table, 0, "name")
    assert table.structures.ticked() == ("dna", "microtubule")
    assert names(table)[0] == "Nucleolus"


def test_rows_do_not_jump_while_scores_come_in(table):
    table.structures.set_locked(True)
    sort(table, "r2")
    before = names(table)
    table.structures.set_scores({"microtubule": {"r2": 0.9}})
    assert names(table) == before
    table.structures.set_locked(False)
    assert names(table) != before


def test_in_a_narrow_dock_names_are_whole_and_numbers_give_way(table):
    table.structures.set_expected({"dna": Quality(0.7, "some images")})
    assert "r2" not in table.shown_columns()
    table.structures.set_scores({"dna": {"r2": 0.6, "pcc": 0.8}})
    table.resize(700, 200)
    wide = set(table.shown_columns())
    assert {"expected", "r2", "pcc"} <= wide
    table.resize(250, 200)
    assert "r2" in table.shown_columns()
    assert "expected" not in table.shown_columns()
    metrics = table.fontMetrics()
    widest = max(metrics.horizontalAdvance(name) for name in names(table))
    assert table.columnWidth(0) >= widest + 30


CHECK = Qt.ItemDataRole.CheckStateRole


@pytest.fixture
def model(qapp):
    model = StructureModel()
    model.set_structures(tuple(CATALOGUE))
    return model


def row_of(model, id_):
    return [row.structure.id for row in model.rows].index(id_)


def model_cell(model, id_, column):
    return model.index(row_of(model, id_), model.column(column))


def test_everything_is_ticked_and_only_a_few_are_shown(model):
    assert model.ticked() == tuple(CATALOGUE)
    assert set(model.visible()) == {"dna", "cell_membrane", "mitochondria"}
    model.set_structures(("dapi", "map2", "nfh"))
    assert model.visible() == ("dapi", "map2", "nfh")


def test_truth_is_found_by_the_name_of_the_layer(model, qtbot):
    with qtbot.waitSignal(model.choice_changed):
        model.set_layers([("a", "Hoechst"), ("b", "LMNB1 lamin"), ("c", "noise")])
    assert model.truths() == {"dna": "a", "nuclear_envelope": "b"}


def test_a_chosen_truth_outlives_new_layers_and_goes_with_its_own(model):
    model.set_layers([("a", "DNA"), ("b", "other")])
    model.choose_truth(row_of(model, "dna"), "b")
    model.set_layers([("a", "DNA"), ("b", "other"), ("c", "more")])
    assert model.truths()["dna"] == "b"
    assert model.insisted() == {"dna"}
    model.set_layers([("a", "DNA")])
    assert model.truths()["dna"] == "a"
    assert not model.insisted()
    model.choose_truth(row_of(model, "dna"), None)
    model.set_layers([("a", "DNA"), ("b", "noise")])
    assert model.truths() == {}


def test_opened_truths_are_those_of_the_structures_in_their_names(model):
    model.set_layers([("a", "DNA"), ("b", "dna · Bright-field"), ("c", "dna · DNA")])
    model.take_truths([("b", "dna · Bright-field"), ("c", "dna · Hoechst · truth")])
    assert model.truths() == {"dna": "c"}
    model.set_structures(("dapi",))
    model.take_truths([("b", "recorded by chance · truth")])
    assert model.truths() == {"dapi": "b"}


def test_truth_of_an_unticked_structure_is_not_asked_for(model):
    model.set_layers([("a", "DNA")])
    model.tick(("nucleolus",))
    assert model.truths() == {}


def test_scores_are_shown_as_they_come(model):
    model.set_scores({"dna": {"r2": 0.614, "pcc": 0.8}, "nucleolus": {"r2": -0.2}})
    cell = model_cell(model, "dna", "r2")
    assert cell.data() == "0.61"
    assert "0.80" in cell.data(Qt.ItemDataRole.ToolTipRole)
    assert model_cell(model, "nucleolus", "r2").data() == "\u22120.20"
    model.clear_scores()
    assert cell.data() == ""


def test_choices_stay_when_another_model_has_the_same_structures(model):
    model.tick(("dna", "nucleolus"))
    model.set_structures(("dna", "nucleolus", "map2"))
    assert model.ticked() == ("dna", "nucleolus", "map2")
