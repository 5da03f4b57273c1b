"""Several pieces of work in a thread, one after the other, with one progress."""

from collections.abc import Callable, Hashable
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.ui.errand import Errand, Stopped


class ErrandQueue(QObject):
    """Runs errands in the order in which they were asked for.

    Signals
    -------
    done : object, object
        Tag of an errand and what it gave.
    failed : object, Exception
        Tag of an errand and why it failed; not for those that were stopped.
    progressed : str, float
        What is being done, and the share of all, from 0 to 1.
    idle
        Nothing is left to do.
    """

    done = Signal(object, object)
    failed = Signal(object, object)
    progressed = Signal(str, float)
    idle = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: dict[Hashable, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self._now: Hashable | None = None
        self._errand: Errand | None = None
        self._finished = 0

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        return self._errand is not None

    def has(self, tag: Hashable) -> bool:
        """Whether an errand of this tag runs or waits."""
        return tag == self._now or tag in self._waiting

    def add(self, tag: Hashable, function: Callable[..., Any], *args: Any) -> None:
        """Ask for an errand, unless it runs or waits already.

        Parameters
        ----------
        tag : hashable
            Names it.
        function : callable
            Runs in a thread as ``function(*args, meter)``, see `Errand`.
        """
        if not self.has(tag):
            self._waiting[tag] = (function, args)
            self._next()

    def drop(self, unwanted: Callable[[Any], bool]) -> None:
        """Forget errands whose tag is unwanted; of one that runs no more is heard."""
        self._waiting = {
            tag: work for tag, work in self._waiting.items() if not unwanted(tag)
        }
        if self._errand is not None and unwanted(self._now):
            self._let_go()
            self._next()

    def stop(self) -> None:
        """Do nothing more."""
        self.drop(lambda _tag: True)

    def _next(self) -> None:
        if self._errand is not None:
            return
        if not self._waiting:
            self._finished = 0
            self.idle.emit()
            return
        self._now = next(iter(self._waiting))
        function, args = self._waiting.pop(self._now)
        self._errand = Errand(function, *args, parent=self)
        self._errand.progressed.connect(self._on_progress)
        self._errand.returned.connect(self._on_returned)
        self._errand.failed.connect(self._on_failed)
        self._errand.start()

    def _let_go(self) -> None:
        errand, self._errand, self._now = self._errand, None, None
        if errand is not None:
            errand.abandon()
            errand.deleteLater()

    def _on_progress(self, what: str, share: float) -> None:
        total = self._finished + 1 + len(self._waiting)
        self.progressed.emit(what, (self._finished + share) / total)

    def _on_returned(self, value: Any) -> None:
        tag = self._now
        self._finished += 1
        self._let_go()
        self.done.emit(tag, value)
        self._next()

    def _on_failed(self, error: Exception) -> None:
        tag = self._now
        self._finished += 1
        self._let_go()
        if not isinstance(error, Stopped):
            self.failed.emit(tag, error)
        self._next()
