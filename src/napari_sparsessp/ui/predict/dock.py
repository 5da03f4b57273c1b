"""The Predict dock: structures appear as layers while they are predicted.

Wiring only: the form (`predict_form`) tells what was chosen, `forecast` makes a plan of
it, `running` runs it, `stream_layers` shows it, `predict_view` arranges it.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication, QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.device import free_bytes
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.ui.dock import JoinOthers, add_shortcut, fill_with, settling
from napari_sparsessp.ui.engine.link import InstalledEngine
from napari_sparsessp.ui.engine.rehearsal import Rehearsed
from napari_sparsessp.ui.layers.metadata import (
    FILE,
    KEY,
    UNCERTAINTY,
    is_prediction,
    link_orphans,
    model_of,
    truth_of,
)
from napari_sparsessp.ui.layers.opening import FileOpening, RecordedSize
from napari_sparsessp.ui.layers.reading import input_choices, truth_choices
from napari_sparsessp.ui.layers.viewport import ViewportTracker, part_in_sight
from napari_sparsessp.ui.layouts.arrangement import (
    OVERLAY,
    SIDE_BY_SIDE,
    Layouts,
    Scene,
    layouts_of,
    scene_of,
)
from napari_sparsessp.ui.models.shelf import ModelShelf
from napari_sparsessp.ui.napari_compat import camera_of, grid_of, layer_key
from napari_sparsessp.ui.predict.export import Replay, Takeaway, replay_ahead, replay_of
from napari_sparsessp.ui.predict.form import (
    PredictForm,
    RunState,
    is_dense,
    show_outlook,
    work_text,
)
from napari_sparsessp.ui.predict.layers import StreamLayers
from napari_sparsessp.ui.predict.planning import Choice, Outlook, look_ahead
from napari_sparsessp.ui.predict.session import PredictionRun, Running, Undertaking
from napari_sparsessp.ui.samples import SampleOpening
from napari_sparsessp.ui.tasks import error_details, readable_error
from napari_sparsessp.ui.widgets.sampling import PlaneCursor
from napari_sparsessp.ui.widgets.stack_input import InputWatch
from napari_sparsessp.ui.widgets.structures import StructureModel

if TYPE_CHECKING:
    import napari

    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.ui.engine.stream_worker import Viewport
    from napari_sparsessp.ui.layers.contrast import Scale


class Forecast(QObject):
    """Plans what is chosen and shows what is expected, found and missing.

    Parameters
    ----------
    viewer : napari.Viewer
    engine
        Anything with the methods of `InstalledEngine`.
    form : PredictForm
    running : Running
    parent : QObject, optional

    Attributes
    ----------
    outlook : Outlook
        What would happen on Run.

    Signals
    -------
    seen
        The form shows what is chosen now.
    """

    seen = Signal()

    def __init__(
        self,
        viewer: Any,
        engine: Any,
        form: PredictForm,
        running: Running,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._engine = engine
        self._form = form
        self._running = running
        self._told_for: tuple[Choice, str] | None = None
        self.outlook = Outlook()
        self.cursor = PlaneCursor(viewer, form.sampling.drawing, self)
        self.watch = InputWatch(self)

    def look_ahead(self) -> None:
        """Plan what is chosen now, and show it."""
        form, choice = self._form, self._form.choice()
        seen = look_ahead(self._viewer, self._engine, choice)
        form.input.show_reading(seen.reading, guess=choice.leading is None)
        form.sampling.set_stack(is_dense(choice, seen))
        if form.choice() != choice:  # it corrected itself: plan what it says now
            choice = form.choice()
            seen = look_ahead(self._viewer, self._engine, choice)
        self.outlook = seen
        self._show(choice)
        self.seen.emit()

    def keep_message(self) -> None:
        """Let what the foot says stand until something else is chosen."""
        self._told_for = self._form.choice(), ""

    def tell(self, error: Exception) -> None:
        """Show a problem, with what was asked for in its details."""
        left = self._running.undertaking
        request = self.outlook.request if left is None else left.ready.plan.request
        self.keep_message()
        details = error_details(error, request)
        self._form.foot.message.show_error(str(error), details)

    def _show(self, choice: Choice) -> None:
        form, seen = self._form, self.outlook
        show_outlook(form, choice, seen, self._running.pace)
        axis = -1 if seen.reading is None else seen.reading.letters.find("Z")
        view = None if seen.plan is None else seen.plan.view
        self.cursor.follow(seen.layer, axis, view)
        self.watch.follow(seen.layer)
        foot = form.foot
        changed = self._changed(choice)
        if seen.problem is None:
            if seen.plan is None:
                foot.set_state(RunState.BLOCKED, seen.waiting)
            else:
                left = self._running.undertaking is not None and not changed
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
            self._show_ready(seen, seen.plan, changed)

    def _show_ready(self, seen: Outlook, plan: "Plan", changed: str) -> None:
        half = "the voxel size needs all three numbers: z, y and x"
        notices = [half] if self._form.input.half_typed() else []
        foot = self._form.foot
        foot.message.show_notices([*notices, *seen.notes, *plan.warnings])
        foot.set_status(work_text(plan, self._running.pace.expected(plan)))
        self._show_left(changed)

    def _changed(self, choice: Choice) -> str:
        """Tell what keeps a stopped prediction from going on; "" for nothing."""
        left = self._running.undertaking
        if left is None or left.lost(self._viewer):
            self._running.forget()
            return ""
        return left.change(choice, self.outlook)

    def _show_left(self, changed: str) -> None:
        """Say how far the stopped prediction is, or why Run starts anew."""
        left, foot = self._running.undertaking, self._form.foot
        if left is not None and changed:
            foot.set_status(f"Run starts anew: {changed}.")
        elif left is not None:
            foot.show_stopped(left.done, left.total, "Stopped")


class GoingOn:
    """Chooses, once, what opened predictions of the chosen stack were made with.

    Parameters
    ----------
    viewer : napari.Viewer
    form : PredictForm
    shelf : ModelShelf
    """

    def __init__(self, viewer: Any, form: PredictForm, shelf: ModelShelf) -> None:
        self._viewer = viewer
        self._form = form
        self._shelf = shelf
        self._seen: set[str] = set()
        self._news = False

    def has_news(self) -> bool:
        """Tell, once, whether predictions have come that nobody has arranged yet."""
        news, self._news = self._news, False
        return news

    def look(self) -> None:
        """Look for predictions that have just been opened."""
        key = self._form.input.layer_key()
        opened = [one for one in self._viewer.layers if _is_opened(one, key)]
        fresh = [one for one in opened if layer_key(one) not in self._seen]
        self._seen |= {layer_key(one) for one in opened}
        if not fresh:
            return
        model, shown = model_of(fresh[-1]), [(one, one.visible) for one in opened]
        if model != self._form.topology.model_id():
            self._shelf.choose(model)
        for layer, visible in shown:  # another model's would be shown by habit
            layer.visible = visible
        self._news = True
        if model == self._form.topology.model_id():
            self._choose([one for one in fresh if model_of(one) == model])

    def _choose(self, predictions: list[Any]) -> None:
        """Choose in the form what was chosen for them."""
        form, about = self._form, predictions[-1].metadata[KEY]
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
        form.options.tta_box.setChecked(request.tta)
        form.options.uncertainty_box.setChecked(request.uncertainty)


def take_up(structures: StructureModel, predictions: Mapping[str, Any]) -> None:
    """Let the table of structures say what adopted predictions say.

    Parameters
    ----------
    structures : StructureModel
    predictions : mapping
        Structure id to the layer of its prediction.
    """
    offered = {key for key, _ in structures.layers}
    for number, row in enumerate(structures.rows):
        layer = predictions.get(row.structure.id)
        if layer is None:
            continue
        truth = truth_of(layer)
        if truth in offered and truth != row.truth:
            structures.choose_truth(number, truth)
        scores = layer.metadata[KEY].get("scores")
        if row.scores is None and row.truth is not None and isinstance(scores, dict):
            structures.set_scores({row.structure.id: scores})


def _is_opened(layer: Any, source_key: str | None) -> bool:
    if not is_prediction(layer):
        return False
    about = layer.metadata[KEY]
    return FILE in about and about.get("source_id") == source_key


# Torch, a network and one tile take less than half of it.
LEAST_FREE = 3 * 2**30
# Choices often come in a row; the pointer may only pass by.
_AFTER_MS = 400
_LOOK_MS = 100
# A microscopist looks at a result for some minutes before the next run.
IDLE_MS = 15 * 60 * 1000
_NICE = 5
_INTENT = (QEvent.Type.Enter, QEvent.Type.KeyPress, QEvent.Type.MouseButtonPress)


class _Outcome:
    """A box that the thread puts its result in; it outlives every window."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.stop = threading.Event()
        self.found = Rehearsed()


