"""Background tasks: one function in a worker thread, with progress and cancellation.

Threads never touch a viewer, a layer or a widget: the interface polls what they report,
so a window may close before its thread has ended.
"""

import gc
import platform
import sys
import threading
import traceback
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal
from superqt.utils import create_worker

from napari_sparsessp.errors import PredictionError, SparseSSPError
from napari_sparsessp.tasks import Cancelled, TimeLeft

if TYPE_CHECKING:
    from napari_sparsessp.prediction.request import PredictionRequest

_POLL_MS = 50

_PACKAGES = ("napari-sparsessp", "napari", "torch", "numpy", "qtpy")

_gc_lock = threading.Lock()
_gc_users = 0


@contextmanager
def gc_paused() -> Iterator[Callable[[], None]]:
    """Leave the objects of now out of garbage collection, in all threads.

    A full pass looks at every object, in whatever thread makes the next one: with torch
    loaded the window would stand still, and widgets would be freed outside of their
    thread. Of several blocks under way the last one that ends brings all objects back.
    """
    global _gc_users
    with _gc_lock:
        _gc_users += 1
        gc.freeze()
    try:
        yield gc.freeze
    finally:
        with _gc_lock:
            _gc_users -= 1
            if not _gc_users:
                gc.unfreeze()


class TaskProgress:
    """The `Progress` callback of a task; raises `Cancelled` once it is cancelled."""

    def __init__(self) -> None:
        self.share = 0.0
        self.what = ""
        self.cancelled = threading.Event()  # for functions that take an event
        self._published: SimpleQueue[Any] = SimpleQueue()

    def __call__(self, done: float, total: float | None = None, what: str = "") -> None:
        """Report progress, see `napari_sparsessp.tasks.Progress`."""
        self.check()
        share = done if total is None else done / total if total else 0.0
        self.share = min(max(share, 0.0), 1.0)
        self.what = what or self.what

    def check(self) -> None:
        """Raise `Cancelled` if the task was cancelled."""
        if self.cancelled.is_set():
            raise Cancelled

    def publish(self, result: Any) -> None:
        """Hand an intermediate result to the task's `published` signal, in order."""
        self._published.put(result)

    def cancel(self, *_: object) -> None:
        """Let the next report raise `Cancelled`."""
        self.cancelled.set()

    def take(self) -> list[Any]:
        """Remove and return the results that were published so far."""
        return [self._published.get() for _ in range(self._published.qsize())]


class BackgroundTask(QObject):
    """Run ``function(*args, progress)`` in a worker thread.

    Exactly one of `returned`, `failed` and `cancelled` follows `start`, unless the task
    is abandoned. A task whose parent is destroyed cancels itself.
    """

    progressed = Signal(float, str, object)  # share, step, seconds left or None
    published = Signal(object)  # an intermediate result
    returned = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(
        self,
        function: Callable[..., Any],
        *args: Any,
        parent: QObject | None = None,
        ask_before_close: bool = False,  # napari's own question
    ) -> None:
        super().__init__(parent)
        self.progress = TaskProgress()
        self._job: _Job | None = _Job(function, *args, self.progress)
        self._ask_before_close = ask_before_close
        self._running = False
        self._seconds_left = TimeLeft()
        self._reported: tuple[float, str] | None = None
        # a window may go without being closed; this slot belongs to no QObject
        self.destroyed.connect(self.progress.cancel)
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def running(self) -> bool:
        """Whether the task was started and has not ended."""
        return self._running

    def start(self) -> None:
        """Start the thread."""
        assert self._job is not None
        create: Callable[..., Any] = create_worker
        if self._ask_before_close:
            from napari.qt.threading import create_worker as create_in_napari

            create = create_in_napari
        self._running = True
        self._timer.start()
        if (application := QCoreApplication.instance()) is not None:
            application.aboutToQuit.connect(self.cancel)
        worker = create(self._job.run, _start_thread=False)
        worker.finished.connect(self._poll)
        worker.start()

    def cancel(self) -> None:
        """Ask the function to end; `cancelled` follows, or `returned` if it is done."""
        self.progress.cancel()

    def abandon(self) -> None:
        """Cancel, and emit nothing more."""
        self.progress.cancel()
        self._end()

    def _end(self) -> None:
        self._running = False
        self._timer.stop()
        self._job = None

    def _poll(self) -> None:
        job = self._job
        if not self._running or job is None:
            return
        ended = job.ended.is_set()  # before the rest, which may still come otherwise
        report = self.progress.share, self.progress.what
        if report != self._reported:
            self._reported = report
            self.progressed.emit(*report, self._seconds_left(report[0]))
        for result in self.progress.take():
            if self._running:
                self.published.emit(result)
        if not ended or not self._running:
            return
        self._end()
        if isinstance(job.error, Cancelled):
            self.cancelled.emit()
        elif job.error is not None:
            self.failed.emit(job.error)
        else:
            self.returned.emit(job.value)


