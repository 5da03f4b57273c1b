"""Naming the outputs of a network."""

import pytest

from napari_sparsessp.ui.widgets.structure_fields import StructureFields, structure_id


@pytest.fixture
def fields(added):
    return added(StructureFields())


def type_in(fields, number, text):
    fields.fields[number].setText(text)
    fields.fields[number].editingFinished.emit()


@pytest.mark.parametrize(
    ("typed", "id_"),
    [
        ("Nuclear envelope", "nuclear_envelope"),
        ("lamin_b1", "nuclear_envelope"),
        ("Mitochondria – Tom20", "mitochondria"),
        ("  My own marker! ", "my_own_marker"),
        ("", ""),
        ("?", ""),
    ],
)
def test_any_name_becomes_an_id(typed, id_):
    assert structure_id(typed) == id_


def test_a_list_fills_the_fields_below(fields):
    fields.offer(4)
    type_in(fields, 1, "dna, my marker; tom20")
    assert fields.ids() == ("", "dna", "my_marker", "mitochondria")
    assert fields.fields[3].text() == "Mitochondria"  # published names turn into ours
    type_in(fields, 3, "dna, golgi")  # too long a list is cut
    assert fields.ids() == ("", "dna", "my_marker", "dna")


def test_missing_and_double_names_are_reported(fields):
    fields.offer(2)
    assert "numbers 1, 2" in fields.problem()
    type_in(fields, 0, "dna")
    assert "number 2 has" in fields.problem()
    type_in(fields, 1, "Hoechst")
    assert "DNA stands there twice" in fields.problem()


def test_every_field_is_filled_and_completes_from_the_catalogue(fields):
    fields.offer(2, ("dna", "nuclear_envelope"))
    assert [field.text() for field in fields.fields] == ["DNA", "Nuclear envelope"]
    assert fields.problem() == ""
    completer = fields.fields[1].completer()
    completer.setCompletionPrefix("lamin")
    assert completer.currentCompletion().startswith("Nuclear envelope")
