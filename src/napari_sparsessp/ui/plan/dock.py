"""The Plan dock: how sparsely may I image these cells? One dense stack tells.

Wiring only: the form (`plan_form`) tells what was chosen, `plan_choice` makes a job of
it, `plan_run` does it in a thread, `plan_result` shows what came out.
"""

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.evaluation.sweep_report import write_sweep_csv
from napari_sparsessp.ui.compat import layer_with_key
from napari_sparsessp.ui.dock_tabs import JoinOthers
from napari_sparsessp.ui.errand import Errand
from napari_sparsessp.ui.error_details import as_told, error_details
from napari_sparsessp.ui.inputs.input_watch import InputWatch
from napari_sparsessp.ui.inputs.structure_row import FEW
from napari_sparsessp.ui.layers.catalogue import input_choices, truth_choices
from napari_sparsessp.ui.layers.file_opening import FileOpening
from napari_sparsessp.ui.layers.viewport import layer_index
from napari_sparsessp.ui.look.dock_body import fill_with, settling
from napari_sparsessp.ui.look.keys import add_shortcut
from napari_sparsessp.ui.model_news import model_news
from napari_sparsessp.ui.models.model_shelf import ModelShelf
from napari_sparsessp.ui.plan.choice import PlanChoice, PlanOutlook, look_at_plan
from napari_sparsessp.ui.plan.export import ask_path, write_record
from napari_sparsessp.ui.plan.foot import PlanState
from napari_sparsessp.ui.plan.form import PlanForm
from napari_sparsessp.ui.plan.handover import open_in_predict
from napari_sparsessp.ui.plan.ratio_picker import RATIOS
from napari_sparsessp.ui.plan.recall import Imprint, Recall, SweepRecord, arrays_of
from napari_sparsessp.ui.plan.run import PlanRun
from napari_sparsessp.ui.plan.view import result_mark, show_foot, show_plan
from napari_sparsessp.ui.plan.words import listed, nth
from napari_sparsessp.ui.plan.work import PlanEngine, session_memory
from napari_sparsessp.ui.samples.sample_opening import SampleOpening

if TYPE_CHECKING:
    import napari

# Several changes in one go (a sample opens thirteen layers) make one plan.
_SETTLE_MS = 60

_STARTS = (PlanState.READY, PlanState.KNOWN)


