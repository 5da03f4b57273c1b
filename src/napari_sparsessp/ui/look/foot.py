"""The foot of a dock, always in sight: messages, buttons, progress and status."""

from enum import Enum

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

SHARES = 1000
"""Steps of a bar that shows a share."""


class Foot(QWidget):
    """What the feet of all docks have; each adds its own buttons and states.

    Parameters
    ----------
    work : str
        What is done here, for screen readers: ``the prediction``.
    """

    def __init__(self, work: str) -> None:
        super().__init__()
        self.message = MessageBox()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, SHARES)
        self.bar.setAccessibleName(f"Progress of {work}")
        self.status = QLabel("")
        self.status.setProperty("role", "muted")
        self.status.setWordWrap(True)  # in a narrow dock nothing is cut
        self.status.setSizePolicy(
            QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred
        )

    def stack(self, *rows: QWidget | QHBoxLayout) -> None:
        """Put rows below a line and the message."""
        line = QFrame()
        line.setProperty("role", "line")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 0, 12, 10)
        column.setSpacing(7)
        for row in (line, self.message, *rows):
            if isinstance(row, QWidget):
                column.addWidget(row)
            else:
                column.addLayout(row)

    def set_status(self, text: str) -> None:
        """Say in one line what is going on."""
        self.status.setText(text)
        self.status.setToolTip(text)


class WorkFoot(Foot):
    """A foot with one great button that starts and stops the dock's work.

    Parameters
    ----------
    work : str
    state : Enum
        Where the work stands at first; the dock's own states.
    """

    def __init__(self, work: str, state: Enum) -> None:
        super().__init__(work)
        self._state = state
        self.button = QPushButton("")

    @property
    def state(self) -> Enum:
        """Where the work stands."""
        return self._state

    def take_state(self, state: Enum, look: tuple[str, str, str], on: bool) -> None:
        """Change the button to what it does now.

        Parameters
        ----------
        state : Enum
        look : (text, role, tool tip)
        on : bool
            Whether it can be pressed.
        """
        text, role, tip = look
        self._state = state
        self.button.setText(text)
        self.button.setToolTip(tip)
        self.button.setEnabled(on)
        take_role(self.button, role)

    def press(self, *states: Enum) -> None:
        """Press the button, if it does what is meant: a key is never a surprise."""
        if self._state in states:
            self.button.click()


def in_a_row(*widgets: QWidget, stretched: int = 1) -> QHBoxLayout:
    """Put widgets beside each other.

    Parameters
    ----------
    widgets : QWidget
    stretched : int
        How many of the first share the room that is left.
    """
    row = QHBoxLayout()
    row.setSpacing(6)
    for place, widget in enumerate(widgets):
        row.addWidget(widget, 1 if place < stretched else 0)
    return row
