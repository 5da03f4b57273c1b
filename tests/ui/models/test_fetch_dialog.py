"""Fetching from a server on this machine, through the dialog."""

import threading

import pytest
from qtpy.QtWidgets import QWidget

from napari_sparsessp.models.library import read_card
from napari_sparsessp.ui.models.fetch_dialog import FetchDialog
from thin import save_thin


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return save_thin(tmp_path_factory.mktemp("thin") / "thin.safetensors").read_bytes()


@pytest.fixture
def server(file_server, content):
    file_server.files["thin.safetensors"] = content
    return file_server


@pytest.fixture
def owner(added):
    """Takes its dialogs along, and their threads have time to end."""
    return added(QWidget())


@pytest.fixture
def dialog(owner):
    dialog = FetchDialog(owner)
    dialog.show()
    return dialog


def fill(dialog, address, digits=""):
    dialog.form.update(sha256=digits)
    dialog.form.native("address").setText(address)
    dialog.start_button.click()


def told(qtbot, dialog):
    qtbot.waitUntil(lambda: dialog.message.is_error)
    assert not dialog.busy
    return dialog.message.text.text()


def test_a_model_is_added_and_says_that_it_was_not_checked(qtbot, dialog, server):
    assert not dialog.start_button.isEnabled()
    dialog.form.native("address").setText(server.url("thin.safetensors"))
    qtbot.wait(20)
    assert server.asked == []  # nothing before Fetch
    with qtbot.waitSignal(dialog.added) as caught:
        dialog.start_button.click()
    path, fetched = caught.args
    assert path.is_file()
    assert not fetched.checked
    assert not fetched.path.exists()
    assert read_card("thin").source["fetched_sha256"] == fetched.sha256


def test_a_wrong_checksum_is_one_message_and_the_button_is_free(
    qtbot, dialog, server, own_models_folder
):
    fill(dialog, server.url("thin.safetensors"), "0" * 64)
    assert "not the expected one" in told(qtbot, dialog)
    assert dialog.start_button.isEnabled()
    assert not list(own_models_folder.glob("*.safetensors"))


def test_a_model_that_is_there_can_be_added_with_another_id(
    qtbot, owner, dialog, server
):
    address = server.url("thin.safetensors")
    with qtbot.waitSignal(dialog.added):
        fill(dialog, address)
    again = FetchDialog(owner)
    again.show()
    fill(again, address)
    assert "installed already" in told(qtbot, again)
    assert again.form.native("id").isVisible()
    assert again.form.get("id") == "thin-2"
    again.form.update(id="second")
    with qtbot.waitSignal(again.added):
        again.start_button.click()
    assert read_card("second").structures == read_card("thin").structures
    assert len(server.asked) == 2  # once for each dialog: what came is kept


def test_stop_frees_the_dialog_at_once_and_fetch_goes_on(
    qtbot, dialog, server, content
):
    server.hold, server.cut = threading.Event(), 40_000
    fill(dialog, server.url("thin.safetensors"))
    qtbot.waitUntil(lambda: "MB" in dialog.status.text())
    dialog.close_button.click()
    assert not dialog.busy
    assert "Fetch resumes" in dialog.status.text()
    server.hold.set()
    server.hold = server.cut = None

    came = []
    dialog.added.connect(lambda *what: came.append(what))

    def added():
        if not came and not dialog.busy:
            dialog.start_button.click()
        return bool(came)

    # The thread of the first try may still hold the file: the user tries again.
    qtbot.waitUntil(added)
    assert read_card("thin").id == "thin"
