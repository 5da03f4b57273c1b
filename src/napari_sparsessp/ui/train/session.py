"""Run a training in the background: copy, read, learn, write and install a model."""

import math
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.tasks import Cancelled, TimeLeft
from napari_sparsessp.training.checkpoints import has_state, read_log
from napari_sparsessp.training.resolve import (
    CONFIG_FILE,
    PAIRS_FILE,
    make_folder,
    trainings_folder,
)
from napari_sparsessp.ui.models.import_form import model_id
from napari_sparsessp.ui.preferences import model_news
from napari_sparsessp.ui.tasks import (
    BackgroundTask,
    TaskProgress,
    error_details,
    readable_error,
)
from napari_sparsessp.ui.train.form import SET_UP, WATCH, TrainForm, TrainState
from napari_sparsessp.ui.train.planning import TrainJob
from napari_sparsessp.ui.widgets.card_text import r2_text
from napari_sparsessp.ui.widgets.style import duration_text

if TYPE_CHECKING:
    from napari_sparsessp.training.checkpoints import RunInfo
    from napari_sparsessp.training.loop import Status

STACKS_FOLDER = "stacks"

_PUBLISH_SECONDS = 0.15
"""Often enough for a bar that moves, seldom enough to cost nothing."""
_HARDLY_BETTER = 0.05


@dataclass(frozen=True)
class TrainResult:
    """How a training ended."""

    id: str  # of the new model; "" where training was paused
    before: float | None = None  # R² of the validation, before the first step
    best: float | None = None
    step: int = 0  # of the best


def train_model(
    job: TrainJob, engine: Any, keep_best: threading.Event, progress: TaskProgress
) -> TrainResult:
    """Train a model; for a background task.

    It publishes ``("status", Status)``, ``("entry", dict)`` of the log,
    ``("preview", Preview)`` and ``("note", str)``.
    """
    out = job.config.out
    existed = out.exists()
    try:
        if not job.resumes:
            prepare(job, out / CONFIG_FILE, progress)
        path = _trained(job, keep_best, progress)
    except Exception:
        if not existed and not has_state(out):  # nothing to resume: leave nothing
            shutil.rmtree(out, ignore_errors=True)
        raise
    scored = [entry for entry in read_log(out) if entry.get("r2") is not None]
    best = max(scored, key=lambda entry: entry["r2"], default={})
    before = scored[0]["r2"] if scored and scored[0]["step"] == 0 else None
    id_ = "" if path is None else str(engine.bring_in(path, engine.inspect(path), {}))
    return TrainResult(id_, before, best.get("r2"), best.get("step", 0))


def _trained(
    job: TrainJob, keep_best: threading.Event, progress: TaskProgress
) -> Path | None:
    """Train; return the model's file, or None where training was paused."""
    from napari_sparsessp.training.data import find_labels, read_stacks
    from napari_sparsessp.training.distributed import Group
    from napari_sparsessp.training.resolve import resolve_config
    from napari_sparsessp.training.run import run_training, write_best

    published = -math.inf

    def count(done: float, total: float | None = None, what: str = "") -> None:
        counted = "" if total is None else f" {done:g} of {total:g}"
        progress(done, total, what + counted)

    def check(*_: object, **__: object) -> None:
        progress.check()

    def publish(kind: str, value: Any) -> None:
        progress.publish((kind, value))

    def report(status: "Status") -> None:
        nonlocal published
        if status.entry is not None:
            publish("entry", status.entry)
        now = time.monotonic()
        if status.entry is not None or now - published >= _PUBLISH_SECONDS:
            published = now
            publish("status", status)
        if status.note:
            publish("note", status.note)

    resolved = resolve_config(job.config)
    with ExitStack() as closing:
        labels = find_labels(job.config.data.pairs)
        data = read_stacks(
            resolved, labels, Group(), closing, count, partial(publish, "note")
        )
        if job.resumes:
            for entry in read_log(job.config.out):
                publish("entry", entry)
        progress(0.0, what="validating the starting model")
        try:
            return run_training(
                resolved, data, report, check, show=partial(publish, "preview")
            )
        except Cancelled:
            return write_best(resolved, data) if keep_best.is_set() else None


