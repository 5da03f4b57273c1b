"""What the Plan dock's thread does: hash, predict, score, remember.

What runs here must not touch the viewer, a layer or a widget. Results stand on a
board, which the interface reads when it likes.
"""

import importlib
import threading
from functools import cache
from typing import TYPE_CHECKING, Protocol

from napari_sparsessp.tasks import Cancelled, TimeLeft
from napari_sparsessp.ui.engine.link import InstalledEngine
from napari_sparsessp.ui.errand import Meter, Stopped
from napari_sparsessp.ui.look.duration import duration_text
from napari_sparsessp.ui.plan.choice import PlanJob
from napari_sparsessp.ui.plan.recall import SweepMemory, SweepRecord

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep import PlannedRun
    from napari_sparsessp.models.library import Model
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
    """Set as soon as the errand was asked to stop."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def is_set(self) -> bool:
        """Ask the meter; what it tells stays as it is."""
        try:
            self._meter(self._meter.what, self._meter.share)
        except Stopped:
            return True
        return False


def measure_plan(
    engine: LoadingEngine, job: PlanJob, memory: SweepMemory, board: Board, meter: Meter
) -> SweepRecord:
    """Sweep, unless the same was swept before; for `Errand`.

    Parameters
    ----------
    engine : LoadingEngine
    job : PlanJob
    memory : SweepMemory
    board : Board
        Gets each ratio as soon as it is scored.
    meter : Meter

    Returns
    -------
    SweepRecord

    Raises
    ------
    Stopped
        The user stopped it; the board keeps what is done.
    InputError, ModelError, PredictionError
        What a prediction refuses.
    """
    from napari_sparsessp.evaluation.sweep import plan_sweep, sweep_key

    meter("Loading the network…", 0.0)
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
    meter("Reading the stack…", 0.0)
    board.key = sweep_key(
        model.sha256, runs, lambda *_: meter("Reading the stack…", 0.0)
    )
    known = memory.recall(board.key)
    if known is not None:
        board.remembered = True
        board.post(known)
        return known
    record = _measured(model, runs, board, meter)
    memory.remember(board.key, record)
    return record


def _measured(
    model: "Model", runs: "list[PlannedRun]", board: Board, meter: Meter
) -> SweepRecord:
    from napari_sparsessp.evaluation.html import SweepResults
    from napari_sparsessp.evaluation.sweep import run_sweep

    count = len({run.ratio for run in runs})
    if runs[0].truth:
        meter("Scoring what needs no network…", 0.0)
    results = SweepResults(runs, pictures=True)

    time_left = TimeLeft()

    def progress(done: float, total: float | None = None, what: str = "") -> None:
        assert total is not None
        left = time_left(done / total)
        rest = f" · {duration_text(left)} left" if left else ""
        which = "every plane" if what == "r = 1" else what
        meter(f"{which}: tile {done:.0f} of {total:.0f}{rest}", done / total)

    try:
        for result, prediction in run_sweep(model, runs, progress, _StopSign(meter)):
            results.take(result)
            board.post(SweepRecord(results.report()))
            if len(results.results) == count:
                meter("Drawing the report's pictures…", 1.0)
            results.draw(
                result.scores.ratio,
                prediction,
                lambda *_: meter(meter.what, meter.share),
            )
    except Cancelled as error:
        raise Stopped from error
    finally:
        if results.gallery is not None:
            results.gallery.release()
        if results.drawn:
            board.post(SweepRecord(results.report(), results.gallery))
    return SweepRecord(results.report(), results.gallery)


@cache
def session_memory() -> SweepMemory:
    """Give the sweeps of this session, of all viewers: pixels alone tell them apart."""
    return SweepMemory()
