"""Choose what to learn from: stacks of the viewer, or files."""

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_sparsessp.ui.train.choice import StackPick
from napari_sparsessp.ui.train.files_panel import TrainFilesPanel
from napari_sparsessp.ui.train.layers import LayerPart, PartKey
from napari_sparsessp.ui.train.stack_card import StackCard
from napari_sparsessp.ui.widgets.basic import Segments

LAYERS, FILES = "layers", "files"


class TrainPairsPanel(QWidget):
    """Cards of stacks that are open, or the panel of files.

    Signals
    -------
    changed
    file_asked, sample_asked
        The user wants to open a stack, or a public pair.
    """

    changed = Signal()
    file_asked = Signal()
    sample_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._parts: tuple[LayerPart, ...] = ()
        self._masks: tuple[LayerPart, ...] = ()
        self.cards: list[StackCard] = []
        self.source = Segments(
            [
                (LAYERS, "Layers of this viewer", "Stacks that are open here."),
                (FILES, "Files", "Many stacks: a list, a folder or images."),
            ],
            "Where the pairs are",
        )
        self.open_button = QPushButton("Open file…")
        self.open_button.setToolTip(
            "Open a stack with its voxel size; each channel becomes a layer."
        )
        self.add_button = QPushButton("Add another stack")
        self.add_button.setProperty("role", "link")
        self.add_button.setToolTip("Learn from a second field of view as well.")
        self.sample_button = QPushButton("No pair at hand? Try a public one")
        self.sample_button.setProperty("role", "link")
        self.sample_button.setToolTip(
            "Bright-field and DNA of an hiPSC colony (Allen Institute); asks before "
            "it is fetched."
        )
        self.files = TrainFilesPanel()
        self._layers = QWidget()
        self._cards_column = QVBoxLayout()
        self._arrange()
        self.source.chosen.connect(self._on_source)
        self.open_button.clicked.connect(lambda _on: self.file_asked.emit())
        self.sample_button.clicked.connect(lambda _on: self.sample_asked.emit())
        self.add_button.clicked.connect(lambda _on: self.add_card())
        self.files.changed.connect(self.changed)
        self._add(StackCard())
        self._on_source(LAYERS, tell=False)

    def _arrange(self) -> None:
        self._cards_column.setContentsMargins(0, 0, 0, 0)
        self._cards_column.setSpacing(6)
        foot = QHBoxLayout()
        foot.setContentsMargins(0, 0, 0, 0)
        foot.addWidget(self.open_button)
        foot.addStretch(1)
        foot.addWidget(self.add_button)
        inside = QVBoxLayout(self._layers)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(5)
        inside.addLayout(self._cards_column)
        inside.addLayout(foot)
        inside.addWidget(self.sample_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(7)
        column.addWidget(self.source)
        column.addWidget(self._layers)
        column.addWidget(self.files)

    # what the dock says -------------------------------------------------------

    def set_parts(
        self, parts: Sequence[LayerPart], masks: Sequence[LayerPart] = ()
    ) -> None:
        """Offer these stacks, and these masks, of the viewer."""
        self._parts, self._masks = tuple(parts), tuple(masks)
        taken: set[PartKey] = set()
        for card in self.cards:
            free = self._next_light(taken)
            card.set_parts(self._parts, free, self._masks)
            light = card.light()
            if light is not None:
                taken.add(light)
        self._settle()

    def show_files(self) -> None:
        """Turn to the files."""
        self.source.set_value(FILES)
        self._on_source(FILES, tell=False)

    def add_card(self) -> StackCard:
        """Add a card for another stack."""
        card = StackCard()
        taken = {one.light() for one in self.cards}
        self._add(card)
        card.set_parts(self._parts, self._next_light(taken), self._masks)
        self._settle()
        self.changed.emit()
        return card

    # what the dock asks -------------------------------------------------------

    def from_files(self) -> bool:
        """Whether the pairs are in files."""
        return self.source.value() == FILES

    def picks(self) -> tuple[StackPick, ...]:
        """Tell what is chosen of the layers."""
        return tuple(card.pick() for card in self.cards)

    # inside -------------------------------------------------------------------

    def _add(self, card: StackCard) -> None:
        if self.cards:
            line = QFrame()
            line.setProperty("role", "line")
            card.layout().insertWidget(0, line)
        self.cards.append(card)
        self._cards_column.addWidget(card)
        card.changed.connect(self.changed)
        card.removal_asked.connect(lambda: self._remove(card))

    def _remove(self, card: StackCard) -> None:
        self.cards.remove(card)
        card.hide()
        card.deleteLater()
        self._settle()
        self.changed.emit()

    def _settle(self) -> None:
        for card in self.cards:
            card.set_removable(len(self.cards) > 1)
        self.add_button.setVisible(len(self._parts) > 2)
        self.sample_button.setVisible(not self._parts)

    def _next_light(self, taken: set[PartKey | None] | set[PartKey]) -> PartKey | None:
        """Give the likeliest light that no other card has."""
        free = [one for one in self._parts if one.key not in taken]
        plain = [one for one in free if not one.structure]
        return next((one.key for one in [*plain, *free]), None)

    def _on_source(self, key: str, *, tell: bool = True) -> None:
        self._layers.setVisible(key == LAYERS)
        self.files.setVisible(key == FILES)
        if tell:
            self.changed.emit()
