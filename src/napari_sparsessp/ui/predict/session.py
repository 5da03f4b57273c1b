"""One prediction from Run to its end, in whichever way it ends."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.ui.engine.stream_worker import (
    ContrastEstimated,
    Failed,
    Job,
    StreamingEngine,
    StreamWorker,
    TruthScaled,
    stream,
)
from napari_sparsessp.ui.layers.contrast import ContrastEstimate
from napari_sparsessp.ui.layers.viewport import ViewportTracker
from napari_sparsessp.ui.napari_compat import layer_with_key
from napari_sparsessp.ui.predict.form import PredictForm, RunState, done_text
from napari_sparsessp.ui.predict.layers import StreamLayers
from napari_sparsessp.ui.predict.planning import Choice, Outlook, Pace, Ready
from napari_sparsessp.ui.tasks import readable_error

if TYPE_CHECKING:
    import numpy as np
    from superqt.utils import GeneratorWorker

    from napari_sparsessp.prediction.report import Report
    from napari_sparsessp.ui.engine.stream_worker import Viewport
    from napari_sparsessp.ui.layers.contrast import Scale


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
        self.failed.emit(readable_error(error, "the prediction"))

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


# The first that differs is told: what comes first weighs more.
_CHANGES = {
    "layer": "another stack is chosen",
    "leading": "the stack's first axis means something else now",
    "channel": "another channel is chosen",
    "voxel_size": "the voxel size is another",
    "ratio": "the sampling is another",
    "simulate": "the sampling is another",
    "structures": "other structures are ticked",
    "truths": "the truth layers are others",
    "device": "another device is chosen",
    "precision": "the precision is another",
    "tta": "an option is another",
    "uncertainty": "an option is another",
    "memory_limit": "an option is another",
}


@dataclass(eq=False)
class Undertaking:
    """What lives from Run to the last tile, however often it is stopped between.

    Attributes
    ----------
    choice : Choice
        What the user had chosen.
    ready : Ready
    buffer : ndarray
        float32, shape ``ready.plan.output_shape``; the layers look into it.
    progress
        The engine's own; it knows which tiles are done.
    contrast : ContrastEstimate
    pixels
        The input's array as it was: another one is another stack.
    done, total : int
        Tiles.
    runs : int
        How often it was begun or gone on with.
    """

    choice: Choice
    ready: Ready
    buffer: "np.ndarray"
    progress: Any
    contrast: ContrastEstimate
    pixels: Any
    done: int = 0
    total: int = 0
    runs: int = 0

    @classmethod
    def of(cls, choice: Choice, ready: Ready, progress: Any) -> "Undertaking":
        """Take the memory for the result of what is ready to run.

        Raises
        ------
        InputError
            When there is not enough memory.
        """
        return cls(
            choice,
            ready,
            ready.new_buffer(),
            progress,
            ContrastEstimate(
                ready.plan.channels,
                [deviation_channel(one) for one in ready.plan.structures],
            ),
            pixels_of(ready.layer),
        )

    @property
    def resumable(self) -> bool:
        """Whether something is done, and something left to do."""
        return self.progress is not None and 0 < self.done < self.total

    def truths(self) -> dict[str, str]:
        """Key of the layer that each structure is compared with, by structure."""
        chosen = self.choice.truths
        return {id_: key for id_, key in chosen.items() if id_ in self.ready.truth}

    def change(self, choice: Choice, seen: Outlook) -> str:
        """Tell what keeps this from going on.

        Parameters
        ----------
        choice : Choice
            What the user has chosen now.
        seen : Outlook
            What comes of it.

        Returns
        -------
        str
            "" where nothing that matters has changed.
        """
        for name, words in _CHANGES.items():
            if getattr(choice, name) != getattr(self.choice, name):
                return words
        if _model(choice) != _model(self.choice):
            return "another model is chosen"
        if seen.layer is None or seen.reading is None:
            return "the stack cannot be read any more"
        if pixels_of(seen.layer) is not self.pixels:
            return "the stack holds another image"
        was, now = self.ready.reading.volume, seen.reading.volume
        if (was.voxel_size, was.origin) != (now.voxel_size, now.origin):
            return "the stack was moved or scaled"
        return ""

    def lost(self, viewer: Any) -> bool:
        """Whether the input is gone for good."""
        return layer_with_key(viewer, self.choice.layer) is None


def pixels_of(layer: Any) -> Any:
    """Give a layer's array; of a multiscale layer its finest level."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def _model(choice: Choice) -> str:
    return "" if choice.card is None else choice.card.id


