"""The table of models: columns give way where it is narrow, Enter uses, Del deletes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtGui import QKeyEvent

from napari_sparsessp.models.card import origin_word
from napari_sparsessp.models.library import Entry
from napari_sparsessp.ui.widgets.basic import Mark
from napari_sparsessp.ui.widgets.card_text import (
    TOPOLOGIES,
    structure_names,
    title_of,
)
from napari_sparsessp.ui.widgets.table import ROW, Column, RowsModel, RowsOrder
from napari_sparsessp.ui.widgets.table_view import RowsView


def megabytes(size: float) -> str:
    """Write the size of a file: ``9.3 MB``, ``1.2 GB``."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _name(entry: Entry) -> str:
    return entry.name if entry.card is None else title_of(entry.card)


def _name_tip(entry: Entry) -> str:
    if entry.card is None:
        return entry.problem
    default = "\nThe default: what is used where no model is chosen."
    return f"{_name(entry)}\n{entry.card.id}{default * entry.is_default}"


def _spoken_name(entry: Entry) -> str:
    extra = "damaged" if entry.problem else "default" * entry.is_default
    return f"{_name(entry)}, {extra}" if extra else _name(entry)


def _structures(entry: Entry) -> str:
    if entry.card is None:
        return "damaged"
    many = len(entry.card.structures)
    return f"{many} structures" if many > 1 else structure_names(entry.card.structures)


# what all columns but the name have in common
_COMMON: dict[str, Any] = {
    "sortable": True,
    "most_letters": 22,
    "elide": Qt.TextElideMode.ElideMiddle,  # names that begin alike differ at their end
    "ink": lambda _entry: "muted",
}


def _mark(entry: Entry) -> Mark | str | None:
    return Mark.BAD if entry.problem else "★" if entry.is_default else None


COLUMNS = (
    Column(
        "name",
        "Model",
        _name,
        "What people call it. The star marks the default.",
        cell_tip=_name_tip,
        accessible=_spoken_name,
        mark=_mark,
        **_COMMON | {"ink": None},
    ),
    Column(
        "structures",
        "Shows",
        _structures,
        "The structures that it predicts.",
        value=lambda entry: entry.card and len(entry.card.structures),
        cell_tip=lambda entry: (
            structure_names(entry.card.structures) if entry.card else entry.problem
        ),
        gives_way=1,
        **_COMMON,
    ),
    Column(
        "topology",
        "Network",
        lambda entry: TOPOLOGIES[entry.card.topology][0] if entry.card else "",
        "Topology: whether encoder and decoder see planes or volumes.",
        cell_tip=lambda entry: (
            TOPOLOGIES[entry.card.topology][1] if entry.card else entry.problem
        ),
        gives_way=3,
        **_COMMON,
    ),
    Column(
        "size",
        "Size",
        lambda entry: megabytes(entry.size),
        "On the disk.",
        value=lambda entry: entry.size,
        cell_tip=lambda entry: entry.problem or megabytes(entry.size),
        gives_way=4,
        **_COMMON,
    ),
    Column(
        "origin",
        "From",
        lambda entry: (
            origin_word(entry.card.source, shipped=entry.shipped) if entry.card else ""
        ),
        "Whether it came with the plugin, was trained, imported or fetched.",
        cell_tip=lambda entry: entry.problem or entry.origin,
        gives_way=2,
        **_COMMON,
    ),
)


def search_texts(entry: Entry) -> Iterable[str]:
    """Return all texts of a model that a search looks through."""
    texts = [column.text(entry) for column in COLUMNS]
    if (card := entry.card) is not None:
        texts += [card.id, structure_names(card.structures), *card.structures]
        texts += [entry.origin, card.modality, card.citation, card.topology]
        texts.append(card.licence)
        texts += [member.name for member in card.members]
    return texts


class ModelsTable(RowsView):
    """The models; the chosen one stays chosen while others come, go or are hidden."""

    use_asked = Signal()
    delete_asked = Signal()
    rename_asked = Signal()

    def __init__(self) -> None:
        self._path: Path | None = None
        self._row = 0
        model = RowsModel(COLUMNS, key=lambda entry: entry.path)
        super().__init__(RowsOrder(model, search_texts), "Models", all_rows=False)
        model.setParent(self)
        self.doubleClicked.connect(self._on_double_click)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All models, also those that a search hides."""
        return self.rows_model.rows

    def show_entries(
        self, entries: Sequence[Entry], choose: Path | None = None
    ) -> None:
        """Show these models, and choose another by its path."""
        place = self.verticalScrollBar().value()
        self.rows_model.set_rows(entries)
        self.fit_columns()
        self.verticalScrollBar().setValue(place)
        self._choose_again(choose)

    def search(self, text: str) -> None:
        """Keep the models that have all these words."""
        assert self.order is not None
        self.order.search(text)
        self._choose_again()

    def _choose_again(self, path: Path | None = None) -> None:
        """Choose a model, else the former one, else the one that took its row."""
        model, wanted = self.model(), path or self._path
        rows = range(model.rowCount())
        paths = [model.index(row, 0).data(ROW).path for row in rows]
        if paths:
            row = paths.index(wanted) if wanted in paths else self._row
            self.choose(paths[min(row, len(paths) - 1)])

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:
        """Remember which model was chosen last, also while a search hides it."""
        if current.isValid():
            self._path, self._row = current.data(ROW).path, current.row()
        super().currentChanged(current, previous)

    def _on_double_click(self, _index: QModelIndex) -> None:
        self.use_asked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Use, delete and rename without a mouse."""
        signals = {
            Qt.Key.Key_Return: self.use_asked,
            Qt.Key.Key_Enter: self.use_asked,
            Qt.Key.Key_Delete: self.delete_asked,
            Qt.Key.Key_F2: self.rename_asked,
        }
        signal = signals.get(Qt.Key(event.key()))
        if signal is None:
            super().keyPressEvent(event)
        else:
            signal.emit()
