"""From Train to the new model: its thread, its curves, and what is told."""

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.training.resolve import trainings_folder
from napari_sparsessp.ui.errand import Stopped
from napari_sparsessp.ui.error_details import as_told, error_details
from napari_sparsessp.ui.model_news import model_news
from napari_sparsessp.ui.models.import_form import model_id
from napari_sparsessp.ui.train.foot import TrainState
from napari_sparsessp.ui.train.form import SET_UP, WATCH, TrainForm
from napari_sparsessp.ui.train.run import TrainRun
from napari_sparsessp.ui.train.words import (
    BY_HEART,
    dock_words,
    end_notices,
    end_words,
    headline_words,
    step_words,
)
from napari_sparsessp.ui.train.work import TrainJob, TrainResult

if TYPE_CHECKING:
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

    def _on_finished(self, result: TrainResult) -> None:
        self._free()
        foot = self._form.foot
        if not result.id:
            foot.set_status("Paused and saved: go on above whenever you like.")
            self.ended.emit()
            return
        self.newest = result.id
        foot.show_share(1.0)
        foot.set_status(end_words(result))
        foot.message.show_notices([*self._notes, *end_notices(result)])
        self._form.watch.say(
            f"{self._name} is among the models now, with a card that says what it was "
            "result and how well it did."
        )
        model_news().changed.emit(result.id)
        foot.set_state(TrainState.READY)
        foot.offer_predict(True)
        self.ended.emit()

    def _on_failed(self, error: Exception) -> None:
        self._free()
        foot = self._form.foot
        foot.show_share(0.0)
        if self._form.watch.best is None:  # nothing to watch has come of it
            self._form.watch.clear()
            self._form.show_page(SET_UP)
        if isinstance(error, Stopped):
            foot.set_status("Stopped before the first step; nothing was kept.")
        else:
            told = as_told(error, "the training")
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
