"""Report the progress of a long job, and cancel it: one protocol for every job.

A job takes a `Progress` callback and calls it with what is done so far. Whoever
started the job cancels it by raising `Cancelled` in that callback; the job cleans up
in ``finally`` blocks and lets the exception pass.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class Cancelled(Exception):
    """The user cancelled a job; the text, if any, says what is left of it."""


class Progress(Protocol):
    """Receive the progress of a job; raise `Cancelled` to end it."""

    def __call__(self, done: float, total: float | None = None, what: str = "") -> None:
        """Report the units that are done, and the step as the user reads it.

        Without a `total`, because it cannot be known, a share from 0 to 1.
        """


def no_progress(done: float, total: float | None = None, what: str = "") -> None:
    """Ignore progress and never cancel."""


def cancellable(progress: Progress, *events: threading.Event | None) -> Progress:
    """Return a callback that raises `Cancelled` as soon as one of the events is set."""
    signals = [event for event in events if event is not None]

    def checked(done: float, total: float | None = None, what: str = "") -> None:
        if any(event.is_set() for event in signals):
            raise Cancelled
        progress(done, total, what)

    return checked


def part_of(progress: Progress, start: float, stop: float, name: str = "") -> Progress:
    """Return a callback for a step that is the share `start` to `stop` of a job."""

    def scaled(done: float, total: float | None = None, what: str = "") -> None:
        share = done / total if total else done if total is None else 0.0
        progress(start + (stop - start) * min(share, 1.0), None, what or name)

    return scaled


class TimeLeft:
    """Estimate the seconds that are left from the steps that were done.

    Between two steps they run down; they grow again where a step takes longer than
    the pace so far lets expect.

    Parameters
    ----------
    clock
        Seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None
        self._last = (0.0, 0.0)

    def __call__(self, share: float) -> float | None:
        """Return seconds left; None until there is something to judge by."""
        now = self._clock()
        if self._first is None:
            self._first = self._last = (now, share)
        if share > self._last[1]:
            self._last = (now, share)
        (began, before), (stepped, done) = self._first, self._last
        if done <= before:
            return None
        pace = (stepped - began) / (done - before)
        return abs(pace * max(0.0, 1.0 - done) - (now - stepped))


@contextmanager
def cancel_on_interrupt() -> Iterator[threading.Event]:
    """Let the first Ctrl-C set an event; a second one interrupts at once."""
    cancel = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancel  # only the main thread receives signals
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: FrameType | None) -> None:
        cancel.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)
