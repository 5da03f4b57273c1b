"""Train, stop, progress and messages: the foot of the Train dock, always in sight."""

from enum import Enum

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton

from napari_sparsessp.ui.widgets.basic import SHARES, WorkFoot, in_a_row
from napari_sparsessp.ui.widgets.style import take_role


class TrainState(Enum):
    """Where a training stands."""

    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    STOPPING = "stopping"
    WRITING = "writing"


_LOOKS = {
    TrainState.BLOCKED: ("Train", "run", ""),
    TrainState.READY: ("Train", "run", "Begin to learn (Ctrl+R)."),
    TrainState.RUNNING: (
        "Stop and keep the best",
        "stop",
        "Stop after this step, and make a model of the best state so far (Esc).",
    ),
    TrainState.STOPPING: ("Stopping…", "stop", "Stops after this step."),
    TrainState.WRITING: ("Writing the model…", "stop", "It takes some seconds."),
}


class TrainFoot(WorkFoot):
    """The button, what it did, and what comes after.

    Signals
    -------
    train_asked, stop_asked, pause_asked, predict_asked
    """

    train_asked = Signal()
    stop_asked = Signal()
    pause_asked = Signal()
    predict_asked = Signal()

    def __init__(self) -> None:
        super().__init__("the training", TrainState.BLOCKED)
        self.pause_button = QPushButton("Pause")
        self.pause_button.setToolTip(
            "Stop after this step and save; go on later, also after a restart."
        )
        self.predict_button = QPushButton("Predict with it")
        self.predict_button.setProperty("role", "run")
        self.predict_button.setToolTip("Open Predict with the new model chosen.")
        buttons = in_a_row(
            self.predict_button, self.button, self.pause_button, stretched=2
        )
        self.stack(buttons, self.bar, self.status)
        self.button.clicked.connect(self._on_clicked)
        self.pause_button.clicked.connect(self._on_pause)
        self.predict_button.clicked.connect(lambda _on: self.predict_asked.emit())
        self.predict_button.hide()
        self.set_state(TrainState.BLOCKED)

    def set_state(self, state: TrainState, why: str = "") -> None:
        """Change the button to what it does now.

        Parameters
        ----------
        state : TrainState
        why : str
            What keeps the button off, for its tool tip.
        """
        text, role, tip = _LOOKS[state]
        on = state in (TrainState.READY, TrainState.RUNNING)
        self.take_state(state, (text, role, why or tip), on)
        busy = state in (TrainState.RUNNING, TrainState.STOPPING)
        self.pause_button.setVisible(busy)
        self.pause_button.setEnabled(state is TrainState.RUNNING)

    def offer_predict(self, on: bool) -> None:
        """Offer to predict with the new model, in place of the great button."""
        self.predict_button.setVisible(on)
        text, role, _ = _LOOKS[TrainState(self.state)]
        take_role(self.button, "" if on else role)
        self.button.setText("Train another" if on else text)

    def show_share(self, share: float | None) -> None:
        """Move the bar; None: work goes on, nobody knows how much."""
        self.bar.setRange(0, 0 if share is None else SHARES)
        if share is not None:
            self.bar.setValue(round(SHARES * min(max(share, 0.0), 1.0)))

    def _on_clicked(self, _on: bool) -> None:
        if self._state is TrainState.READY:
            self.train_asked.emit()
        elif self._state is TrainState.RUNNING:
            self.set_state(TrainState.STOPPING)
            self.stop_asked.emit()

    def _on_pause(self, _on: bool) -> None:
        self.set_state(TrainState.STOPPING)
        self.pause_asked.emit()
