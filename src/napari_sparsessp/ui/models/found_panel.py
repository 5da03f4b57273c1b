"""What was found in a checkpoint: format, topology, size and structures, in words."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout

from napari_sparsessp.ui.engine.model_words import (
    TOPOLOGIES,
    count_text,
    ratios_text,
    structure_names,
)
from napari_sparsessp.ui.inputs.topology_drawing import TopologyDrawing

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.importing import CheckpointInfo


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

    def show_found(self, found: "CheckpointInfo | ModelCard", path: Path) -> None:
        """Show a checkpoint's findings, or the card of a native model.

        Parameters
        ----------
        found : CheckpointInfo or ModelCard
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
