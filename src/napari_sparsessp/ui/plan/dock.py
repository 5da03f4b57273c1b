"""The Plan dock: how sparsely may I image these cells? One dense stack shows it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.evaluation.sweep_report import need_of, write_sweep_csv
from napari_sparsessp.ui.dock import Dock, open_predict
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.layers.opening import FileOpening
from napari_sparsessp.ui.layers.reading import input_choices, truth_choices
from napari_sparsessp.ui.layers.saving import ask_path
from napari_sparsessp.ui.layers.viewport import layer_index
from napari_sparsessp.ui.models.shelf import ModelShelf
from napari_sparsessp.ui.napari_compat import layer_with_key
from napari_sparsessp.ui.plan.curves import listed, nth
from napari_sparsessp.ui.plan.form import EMPTY, RATIOS, PlanForm, PlanState
from napari_sparsessp.ui.plan.job import (
    MeasuredChoice,
    Measurement,
    PlanChoice,
    PlanJob,
    PlanPreview,
    SweepRecord,
    arrays_of,
    measure_plan,
    preview_plan,
    session_memory,
)
from napari_sparsessp.ui.samples import SampleOpening
from napari_sparsessp.ui.tasks import BackgroundTask, TaskProgress, error_details
from napari_sparsessp.ui.widgets.basic import Mark
from napari_sparsessp.ui.widgets.card_text import TOPOLOGIES
from napari_sparsessp.ui.widgets.stack_input import InputWatch, expectations
from napari_sparsessp.ui.widgets.structures import FEW

if TYPE_CHECKING:
    import napari


_STARTS = (PlanState.READY, PlanState.KNOWN)


class PlanDock(Dock):
    """Search the sparsest sampling that still predicts well."""

    def __init__(
        self, napari_viewer: "napari.viewer.Viewer", engine: Any | None = None
    ) -> None:
        super().__init__(napari_viewer)
        self._engine = InstalledEngine() if engine is None else engine
        self.preview = PlanPreview()
        self.record: SweepRecord | None = None
        self.memory = session_memory()
        self.task: BackgroundTask | None = None
        self._job: PlanJob | None = None
        self._measuring: MeasuredChoice | None = None
        self._measured: MeasuredChoice | None = None
        self._saving: BackgroundTask | None = None
        self._judge_by_hand = False
        self._message_for: tuple[Any, ...] | None = None
        self.fill(PlanForm(self._engine.devices))
        self.watch = InputWatch(self)
        self._files = FileOpening(napari_viewer, self)
        self._samples = SampleOpening(napari_viewer, self)
        self.shelf = ModelShelf(self._engine, self.form.topology, self)
        self._connect()
        self.shelf.offer()
        self._offer_layers()
        self.refresh()

    def _connect(self) -> None:
        form = self.form
        form.input.changed.connect(self._on_input)
        form.input.file_asked.connect(self._files.ask)
        form.input.samples_asked.connect(self._samples.ask)
        self._files.truths_opened.connect(form.structures.take_truths)
        apply = form.input.apply_voxel_size
        form.input.apply_button.clicked.connect(lambda: apply(self._viewer))
        form.judge.chosen.connect(self._on_judge)
        form.structures.visibility_changed.connect(self._on_eye)
        form.foot.run_asked.connect(self.run)
        form.foot.stop_asked.connect(self.stop)
        form.result.ratio_chosen.connect(self._show_scores)
        form.result.use_asked.connect(self.use)
        form.result.csv_asked.connect(self.save_table)
        form.result.page_asked.connect(self.save_page)
        self.shelf.changed.connect(self._on_model)
        self.shelf.gallery_asked.connect(self.open_gallery)
        self._files.opened.connect(self._on_opened)
        form.ratios.changed.connect(self.settle)
        form.structures.choice_changed.connect(self.settle)
        form.device.changed.connect(self.settle)
        self.watch.changed.connect(self.settle)
        for failures in (self.shelf, self._files, self._samples):
            failures.failed.connect(self.show_error)
        self.follow_layers()
        self.add_shortcut("Ctrl+R", lambda: form.foot.press(*_STARTS))
        self.add_shortcut("Esc", lambda: form.foot.press(PlanState.RUNNING))

    def _on_model(self) -> None:
        self.form.show_model()
        self.settle()

    def _offer_layers(self) -> None:
        self.form.input.set_layers(input_choices(self._viewer))
        self._offer_truths()

    def _offer_truths(self) -> None:
        key = self.form.input.layer_key()
        self.form.structures.set_layers(truth_choices(self._viewer, key))

    def _on_input(self) -> None:
        self._offer_truths()
        self.settle()

    def _on_judge(self) -> None:
        self._judge_by_hand = True
        self.settle()

    def _on_opened(self, key: str) -> None:
        self._offer_layers()
        self.form.input.choose_layer(key)
        self._on_input()

    def refresh(self) -> None:
        """Plan what would be measured; show what is known and what is missing."""
        if self.task is not None:
            self._follow_layers()
            return
        if self.take_layer_changes():
            self._offer_layers()
        form = self.form
        choice, plan = self._chosen()
        reading = plan.seen.reading
        form.input.show_reading(reading, guess=choice.stack.leading is None)
        form.ratios.offer(RATIOS if reading is None else plan.offered)
        again = self._settled_choice()
        if again.identity != choice.identity:  # it corrected itself
            choice, plan = self._chosen()
        self.preview = plan
        form.show_judge(choice.against_dense)
        show_plan(form, choice, plan)
        self.watch.follow(plan.seen.layer)
        self._show_known(choice)
        if (choice.identity, plan.job is None, plan.sparse) != self._message_for:
            self._message_for = None
            known = self.record is not None and self.record.report.finished
            show_foot(form, plan, known)

    def _chosen(self) -> tuple[PlanChoice, PlanPreview]:
        """Return the choice and its preview; without a truth it judges itself."""
        choice = self._settled_choice()
        plan = preview_plan(self._viewer, self._engine, choice, RATIOS)
        seen = plan.seen
        untrue = plan.job is None and seen.plan is not None and not seen.truth
        if untrue and not self._judge_by_hand and not choice.against_dense:
            self.form.show_judge(True)
            choice = self.form.choice()
            plan = preview_plan(self._viewer, self._engine, choice, RATIOS)
        return choice, plan

    def _settled_choice(self) -> PlanChoice:
        """Return the choice; the judge follows from the layers until it is chosen."""
        if not self._judge_by_hand:
            self.form.show_judge(not self.form.structures.truths())
        return self.form.choice()

    def _show_known(self, choice: PlanChoice) -> None:
        """Keep, show again or hide what was measured."""
        arrays = arrays_of(self._viewer, choice)
        if self._measured is not None and self._measured.fits(choice, arrays):
            return
        record = self.memory.find(choice, arrays)
        self._measured = None if record is None else MeasuredChoice(choice, arrays)
        self._show_record(record)

    def _show_record(self, record: SweepRecord | None, growing: bool = False) -> None:
        form = self.form
        self.record = record
        form.empty.setVisible(record is None)
        report = None if record is None else record.report
        form.result.show_structures(form.structures.visible())
        planned = () if self.task is None or self._job is None else self._job.ratios
        form.result.show_report(report, growing=growing, planned=planned)
        if record is not None and record.gallery is None:
            form.result.page_button.setEnabled(False)  # stopped while it was drawn
        mark = Mark.WAITING
        if report is not None and not growing:
            doubtful = report.against_dense or need_of(report) is None
            mark = Mark.WARN if doubtful else Mark.GOOD
        form.result_step.set_mark(mark)
        if report is None:
            form.structures.clear_scores()

    def _show_scores(self, ratio: int) -> None:
        """Show the scores at the chosen ratio in the table of structures."""
        for result in () if self.record is None else self.record.report.ratios:
            if result.ratio == ratio:
                self.form.structures.set_scores(result.structures)

    def _on_eye(self) -> None:
        self.form.result.show_structures(self.form.structures.visible())

    def run(self) -> None:
        """Measure what is chosen; the curve grows ratio by ratio."""
        self.refresh_now()
        if self.task is not None or self.preview.job is None:
            return
        choice = self.form.choice(self._time())
        job = preview_plan(self._viewer, self._engine, choice, RATIOS).job
        if job is None:
            return
        form = self.form
        if len(job.request.structures) <= FEW:
            for id_ in job.request.structures:
                form.structures.set_visible(id_, True, tell=False)
        self._job = job
        self._measuring = MeasuredChoice(choice, arrays_of(self._viewer, choice))
        work = measure_plan, self._engine, job, self.memory
        self.task = task = BackgroundTask(*work, parent=self)
        task.progressed.connect(form.foot.show_progress)
        task.published.connect(self._on_grown)
        task.returned.connect(self._on_measured)
        task.failed.connect(self._on_failed)
        task.cancelled.connect(self._on_cancelled)
        form.set_locked(True)
        form.foot.message.clear()
        form.foot.set_state(PlanState.RUNNING)
        form.result.set_times(self._series())
        self._measured = None
        self._show_record(None)
        form.empty.setText("Measuring. The curve appears as soon as one ratio is done.")
        task.start()
        self._to_result()

    def stop(self) -> None:
        """Stop measuring; ratios that are done stay."""
        if self.task is not None:
            self.form.foot.set_state(PlanState.STOPPING)
            self.task.cancel()

    def _on_grown(self, record: SweepRecord) -> None:
        self._show_record(record, growing=True)
        self._to_result()

    def _on_measured(self, measurement: Measurement) -> None:
        if self._measuring is not None:
            self.memory.keep(self._measuring, measurement)
        self._end(measurement.record)
        if measurement.remembered:
            self.form.foot.set_status("Nothing has changed since it was measured.")
        else:
            self.form.foot.show_progress(1.0, "Measured.")
            warnings = measurement.record.report.warnings
            self.form.foot.message.show_notices(warnings)

    def _on_failed(self, error: Exception) -> None:
        self._end(self.record)
        self.show_error(error, "the measurement")

    def _on_cancelled(self) -> None:
        record = self.record
        self._end(record)
        if record is None:
            self.form.foot.set_status("Stopped before the first ratio was done.")
        else:
            done = listed([nth(one.ratio) for one in record.report.ratios])
            self.form.foot.set_status(f"Stopped: {done} done, and kept.")

    def _end(self, record: SweepRecord | None) -> None:
        """Free the form first: handlers of the result may raise."""
        task, self.task = self.task, None
        form = self.form
        form.set_locked(False)
        form.empty.setText(EMPTY)
        self._measured = None if record is None else self._measuring
        self._show_record(record)
        self._message_for = None  # the footer says what holds now
        self.refresh()
        form.foot.bar.setValue(0)
        self._keep_message()
        self._to_result()
        if task is not None:
            task.deleteLater()

    def _to_result(self) -> None:
        QTimer.singleShot(0, self.form.to_result)  # once the result has its height

    def _follow_layers(self) -> None:
        """Stop where the stack that is measured is gone."""
        if self._measuring is None or self.form.foot.state is PlanState.STOPPING:
            return
        if layer_with_key(self._viewer, self._measuring.choice.stack.layer) is None:
            self.stop()

    def _time(self) -> int:
        """Return the time point on screen."""
        seen = self.preview.seen
        axis = -1 if seen.reading is None else seen.reading.letters.find("T")
        return 0 if axis < 0 else int(layer_index(self._viewer, seen.layer)[axis])

    def _series(self) -> int:
        """Return the stacks of the time-lapse, where the layer is one."""
        reading = self.preview.seen.reading
        here = 1 if reading is None else reading.volume.sizes.get("T", 1)
        return max(here, self.form.result.imaging.values().stacks)

    def use(self, ratio: int) -> None:
        """Open Predict with the chosen ratio."""
        if self._measured is None or self.record is None:
            return
        structures = self.record.report.structures
        try:
            open_in_predict(self, self._measured.choice, structures, ratio)
        except Exception as error:
            self.show_error(error, "the opening of Predict")

    def save_table(self) -> None:
        """Ask where, and write the table as CSV."""
        report = self.form.result.report()
        path = self._ask_path("Table (*.csv)")
        if report is None or path is None:
            return
        imaging = self.form.result.imaging.values()
        try:
            write_sweep_csv(report, path, imaging.plane_ms, imaging.stacks)
        except SparseSSPError as error:
            self.show_error(error)
        else:
            self._on_saved(path)

    def save_page(self) -> None:
        """Ask where, and write the report in the background."""
        report = self.form.result.report()
        busy = self._saving is not None and self._saving.running
        if report is None or self.record is None or busy:
            return
        path = self._ask_path("Page (*.html)")
        if path is None:
            return
        self.form.foot.set_status("Writing the report…")
        work = write_record, SweepRecord(report, self.record.gallery), path
        what = "the writing of the report"
        self._saving = self.run_task(*work, returned=self._on_saved, what=what)

    def _ask_path(self, kinds: str) -> Path | None:
        report = self.form.result.report()
        source = "" if report is None else Path(report.input).name.split(".")[0]
        stem = re.sub(r"[^\w-]", "_", source) or "stack"
        try:
            return ask_path(self, "Save the plan", f"{stem}_plan", kinds)
        except SparseSSPError as error:
            self.show_error(error)
            return None

    def _on_saved(self, path: Path) -> None:
        self.form.foot.set_status(f"Saved {path}")

    def show_error(
        self, error: Exception, what: str = "the plan", request: Any = None
    ) -> None:
        """Show a problem until something else is chosen."""
        super().show_error(error, what, request or self.preview.seen.request)
        self._keep_message()

    def _keep_message(self) -> None:
        """Let what the footer says stand until something else is chosen."""
        plan = self.preview
        self._message_for = (self.form.choice().identity, plan.job is None, plan.sparse)


def show_plan(form: PlanForm, choice: PlanChoice, plan: PlanPreview) -> None:
    """Show headlines and marks, and what the stack is."""
    seen, stack = plan.seen, choice.stack
    rows = []
    if seen.reading is not None:
        rows = expectations(stack.card, seen.reading, stack.channel, None)
    form.input.show_expectations(rows)
    others = [name for _, name in form.structures.layers]
    form.topology.show_fit(seen.reading, stack.channel, others)
    ratios = [ratio for ratio in choice.ratios if ratio > 1]
    which = listed(list(map(str, ratios))) if ratios else "r"
    form.ratio_step.set_headline(f"z-sampling: <b>1 plane in {which}</b>")
    label = "" if stack.card is None else TOPOLOGIES[stack.card.topology][0]
    form.topology_step.set_headline(f"Model: <b>{label}</b>")
    ready = plan.job is not None
    settled = Mark.GOOD if ready else Mark.WAITING
    order = list(Mark)
    marks = [row.mark for row in rows]
    form.stack_step.set_mark(max(marks, key=order.index) if marks else settled)
    if plan.sparse or seen.problem is not None:
        form.stack_step.set_mark(Mark.BAD)
    form.ratio_step.set_mark(Mark.GOOD if ratios else Mark.WAITING)
    form.judge_step.set_mark(
        Mark.WAITING if not ready else Mark.WARN if choice.against_dense else Mark.GOOD
    )
    form.topology_step.set_mark(Mark.BAD if stack.card is None else Mark.GOOD)
    form.device_step.set_mark(Mark.GOOD)


def show_foot(form: PlanForm, plan: PlanPreview, known: bool) -> None:
    """Show whether the button can be pressed, and why not."""
    foot, seen = form.foot, plan.seen
    foot.bar.setValue(0)
    if plan.sparse:
        foot.message.show_notices([plan.sparse])
        foot.set_state(PlanState.BLOCKED, plan.sparse)
        foot.set_status("Cannot plan from this stack: see message above.")
    elif seen.problem is not None:
        details = error_details(seen.problem, seen.request)
        foot.message.show_error(str(seen.problem), details)
        foot.set_state(PlanState.BLOCKED, str(seen.problem))
        foot.set_status("Cannot run: see message above.")
    elif plan.job is None:
        foot.message.clear()
        foot.set_state(PlanState.BLOCKED, plan.waiting)
        foot.set_status(plan.waiting)
    else:
        warnings = () if seen.plan is None else seen.plan.warnings
        foot.message.show_notices([*seen.notes, *warnings])
        foot.set_state(PlanState.KNOWN if known else PlanState.READY)
        job, count = plan.job, len(plan.job.request.structures)
        what = "1 structure" if count == 1 else f"{count} structures"
        times = sum(job.ratios) if job.all_phases else len(job.ratios)
        ready = f"Ready: {what}, the stack predicted {times} times."
        foot.set_status("Measured." if known else ready)


def open_in_predict(
    plan: PlanDock, choice: PlanChoice, structures: Sequence[str], ratio: int
) -> None:
    """Open the viewer's Predict dock with what was planned; nothing is started."""
    dock = open_predict(plan._viewer, beside=plan)
    if dock.run_in_progress is not None:
        raise InputError(
            "Predict is busy; wait for its prediction or cancel it, then use the ratio"
        )
    form, stack = dock.form, choice.stack
    form.input.choose_layer(stack.layer)
    form.input.type_voxel_size(stack.voxel_size)
    if stack.card is not None:
        form.topology.set_card(stack.card)
        form.show_model()
    form.structures.tick(structures)
    form.input.changed.emit()
    dock.refresh_now()  # it offers channels and axes, which can be chosen then
    if stack.leading is not None:
        form.input.axis.set_value(stack.leading)
    if stack.channel is not None:
        place = form.input.channel_box.findData(stack.channel)
        form.input.channel_box.setCurrentIndex(place)
    form.sampling.set_ratio(float(ratio) if ratio > 1 else None)
    form.sampling.set_simulate(ratio > 1)
    dock.refresh_now()


def write_record(record: SweepRecord, path: Path, progress: TaskProgress) -> Path:
    """Write the page of a sweep; for `BackgroundTask`, it loads matplotlib."""
    from napari_sparsessp.evaluation.html import write_sweep_page

    progress(0.5, what="Writing the report…")
    assert record.gallery is not None, "pictures are drawn with every ratio"
    write_sweep_page(record.report, record.gallery, path)
    return path
