"""From Run to the end of a prediction: its thread, its layers and what it tells."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.ui.engine.stream_worker import Job
from napari_sparsessp.ui.layers.viewport import ViewportTracker
from napari_sparsessp.ui.predict.form import PredictForm
from napari_sparsessp.ui.predict.outlook_view import done_text
from napari_sparsessp.ui.predict.pace import Pace
from napari_sparsessp.ui.predict.prediction_run import PredictionRun, StopSign
from napari_sparsessp.ui.predict.run_panel import RunState
from napari_sparsessp.ui.predict.stream_layers import StreamLayers
from napari_sparsessp.ui.predict.undertaking import Undertaking

if TYPE_CHECKING:
    from napari_sparsessp.prediction.engine import Started, TileDone
    from napari_sparsessp.prediction.report import Report
    from napari_sparsessp.ui.engine.stream_worker import TruthScaled, Viewport
    from napari_sparsessp.ui.layers.linked_contrast import Scale


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
                ready.plan,
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
