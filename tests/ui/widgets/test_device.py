"""The box of devices: what the preferences ask for, and what there is."""

from types import SimpleNamespace

import pytest

from napari_sparsessp.ui.preferences import PreferenceNews, Preferences
from napari_sparsessp.ui.widgets import device as device_box
from napari_sparsessp.ui.widgets.device import DeviceBox


def device(id_, available=True, reason=""):
    return SimpleNamespace(id=id_, label=id_, available=available, reason=reason)


WITHOUT_GPU = [device("cpu"), device("cuda", False, "no GPU here")]
WITH_GPUS = [device("cpu"), device("cuda:0"), device("cuda:1")]


@pytest.fixture
def news(qapp, monkeypatch):
    news = PreferenceNews(None)
    monkeypatch.setattr(device_box, "preference_news", lambda: news)
    return news


@pytest.fixture
def said(monkeypatch):
    said = []
    monkeypatch.setattr(device_box, "show_warning", said.append)
    return said


@pytest.fixture
def change(news):
    """`change(device)`: set the preference."""

    def go(wanted):
        before, news.now = news.now, Preferences(device=wanted)
        news.changed.emit(before, news.now)

    return go


def test_a_preferred_gpu_is_looked_for(news, qtbot, said, added):
    news.now = Preferences(device="cuda")
    box = added(DeviceBox(lambda: WITH_GPUS))
    assert box.device() == "cuda"
    qtbot.waitUntil(lambda: box.device() == "cuda:0")
    assert said == []


@pytest.mark.parametrize(
    ("kind", "devices", "words"),
    [("cuda", WITHOUT_GPU, "no GPU here"), ("mps", WITH_GPUS, "")],
)
def test_a_preferred_gpu_that_is_not_there_falls_back_with_a_word(
    news, qtbot, said, change, kind, devices, words, added
):
    news.now = Preferences(device=kind)
    box = added(DeviceBox(lambda: devices))
    qtbot.waitUntil(lambda: box.device() == "auto")
    assert [words in one for one in said] == [True] * bool(words)
    change("cpu")  # it goes on following
    assert box.device() == "cpu"


def test_an_open_dock_follows_until_a_device_is_chosen_in_it(
    news, qtbot, change, said, added
):
    box = added(DeviceBox(lambda: WITH_GPUS))
    with qtbot.waitSignal(box.changed):
        change("cpu")
    assert box.device() == "cpu"
    change("cuda")
    qtbot.waitUntil(lambda: box.device() == "cuda:0")
    box.update(device="cuda:1")
    change("cpu")
    assert box.device() == "cuda:1"
