"""Choose a topology from small diagrams, and one of the models that have it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.engine.model_words import (
    TOPOLOGIES,
    cost_words,
    is_pass_each,
    ratios_text,
    short_duration,
)
from napari_sparsessp.ui.inputs.card_quality import Quality, r2_text
from napari_sparsessp.ui.inputs.topology_drawing import TopologyButton
from napari_sparsessp.ui.widgets.basic import ElidingComboBox

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard

IMPORT = "\0import"
"""Data of the model box's last entry; no id can look like it."""


class TopologyPicker(QWidget):
    """Four diagrams; those that no model serves are off and say why.

    Signals
    -------
    changed
        The user picked another topology or model.
    import_asked, info_asked
        The user wants to import a checkpoint, or to read the model's card.
    """

    changed = Signal()
    import_asked = Signal()
    info_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: list[ModelCard] = []
        self._chosen: ModelCard | None = None
        self._group = QButtonGroup(self)
        self.buttons: dict[str, TopologyButton] = {}
        for topology in TOPOLOGIES:
            button = TopologyButton(topology)
            self._group.addButton(button)
            self.buttons[topology] = button
        self.model_box = ElidingComboBox()
        self.model_box.setAccessibleName("Model")
        self.model_box.setPlaceholderText("no model of this kind")
        self.info_button = QPushButton("i")
        self.info_button.setProperty("role", "info")
        self.info_button.setAccessibleName("About this model")
        self.info_button.setToolTip(
            "What this model predicts, what it was trained on, how it scored and "
            "where it must not be trusted; also where its file is."
        )
        self.note = QLabel("")
        self.note.setProperty("role", "small")
        self.note.setWordWrap(True)
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self._arrange()
        self._group.buttonClicked.connect(self._on_topology)
        self.model_box.activated.connect(self._on_model)
        self.info_button.clicked.connect(lambda _on: self.info_asked.emit())
        self.set_cards([])

    def _arrange(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        for button in self.buttons.values():
            row.addWidget(button, 1)
        model = QHBoxLayout()
        model.setContentsMargins(0, 0, 0, 0)
        model.setSpacing(5)
        model.addWidget(self.model_box, 1)
        model.addWidget(self.info_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addLayout(row)
        column.addLayout(model)
        column.addWidget(self.note)

    def set_cards(self, cards: "Sequence[ModelCard]", default: str = "") -> None:
        """Offer these models.

        Parameters
        ----------
        cards : sequence of ModelCard
            Of several with the same id the first one counts, as everywhere.
        default : str
            Id of the one to choose; the first one where there is none of that id.
        """
        first: dict[str, ModelCard] = {}
        for card in cards:
            first.setdefault(card.id, card)
        self._cards = list(first.values())
        served = {card.topology for card in self._cards}
        for topology, button in self.buttons.items():
            label, what = TOPOLOGIES[topology]
            button.setEnabled(topology in served)
            if topology in served:
                card = next(c for c in self._cards if c.topology == topology)
                button.setToolTip(_prospect_tip(card, None, None))
            else:
                button.setToolTip(
                    f"{label}: {what}.\nNot available: no installed model has it. "
                    "Import one that has."
                )
        wanted = next((c for c in self._cards if c.id == default), None)
        self.set_card(wanted or (self._cards[0] if self._cards else None))

    def card(self) -> "ModelCard | None":
        """Card of the chosen model."""
        return self._chosen

    def served(self) -> "dict[str, ModelCard]":
        """Card that each topology stands for: the chosen one, or its first."""
        found: dict[str, ModelCard] = {}
        for card in (*filter(None, [self._chosen]), *self._cards):
            found.setdefault(card.topology, card)
        return found

    def show_prospects(
        self, found: Mapping[str, tuple[Quality | None, float | None]]
    ) -> None:
        """Say on the diagrams what is to be expected of them.

        Parameters
        ----------
        found : mapping
            Topology to its expected quality and seconds; None where unknown.
        """
        served = self.served()
        known = [quality is not None for quality, _ in found.values()]
        timed = [seconds is not None for _, seconds in found.values()]
        rows = any(known) + any(timed)
        for topology, button in self.buttons.items():
            quality, seconds = found.get(topology, (None, None))
            button.set_prospect(
                "" if quality is None else f"R² {r2_text(quality.r2)}",
                "" if seconds is None else _about(seconds),
                rows,
            )
            if topology in served:
                button.setToolTip(_prospect_tip(served[topology], quality, seconds))

    def model_id(self) -> str:
        """Id of the chosen model; "" where there is none."""
        return "" if self._chosen is None else self._chosen.id

    def set_card(self, card: "ModelCard | None") -> None:
        """Choose a model without telling anyone."""
        if card is not None:
            self.buttons[card.topology].setChecked(True)
        self._fill_models(card)

    def _fill_models(self, card: "ModelCard | None") -> None:
        topology = card.topology if card is not None else ""
        same = [c for c in self._cards if c.topology == topology]
        self.model_box.clear()
        for one in same:
            self.model_box.addItem(_title(one), one.id)
            last = self.model_box.count() - 1
            self.model_box.setItemData(last, _tip(one), Qt.ItemDataRole.ToolTipRole)
        self.model_box.insertSeparator(self.model_box.count())
        self.model_box.addItem("Import a checkpoint…", IMPORT)
        self.model_box.setItemData(
            self.model_box.count() - 1,
            "Use published weights: RepMode, SparseSSP or pytorch_fnet. A file can "
            "also be dropped onto this dock.",
            Qt.ItemDataRole.ToolTipRole,
        )
        self._choose(card)

    def _choose(self, card: "ModelCard | None") -> None:
        self._chosen = card
        row = -1 if card is None else self.model_box.findData(card.id)
        self.model_box.setCurrentIndex(row)
        self.note.setText(self._note(card))
        tip = "Choose a model, or import one." if card is None else _tip(card)
        self.model_box.setToolTip(tip)
        self.note.setToolTip(tip)
        self.info_button.setEnabled(card is not None)

    def _note(self, card: "ModelCard | None") -> str:
        """Say what everybody has to know before running."""
        if card is None:
            return (
                "No model is installed. Import a checkpoint, or reinstall "
                "napari-sparsessp."
            )
        lines = [cost_words(card)] if is_pass_each(card) else []
        if card.limits:  # the first limit is the one that everybody has to know
            lines.append(_in_short(card.limits[0]))
        missing = [b.label for b in self.buttons.values() if not b.isEnabled()]
        if missing:
            lines.append(f"{', '.join(missing)}: no installed model; import one.")
        return "\n".join(lines)

    def _on_topology(self, button: QAbstractButton) -> None:
        chosen = next((t for t, b in self.buttons.items() if b is button), "")
        self._fill_models(next((c for c in self._cards if c.topology == chosen), None))
        self.changed.emit()

    def _on_model(self, _index: int) -> None:
        key = self.model_box.currentData()
        if key == IMPORT:  # an errand, not a choice
            self._choose(self._chosen)
            self.import_asked.emit()
        elif self._chosen is None or key != self._chosen.id:
            self._choose(next(card for card in self._cards if card.id == key))
            self.changed.emit()


def _about(seconds: float) -> str:
    told = short_duration(seconds)
    return told if told.startswith("<") else f"≈ {told}"


def _prospect_tip(
    card: "ModelCard", quality: Quality | None, seconds: float | None
) -> str:
    label, what = TOPOLOGIES[card.topology]
    lines = [f"{label}: {what}.", f"Served by {card.name}."]
    if quality is not None:
        lines.append(
            f"R² {r2_text(quality.r2)}: mean of the ticked structures at this ratio, "
            f"measured on {quality.measured_on}."
        )
    if seconds is not None:
        lines.append(f"About {short_duration(seconds)} for this stack on this machine.")
    return "\n".join(lines)


def _in_short(limit: str) -> str:
    """Give what stands before a colon, where that says something by itself."""
    head = limit.split(":")[0]
    return (head if len(head.split()) > 2 else limit).rstrip(".") + "."


def _title(card: "ModelCard") -> str:
    """Name and version; what was imported has no version to be proud of."""
    if card.version == "imported":
        return f"{card.name} (imported)"
    return f"{card.name} {card.version}".strip()


def _tip(card: "ModelCard") -> str:
    """Say in a tool tip what the card says."""
    lines = [
        f"{_title(card)}, id {card.id}",
        f"Trained on: {card.trained_on}",
        f"Made for {ratios_text(card.ratios)}, {card.modality} images",
        f"Licence: {card.licence}",
    ]
    lines += [f"Limit: {limit}" for limit in card.limits]
    return "\n".join(lines)
