"""The table's model: ticks, eyes, truths found by name, live scores."""

import pytest
from qtpy.QtCore import Qt

from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.ui.widgets.structure_model import Column, StructureModel

CHECK = Qt.ItemDataRole.CheckStateRole


@pytest.fixture
def model(qapp):
    model = StructureModel()
    model.set_structures(tuple(CATALOGUE))
    return model


def row_of(model, id_):
    return [row.structure.id for row in model.rows].index(id_)


def test_everything_is_ticked_and_only_a_few_are_shown(model):
    assert model.ticked() == tuple(CATALOGUE)
    assert set(model.visible()) == {"dna", "cell_membrane", "mitochondria"}


def test_few_structures_are_all_shown(qapp):
    model = StructureModel()
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


def test_no_truth_can_be_chosen_too(model):
    model.set_layers([("a", "DNA")])
    model.choose_truth(row_of(model, "dna"), None)
    model.set_layers([("a", "DNA"), ("b", "noise")])
    assert model.truths() == {}


def test_truth_of_an_unticked_structure_is_not_asked_for(model):
    model.set_layers([("a", "DNA")])
    model.tick(("nucleolus",))
    assert model.truths() == {}


def test_scores_are_shown_as_they_come(model):
    model.set_scores({"dna": {"r2": 0.614, "pcc": 0.8}, "nucleolus": {"r2": -0.2}})
    cell = model.index(row_of(model, "dna"), Column.R2)
    assert cell.data() == "0.61"
    assert "0.80" in cell.data(Qt.ItemDataRole.ToolTipRole)
    assert model.index(row_of(model, "nucleolus"), Column.R2).data() == "\u22120.20"
    model.clear_scores()
    assert cell.data() == ""


def test_undefined_score_is_blank_not_nan(model):
    model.set_scores({"dna": {"r2": None, "pcc": None}})
    assert model.index(row_of(model, "dna"), Column.R2).data() == ""


def test_eye_works_while_locked_and_ticks_do_not(model, qtbot):
    model.set_locked(True)
    number = row_of(model, "dna")
    with qtbot.waitSignal(model.visibility_changed) as told:
        model.setData(
            model.index(number, Column.VISIBLE), Qt.CheckState.Unchecked, CHECK
        )
    assert told.args == ["dna", False]
    changed = model.setData(
        model.index(number, Column.NAME), Qt.CheckState.Unchecked, CHECK
    )
    assert not changed
    assert "dna" in model.ticked()


def test_choices_stay_when_another_model_has_the_same_structures(model):
    model.tick(("dna", "nucleolus"))
    model.set_structures(("dna", "nucleolus", "map2"))
    assert model.ticked() == ("dna", "nucleolus", "map2")


def test_qt_finds_no_fault_with_the_model(model, qtmodeltester):
    qtmodeltester.check(model)


def test_uncertainties_are_shown_and_hidden_where_there_are_any(model, qtbot):
    with qtbot.waitSignal(model.spreads_offered, check_params_cb=bool):
        model.set_spreads({"dna": False})
    cell = model.index(row_of(model, "dna"), Column.SPREAD)
    with qtbot.waitSignal(model.spread_changed):
        model.setData(cell, Qt.CheckState.Checked, CHECK)
    assert model.spreads() == ("dna",)
    other = model.index(row_of(model, "nucleolus"), Column.SPREAD)
    assert other.data(CHECK) is None
    assert not model.flags(other) & Qt.ItemFlag.ItemIsUserCheckable
    model.set_spread("nucleolus", True)
    assert model.spreads() == ("dna",)


def test_doubts_mark_their_structures_and_say_why(model):
    model.set_doubts({"dna": ["it is noise"]})
    cell = model.index(row_of(model, "dna"), Column.NAME)
    assert cell.data(Qt.ItemDataRole.UserRole) is True
    assert "it is noise" in cell.data(Qt.ItemDataRole.ToolTipRole)
    model.set_doubts({})
    assert cell.data(Qt.ItemDataRole.UserRole) is False
