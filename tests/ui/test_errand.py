"""Work in a thread: its result, its error, its end."""

import threading

import pytest

from napari_sparsessp.ui.errand import Errand, Meter, Stopped


def test_result_and_progress_come_back(qtbot):
    told = []

    def work(value, meter):
        meter("half", 0.5)
        release.wait(10)
        return value + 1

    release = threading.Event()
    errand = Errand(work, 1)
    errand.progressed.connect(lambda *what: (told.append(what), release.set()))
    with qtbot.waitSignal(errand.returned) as caught:
        errand.start()
    assert caught.args == [2]
    assert ("half", 0.5) in told


def test_a_runtime_error_is_told_and_not_swallowed(qtbot):
    def work(_meter):
        raise RuntimeError("out of memory")

    errand = Errand(work)
    with qtbot.waitSignal(errand.failed) as caught:
        errand.start()
    assert isinstance(caught.args[0], RuntimeError)


def test_stop_ends_it_at_its_next_word(qtbot):
    begun = threading.Event()

    def work(meter):
        while True:
            meter("busy", 0.0)
            begun.set()

    errand = Errand(work)
    errand.start()
    assert begun.wait(10)
    with qtbot.waitSignal(errand.failed) as caught:
        errand.stop()
    assert isinstance(caught.args[0], Stopped)


def test_an_abandoned_errand_says_nothing(qtbot):
    ended = threading.Event()

    def work(_meter):
        release.wait(10)
        ended.set()

    release = threading.Event()
    errand = Errand(work)
    errand.returned.connect(lambda _value: pytest.fail("nobody wants to know"))
    errand.start()
    errand.abandon()
    release.set()
    assert ended.wait(10)
    qtbot.wait(50)


def test_a_stopped_meter_raises():
    meter = Meter()
    meter("fine", 0.1)
    meter.stop()
    with pytest.raises(Stopped):
        meter("more", 0.2)
