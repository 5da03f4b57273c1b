"""The form of an import: what was found, and the questions the file leaves open."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.inputs.structure_fields import StructureFields
from napari_sparsessp.ui.models.found_panel import FoundPanel
from napari_sparsessp.ui.models.question_row import (
    QuestionRow,
    VoxelSizeFields,
    numbers,
)

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.importing import CheckpointInfo

_SCALINGS = (
    ("zscore", "z-score over the whole stack (as published)"),
    ("robust", "z-score, extremes left out"),
    ("none", "none: the values as they are"),
)
_LICENCE_HINT = "Check that you may use these weights."
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


def model_id(name: str, taken: Collection[str] = ()) -> str:
    """Make an id of a name that no model has yet.

    Parameters
    ----------
    name : str
    taken : collection of str
        Ids that are in use.
    """
    base = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:70].rstrip("-._")
    base = base or "model"
    number, found = 2, base
    while found in taken:
        found, number = f"{base}-{number}", number + 1
    return found


class ImportForm(QWidget):
    """Found on top, then name, questions and licence.

    Signals
    -------
    changed
        The answers changed.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._taken: frozenset[str] = frozenset()
        self._found: CheckpointInfo | ModelCard | None = None
        self._own_id = False
        self.found_panel = FoundPanel()
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the model")
        self.name.setMaxLength(120)
        self.id = QLineEdit()
        self.id.setAccessibleName("Id of the model")
        self.id.setToolTip("How files, requests and the command line call the model.")
        self.structures = StructureFields()
        self.ratio = QLineEdit()
        self.ratio.setAccessibleName("Sparsity ratios")
        self.ratio.setPlaceholderText("for example 8, or 1, 2, 4, 8")
        self.voxel_size = VoxelSizeFields(self._tell)
        self.scaling = QComboBox()
        self.scaling.setAccessibleName("Scaling of the input")
        for key, text in _SCALINGS:
            self.scaling.addItem(text, key)
        self.licence = QLineEdit()
        self.licence.setAccessibleName("Licence of the weights")
        self.licence.setPlaceholderText("not known")
        self._make_rows()
        self._arrange()
        self._connect()

    def _make_rows(self) -> None:
        names = QWidget()
        row = QHBoxLayout(names)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        label = QLabel("id")
        label.setProperty("role", "muted")
        row.addWidget(self.name, 3)
        row.addWidget(label)
        row.addWidget(self.id, 2)
        self.name_row = QuestionRow("Name", names, self._name_problem)
        self.rows = {
            "structures": QuestionRow(
                "What the outputs show", self.structures, self.structures.problem
            ),
            "ratio": QuestionRow(
                "Sparsity ratio r it was trained for", self.ratio, self._ratio_problem
            ),
            "voxel_size": QuestionRow(
                "Voxel grid it was trained on",
                self.voxel_size,
                self.voxel_size.problem,
            ),
            "scaling": QuestionRow("Scaling of the input", self.scaling, lambda: ""),
        }
        self.licence_row = QuestionRow("Licence", self.licence, lambda: "")

    def _arrange(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(11)
        column.addWidget(self.found_panel)
        column.addWidget(self.name_row)
        for row in self.rows.values():
            column.addWidget(row)
        column.addWidget(self.licence_row)
        column.addStretch(1)

    def _connect(self) -> None:
        self.name.textChanged.connect(self._on_name)
        self.id.textEdited.connect(self._on_id)
        self.structures.changed.connect(self._tell)
        for field in (self.id, self.ratio, self.licence):
            field.textChanged.connect(lambda _text: self._tell())

    # what the dialog says -----------------------------------------------------

    def offer(
        self,
        found: "CheckpointInfo | ModelCard",
        path: Path,
        name: str,
        taken: Collection[str],
    ) -> None:
        """Show what was found and ask for the rest.

        Parameters
        ----------
        found : CheckpointInfo or ModelCard
        path : Path
        name : str
            What suggests itself.
        taken : collection of str
            Ids of the models that are installed.
        """
        self._found, self._taken = found, frozenset(taken)
        self._own_id = False
        questions = {one.name: one for one in getattr(found, "questions", ())}
        native = not hasattr(found, "questions")
        self.found_panel.show_found(found, path)
        self.name_row.setVisible(not native)
        self.licence_row.setVisible(not native)
        self.licence_row.explain(_licence_hint(str(getattr(found, "format", ""))))
        self.name.setText(name)
        self._on_name(name)
        for asked, row in self.rows.items():
            question = questions.get(asked)
            row.setVisible(question is not None)
            if question is not None:
                row.explain(_reason(question))
                self._suggest(asked, question.suggestion, getattr(found, "outputs", 1))
        self.check()

    def _suggest(self, name: str, value: Any, outputs: int) -> None:
        if name == "structures":
            self.structures.offer(outputs, value or ())
        elif name == "ratio":
            many = value if isinstance(value, tuple | list) else (value,)
            self.ratio.setText(", ".join(f"{r:g}" for r in many if r is not None))
        elif name == "voxel_size":
            self.voxel_size.offer(value)
        elif name == "scaling":
            self.scaling.setCurrentIndex(max(self.scaling.findData(value), 0))

    # what the dialog asks -----------------------------------------------------

    def check(self) -> str:
        """Show what is missing beside its field; give the first of it, or ""."""
        rows = [self.name_row, *self.rows.values()]
        return next(filter(None, [row.check() for row in rows]), "")

    def focus_on_open(self) -> bool:
        """Put the cursor where something is missing; tell whether anything is."""
        for asked, row in self.rows.items():
            if row.check():
                fields = {
                    "structures": next(
                        (f for f in self.structures.fields if not f.text()), self
                    ),
                    "ratio": self.ratio,
                    "voxel_size": self.voxel_size.fields["z"],
                }
                fields.get(asked, self).setFocus()
                return True
        return False

    def answers(self) -> dict[str, Any]:
        """Give what the user answered; empty for a file that asks nothing at all.

        Returns
        -------
        dict
            Fields of `napari_sparsessp.models.importing.Answers`.
        """
        if self.name_row.isHidden():
            return {}
        given: dict[str, Any] = {"id": self.id.text(), "name": self.name.text().strip()}
        if not self.rows["structures"].isHidden():
            given["structures"] = self.structures.ids()
        if not self.rows["ratio"].isHidden():
            given["ratios"] = numbers(self.ratio.text())
        if not self.rows["voxel_size"].isHidden():
            given["voxel_size"] = self.voxel_size.size()
        if not self.rows["scaling"].isHidden():
            given["scaling"] = self.scaling.currentData()
        licence = self.licence.text().strip()
        if licence:
            given["licence"] = licence
        return given

    def _name_problem(self) -> str:
        if not self.name.text().strip():
            return "Give the model a name."
        if not _ID.fullmatch(self.id.text()):
            return (
                "The id takes lower-case letters, digits, dots, - and _, and begins "
                "with a letter or digit."
            )
        if self.id.text() in self._taken:
            return "A model with this id is installed already; choose another id."
        return ""

    def _ratio_problem(self) -> str:
        values = numbers(self.ratio.text())
        if not values:
            return (
                "How many planes of the dense grid does the network give for each "
                "plane that was imaged?"
            )
        if min(values) < 1:
            return "A ratio is 1 or more: 1 for a stack without gaps."
        return ""

    def _on_name(self, name: str) -> None:
        if not self._own_id:
            self.id.setText(model_id(name, self._taken))
        self._tell()

    def _on_id(self, text: str) -> None:
        self._own_id = bool(text)

    def _tell(self) -> None:
        self.changed.emit()


def _reason(question: Any) -> str:
    """Say where a suggestion comes from, or that there is none."""
    if question.suggestion is None:
        return "The file does not say."
    reason = question.reason.rstrip(".") or "nothing better is known"
    if reason.startswith("in "):
        reason = f"found {reason}"
    if question.assumable and reason.startswith("found"):
        return f"{reason[0].upper()}{reason[1:]}."
    if question.assumable:
        return f"Assumed: {reason}."
    return f"Guessed: {reason}. Check it, for nobody else will notice."


def _licence_hint(format_: str) -> str:
    family = format_.split(" ")[0]
    if family in ("RepMode", "pytorch_fnet"):
        return (
            f"{_LICENCE_HINT} {family} is published under the Allen Institute's "
            "licence, which forbids commercial use."
        )
    return f"{_LICENCE_HINT} The file does not say under which licence they are."
