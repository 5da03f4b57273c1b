"""What the Plan dock's thread does: hash, predict, score, remember.

What runs here must not touch the viewer, a layer or a widget. Results stand on a
board, which the interface reads when it likes.
"""

import importlib
import threading
from functools import cache
from typing import TYPE_CHECKING, Protocol

from napari_sparsessp.evaluation.sweep_memory import (
    SweepMemory,
    SweepRecord,
    sweep_key,
)
from napari_sparsessp.tasks import Cancelled
from napari_sparsessp.ui.engine.link import InstalledEngine
from napari_sparsessp.ui.plan.choice import PlanJob
from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.ui.widgets.style import duration_text

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep import PlannedRun, SweepProgress
    from napari_sparsessp.models.store import Model
    from napari_sparsessp.prediction.request import PredictionRequest


class PlanEngine(InstalledEngine):
    """The installed package; it also hands out the model itself."""

    def model(self, request: "PredictionRequest") -> "Model":
        """Load the model that a request names; for a worker thread, it loads torch.

        Raises
        ------
        ModelError
            It is gone or damaged.
        """
        return self._model(request)


class LoadingEngine(Protocol):
    """What the thread needs of an engine."""

    def model(self, request: "PredictionRequest") -> "Model":
        """Load a model."""
        ...


class Board:
    """What the thread has found so far.

    Attributes
    ----------
    key : str
        By which the sweep is remembered; "" until the pixels are read.
    remembered : bool
        Nothing was measured: it was known already.
    """

    def __init__(self) -> None:
        self.key = ""
        self.remembered = False
        self._lock = threading.Lock()
        self._record: SweepRecord | None = None

    def post(self, record: SweepRecord) -> None:
        """Show the newest result in place of the former."""
        with self._lock:
            self._record = record

    def read(self) -> SweepRecord | None:
        """Give the newest result."""
        with self._lock:
            return self._record


class _StopSign(threading.Event):
    """Set as soon as the task was asked to stop."""

    def __init__(self, progress: TaskProgress) -> None:
        super().__init__()
        self._progress = progress

    def is_set(self) -> bool:
        """Return whether the task was cancelled."""
        return self._progress.cancelled.is_set()


def measure_plan(
    engine: LoadingEngine,
    job: PlanJob,
    memory: SweepMemory,
    board: Board,
    progress: TaskProgress,
) -> SweepRecord:
    """Sweep, unless the same was swept before; for `BackgroundTask`.

    Parameters
    ----------
    engine : LoadingEngine
    job : PlanJob
    memory : SweepMemory
    board : Board
        Gets each ratio as soon as it is scored.
    progress : TaskProgress

    Returns
    -------
    SweepRecord

    Raises
    ------
    Cancelled
        The user stopped it; the board keeps what is done.
    InputError, ModelError, PredictionError
        What a prediction refuses.
    """
    from napari_sparsessp.evaluation.sweep import plan_sweep

    progress(0.0, what="Loading the network…")
    # The first curve needs it, and the interface would stand still for its import.
    importlib.import_module("pyqtgraph")
    model = engine.model(job.request)
    runs = plan_sweep(
        job.card,
        job.volume,
        job.truth,
        job.request,
        job.ratios,
        all_phases=job.all_phases,
        against_dense=job.against_dense,
    )
    progress(0.0, what="Reading the stack…")
    board.key = sweep_key(
        model.sha256, runs, lambda: progress(0.0, what="Reading the stack…")
    )
    known = memory.get(board.key)
    if known is not None:
        board.remembered = True
        board.post(known)
        return known
    record = _measured(model, runs, board, progress)
    memory.put(board.key, record)
    return record


def _measured(
    model: "Model", runs: "list[PlannedRun]", board: Board, progress: TaskProgress
) -> SweepRecord:
    from napari_sparsessp.evaluation.sweep import run_sweep
    from napari_sparsessp.evaluation.sweep_findings import SweepFindings

    count = len({run.ratio for run in runs})
    if runs[0].truth:
        progress(0.0, what="Scoring what needs no network…")
    findings = SweepFindings(runs, pictures=True)

    def tell(now: "SweepProgress") -> None:
        which = "every plane" if now.ratio == 1 else f"r = {now.ratio}"
        start = f", from plane {now.phase}" if now.phase else ""
        left = now.seconds_left
        rest = f" · {duration_text(left)} left" if now.done < now.total else ""
        text = f"{which}{start}: tile {now.done} of {now.total}{rest}"
        progress(now.done / now.total, what=text)

    try:
        for result, prediction in run_sweep(model, runs, tell, _StopSign(progress)):
            findings.take(result)
            board.post(SweepRecord(findings.report()))
            if len(findings.results) == count:
                progress(1.0, what="Drawing the report's pictures…")
            findings.draw(result.ratio, prediction, progress.check)
    finally:
        if findings.gallery is not None:
            findings.gallery.let_go()
        if findings.drawn:
            board.post(SweepRecord(findings.report(), findings.gallery))
    if not findings.finished:
        raise Cancelled
    return SweepRecord(findings.report(), findings.gallery)


@cache
def session_memory() -> SweepMemory:
    """Give the sweeps of this session, of all viewers: pixels alone tell them apart."""
    return SweepMemory()