class ModelKeeper(QObject):
    """Loads ahead, and lets go.

    Parameters
    ----------
    engine
        Anything with `InstalledEngine`'s ``rehearse``, ``loaded`` and ``forget``; one
        without is never made to load ahead.
    dock : QWidget
        Where the user's intent shows.

    Signals
    -------
    rehearsed : Plan, Rehearsed
        The model is loaded, and it is known how fast it is.
    loaded_changed : bool
        Whether a model is in memory.
    """

    rehearsed = Signal(object, object)
    loaded_changed = Signal(bool)

    def __init__(self, engine: Any, dock: QWidget) -> None:
        super().__init__(dock)
        self._engine = engine
        self._dock = dock
        self._plan: Plan | None = None
        self._tried: set[tuple[str, str]] = set()
        self._intent = False
        self._outcome: _Outcome | None = None
        self._of: Plan | None = None
        self._start = self._timer(_AFTER_MS, self._begin)
        self._idle = self._timer(IDLE_MS, self.unload)
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self._on_look)
        dock.installEventFilter(self)
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.focusChanged.connect(self._on_focus)

    def _timer(self, interval: int, slot: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval)
        timer.timeout.connect(slot)
        return timer

    @property
    def busy(self) -> bool:
        """Whether a rehearsal is under way."""
        return self._outcome is not None

    def expect(self, plan: "Plan | None") -> None:
        """Tell what Run would do now; None: nothing yet."""
        self._plan = plan
        self._consider()

    def intend(self) -> None:
        """Tell that the user is at the dock."""
        self._intent = True
        self._consider()

    def give_way(self) -> None:
        """End a rehearsal at the next chance: the real one begins."""
        self._start.stop()
        self._idle.stop()
        if self._outcome is not None:
            self._outcome.stop.set()

    def settle(self) -> None:
        """Tell that a prediction has ended: from now on the model is idle."""
        if self._plan is not None:
            self._tried.add(self._key(self._plan))
        self._idle.start()
        self._tell()

    def unload(self) -> None:
        """Free the memory of the model; the next run loads it again."""
        self.give_way()
        self._engine.forget()
        self._tried.clear()
        self._intent = False
        self._tell()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """See the user come; nothing is kept from the dock."""
        if event is not None and event.type() in _INTENT:
            self.intend()
        return super().eventFilter(watched, event)

    def _on_focus(self, _old: QWidget | None, new: QWidget | None) -> None:
        if new is not None and self._dock.isAncestorOf(new):
            self.intend()

    def _key(self, plan: "Plan") -> tuple[str, str]:
        return plan.card.id, plan.request.device

    def _consider(self) -> None:
        due = self._intent and self._plan is not None and self._outcome is None
        if due and self._plan is not None and self._key(self._plan) not in self._tried:
            self._start.start()
        else:
            self._start.stop()

    def _begin(self) -> None:
        plan, rehearse = self._plan, getattr(self._engine, "rehearse", None)
        if plan is None or rehearse is None or self._outcome is not None:
            return
        self._tried.add(self._key(plan))
        if (free_bytes() or 0) < LEAST_FREE + plan.memory.activations:
            return
        outcome = _Outcome()
        self._outcome, self._of = outcome, plan
        # the pool of Qt keeps its threads, and with them their low priority
        threading.Thread(
            target=_work, args=(rehearse, plan, outcome), daemon=True
        ).start()
        # a window may go without being closed; this slot belongs to nobody
        self.destroyed.connect(outcome.stop.set)
        self._look.start()

    def _on_look(self) -> None:
        outcome, plan = self._outcome, self._of
        if outcome is None or not outcome.done.is_set():
            return
        self._look.stop()
        self._outcome = self._of = None
        self._idle.start()
        self._tell()
        if outcome.found.rate is not None:
            self.rehearsed.emit(plan, outcome.found)
        self._consider()

    def _tell(self) -> None:
        self.loaded_changed.emit(bool(getattr(self._engine, "loaded", False)))


