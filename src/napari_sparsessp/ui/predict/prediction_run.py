"""One prediction from Run to its end, in whichever way it ends."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal
from superqt.utils import create_worker as plain_create_worker

from napari_sparsessp.errors import PredictionError
from napari_sparsessp.prediction.engine import (
    Finished,
    PartDone,
    PredictionCancelled,
    Started,
    TileDone,
)
from napari_sparsessp.ui.engine.stream_worker import (
    ContrastEstimated,
    Failed,
    Job,
    StreamingEngine,
    StreamWorker,
    TruthScaled,
    stream,
)
from napari_sparsessp.ui.error_details import as_told

if TYPE_CHECKING:
    from superqt.utils import GeneratorWorker

# The thread has died without a word if it is not running at two looks in a row.
_WATCHDOG_MS = 1500


class StopSign:
    """The stop sign of whatever run is under way; it outlives the dock's window."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def renew(self) -> threading.Event:
        """Take down the old sign and put up a fresh one for a fresh run."""
        self.event = threading.Event()
        return self.event

    def stop(self, *_: object) -> None:
        """Stop the current run."""
        self.event.set()


class PredictionRun(QObject):
    """One job in a worker thread. Exactly one of the last four signals ends it.

    Signals
    -------
    started : Started
    tile_done : TileDone
    contrast : ContrastEstimated
    truth_scaled : TruthScaled
    finished : Report
    part_done
        What was asked for is predicted, and there is more.
    cancelled
    failed : SparseSSPError
    """

    started = Signal(object)
    tile_done = Signal(object)
    contrast = Signal(object)
    truth_scaled = Signal(object)
    finished = Signal(object)
    part_done = Signal()
    cancelled = Signal()
    failed = Signal(object)

    def __init__(
        self, engine: StreamingEngine, job: Job, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._stop = job.cancel
        self._job: Job | None = job
        self._worker: GeneratorWorker | None = None
        self._ended = False
        self._alive = False
        self._missed = 0
        self._watchdog = QTimer(self)
        self._watchdog.setInterval(_WATCHDOG_MS)
        self._watchdog.timeout.connect(self._look_after)

    @property
    def running(self) -> bool:
        """Whether the job is still under way."""
        return not self._ended

    def start(self, *, in_napari: bool = True) -> None:
        """Start the job.

        Parameters
        ----------
        in_napari : bool
            Tell napari, so that closing its window asks before it stops the run.
        """
        create: Callable[..., Any] = plain_create_worker
        if in_napari:
            from napari.qt.threading import create_worker

            create = create_worker
        worker = create(
            stream,
            self._engine,
            self._job,
            _start_thread=False,
            _worker_class=StreamWorker,
            _ignore_errors=True,
        )
        queued = Qt.ConnectionType.QueuedConnection
        worker.started.connect(self._on_started, queued)
        worker.yielded.connect(self._on_event, queued)
        worker.finished.connect(self._on_worker_finished, queued)
        self._worker, self._job = worker, None
        worker.start()
        self._watchdog.start()

    def cancel(self) -> None:
        """Stop at the next chance; `cancelled` follows."""
        self._stop.set()

    def abandon(self) -> None:
        """Stop and say nothing: the window is going away."""
        self._stop.set()
        if self._worker is not None:
            self._worker.quit()
        self._end()

    def _on_started(self) -> None:
        self._alive = True

    def _on_event(self, event: Any) -> None:
        if self._ended:
            return
        if isinstance(event, TileDone):
            self.tile_done.emit(event)
        elif isinstance(event, ContrastEstimated):
            self.contrast.emit(event)
        elif isinstance(event, TruthScaled):
            self.truth_scaled.emit(event)
        elif isinstance(event, Started):
            self.started.emit(event)
        elif isinstance(event, Failed):
            self._on_error(event.error)
        elif isinstance(event, Finished):
            self._end()
            self.finished.emit(event.report)
        elif isinstance(event, PartDone):
            self._end()
            self.part_done.emit()
        elif isinstance(event, PredictionCancelled):
            self._end()
            self.cancelled.emit()

    def _on_error(self, error: Exception) -> None:
        self._end()
        self.failed.emit(as_told(error, "the prediction"))

    def _on_worker_finished(self) -> None:
        """End: the thread is through, and what it has not told will never come."""
        if self._ended:
            return
        self._end()
        stopped = self._stop.is_set()
        if stopped or (self._worker is not None and self._worker.abort_requested):
            self.cancelled.emit()
        else:
            self.failed.emit(
                PredictionError("the prediction ended without a result; run it again")
            )

    def _look_after(self) -> None:
        worker = self._worker
        if worker is None or worker.is_running or not self._alive:
            self._missed = 0
            return
        self._missed += 1
        if self._missed > 1:
            self._on_worker_finished()

    def _end(self) -> None:
        self._ended = True
        self._watchdog.stop()