class _Job:
    """Function of the thread; it keeps no argument alive once it has ended.

    Errors are results: superqt drops a RuntimeError without a word, and every
    out-of-memory of torch is one.
    """

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._call = [function, *args]
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        function, *args = self._call
        self._call.clear()
        try:
            # a collection in this thread would free widgets outside of theirs
            with gc_paused():
                self.value = function(*args)
        except BaseException as error:
            self.error = error
        finally:
            del function, args
        if self.error is not None:
            # the text stays, but tensors in the frames' locals go
            traceback.clear_frames(self.error.__traceback__)
        self.ended.set()


class TaskQueue(QObject):
    """Run background tasks one after the other; a tag names each of them."""

    done = Signal(object, object)  # tag and result
    failed = Signal(object, object)  # tag and error
    progressed = Signal(float, str, object)  # share of all since the queue was idle
    idle = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: dict[Hashable, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self._tag: Hashable | None = None
        self._task: BackgroundTask | None = None
        self._finished = 0

    @property
    def busy(self) -> bool:
        """Whether a task runs or waits."""
        return self._task is not None

    def has(self, tag: Hashable) -> bool:
        """Return whether a task with this tag runs or waits."""
        return (self._task is not None and tag == self._tag) or tag in self._waiting

    def add(self, tag: Hashable, function: Callable[..., Any], *args: Any) -> None:
        """Queue ``function(*args, progress)``, unless its tag runs or waits already."""
        if not self.has(tag):
            self._waiting[tag] = (function, args)
            self._next()

    def cancel(self, unwanted: Callable[[Any], bool] = lambda _tag: True) -> None:
        """Drop the tasks with unwanted tags; a running one is abandoned."""
        self._waiting = {
            tag: call for tag, call in self._waiting.items() if not unwanted(tag)
        }
        if self._task is not None and unwanted(self._tag):
            self._release()
            self._next()

    def _next(self) -> None:
        if self._task is not None:
            return
        if not self._waiting:
            self._finished = 0
            self.idle.emit()
            return
        self._tag = next(iter(self._waiting))
        function, args = self._waiting.pop(self._tag)
        self._task = task = BackgroundTask(function, *args, parent=self)
        task.progressed.connect(self._on_progress)
        task.returned.connect(partial(self._end, self.done))
        task.failed.connect(partial(self._end, self.failed))
        task.cancelled.connect(self._end)
        task.start()

    def _release(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.abandon()
            task.deleteLater()

    def _on_progress(self, share: float, what: str, seconds_left: float | None) -> None:
        total = self._finished + 1 + len(self._waiting)
        self.progressed.emit((self._finished + share) / total, what, seconds_left)

    def _end(self, signal: Any = None, result: Any = None) -> None:
        self._finished += 1
        self._release()
        if signal is not None:
            signal.emit(self._tag, result)
        self._next()


def readable_error(
    error: BaseException,
    what: str,
    memory: str = "choose the CPU, fewer structures or a smaller image",
) -> SparseSSPError:
    """Return an error whose text can be shown: advice, or how to report a bug."""
    if isinstance(error, SparseSSPError):
        return error
    text = " ".join(str(error).split()) or type(error).__name__
    full = isinstance(error, RuntimeError) and "out of memory" in text.lower()
    bug = f"an unexpected error stopped {what}: {text[:300]}"
    advice = f"{bug}; copy the details and report it"
    if full or isinstance(error, MemoryError):
        advice = f"the device ran out of memory; {memory} ({text[:120]})"
    readable = PredictionError(advice)
    readable.__cause__ = error
    return readable


def error_details(
    error: BaseException, request: "PredictionRequest | None" = None
) -> str:
    """Return the text of "Copy details": error, causes, request and versions."""
    lines = [f"{type(error).__name__}: {error}", ""]
    if request is not None:
        lines += ["Request:", request.model_dump_json(indent=2), ""]
    python = f"Python {sys.version.split()[0]} on {platform.platform()}"
    lines += ["Versions:", python]
    for package in _PACKAGES:
        try:
            lines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            lines.append(f"{package} not installed")
    lines += ["", "Traceback:", *traceback.format_exception(error)]
    return "\n".join(line.rstrip("\n") for line in lines)
