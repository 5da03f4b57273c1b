"""Button, progress and messages of the Plan dock: its foot, always in sight."""

from enum import Enum

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFrame,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.look.dress import take_role
from napari_sparsessp.ui.look.message_box import MessageBox

_STEPS = 1000


class PlanState(Enum):
    """Where the measuring stands."""

    READY = "ready"
    BLOCKED = "blocked"
    KNOWN = "known"
    RUNNING = "running"
    STOPPING = "stopping"


class PlanFoot(QWidget):
    """One button that measures or stops.

    Signals
    -------
    run_asked, stop_asked
    """

    run_asked = Signal()
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._state = PlanState.BLOCKED
        self.message = MessageBox()
        self.button = QPushButton("")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, _STEPS)
        self.bar.setAccessibleName("Progress of the measurement")
        self.status = QLabel("")
        self.status.setProperty("role", "muted")
        self.status.setWordWrap(True)
        self.status.setSizePolicy(
            QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred
        )
        line = QFrame()
        line.setProperty("role", "line")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 0, 12, 10)
        column.setSpacing(7)
        for widget in (line, self.message, self.button, self.bar, self.status):
            column.addWidget(widget)
        self.button.clicked.connect(self._on_clicked)
        self.set_state(PlanState.BLOCKED)

    @property
    def state(self) -> PlanState:
        """Where the measuring stands."""
        return self._state

    def set_state(self, state: PlanState, why: str = "") -> None:
        """Change the button to what it does now.

        Parameters
        ----------
        state : PlanState
        why : str
            What keeps the button off, for its tool tip.
        """
        self._state = state
        measure = (
            "Predict the stack from every plane and from every r-th one, and compare "
            "(Ctrl+R)."
        )
        text, role, tip = {
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
        self.button.setText(text)
        self.button.setToolTip(tip)
        self.button.setEnabled(state not in (PlanState.BLOCKED, PlanState.STOPPING))
        take_role(self.button, role)

    def set_status(self, text: str) -> None:
        """Say in a line what is going on."""
        self.status.setText(text)

    def show_progress(self, what: str, share: float) -> None:
        """Move the bar and say what is being done."""
        self.bar.setValue(round(_STEPS * share))
        self.set_status(what)

    def reset_progress(self) -> None:
        """Empty the bar."""
        self.bar.setValue(0)

    def press(self, *states: PlanState) -> None:
        """Press the button, if it does what is meant: a key is never a surprise."""
        if self._state in states:
            self.button.click()

    def _on_clicked(self, _on: bool) -> None:
        if self._state is PlanState.RUNNING:
            self.set_state(PlanState.STOPPING)
            self.stop_asked.emit()
        elif self._state in (PlanState.READY, PlanState.KNOWN):
            self.run_asked.emit()
