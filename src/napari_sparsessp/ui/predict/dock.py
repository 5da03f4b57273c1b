"""The Predict dock: structures appear as layers while they are predicted.

Wiring only: the form (`predict_form`) tells what was chosen, `forecast` makes a plan of
it, `running` runs it, `stream_layers` shows it, `predict_view` arranges it.
"""

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.ui.dock import JoinOthers, add_shortcut, fill_with, settling
from napari_sparsessp.ui.engine.link import InstalledEngine
from napari_sparsessp.ui.layers.catalogue import input_choices, truth_choices
from napari_sparsessp.ui.layers.file_opening import FileOpening
from napari_sparsessp.ui.layers.links import link_orphans
from napari_sparsessp.ui.layers.recorded_size import RecordedSize
from napari_sparsessp.ui.layers.viewport import ViewportTracker, part_in_sight
from napari_sparsessp.ui.layouts.layouts import OVERLAY, Layouts
from napari_sparsessp.ui.layouts.scene import Scene
from napari_sparsessp.ui.models.model_shelf import ModelShelf
from napari_sparsessp.ui.predict.forecast import Forecast
from napari_sparsessp.ui.predict.form import PredictForm
from napari_sparsessp.ui.predict.going_on import GoingOn, take_up
from napari_sparsessp.ui.predict.model_keeper import ModelKeeper
from napari_sparsessp.ui.predict.outlook import Outlook
from napari_sparsessp.ui.predict.prediction_run import PredictionRun
from napari_sparsessp.ui.predict.replay import Replay, replay_ahead, replay_of
from napari_sparsessp.ui.predict.run_panel import RunState
from napari_sparsessp.ui.predict.running import Running
from napari_sparsessp.ui.predict.stream_layers import StreamLayers
from napari_sparsessp.ui.predict.takeaway import Takeaway
from napari_sparsessp.ui.predict.undertaking import Undertaking
from napari_sparsessp.ui.predict.view import PredictView
from napari_sparsessp.ui.samples import SampleOpening
from napari_sparsessp.ui.tasks import readable_error

if TYPE_CHECKING:
    import napari

    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.ui.engine.rehearsal import Rehearsed
    from napari_sparsessp.ui.engine.stream_worker import Viewport
    from napari_sparsessp.ui.layers.linked_contrast import Scale