def prepare(job: TrainJob, file: Path, progress: TaskProgress) -> Path:
    """Write all that a training needs: its stacks, their list and its config."""
    from napari_sparsessp.training.config import config_text
    from napari_sparsessp.training.pairs import write_list
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


class TrainSession(QObject):
    """Run one job at a time, and show on the form how it goes."""

    ended = Signal()

    def __init__(self, engine: Any, form: TrainForm, parent: QObject) -> None:
        super().__init__(parent)
        self._engine = engine
        self._form = form
        self.task: BackgroundTask | None = None
        self._notes: list[str] = []
        self.newest = ""  # id of the model that was trained last
        self.shows_end = False  # the footer says how the last training ended

    @property
    def busy(self) -> bool:
        """Whether a training runs."""
        return self.task is not None

    def taken_ids(self) -> set[str]:
        """Return the ids of all models and trainings that are there."""
        folder = trainings_folder()
        runs = {run.name for run in folder.iterdir()} if folder.is_dir() else set()
        return runs | {card.id for card in self._engine.cards()}

    def start(self, job: TrainJob) -> None:
        """Start a job in the background."""
        model = job.config.model
        self._name = model.name or model.id
        budget = job.config.budget
        self._judged = (
            "validation stacks that the model has not seen"
            if job.config.validation.by == "stack"
            else "the validation region of stacks that were used for training"
        )
        self._in_steps = not budget.minutes
        self._budget = float(budget.minutes or budget.steps or 1)
        self._keep_best = threading.Event()
        self._notes = []
        self._learning = self.shows_end = False
        self._time_left = TimeLeft()  # validations take time, too, beyond the budget
        self.task = task = BackgroundTask(
            train_model, job, self._engine, self._keep_best, parent=self
        )
        task.progressed.connect(self._on_progress)
        task.published.connect(self._on_published)
        task.returned.connect(self._on_returned)
        task.failed.connect(self._on_failed)
        task.cancelled.connect(self._on_cancelled)
        form, foot = self._form, self._form.foot
        form.watch.setFocus()  # a locked field passes it on, and the form scrolls
        form.set_locked(True)
        form.watch.clear(self._name, self._budget, self._in_steps)
        form.show_page(WATCH)
        foot.message.clear()
        foot.offer_predict(False)
        foot.set_state(TrainState.RUNNING)
        foot.show_share(None)
        foot.set_status("Preparing…")
        task.start()

    def resume(self, info: "RunInfo") -> None:
        """Resume a training; under another id where its own is taken by now."""
        config = info.config
        if config.model.id in {card.id for card in self._engine.cards()}:
            free = model_id(config.model.id, self.taken_ids())
            model = config.model.model_copy(update={"id": free})
            config = config.model_copy(update={"model": model})
        self.start(TrainJob(config, resumes=True))

    def stop_and_keep(self) -> None:
        """Stop after this step, and make a model of the best state."""
        self._keep_best.set()
        self._stop("Stopping, and writing the best model…")

    def pause(self) -> None:
        """Stop after this step, and save the state to resume from."""
        self._stop("Pausing after this step…")

    def _stop(self, status: str) -> None:
        if self.task is not None:
            self._form.foot.set_state(TrainState.STOPPING)
            self._form.foot.set_status(status)
            self.task.cancel()

    def forget_end(self) -> None:
        """Let the footer say what is prepared, not how the last training ended."""
        if self.shows_end and not self.busy:
            self.shows_end = False
            self._form.foot.offer_predict(False)
            self._form.foot.show_share(0.0)

    def _on_progress(self, _share: float, what: str, _left: float | None) -> None:
        foot = self._form.foot
        if what and not self._learning and foot.state is TrainState.RUNNING:
            foot.set_status(f"{what[:1].upper()}{what[1:]}…")

    def _on_published(self, event: tuple[str, Any]) -> None:
        kind, value = event
        shows: dict[str, Callable[[Any], None]] = {
            "status": self._show_status,
            "entry": self._form.watch.add_entry,
            "preview": self._form.watch.show_preview,
            "note": self._add_note,
        }
        shows[kind](value)

    def _add_note(self, text: str) -> None:
        self._notes.append(text)
        self._form.foot.message.show_notices(self._notes)

    def _show_status(self, status: "Status") -> None:
        watch, foot = self._form.watch, self._form.foot
        self._learning = True
        watch.add_status(status)
        if status.share >= 1:  # the card's measurements take some seconds more
            foot.show_share(None)
            foot.set_state(TrainState.WRITING)
            foot.set_status("Writing the model and its card…")
            return
        foot.show_share(status.share)
        if foot.state is TrainState.RUNNING:
            left, score = self._time_left(status.share), watch.best
            of_minutes = f"{status.share * self._budget:.1f} of {self._budget:g} min"
            words = [
                "" if self._in_steps else of_minutes,
                f"step {status.step}" + f" of {self._budget:g}" * self._in_steps,
                "" if score is None else f"best R² {r2_text(score)}",
                "" if left is None else f"{duration_text(left)} left",
            ]
            foot.set_status(" · ".join(word for word in words if word))

    def _on_returned(self, result: TrainResult) -> None:
        self._free()
        foot = self._form.foot
        if not result.id:
            foot.set_status("Paused and saved: resume above whenever you like.")
            self.ended.emit()
            return
        self.newest = result.id
        foot.show_share(1.0)
        done = "Done, without validation: how good the model is, is unknown."
        if result.best is not None:
            before = "" if result.before is None else f"{r2_text(result.before)} → "
            done = f"Done: R² {before}{r2_text(result.best)} on {self._judged}."
        foot.set_status(done)
        foot.message.show_notices([*self._notes, *_warnings(result)])
        self._form.watch.show_hint(
            f"{self._name} is among the models now; its card has the training data "
            "and the scores."
        )
        model_news().changed.emit(result.id)
        foot.offer_predict(True)
        self.ended.emit()

    def _on_failed(self, error: Exception) -> None:
        self._end_early("The training stopped: see above.")
        memory = "choose a smaller patch under More, or the CPU"
        readable = readable_error(error, "the training", memory)
        self._form.foot.message.show_error(str(readable), error_details(readable))
        self.ended.emit()

    def _on_cancelled(self) -> None:
        self._end_early("Stopped before the first step; nothing was kept.")
        self.ended.emit()

    def _end_early(self, status: str) -> None:
        self._free()
        self._form.foot.show_share(0.0)
        self._form.foot.set_status(status)
        if self._form.watch.best is None:  # there is nothing to watch
            self._form.watch.clear()
            self._form.show_page(SET_UP)

    def _free(self) -> None:
        """Free the form first: whatever follows, the dock can be used."""
        task, self.task = self.task, None
        if task is not None:
            task.deleteLater()
        self.shows_end = True
        self._form.set_locked(False)
        self._form.foot.set_state(TrainState.READY)


def _warnings(result: TrainResult) -> list[str]:
    """Warn of what is no success."""
    if result.best is None:
        return []
    if result.step == 0:
        return [
            "No state was better than the starting model, so the new model is the "
            "same: train for longer, on more cells, or check that transmitted light "
            "and fluorescence show the same field."
        ]
    if result.best < _HARDLY_BETTER:
        return [
            f"{'Worse' if result.best < 0 else 'Hardly better'} than the mean "
            "brightness: unreliable. More stacks help most; check that transmitted "
            "light and fluorescence show the same field."
        ]
    return []
