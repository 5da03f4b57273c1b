"""A training that was stopped, paused or cut short: go on with it, or let it go."""

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

if TYPE_CHECKING:
    from napari_sparsessp.training.checkpoints import RunInfo


class UnfinishedBar(QFrame):
    """Tells of the last training that can go on; hidden where there is none.

    Signals
    -------
    resume_asked, discard_asked
    """

    resume_asked = Signal()
    discard_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.run: RunInfo | None = None
        self.setProperty("role", "notice")
        self.text = QLabel("")
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.resume_button = QPushButton("Go on")
        self.resume_button.setToolTip(
            "Go on where it stopped, with the settings that it was begun with."
        )
        self.discard_button = QPushButton("Discard")
        self.discard_button.setProperty("role", "link")
        self.discard_button.setToolTip("Move its folder to the system's trash.")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addStretch(1)
        row.addWidget(self.discard_button)
        row.addWidget(self.resume_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(9, 7, 9, 7)
        column.setSpacing(3)
        column.addWidget(self.text)
        column.addLayout(row)
        self.resume_button.clicked.connect(lambda _on: self.resume_asked.emit())
        self.discard_button.clicked.connect(lambda _on: self.discard_asked.emit())
        self.hide()

    def show_run(self, run: "RunInfo | None") -> None:
        """Tell of a training, or hide."""
        self.run = run
        self.setVisible(run is not None)
        if run is None:
            return
        model, budget = run.config.model, run.config.budget
        of = f"{budget.minutes:g} min" if budget.minutes else f"{budget.steps} steps"
        score = "" if run.best is None else f", best R² {run.best:.2f}"
        self.text.setText(
            f"“{model.name or model.id}” is not finished: {run.share:.0%} of "
            f"{of}{score}."
        )
        self.text.setToolTip(str(run.folder))
