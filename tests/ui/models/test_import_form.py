"""The form asks what the file leaves open, and only that."""

from pathlib import Path

import pytest

from fake_engine import found
from napari_sparsessp.models.importing.answers import Question
from napari_sparsessp.ui.models.import_form import ImportForm, model_id, numbers


@pytest.fixture
def form(added):
    return added(ImportForm())


def offer(form, what, taken=()):
    form.offer(what, Path("best.pth"), "best", taken)


def asked(form):
    """The rows but those of name, id and licence."""
    return [row for row in form.shown if row not in ("name", "id", "licence")]


def note(form, row):
    return form.rows._fields[row].note.text()


def type_in(form, row, text):
    form.rows.native(row).setText(text)


def test_what_the_file_answers_is_not_asked(form):
    offer(form, found(structures=("dna", "nucleolus"), ratio=8, questions=()))
    assert asked(form) == []
    assert form.check() == ""
    assert form.answers() == {"id": "best", "name": "best"}
    assert "DNA, Nucleolus" in form.panel.structures.text()
    assert "r = 8" in form.panel.facts.text()


def test_suggestions_are_filled_in_and_their_origin_shown(form):
    offer(form, found())
    assert asked(form) == ["structures", "ratios", "voxel_size", "scaling"]
    assert form.rows.get("voxel_size") == (0.29, 0.29, 0.29)
    assert note(form, "voxel_size") == "Assumed: as published."
    assert note(form, "ratios") == "The file does not say."
    guess = Question("structures", ("dna", "nucleolus"), False, "the file's name")
    offer(form, found(questions=(guess,)))
    assert form.check() == ""
    assert note(form, "structures").startswith("Guessed: the file's name")


def test_what_is_missing_is_reported_beside_its_field_and_in_order(form):
    offer(form, found())
    assert form.check().startswith("Name every output")
    form.rows.native("structures").fields[0].setText("DNA")
    form.rows.native("structures").fields[1].setText("Mine")
    assert form.check().startswith("How many planes")
    type_in(form, "ratios", "0.5")
    assert "1 or more" in form.check()
    type_in(form, "ratios", "2, 4, 8")
    assert form.check() == ""
    assert form.answers() == {
        "id": "best",
        "name": "best",
        "structures": ("dna", "mine"),
        "ratios": (2.0, 4.0, 8.0),
        "voxel_size": (0.29, 0.29, 0.29),
        "scaling": "zscore",
    }


def test_light_and_pooling_are_asked_where_a_file_leaves_them_open(form):
    questions = (
        Question("scaling", "median_iqr", True, "as published"),
        Question("modality", "quantitative phase", True, "as published"),
        Question("head_pool", False, True, "VisCy's default for FCMAE"),
    )
    offer(form, found(structures=("dna", "mine"), questions=questions))
    assert asked(form) == ["scaling", "modality", "head_pool"]
    assert form.check() == ""
    type_in(form, "modality", " ")
    assert form.check().startswith("Say which light")
    type_in(form, "modality", "phase contrast")
    form.rows.native("head_pool").setChecked(True)
    answers = form.answers()
    assert answers["scaling"] == "median_iqr"
    assert answers["modality"] == "phase contrast"
    assert answers["head_pool"] is True


def test_half_a_voxel_size_is_refused(form):
    offer(form, found(questions=(Question("voxel_size", (1, 0.1, 0.1), True, "x"),)))
    for text in ("1, 0.1", "1, 0, 0.1", "1, b, 0.1", ""):
        type_in(form, "voxel_size", text)
        assert "three numbers" in form.check()
    type_in(form, "voxel_size", "1; 0,2; 0,1")
    assert form.rows.get("voxel_size") == (1, 0.2, 0.1)


def test_an_id_that_is_taken_is_never_suggested_nor_accepted(form):
    offer(form, found(questions=()), taken={"best", "best-2"})
    assert form.rows.native("id").text() == "best-3"
    type_in(form, "id", "best")
    assert "never replaced" in form.check()
    type_in(form, "id", "no spaces")
    assert "lower-case" in form.check()


def test_name_id_and_licence_can_be_typed(form):
    offer(form, found(questions=()))
    type_in(form, "name", "My Model 2")
    assert form.rows.native("id").text() == "my-model-2"
    type_in(form, "id", "own")
    type_in(form, "name", "Other")
    assert form.rows.native("id").text() == "own"
    hint = note(form, "licence")
    assert hint.startswith("Check that you may use these weights.")
    assert "forbids commercial use" in hint
    type_in(form, "licence", "Allen Institute")
    assert form.answers()["licence"] == "Allen Institute"


def test_a_native_model_is_asked_nothing(form, card):
    offer(form, found(network={"topology": "3to2d"}))
    assert form.panel.drawing.topology == "3to2d"
    offer(form, found(network={}))
    assert form.panel.drawing.isHidden()
    offer(form, card())
    assert asked(form) == []
    assert form.shown == ()
    assert form.answers() == {}
    assert "model of this plugin" in form.panel.headline.text()


@pytest.mark.parametrize(
    ("name", "taken", "id_"),
    [
        ("Best Model", (), "best-model"),
        ("ümlaut", (), "mlaut"),
        ("…", (), "model"),
        ("a", {"a", "a-2"}, "a-3"),
        ("x" * 200, (), "x" * 70),
    ],
)
def test_any_name_gives_an_id(name, taken, id_):
    assert model_id(name, taken) == id_


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", (8.0,)),
        ("1, 2, 4", (1.0, 2.0, 4.0)),
        ("1,5", (1.5,)),
        ("1.5,2", (1.5, 2.0)),
        ("2;4", (2.0, 4.0)),
        ("", ()),
        ("eight", None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_numbers_are_read_as_people_write_them(text, values):
    assert numbers(text) == values
