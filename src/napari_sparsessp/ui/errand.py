"""Work that must not hold the interface: one function in a thread, with its result."""

import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal
from superqt.utils import create_worker

from napari_sparsessp.tasks import Progress

# The bar need not move more often.
_LOOK_MS = 100


class Stopped(Exception):
    """The user stopped the errand."""


class Meter:
    """What the thread tells of its progress, and how it learns that it shall stop.

    It is no Qt object: nothing breaks where the window is gone before the thread.
    """

    def __init__(self) -> None:
        self.what = ""
        self.share = 0.0
        self._stop = threading.Event()

    def __call__(self, what: str, share: float) -> None:
        """Tell what is done and how much of it; raises `Stopped` after `stop`."""
        if self._stop.is_set():
            raise Stopped
        self.what, self.share = what, share

    def stop(self, *_: object) -> None:
        """Let the thread stop when it tells its progress next."""
        self._stop.set()


def as_progress(meter: Callable[[str, float], None]) -> Progress:
    """Return a progress callback that moves a meter."""

    def told(done: float, total: float | None = None, what: str = "") -> None:
        meter(what, done / total if total else done if total is None else 0.0)

    return told


class Errand(QObject):
    """Runs ``function(*args, meter)`` in a worker thread.

    Signals
    -------
    progressed : str, float
        What is being done, and its share from 0 to 1.
    returned : object
    failed : Exception
        `Stopped` where it was stopped.
    """

    progressed = Signal(str, float)
    returned = Signal(object)
    failed = Signal(object)

    def __init__(
        self, function: Callable[..., Any], *args: Any, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._function, self._args = function, args
        self.meter = Meter()
        self._forgotten = False
        # a window may go without being closed; this slot belongs to nobody
        self.destroyed.connect(self.meter.stop)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._look)

    def start(self) -> None:
        """Start; `returned` or `failed` follows, unless it is abandoned."""
        self._timer.start()
        create_worker(
            _outcome,
            self._function,
            self._args,
            self.meter,
            _connect={"returned": self._on_outcome},
            _start_thread=True,
        )

    def stop(self) -> None:
        """Ask the thread to stop; `failed` follows."""
        self.meter.stop()

    def abandon(self) -> None:
        """Stop, and hear no more of it."""
        self._forgotten = True
        self._timer.stop()
        self.meter.stop()

    def _look(self) -> None:
        self.progressed.emit(self.meter.what, self.meter.share)

    def _on_outcome(self, outcome: tuple[Any, Exception | None]) -> None:
        self._timer.stop()
        if self._forgotten:
            return
        value, error = outcome
        if error is None:
            self.returned.emit(value)
        else:
            self.failed.emit(error)


def _outcome(
    function: Callable[..., Any], args: tuple[Any, ...], meter: Meter
) -> tuple[Any, Exception | None]:
    """Run; an error is a result as well (superqt keeps some of them to itself)."""
    try:
        return function(*args, meter), None
    except Exception as error:
        return None, error
