"""Errands one after the other."""

import threading

from napari_sparsessp.ui.errand_queue import ErrandQueue


def double(value, meter):
    meter("doubling", 0.5)
    return 2 * value


def broken(meter):
    raise ValueError("no")


def test_errands_come_back_in_order_and_the_queue_says_when_it_is_idle(qtbot):
    queue = ErrandQueue()
    done = []
    queue.done.connect(lambda tag, value: done.append((tag, value)))
    with qtbot.waitSignal(queue.idle):
        for value in range(4):
            queue.add(value, double, value)
        queue.add(2, double, 100)  # it waits already
    assert done == [(0, 0), (1, 2), (2, 4), (3, 6)]
    assert not queue.busy


def test_one_that_fails_does_not_keep_the_others_waiting(qtbot):
    queue = ErrandQueue()
    failed, done = [], []
    queue.failed.connect(lambda tag, error: failed.append((tag, str(error))))
    queue.done.connect(lambda tag, _value: done.append(tag))
    with qtbot.waitSignal(queue.idle):
        queue.add("bad", broken)
        queue.add("good", double, 1)
    assert failed == [("bad", "no")]
    assert done == ["good"]


def test_after_stop_nothing_is_heard_any_more(qtbot):
    queue, go = ErrandQueue(), threading.Event()
    heard = []
    queue.done.connect(lambda tag, _value: heard.append(tag))
    queue.failed.connect(lambda tag, _error: heard.append(tag))

    def wait(meter):
        go.wait(10)
        meter("on", 0.9)

    queue.add("slow", wait)
    queue.add("next", double, 1)
    with qtbot.waitSignal(queue.idle):
        queue.stop()
    go.set()
    with qtbot.waitSignal(queue.idle):
        queue.add("last", double, 1)
    assert heard == ["last"]


def test_what_is_unwanted_is_dropped_and_the_rest_done(qtbot):
    queue, go = ErrandQueue(), threading.Event()
    done = []
    queue.done.connect(lambda tag, _value: done.append(tag))

    def wait(meter):
        go.wait(10)

    queue.add(("a", 1), wait)
    queue.add(("a", 2), double, 1)
    queue.add(("b", 1), double, 1)
    with qtbot.waitSignal(queue.idle):
        queue.drop(lambda tag: tag[0] == "a")
        go.set()
    assert done == [("b", 1)]
