"""One prediction from Run to its end, and the model that is loaded before it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_sparsessp.errors import PredictionError
from napari_sparsessp.prediction.device import free_bytes
from napari_sparsessp.prediction.engine import (
    Finished,
    Looking,
    PartDone,
    PredictionCancelled,
    Started,
    TileDone,
)
from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.tasks import Cancelled
from napari_sparsessp.ui.layers.contrast import ContrastEstimate, Scale, truth_scale
from napari_sparsessp.ui.layers.viewport import Viewport, ViewportTracker
from napari_sparsessp.ui.predict.form import PredictForm, RunState
from napari_sparsessp.ui.predict.layers import PredictionLayers
from napari_sparsessp.ui.predict.planning import (
    ResumableRun,
    SpeedEstimate,
    done_text,
)
from napari_sparsessp.ui.tasks import BackgroundTask, TaskProgress, readable_error
from napari_sparsessp.ui.widgets.basic import single_shot

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Report
    from napari_sparsessp.ui.engine import Speed

# Torch, a network and one tile take less than half of it.
_LEAST_FREE = 3 * 2**30
# The pointer may only pass by.
_DELAY_MS = 400
# A microscopist looks at a result for some minutes before the next run.
_IDLE_MS = 15 * 60 * 1000
_PRESENCE = (QEvent.Type.Enter, QEvent.Type.KeyPress, QEvent.Type.MouseButtonPress)


@dataclass(frozen=True)
class ContrastEstimated:
    """Better contrast limits (low, high) by channel."""

    limits: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class TruthScaled:
    """Mean and standard deviation of the truths, by structure."""

    scales: dict[str, Scale]


def run_prediction(
    engine: Any,
    plan: "Plan",
    writer: Any,
    contrast: ContrastEstimate,
    viewport: Callable[[], Viewport | None],
    part: Viewport | None,
    progress: TaskProgress,
) -> Finished | PartDone:
    """Predict in a worker thread; publish the engine's events and contrast limits."""
    counts, scaled = dict.fromkeys(plan.channels, 0), not plan.truth
    stream = engine.stream(plan, writer, viewport, part, progress.cancelled)
    with closing(stream) as events:
        for event in events:
            if isinstance(event, TileDone):
                both = [*event.structures, *map(deviation_channel, event.structures)]
                changed = [id_ for id_ in both if id_ in counts]
                whole = writer.buffer
                block = whole if event.time is None else whole[event.time]
                contrast.add(block[(slice(None), *event.box)], changed)
                if not scaled:
                    volumes, scaled = plan.truth.items(), True
                    scales = {id_: truth_scale(volume) for id_, volume in volumes}
                    progress.publish(TruthScaled(scales))
                for id_ in changed:
                    counts[id_] += 1
                # after a channel's 1st, 2nd, 4th, 8th… tile
                due = [id_ for id_ in changed if counts[id_] & (counts[id_] - 1) == 0]
                if due:
                    limits = contrast.limits(complete=False, structures=due)
                    progress.publish(ContrastEstimated(limits))
            elif isinstance(event, Finished | PartDone):
                progress.publish(ContrastEstimated(contrast.limits(complete=True)))
                return event
            elif isinstance(event, PredictionCancelled):
                break
            progress.publish(event)
    raise Cancelled


