"""Importing models and showing their cards, seen from the picker."""

from pathlib import Path

import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QWidget

from fake_engine import FakeEngine, found
from napari_sparsessp.ui.engine import ModelPlace
from napari_sparsessp.ui.models import import_dialog
from napari_sparsessp.ui.models import page as model_page
from napari_sparsessp.ui.models.import_dialog import ImportState, dragged_checkpoint
from napari_sparsessp.ui.models.shelf import ModelShelf
from napari_sparsessp.ui.widgets.model_picker import IMPORT, TopologyPicker


@pytest.fixture
def engine(card):
    places = {"mine": ModelPlace(Path("/models/mine.safetensors"), True, 5_000_000)}
    cards = [card(), card(id="mine", name="Mine", topology="2d")]
    answered = found(structures=("dna", "nucleolus"), ratio=8, questions=())
    return FakeEngine(the_cards=cards, places=places, found=answered)


@pytest.fixture
def shelf(added, engine):
    owner = added(QWidget())
    picker = TopologyPicker()
    picker.setParent(owner)
    shelf = ModelShelf(engine, picker, owner)
    shelf.offer()
    owner.show()
    return shelf


def import_file(qtbot, shelf, path="best.pth"):
    shelf.importer.open(path)
    dialog = shelf.importer.dialog
    qtbot.waitUntil(lambda: dialog.state is ImportState.ASKING)
    with qtbot.waitSignal(dialog.imported):
        dialog.start_import()
    return dialog


def test_a_running_prediction_keeps_its_model(qtbot, shelf):
    shelf._picker.setEnabled(False)
    import_file(qtbot, shelf)
    assert shelf._picker.card().id == "colony-3to2d"
    shelf._picker.setEnabled(True)
    assert shelf._picker.buttons["3d"].isEnabled()


def test_the_last_entry_asks_for_a_file_and_chooses_nothing(qtbot, shelf, monkeypatch):
    monkeypatch.setattr(import_dialog, "choose_checkpoint", lambda _parent: "")
    shelf.importer.ask()
    assert shelf.importer.dialog is None
    monkeypatch.setattr(import_dialog, "choose_checkpoint", lambda _parent: "x.pth")
    box = shelf._picker.model_box
    row = box.findData(IMPORT)
    assert row == box.count() - 1
    box.setCurrentIndex(row)
    box.activated.emit(row)
    assert shelf._picker.card().id == "colony-3to2d"
    assert box.currentData() == "colony-3to2d"
    assert shelf.importer.dialog is not None
    shelf.importer.dialog.reject()


def dropped(*paths):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path) for path in paths])
    return mime


def test_a_dropped_checkpoint_opens_the_dialog(qtbot, shelf):
    mime = dropped("/somewhere/best.PTH")
    how = (mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, *how)
    QApplication.sendEvent(shelf.parent(), enter)
    assert enter.isAccepted()
    drop = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, *how)
    QApplication.sendEvent(shelf.parent(), drop)
    assert shelf.importer.dialog is not None
    assert shelf.importer.dialog.file_label.text() == "best.PTH"
    shelf.importer.dialog.reject()


def test_other_files_are_not_for_us():
    assert dragged_checkpoint(dropped("/a/stack.tif")) is None
    assert dragged_checkpoint(dropped("/a/one.p", "/a/two.p")) is None
    assert dragged_checkpoint(QMimeData()) is None
    assert dragged_checkpoint(dropped("/a/one.safetensors")) == "/a/one.safetensors"


def test_the_card_can_be_read_and_its_folder_opened(shelf, monkeypatch):
    opened = []
    monkeypatch.setattr(model_page.QDesktopServices, "openUrl", opened.append)
    shelf.offer("mine")
    shelf.offer("not installed")  # the old one stays
    shelf._picker.info_button.click()
    said = dict(shelf.info.rows)
    assert said["Parameters"] == "5 million"
    assert said["File"].endswith("mine.safetensors")
    shelf.info.folder_button.click()
    assert Path(opened[0].toLocalFile()) == Path("/models")
    shelf.info.close()
    assert shelf.info is None