class PlanDock(QWidget):
    """Find the sparsest sampling that still predicts well.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari gives it by this name.
    engine : optional
        For tests: anything with the methods of `PlanEngine`.
    """

    def __init__(
        self, napari_viewer: "napari.viewer.Viewer", engine: Any | None = None
    ) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._engine = PlanEngine() if engine is None else engine
        self.form = PlanForm(self._engine.devices)
        self.outlook = PlanOutlook()
        self.record: SweepRecord | None = None
        self.recall = Recall(session_memory())
        self.current: PlanRun | None = None
        self._saving: Errand | None = None
        self._measured: Imprint | None = None
        self._judge_by_hand = False
        self._layers_changed = False
        self._told_for: tuple[Any, ...] | None = None
        self.watch = InputWatch(self)
        self._files = FileOpening(napari_viewer, self)
        self._samples = SampleOpening(napari_viewer, self)
        self.shelf = ModelShelf(self._engine, self.form.topology, self)
        self._settle = settling(self, self.look_ahead, _SETTLE_MS)
        JoinOthers(self)
        fill_with(self, self.form)
        self._connect()
        self.shelf.offer()
        self._offer_layers()
        self.look_ahead()

    # wiring -------------------------------------------------------------------

    def _connect(self) -> None:
        form = self.form
        form.input.changed.connect(self._on_input)
        form.input.file_asked.connect(self._files.ask)
        form.input.samples_asked.connect(self._samples.ask)
        self._samples.failed.connect(self.tell)
        form.ratios.changed.connect(self._settle.start)
        form.judge.chosen.connect(self._on_judge)
        form.structures.choice_changed.connect(self._settle.start)
        form.structures.visibility_changed.connect(self._on_eye)
        form.device.changed.connect(self._settle.start)
        form.foot.run_asked.connect(self.run)
        form.foot.stop_asked.connect(self.stop)
        form.result.ratio_chosen.connect(self._show_scores)
        form.result.use_asked.connect(self.use)
        form.result.csv_asked.connect(self.save_table)
        form.result.page_asked.connect(self.save_page)
        self.shelf.changed.connect(self._on_model)
        self.shelf.failed.connect(self.tell)
        self.watch.changed.connect(self._settle.start)
        self._files.opened.connect(self._on_opened)
        self._files.failed.connect(self.tell)
        model_news().changed.connect(self._on_news)
        events = self._viewer.layers.events
        for name in ("inserted", "removed", "reordered", "renamed"):
            getattr(events, name).connect(self._on_layers)
        add_shortcut(form, "Ctrl+R", lambda: form.foot.press(*_STARTS))
        add_shortcut(form, "Esc", lambda: form.foot.press(PlanState.RUNNING))

    # what can be chosen -------------------------------------------------------

    def _on_model(self) -> None:
        self.form.show_model()
        self._settle.start()

    def _on_news(self, _id: str) -> None:
        self.recall.forget()

    def _on_layers(self, _event: Any = None) -> None:
        self._layers_changed = True
        self._settle.start()

    def _offer_layers(self) -> None:
        self._layers_changed = False
        self.form.input.set_layers(input_choices(self._viewer))
        self._offer_truths()

    def _offer_truths(self) -> None:
        key = self.form.input.layer_key()
        self.form.structures.set_layers(truth_choices(self._viewer, key))

    def _on_input(self) -> None:
        self._offer_truths()
        self._settle.start()

    def _on_judge(self, _key: str) -> None:
        self._judge_by_hand = True
        self._settle.start()

    def _on_opened(self, key: str) -> None:
        self._offer_layers()
        self.form.input.choose_layer(key)
        self._on_input()

    # before measuring ---------------------------------------------------------

    def look_ahead(self) -> None:
        """Plan what would be measured, and show what is found, known and missing."""
        if self.current is not None:
            self._follow_layers()
            return
        if self._layers_changed:
            self._offer_layers()
        form = self.form
        choice, plan = self._chosen()
        reading = plan.seen.reading
        form.input.show_reading(reading, guess=choice.stack.leading is None)
        form.ratios.offer(RATIOS if reading is None else plan.offered)
        again, _ = self._settled_choice()
        if again.identity != choice.identity:  # it corrected itself
            choice, plan = self._chosen()
        self.outlook = plan
        form.show_judge(choice.against_dense)
        show_plan(form, choice, plan)
        self.watch.follow(plan.seen.layer)
        self._show_known(choice)
        told_for = (choice.identity, plan.job is None, plan.sparse)
        if told_for != self._told_for:
            self._told_for = None
            known = self.record is not None and self.record.report.finished
            show_foot(form, plan, known)

    def _chosen(self) -> tuple[PlanChoice, PlanOutlook]:
        """What is chosen and what comes of it; without a truth it judges itself."""
        choice, by_itself = self._settled_choice()
        plan = look_at_plan(self._viewer, self._engine, choice, RATIOS)
        seen = plan.seen
        untrue = plan.job is None and seen.plan is not None and not seen.truth
        if by_itself and untrue and not choice.against_dense:
            self.form.show_judge(True)
            choice = self.form.choice()
            plan = look_at_plan(self._viewer, self._engine, choice, RATIOS)
        return choice, plan

    def _settled_choice(self) -> tuple[PlanChoice, bool]:
        """What is chosen, and whether the judge follows from the layers."""
        form = self.form
        if not self._judge_by_hand:
            form.show_judge(not form.structures.truths())
        return form.choice(), not self._judge_by_hand

    def _show_known(self, choice: PlanChoice) -> None:
        """Keep, recall or hide what was measured."""
        arrays = arrays_of(self._viewer, choice)
        if self._measured is not None and self._measured.fits(choice, arrays):
            return
        found = self.recall.find(choice, arrays)
        self._measured = None if found is None else Imprint(choice, arrays)
        self._show_record(found)

    def _show_record(self, record: SweepRecord | None, growing: bool = False) -> None:
        form = self.form
        self.record = record
        form.empty.setVisible(record is None)
        report = None if record is None else record.report
        form.result.show_structures(form.structures.visible())
        planned = () if self.current is None else self.current.job.ratios
        form.result.show_report(report, growing=growing, planned=planned)
        if record is not None and record.gallery is None:
            form.result.page_button.setEnabled(False)  # stopped while it was drawn
        form.result_step.set_mark(result_mark(report, growing))
        if report is None:
            form.structures.clear_scores()

    def _show_scores(self, ratio: int) -> None:
        """Let the table of structures tell the scores at the chosen ratio."""
        if self.record is not None:
            for one in self.record.report.ratios:
                if one.ratio == ratio:
                    self.form.structures.set_scores(one.structures)

    def _on_eye(self, _id: str, _visible: bool) -> None:
        self.form.result.show_structures(self.form.structures.visible())

    # measuring ----------------------------------------------------------------

    def run(self) -> None:
        """Measure what is chosen; the curve grows ratio by ratio."""
        self._settle.stop()
        self.look_ahead()
        if self.current is not None or self.outlook.job is None:
            return
        choice = self.form.choice(self._time())
        job = look_at_plan(self._viewer, self._engine, choice, RATIOS).job
        if job is None:
            return
        if len(job.request.structures) <= FEW:
            for id_ in job.request.structures:
                self.form.structures.set_visible(id_, True, tell=False)
        imprint = Imprint(choice, arrays_of(self._viewer, choice))
        run = PlanRun(self._engine, job, self.recall.memory, imprint, self)
        run.progressed.connect(self.form.foot.show_progress)
        run.grew.connect(self._on_grown)
        run.ended.connect(self._on_ended)
        self.current = run
        form = self.form
        form.set_locked(True)
        form.foot.message.clear()
        form.foot.set_state(PlanState.RUNNING)
        form.result.set_times(self._series())
        self._measured = None
        self._show_record(None)
        form.empty.setText("Measuring. The curve appears as soon as one ratio is done.")
        run.start()
        QTimer.singleShot(0, form.to_result)

    def stop(self) -> None:
        """Stop measuring; ratios that are done stay."""
        if self.current is not None:
            self.form.foot.set_state(PlanState.STOPPING)
            self.current.stop()

    def _on_grown(self, record: SweepRecord) -> None:
        self._show_record(record, growing=True)
        QTimer.singleShot(0, self.form.to_result)

    def _on_ended(
        self, record: SweepRecord | None, error: SparseSSPError | None
    ) -> None:
        """Free the form first: whatever befalls the result, the dock can be used."""
        run, self.current = self.current, None
        assert run is not None
        form = self.form
        form.set_locked(False)
        form.show_empty()
        if record is not None and record.report.finished:
            self.recall.note(run.imprint, run.board.key)
        self._measured = None if record is None else run.imprint
        self._show_record(record)
        self._told_for = None  # the foot says what holds now
        self.look_ahead()
        form.foot.reset_progress()
        if error is not None:
            self.tell(error)
        elif record is None:
            form.foot.set_status("Stopped before the first ratio was done.")
        elif not record.report.finished:
            done = listed([nth(one.ratio) for one in record.report.ratios])
            form.foot.set_status(f"Stopped: {done} done, and kept.")
        elif run.board.remembered:
            form.foot.set_status("Nothing has changed since it was measured.")
        else:
            form.foot.show_progress("Measured.", 1.0)
            form.foot.message.show_notices(record.report.warnings)
        self._keep_message()
        QTimer.singleShot(0, form.to_result)
        run.deleteLater()

    def _follow_layers(self) -> None:
        """Stop where the stack that is measured is gone."""
        run = self.current
        if run is None or self.form.foot.state is PlanState.STOPPING:
            return
        if layer_with_key(self._viewer, run.imprint.choice.stack.layer) is None:
            self.stop()

    def _time(self) -> int:
        """Time point on screen."""
        seen = self.outlook.seen
        if seen.reading is None or "T" not in seen.reading.letters:
            return 0
        place = seen.reading.letters.index("T")
        return int(layer_index(self._viewer, seen.layer)[place])

    def _series(self) -> int:
        """Stacks of the time-lapse, where the layer is one."""
        reading = self.outlook.seen.reading
        here = 1 if reading is None else reading.volume.sizes.get("T", 1)
        return max(here, int(self.form.result.times.value()))

    # going on -----------------------------------------------------------------

    def use(self, ratio: int) -> None:
        """Open Predict with the chosen ratio."""
        if self._measured is None or self.record is None:
            return
        structures = self.record.report.structures
        choice = self._measured.choice
        try:
            open_in_predict(self._viewer, self, choice, structures, ratio)
        except Exception as error:
            self.tell(as_told(error, "the opening of Predict"))

    def save_table(self) -> None:
        """Ask where, and write the table as CSV."""
        result, report = self.form.result, self.form.result.report()
        if report is None:
            return
        path = ask_path(self, report.input, ".csv", "table")
        if path is None:
            return
        try:
            plane_ms, times = result.plane_ms.value(), int(result.times.value())
            write_sweep_csv(report, path, plane_ms, times)
        except SparseSSPError as error:
            self.tell(error)
            return
        self.form.foot.set_status(f"Saved {path}")

    def save_page(self) -> None:
        """Ask where, and write the report in a thread."""
        report = self.form.result.report()
        if report is None or self.record is None or self._saving is not None:
            return
        path = ask_path(self, report.input, ".html", "report")
        if path is None:
            return
        record = SweepRecord(report, self.record.gallery)
        saving = Errand(write_record, record, path, parent=self)
        saving.returned.connect(self._on_saved)
        saving.failed.connect(self._on_not_saved)
        self._saving = saving
        self.form.foot.set_status("Writing the report…")
        saving.start()

    def _on_saved(self, path: Any) -> None:
        self._saving = None
        self.form.foot.set_status(f"Saved {path}")

    def _on_not_saved(self, error: Exception) -> None:
        self._saving = None
        self.tell(as_told(error, "the writing of the report"))

    def tell(self, error: Exception) -> None:
        """Show a problem, with what was asked for in its details."""
        details = error_details(error, self.outlook.seen.request)
        self.form.foot.message.show_error(str(error), details)
        self._keep_message()

    def _keep_message(self) -> None:
        """Let what the foot says stand until something else is chosen."""
        plan = self.outlook
        self._told_for = (self.form.choice().identity, plan.job is None, plan.sparse)
