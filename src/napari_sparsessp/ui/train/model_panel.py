"""Choose the model to begin with, and how much of it may change."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from napari_sparsessp.ui.widgets.basic import ElidingComboBox

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard

_FREEZE_TIP = (
    "Only the second half of the network learns: faster, needs less memory, and "
    "forgets less of what it knew. It also learns less, so leave it off unless you are "
    "in a hurry."
)


class TrainModelPanel(QWidget):
    """A list of models, what the chosen one is, and a tick to leave its encoder.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: dict[str, ModelCard] = {}
        self.model_box = ElidingComboBox()
        self.model_box.setAccessibleName("Model to begin with")
        self.model_box.setToolTip(
            "What the new model knows before it learns from your pairs. It stays as it "
            "is; a new one is made."
        )
        self.about = QLabel("")
        self.about.setProperty("role", "small")
        self.about.setWordWrap(True)
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.freeze_box = QCheckBox("Freeze its first half (the encoder)")
        self.freeze_box.setToolTip(_FREEZE_TIP)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        for widget in (self.model_box, self.about, self.freeze_box):
            column.addWidget(widget)
        self.model_box.activated.connect(self._on_model)
        self.freeze_box.toggled.connect(lambda _on: self.changed.emit())

    def offer(self, cards: "Sequence[ModelCard]") -> None:
        """Offer these models; the chosen one stays if it can, else the first."""
        before = self.model_id()
        self._cards = {one.id: one for one in cards}
        self.model_box.clear()
        for one in cards:
            self.model_box.addItem(one.name, one.id)
        ids = list(self._cards)
        self.model_box.setCurrentIndex(ids.index(before) if before in ids else 0)
        self._tell()

    def model_id(self) -> str:
        """Id of the chosen model; "" where there is none."""
        return str(self.model_box.currentData() or "")

    def card(self) -> "ModelCard | None":
        """Card of the chosen model."""
        return self._cards.get(self.model_id())

    def choose(self, id_: str) -> None:
        """Choose a model without telling anyone, if it is there."""
        place = self.model_box.findData(id_)
        if place >= 0:
            self.model_box.setCurrentIndex(place)
            self._tell()

    def _on_model(self, _index: int) -> None:
        self._tell()
        self.changed.emit()

    def _tell(self) -> None:
        card = self.card()
        if card is None:
            self.about.setText("")
            return
        count = len(card.structures)
        ratios = ", ".join(f"{one:g}" for one in card.ratios)
        several = f"{count} structures" if count > 1 else "one structure"
        self.about.setText(
            f"Knows {several}; every plane or fewer, r = {ratios}. "
            f"Licence: {card.licence}."
        )
