"""The Train dock: teach a model your own cells, and use it in Predict at once.

Wiring only: the form (`train_form`) tells what was chosen, `train_outlook` makes a job
of it, `train_run` runs it in a thread, `train_watch` shows how it goes.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QFile, QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.training.checkpoints import run_of, unfinished_runs
from napari_sparsessp.training.config import FineTune, Recipe, TrainConfig, read_config
from napari_sparsessp.training.resolve import PAIRS_FILE, RATE, trainings_folder
from napari_sparsessp.ui.dock import (
    JoinOthers,
    add_shortcut,
    fill_with,
    open_predict,
    settling,
)
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.layers.opening import FileOpening
from napari_sparsessp.ui.models.import_dialog import model_id
from napari_sparsessp.ui.preferences import model_news
from napari_sparsessp.ui.tasks import (
    BackgroundTask,
    TaskProgress,
    error_details,
    readable_error,
)
from napari_sparsessp.ui.train.choice import (
    FilesFound,
    FilesPick,
    layer_parts,
    look_at_files,
    mask_parts,
)
from napari_sparsessp.ui.train.form import SET_UP, WATCH, TrainForm, TrainState
from napari_sparsessp.ui.train.planning import (
    BY_HEART,
    TrainOutlook,
    dock_words,
    end_notices,
    end_words,
    headline_words,
    look_ahead,
    plan_words,
    step_words,
)
from napari_sparsessp.ui.train.session import TrainJob, TrainRun, prepare
from napari_sparsessp.ui.train.session import TrainResult as Taught
from napari_sparsessp.ui.widgets.basic import Mark

if TYPE_CHECKING:
    import napari

    from napari_sparsessp.training.checkpoints import RunInfo
    from napari_sparsessp.training.loop import Status

_STEPS_AS_MINUTES = 10.0
"""Length of the time axis where a budget is in steps and minutes are not known."""


class TrainRunning(QObject):
    """Runs one job at a time and shows how it goes.

    Parameters
    ----------
    engine
        Anything with the methods of `InstalledEngine`.
    form : TrainForm
    parent : QObject, optional

    Attributes
    ----------
    newest : str
        Id of the model that was trained last; "" for none.
    told_end : bool
        The foot tells how the last training ended.

    Signals
    -------
    ended
        In whichever way; the form is free again.
    """

    ended = Signal()

    def __init__(
        self, engine: Any, form: TrainForm, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._form = form
        self._run: TrainRun | None = None
        self._pausing = False
        self._name = ""
        self._minutes = 0.0
        self.newest = ""
        self.told_end = False
        form.changed.connect(self._on_changed)

    @property
    def busy(self) -> bool:
        """Whether a training is under way."""
        return self._run is not None

    def start(self, job: TrainJob) -> None:
        """Start a job in a thread of its own."""
        model = job.config.model
        self._name = model.name or model.id
        self._minutes = job.config.budget.minutes or _STEPS_AS_MINUTES
        self._pausing = self.told_end = False
        run = TrainRun(job, self._engine, self)
        run.preparing.connect(self._on_preparing)
        run.stepped.connect(self._on_step)
        run.validated.connect(self._on_validated)
        run.previewed.connect(self._form.watch.show_preview)
        run.noted.connect(self._on_note)
        run.finished.connect(self._on_finished)
        run.failed.connect(self._on_failed)
        run.cancelled.connect(self._on_failed)
        self._run = run
        form, foot = self._form, self._form.foot
        form.set_locked(True)
        form.watch.clear(self._name, self._minutes)
        form.show_page(WATCH)
        self._notes: list[str] = []
        foot.message.clear()
        foot.offer_predict(False)
        foot.set_state(TrainState.RUNNING)
        foot.show_share(None)
        foot.set_status("Preparing…")
        run.start()

    def resume(self, info: "RunInfo") -> None:
        """Go on with a training; under another id where its own is taken by now."""
        config = info.config
        ids = {card.id for card in self._engine.cards()}
        if config.model.id in ids:
            free = model_id(config.model.id, known_ids(self._engine))
            model = config.model.model_copy(update={"id": free})
            config = config.model_copy(update={"model": model})
        self.start(TrainJob(config, goes_on=True))

    def stop_and_keep(self) -> None:
        """Stop after this step, and make a model of the best state."""
        if self._run is not None:
            self._form.foot.set_status("Stopping, and writing the best model…")
            self._run.stop(keep_best=True)

    def pause(self) -> None:
        """Stop after this step, and save what there is."""
        if self._run is not None:
            self._pausing = True
            self._form.foot.set_status("Pausing after this step…")
            self._run.stop(keep_best=False)

    # while it runs ------------------------------------------------------------

    def _on_preparing(self, what: str) -> None:
        if self._form.foot.state is TrainState.RUNNING:
            self._form.foot.set_status(f"{what[:1].upper()}{what[1:]}…")

    def _on_step(self, status: "Status") -> None:
        watch, foot = self._form.watch, self._form.foot
        watch.add_status(status)
        if status.share >= 1:  # the card's measurements take some seconds more
            foot.show_share(None)
            foot.set_state(TrainState.WRITING)
            foot.set_status("Writing the model and its card…")
            return
        foot.show_share(status.share)
        if foot.state is TrainState.RUNNING:
            foot.set_status(step_words(status, self._minutes, watch.best))

    def _on_validated(self, entry: dict[str, Any]) -> None:
        watch = self._form.watch
        watch.add_entry(entry)
        watch.headline.setText(headline_words(self._name, watch.before, watch.best))
        if watch.best is not None:
            watch.say(BY_HEART if watch.learns_by_heart() else "")

    def _on_note(self, text: str) -> None:
        self._notes.append(text)
        self._form.foot.message.show_notices(self._notes)

    # its end ------------------------------------------------------------------

    def _on_finished(self, taught: Taught) -> None:
        self._free()
        foot = self._form.foot
        if not taught.id:
            foot.set_status("Paused and saved: go on above whenever you like.")
            self.ended.emit()
            return
        self.newest = taught.id
        foot.show_share(1.0)
        foot.set_status(end_words(taught))
        foot.message.show_notices([*self._notes, *end_notices(taught)])
        self._form.watch.say(
            f"{self._name} is among the models now, with a card that says what it was "
            "taught and how well it did."
        )
        model_news().changed.emit(taught.id)
        foot.set_state(TrainState.READY)
        foot.offer_predict(True)
        self.ended.emit()

    def _on_failed(self, error: Exception | None = None) -> None:
        self._free()
        foot = self._form.foot
        foot.show_share(0.0)
        if self._form.watch.best is None:  # nothing to watch has come of it
            self._form.watch.clear()
            self._form.show_page(SET_UP)
        if error is None:
            foot.set_status("Stopped before the first step; nothing was kept.")
        else:
            told = readable_error(error, "the training")
            foot.message.show_error(dock_words(str(told)), error_details(told))
            foot.set_status("The training stopped: see above.")
        self.ended.emit()

    def _free(self) -> None:
        """Free the form first: whatever follows, the dock can be used."""
        run, self._run = self._run, None
        if run is not None:
            run.deleteLater()
        self.told_end = True
        self._form.set_locked(False)
        self._form.foot.set_state(TrainState.READY)

    def _on_changed(self) -> None:
        """Forget the last end: something else is prepared now."""
        if self.told_end and not self.busy:
            self.told_end = False
            self._form.foot.offer_predict(False)
            self._form.foot.show_share(0.0)


def known_ids(engine: Any) -> set[str]:
    """Ids of all models and trainings that are there."""
    ids = {card.id for card in engine.cards()}
    folder = trainings_folder()
    if folder.is_dir():
        ids |= {one.name for one in folder.iterdir()}
    return ids


FILTER = "Training settings (*.yaml *.yml);;All files (*)"
# Values of a recipe that the form has fields for.
_SHOWN = ("patch", "learning_rate")


def job_beside(job: TrainJob, file: Path) -> TrainJob:
    """Give the same job with its run folder beside a YAML file.

    Parameters
    ----------
    job : TrainJob
    file : Path
        The YAML file to be.
    """
    config = job.config
    out = file.absolute().parent / config.model.id
    pairs = config.data.pairs
    assert pairs is not None
    if job.stacks or job.labels:
        pairs = pairs.model_copy(update={"path": out / PAIRS_FILE})
    data = config.data.model_copy(update={"pairs": pairs})
    return replace(job, config=config.model_copy(update={"out": out, "data": data}))


def save_yaml(job: TrainJob, file: Path, progress: TaskProgress) -> Path:
    """Write a job's config, and copies of its layers beside it; for a worker thread."""
    return prepare(job_beside(job, file), file, progress)