class PredictionSession(QObject):
    """Runs predictions in the background, shows progress, keeps what can be resumed."""

    tile_done = Signal(object)
    ended = Signal()
    failed = Signal(object)

    def __init__(
        self,
        engine: Any,
        form: PredictForm,
        layers: PredictionLayers,
        tracker: ViewportTracker,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine, self._form = engine, form
        self._layers, self._tracker = layers, tracker
        self.task: BackgroundTask | None = None
        self.run: ResumableRun | None = None
        self.speed = SpeedEstimate()
        self.truth_scales: dict[tuple[str, str], Scale] = {}
        self._outcome: Finished | PartDone | None = None
        self._why = ""
        layers.complete.connect(self._conclude)

    def start(self, run: ResumableRun, part: Viewport | None = None) -> None:
        """Start or resume a run; `part` (time, box) limits it to some output voxels."""
        self.run = run
        run.starts += 1
        self.task = task = BackgroundTask(
            run_prediction,
            self._engine,
            run.request.plan,
            run.writer,
            run.contrast,
            self._tracker.holder,
            part,
            parent=self,
            ask_before_close=True,
        )
        task.published.connect(self._on_event)
        task.returned.connect(self._on_returned)
        task.cancelled.connect(self._on_cancelled)
        task.failed.connect(self._on_failed)
        self._form.set_locked(True)
        self._form.foot.begin(run.done, run.total)
        task.start()

    def cancel(self, why: str = "") -> None:
        """Cancel the prediction that runs, and say why; what is done stays."""
        if self.task is not None:
            self._why = why or self._why
            self._form.foot.set_state(RunState.CANCELLING)
            self.task.cancel()

    def forget(self) -> None:
        """Release what a stopped run left."""
        if self.task is None:
            self.run = None

    def _on_event(self, event: Any) -> None:
        if isinstance(event, TileDone):
            self._on_tile(event)
        elif isinstance(event, ContrastEstimated):
            self._layers.set_limits(event.limits)
        elif isinstance(event, TruthScaled):
            keys = self._form.structures.truths()
            for id_ in keys.keys() & event.scales.keys():
                self.truth_scales[id_, keys[id_]] = event.scales[id_]
        elif isinstance(event, Started):
            device = event.device.replace("cpu", "the CPU")
            self._form.foot.set_status(f"Predicting on {device} in {event.precision}…")
            self._mark_doubts(event.warnings)
        elif isinstance(event, Looking):
            part = f"{event.done} of {event.total}"
            self._form.foot.set_status(f"Looking at the whole stack: tile {part}…")

    def _on_tile(self, event: TileDone) -> None:
        if self.run is not None:
            self.run.done, self.run.total = event.done, event.total
            self.run.scores = {
                id_: {key: one.get(key) for key in ("r2", "pcc")}
                for id_, one in (event.scores or {}).items()
            }
        self._layers.tile_done(event)
        if event.scores:
            self._form.structures.set_scores(event.scores)
        foot = self._form.foot
        if foot.state is RunState.RUNNING:
            foot.show_tiles(event.done, event.total, event.seconds_left)
            if event.done == event.total and event.scores:
                foot.set_status("Comparing with the ground truth…")
        self.tile_done.emit(event)

    def _mark_doubts(self, doubts: Sequence[str]) -> None:
        """Show before the first tile what the result will be marked with for good."""
        if self.run is not None:
            ids = self.run.request.plan.structures
            self._form.structures.set_doubts(dict.fromkeys(ids, doubts))
        self._layers.set_doubts(doubts)
        self._form.foot.message.show_notices(doubts)

    def _on_returned(self, outcome: Finished | PartDone) -> None:
        self._outcome = outcome
        if not self._layers.pending:  # they come one by one
            self._conclude()

    def _conclude(self) -> None:
        outcome, self._outcome = self._outcome, None
        if self.task is None or outcome is None:
            return
        if isinstance(outcome, Finished):
            self._finish(outcome.report)
        else:
            self._show_stopped("The visible region is done")
            self._end("partial")

    def _finish(self, report: "Report") -> None:
        if self.run is not None and self.run.starts == 1:
            self.speed.note_run(self.run.request.plan, report)
        doubts = report.unfamiliar
        self._mark_doubts(doubts)
        scores = {id_: one for id_, one in report.structures.items() if one}
        self._form.structures.set_scores(scores)
        self.run = None
        foot = self._form.foot
        foot.show_tiles(1, 1, 0.0)
        others = [one for one in report.warnings if one not in doubts]
        foot.message.show_notices([*doubts, *others])
        foot.set_status(done_text(report))
        self._end("done", {"provenance": report.provenance()}, scores)

    def _on_cancelled(self) -> None:
        self._show_stopped("Cancelled")
        if self._why:
            self._form.foot.message.show_notices([f"the run ended: {self._why}"])
        self._end("cancelled")

    def _on_failed(self, error: Exception) -> None:
        self._show_stopped("Stopped by an error")
        self._end("failed")
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, RuntimeError) and "out of memory" not in text.lower():
            readable = PredictionError(
                f"the prediction failed: {text[:300]}; try the CPU, or copy the details"
            )
            readable.__cause__ = error
            self.failed.emit(readable)
        else:
            self.failed.emit(readable_error(error, "the prediction"))

    def _show_stopped(self, why: str) -> None:
        if self.run is not None:
            self._form.foot.show_stopped(self.run.done, self.run.total, why)

    def _end(
        self,
        state: str,
        about: Mapping[str, Any] | None = None,
        scores: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Free the form before the layers: whatever they do, the dock can be used."""
        task, self.task, self._outcome, self._why = self.task, None, None, ""
        if task is not None:
            task.deleteLater()
        run = self.run
        empty = run is not None and not run.done
        if run is None or not 0 < run.done < run.total or not self._layers.layers():
            self.run = None
        on = RunState.READY if self.run is None else RunState.RESUMABLE
        self._form.set_locked(False)
        self._form.foot.set_state(on)
        self._tracker.stop()
        try:
            self._layers.finish(state, about, scores)
            if empty:  # and no longer any layers of nothing
                self._layers.remove_all()
        finally:
            self.ended.emit()


class Preloader(QObject):
    """Loads torch when the dock is shown, the model while the user is at the dock.

    The model is unloaded when it is idle.
    """

    measured = Signal(object, object)
    loaded_changed = Signal(bool)

    def __init__(self, engine: Any, dock: QWidget) -> None:
        super().__init__(dock)
        self._engine = engine
        self._plan: Plan | None = None  # of the next run
        self._loading: Plan | None = None
        self._task: BackgroundTask | None = None
        self._present = False
        self._tried: set[tuple[str, str]] = set()
        self._delay = single_shot(self, self._start, _DELAY_MS)
        self._idle = single_shot(self, self.unload, _IDLE_MS)
        # The dock is on screen before torch's libraries hold up the interpreter.
        self._opened = single_shot(self, engine.load_libraries, _DELAY_MS)
        dock.installEventFilter(self)

    def expect(self, plan: "Plan | None") -> None:
        """Set what Run would do now."""
        self._plan = plan
        self._consider()

    def give_way(self) -> None:
        """End loading ahead at the next chance: a run begins."""
        self._delay.stop()
        self._idle.stop()
        if self._task is not None:
            self._task.cancel()

    def rest(self) -> None:
        """Start the idle time after a run."""
        if self._plan is not None:
            self._tried.add(_model_and_device(self._plan))
        self._idle.start()
        self._emit_loaded()

    def unload(self) -> None:
        """Free the memory of the model; the next run loads it again."""
        self.give_way()
        self._engine.forget()
        self._tried.clear()
        self._present = False
        self._emit_loaded()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Load soon: the user is at the dock; nothing is kept from it."""
        if event is not None and event.type() == QEvent.Type.Show:
            self._opened.start()
        if event is not None and event.type() in _PRESENCE:
            self._present = True
            self._consider()
        return super().eventFilter(watched, event)

    def _consider(self) -> None:
        plan, free = self._plan, self._present and self._task is None
        if free and plan is not None and _model_and_device(plan) not in self._tried:
            self._delay.start()
        else:
            self._delay.stop()

    def _start(self) -> None:
        plan = self._plan
        if plan is None or self._task is not None:
            return
        self._tried.add(_model_and_device(plan))
        if (free_bytes() or 0) < _LEAST_FREE + plan.memory.activations:
            return
        self._loading = plan
        self._task = task = BackgroundTask(self._engine.preload, plan, parent=self)
        task.returned.connect(self._on_measured)
        for ended in (task.failed, task.cancelled):  # the run will say what is wrong
            ended.connect(self._on_ended)
        task.start()

    def _on_measured(self, speed: "Speed") -> None:
        plan = self._loading
        self._on_ended()
        self.measured.emit(plan, speed)

    def _on_ended(self, _error: object = None) -> None:
        if self._task is not None:
            self._task.deleteLater()
        self._task = self._loading = None
        self._idle.start()
        self._emit_loaded()
        self._consider()

    def _emit_loaded(self) -> None:
        self.loaded_changed.emit(self._engine.loaded)


def _model_and_device(plan: "Plan") -> tuple[str, str]:
    return plan.card.id, plan.request.device
