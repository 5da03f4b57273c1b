"""Run, progress, messages and layouts: the foot of the dock, always in sight."""

from enum import Enum

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QLabel,
    QPushButton,
)

from napari_sparsessp.ui.layouts.layouts import OVERLAY, SIDE_BY_SIDE
from napari_sparsessp.ui.predict.foot_menu import FootMenu
from napari_sparsessp.ui.widgets.basic import Segments, WorkFoot, in_a_row
from napari_sparsessp.ui.widgets.style import duration_text

_PART_TIP = (
    "Predict the field that is on screen, in all its planes, at this time point "
    "(Ctrl+Shift+R). The numbers are those of the whole; Resume adds the rest."
)
_NO_PART_TIP = (
    "In 3D all of the stack is in sight. Go back to 2D (the square below the layer "
    "list) and zoom in on what you want to see."
)


class RunState(Enum):
    """Where a prediction stands."""

    READY = "ready"
    BLOCKED = "blocked"
    RESUMABLE = "resumable"
    RUNNING = "running"
    CANCELLING = "cancelling"


class RunPanel(WorkFoot):
    """Button, progress bar, status, message and layout switch.

    Signals
    -------
    run_asked, resume_asked, cancel_asked
    part_asked
        Predict only what is on screen.
    layout_asked : str
        ``overlay`` or ``side``.
    restore_asked
    """

    run_asked = Signal()
    resume_asked = Signal()
    cancel_asked = Signal()
    part_asked = Signal()
    layout_asked = Signal(str)
    restore_asked = Signal()

    def __init__(self) -> None:
        super().__init__("the prediction", RunState.BLOCKED)
        self.again_button = QPushButton("Start over")
        self.again_button.setToolTip(
            "Predict everything anew; what is there is predicted over."
        )
        self.part_button = QPushButton("Only what I see")
        self._flat = True
        self.layouts = Segments(
            [
                (
                    OVERLAY,
                    "Overlay",
                    "The shown structures in colour on the transmitted light.",
                ),
                (
                    SIDE_BY_SIDE,
                    "Side by side",
                    "Transmitted light, ground truth and prediction in one cell each.",
                ),
            ],
            "View",
        )
        self.layouts.clear()
        self.restore_button = QPushButton("My view")
        self.restore_button.setToolTip(
            "Give back the view that you had before: grid, order, visibility."
        )
        self.restore_button.setEnabled(False)
        self.menu = FootMenu()
        self._arrange()
        self.button.clicked.connect(self._on_clicked)
        self.again_button.clicked.connect(lambda _on: self.run_asked.emit())
        self.part_button.clicked.connect(lambda _on: self.part_asked.emit())
        self.layouts.chosen.connect(self.layout_asked)
        self.restore_button.clicked.connect(lambda _on: self.restore_asked.emit())
        self.set_state(RunState.BLOCKED)

    def _arrange(self) -> None:
        label = QLabel("View")
        label.setProperty("role", "muted")
        view = in_a_row(
            label, self.layouts, self.restore_button, self.menu, stretched=0
        )
        view.setStretch(1, 1)
        buttons = in_a_row(self.button, self.again_button, self.part_button)
        self.stack(buttons, self.bar, self.status, view)

    def set_state(self, state: RunState, why: str = "") -> None:
        """Change the button to what it does now.

        Parameters
        ----------
        state : RunState
        why : str
            What keeps the button off, for its tool tip.
        """
        look = {
            RunState.READY: ("Run", "run", "Predict the ticked structures (Ctrl+R)."),
            RunState.BLOCKED: ("Run", "run", why),
            RunState.RESUMABLE: (
                "Resume",
                "run",
                "Go on where it stopped; what is done is not done again (Ctrl+R).",
            ),
            RunState.RUNNING: ("Cancel", "stop", "Stop; what is done stays (Esc)."),
            RunState.CANCELLING: ("Cancelling…", "stop", "Stops after this tile."),
        }[state]
        off = state in (RunState.BLOCKED, RunState.CANCELLING)
        self.take_state(state, look, not off)
        self.again_button.setVisible(state is RunState.RESUMABLE)
        self._offer_part()
        if state is RunState.CANCELLING:
            self.set_status("Cancelling after this tile…")

    def set_flat(self, flat: bool) -> None:
        """Tell whether the viewer shows a slice; in 3D all of a stack is in sight."""
        self._flat = flat
        self._offer_part()

    def _offer_part(self) -> None:
        busy = self._state in (RunState.RUNNING, RunState.CANCELLING)
        self.part_button.setVisible(not busy)
        self.part_button.setEnabled(self._flat and self._state is not RunState.BLOCKED)
        self.part_button.setToolTip(_PART_TIP if self._flat else _NO_PART_TIP)

    def begin(self, done: int = 0, total: int = 0) -> None:
        """Show that a run has begun; of one that goes on, how far it is already."""
        self.message.clear()
        self.set_state(RunState.RUNNING)
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        what = f"Going on at {done} of {total} tiles" if total else "Loading the model"
        self.set_status(f"{what}…")

    def show_progress(self, done: int, total: int, seconds_left: float) -> None:
        """Move the bar; a total of 0 shows that work goes on, not how much."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        if total:
            left = "" if done >= total else f" · {duration_text(seconds_left)} left"
            self.set_status(f"{done} of {total} tiles{left}")

    def show_stopped(self, done: int, total: int, why: str) -> None:
        """Show how far a run came that was stopped."""
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)
        if done:
            self.set_status(f"{why}: {done} of {total} tiles are done and stay.")
        else:
            self.set_status(f"{why} before the first tile.")

    def show_part_done(self, done: int, total: int) -> None:
        """Show that what was in sight is predicted, and what Resume would add."""
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)
        self.set_status(f"What you saw is done: {done} of {total} tiles.")

    def reset_progress(self) -> None:
        """Empty the bar."""
        self.bar.setRange(0, 1)
        self.bar.setValue(0)

    def show_layout(self, name: str | None) -> None:
        """Show which layout is on; None or "": the user's own view."""
        if name in (OVERLAY, SIDE_BY_SIDE):
            self.layouts.set_value(str(name))
        else:  # the user's own, or one of the Compare dock
            self.layouts.clear()
        self.restore_button.setEnabled(bool(name))

    def _on_clicked(self, _on: bool) -> None:
        if self._state is RunState.RUNNING:
            self.set_state(RunState.CANCELLING)
            self.cancel_asked.emit()
        elif self._state is RunState.RESUMABLE:
            self.resume_asked.emit()
        elif self._state is RunState.READY:
            self.run_asked.emit()
