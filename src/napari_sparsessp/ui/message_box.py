"""Messages inside the dock: an error with advice, or notices; never a modal dialog."""

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
)

from napari_sparsessp.ui.step import Mark, MarkDot


class MessageBox(QFrame):
    """A framed text with a mark; an error can be copied with all its details."""

    def __init__(self) -> None:
        super().__init__()
        self._details = ""
        self.dot = MarkDot(Mark.WARN, 15)
        self.text = QLabel("")
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(
            QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding
        )
        self.copy_button = QPushButton("Copy details")
        self.copy_button.setProperty("role", "link")
        self.copy_button.setToolTip(
            "Copy the whole error, the request and the versions, to send to someone."
        )
        self.copy_button.clicked.connect(self._copy)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.dot, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.text, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(9, 7, 9, 7)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.copy_button, 0, Qt.AlignmentFlag.AlignRight)
        self.hide()

    def show_error(self, text: str, details: str = "") -> None:
        """Show an error.

        Parameters
        ----------
        text : str
            One line: what is wrong and what to do.
        details : str
            What "Copy details" copies; no button without them.
        """
        self._show("error", Mark.BAD, _sentence(text), details)

    def show_notices(self, notices: Sequence[str]) -> None:
        """Show notices, or nothing where there are none."""
        if notices:
            text = "\n".join(_sentence(notice) for notice in notices)
            self._show("notice", Mark.WARN, text, "")
        else:
            self.clear()

    def clear(self) -> None:
        """Show nothing."""
        self._details = ""
        self.text.setText("")
        self.hide()

    @property
    def is_error(self) -> bool:
        """Whether an error is shown."""
        return not self.isHidden() and self.property("role") == "error"

    def _show(self, role: str, mark: Mark, text: str, details: str) -> None:
        self._details = details
        self.text.setText(text)
        self.dot.set_mark(mark)
        self.copy_button.setVisible(bool(details))
        if self.property("role") != role:
            self.setProperty("role", role)
            self.style().unpolish(self)
            self.style().polish(self)
        self.setAccessibleName(text)
        self.show()

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self._details)
            self.copy_button.setText("Copied")


def _sentence(text: str) -> str:
    """Begin with a capital and end with a full stop, as text in a window does."""
    text = text.strip()
    if text and text[-1] not in ".!?…":
        text += "."
    first = text.split(" ", 1)[0].rstrip(",:;")
    if first.isalpha():  # never the name of a file
        text = text[:1].upper() + text[1:]
    return text
