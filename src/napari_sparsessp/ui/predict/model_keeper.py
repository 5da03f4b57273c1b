"""When the model is in memory: loaded before Run is pressed, let go when it is idle.

Loading torch and a network takes seconds. They are loaded while the user still makes up
their mind: once a plan stands and the pointer, or the keyboard, is in the dock.
"""

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication, QWidget

from napari_sparsessp.prediction.device import free_bytes
from napari_sparsessp.ui.engine.rehearsal import Rehearsed

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan

# Torch, a network and one tile take less than half of it.
LEAST_FREE = 3 * 2**30
# Choices often come in a row; the pointer may only pass by.
_AFTER_MS = 400
_LOOK_MS = 100
# A microscopist looks at a result for some minutes before the next run.
IDLE_MS = 15 * 60 * 1000
_NICE = 5

_INTENT = (QEvent.Type.Enter, QEvent.Type.KeyPress, QEvent.Type.MouseButtonPress)


class _Outcome:
    """A box that the thread puts its result in; it outlives every window."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.stop = threading.Event()
        self.found = Rehearsed()


class ModelKeeper(QObject):
    """Loads ahead, and lets go.

    Parameters
    ----------
    engine
        Anything with `InstalledEngine`'s ``rehearse``, ``loaded`` and ``forget``; one
        without is never made to load ahead.
    dock : QWidget
        Where the user's intent shows.

    Signals
    -------
    rehearsed : Plan, Rehearsed
        The model is loaded, and it is known how fast it is.
    loaded_changed : bool
        Whether a model is in memory.
    """

    rehearsed = Signal(object, object)
    loaded_changed = Signal(bool)

    def __init__(self, engine: Any, dock: QWidget) -> None:
        super().__init__(dock)
        self._engine = engine
        self._dock = dock
        self._plan: Plan | None = None
        self._tried: set[tuple[str, str]] = set()
        self._intent = False
        self._outcome: _Outcome | None = None
        self._of: Plan | None = None
        self._start = self._timer(_AFTER_MS, self._begin)
        self._idle = self._timer(IDLE_MS, self.unload)
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self._on_look)
        dock.installEventFilter(self)
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.focusChanged.connect(self._on_focus)

    def _timer(self, interval: int, slot: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval)
        timer.timeout.connect(slot)
        return timer

    @property
    def busy(self) -> bool:
        """Whether a rehearsal is under way."""
        return self._outcome is not None

    def expect(self, plan: "Plan | None") -> None:
        """Tell what Run would do now; None: nothing yet."""
        self._plan = plan
        self._consider()

    def intend(self) -> None:
        """Tell that the user is at the dock."""
        self._intent = True
        self._consider()

    def give_way(self) -> None:
        """End a rehearsal at the next chance: the real one begins."""
        self._start.stop()
        self._idle.stop()
        if self._outcome is not None:
            self._outcome.stop.set()

    def settle(self) -> None:
        """Tell that a prediction has ended: from now on the model is idle."""
        if self._plan is not None:
            self._tried.add(self._key(self._plan))
        self._idle.start()
        self._tell()

    def unload(self) -> None:
        """Free the memory of the model; the next run loads it again."""
        self.give_way()
        self._engine.forget()
        self._tried.clear()
        self._intent = False
        self._tell()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """See the user come; nothing is kept from the dock."""
        if event is not None and event.type() in _INTENT:
            self.intend()
        return super().eventFilter(watched, event)

    def _on_focus(self, _old: QWidget | None, new: QWidget | None) -> None:
        if new is not None and self._dock.isAncestorOf(new):
            self.intend()

    def _key(self, plan: "Plan") -> tuple[str, str]:
        return plan.card.id, plan.request.device

    def _consider(self) -> None:
        due = self._intent and self._plan is not None and self._outcome is None
        if due and self._plan is not None and self._key(self._plan) not in self._tried:
            self._start.start()
        else:
            self._start.stop()

    def _begin(self) -> None:
        plan, rehearse = self._plan, getattr(self._engine, "rehearse", None)
        if plan is None or rehearse is None or self._outcome is not None:
            return
        self._tried.add(self._key(plan))
        if (free_bytes() or 0) < LEAST_FREE + plan.memory.activations:
            return
        outcome = _Outcome()
        self._outcome, self._of = outcome, plan
        # the pool of Qt keeps its threads, and with them their low priority
        threading.Thread(
            target=_work, args=(rehearse, plan, outcome), daemon=True
        ).start()
        # a window may go without being closed; this slot belongs to nobody
        self.destroyed.connect(outcome.stop.set)
        self._look.start()

    def _on_look(self) -> None:
        outcome, plan = self._outcome, self._of
        if outcome is None or not outcome.done.is_set():
            return
        self._look.stop()
        self._outcome = self._of = None
        self._idle.start()
        self._tell()
        if outcome.found.rate is not None:
            self.rehearsed.emit(plan, outcome.found)
        self._consider()

    def _tell(self) -> None:
        self.loaded_changed.emit(bool(getattr(self._engine, "loaded", False)))


def _work(rehearse: Any, plan: "Plan", outcome: _Outcome) -> None:
    """Rehearse without being in anybody's way."""
    if sys.platform.startswith("linux"):  # there it is of this thread alone
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    try:
        outcome.found = rehearse(plan, outcome.stop)
    except Exception:  # the prediction itself will tell what is wrong
        outcome.found = Rehearsed()
    finally:
        outcome.done.set()