def show_config(form: TrainForm, config: TrainConfig) -> list[str]:
    """Fill the form with a config.

    Parameters
    ----------
    form : TrainForm
    config : TrainConfig

    Returns
    -------
    list of str
        What of it has no field here, a sentence each.

    Raises
    ------
    InputError
        It is of a training that the dock cannot run; nothing was filled in.
    """
    network, pairs = config.network, config.data.pairs
    if not isinstance(network, FineTune) or pairs is None or config.data.simulated:
        raise InputError(
            "this file trains a new network or uses simulated colonies, which the dock "
            "has no fields for; run it with: sparsessp train FILE"
        )
    if form.model.model_box.findData(network.source) < 0:
        raise InputError(
            f"the file begins with {network.source}, which is not among the models "
            "here; import it first"
        )
    told = _left_out(config)
    form.model.choose(network.source)
    form.model.freeze_box.setChecked(network.freeze_encoder)
    form.pairs.show_files()
    form.pairs.files.show_pick(
        FilesPick(
            pairs.path,
            signal="" if pairs.signal is None else str(pairs.signal),
            target="" if pairs.target is None else str(pairs.target),
            structure=pairs.structure or "",
        )
    )
    validation = config.validation
    form.split.set_part(validation.by, validation.share)
    if config.budget.minutes is not None:
        form.minutes.setValue(config.budget.minutes)
    recipe = config.recipe
    patch = recipe.patch[0] if recipe.patch != Recipe().patch else None
    rate = None if recipe.learning_rate == RATE else recipe.learning_rate
    form.options.show_values(config.ratios, patch, rate, config.loss)
    model = config.model
    form.name.show_values(model.name or model.id, model.id, model.licence)
    return told


