"""The import dialog from file to model, and what it does with bad files."""

import threading
from pathlib import Path

import pytest
from qtpy.QtWidgets import QWidget

from fake_engine import FakeEngine, found
from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.importing.answers import Question
from napari_sparsessp.ui.models.import_dialog import ImportDialog, ImportState

ANSWERED = {"structures": ("dna", "nucleolus"), "ratio": 1}
PUBLISHED = (
    Question("voxel_size", (0.29, 0.29, 0.29), True, "as published"),
    Question("scaling", "zscore", True, "as published"),
)


@pytest.fixture
def engine():
    return FakeEngine(found=found(questions=PUBLISHED, **ANSWERED))


@pytest.fixture
def dialog(qtbot, engine):
    owner = QWidget()  # a dialog deletes itself when it closes
    qtbot.addWidget(owner)
    widget = ImportDialog(engine, owner)
    widget.show()
    yield widget
    owner.close()


def read(qtbot, dialog, name="best.pth"):
    dialog.read(name)
    qtbot.waitUntil(lambda: dialog.state is not ImportState.READING)


def test_a_file_and_import_are_all_it_takes(qtbot, dialog, engine):
    read(qtbot, dialog)
    assert dialog.state is ImportState.ASKING
    assert dialog.start_button.isEnabled()
    with (
        qtbot.waitSignal(dialog.finished),
        qtbot.waitSignal(dialog.imported) as caught,
    ):
        dialog.start_button.click()
    assert caught.args == ["best", Path("best.pth")]
    path, seen, given = engine.imported[0]
    assert (path, seen) == (Path("best.pth"), engine.found)
    assert given == {
        "id": "best",
        "name": "best",
        "voxel_size": (0.29, 0.29, 0.29),
        "scaling": "zscore",
    }


def test_nothing_can_be_imported_before_all_is_answered(qtbot, dialog, engine):
    engine.found = found()
    read(qtbot, dialog)
    assert not dialog.start_button.isEnabled()
    assert "Name every output" in dialog.start_button.toolTip()
    dialog.start_import()
    assert dialog.state is ImportState.ASKING
    dialog.form.rows.update(structures=("dna", "nucleolus"))
    assert dialog.form.check().startswith("How many planes")
    dialog.form.rows.native("ratios").setText("8")
    assert dialog.start_button.isEnabled()


@pytest.mark.parametrize(
    "error",
    [
        ModelError("checkpoint x holds more than weights; ask for the weights alone"),
        RuntimeError("storage has wrong size"),
        MemoryError(),
    ],
)
def test_a_bad_file_is_one_line_and_nothing_else(qtbot, dialog, engine, error):
    good, engine.found = engine.found, error
    read(qtbot, dialog)
    assert dialog.state is ImportState.NO_FILE
    assert dialog.message.is_error
    assert "\n" not in dialog.message.text.text()
    assert not dialog.start_button.isEnabled()
    assert engine.imported == []
    assert [card.id for card in engine.cards()] == ["colony-3to2d"]
    engine.found = good  # another file can be tried
    read(qtbot, dialog)
    assert dialog.state is ImportState.ASKING
    assert not dialog.message.is_error


def test_an_import_that_fails_or_is_stopped_keeps_the_answers(qtbot, dialog, engine):
    engine.error = ModelError("weights are NaN; get the file again")
    read(qtbot, dialog)
    dialog.form.rows.native("name").setText("bad")
    dialog.start_import()
    qtbot.waitUntil(lambda: dialog.state is ImportState.ASKING)
    assert "NaN" in dialog.message.text.text()
    engine.hold = threading.Event()
    dialog.start_import()
    qtbot.waitUntil(lambda: "weights" in dialog.status.text())
    dialog.close_button.click()
    assert not dialog.close_button.isEnabled()
    engine.hold.set()
    qtbot.waitUntil(lambda: dialog.state is ImportState.ASKING)
    assert "nothing was imported" in dialog.status.text()
    assert engine.imported == []
    assert dialog.isVisible()
    assert dialog.form.rows.get("name") == "bad"
    assert dialog.start_button.isEnabled()


@pytest.mark.parametrize("importing", [False, True])
def test_a_dialog_that_goes_away_under_its_work_does_no_harm(qtbot, engine, importing):
    owner = QWidget()
    dialog = ImportDialog(engine, owner)
    dialog.show()
    if importing:
        read(qtbot, dialog)
    engine.hold = threading.Event()
    if importing:
        dialog.start_import()
        qtbot.waitUntil(lambda: "weights" in dialog.status.text())
    else:
        dialog.read("first.pth")
        dialog.read("best.pth")
        with qtbot.waitSignal(dialog.finished):
            dialog.close_button.click()
    with qtbot.waitSignal(owner.destroyed):
        owner.deleteLater()
    engine.hold.set()
    qtbot.wait(50)
    assert engine.imported == []
