"""The form of an import: contents of a checkpoint, and the questions it leaves open."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QWidget

from napari_sparsessp.ui.widgets.basic import in_a_column, in_a_row, wrapped_label
from napari_sparsessp.ui.widgets.card_text import (
    count_text,
    structure_names,
    title_of,
)
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.model_picker import (
    TOPOLOGIES,
    TopologyDrawing,
    ratios_text,
)
from napari_sparsessp.ui.widgets.numbers import read_number, write_number
from napari_sparsessp.ui.widgets.structure_fields import StructureFields

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.importing.answers import CheckpointInfo, Question

ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


def model_id(name: str, taken: Collection[str] = ()) -> str:
    """Make an id of a name, other than the ids that are taken."""
    base = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:70].rstrip("-._")
    base = base or "model"
    number, id_ = 2, base
    while id_ in taken:
        id_, number = f"{base}-{number}", number + 1
    return id_


def checked_id(id_: str, taken: Collection[str]) -> str:
    """Return an id; raise ValueError where it is none, or one that is taken."""
    if not ID.fullmatch(id_):
        raise ValueError(
            "The id takes lower-case letters, digits, dots, - and _, and begins with "
            "a letter or digit."
        )
    if id_ in taken:
        raise ValueError(
            f"The id {id_} is taken: what is installed already is never replaced; "
            "choose another id."
        )
    return id_


def numbers(text: str) -> tuple[float, ...] | None:
    """Read numbers from a text; None where a word is no number.

    A comma between two numbers parts them where a space follows, or where points mark
    the decimals; ``1,5`` alone is one and a half.
    """
    parts = re.split(r"[;\s]+|,\s+", text.strip(" ,;"))
    if len(parts) == 1 and "." in text:
        parts = text.split(",")
    values = [read_number(part) for part in filter(None, parts)]
    whole = tuple(value for value in values if value is not None and abs(value) < 1e9)
    return whole if len(whole) == len(values) else None


def _read_name(text: str) -> str:
    if not text:
        raise ValueError("Give the model a name.")
    return text


def _read_modality(text: str) -> str:
    if not text.strip():
        raise ValueError("Say which light: bright-field, phase contrast, …")
    return text.strip()


def _read_ratios(text: str) -> tuple[float, ...]:
    values = numbers(text)
    if not values:
        raise ValueError(
            "How many planes of the dense grid does the network give for each plane "
            "that was imaged?"
        )
    if min(values) < 1:
        raise ValueError("A ratio is 1 or more: 1 for a stack without gaps.")
    return values


def _read_voxel_size(text: str) -> tuple[float, ...]:
    values = numbers(text)
    if values is None or len(values) != 3 or min(values) <= 0:
        raise ValueError("The voxel size needs three numbers above 0: z, y and x.")
    return values


def _write_numbers(values: Any) -> str:
    listed = values if isinstance(values, tuple | list) else (values,)
    return "; ".join(map(write_number, listed))


_NUMBERS = {"above": True, "live": True, "write": _write_numbers}


class OutputFields(StructureFields):
    """The structures of a network's outputs, as a row of a form."""

    def value(self) -> tuple[str, ...]:
        """Return structure ids; ValueError where one is missing or named twice."""
        if problem := self.problem():
            raise ValueError(problem)
        return self.ids()

    def set_value(self, ids: tuple[str, ...]) -> None:
        """Show these structures in the fields."""
        self.offer(max(len(ids), len(self.fields)), ids)


@dataclass(frozen=True)
class ImportAnswers:
    """Answers of a person; fields of `napari_sparsessp.models.importing.Answers`."""

    name: Annotated[
        str,
        {
            "label": "Name",
            "name": "Name of the model",
            "live": True,
            "read": _read_name,
        },
    ] = ""
    id: Annotated[
        str,
        {
            "label": "Id",
            "name": "Id of the model",
            "tooltip": "How files, requests and the command line call the model.",
            "live": True,
        },
    ] = ""
    structures: Annotated[
        tuple[str, ...],
        {"label": "What the outputs show", "above": True, "widget": OutputFields},
    ] = ()
    ratios: Annotated[
        tuple[float, ...],
        {
            "label": "Sparsity ratio r it was trained for",
            "name": "Sparsity ratios",
            "none": "for example 8, or 1, 2, 4, 8",
            "read": _read_ratios,
            **_NUMBERS,
        },
    ] = ()
    voxel_size: Annotated[
        tuple[float, ...],
        {
            "label": "Voxel grid it was trained on: z, y, x in µm",
            "name": "Voxel size along z, y and x in µm",
            "none": "for example 0.29, 0.29, 0.29",
            "read": _read_voxel_size,
            **_NUMBERS,
        },
    ] = ()
    scaling: Annotated[
        Literal["zscore", "median_iqr", "robust", "none"],
        {
            "label": "Scaling of the input",
            "above": True,
            "choices": [
                ("zscore", "z-score over the whole stack"),
                ("median_iqr", "interquartile ranges above the median"),
                ("robust", "z-score, extremes left out"),
                ("none", "none: the values as they are"),
            ],
        },
    ] = "zscore"
    modality: Annotated[
        str,
        {
            "label": "Transmitted light it was trained on",
            "name": "Modality",
            "above": True,
            "read": _read_modality,
        },
    ] = "bright-field"
    head_pool: Annotated[
        bool,
        {
            "label": "The head averages pixels",
            "tooltip": "Leaves no trace in the weights. Wrong, the picture is a little "
            "too soft or shows a grid of 2×2 pixels.",
        },
    ] = True
    licence: Annotated[
        str | None,
        {
            "label": "Licence",
            "name": "Licence of the weights",
            "none": "not known",
            "above": True,
        },
    ] = None


