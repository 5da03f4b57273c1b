"""What can be taken out of a dock: a command, a request, the layers themselves."""

from qtpy.QtCore import QPoint, Signal
from qtpy.QtWidgets import QMenu, QPushButton


class FootMenu(QPushButton):
    """A button with three dots that opens a short menu.

    Signals
    -------
    copy_asked
        Copy the command line that gives the same numbers.
    request_asked
        Save the request as YAML.
    save_asked
        Save the layers with all that belongs to them.
    """

    copy_asked = Signal()
    request_asked = Signal()
    save_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setText("⋯")
        self.setToolTip(
            "Take it with you: as a command line, as a saved request, or all layers "
            "in one OME-Zarr to go on with later."
        )
        self.setAccessibleName("Take the prediction with you")
        # no arrow beside three dots that say the same
        self.setProperty("role", "dots")
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.copy_action = menu.addAction("Copy as command line")
        self.copy_action.setToolTip(
            "The exact `sparsessp predict …` for this prediction; it gives the same "
            "numbers, on a server or for a hundred stacks."
        )
        self.request_action = menu.addAction("Save request as YAML…")
        self.request_action.setToolTip(
            "All settings in a small file, for `sparsessp predict --request FILE`."
        )
        menu.addSeparator()
        self.save_action = menu.addAction("Save with all that belongs to it…")
        self.save_action.setToolTip(
            "Stack, truths, predictions and uncertainties in one OME-Zarr folder; "
            "opened again, everything goes on where it was."
        )
        self.entries = menu
        self.clicked.connect(lambda _on: self.unfold())
        self.copy_action.triggered.connect(lambda _on: self.copy_asked.emit())
        self.request_action.triggered.connect(lambda _on: self.request_asked.emit())
        self.save_action.triggered.connect(lambda _on: self.save_asked.emit())

    def unfold(self) -> None:
        """Open the menu above the button, which is at the foot of its dock."""
        size = self.entries.sizeHint()
        left = self.width() - size.width()
        self.entries.popup(self.mapToGlobal(QPoint(left, -size.height())))

    def offer_save(self) -> None:
        """Open the menu with saving chosen already, so that Enter is enough."""
        self.unfold()
        self.entries.setActiveAction(self.save_action)
