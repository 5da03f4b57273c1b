"""The steps of a dock below each other: they scroll, and the foot under them stays."""

from collections.abc import Iterable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

NARROWEST = 340
"""Pixels of a dock in which nothing is cut."""


class StepColumn(QScrollArea):
    """Scrolls from top to bottom only.

    Parameters
    ----------
    steps : iterable of QWidget
        From top to bottom.
    below : int
        Pixels under the last one.

    Attributes
    ----------
    column : QVBoxLayout
        For what comes after the steps; see `end`.
    """

    def __init__(self, steps: Iterable[QWidget], below: int = 0) -> None:
        super().__init__()
        body = QWidget()
        self.column = QVBoxLayout(body)
        self.column.setContentsMargins(12, 7, 10, below)
        self.column.setSpacing(0)
        for step in steps:
            self.column.addWidget(step)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab goes to what is in it
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(body)

    def end(self) -> None:
        """Leave what room is left below."""
        self.column.addStretch(1)


def put_above(form: QWidget, steps: StepColumn, foot: QWidget) -> None:
    """Arrange a dock: its steps take all the room that its foot leaves."""
    outer = QVBoxLayout(form)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.setSpacing(0)
    outer.addWidget(steps, 1)
    outer.addWidget(foot)
    form.setMinimumWidth(NARROWEST)
