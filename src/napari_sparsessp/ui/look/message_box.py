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

from napari_sparsessp.ui.look.dress import take_role
from napari_sparsessp.ui.look.step import Mark, MarkDot

# More than this at once pushes the form out of a small window.
_UNFOLDED = 2


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
        self._folded = ""
        self.more_button = QPushButton("")
        self.more_button.setProperty("role", "link")
        self.more_button.setToolTip("Show all of them.")
        self.more_button.clicked.connect(self._unfold)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.dot, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.text, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(9, 7, 9, 7)
        column.setSpacing(2)
        column.addLayout(row)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.more_button)
        foot.addWidget(self.copy_button)
        column.addLayout(foot)
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
        self.more_button.hide()

    def show_notices(self, notices: Sequence[str]) -> None:
        """Show notices, or nothing where there are none."""
        if notices:
            lines = [_sentence(notice) for notice in notices]
            first = "\n".join(lines[:_UNFOLDED])
            self._folded = "\n".join(lines)
            self._show("notice", Mark.WARN, first, "")
            self.text.setToolTip(self._folded)
            rest = len(lines) - _UNFOLDED
            self.more_button.setText(f"{rest} more…")
            self.more_button.setVisible(rest > 0)
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
        self.copy_button.setText("Copy details")
        self.text.setToolTip("")
        self.text.setText(text)
        self.dot.set_mark(mark)
        self.copy_button.setVisible(bool(details))
        take_role(self, role)
        self.setAccessibleName(text)
        self.show()

    def _unfold(self) -> None:
        self.text.setText(self._folded)
        self.more_button.hide()

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
