"""Import a published checkpoint: choose the file, answer what it leaves open, Import.

The file is read and written in a worker thread. Whatever is wrong with it is one line
in the dialog, and nothing else happens.
"""

import re
from collections.abc import Callable, Collection
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.errors import ModelError, SparseSSPError
from napari_sparsessp.ui.tasks import (
    BackgroundTask,
    TaskProgress,
    error_details,
)
from napari_sparsessp.ui.widgets.basic import MessageBox
from napari_sparsessp.ui.widgets.card_text import (
    TOPOLOGIES,
    count_text,
    ratios_text,
    structure_names,
)
from napari_sparsessp.ui.widgets.model_picker import TopologyDrawing
from napari_sparsessp.ui.widgets.structure_fields import StructureFields
from napari_sparsessp.ui.widgets.style import Dress

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.importing.answers import CheckpointInfo as Found

SUFFIXES = (".p", ".pth", ".pt", ".ckpt", ".safetensors")


class CheckpointDrop(QObject):
    """Takes one checkpoint file at a time; everything else falls through.

    Parameters
    ----------
    widget : QWidget
        Where to drop; owns this object from now on.

    Signals
    -------
    dropped : str
        Path of the file.
    """

    dropped = Signal(str)

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: Any) -> bool:
        """Accept what can be imported."""
        kind = event.type()
        if kind in (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop):
            path = checkpoint_in(event.mimeData())
            if path is not None:
                event.acceptProposedAction()
                if kind == QEvent.Type.Drop:
                    self.dropped.emit(path)
                return True
        return super().eventFilter(watched, event)


def checkpoint_in(mime: Any) -> str | None:
    """Give the path of the one checkpoint that is being dragged; None for all else."""
    if mime is None or not mime.hasUrls() or len(mime.urls()) != 1:
        return None
    path = mime.urls()[0].toLocalFile()
    return path if Path(path).suffix.lower() in SUFFIXES else None


class FoundPanel(QFrame):
    """A diagram, a headline, a line of facts and the notes of whoever looked."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "panel")
        self.drawing = TopologyDrawing()
        self.headline = _label("strong")
        self.facts = _label("")
        self.structures = _label("")
        self.notes = _label("muted")
        head = QHBoxLayout()
        head.setSpacing(10)
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(self.headline)
        words.addWidget(self.facts)
        head.addWidget(self.drawing, 0, Qt.AlignmentFlag.AlignTop)
        head.addLayout(words, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(11, 9, 11, 10)
        column.setSpacing(5)
        column.addLayout(head)
        column.addWidget(self.structures)
        column.addWidget(self.notes)

    def show_found(self, found: "Found | ModelCard", path: Path) -> None:
        """Show a checkpoint's findings, or the card of a native model.

        Parameters
        ----------
        found : Found or ModelCard
        path : Path
        """
        native = not hasattr(found, "questions")
        topology = _topology(found)
        self.drawing.set_topology(topology)
        self.drawing.setVisible(bool(self.drawing.topology))
        kind = f"{TOPOLOGIES[topology][0]} network" if topology in TOPOLOGIES else ""
        facts = [kind]
        if native:
            self.headline.setText(f"A model of this plugin: {found.name}")  # type: ignore[union-attr]
            facts.append(ratios_text(found.ratios))  # type: ignore[union-attr]
        else:
            self.headline.setText(f"A {found.format} checkpoint")  # type: ignore[union-attr]
            facts += _facts(found)
        self.facts.setText(" · ".join(filter(None, facts)))
        names = structure_names(found.structures or ())
        self.structures.setText(f"Structures: {names}" if names else "")
        self.structures.setVisible(bool(names))
        notes = getattr(found, "notes", ())
        self.notes.setText("\n".join(f"{_capital(note)}" for note in notes))
        self.notes.setVisible(bool(notes))
        self.setToolTip(str(path))


def _facts(found: Any) -> list[str]:
    many = found.outputs
    facts = [f"{count_text(found.parameters)} parameters"] if found.parameters else []
    facts.append("1 output" if many == 1 else f"{many} outputs")
    if found.ratio is not None:
        facts.append(ratios_text((found.ratio,)))
    return facts


def _topology(found: Any) -> str:
    network = getattr(found, "network", {})
    topology = getattr(found, "topology", None) or network.get("topology", "")
    return str(topology)


def _capital(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _label(role: str) -> QLabel:
    label = QLabel("")
    if role:
        label.setProperty("role", role)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label


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
        self._found: Found | ModelCard | None = None
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
        found: "Found | ModelCard",
        path: Path,
        name: str,
        taken: Collection[str],
    ) -> None:
        """Show what was found and ask for the rest.

        Parameters
        ----------
        found : Found or ModelCard
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