_ROW_OF = {"ratio": "ratios"}  # where a question has another name than its answer


def _reason(question: "Question") -> str:
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
    return f"Guessed: {reason}. Check it: a wrong answer gives no error."


def _licence_hint(format_: str) -> str:
    family, hint = format_.split(" ")[0], "Check that you may use these weights."
    if family in ("RepMode", "pytorch_fnet"):
        licence = f"{family} is published under the Allen Institute's licence, which"
        return f"{hint} {licence} forbids commercial use."
    return f"{hint} The file does not say under which licence they are."


class ImportForm(QWidget):
    """Contents of a file, and the questions that it leaves open."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._taken: frozenset[str] = frozenset()
        self._names = ("", "")
        self.shown: tuple[str, ...] = ()
        self.panel = CheckpointPanel()
        id_row = {"read": lambda text: checked_id(text, self._taken)}
        self.rows = Form(ImportAnswers, rows={"id": id_row})
        self.rows.native("name").setMaxLength(120)
        in_a_column(self, self.panel, self.rows, spacing=11).addStretch(1)
        self.rows.changed.connect(self._on_changed)

    def offer(
        self,
        contents: "CheckpointInfo | ModelCard",
        path: Path,
        name: str,
        taken: Collection[str],
    ) -> None:
        """Show what was read, and ask for the rest."""
        self._taken = frozenset(taken)
        self.panel.show_contents(contents, path)
        native = not hasattr(contents, "questions")
        questions = {
            _ROW_OF.get(question.name, question.name): question
            for question in getattr(contents, "questions", ())
        }
        asked = {*questions, *(() if native else ("name", "id", "licence"))}
        rows = tuple(ImportAnswers.__dataclass_fields__)
        self.shown = tuple(row for row in rows if row in asked)
        for row in rows:
            self.rows.show_row(row, row in asked)
        self._names = (name, model_id(name, taken))
        self.rows.set(ImportAnswers(*self._names))
        self.rows.native("structures").offer(getattr(contents, "outputs", 0))
        for row, question in questions.items():
            self.rows.show_note(row, _reason(question))
            if question.suggestion is not None:
                self.rows.update(**{row: question.suggestion})
        self.rows.show_note("licence", _licence_hint(getattr(contents, "format", "")))
        self.check()

    def check(self) -> str:
        """Show what is missing beside its field; return the first of it, or ""."""
        return self.rows.problem()

    def answers(self) -> dict[str, Any]:
        """Return what was asked and answered; empty for a file that asks nothing."""
        given = {row: self.rows.get(row) for row in self.shown}
        return {row: answer for row, answer in given.items() if answer is not None}

    def _on_changed(self) -> None:
        """Let the id follow the name until the user writes another."""
        name, suggested = self.rows.native("name").text(), self._names[1]
        if name != self._names[0]:
            self._names = (name, model_id(name, self._taken))
            if self.rows.native("id").text() in ("", suggested):
                self.rows.update(id=self._names[1])
        self.changed.emit()


class CheckpointPanel(QFrame):
    """A drawing of the network, its facts, structures and notes of the inspection."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "panel")
        self.drawing = TopologyDrawing()
        self.headline, self.facts = wrapped_label("strong"), wrapped_label("")
        self.structures, self.notes = wrapped_label(""), wrapped_label("muted")
        words = QWidget()
        in_a_column(words, self.headline, self.facts, spacing=1)
        head = in_a_row(self.drawing, words, stretched=0)
        head.setSpacing(10)
        head.setStretch(1, 1)
        head.setAlignment(self.drawing, Qt.AlignmentFlag.AlignTop)
        column = in_a_column(self, head, self.structures, self.notes)
        column.setContentsMargins(11, 9, 11, 10)

    def show_contents(self, contents: Any, path: Path) -> None:
        """Show a `CheckpointInfo`, or the `ModelCard` of a model of this plugin."""
        network = getattr(contents, "network", {})
        topology = getattr(contents, "topology", None) or network.get("topology", "")
        self.drawing.set_topology(str(topology))
        self.drawing.setVisible(bool(self.drawing.topology))
        facts = [f"{TOPOLOGIES[topology][0]} network"] if topology in TOPOLOGIES else []
        if hasattr(contents, "questions"):
            self.headline.setText(f"A {contents.format} checkpoint")
            if contents.parameters:
                facts.append(f"{count_text(contents.parameters)} parameters")
            facts.append(
                "1 output" if contents.outputs == 1 else f"{contents.outputs} outputs"
            )
            if contents.ratio is not None:
                facts.append(ratios_text((contents.ratio,)))
        else:
            self.headline.setText(f"A model of this plugin: {title_of(contents)}")
            facts.append(ratios_text(contents.ratios))
        self.facts.setText(" · ".join(facts))
        names = structure_names(contents.structures or ())
        self.structures.setText(f"Structures: {names}")
        self.structures.setVisible(bool(names))
        notes = [note.strip().rstrip(".") for note in getattr(contents, "notes", ())]
        lines = [f"{note[:1].upper()}{note[1:]}." for note in notes]
        self.notes.setText("\n".join(lines))
        self.notes.setVisible(bool(notes))
        self.setToolTip(str(path))