# Several changes in one go (a sample opens thirteen layers) make one plan.
_SETTLE_MS = 60
# The window is drawn, and hears the user, between two pieces of work.
_BREATH_MS = 30

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
        self._layers_changed = False
        self.form = PredictForm(self._engine.devices)
        self.layers = StreamLayers(napari_viewer, self)
        self.tracker = ViewportTracker(napari_viewer, self)
        self.running = Running(self._engine, self.form, self.layers, self.tracker, self)
        self.forecast = Forecast(
            napari_viewer, self._engine, self.form, self.running, self
        )
        self.view = PredictView(
            napari_viewer, self.form, self.layers, self._source, self.truth_scales, self
        )
        self.keeper = ModelKeeper(self._engine, self)
        self._recorded = RecordedSize(self)
        self._files = FileOpening(napari_viewer, self)
        self.takeaway = Takeaway(
            napari_viewer, self.form.foot.menu, self._replay, self._source, self
        )
        self._samples = SampleOpening(napari_viewer, self)
        self.shelf = ModelShelf(self._engine, self.form.topology, self)
        self.going_on = GoingOn(napari_viewer, self.form, self.shelf)
        self._settle = settling(self, self.look_ahead, _SETTLE_MS)
        JoinOthers(self)
        fill_with(self, self.form)
        self._connect()
        self.shelf.offer()
        self._offer_layers()
        self._on_ndisplay()
        self.look_ahead()

    # wiring -------------------------------------------------------------------

    def _connect(self) -> None:
        form = self.form
        form.input.changed.connect(self._on_input)
        form.input.file_asked.connect(self._files.ask)
        form.input.sample_asked.connect(self._open_sample)
        form.input.samples_asked.connect(self._samples.ask)
        self._samples.failed.connect(self.forecast.tell)
        form.sampling.changed.connect(self._settle.start)
        self.shelf.changed.connect(self._on_model)
        self.shelf.failed.connect(self.forecast.tell)
        form.device.changed.connect(self._settle.start)
        form.options.changed.connect(self._settle.start)
        form.structures.choice_changed.connect(self._settle.start)
        form.structures.truth_chosen.connect(self.layers.set_truth)
        form.foot.run_asked.connect(self.run)
        form.foot.part_asked.connect(self.run_part)
        form.foot.resume_asked.connect(self.resume)
        form.foot.cancel_asked.connect(self.cancel)
        self.running.ended.connect(self._on_ended)
        self.running.failed.connect(self.forecast.tell)
        self.running.ended.connect(self.keeper.settle)
        self.forecast.seen.connect(self._on_seen)
        self._recorded.found.connect(self._on_recorded)
        self.keeper.rehearsed.connect(self._on_rehearsed)
        self.keeper.loaded_changed.connect(form.options.unload_button.setVisible)
        form.options.unload_button.clicked.connect(self.keeper.unload)
        self.layers.all_removed.connect(self._on_layers_gone)
        self.layers.failed.connect(self._on_no_layer)
        self.forecast.watch.changed.connect(self._settle.start)
        self._files.opened.connect(self._on_opened)
        self._files.failed.connect(self.forecast.tell)
        self.takeaway.told.connect(form.foot.set_status)
        self.takeaway.failed.connect(self.forecast.tell)
        events = self._viewer.layers.events
        for name in ("inserted", "removed", "reordered", "renamed"):
            getattr(events, name).connect(self._on_layers)
        self._viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        add_shortcut(form, "Ctrl+R", lambda: form.foot.press(*_STARTS))
        add_shortcut(form, "Ctrl+Shift+R", form.foot.part_button.click)
        add_shortcut(form, "Esc", lambda: form.foot.press(RunState.RUNNING))

    # what can be chosen -------------------------------------------------------

    def _on_model(self) -> None:
        self.form.show_model()
        chosen = self.form.input.layer_key(), self.form.topology.model_id()
        if self.run_in_progress is None and self.layers.adopt(*chosen):
            self.layers.come_forward(self.form.structures.visible())
            self.view.settle()
        self._settle.start()

    def _on_layers(self, _event: Any = None) -> None:
        self._layers_changed = True
        self._settle.start()

    def _offer_layers(self) -> None:
        self._layers_changed = False
        link_orphans(self._viewer)
        self.form.input.set_layers(input_choices(self._viewer))
        if self.run_in_progress is None:
            self.going_on.look()
        self._offer_truths()

    def _offer_truths(self) -> None:
        """Offer truth layers, and take over what was predicted from this input."""
        key = self.form.input.layer_key()
        model = self.form.topology.model_id()
        self.form.structures.set_layers(truth_choices(self._viewer, key))
        if self.run_in_progress is None and not self.view.arranging:
            for id_, layer in self.layers.adopt(key, model).items():
                if self.view.layouts.eyes_hold:
                    self.form.structures.set_visible(id_, layer.visible, tell=False)
            take_up(self.form.structures, self.layers.layers())
            self.view.offer_spreads()
            self.form.structures.set_doubts(self.layers.doubts())

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
            self.forecast.tell(readable_error(error, "the sample"))

    def _on_ndisplay(self, _event: Any = None) -> None:
        self.form.foot.set_flat(self._viewer.dims.ndisplay == 2)

    # before running -----------------------------------------------------------

    @property
    def outlook(self) -> Outlook:
        """What would happen on Run."""
        return self.forecast.outlook

    def look_ahead(self) -> None:
        """Plan what Run would do, and show what is expected, found and missing."""
        if self.run_in_progress is not None:
            return
        if self._layers_changed:
            self._offer_layers()
        self.forecast.look_ahead()
        if self.going_on.has_news() and self.layers.layers():
            self.view.show_where_one_is(self.layouts.current or OVERLAY)

    def _on_seen(self) -> None:
        self._recorded.look(self.outlook.layer, self.outlook.reading)
        self.keeper.expect(self.outlook.plan)

    def _on_recorded(self, key: str, size: tuple[float, float, float]) -> None:
        """Take over what the stack's file says, where the user has said nothing."""
        panel = self.form.input
        untouched = panel.typed_voxel_size() is None and not panel.half_typed()
        if panel.layer_key() == key and untouched and self.run_in_progress is None:
            panel.type_voxel_size(size)
            self._settle.start()

    def _on_rehearsed(self, plan: "Plan", found: "Rehearsed") -> None:
        """Tell how long it will take, now that it is known."""
        pace = self.running.pace
        pace.learn_costs(found.costs)
        if found.rate is not None:
            pace.guess_rate(plan, found.rate)
        self._settle.start()

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
        self._look_now()
        self._run_anew(None)

    def resume(self) -> None:
        """Go on with the prediction that was stopped, if it is still what is chosen."""
        self._look_now()
        left = self.running.undertaking
        if left is not None and self.form.foot.state is RunState.RESUMABLE:
            self._begin(left, None)

    def run_part(self) -> None:
        """Predict what is on screen, at this time point; the rest can follow.

        A stopped prediction goes on with it, where it is still what is chosen.
        """
        self._look_now()
        ready = self.outlook.ready()
        if ready is None or self.run_in_progress is not None:
            return
        part = part_in_sight(self._viewer, ready.layer, ready.reading, ready.plan)
        if part is None:
            unseen = "nothing of the stack is on screen; press Home in napari to see it"
            self.forecast.tell(InputError(unseen))
            return
        left = self.running.undertaking
        if left is not None and self.form.foot.state is RunState.RESUMABLE:
            self._begin(left, part)
        else:
            self._run_anew(part)

    def _look_now(self) -> None:
        self._settle.stop()
        self.look_ahead()

    def _run_anew(self, part: "Viewport | None") -> None:
        ready = self.outlook.ready()
        if ready is None or self.run_in_progress is not None:
            return
        self.running.forget()  # first: its memory may be needed
        try:
            progress = self._engine.new_progress()
            begun = Undertaking.of(self.form.choice(), ready, progress)
        except InputError as error:
            self.forecast.tell(error)
            return
        self.form.structures.clear_scores()
        self._begin(begun, part)

    def _begin(self, undertaking: Undertaking, part: "Viewport | None") -> None:
        """Start the thread, then make the layers that will fill up and follow them."""
        self.keeper.give_way()
        self.tracker.holder.expect()
        self.running.start(undertaking, part)
        ready, plan = undertaking.ready, undertaking.ready.plan
        again = bool(self.layers.layers())
        with self.view.at_work():
            try:
                self.layers.prepare(
                    plan,
                    undertaking.buffer,
                    ready.layer,
                    ready.reading,
                    self._shown_channels(),
                    undertaking.truths(),
                )
            except Exception as error:
                self._on_no_layer(error)
        if not again:  # a second run leaves "My view" alone
            # apart from the first layer: both take napari a while
            QTimer.singleShot(_BREATH_MS, self._show_first)
        first = next(iter(self.layers.layers().values()), None)
        if first is None:
            self.tracker.stop()
        else:
            self.tracker.follow(first, has_time=plan.output_axes.startswith("T"))

    def _on_no_layer(self, error: Exception) -> None:
        """What cannot be shown need not be predicted."""
        self.running.cancel()
        self.forecast.tell(readable_error(error, "the making of layers"))

    def _show_first(self) -> None:
        if self.layers.layers():
            self.view.show_where_one_is(self.layouts.current or OVERLAY)

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
        self.forecast.keep_message()
        self._settle.start()

    def _replay(self) -> Replay:
        """Tell what was just run, or what Run would do."""
        made = self.layers.layers()
        if made:
            return replay_of(self._viewer, made.values())
        return replay_ahead(self._viewer, self.outlook, self.form.choice())

    # looking ------------------------------------------------------------------

    def _source(self) -> Any | None:
        """Give the layer that is, or would be, predicted from."""
        if self.run_in_progress is not None and self.running.undertaking is not None:
            return self.running.undertaking.ready.layer
        return self.outlook.layer

    @property
    def layouts(self) -> Layouts:
        """How the viewer is arranged, and the way back."""
        return self.view.layouts

    def scene(self) -> Scene:
        """Tell which layers belong together."""
        return self.view.scene()

    def show_layout(self, name: str) -> None:
        """Show overlay or side by side."""
        self.view.show(name)

    def restore_view(self) -> None:
        """Give the user's own view back."""
        self.view.restore()