FILTER = "Checkpoints (*.p *.pth *.pt *.ckpt *.safetensors);;All files (*)"
_WIDTH = 560
_HINT = (
    "Published weights of RepMode (model_best_….p), SparseSSP (best.pth) and "
    "pytorch_fnet (model.p) can be used here. Nothing in the file is executed, and "
    "the file itself stays as it is."
)


class ImportState(Enum):
    """Where an import stands."""

    NO_FILE = "no file yet"
    READING = "reading the file"
    ASKING = "asking"
    IMPORTING = "importing"


class ImportDialog(QDialog):
    """Non-modal, so that one can look something up in the viewer.

    Parameters
    ----------
    engine
        Anything with ``cards``, ``inspect`` and ``bring_in`` of `InstalledEngine`.
    parent : QWidget, optional

    Signals
    -------
    imported : str
        Id of the new model; the dialog closes itself.
    """

    imported = Signal(str)

    def __init__(self, engine: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        Dress(self)
        self._engine = engine
        self._path: Path | None = None
        self._found: Any = None
        self._task: BackgroundTask | None = None
        self._state = ImportState.NO_FILE
        self.setWindowTitle("Import a model checkpoint")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.file_label = QLabel("")
        self.file_label.setProperty("role", "strong")
        self.file_label.setTextFormat(Qt.TextFormat.PlainText)
        self.file_button = QPushButton("Choose file…")
        self.hint = QLabel(_HINT)
        self.hint.setProperty("role", "muted")
        self.hint.setWordWrap(True)
        self.message = MessageBox()
        self.form = ImportForm()
        self.scroll = QScrollArea()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the import")
        self.status = QLabel("")
        self.status.setProperty("role", "muted")
        self.status.setWordWrap(True)
        self.cancel_button = QPushButton("Cancel")
        self.import_button = QPushButton("Import")
        self.import_button.setProperty("role", "run")
        self.import_button.setDefault(True)
        self._arrange()
        self._connect()
        self._set_state(ImportState.NO_FILE)
        self.resize(_WIDTH, 180)

    def _arrange(self) -> None:
        first = QHBoxLayout()
        first.addWidget(self.file_label, 1)
        first.addWidget(self.file_button)
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        holder = QWidget()
        inside = QVBoxLayout(holder)
        inside.setContentsMargins(0, 0, 8, 0)
        inside.addWidget(self.form)
        self.scroll.setWidget(holder)
        foot = QHBoxLayout()
        foot.addWidget(self.status, 1)
        foot.addWidget(self.cancel_button)
        foot.addWidget(self.import_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(9)
        column.addLayout(first)
        column.addWidget(self.hint)
        column.addWidget(self.message)
        column.addWidget(self.scroll, 1)
        column.addStretch(0)
        column.addWidget(self.bar)
        column.addLayout(foot)

    def _connect(self) -> None:
        self.file_button.clicked.connect(lambda _on: self.ask_file())
        self.cancel_button.clicked.connect(lambda _on: self.reject())
        self.import_button.clicked.connect(lambda _on: self.start_import())
        self.form.changed.connect(self._on_answers)
        CheckpointDrop(self).dropped.connect(self.read)

    @property
    def state(self) -> ImportState:
        """Where the import stands."""
        return self._state

    # choosing and reading -----------------------------------------------------

    def ask_file(self) -> None:
        """Let the user choose another file."""
        path = choose_checkpoint(self)
        if path:
            self.read(path)

    def read(self, path: str | Path) -> None:
        """Look into a file; the form, or an error, follows."""
        if self._state is ImportState.IMPORTING:
            return
        self._drop_task()
        self._path = Path(path)
        self.file_label.setText(self._shortened(self._path.name))
        self.file_label.setToolTip(str(self._path))
        self.message.clear()
        self._set_state(ImportState.READING)
        self._run(_inspect, self._path, self._on_found)

    def _on_found(self, found: Any) -> None:
        assert self._path is not None
        self._found = found
        name = self._engine.name_for(self._path, found)
        taken = {card.id for card in self._engine.cards()}
        self.form.offer(found, self._path, name, taken)
        self._set_state(ImportState.ASKING)
        self._grow()
        if not self.form.focus_on_open():
            self.import_button.setFocus()

    # importing ----------------------------------------------------------------

    def start_import(self) -> None:
        """Write the model among the user's own."""
        if self._state is not ImportState.ASKING or self.form.check():
            return
        self.message.clear()
        self._set_state(ImportState.IMPORTING)
        given = self.form.answers()
        self._run(_bring_in, self._path, self._on_imported, self._found, given)

    def _on_imported(self, id_: str) -> None:
        self._set_state(ImportState.NO_FILE)
        self.imported.emit(id_)
        self.accept()

    def reject(self) -> None:
        """Stop an import, or close the dialog: the Cancel button and Escape."""
        if self._state is ImportState.IMPORTING and self._task is not None:
            self._task.cancel()
            self.cancel_button.setEnabled(False)
            self.status.setText("Stopping…")
        else:
            self._drop_task()
            super().reject()

    def closeEvent(self, event: Any) -> None:
        """Let go of whatever is under way; the thread ends by itself."""
        self._drop_task()
        super().closeEvent(event)

    # the thread ---------------------------------------------------------------

    def _run(
        self,
        function: Callable[..., Any],
        path: Path | None,
        then: Callable[[Any], None],
        *more: Any,
    ) -> None:
        task = BackgroundTask(function, self._engine, path, *more, parent=self)
        task.progressed.connect(self._on_progress)
        task.returned.connect(then)
        task.failed.connect(self._on_failed)
        task.cancelled.connect(self._on_cancelled)
        self._task = task
        task.start()

    def _drop_task(self) -> None:
        if self._task is not None:
            self._task.abandon()
            self._task = None
            self._state = ImportState.NO_FILE

    def _on_progress(self, share: float, what: str, _left: float | None) -> None:
        if self._state is not ImportState.IMPORTING or not what:
            return
        self.bar.setRange(0, 1000 if share > 0 else 0)
        self.bar.setValue(round(1000 * share))
        if self.cancel_button.isEnabled():
            self.status.setText(f"{what[:1].upper()}{what[1:]}…")

    def _on_cancelled(self) -> None:
        self._set_state(ImportState.ASKING)
        self.status.setText("Stopped; nothing was imported.")

    def _on_failed(self, error: Exception) -> None:
        reading = self._state is ImportState.READING
        self._set_state(ImportState.NO_FILE if reading else ImportState.ASKING)
        if not isinstance(error, SparseSSPError):
            text = " ".join(str(error).split()) or type(error).__name__
            told = ModelError(
                f"the file cannot be imported: {text[:300]}; copy the details and "
                "report it"
            )
            told.__cause__ = error
            error = told
        self.message.show_error(str(error), error_details(error))

    # looks --------------------------------------------------------------------

    def _set_state(self, state: ImportState) -> None:
        self._state = state
        asking = state in (ImportState.ASKING, ImportState.IMPORTING)
        busy = state in (ImportState.READING, ImportState.IMPORTING)
        self.scroll.setVisible(asking)
        self.form.setEnabled(state is ImportState.ASKING)
        self.hint.setVisible(not asking)
        self.file_button.setEnabled(not busy)
        self.file_button.setText("Choose file…" if self._path is None else "Change…")
        self.bar.setRange(0, 0 if busy else 1)
        self.bar.setVisible(busy)
        self.cancel_button.setEnabled(True)
        self.status.setText(
            {
                ImportState.READING: "Reading the file…",
                ImportState.IMPORTING: "Opening the file…",
            }.get(state, "")
        )
        self._on_answers()

    def _grow(self) -> None:
        """Give room for all questions where the screen has it."""
        self.form.adjustSize()
        inside = self.form.width() if self.form.width() > 1 else _WIDTH
        wanted = self.form.heightForWidth(min(inside, _WIDTH - 50))
        around = self.layout().sizeHint().height() - self.scroll.sizeHint().height()
        screen = self.screen().availableGeometry().height()
        height = max(wanted, self.form.sizeHint().height()) + around + 24
        self.resize(max(self.width(), _WIDTH), min(height, round(0.9 * screen)))

    def _on_answers(self) -> None:
        asking = self._state is ImportState.ASKING
        problem = self.form.check() if asking else ""
        self.import_button.setEnabled(asking and not problem)
        self.import_button.setToolTip(problem)

    def _shortened(self, name: str) -> str:
        return self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, 340)


def choose_checkpoint(parent: QWidget) -> str:
    """Let the user choose a checkpoint file; "" for none."""
    path, _ = QFileDialog.getOpenFileName(
        parent, "Choose a model checkpoint", "", FILTER
    )
    return str(path)


def _inspect(engine: Any, path: Path, _progress: TaskProgress) -> Any:
    return engine.inspect(path)


def _bring_in(
    engine: Any, path: Path, found: Any, given: dict[str, Any], progress: TaskProgress
) -> Any:
    return engine.bring_in(path, found, given, progress)
