"""What the training's thread does: copy, read, learn, write the model, install it.

It must not touch the viewer, a layer or a widget: it tells `Feed`, and the dock looks.
"""

import shutil
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_sparsessp.errors import InputError, PredictionError, SparseSSPError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.tasks import Cancelled, Progress
from napari_sparsessp.training.checkpoints import has_state, read_log
from napari_sparsessp.training.config import TrainConfig
from napari_sparsessp.training.resolve import CONFIG_FILE, PAIRS_FILE
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.tasks import BackgroundTask, TaskProgress

if TYPE_CHECKING:
    from napari_sparsessp.training.loop import Status
    from napari_sparsessp.training.pairs import Label
    from napari_sparsessp.training.stacks import TrainingStack
    from napari_sparsessp.training.validation import Preview

STACKS_FOLDER = "stacks"
# Of log entries and previews that nobody has fetched: a hidden window fetches none.
_MOST_WAITING = 10_000


@dataclass(frozen=True, eq=False)
class TrainJob:
    """All that the thread may know.

    Attributes
    ----------
    config : TrainConfig
    stacks : sequence of TrainingStack
        Of layers, to be written into the run's folder; empty where files are read.
    labels : sequence of Label
        Of images that were picked; to be listed in the run's folder.
    step : float
        µm between planes of the model's grid.
    goes_on : bool
        The folder holds all this already, and a state.
    """

    config: TrainConfig
    stacks: "Sequence[TrainingStack]" = ()
    labels: "Sequence[Label]" = ()
    step: float = 0.29
    goes_on: bool = False


@dataclass(frozen=True)
class TrainResult:
    """How a training ended.

    Attributes
    ----------
    id : str
        Of the new model among the user's; "" where training was paused.
    file : Path or None
        The model in the run's folder.
    before, best : float or None
        R² on what was kept back, before the first step and at the best.
    step : int
        Of the best.
    """

    id: str
    file: Path | None
    before: float | None = None
    best: float | None = None
    step: int = 0


class Feed:
    """What the thread tells and is asked; no Qt object, so it outlives any window."""

    def __init__(self) -> None:
        self.status: Status | None = None
        self.entries: deque[dict[str, Any]] = deque(maxlen=_MOST_WAITING)
        self.previews: deque[Preview] = deque(maxlen=1)
        self.notes: deque[str] = deque(maxlen=100)
        self.keep_best = False
        self.learning = False
        self._stopping = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def stop(self, *_: object) -> None:
        """Ask to stop after this step; what was learnt is saved."""
        self._stopping.set()


def teach(
    job: TrainJob, install: Callable[[Path], str], feed: Feed, progress: TaskProgress
) -> TrainResult:
    """Train a model; for a worker thread.

    Parameters
    ----------
    job : TrainJob
    install : callable
        Puts a model file among the user's and gives its id.
    feed : Feed
    progress : callable
        Told what is done and its share; raises `Cancelled` where the window is gone.

    Raises
    ------
    Cancelled
        Before the first step.
    SparseSSPError
        Anything that the user can mend.
    """
    out, begun = job.config.out, job.config.out.exists()
    try:
        if not job.goes_on:
            prepare(job, out / CONFIG_FILE, progress)
        return _taught(job, install, feed, progress)
    except Exception:
        if not begun and not has_state(out):  # nothing to go on with: leave nothing
            shutil.rmtree(out, ignore_errors=True)
        raise


def _taught(
    job: TrainJob, install: Callable[[Path], str], feed: Feed, progress: TaskProgress
) -> TrainResult:
    from napari_sparsessp.training.data import find_labels, read_stacks
    from napari_sparsessp.training.distributed import Group
    from napari_sparsessp.training.resolve import resolve_config
    from napari_sparsessp.training.run import run_training, write_best

    resolved = resolve_config(job.config)
    with ExitStack() as closing:
        labels = find_labels(job.config.data.pairs)
        report = _progress(feed, progress)
        stacks = read_stacks(
            resolved, labels, Group(), closing, report, feed.notes.append
        )
        if job.goes_on:
            feed.entries.extend(read_log(job.config.out))
        progress(0.0, what="loading the model to begin with")
        feed.learning = True
        listen, show = _listener(feed), _shower(feed)
        path = None
        try:
            path = run_training(resolved, stacks, listen, report, show=show)
        except Cancelled:
            if feed.keep_best:
                path = write_best(resolved, stacks)
        except (RuntimeError, MemoryError) as error:
            raise _mendable(error) from error
    entries = read_log(job.config.out)
    scored = [one for one in entries if one.get("r2") is not None]
    best = max(scored, key=lambda one: one["r2"], default={})
    before = scored[0]["r2"] if scored and scored[0]["step"] == 0 else None
    known = {"before": before, "best": best.get("r2"), "step": best.get("step", 0)}
    if path is None:
        return TrainResult("", None, **known)
    return TrainResult(install(path), path, **known)