def _work(rehearse: Any, plan: "Plan", outcome: _Outcome) -> None:
    """Rehearse without being in anybody's way."""
    if sys.platform.startswith("linux"):  # there it is of this thread alone
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    try:
        outcome.found = rehearse(plan, outcome.stop)
    except Exception:  # the prediction itself will tell what is wrong
        outcome.found = Rehearsed()
    finally:
        outcome.done.set()


class PredictView(QObject):
    """Arranges the viewer's layers as the user asks in the dock.

    Parameters
    ----------
    viewer : napari.Viewer
    form : PredictForm
    layers : StreamLayers
    source : callable
        Gives the input layer, or None.
    scales : dict
        Mean and deviation of truths, by structure and truth layer's key.
    parent : QObject, optional
    """

    def __init__(
        self,
        viewer: Any,
        form: PredictForm,
        layers: StreamLayers,
        source: Callable[[], Any | None],
        scales: "dict[tuple[str, str], Scale]",
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._form = form
        self._layers = layers
        self._source = source
        self._scales = scales
        self.layouts = layouts_of(viewer)
        self._at_work = False
        form.structures.visibility_changed.connect(self._on_eye)
        form.structures.spread_changed.connect(self._on_spread)
        form.foot.layout_asked.connect(self.show)
        form.foot.restore_asked.connect(self.restore)
        self.layouts.changed.connect(form.foot.show_layout)
        layers.complete.connect(self.settle)
        layers.visible_changed.connect(self._on_layer_eye)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Meanwhile layers are shown and hidden by us, not by the user."""
        before, self._at_work = self._at_work, True
        try:
            yield
        finally:
            self._at_work = before

    @property
    def arranging(self) -> bool:
        """Whether layers are shown, hidden or moved by us right now."""
        return self._at_work or self.layouts.arranging

    def scene(self) -> Scene:
        """Tell which layers belong together."""
        predictions = self._layers.layers()
        rows = self._form.structures.rows
        scene = scene_of(self._viewer, self._source(), rows, predictions, self._scales)
        return replace(scene, uncertainties=self._layers.uncertainties())

    def show(self, name: str) -> None:
        """Show overlay or side by side."""
        self.layouts.apply(name, self.scene())
        self._form.foot.show_layout(self.layouts.current)

    def show_where_one_is(self, name: str) -> None:
        """Show a layout and stay where the user has zoomed to."""
        camera = camera_of(self._viewer)
        center, zoom = camera.center, camera.zoom
        self.show(name)
        if not grid_of(self._viewer).enabled:
            camera.center, camera.zoom = center, zoom

    def restore(self) -> None:
        """Give the user's own view back."""
        self.layouts.restore()
        self._form.foot.show_layout(None)

    def settle(self) -> None:
        """Let layers that came one by one find their place."""
        self.offer_spreads()
        if self.layouts.current is not None:
            self.show(self.layouts.current)
        made = self._layers.layers()
        shown = [made[id_] for id_ in self._form.structures.visible() if id_ in made]
        if shown:
            self._viewer.layers.selection.active = shown[0]

    def offer_spreads(self) -> None:
        """Let the table show which structures have a layer of uncertainty."""
        found = self._layers.uncertainties()
        shown = {id_: bool(layer.visible) for id_, layer in found.items()}
        self._form.structures.set_spreads(shown)

    def _on_eye(self, id_: str, visible: bool) -> None:
        if self.layouts.current == SIDE_BY_SIDE:
            self.show(SIDE_BY_SIDE)
        elif self.layouts.eyes_hold:
            self._layers.set_visible(id_, visible)

    def _on_spread(self, id_: str, shown: bool) -> None:
        if self.layouts.current == SIDE_BY_SIDE:
            self.show(SIDE_BY_SIDE)
        elif self.layouts.eyes_hold:
            self._layers.set_visible(deviation_channel(id_), shown)

    def _on_layer_eye(self, structure: str, role: str, visible: bool) -> None:
        if not self.arranging and self.layouts.eyes_hold:
            table = self._form.structures
            tell = table.set_spread if role == UNCERTAINTY else table.set_visible
            tell(structure, visible, tell=False)


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
