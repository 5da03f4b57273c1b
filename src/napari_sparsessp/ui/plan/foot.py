"""Button, progress and messages of the Plan dock: its foot, always in sight."""

from enum import Enum

from qtpy.QtCore import Signal

from napari_sparsessp.ui.widgets.basic import SHARES, WorkFoot


class PlanState(Enum):
    """Where the measuring stands."""

    READY = "ready"
    BLOCKED = "blocked"
    KNOWN = "known"
    RUNNING = "running"
    STOPPING = "stopping"


class PlanFoot(WorkFoot):
    """One button that measures or stops.

    Signals
    -------
    run_asked, stop_asked
    """

    run_asked = Signal()
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__("the measurement", PlanState.BLOCKED)
        self.stack(self.button, self.bar, self.status)
        self.button.clicked.connect(self._on_clicked)
        self.set_state(PlanState.BLOCKED)

    def set_state(self, state: PlanState, why: str = "") -> None:
        """Change the button to what it does now.

        Parameters
        ----------
        state : PlanState
        why : str
            What keeps the button off, for its tool tip.
        """
        measure = (
            "Predict the stack from every plane and from every r-th one, and compare "
            "(Ctrl+R)."
        )
        look = {
            PlanState.READY: ("Find the ratio", "run", measure),
            PlanState.BLOCKED: ("Find the ratio", "run", why),
            PlanState.KNOWN: (
                "Check again",
                "",
                "This was measured already. The pixels are read again; only where they "
                "have changed is anything predicted anew (Ctrl+R).",
            ),
            PlanState.RUNNING: (
                "Stop",
                "stop",
                "Stop; ratios that are done stay (Esc).",
            ),
            PlanState.STOPPING: ("Stopping…", "stop", "Stops before the next layer."),
        }[state]
        on = state not in (PlanState.BLOCKED, PlanState.STOPPING)
        self.take_state(state, look, on)

    def show_progress(self, what: str, share: float) -> None:
        """Move the bar and say what is being done."""
        self.bar.setValue(round(SHARES * share))
        self.set_status(what)

    def reset_progress(self) -> None:
        """Empty the bar."""
        self.bar.setValue(0)

    def _on_clicked(self, _on: bool) -> None:
        if self._state is PlanState.RUNNING:
            self.set_state(PlanState.STOPPING)
            self.stop_asked.emit()
        elif self._state in (PlanState.READY, PlanState.KNOWN):
            self.run_asked.emit()
