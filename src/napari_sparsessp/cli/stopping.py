"""Ctrl-C ends a run after the tile that is being predicted, so that it can go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """The user ended a run; the text says what is left of it, in one line."""


@contextmanager
def interrupt_cancels() -> Iterator[threading.Event]:
    """Let the first Ctrl-C set an event; a second one interrupts at once.

    Yields
    ------
    threading.Event
    """
    cancel = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancel  # only the main thread hears signals
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
