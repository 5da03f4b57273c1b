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

from napari_sparsessp.errors import (
    InputError,
    PredictionError,
    SparseSSPError,
)
from napari_sparsessp.files import atomic_write
from napari_sparsessp.training.checkpoints import has_state, read_log
from napari_sparsessp.training.config import TrainConfig
from napari_sparsessp.training.resolve import CONFIG_FILE, PAIRS_FILE
from napari_sparsessp.ui.errand import Stopped

if TYPE_CHECKING:
    from napari_sparsessp.training.loop import Status
    from napari_sparsessp.training.pairs import Label, StackToLearn
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
    stacks : sequence of StackToLearn
        Of layers, to be written into the run's folder; empty where files are read.
    labels : sequence of Label
        Of images that were picked; to be listed in the run's folder.
    step : float
        µm between planes of the model's grid.
    goes_on : bool
        The folder holds all this already, and a state.
    """

    config: TrainConfig
    stacks: "Sequence[StackToLearn]" = ()
    labels: "Sequence[Label]" = ()
    step: float = 0.29
    goes_on: bool = False


@dataclass(frozen=True)
class Taught:
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
    job: TrainJob, install: Callable[[Path], str], feed: Feed, meter: Any
) -> Taught:
    """Train a model; for a worker thread.

    Parameters
    ----------
    job : TrainJob
    install : callable
        Puts a model file among the user's and gives its id.
    feed : Feed
    meter : callable
        Told what is done and its share; raises `Stopped` where the window is gone.

    Raises
    ------
    Stopped
        Before the first step.
    SparseSSPError
        Anything that the user can mend.
    """
    out, begun = job.config.out, job.config.out.exists()
    try:
        if not job.goes_on:
            prepare(job, out / CONFIG_FILE, meter)
        return _taught(job, install, feed, meter)
    except Exception:
        if not begun and not has_state(out):  # nothing to go on with: leave nothing
            shutil.rmtree(out, ignore_errors=True)
        raise


def _taught(
    job: TrainJob, install: Callable[[Path], str], feed: Feed, meter: Any
) -> Taught:
    from napari_sparsessp.training.data import find_labels, read_stacks
    from napari_sparsessp.training.loop import Group
    from napari_sparsessp.training.resolve import make_setup
    from napari_sparsessp.training.run import run_training, write_best

    setup = make_setup(job.config)
    with ExitStack() as closing:
        labels = find_labels(job.config.data.pairs)
        told = _Told(feed, meter)
        stacks = read_stacks(told, setup, labels, Group(), closing)
        if job.goes_on:
            feed.entries.extend(read_log(job.config.out))
        meter("loading the model to begin with", 0.0)
        feed.learning = True
        listen, stop = _listener(feed), _stopper(feed, meter)
        try:
            path = run_training(setup, stacks, listen, stop, show=_shower(feed))
            if path is None and feed.keep_best:
                path = write_best(setup, stacks)
        except (RuntimeError, MemoryError) as error:
            raise _mendable(error) from error
    entries = read_log(job.config.out)
    scored = [one for one in entries if one.get("r2") is not None]
    best = max(scored, key=lambda one: one["r2"], default={})
    before = scored[0]["r2"] if scored and scored[0]["step"] == 0 else None
    known = {"before": before, "best": best.get("r2"), "step": best.get("step", 0)}
    if path is None:
        return Taught("", None, **known)
    return Taught(install(path), path, **known)


def prepare(job: TrainJob, file: Path, meter: Any) -> Path:
    """Write down all that a training needs: its stacks, their list and its config.

    Parameters
    ----------
    job : TrainJob
    file : Path
        The YAML file to be, in the run's folder or beside it.
    meter : callable
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
    from napari_sparsessp.training.pairs import (
        make_folder,
        write_list,
        write_stacks,
    )

    out = job.config.out
    if (out / CONFIG_FILE).exists() or has_state(out):
        raise InputError(
            f"{out} holds another training; choose another id for the new model"
        )
    meter("preparing", 0.0)
    if job.stacks:
        folder = out / STACKS_FOLDER
        write_stacks(job.stacks, folder, out / PAIRS_FILE, job.step, meter)
    elif job.labels:
        write_list(job.labels, out / PAIRS_FILE)
    make_folder(file.absolute().parent)
    with atomic_write(file, "settings") as part:
        part.write_text(config_text(job.config, file.parent), encoding="utf-8")
    return file


class _Told:
    """Passes on what the reading of stacks says."""

    def __init__(self, feed: Feed, meter: Any) -> None:
        self._feed, self._meter = feed, meter

    def warning(self, text: str) -> None:
        self._feed.notes.append(text)

    def progress(self, text: str, *, last: bool = False) -> None:
        if self._feed.stopping:
            raise Stopped
        self._meter(text, 0.0)


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


def _stopper(feed: Feed, meter: Any) -> Callable[[], bool]:
    def stop() -> bool:
        if feed.stopping:
            return True
        try:
            meter("learning", 0.0)
        except Stopped:  # the window is gone: save, and end
            return True
        return False

    return stop


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
