"""Train, stop, progress and messages: the foot of the Train dock, always in sight."""

from enum import Enum

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.look.dress import take_role
from napari_sparsessp.ui.look.message_box import MessageBox


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


class TrainFoot(QWidget):
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
        super().__init__()
        self._state = TrainState.BLOCKED
        self.message = MessageBox()
        self.button = QPushButton("Train")
        self.button.setProperty("role", "run")
        self.pause_button = QPushButton("Pause")
        self.pause_button.setToolTip(
            "Stop after this step and save; go on later, also after a restart."
        )
        self.predict_button = QPushButton("Predict with it")
        self.predict_button.setProperty("role", "run")
        self.predict_button.setToolTip("Open Predict with the new model chosen.")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("Progress of the training")
        self.status = QLabel("")
        self.status.setProperty("role", "muted")
        self.status.setWordWrap(True)
        self.status.setSizePolicy(
            QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred
        )
        self._arrange()
        self.button.clicked.connect(self._on_clicked)
        self.pause_button.clicked.connect(self._on_pause)
        self.predict_button.clicked.connect(lambda _on: self.predict_asked.emit())
        self.predict_button.hide()
        self.set_state(TrainState.BLOCKED)

    def _arrange(self) -> None:
        line = QFrame()
        line.setProperty("role", "line")
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.predict_button, 1)
        buttons.addWidget(self.button, 1)
        buttons.addWidget(self.pause_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 0, 12, 10)
        column.setSpacing(7)
        column.addWidget(line)
        column.addWidget(self.message)
        column.addLayout(buttons)
        column.addWidget(self.bar)
        column.addWidget(self.status)

    @property
    def state(self) -> TrainState:
        """Where the training stands."""
        return self._state

    def set_state(self, state: TrainState, why: str = "") -> None:
        """Change the button to what it does now.

        Parameters
        ----------
        state : TrainState
        why : str
            What keeps the button off, for its tool tip.
        """
        self._state = state
        text, role, tip = _LOOKS[state]
        self.button.setText(text)
        self.button.setToolTip(why or tip)
        self.button.setEnabled(state in (TrainState.READY, TrainState.RUNNING))
        busy = state in (TrainState.RUNNING, TrainState.STOPPING)
        self.pause_button.setVisible(busy)
        self.pause_button.setEnabled(state is TrainState.RUNNING)
        take_role(self.button, role)

    def offer_predict(self, on: bool) -> None:
        """Offer to predict with the new model, in place of the great button."""
        self.predict_button.setVisible(on)
        text, role, _ = _LOOKS[self._state]
        take_role(self.button, "" if on else role)
        self.button.setText("Train another" if on else text)

    def set_status(self, text: str) -> None:
        """Say in one line what is going on."""
        self.status.setText(text)
        self.status.setToolTip(text)

    def show_share(self, share: float | None) -> None:
        """Move the bar; None: work goes on, nobody knows how much."""
        self.bar.setRange(0, 0 if share is None else 1000)
        if share is not None:
            self.bar.setValue(round(1000 * min(max(share, 0.0), 1.0)))

    def press(self, state: TrainState) -> None:
        """Press the button, if it does what is meant: a key is never a surprise."""
        if self._state is state:
            self.button.click()

    def _on_clicked(self, _on: bool) -> None:
        if self._state is TrainState.READY:
            self.train_asked.emit()
        elif self._state is TrainState.RUNNING:
            self.set_state(TrainState.STOPPING)
            self.stop_asked.emit()

    def _on_pause(self, _on: bool) -> None:
        self.set_state(TrainState.STOPPING)
        self.pause_asked.emit()
