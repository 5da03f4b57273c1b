"""Models in any dock: offer them, import one, show the card of the chosen one."""

from typing import Any

from qtpy.QtCore import QObject, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QWidget

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.models.manage import delete_model
from napari_sparsessp.ui.models.import_dialog import ModelImporter
from napari_sparsessp.ui.models.page import ModelInfo
from napari_sparsessp.ui.preferences import model_news
from napari_sparsessp.ui.widgets.model_picker import TopologyPicker


class ModelShelf(QObject):
    """Joins the picker of a dock with the import dialog and the window of a card."""

    changed = Signal()  # another model is chosen, or the chosen one is gone
    failed = Signal(object)  # why the models cannot be listed

    def __init__(self, engine: Any, picker: TopologyPicker, owner: QWidget) -> None:
        super().__init__(owner)
        self._engine = engine
        self._picker = picker
        self._owner = owner
        self.importer = ModelImporter(engine, owner)
        self.info: ModelInfo | None = None
        picker.changed.connect(self.changed)
        picker.import_asked.connect(self.importer.ask)
        picker.info_asked.connect(self.show_info)
        self.importer.imported.connect(self._on_imported)
        model_news().changed.connect(self._on_news)

    def offer(self, choose: str = "") -> None:
        """Offer the models of now, and choose one by its id; without, the old stays."""
        before = self._picker.card()
        keep = choose or ("" if before is None else before.id)
        try:
            self._picker.set_cards(self._engine.cards(), keep)
        except SparseSSPError as error:
            self.failed.emit(error)
        self.changed.emit()

    def choose(self, id_: str) -> None:
        """Choose a model, if it is installed."""
        try:
            here = any(card.id == id_ for card in self._engine.cards())
        except SparseSSPError as error:
            self.failed.emit(error)
        else:
            if here:
                self.offer(id_)

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
        self.info.folder_asked.connect(self.show_in_folder)
        self.info.removal_asked.connect(self.remove)
        self.info.finished.connect(self._on_info_closed)
        self.info.show()

    def _on_info_closed(self, _result: int) -> None:
        self.info = None

    def show_in_folder(self) -> None:
        """Open the folder of the model whose card is shown."""
        place = None if self.info is None else self._engine.place(self.info.card)
        if place is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(place.path.parent)))

    def remove(self) -> None:
        """Delete the model whose card is shown; the Models dock can restore it."""
        info = self.info
        place = None if info is None else self._engine.place(info.card)
        if info is None or place is None or not place.own:
            return
        if not self._picker.isEnabled():
            info.show_problem("a prediction is running; remove the model afterwards")
            return
        self._engine.forget()
        try:
            delete_model(place.path)
        except SparseSSPError as error:
            info.show_problem(str(error))
            return
        info.close()
        model_news().changed.emit(info.card.id)
