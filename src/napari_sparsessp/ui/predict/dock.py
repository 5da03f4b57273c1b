"""The Predict dock: structures appear as layers while they are predicted."""

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from qtpy.QtCore import QTimer

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.ui.dock import Dock
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.layers.metadata import (
    FILE,
    KEY,
    is_prediction,
    link_orphans,
    made_from,
    model_of,
    truth_of,
)
from napari_sparsessp.ui.layers.opening import FileOpening, RecordedSize
from napari_sparsessp.ui.layers.reading import input_choices, truth_choices
from napari_sparsessp.ui.layers.stacks import strangers
from napari_sparsessp.ui.layers.viewport import ViewportTracker, part_in_sight
from napari_sparsessp.ui.layouts.arrangement import OVERLAY, SIDE_BY_SIDE
from napari_sparsessp.ui.models.shelf import ModelShelf
from napari_sparsessp.ui.napari_compat import layer_key, layer_with_key
from napari_sparsessp.ui.predict.export import (
    Export,
    PredictionSnapshot,
    snapshot_of,
    snapshot_of_preview,
)
from napari_sparsessp.ui.predict.form import PredictForm, RunState
from napari_sparsessp.ui.predict.layers import PredictionLayers, PredictView
from napari_sparsessp.ui.predict.planning import (
    FormState,
    PredictionPreview,
    ResumableRun,
    is_dense,
    preview_prediction,
    work_text,
)
from napari_sparsessp.ui.predict.session import (
    PredictionSession,
    Preloader,
)
from napari_sparsessp.ui.samples import SampleOpening
from napari_sparsessp.ui.tasks import BackgroundTask, error_details, readable_error
from napari_sparsessp.ui.widgets.optics import (
    Look,
    look_at,
    offers_phase,
    options_of,
    remember,
)
from napari_sparsessp.ui.widgets.sampling import PlaneCursor
from napari_sparsessp.ui.widgets.stack_input import InputWatch

if TYPE_CHECKING:
    import napari

    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.ui.engine import Speed
    from napari_sparsessp.ui.layers.viewport import Viewport

# The window is drawn, and hears the user, between two pieces of work.
_BREATH_MS = 30


