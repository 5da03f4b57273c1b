"""Models in any dock: offer them, import one, show the card of the chosen one."""

from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.ui.models.import_dialog import ModelImporter
from napari_sparsessp.ui.models.page import ModelInfo
from napari_sparsessp.ui.preferences import model_news
from napari_sparsessp.ui.widgets.model_picker import TopologyPicker


class ModelShelf(QObject):
    """Joins the picker of a dock with the import dialog and the window of a card."""

    changed = Signal()  # another model is chosen, or the chosen one is gone
    failed = Signal(object)  # why the models cannot be listed
    gallery_asked = Signal()

    def __init__(self, engine: Any, picker: TopologyPicker, owner: QWidget) -> None:
        super().__init__(owner)
        self._engine = engine
        self._picker = picker
        self._owner = owner
        self.importer = ModelImporter(engine, owner)
        self.info: ModelInfo | None = None
        picker.changed.connect(self.changed)
        picker.import_asked.connect(self.importer.ask)
        picker.gallery_asked.connect(self.gallery_asked)
        picker.info_asked.connect(self.show_info)
        self.importer.imported.connect(self._on_imported)
        model_news().changed.connect(self._on_news)

    def offer(self, choose: str = "") -> None:
        """Offer the models of now, and choose one by its id if it is installed.

        Without, or where there is none of this id, the old one stays.
        """
        before = self._picker.card()
        try:
            cards = self._engine.cards()
        except SparseSSPError as error:
            self.failed.emit(error)
        else:
            keep = "" if before is None else before.id
            known = any(card.id == choose for card in cards)
            self._picker.set_cards(cards, choose if known else keep)
        self.changed.emit()

    def _on_imported(self, id_: str, _path: object) -> None:
        model_news().changed.emit(id_)
        # while a prediction runs its own model stays; the new one is offered
        self.offer(id_ if self._picker.isEnabled() else "")

    def _on_news(self, _id: str) -> None:
        self.offer()

    def show_info(self) -> None:
        """Show the card of the chosen model."""
        card = self._picker.card()
        if card is None:
            return
        if self.info is not None:
            self.info.close()
        self.info = ModelInfo(card, self._engine.place(card), self._owner)
        self.info.finished.connect(self._on_info_closed)
        self.info.show()

    def _on_info_closed(self, _result: int) -> None:
        self.info = None