def prepare(job: TrainJob, file: Path, progress: TaskProgress) -> Path:
    """Write down all that a training needs: its stacks, their list and its config.

    Parameters
    ----------
    job : TrainJob
    file : Path
        The YAML file to be, in the run's folder or beside it.
    progress : callable
        Told what is done and its share.

    Returns
    -------
    Path
        The YAML file; ``sparsessp train`` runs it.

    Raises
    ------
    InputError
        An image cannot be read, or the folder holds another training.
    OutputError
        Something cannot be written.
    """
    from napari_sparsessp.training.config import config_text
    from napari_sparsessp.training.pairs import write_list
    from napari_sparsessp.training.resolve import make_folder
    from napari_sparsessp.training.stacks import write_stacks

    out = job.config.out
    if (out / CONFIG_FILE).exists() or has_state(out):
        raise InputError(
            f"{out} holds another training; choose another id for the new model"
        )
    progress(0.0, what="preparing")
    if job.stacks:
        folder = out / STACKS_FOLDER
        write_stacks(job.stacks, folder, out / PAIRS_FILE, job.step, progress)
    elif job.labels:
        write_list(job.labels, out / PAIRS_FILE)
    make_folder(file.absolute().parent)
    with atomic_write(file, "settings") as part:
        part.write_text(config_text(job.config, file.parent), encoding="utf-8")
    return file


def _progress(feed: Feed, progress: TaskProgress) -> Progress:
    """Pass progress on; cancel where the user stops, or the window is gone."""

    def report(done: float, total: float | None = None, what: str = "") -> None:
        if feed.stopping:
            raise Cancelled
        counted = "" if total is None or feed.learning else f" {done:g} of {total:g}"
        progress(0.0, what="learning" if feed.learning else what + counted)

    return report


def _listener(feed: Feed) -> "Callable[[Status], None]":
    def listen(status: "Status") -> None:
        feed.status = status
        if status.entry is not None:
            feed.entries.append(status.entry)
        if status.note:
            feed.notes.append(status.note)

    return listen


def _shower(feed: Feed) -> "Callable[[Preview], None]":
    def show(preview: "Preview") -> None:
        step = 0 if feed.status is None else feed.status.step
        feed.previews.append(replace(preview, step=step))

    return show


def _mendable(error: Exception) -> SparseSSPError:
    """Say what a foreign error of the network means."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return PredictionError(
            "the device ran out of memory; choose a smaller patch under More, or the "
            f"CPU ({text[:120]})"
        )
    return PredictionError(
        f"the training failed: {text[:300]}; what was learnt is saved: try the CPU, or "
        "copy the details"
    )


# Often enough for a bar that moves, seldom enough to cost nothing.
_LOOK_MS = 150


class TrainRun(QObject):
    """Runs a job in a thread; exactly one of `finished` and `failed` ends it.

    Signals
    -------
    preparing : str
        What is done before the first step.
    stepped : Status
        The newest, some times a second.
    validated : dict
        An entry of the log.
    previewed : Preview
    noted : str
        Something that the user should know.
    finished : Taught
    failed : Exception
    cancelled
        It was stopped before the first step.
    """

    preparing = Signal(str)
    stepped = Signal(object)
    validated = Signal(dict)
    previewed = Signal(object)
    noted = Signal(str)
    finished = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(
        self, job: TrainJob, engine: Any | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.job = job
        self._engine = InstalledEngine() if engine is None else engine
        self._feed = Feed()
        self._told: Any | None = None
        self._task = BackgroundTask(teach, job, self._install, self._feed, parent=self)
        self._task.progressed.connect(self._on_progress)
        self._task.returned.connect(self._on_returned)
        self._task.failed.connect(self._on_failed)
        self._task.cancelled.connect(self._on_cancelled)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self.look)
        # a window may go without being closed; these slots belong to nobody
        self.destroyed.connect(self._feed.stop)
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self._feed.stop)

    def start(self) -> None:
        """Start the thread."""
        self._timer.start()
        self._task.start()

    def stop(self, keep_best: bool) -> None:
        """Stop after this step, and save.

        Parameters
        ----------
        keep_best : bool
            Write the best state as a model, too; otherwise it can only go on later.
        """
        self._feed.keep_best = keep_best
        self._feed.stop()
        if not self._feed.learning:
            self._task.cancel()

    @property
    def learning(self) -> bool:
        """Whether the first step has been or is being made."""
        return self._feed.learning

    def look(self) -> None:
        """Tell everything that is new."""
        feed = self._feed
        while feed.notes:
            self.noted.emit(feed.notes.popleft())
        while feed.entries:
            self.validated.emit(feed.entries.popleft())
        if feed.previews:
            self.previewed.emit(feed.previews.pop())
        if feed.status is not None and feed.status is not self._told:
            self._told = feed.status
            self.stepped.emit(feed.status)

    def _install(self, path: Any) -> str:
        """Put the new model among the user's; runs in the thread."""
        return str(self._engine.bring_in(path, self._engine.inspect(path), {}))

    def _on_progress(self, _share: float, what: str, _left: float | None) -> None:
        if what and not self._feed.learning:
            self.preparing.emit(what)
        elif self._told is None and self._feed.learning:
            self.preparing.emit("judging the model to begin with")

    def _on_returned(self, taught: Any) -> None:
        self._timer.stop()
        self.look()
        self.finished.emit(taught)

    def _on_failed(self, error: Exception) -> None:
        self._timer.stop()
        self.look()
        self.failed.emit(error)

    def _on_cancelled(self) -> None:
        self._timer.stop()
        self.look()
        self.cancelled.emit()
