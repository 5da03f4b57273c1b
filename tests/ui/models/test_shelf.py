"""Importing, showing and removing models, seen from the picker."""

import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QWidget

from fake_engine import FakeEngine, found
from napari_sparsessp.models.manage import deleted_models
from napari_sparsessp.ui.engine import ModelPlace
from napari_sparsessp.ui.models import import_dialog
from napari_sparsessp.ui.models import shelf as model_shelf
from napari_sparsessp.ui.models.import_dialog import ImportState, dragged_checkpoint
from napari_sparsessp.ui.models.shelf import ModelShelf
from napari_sparsessp.ui.widgets.model_picker import IMPORT, TopologyPicker


@pytest.fixture
def engine(card, tmp_path, own_models_folder):
    file = own_models_folder / "mine.safetensors"
    file.write_bytes(b"weights")
    cards = [card(), card(id="mine", name="Mine", topology="2d")]
    shipped = tmp_path / "colony.safetensors"
    shipped.write_bytes(b"shipped")
    places = {
        "mine": ModelPlace(file, True, 5_000_000),
        "colony-3to2d": ModelPlace(shipped, False),
    }
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


def taken():
    """What is in the trash."""
    return [one.path.name for one in deleted_models()]


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


def test_choosing_no_file_opens_nothing(shelf, monkeypatch):
    monkeypatch.setattr(import_dialog, "choose_checkpoint", lambda _parent: "")
    shelf.importer.ask()
    assert shelf.importer.dialog is None


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


def show(shelf, id_):
    cards = {card.id: card for card in shelf._engine.cards()}
    shelf._picker.set_card(cards[id_])
    shelf._picker.info_button.click()
    return shelf.info


def test_the_card_can_be_read_and_its_folder_opened(shelf, monkeypatch):
    opened = []
    monkeypatch.setattr(model_shelf.QDesktopServices, "openUrl", opened.append)
    info = show(shelf, "mine")
    said = dict(info.rows)
    assert said["Parameters"] == "5 million"
    assert said["File"].endswith("mine.safetensors")
    info.folder_button.click()
    place = shelf._engine.place(info.card)
    assert opened[0].toLocalFile() == str(place.path.parent)


def test_shipped_models_cannot_be_removed(shelf):
    info = show(shelf, "colony-3to2d")
    assert info.remove_button.isHidden()
    shelf.remove()
    assert taken() == []


def test_a_model_goes_to_the_trash_only_after_a_second_word(shelf):
    info = show(shelf, "mine")
    info.remove_button.click()
    assert taken() == []
    assert info.remove_button.text() == "Delete it"
    info.close_button.click()
    assert info.remove_button.text() == "Remove…"
    info.remove_button.click()
    shelf._engine.the_cards.pop()
    info.remove_button.click()
    assert taken() == ["mine.safetensors"]
    assert shelf.info is None
    assert shelf._picker.card().id == "colony-3to2d"
    assert not shelf._picker.buttons["2d"].isEnabled()


def test_a_model_that_cannot_be_moved_is_told(shelf, monkeypatch):
    def busy(*_):
        raise OSError(13, "in use")

    monkeypatch.setattr("pathlib.Path.rename", busy)
    info = show(shelf, "mine")
    info.remove_button.click()
    info.remove_button.click()
    assert "in use; close what uses it" in info.message.text.text()
    assert shelf._engine.place(info.card).path.exists()


def test_no_model_is_removed_under_a_running_prediction(shelf):
    info = show(shelf, "mine")
    shelf._picker.setEnabled(False)
    info.remove_button.click()
    info.remove_button.click()
    assert taken() == []
    assert "running" in info.message.text.text()
