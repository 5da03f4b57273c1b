"""What the new model is called, and under what licence its data are."""

import re
from collections.abc import Collection, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QLineEdit, QWidget

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.models.import_form import model_id

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_LICENCES = ("CC BY 4.0", "CC0", "CC BY-NC 4.0", "own data, not to be shared")
_MOST_NAMED = 3


class TrainNamePanel(QWidget):
    """Name, id and licence; name and id suggest themselves until they are typed.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._taken: frozenset[str] = frozenset()
        self._own_name = self._own_id = False
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the new model")
        self.name.setMaxLength(120)
        self.name.setToolTip("What you call the new model in the lists.")
        self.id = QLineEdit()
        self.id.setAccessibleName("Id of the new model")
        self.id.setMaxLength(80)
        self.id.setToolTip(
            "How files and the command line call it. It has to be a new one: a model "
            "that is there is never replaced."
        )
        self.licence = QComboBox()
        self.licence.setEditable(True)
        self.licence.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.licence.setMinimumContentsLength(8)
        self.licence.setAccessibleName("Licence of the data")
        self.licence.addItems(list(_LICENCES))
        self.licence.setCurrentIndex(-1)
        # the longest of them must not make the whole form wider than a narrow dock
        self.licence.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.licence.setMinimumContentsLength(8)
        self.licence.setToolTip(
            "Under what licence your images are: whoever gets the model has to know."
        )
        field = self.licence.lineEdit()
        assert field is not None
        field.setPlaceholderText("not stated")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        rows = (("Name", self.name), ("Id", self.id), ("Data licence", self.licence))
        for number, (text, widget) in enumerate(rows):
            label = QLabel(text)
            label.setProperty("role", "muted")
            grid.addWidget(label, number, 0)
            grid.addWidget(widget, number, 1)
        self.name.textEdited.connect(self._on_name)
        self.id.textEdited.connect(self._on_id)
        self.licence.editTextChanged.connect(lambda _text: self.changed.emit())

    def suggest(self, structures: Sequence[str], taken: Collection[str]) -> None:
        """Suggest a name for what will be learnt, and an id that is free.

        Parameters
        ----------
        structures : sequence of str
        taken : collection of str
            Ids of models and trainings that are there.
        """
        self._taken = frozenset(taken)
        if not self._own_name:
            labels = [structure_or_custom(one).label for one in structures]
            few = ", ".join(labels[:_MOST_NAMED])
            more = len(labels) - _MOST_NAMED
            what = f"{few} and {more} more" if more > 0 else few
            self.name.setText(f"My {what}" if what else "")
            self.name.setCursorPosition(0)  # a long name is read from its beginning
        if not self._own_id:
            self._suggest_id()

    def take_new(self) -> None:
        """Suggest another id: that of the last model is taken now."""
        self._own_id = False

    def show_values(self, name: str, id_: str, licence: str) -> None:
        """Fill the fields without telling anyone; they count as typed."""
        self._own_name = self._own_id = True
        self.name.setText(name)
        self.id.setText(id_)
        self.licence.blockSignals(True)
        self.licence.setEditText("" if licence == "not stated" else licence)
        self.licence.blockSignals(False)

    def problem(self) -> str:
        """Say what is wrong; "" where nothing is."""
        id_ = self.id.text().strip()
        if not self.name.text().strip():
            return "give the new model a name"
        if not _ID.fullmatch(id_):
            return (
                "the id needs lower-case letters, digits, '.', '_' or '-', and begins "
                "with a letter or digit"
            )
        if id_ in self._taken:
            return (
                f"a model or training with the id {id_} is there already and is never "
                "replaced; choose another id"
            )
        return ""

    def _suggest_id(self) -> None:
        name = self.name.text().strip()
        self.id.setText(model_id(name, self._taken) if name else "")
        self.id.setCursorPosition(0)

    def _on_name(self, text: str) -> None:
        self._own_name = bool(text.strip())
        if not self._own_id:
            self._suggest_id()
        self.changed.emit()

    def _on_id(self, text: str) -> None:
        self._own_id = bool(text.strip())
        self.changed.emit()
