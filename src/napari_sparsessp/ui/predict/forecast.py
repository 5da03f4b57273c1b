"""What Run would do, kept up to date and shown in the form before anything runs."""

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.ui.inputs.input_watch import InputWatch
from napari_sparsessp.ui.inputs.plane_cursor import PlaneCursor
from napari_sparsessp.ui.predict.form import PredictForm
from napari_sparsessp.ui.predict.outlook import Choice, Outlook, look_ahead
from napari_sparsessp.ui.predict.outlook_view import is_dense, show_outlook, work_text
from napari_sparsessp.ui.predict.run_panel import RunState
from napari_sparsessp.ui.predict.running import Running
from napari_sparsessp.ui.tasks import error_details

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan


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
