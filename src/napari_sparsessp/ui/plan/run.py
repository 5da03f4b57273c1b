"""One measurement of the Plan dock, from its start to its end in whichever way."""

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.ui.errand import Errand, Stopped
from napari_sparsessp.ui.error_details import as_told
from napari_sparsessp.ui.plan.choice import PlanJob
from napari_sparsessp.ui.plan.recall import Imprint, SweepMemory, SweepRecord
from napari_sparsessp.ui.plan.work import Board, LoadingEngine, measure_plan


class PlanRun(QObject):
    """Runs a job in a thread and tells what it has found so far.

    Parameters
    ----------
    engine : LoadingEngine
    job : PlanJob
    memory : SweepMemory
    imprint : Imprint
        What the job was made of.
    parent : QObject, optional

    Signals
    -------
    progressed : str, float
    grew : SweepRecord
        One more ratio is there.
    ended : SweepRecord or None, SparseSSPError or None
        What there is, and what went wrong; neither where it was stopped early.
    """

    progressed = Signal(str, float)
    grew = Signal(object)
    ended = Signal(object, object)

    def __init__(
        self,
        engine: LoadingEngine,
        job: PlanJob,
        memory: SweepMemory,
        imprint: Imprint,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.imprint, self.job = imprint, job
        self.board = Board()
        self.stopped = False
        self._seen: SweepRecord | None = None
        self._errand = Errand(
            measure_plan, engine, job, memory, self.board, parent=self
        )
        self._errand.progressed.connect(self._on_progress)
        self._errand.returned.connect(self._on_returned)
        self._errand.failed.connect(self._on_failed)

    def start(self) -> None:
        """Start; `ended` follows."""
        self._errand.start()

    def stop(self) -> None:
        """Stop before the network's next layer; `ended` follows."""
        self.stopped = True
        self._errand.stop()

    def _on_progress(self, what: str, share: float) -> None:
        record = self.board.read()
        if record is not None and record is not self._seen:
            self._seen = record
            self.grew.emit(record)
        self.progressed.emit(what, share)

    def _on_returned(self, record: SweepRecord) -> None:
        self.ended.emit(record, None)

    def _on_failed(self, error: Exception) -> None:
        told = None
        if not isinstance(error, Stopped):
            told = as_told(error, "the measurement")
        self.ended.emit(self.board.read(), told)
