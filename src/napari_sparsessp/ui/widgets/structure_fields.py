"""Fields for the names of structures: they complete from the catalogue."""

import re
from collections.abc import Sequence

from qtpy.QtCore import QStringListModel, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QCompleter,
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QWidget,
)

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import CATALOGUE, find_structure, structure_or_custom
from napari_sparsessp.ui.widgets.basic import in_a_column
from napari_sparsessp.ui.widgets.forms import complete_anywhere, make_editable

_BEFORE_PROTEIN = " – "
_ROW = 30
_MOST_ROWS = 7


def structure_id(text: str) -> str:
    """Return the id of any name of a structure; "" of ""."""
    name = text.split(_BEFORE_PROTEIN)[0].strip()
    try:
        return find_structure(name).id if name else ""
    except InputError:
        return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60]


def _label(name: str) -> str:
    """Return a name as the catalogue writes it."""
    id_ = structure_id(name)
    return structure_or_custom(id_).label if id_ else ""


class StructureBox(QComboBox):
    """An editable list of structures that completes what is typed."""

    def __init__(self) -> None:
        super().__init__()
        self.addItems([structure.label for structure in CATALOGUE.values()])
        make_editable(self, "shows…")
        self.setToolTip(
            "What the fluorescence shows. Choose from the catalogue, or type a name of "
            "your own, such as the stain."
        )
        self.setAccessibleName("Structure")

    def typed(self) -> str:
        """Return the text of the box."""
        return self.currentText().strip()

    def show_text(self, text: str) -> None:
        """Write a text so that its beginning can be read."""
        self.setEditText(text)
        if (field := self.lineEdit()) is not None:
            field.setCursorPosition(0)


class StructureFields(QWidget):
    """One field for each output; completes from the catalogue, takes any name.

    A list with commas that is typed or pasted into a field fills those below it.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[QLineEdit] = []
        self._words = QStringListModel(
            [
                f"{one.label}{_BEFORE_PROTEIN}{one.protein}" if one.protein else one.id
                for one in CATALOGUE.values()
            ]
        )
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        in_a_column(self, self._area)

    def offer(self, count: int, ids: Sequence[str] = ()) -> None:
        """Make a field for each output of the network; `ids` are suggestions."""
        columns = 1 if count < 4 else 2
        rows = -(-count // columns)
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 1, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        self.fields = []
        for number in range(count):
            row, column = number % rows, 2 * (number // rows)
            label = QLabel(str(number + 1))
            label.setProperty("role", "muted")
            label.setVisible(count > 1)
            field = self._field(number)
            if number < len(ids):
                field.setText(structure_or_custom(ids[number]).label)
            grid.addWidget(label, row, column, Qt.AlignmentFlag.AlignRight)
            grid.addWidget(field, row, column + 1)
            grid.setColumnStretch(column + 1, 1)
            self.fields.append(field)
        self._area.setWidget(holder)
        self._area.setFixedHeight(_ROW * min(rows, _MOST_ROWS) + 2)

    def ids(self) -> tuple[str, ...]:
        """Return the ids of the names; "" for an empty field."""
        return tuple(structure_id(field.text()) for field in self.fields)

    def problem(self) -> str:
        """Return why the names cannot be used, or ""."""
        ids = self.ids()
        empty = [str(number + 1) for number, id_ in enumerate(ids) if not id_]
        if empty:
            if len(ids) == 1:
                return "Name the structure that this network predicts."
            few = ", ".join(empty[:4]) + (", …" if len(empty) > 4 else "")
            number = f"number {few} has" if len(empty) == 1 else f"numbers {few} have"
            return f"Name every output of the network; {number} no name yet."
        double = next((id_ for id_ in ids if ids.count(id_) > 1), None)
        if double is not None:
            label = structure_or_custom(double).label
            return f"{label} stands there twice; each output needs its own name."
        return ""

    def _field(self, number: int) -> QLineEdit:
        field = QLineEdit()
        field.setMaxLength(400)
        field.setAccessibleName(f"Structure of output {number + 1}")
        field.setToolTip(
            "What this output of the network shows. Choose from the catalogue, or "
            "type a name of your own; a list with commas fills the fields below."
        )
        field.setPlaceholderText("name of the structure")
        completer = QCompleter(self._words, field)
        complete_anywhere(completer)
        field.setCompleter(completer)
        field.textChanged.connect(lambda _text: self.changed.emit())
        field.editingFinished.connect(lambda: self._on_typed(number))
        return field

    def _on_typed(self, number: int) -> None:
        """Spread a list, and write names as the catalogue does."""
        text = self.fields[number].text()
        parts = [part for part in re.split(r"[,;\t\n]+", text) if part.strip()]
        for field, part in zip(self.fields[number:], parts, strict=False):
            if field.text() != _label(part):
                field.setText(_label(part))