def _left_out(config: TrainConfig) -> list[str]:
    """Say what the form cannot show."""
    told = []
    if config.budget.steps is not None:
        told.append(
            f"The file's budget is {config.budget.steps} steps; the dock counts "
            "minutes: look at them."
        )
    usual = Recipe(name="fast").model_dump()
    given = config.recipe.model_dump()
    other = [
        name for name in usual if given[name] != usual[name] and name not in _SHOWN
    ]
    if other:
        told.append(
            f"The file's recipe has its own {', '.join(other)}; here they are as "
            "usual. sparsessp train keeps them."
        )
    return told


_SETTLE_MS = 60


class TrainDock(QWidget):
    """Teach a model with pairs of transmitted light and fluorescence.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari gives it by this name.
    engine : optional
        For tests: anything with the methods of `InstalledEngine`.
    """

    def __init__(
        self, napari_viewer: "napari.viewer.Viewer", engine: Any | None = None
    ) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._engine = InstalledEngine() if engine is None else engine
        self.form = TrainForm(self._engine.devices)
        self.outlook = TrainOutlook()
        self._found: FilesFound | None = None
        self._looked: Any | None = None
        self._look: BackgroundTask | None = None
        self._saving: BackgroundTask | None = None
        self._layers_changed = True
        self._told: list[str] = []
        self.running = TrainRunning(self._engine, self.form, self)
        self._files = FileOpening(napari_viewer, self)
        self._settle = settling(self, self.look_ahead, _SETTLE_MS)
        fill_with(self, self.form)
        JoinOthers(self)
        self._connect()
        self.form.model.offer(self._engine.cards())
        self._offer_unfinished()
        self.look_ahead()

    def _connect(self) -> None:
        form = self.form
        form.changed.connect(self._on_changed)
        form.pairs.file_asked.connect(self._files.ask)
        form.pairs.sample_asked.connect(self._open_sample)
        form.foot.train_asked.connect(self.train)
        form.foot.stop_asked.connect(self.running.stop_and_keep)
        form.foot.pause_asked.connect(self.running.pause)
        form.foot.predict_asked.connect(self.predict)
        form.unfinished.resume_asked.connect(self.resume)
        form.unfinished.discard_asked.connect(self.discard)
        form.save_asked.connect(self.ask_save)
        form.load_asked.connect(self.ask_load)
        self.running.ended.connect(self._on_ended)
        self._files.opened.connect(lambda _key: self._on_layers())
        self._files.failed.connect(self._on_problem)
        events = self._viewer.layers.events
        for name in ("inserted", "removed", "reordered", "renamed"):
            getattr(events, name).connect(self._on_layers)
        model_news().changed.connect(self._on_news)
        add_shortcut(form, "Ctrl+R", lambda: form.foot.press(TrainState.READY))
        add_shortcut(form, "Esc", lambda: form.foot.press(TrainState.RUNNING))

    # what can be chosen -------------------------------------------------------

    def _on_layers(self, _event: Any = None) -> None:
        self._layers_changed = True
        self._settle.start()

    def _open_sample(self) -> None:
        """Open a public pair; a dialog asks before anything is fetched."""
        try:
            self._viewer.open_sample("napari-sparsessp", "hipsc_dna_pair")
        except SparseSSPError as error:  # nothing was fetched, because nobody wanted it
            self.form.foot.set_status(str(error))
        except Exception as error:
            self._on_problem(readable_error(error, "the sample"))

    def _on_news(self, _id: str) -> None:
        self.form.model.offer(self._engine.cards())
        self._settle.start()

    def _on_changed(self) -> None:
        self._told = []
        self._settle.start()

    def _offer_layers(self) -> None:
        self._layers_changed = False
        self.form.pairs.set_parts(layer_parts(self._viewer), mask_parts(self._viewer))

    def _offer_unfinished(self) -> None:
        runs = unfinished_runs(trainings_folder())
        self.form.unfinished.show_run(runs[0] if runs else None)

    # before training ----------------------------------------------------------

    def look_ahead(self) -> None:
        """Find out what Train would do, and show what is expected and missing."""
        if self.running.busy:
            return
        if self._layers_changed:
            self._offer_layers()
        form = self.form
        self._look_at_files()
        seen = self._seen("")
        form.name.suggest(seen.structures, known_ids(self._engine))
        seen = self._seen(form.name.problem() if seen.structures else "")
        wrong = form.options.problem()
        if wrong:
            seen.problems["time"] = wrong
            seen.job = None
        self.outlook = seen
        self._show_outlook()

    def _seen(self, name_problem: str) -> TrainOutlook:
        form = self.form
        return look_ahead(
            self._viewer, form.choice(), form.model.card(), self._found, name_problem
        )

    def _show_outlook(self) -> None:
        form, seen = self.form, self.outlook
        form.split.show_parts(seen.parts, seen.split_note)
        marks = {
            "pairs": Mark.GOOD if seen.structures else Mark.WAITING,
            "part": Mark.GOOD if seen.parts else Mark.WAITING,
            "model": Mark.GOOD,
            "time": Mark.GOOD,
            "name": Mark.GOOD if seen.structures else Mark.WAITING,
        }
        marks |= dict.fromkeys(seen.problems, Mark.BAD)
        form.set_marks(marks)
        form.save_button.setEnabled(seen.job is not None)
        if self.running.told_end:  # how the last one ended stands until then
            return
        foot = form.foot
        problem = next(iter(seen.problems.values()), "")
        if problem:
            foot.message.show_error(problem)
            foot.set_state(TrainState.BLOCKED, problem)
            foot.set_status("Something is in the way: see above.")
        elif seen.job is None:
            foot.message.show_notices([*self._told, *seen.notes])
            foot.set_state(TrainState.BLOCKED, seen.waiting)
            foot.set_status(seen.waiting)
        else:
            foot.message.show_notices([*self._told, *seen.notes])
            foot.set_state(TrainState.READY)
            foot.set_status(plan_words(seen))

    def _look_at_files(self) -> None:
        """Read lists and headers of other files than before, off the interface."""
        form, card = self.form, self.form.model.card()
        pick = form.pairs.files.pick()
        if not form.pairs.from_files() or pick.empty or card is None:
            return
        if (pick, card.id) == self._looked:
            return
        self._looked = pick, card.id
        if self._look is not None:
            self._look.abandon()
        look = BackgroundTask(look_at_files, pick, card.voxel_size, parent=self)
        look.returned.connect(self._on_looked)
        look.failed.connect(self._on_problem)
        self._look = look
        look.start()

    def _on_looked(self, found: FilesFound) -> None:
        self._found = found
        self.form.pairs.files.show_found(found)
        self._settle.start()

    # training -----------------------------------------------------------------

    def train(self) -> None:
        """Begin to learn what was chosen."""
        self._settle.stop()
        self.look_ahead()
        if self.outlook.job is not None and not self.running.busy:
            self.running.start(self.outlook.job)

    def resume(self) -> None:
        """Go on with the training that was not finished."""
        run = self.form.unfinished.run
        if run is not None and not self.running.busy:
            self.running.resume(run)

    def discard(self) -> None:
        """Move the training that was not finished to the trash."""
        run = self.form.unfinished.run
        if run is None:
            return
        if not QFile(str(run.folder)).moveToTrash():
            self._on_problem(
                InputError(
                    f"the system's trash does not take {run.folder}; delete it by hand"
                )
            )
            return
        self._offer_unfinished()
        self._settle.start()

    def _on_ended(self) -> None:
        self._layers_changed = True
        self.form.name.take_new()
        self._offer_unfinished()
        self._settle.start()

    def predict(self) -> None:
        """Open the Predict dock of this viewer with the new model chosen."""
        open_predict(self._viewer, beside=self).shelf.offer(self.running.newest)

    # settings in a file -------------------------------------------------------

    def ask_save(self) -> None:
        """Let the user say where the settings go."""
        job = self.outlook.job
        if job is None:
            return
        name = f"{job.config.model.id}.yaml"
        path, _ = QFileDialog.getSaveFileName(self, "Save as YAML", name, FILTER)
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Write settings for `sparsessp train`, with copies of the layers beside it."""
        job = self.outlook.job
        if job is None:
            return
        self.form.foot.set_status("Saving…")
        saving = BackgroundTask(save_yaml, job, path, parent=self)
        saving.returned.connect(self._on_saved)
        saving.failed.connect(self._on_problem)
        self._saving = saving
        saving.start()

    def _on_saved(self, path: Path) -> None:
        self.form.foot.set_status(f"Saved. Elsewhere: sparsessp train {path.name}")

    def ask_load(self) -> None:
        """Let the user choose settings."""
        path, _ = QFileDialog.getOpenFileName(self, "Load settings", "", FILTER)
        if path:
            self.load(Path(path))

    def load(self, path: Path) -> None:
        """Take all settings from a YAML file."""
        try:
            config = read_config(path)
            self._told = show_config(self.form, config)
        except SparseSSPError as error:
            self._on_problem(error)
            return
        self.running.told_end = False
        run = run_of(config)
        if run is not None:
            self.form.unfinished.show_run(run)
        self._settle.start()

    def _on_problem(self, error: Exception) -> None:
        told = readable_error(error, "the training")
        self.form.foot.message.show_error(str(told), error_details(told))
        self.form.set_marks({"pairs": Mark.BAD})
        self.form.foot.set_status("Something is in the way: see above.")
