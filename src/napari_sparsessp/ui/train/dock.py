"""The Train dock: teach a model your own cells, and use it in Predict at once.

Wiring only: the form (`train_form`) tells what was chosen, `train_outlook` makes a job
of it, `train_run` runs it in a thread, `train_watch` shows how it goes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QFile
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.training.checkpoints import run_of, unfinished_runs
from napari_sparsessp.training.config import read_config
from napari_sparsessp.training.resolve import trainings_folder
from napari_sparsessp.ui.dock_tabs import JoinOthers, open_predict
from napari_sparsessp.ui.engine.link import InstalledEngine
from napari_sparsessp.ui.errand import Errand, Stopped
from napari_sparsessp.ui.error_details import as_told, error_details
from napari_sparsessp.ui.layers.file_opening import FileOpening
from napari_sparsessp.ui.look.dock_body import fill_with, settling
from napari_sparsessp.ui.look.keys import add_shortcut
from napari_sparsessp.ui.look.step import Mark
from napari_sparsessp.ui.model_news import model_news
from napari_sparsessp.ui.train.foot import TrainState
from napari_sparsessp.ui.train.form import TrainForm
from napari_sparsessp.ui.train.layers import layer_parts, mask_parts
from napari_sparsessp.ui.train.look import FilesFound, look_at_files
from napari_sparsessp.ui.train.outlook import TrainOutlook, look_ahead
from napari_sparsessp.ui.train.running import TrainRunning, known_ids
from napari_sparsessp.ui.train.words import plan_words
from napari_sparsessp.ui.train.yaml import FILTER, save_yaml, show_config

if TYPE_CHECKING:
    import napari

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
        self._look: Errand | None = None
        self._saving: Errand | None = None
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
            self._on_problem(as_told(error, "the sample"))

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
        look = Errand(look_at_files, pick, card.voxel_size, parent=self)
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
        saving = Errand(save_yaml, job, path, parent=self)
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
        if isinstance(error, Stopped):
            return
        told = as_told(error, "the training")
        self.form.foot.message.show_error(str(told), error_details(told))
        self.form.set_marks({"pairs": Mark.BAD})
        self.form.foot.set_status("Something is in the way: see above.")
