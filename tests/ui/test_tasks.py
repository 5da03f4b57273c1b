"""Background tasks: results, errors, cancellation, and the queue of them."""

import gc
import threading
import weakref

import pytest

from napari_sparsessp.errors import InputError, PredictionError
from napari_sparsessp.ui.tasks import (
    BackgroundTask,
    TaskQueue,
    error_details,
    gc_paused,
    readable_error,
)

PATIENCE = 20_000


class Big:
    """Something that must not outlive its task."""


def ended(qtbot, task, signal):
    with qtbot.waitSignal(getattr(task, signal), timeout=PATIENCE) as caught:
        task.start()
    assert not task.running
    return caught.args


def test_result_progress_and_intermediate_results_come_in_order(qtbot):
    heard, release = [], threading.Event()

    def work(value, progress):
        progress(1, 2, "half")
        progress.publish("first")
        progress.publish("second")
        release.wait(10)
        return value + 1

    task = BackgroundTask(work, 1)
    task.progressed.connect(lambda *what: (heard.append(what), release.set()))
    task.published.connect(heard.append)
    task.returned.connect(heard.append)
    assert ended(qtbot, task, "returned") == [2]
    assert (0.5, "half", None) in heard
    assert heard[-3:] == ["first", "second", 2]


def test_a_runtime_error_is_emitted_and_not_swallowed(qtbot):
    def work(_progress):
        raise RuntimeError("CUDA out of memory")

    (error,) = ended(qtbot, BackgroundTask(work), "failed")
    assert "choose the CPU" in str(readable_error(error, "the test"))


def test_an_ended_task_keeps_no_argument_and_no_local_alive(qtbot):
    references = []

    def work(big, _progress):
        local = Big()
        references.extend([weakref.ref(big), weakref.ref(local)])
        raise ValueError("no")

    task = BackgroundTask(work, Big())
    (error,) = ended(qtbot, task, "failed")
    gc.collect()
    assert [one() for one in references] == [None, None]
    assert "ValueError: no" in error_details(error)
    assert "in work" in error_details(error)


def test_cancel_ends_it_at_its_next_report(qtbot):
    begun = threading.Event()

    def work(progress):
        while True:
            progress(0.0, what="busy")
            begun.set()

    task = BackgroundTask(work)
    task.start()
    assert begun.wait(10)
    with qtbot.waitSignal(task.cancelled, timeout=PATIENCE):
        task.cancel()


def test_an_abandoned_task_emits_nothing(qtbot):
    done, release = threading.Event(), threading.Event()

    def work(_progress):
        release.wait(10)
        done.set()

    task = BackgroundTask(work)
    task.returned.connect(lambda _value: pytest.fail("abandoned"))
    task.start()
    task.abandon()
    release.set()
    assert done.wait(10)
    qtbot.wait(100)


def test_errors_of_the_package_are_shown_as_they_are():
    mine = InputError("no such file")
    assert readable_error(mine, "the test") is mine
    bug = readable_error(KeyError("x"), "the test")
    assert isinstance(bug, PredictionError)
    assert "an unexpected error stopped the test" in str(bug)


def double(value, progress):
    progress(0.5, what="doubling")
    return 2 * value


def broken(_progress):
    raise ValueError("no")


def test_a_queue_runs_in_order_each_tag_once_and_goes_on_after_an_error(qtbot):
    queue, failed, done = TaskQueue(), [], []
    queue.failed.connect(lambda tag, error: failed.append((tag, str(error))))
    queue.done.connect(lambda tag, value: done.append((tag, value)))
    with qtbot.waitSignal(queue.idle, timeout=PATIENCE):
        queue.add("bad", broken)
        for value in range(4):
            queue.add(value, double, value)
        queue.add(2, double, 100)  # it waits already
    assert failed == [("bad", "no")]
    assert done == [(0, 0), (1, 2), (2, 4), (3, 6)]
    assert not queue.busy


def test_unwanted_tasks_are_cancelled_and_the_rest_run(qtbot):
    queue, go, done = TaskQueue(), threading.Event(), []
    queue.done.connect(lambda tag, _value: done.append(tag))
    queue.add("a 1", lambda _progress: go.wait(10))
    queue.add("a 2", double, 1)
    queue.add("b 1", double, 1)
    with qtbot.waitSignal(queue.idle, timeout=PATIENCE):
        queue.cancel(lambda tag: tag.startswith("a"))
        go.set()
    assert done == ["b 1"]


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self):
        self.self = self


@pytest.fixture
def nothing_frozen():
    assert gc.get_freeze_count() == 0
    yield
    assert gc.get_freeze_count() == 0


def test_what_was_there_or_loaded_is_left_out_and_comes_back(nothing_frozen):
    knot = Knot()
    gone = weakref.ref(knot)
    with gc_paused() as leave_out:
        before = gc.get_freeze_count()
        del knot
        new = weakref.ref(Knot())
        gc.collect()
        assert gone() is not None
        assert new() is None  # new garbage is collected
        knots = [Knot() for _ in range(100)]
        leave_out()
        assert gc.get_freeze_count() >= before + len(knots)
    gc.collect()
    assert gone() is None


def test_two_at_a_time_and_an_error_bring_all_back(nothing_frozen):
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
