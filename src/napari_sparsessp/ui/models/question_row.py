"""One question of a form: what is asked, why, a field, and what is wrong with it."""

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

# Letters that have room beside any title.
_SHORT = 45


class QuestionRow(QWidget):
    """A titled field with its reason beside the title and its problem below.

    Parameters
    ----------
    title : str
    field : QWidget
    find_problem : callable
        Gives one sentence, or "" where the field can be used.
    """

    def __init__(
        self, title: str, field: QWidget, find_problem: Callable[[], str]
    ) -> None:
        super().__init__()
        self._find_problem = find_problem
        label = QLabel(title)
        label.setProperty("role", "strong")
        self.reason = QLabel("")
        self.reason.setProperty("role", "small")
        self.reason.setTextFormat(Qt.TextFormat.PlainText)
        self._beside = QLabel("")
        self._beside.setProperty("role", "small")
        self._beside.setTextFormat(Qt.TextFormat.PlainText)
        self.reason.setWordWrap(True)
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(label)
        head.addWidget(self._beside, 1)
        self.problem = QLabel("")
        self.problem.setProperty("role", "problem")
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        self.problem.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(head)
        for widget in (self.reason, field, self.problem):
            column.addWidget(widget)
        self.explain("")
        self.problem.hide()

    def explain(self, text: str) -> None:
        """Say where the suggestion comes from, or what the question means."""
        short = len(text) <= _SHORT
        self.reason.setText(text)
        self.reason.setVisible(bool(text) and not short)
        self._beside.setText(text if short else "")

    def check(self) -> str:
        """Show what is wrong and give it; "" where nothing is, or nobody asked."""
        text = "" if self.isHidden() else self._find_problem()
        self.problem.setText(text)
        self.problem.setVisible(bool(text))
        return text


class VoxelSizeFields(QWidget):
    """Three fields for the size of a voxel in µm."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self.fields: dict[str, QLineEdit] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for axis in "zyx":
            field = QLineEdit()
            field.setAccessibleName(f"Voxel size along {axis} in µm")
            validator = QDoubleValidator(0.0, 1000.0, 5, field)
            validator.setNotation(QDoubleValidator.Notation.StandardNotation)
            field.setValidator(validator)
            field.textChanged.connect(lambda _text: changed())
            label = QLabel(axis)
            label.setProperty("role", "muted")
            row.addWidget(label)
            row.addWidget(field, 1)
            self.fields[axis] = field
        unit = QLabel("µm")
        unit.setProperty("role", "muted")
        row.addWidget(unit)

    def offer(self, size: tuple[float, float, float] | None) -> None:
        """Write a size, or nothing."""
        for number, field in enumerate(self.fields.values()):
            field.setText("" if size is None else f"{size[number]:g}")

    def size(self) -> tuple[float, float, float] | None:
        """(z, y, x) in µm; None unless all three are there and above 0."""
        values = []
        for field in self.fields.values():
            read = numbers(field.text())
            if not read or len(read) > 1 or read[0] <= 0:
                return None
            values.append(read[0])
        return values[0], values[1], values[2]

    def problem(self) -> str:
        """Say what is missing."""
        if self.size() is None:
            return "The voxel size needs three numbers above 0: z, y and x."
        return ""


def numbers(text: str) -> tuple[float, ...] | None:
    """Read numbers from a text; None where one of the words is none.

    A comma between two numbers parts them where a space follows, or where points mark
    the decimals; ``1,5`` alone is one and a half.
    """
    decimal_comma = "." not in text and "," in text and ", " not in text
    parts = text.replace(",", "." if decimal_comma else " ").replace(";", " ").split()
    try:
        values = tuple(float(part) for part in parts)
    except ValueError:
        return None
    return values if all(abs(value) < 1e9 for value in values) else None
