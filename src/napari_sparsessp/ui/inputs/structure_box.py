"""Say what a channel shows: choose from the catalogue, or type a name of your own."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QCompleter

from napari_sparsessp.structures import CATALOGUE, structure_or_custom
from napari_sparsessp.ui.inputs.structure_fields import structure_id

_TIP = (
    "What the fluorescence shows. Choose from the catalogue, or type a name of your "
    "own, such as the stain."
)


class StructureBox(QComboBox):
    """An editable list of structures that completes what is typed."""

    def __init__(self) -> None:
        super().__init__()
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setMinimumContentsLength(7)
        self.setMaxVisibleItems(14)
        for one in CATALOGUE.values():
            self.addItem(one.label, one.id)
        self.setCurrentIndex(-1)
        self.setEditText("")
        field = self.lineEdit()
        assert field is not None
        field.setPlaceholderText("shows…")
        field.setMaxLength(60)
        completer = QCompleter([one.label for one in CATALOGUE.values()], self)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.setCompleter(completer)
        self.setToolTip(_TIP)
        self.setAccessibleName("Structure")

    def typed(self) -> str:
        """What stands there."""
        return self.currentText().strip()

    def show_structure(self, name: str) -> None:
        """Write a structure as the catalogue does; "" empties the box."""
        id_ = structure_id(name)
        self.show_text(structure_or_custom(id_).label if id_ else "")

    def show_text(self, text: str) -> None:
        """Write a text so that its beginning can be read."""
        self.setEditText(text)
        field = self.lineEdit()
        if field is not None:
            field.setCursorPosition(0)