class PredictDock(Dock):
    """Predict fluorescence from a sparse transmitted-light stack."""

    form: PredictForm

    def __init__(
        self, napari_viewer: "napari.viewer.Viewer", engine: Any | None = None
    ) -> None:
        super().__init__(napari_viewer)
        self._engine = InstalledEngine() if engine is None else engine
        self.preview = PredictionPreview()
        self._message_for: tuple[FormState, str] | None = None
        self._seen: set[str] = set()
        self._stack: str | None = None  # key of the layer that was chosen last
        self._layout = ""  # that the next refresh arranges
        self.fill(PredictForm(self._engine.devices))
        self.layers = PredictionLayers(napari_viewer, self)
        self.tracker = ViewportTracker(napari_viewer, self)
        self.session = PredictionSession(
            self._engine, self.form, self.layers, self.tracker, self
        )
        self.view = PredictView(
            napari_viewer,
            self.form,
            self.layers,
            self._source,
            self.session.truth_scales,
            self,
        )
        self.preloader = Preloader(self._engine, self)
        self._cursor = PlaneCursor(napari_viewer, self.form.sampling.drawing, self)
        self._watch = InputWatch(self)
        self._recorded = RecordedSize(self)
        self._files = FileOpening(napari_viewer, self)
        self.export = Export(
            napari_viewer, self.form.foot.menu, self._snapshot, self._source, self
        )
        self._samples = SampleOpening(napari_viewer, self)
        self.shelf = ModelShelf(self._engine, self.form.topology, self)
        self._connect()
        self.shelf.offer()
        self._offer_layers()
        self._on_ndisplay()
        self.refresh_now()

    def _connect(self) -> None:
        form, foot = self.form, self.form.foot
        form.phase.look = self._look
        panels = form.sampling, form.phase, form.device, form.options
        for chosen in (*panels, self._watch):
            chosen.changed.connect(self.settle)
        form.structures.choice_changed.connect(self.settle)
        opening = self._samples, self._files
        for part in (*opening, self.shelf, self.session, self.export):
            part.failed.connect(self.show_error)
        form.input.changed.connect(self.settle)
        form.input.file_asked.connect(self._files.ask)
        form.input.sample_asked.connect(self._open_sample)
        self._files.truths_opened.connect(form.structures.take_truths)
        apply = form.input.apply_voxel_size
        form.input.apply_button.clicked.connect(lambda: apply(self._viewer))
        form.input.samples_asked.connect(self._samples.ask)
        form.structures.truth_chosen.connect(self.layers.set_truth)
        form.options.unload_button.clicked.connect(self.preloader.unload)
        foot.run_asked.connect(self.run)
        foot.part_asked.connect(self.run_part)
        foot.resume_asked.connect(self.resume)
        foot.cancel_asked.connect(self.cancel)
        self.shelf.changed.connect(self._on_model)
        self.shelf.gallery_asked.connect(self.open_gallery)
        self.session.ended.connect(self._on_ended)
        self._recorded.found.connect(self._on_recorded)
        self.preloader.measured.connect(self._on_measured)
        self.preloader.loaded_changed.connect(form.options.unload_button.setVisible)
        self.layers.all_removed.connect(self._on_layers_gone)
        self.layers.failed.connect(self._on_no_layer)
        self._files.opened.connect(self._on_opened)
        self.export.exported.connect(foot.set_status)
        self.follow_layers()
        self._viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        starts = RunState.READY, RunState.RESUMABLE
        self.add_shortcut("Ctrl+R", lambda: foot.press(*starts))
        self.add_shortcut("Ctrl+Shift+R", foot.part_button.click)
        self.add_shortcut("Esc", lambda: foot.press(RunState.RUNNING))

    def _on_model(self) -> None:
        self.form.show_model()
        self.settle()

    def _offer_layers(self) -> None:
        self.take_layer_changes()
        link_orphans(self._viewer)
        self.form.input.set_layers(input_choices(self._viewer))
        self._follow_opened()
        self._offer_truths()

    def _offer_truths(self) -> None:
        """Offer truths; another stack's layers are none by their names alone."""
        key = self.form.input.layer_key()
        source, others = layer_with_key(self._viewer, key), []
        if source is not None:
            others = list(map(layer_key, strangers(self._viewer, source)))
        choices = truth_choices(self._viewer, key)
        self.form.structures.set_layers(choices, others)

    def _on_other_stack(self, key: str | None) -> None:
        """Leave the stack that was chosen before, with its truths and its view."""
        self._stack = key
        self.form.structures.forget_truths()
        self._offer_truths()
        gone = self.view.focus(layer_with_key(self._viewer, key))
        if gone and made_from(self._viewer, key):
            self._layout = gone

    def _show_run(self, state: FormState, ratio: float | None, change: str) -> None:
        """Show the run that was made as the form says, and scores of no other."""
        table, layers = self.form.structures, self.layers
        switched = layers.adopt(state, ratio)
        if switched and not self._layout:
            layers.come_forward(table.visible())
            self.view.settle()
        elif self.view.layouts.eyes_hold:
            for id_, layer in layers.layers().items():
                table.set_visible(id_, layer.visible, tell=False)
        if layers.fits:
            self._adopt_truths()
        self.view.offer_uncertainties()
        table.set_doubts(layers.doubts())
        run, rows = self.session.run, table.rows
        scores = layers.scores({row.structure.id: row.truth for row in rows})
        if run is not None and not change:  # it has not written its scores yet
            scores = run.scores
        before = {row.structure.id: row.scores for row in rows if row.scores}
        if scores != before:
            table.clear_scores()
            table.set_scores(scores)
        if before and not scores:
            self._message_for = None  # it names them

    def _adopt_truths(self) -> None:
        """Take the truths of adopted predictions into the table."""
        table, predictions = self.form.structures, self.layers.layers()
        for number, row in enumerate(table.rows):
            layer = predictions.get(row.structure.id)
            truth = None if layer is None else truth_of(layer)
            if truth in dict(table.layers) and truth != row.truth:
                table.choose_truth(number, truth)

    def _follow_opened(self) -> None:
        """Choose, once, what opened predictions of the chosen stack were made with."""
        if self.run_in_progress is not None:
            return
        key = self.form.input.layer_key()
        opened = [
            one
            for one in made_from(self._viewer, key)
            if is_prediction(one) and FILE in one.metadata[KEY]
        ]
        fresh = [one for one in opened if layer_key(one) not in self._seen]
        self._seen |= {layer_key(one) for one in opened}
        if not fresh:
            return
        model, shown = model_of(fresh[-1]), [(one, one.visible) for one in opened]
        if model != self.form.topology.model_id():
            self.shelf.offer(model)
        for layer, visible in shown:  # another model's would be shown by habit
            layer.visible = visible
        self._layout = self.view.layouts.current or OVERLAY
        if model == self.form.topology.model_id():
            self._choose_as_in([one for one in fresh if model_of(one) == model])

    def _choose_as_in(self, predictions: list[Any]) -> None:
        form, about = self.form, predictions[-1].metadata[KEY]
        form.structures.tick(str(one.metadata[KEY]["structure"]) for one in predictions)
        asked = about.get("request") or about.get("provenance", {}).get("request")
        try:
            request = PredictionRequest.model_validate(asked)
        except ValidationError:  # of another version: the form stays as it is
            return
        form.sampling.set_simulate(request.simulate_sparse)
        form.sampling.set_ratio(request.ratio)
        if request.voxel_size is not None:
            form.input.type_voxel_size(request.voxel_size)
        form.phase.choose(options_of(request))
        form.options.rows.update(
            fast=request.overlap is not None,
            tta=request.tta,
            uncertainty=request.uncertainty,
        )
        form.options.rows.changed.emit()

    def _on_opened(self, key: str) -> None:
        self._offer_layers()
        self.form.input.choose_layer(key)
        self.refresh_now()

    def _open_sample(self) -> None:
        try:
            self._viewer.open_sample("napari-sparsessp", "sparse_colony")
        except Exception as error:
            self.show_error(error, "the sample")

    def _on_ndisplay(self, _event: Any = None) -> None:
        self.form.foot.set_flat(self._viewer.dims.ndisplay == 2)
        if self.view.layouts.current == OVERLAY:
            self.view.show_in_place(OVERLAY)

    def _on_recorded(self, key: str, size: tuple[float, float, float]) -> None:
        """Take over the voxel size in the stack's file, where the user typed none."""
        panel = self.form.input
        untouched = panel.typed_voxel_size() is None and not panel.half_typed()
        if panel.layer_key() == key and untouched and self.run_in_progress is None:
            panel.type_voxel_size(size)
            self.settle()

    def refresh(self) -> None:
        """Plan what Run would do, and show what is expected, found and missing."""
        if self.run_in_progress is not None:
            self._cancel_without_stack()
            return
        if self._layers_changed:
            self._offer_layers()
        if self.form.input.layer_key() != self._stack:
            self._on_other_stack(self.form.input.layer_key())
        form, state = self.form, self.form.state()
        preview = self._preview(state)
        form.input.show_reading(preview.reading, guess=state.leading is None)
        form.sampling.set_stack(is_dense(state, preview))
        offered = offers_phase(state.card, preview.reading, state.channel)
        form.phase.offer(offered, preview.layer)
        if form.state() != state:  # it corrected itself
            state = form.state()
            preview = self._preview(state)
        self.preview = preview
        axis = -1 if preview.reading is None else preview.reading.letters.find("Z")
        view = None if preview.plan is None else preview.plan.view
        change = self._change(state)
        self._show_run(state, state.ratio if view is None else view.ratio, change)
        form.show_preview(state, preview, self.session.speed)
        self._cursor.follow(preview.layer, axis, view)
        self._watch.follow(preview.layer)
        self._show_foot(state, change)
        self._recorded.look(preview.layer, preview.reading)
        self.preloader.expect(preview.plan)
        layout, self._layout = self._layout, ""
        if layout and self.layers.layers():
            self.view.show_in_place(layout)

    def _look(self) -> Look:
        """Return what is on screen of the stack, for a look at its phase."""
        layer, state = self.preview.layer, self.form.state()
        if layer is None:
            raise InputError("choose a stack first")
        size = state.voxel_size
        how = {"leading": state.leading, "voxel_size": size}
        return look_at(self._viewer, layer, state.channel, **how)

    def _preview(self, state: FormState) -> PredictionPreview:
        return preview_prediction(self._viewer, self._engine, state, self.preview)

    def _cancel_without_stack(self) -> None:
        run = self.session.run
        if run is None or layer_with_key(self._viewer, run.state.layer) is not None:
            return
        if self.form.foot.state is RunState.RUNNING:
            self.session.cancel(f"{run.request.reading.volume.name!r} was deleted")

    def _show_foot(self, state: FormState, change: str) -> None:
        foot, preview = self.form.foot, self.preview
        if preview.problem is not None:
            details = error_details(preview.problem, preview.request)
            foot.message.show_error(str(preview.problem), details)
            foot.set_state(RunState.BLOCKED, str(preview.problem))
            foot.set_status("Cannot run: see message above.")
        elif preview.plan is None:
            foot.set_state(RunState.BLOCKED, preview.waiting)
        else:
            resumable = self.session.run is not None and not change
            foot.set_state(RunState.RESUMABLE if resumable else RunState.READY)
        if preview.problem is None and (state, change) == self._message_for:
            return  # the last message still holds
        self._message_for = None
        foot.move_bar(0, 1)
        if preview.plan is not None:
            self._show_ready(preview, preview.plan, change)
        elif preview.problem is None:
            foot.message.clear()
            foot.set_status(preview.waiting)

    def _show_ready(
        self, preview: PredictionPreview, plan: "Plan", change: str
    ) -> None:
        half = "the voxel size needs all three numbers: z, y and x"
        notices = [half] if self.form.input.half_typed() else []
        foot, run = self.form.foot, self.session.run
        foot.message.show_notices([*notices, *preview.notes, *plan.warnings])
        if run is None:
            work = work_text(plan, self.session.speed.seconds(plan))
            shown = "" if self.layers.fits else self.layers.run_text()
            foot.set_status(f"{work} · shown: {shown}" if shown else work)
        elif change:
            foot.set_status(f"Run starts over: {change}.")
        else:
            foot.show_stopped(run.done, run.total, "Stopped")

    def _change(self, state: FormState) -> str:
        """Return why a stopped prediction cannot be resumed; "" for nothing."""
        run = self.session.run
        if run is None or layer_with_key(self._viewer, run.state.layer) is None:
            self.session.forget()
            return ""
        return run.change(state, self.preview)

    def _keep_message(self) -> None:
        """Keep the message of the footer until something else is chosen."""
        self._message_for = self.form.state(), ""

    def show_error(
        self,
        error: Exception,
        what: str = "the prediction",
        request: PredictionRequest | None = None,
    ) -> None:
        """Show an error in the footer, with the request in its details."""
        run = self.session.run
        asked = self.preview.request if run is None else run.request.plan.request
        self._keep_message()
        super().show_error(error, what, request or asked)

    def _on_measured(self, plan: "Plan", speed: "Speed") -> None:
        self.session.speed.note_speed(plan, speed)
        self.settle()

    @property
    def run_in_progress(self) -> BackgroundTask | None:
        """The prediction that runs."""
        return self.session.task

    def run(self) -> None:
        """Start the planned prediction; layers appear at once and fill up."""
        self.refresh_now()
        self._start_new(None)

    def resume(self) -> None:
        """Resume the prediction that was stopped, if it is still what is chosen."""
        self.refresh_now()
        self._resume(None)

    def run_part(self) -> None:
        """Predict what is on screen at this time point, as part of a stopped run."""
        self.refresh_now()
        ready = self.preview.ready()
        if ready is None or self.run_in_progress is not None:
            return
        part = part_in_sight(self._viewer, ready.layer, ready.reading, ready.plan)
        if part is None:
            unseen = "nothing of the stack is on screen; press Home in napari to see it"
            self.show_error(InputError(unseen))
        elif not self._resume(part):
            self._start_new(part)

    def _resume(self, part: "Viewport | None") -> bool:
        run = self.session.run
        if run is None or self.form.foot.state is not RunState.RESUMABLE:
            return False
        self._start(run, part)
        return True

    def _start_new(self, part: "Viewport | None") -> None:
        ready = self.preview.ready()
        if ready is None or self.run_in_progress is not None:
            return
        self.session.forget()  # first: its memory may be needed
        try:
            run = ResumableRun.of(self.form.state(), ready, self._engine)
        except InputError as error:
            self.show_error(error)
            return
        if run.state.optics is not None:
            remember(run.state.optics)
        self.form.structures.clear_scores()
        self.view.focus(ready.layer, alone=True)
        self._start(run, part)

    def _start(self, run: ResumableRun, part: "Viewport | None") -> None:
        """Start the thread, then make the layers that will fill up and follow them."""
        self.preloader.give_way()
        self.tracker.holder.expect()
        self.session.start(run, part)
        again = bool(self.layers.layers())
        table = self.form.structures
        shown = (*table.visible(), *map(deviation_channel, table.spreads()))
        with self.view.at_work():
            self.layers.prepare(run, shown)
        if not again:  # a second run leaves the user's view alone
            # apart from the first layer: both take napari a while
            QTimer.singleShot(_BREATH_MS, self._show_made)
        first = next(iter(self.layers.layers().values()), None)
        if first is None:
            self.tracker.stop()
        else:
            has_time = run.request.plan.output_axes.startswith("T")
            self.tracker.follow(first, has_time=has_time)

    def _on_no_layer(self, error: Exception) -> None:
        """Cancel: a prediction without a layer cannot be seen."""
        self.session.cancel()
        self.show_error(readable_error(error, "the making of layers"))

    def _show_made(self) -> None:
        if self.layers.layers():
            self.view.show_in_place(self.view.layouts.current or OVERLAY)

    def cancel(self) -> None:
        """Cancel the running prediction; what is done stays."""
        self.session.cancel()

    def _on_layers_gone(self) -> None:
        """Without layers there is nothing to fill up, and nothing to resume."""
        self.session.cancel("its layers were deleted")
        self.session.forget()
        self.settle()

    def _on_ended(self) -> None:
        if self._layers_changed:
            self._offer_layers()
        self._keep_message()
        if self.view.layouts.current == SIDE_BY_SIDE:
            self.view.show(SIDE_BY_SIDE)  # its contrast is that of the whole now
        self.preloader.rest()
        self.settle()

    def _snapshot(self) -> PredictionSnapshot:
        made = self.layers.layers()
        if made:
            return snapshot_of(self._viewer, made.values())
        return snapshot_of_preview(self._viewer, self.preview, self.form.state())

    def _source(self) -> Any | None:
        """Return the layer that is, or would be, predicted from."""
        if self.run_in_progress is not None and self.session.run is not None:
            return self.session.run.request.layer
        return self.preview.layer