class Running(QObject):
    """Runs an undertaking, shows how far it is, and keeps what a stopped one leaves.

    Parameters
    ----------
    engine
        Anything with the methods of `InstalledEngine`.
    form : PredictForm
    layers : StreamLayers
    tracker : ViewportTracker
    parent : QObject, optional

    Attributes
    ----------
    current : PredictionRun or None
        The run that is under way.
    undertaking : Undertaking or None
        What is predicted now, or was stopped and can go on.
    pace : Pace
        What earlier runs tell of the next one's time.
    truth_scales : dict
        Structure id and truth layer's key to the truth's mean and deviation.

    Signals
    -------
    ended
        In whichever way; the form is free again.
    failed : SparseSSPError
        After `ended`.
    """

    ended = Signal()
    failed = Signal(object)

    def __init__(
        self,
        engine: Any,
        form: PredictForm,
        layers: StreamLayers,
        tracker: ViewportTracker,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._form = form
        self._layers = layers
        self._tracker = tracker
        self._stop = StopSign()
        self.current: PredictionRun | None = None
        self.undertaking: Undertaking | None = None
        self._last_word: Callable[[], None] | None = None
        layers.complete.connect(self._on_layers)
        self.truth_scales: dict[tuple[str, str], Scale] = {}
        self.pace = Pace()
        # the own slots are gone by then; this one belongs to nobody
        self.destroyed.connect(self._stop.stop)

    def start(self, undertaking: Undertaking, part: "Viewport | None" = None) -> None:
        """Start, or go on with, an undertaking in a thread of its own.

        Parameters
        ----------
        undertaking : Undertaking
        part : (time, box), optional
            In output voxels: predict no more than this.
        """
        self.undertaking = undertaking
        undertaking.runs += 1
        ready = undertaking.ready
        run = PredictionRun(
            self._engine,
            Job(
                ready.plan.request,
                ready.reading.volume,
                ready.truth,
                ready.plan.channels,
                undertaking.buffer,
                self._tracker.holder,
                self._stop.renew(),
                undertaking.contrast,
                undertaking.progress,
                part,
            ),
            self,
        )
        run.started.connect(self._on_started)
        run.tile_done.connect(self._on_tile)
        run.contrast.connect(self._layers.set_limits)
        run.truth_scaled.connect(self._on_truth_scaled)
        run.finished.connect(self._on_finished)
        run.part_done.connect(self._on_part_done)
        run.cancelled.connect(self._on_cancelled)
        run.failed.connect(self._on_failed)
        self.current = run
        self._form.set_locked(True)
        self._form.foot.begin(undertaking.done, undertaking.total)
        run.start()

    def cancel(self) -> None:
        """Stop what runs; what is done stays."""
        if self.current is not None:
            self._form.foot.set_state(RunState.CANCELLING)
            self.current.cancel()

    def forget(self) -> None:
        """Let go of what a stopped run left."""
        if self.current is None:
            self.undertaking = None

    def _on_started(self, event: "Started") -> None:
        place = event.device.replace("cpu", "the CPU")
        self._form.foot.set_status(f"Predicting on {place} in {event.precision}…")
        self._warn(event.warnings)

    def _warn(self, doubts: Sequence[str]) -> None:
        """Say before the first tile what the result will be marked with for good."""
        if self.undertaking is not None:
            ids = self.undertaking.ready.plan.structures
            self._form.structures.set_doubts(dict.fromkeys(ids, doubts))
        self._layers.set_doubts(doubts)
        self._form.foot.message.show_notices(doubts)

    def _on_tile(self, event: "TileDone") -> None:
        if self.undertaking is not None:
            self.undertaking.done, self.undertaking.total = event.done, event.total
        self._layers.tile_done(event)
        if event.scores:
            self._form.structures.set_scores(event.scores)
        foot = self._form.foot
        if foot.state is RunState.RUNNING:
            foot.show_progress(event.done, event.total, event.seconds_left)
            if event.done == event.total and event.scores:
                foot.set_status("Comparing with the ground truth…")

    def _on_truth_scaled(self, event: "TruthScaled") -> None:
        keys = self._form.structures.truths()
        for id_ in keys.keys() & event.scales.keys():
            self.truth_scales[id_, keys[id_]] = event.scales[id_]

    def _on_finished(self, report: Any) -> None:
        self._end_with(lambda: self._tell_end(report))

    def _end_with(self, last_word: Callable[[], None]) -> None:
        """Tell of the end when all layers are there: they come one by one."""
        self._last_word = last_word
        if not self._layers.pending:
            self._on_layers()

    def _on_layers(self) -> None:
        last_word, self._last_word = self._last_word, None
        if last_word is not None and self.current is not None:
            last_word()

    def _tell_end(self, report: "Report") -> None:
        if self.undertaking is not None and self.undertaking.runs == 1:
            self.pace.learn(self.undertaking.ready.plan, report)
        doubts = report.unfamiliar
        self._warn(doubts)
        scores = {id_: one for id_, one in report.structures.items() if one}
        self._form.structures.set_scores(scores)
        self.undertaking = None
        foot = self._form.foot
        foot.show_progress(1, 1, 0.0)
        others = [one for one in report.warnings if one not in doubts]
        foot.message.show_notices([*doubts, *others])
        foot.set_status(done_text(report))
        self._end("done", {"provenance": report.provenance()}, scores)

    def _on_part_done(self) -> None:
        self._end_with(self._tell_part)

    def _tell_part(self) -> None:
        left = self.undertaking
        if left is not None:
            self._form.foot.show_part_done(left.done, left.total)
        self._end("partial")

    def _on_cancelled(self) -> None:
        self._show_stopped("Cancelled")
        self._end("cancelled")

    def _on_failed(self, error: Exception) -> None:
        self._show_stopped("Stopped by an error")
        self._end("failed")
        self.failed.emit(error)

    def _show_stopped(self, why: str) -> None:
        left = self.undertaking
        if left is not None:
            self._form.foot.show_stopped(left.done, left.total, why)

    def _end(
        self,
        state: str,
        about: dict[str, Any] | None = None,
        scores: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Free the form first: whatever befalls the layers, the dock can be used."""
        run, self.current = self.current, None
        if run is not None:
            run.deleteLater()
        left = self.undertaking
        if left is None or not left.resumable or not self._layers.layers():
            self.undertaking = None
        on = RunState.READY if self.undertaking is None else RunState.RESUMABLE
        self._form.set_locked(False)
        self._form.foot.set_state(on)
        self._tracker.stop()
        try:
            self._layers.finish(state, about, scores)
        finally:
            self.ended.emit()
