"""The collector leaves old objects alone for a while, and never for good."""

import gc
import threading
import weakref

import pytest

from napari_sparsessp.ui.tasks import gc_paused


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self):
        self.self = self


@pytest.fixture(autouse=True)
def nothing_frozen():
    assert gc.get_freeze_count() == 0
    yield
    assert gc.get_freeze_count() == 0


def test_what_was_there_is_left_out_and_comes_back():
    knot = Knot()
    gone = weakref.ref(knot)
    with gc_paused():
        assert gc.get_freeze_count() > 1000
        del knot
        gc.collect()
        assert gone() is not None
    gc.collect()
    assert gone() is None


def test_new_garbage_is_collected_meanwhile():
    with gc_paused():
        gone = weakref.ref(Knot())
        gc.collect()
        assert gone() is None


def test_what_was_loaded_can_be_left_out_as_well():
    with gc_paused() as leave_out:
        before = gc.get_freeze_count()
        knots = [Knot() for _ in range(100)]
        leave_out()
        assert gc.get_freeze_count() >= before + len(knots)


def test_two_at_a_time_and_an_error_bring_all_back():
    held, go = threading.Event(), threading.Event()

    def work():
        with gc_paused():
            held.set()
            go.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    held.wait(10)
    with pytest.raises(ValueError, match="stop"), gc_paused():
        raise ValueError("stop")
    assert gc.get_freeze_count() > 0  # the other one still works
    go.set()
    thread.join()
