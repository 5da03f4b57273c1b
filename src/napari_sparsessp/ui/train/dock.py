"""The Train dock: train a model on your own cells, and use it in Predict."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QFile
from qtpy.QtWidgets import QFileDialog

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.training.checkpoints import run_of, unfinished_runs
from napari_sparsessp.training.config import read_config
from napari_sparsessp.training.resolve import trainings_folder
from napari_sparsessp.ui.dock import Dock, open_predict
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.layers.opening import FileOpening
from napari_sparsessp.ui.preferences import model_news
from napari_sparsessp.ui.samples import DENSE
from napari_sparsessp.ui.tasks import BackgroundTask
from napari_sparsessp.ui.train.choice import (
    FilesScan,
    masks_in,
    scan_files,
    stacks_in,
)
from napari_sparsessp.ui.train.form import TrainForm, TrainState
from napari_sparsessp.ui.train.planning import (
    TrainPreview,
    add_job,
    preview_training,
    survey_stacks,
)
from napari_sparsessp.ui.train.session import TrainSession, prepare
from napari_sparsessp.ui.widgets.basic import Mark

if TYPE_CHECKING:
    import napari

_FILTER = "Training settings (*.yaml *.yml);;All files (*)"
_BLOCKED = "Cannot train: see message above."


class TrainDock(Dock):
    """Train a model on pairs of transmitted light and fluorescence."""

    def __init__(
        self, napari_viewer: "napari.viewer.Viewer", engine: Any | None = None
    ) -> None:
        super().__init__(napari_viewer)
        self._engine = InstalledEngine() if engine is None else engine
        self.preview = TrainPreview()
        self._scan: FilesScan | None = None
        self._scanned: tuple[Any, str] | None = None
        self._surveyed: tuple[Any, ...] = ()
        self._findings: tuple[list[str], str] = ([], "")
        self._looks: dict[str, BackgroundTask] = {}  # that are under way
        self._config_notes: list[str] = []
        self.fill(TrainForm(self._engine.devices))
        self.session = TrainSession(self._engine, self.form, self)
        self._files = FileOpening(napari_viewer, self)
        self._connect()
        self._offer_models()
        self._offer_layers()
        self._offer_unfinished()
        self.refresh()

    def _connect(self) -> None:
        form, foot = self.form, self.form.foot
        form.changed.connect(self._on_changed)
        for button, slot in (
            (form.pairs.open_button, lambda: self._files.ask()),
            (form.pairs.sample_button, self._open_sample),
            (foot.button, self._on_button),
            (foot.pause_button, self.session.pause),
            (foot.predict_button, self.predict),
            (form.unfinished.resume_button, self.resume),
            (form.unfinished.discard_button, self.discard),
            (form.save_button, self.ask_save),
            (form.load_button, self.ask_load),
        ):
            button.clicked.connect(slot)
        self.session.ended.connect(self._on_ended)
        self._files.opened.connect(self._on_layers)
        self._files.failed.connect(self.show_error)
        model_news().changed.connect(self._on_news)
        self.follow_layers()
        self.add_shortcut("Ctrl+R", lambda: foot.press(TrainState.READY))
        self.add_shortcut("Esc", lambda: foot.press(TrainState.RUNNING))

    def _open_sample(self) -> None:
        self._viewer.open_sample("napari-sparsessp", DENSE)

    def _offer_models(self) -> None:
        """Offer single networks: a bundle cannot be trained further."""
        single = [card for card in self._engine.cards() if not card.members]
        self.form.model.offer(single)

    def _on_news(self, _id: str) -> None:
        self._offer_models()
        self.settle()

    def _on_changed(self) -> None:
        self._config_notes = []
        self.session.forget_end()
        self.settle()

    def _offer_layers(self) -> None:
        self.form.pairs.set_stacks(stacks_in(self._viewer), masks_in(self._viewer))

    def _offer_unfinished(self) -> None:
        runs = unfinished_runs(trainings_folder())
        self.form.unfinished.show_run(runs[0] if runs else None)

    def refresh(self) -> None:
        """Show what Train would do, what is expected and what is missing."""
        if self.session.busy:
            return
        if self.take_layer_changes():
            self._offer_layers()
        self._scan_files()
        self.preview = self._preview()
        self._survey()
        self._show_preview()

    def _preview(self) -> TrainPreview:
        form, card, scan = self.form, self.form.model.card(), self._scan
        choice = form.choice()
        preview = preview_training(self._viewer, choice, card, scan)
        form.name.suggest(preview.structures, self.session.taken_ids())
        problems = {
            "time": form.time.problem() or form.options.problem(),
            "name": form.name.name_problem() if preview.structures else "",
        }
        preview.problems |= {step: text for step, text in problems.items() if text}
        if card is not None and not preview.problems and not preview.waiting:
            add_job(preview, choice, form.chosen_options(), card, scan)
        return preview

    def _show_preview(self) -> None:
        form, preview = self.form, self.preview
        form.split.show_parts(preview.parts, preview.split_note)
        marks = dict.fromkeys(("model", "time"), Mark.GOOD)
        if preview.structures:
            marks |= dict.fromkeys(("pairs", "name"), Mark.GOOD)
        if preview.parts:
            marks["part"] = Mark.GOOD
        form.set_marks(marks | dict.fromkeys(preview.problems, Mark.BAD))
        form.save_button.setEnabled(preview.job is not None)
        if self.session.shows_end:  # until something else is chosen
            return
        foot = form.foot
        if preview.problems:
            problem = next(iter(preview.problems.values()))
            foot.message.show_error(problem)
            foot.set_state(TrainState.BLOCKED, problem)
            foot.set_status(_BLOCKED)
            return
        foot.message.show_notices([*self._config_notes, *preview.notes])
        if preview.job is None:
            foot.set_state(TrainState.BLOCKED, preview.waiting)
            foot.set_status(preview.waiting)
        else:
            foot.set_state(TrainState.READY)
            foot.set_status(preview.summary)

    def _scan_files(self) -> None:
        """Read lists and headers of files that were not read yet, in the background."""
        form, card = self.form, self.form.model.card()
        files = form.pairs.files.files()
        if not form.pairs.from_files() or files.empty or card is None:
            return
        if (files, card.id) == self._scanned:
            return
        self._scanned = files, card.id
        scanned = self._on_scanned, "the reading of the files"
        self._look(*scanned, scan_files, files, card.voxel_size)

    def _on_scanned(self, scan: FilesScan) -> None:
        self._scan = scan
        self.form.pairs.files.show_scan(scan)
        self.settle()

    def _survey(self) -> None:
        """Look at the voxels of the stacks in the background, once for a choice."""
        stacks, card = self.preview.stacks, self.form.model.card()
        if not stacks or self.preview.waiting or card is None:
            return
        pairs = self.form.pairs.choices()
        chosen = card.id, *((pair.light, *dict(pair.truths)) for pair in pairs)
        if chosen != self._surveyed:
            self._surveyed, self._findings = chosen, ([], "")
            surveyed = self._on_surveyed, "the look at the stacks"
            self._look(*surveyed, survey_stacks, stacks, card)
        notes, problem = self._findings
        self.preview.notes += notes
        if problem:
            self.preview.problems["pairs"] = problem
            self.preview.job = None

    def _on_surveyed(self, findings: tuple[list[str], str]) -> None:
        self._findings = findings
        self.settle()

    def _look(self, returned: Callable[[Any], None], what: str, *work: Any) -> None:
        """Run work in the background, in place of the same work on a former choice."""
        if (former := self._looks.get(what)) is not None and former.running:
            former.abandon()
            former.deleteLater()
        self._looks[what] = self.run_task(*work, returned=returned, what=what)

    def _on_button(self) -> None:
        if self.session.busy:
            self.session.stop_and_keep()
        else:
            self.train()

    def train(self) -> None:
        """Start the training that was chosen."""
        self.refresh_now()
        if self.preview.job is not None and not self.session.busy:
            self.session.start(self.preview.job)

    def resume(self) -> None:
        """Resume the training that was not finished."""
        run = self.form.unfinished.run
        if run is not None and not self.session.busy:
            self.session.resume(run)

    def discard(self) -> None:
        """Move the training that was not finished to the trash."""
        run = self.form.unfinished.run
        if run is None:
            return
        if not QFile(str(run.folder)).moveToTrash():
            text = f"the system's trash does not take {run.folder}; delete it by hand"
            self.show_error(InputError(text))
            return
        self._offer_unfinished()
        self.settle()

    def _on_ended(self) -> None:
        self.form.name.suggest_another_id()
        self._offer_unfinished()
        self._on_layers()

    def predict(self) -> None:
        """Open the Predict dock of this viewer with the new model chosen."""
        open_predict(self._viewer, beside=self).shelf.offer(self.session.newest)

    def ask_save(self) -> None:
        """Let the user say where the settings go."""
        job = self.preview.job
        if job is None:
            return
        name = f"{job.config.model.id}.yaml"
        path, _ = QFileDialog.getSaveFileName(self, "Save as YAML", name, _FILTER)
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Write settings for `sparsessp train`, with copies of the layers beside it."""
        if self.preview.job is not None:
            self.form.foot.set_status("Saving…")
            job = self.preview.job.beside(path)
            work = (prepare, job, path)
            self.run_task(*work, returned=self._on_saved, what="the saving")

    def _on_saved(self, path: Path) -> None:
        self.form.foot.set_status(f"Saved. Elsewhere: sparsessp train {path.name}")

    def ask_load(self) -> None:
        """Let the user choose settings."""
        path, _ = QFileDialog.getOpenFileName(self, "Load settings", "", _FILTER)
        if path:
            self.load(Path(path))

    def load(self, path: Path) -> None:
        """Take all settings from a YAML file."""
        try:
            config = read_config(path)
            notes = self.form.show_config(config)
        except SparseSSPError as error:
            self.show_error(error)
            return
        self._config_notes = notes
        self.session.forget_end()
        if (run := run_of(config)) is not None:
            self.form.unfinished.show_run(run)
        self.settle()

    def show_error(
        self, error: Exception, what: str = "the training", request: Any = None
    ) -> None:
        """Show a problem until something else is chosen."""
        super().show_error(error, what, request)
        self.form.set_marks({"pairs": Mark.BAD})
        self.form.foot.set_status(_BLOCKED)
