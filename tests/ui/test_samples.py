"""The dialog of samples: told before, fetched on a click, stopped at once."""

import threading

import pytest
from qtpy.QtWidgets import QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.samples import PUBLIC_SAMPLES
from napari_sparsessp.ui import samples
from napari_sparsessp.ui.samples import DENSE, SPARSE, SampleDialog

KEY = "hipsc_dna_pair"


class Fetching:
    """Stands in for the download: waits for `go`, then does what it is told."""

    def __init__(self):
        self.asked = []
        self.go = threading.Event()
        self.error = None
        self.ended = threading.Event()

    def __call__(self, sample, progress):
        self.asked.append(sample.key)
        try:
            progress(0.25, None, "file 1 of 2, 1.0 of 2.0 MB")
            while not self.go.wait(0.02):
                progress(0.25, None, "file 1 of 2, 1.0 of 2.0 MB")
            if self.error is not None:
                raise self.error
            for path in sample.paths:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"here")
        finally:
            self.ended.set()


@pytest.fixture(autouse=True)
def samples_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_SAMPLES", str(tmp_path))
    return tmp_path


@pytest.fixture
def fetching(monkeypatch):
    fetching = Fetching()
    monkeypatch.setattr(samples, "fetch", fetching)
    yield fetching
    fetching.go.set()


@pytest.fixture
def dialog(qtbot, fetching):
    owner = QWidget()  # the dialog deletes itself
    qtbot.addWidget(owner)
    dialog = SampleDialog(owner)
    dialog.show()
    yield dialog
    owner.close()


def facts(dialog):
    return {
        name: label.text().replace("\u200b", "") for name, label in dialog.facts.items()
    }


def test_all_samples_are_offered_and_the_one_at_hand_first(dialog):
    assert dialog.list.count() == 2 + len(PUBLIC_SAMPLES)
    assert dialog.key() == DENSE
    for key in (SPARSE, DENSE):
        dialog.choose(key)
        assert dialog.start_button.text() == "Open"
        assert "nothing is downloaded" in facts(dialog)["Size"]


@pytest.mark.parametrize("key", PUBLIC_SAMPLES)
def test_size_licence_origin_check_and_place_are_reported_before(
    dialog, fetching, key, samples_folder
):
    dialog.choose(key)
    sample, told = PUBLIC_SAMPLES[key], facts(dialog)
    assert dialog.start_button.text() == "Download and open"
    assert sample.size in told["Size"]
    assert told["Licence"] == sample.licence
    assert told["From"] == sample.credit
    assert ("SHA-256" in told["Checked by"]) == sample.checksum_known
    assert told["Kept in"] == str(samples_folder / key)
    assert fetching.asked == []


def test_a_click_fetches_and_opens(dialog, fetching, qtbot):
    dialog.choose(KEY)
    dialog.start_button.click()
    assert not dialog.start_button.isEnabled()
    qtbot.waitUntil(lambda: dialog.status.text().startswith("File 1 of 2"))
    assert dialog.bar.value() == 250
    with qtbot.waitSignal(dialog.ready) as told:
        fetching.go.set()
    assert told.args == [KEY]
    assert fetching.asked == [KEY]


def test_stop_is_at_once_and_the_dialog_stays(dialog, fetching, qtbot):
    dialog.choose(KEY)
    dialog.start_button.click()
    assert dialog.close_button.text() == "Stop"
    dialog.close_button.click()
    assert not dialog.busy
    assert dialog.isVisible()
    assert dialog.start_button.isEnabled()
    assert dialog.status.text().startswith("Stopped")
    assert fetching.ended.wait(10)


def test_an_error_is_one_line_and_one_can_try_again(dialog, fetching, qtbot):
    fetching.error = InputError("there is no network; connect and try again")
    dialog.choose(KEY)
    dialog.start()
    dialog.start()  # no download is begun twice
    fetching.go.set()
    qtbot.waitUntil(lambda: dialog.message.is_error)
    assert fetching.asked == [KEY]
    assert dialog.message.text.text().startswith("There is no network")
    fetching.error = None
    with qtbot.waitSignal(dialog.ready):
        dialog.start_button.click()


def test_a_closed_dialog_stops_its_download(dialog, fetching, qtbot):
    dialog.choose(KEY)
    dialog.start_button.click()
    dialog.close()
    assert fetching.ended.wait(10)
    assert not PUBLIC_SAMPLES[KEY].is_here
