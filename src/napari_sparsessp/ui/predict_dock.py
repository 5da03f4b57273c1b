"""The Predict dock: structures appear as layers while they are predicted.

Wiring only: the form (`predict_form`) tells what was chosen, `outlook` makes a plan of
it, `prediction_run` runs it, `stream_layers` shows it, `layouts` arranges it.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.ui.engine_link import InstalledEngine
from napari_sparsessp.ui.error_details import as_told, error_details
from napari_sparsessp.ui.file_opening import FileOpening
from napari_sparsessp.ui.input_watch import InputWatch
from napari_sparsessp.ui.layer_catalogue import input_choices, truth_choices
from napari_sparsessp.ui.layer_marks import UNCERTAINTY
from napari_sparsessp.ui.layouts import (
    OVERLAY,
    SIDE_BY_SIDE,
    Layouts,
    Scene,
    scene_of,
)
from napari_sparsessp.ui.model_shelf import ModelShelf
from napari_sparsessp.ui.outlook import Choice, Outlook, look_ahead
from napari_sparsessp.ui.outlook_view import (
    is_dense,
    show_outlook,
    work_text,
)
from napari_sparsessp.ui.plane_cursor import PlaneCursor
from napari_sparsessp.ui.predict_form import PredictForm
from napari_sparsessp.ui.prediction_run import PredictionRun
from napari_sparsessp.ui.run_panel import RunState
from napari_sparsessp.ui.running import Running
from napari_sparsessp.ui.stream_layers import StreamLayers
from napari_sparsessp.ui.undertaking import Undertaking
from napari_sparsessp.ui.viewport import ViewportTracker

if TYPE_CHECKING:
    import napari

    from napari_sparsessp.ui.linked_contrast import Scale

# Several changes in one go (a sample opens thirteen layers) make one plan.
_SETTLE_MS = 60

_STARTS = (RunState.READY, RunState.RESUMABLE)


class PredictDock(QWidget):
    """Predict fluorescence from a sparse transmitted-light stack.

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
        self.form = PredictForm(self._engine.devices)
        self.outlook = Outlook()
        self._told_for: tuple[Choice, str] | None = None
        self._arranging = False
        self._layers_changed = False
        self.layers = StreamLayers(napari_viewer, self)
        self.tracker = ViewportTracker(napari_viewer, self)
        self.running = Running(self._engine, self.form, self.layers, self.tracker, self)
        self.cursor = PlaneCursor(napari_viewer, self.form.sampling.drawing, self)
        self.layouts = Layouts(napari_viewer)
        self.watch = InputWatch(self)
        self._files = FileOpening(napari_viewer, self)
        self.shelf = ModelShelf(self._engine, self.form.topology, self)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self.look_ahead)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.form)
        # without it napari puts an empty stretch below the form
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._connect()
        self.shelf.offer()
        self._offer_layers()
        self.look_ahead()

    # wiring -------------------------------------------------------------------

    def _connect(self) -> None:
        form = self.form
        form.input.changed.connect(self._on_input)
        form.input.file_asked.connect(self._files.ask)
        form.input.sample_asked.connect(self._open_sample)
        form.sampling.changed.connect(self._settle.start)
        self.shelf.changed.connect(self._on_model)
        self.shelf.failed.connect(self._on_problem)
        form.device.changed.connect(self._settle.start)
        form.options.changed.connect(self._settle.start)
        form.structures.choice_changed.connect(self._settle.start)
        form.structures.visibility_changed.connect(self._on_eye)
        form.structures.spread_changed.connect(self._on_spread)
        form.structures.truth_chosen.connect(self.layers.set_truth)
        form.foot.run_asked.connect(self.run)
        form.foot.resume_asked.connect(self.resume)
        form.foot.cancel_asked.connect(self.cancel)
        form.foot.layout_asked.connect(self.show_layout)
        form.foot.restore_asked.connect(self.restore_view)
        self.running.ended.connect(self._on_ended)
        self.running.failed.connect(self._on_problem)
        self.layers.all_removed.connect(self._on_layers_gone)
        self.layers.complete.connect(self._on_complete)
        self.layers.visible_changed.connect(self._on_layer_eye)
        self.watch.changed.connect(self._settle.start)
        self._files.opened.connect(self._on_opened)
        self._files.failed.connect(self._on_problem)
        events = self._viewer.layers.events
        for name in ("inserted", "removed", "reordered", "renamed"):
            getattr(events, name).connect(self._on_layers)
        form.add_shortcut("Ctrl+R", lambda: form.foot.press(*_STARTS))
        form.add_shortcut("Esc", lambda: form.foot.press(RunState.RUNNING))

    # what can be chosen -------------------------------------------------------

    def _on_model(self) -> None:
        self.form.show_model()
        chosen = self.form.input.layer_key(), self.form.topology.model_id()
        if self.run_in_progress is None and self.layers.adopt(*chosen):
            self.layers.come_forward(self.form.structures.visible())
            self._on_complete()
        self._settle.start()

    def _on_layers(self, _event: Any = None) -> None:
        self._layers_changed = True
        self._settle.start()

    def _offer_layers(self) -> None:
        self._layers_changed = False
        self.form.input.set_layers(input_choices(self._viewer))
        self._offer_truths()

    def _offer_truths(self) -> None:
        """Offer truth layers, and take over what was predicted from this input."""
        key = self.form.input.layer_key()
        model = self.form.topology.model_id()
        self.form.structures.set_layers(truth_choices(self._viewer, key))
        if self.run_in_progress is None and not self._arranging:
            for id_, layer in self.layers.adopt(key, model).items():
                self.form.structures.set_visible(id_, layer.visible, tell=False)
            self._offer_spreads()
            self.form.structures.set_doubts(self.layers.doubts())

    def _offer_spreads(self) -> None:
        """Let the table show which structures have a layer of uncertainty."""
        found = self.layers.uncertainties()
        shown = {id_: bool(layer.visible) for id_, layer in found.items()}
        self.form.structures.set_spreads(shown)

    def _on_input(self) -> None:
        self._offer_truths()
        self._settle.start()

    def _on_opened(self, key: str) -> None:
        self._offer_layers()
        self.form.input.choose_layer(key)
        self._on_input()

    def _open_sample(self) -> None:
        try:
            self._viewer.open_sample("napari-sparsessp", "sparse_colony")
        except Exception as error:
            self._on_problem(as_told(error, "the sample"))

    # before running -----------------------------------------------------------

    def look_ahead(self) -> None:
        """Plan what Run would do, and show what is expected, found and missing."""
        if self.run_in_progress is not None:
            return
        if self._layers_changed:
            self._offer_layers()
        form, choice = self.form, self.form.choice()
        seen = look_ahead(self._viewer, self._engine, choice)
        form.input.show_reading(seen.reading, guess=choice.leading is None)
        form.sampling.set_stack(is_dense(choice, seen))
        if form.choice() != choice:  # it corrected itself: plan what it says now
            choice = form.choice()
            seen = look_ahead(self._viewer, self._engine, choice)
        self.outlook = seen
        self._show_outlook(choice)

    def _show_outlook(self, choice: Choice) -> None:
        form, seen = self.form, self.outlook
        show_outlook(form, choice, seen)
        axis = -1 if seen.reading is None else seen.reading.letters.find("Z")
        self.cursor.follow(
            seen.layer, axis, None if seen.plan is None else seen.plan.view
        )
        self.watch.follow(seen.layer)
        foot = form.foot
        changed = self._changed(choice)
        if seen.problem is None:
            if seen.plan is None:
                foot.set_state(RunState.BLOCKED, seen.waiting)
            else:
                left = self.running.undertaking is not None and not changed
                foot.set_state(RunState.RESUMABLE if left else RunState.READY)
            if (choice, changed) == self._told_for:  # what was told last still stands
                return
        self._told_for = None
        foot.reset_progress()
        if seen.problem is not None:
            details = error_details(seen.problem, seen.request)
            foot.message.show_error(str(seen.problem), details)
            foot.set_state(RunState.BLOCKED, str(seen.problem))
            foot.set_status("Something is in the way: see above.")
        elif seen.plan is None:
            foot.message.clear()
            foot.set_status(seen.waiting)
        else:
            half = "the voxel size needs all three numbers: z, y and x"
            notices = [half] if form.input.half_typed() else []
            foot.message.show_notices([*notices, *seen.notes, *seen.plan.warnings])
            foot.set_status(work_text(seen.plan, self.running.pace.expected(seen.plan)))
            self._show_left(changed)

    def _changed(self, choice: Choice) -> str:
        """Tell what keeps a stopped prediction from going on; "" for nothing."""
        left = self.running.undertaking
        if left is None or left.lost(self._viewer):
            self.running.forget()
            return ""
        return left.change(choice, self.outlook)

    def _show_left(self, changed: str) -> None:
        """Say how far the stopped prediction is, or why Run starts anew."""
        left, foot = self.running.undertaking, self.form.foot
        if left is not None and changed:
            foot.set_status(f"Run starts anew: {changed}.")
        elif left is not None:
            foot.show_stopped(left.done, left.total, "Stopped")

    # running ------------------------------------------------------------------

    @property
    def run_in_progress(self) -> PredictionRun | None:
        """The run that is under way."""
        return self.running.current

    @property
    def truth_scales(self) -> "dict[tuple[str, str], Scale]":
        """Mean and deviation of truths, by structure and truth layer's key."""
        return self.running.truth_scales

    def run(self) -> None:
        """Start the planned prediction; layers appear at once and fill up."""
        self._settle.stop()
        self.look_ahead()
        ready = self.outlook.ready()
        if ready is None or self.run_in_progress is not None:
            return
        self.running.forget()  # first: its memory may be needed
        try:
            progress = self._engine.new_progress()
            begun = Undertaking.of(self.form.choice(), ready, progress)
        except InputError as error:
            self._on_problem(error)
            return
        self.form.structures.clear_scores()
        self._begin(begun)

    def resume(self) -> None:
        """Go on with the prediction that was stopped, if it is still what is chosen."""
        self._settle.stop()
        self.look_ahead()
        left = self.running.undertaking
        if left is not None and self.form.foot.state is RunState.RESUMABLE:
            self._begin(left)

    def _begin(self, undertaking: Undertaking) -> None:
        """Start the thread, then make the layers that will fill up and follow them."""
        self.tracker.holder.expect()
        self.running.start(undertaking)
        ready, plan = undertaking.ready, undertaking.ready.plan
        again = bool(self.layers.layers())
        self._arranging = True
        try:
            self.layers.prepare(
                plan,
                undertaking.buffer,
                ready.layer,
                ready.reading,
                self._shown_channels(),
                undertaking.truths(),
            )
        except Exception as error:  # what cannot be shown need not be predicted
            self.running.cancel()
            self._on_problem(as_told(error, "the making of layers"))
        finally:
            self._arranging = False
        if not again:  # a second run leaves "My view" alone
            self.show_layout(self.layouts.current or OVERLAY)
        first = next(iter(self.layers.layers().values()), None)
        if first is None:
            self.tracker.stop()
        else:
            self.tracker.follow(first, has_time=plan.output_axes.startswith("T"))

    def _shown_channels(self) -> tuple[str, ...]:
        table = self.form.structures
        return (*table.visible(), *map(deviation_channel, table.spreads()))

    def cancel(self) -> None:
        """Stop the running prediction; what is done stays."""
        self.running.cancel()

    def _on_layers_gone(self) -> None:
        """Without layers there is nothing to fill up, and nothing to go on with."""
        self.running.cancel()
        self.running.forget()
        self._settle.start()

    def _on_ended(self) -> None:
        self._told_for = self.form.choice(), ""
        self._settle.start()

    def _on_problem(self, error: Exception) -> None:
        left = self.running.undertaking
        request = self.outlook.request if left is None else left.ready.plan.request
        self._told_for = self.form.choice(), ""
        self.form.foot.message.show_error(str(error), error_details(error, request))

    # looking ------------------------------------------------------------------

    def scene(self) -> Scene:
        """Tell which layers belong together."""
        source = self.outlook.layer
        if self.run_in_progress is not None and self.running.undertaking is not None:
            source = self.running.undertaking.ready.layer
        rows = self.form.structures.rows
        predictions = self.layers.layers()
        scene = scene_of(self._viewer, source, rows, predictions, self.truth_scales)
        return replace(scene, uncertainties=self.layers.uncertainties())

    def show_layout(self, name: str) -> None:
        """Show overlay or side by side."""
        self._arranging = True
        try:
            self.layouts.apply(name, self.scene())
        finally:
            self._arranging = False
        self.form.foot.show_layout(self.layouts.current)

    def _on_complete(self) -> None:
        """Let layers that came one by one find their place."""
        self._offer_spreads()
        if self.layouts.current is not None:
            self.show_layout(self.layouts.current)
        made = self.layers.layers()
        shown = [made[id_] for id_ in self.form.structures.visible() if id_ in made]
        if shown:
            self._viewer.layers.selection.active = shown[0]

    def restore_view(self) -> None:
        """Give the user's own view back."""
        self._arranging = True
        try:
            self.layouts.restore()
        finally:
            self._arranging = False
        self.form.foot.show_layout(None)

    def _on_eye(self, id_: str, visible: bool) -> None:
        if self.layouts.current == SIDE_BY_SIDE:
            self.show_layout(SIDE_BY_SIDE)
        else:
            self.layers.set_visible(id_, visible)

    def _on_spread(self, id_: str, shown: bool) -> None:
        if self.layouts.current == SIDE_BY_SIDE:
            self.show_layout(SIDE_BY_SIDE)
        else:
            self.layers.set_visible(deviation_channel(id_), shown)

    def _on_layer_eye(self, structure: str, role: str, visible: bool) -> None:
        if not self._arranging:
            table = self.form.structures
            show = table.set_spread if role == UNCERTAINTY else table.set_visible
            show(structure, visible, tell=False)
