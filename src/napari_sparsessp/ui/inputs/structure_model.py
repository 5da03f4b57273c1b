"""The structures that a model can predict, as a Qt table model.

It knows nothing of napari: layers appear as keys and names.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor

from napari_sparsessp.structures import match_channel, structure_or_custom
from napari_sparsessp.ui.inputs.card_quality import Quality
from napari_sparsessp.ui.inputs.structure_row import (
    FEW,
    HEADERS,
    NUMBERS,
    TIPS,
    Column,
    Row,
)
from napari_sparsessp.ui.layers.marks import DEFAULT_VISIBLE
from napari_sparsessp.ui.preferences import preference_news, preferences


class StructureModel(QAbstractTableModel):
    """Tick, visibility, truth layer and live scores of each structure.

    Signals
    -------
    choice_changed
        Something that the next prediction depends on changed.
    visibility_changed, spread_changed : str, bool
        A structure, or its uncertainty, was shown or hidden.
    spreads_offered : bool
        There are uncertainties to show, or none any more.
    truth_chosen : str, object
        The user chose the layer (its key, or None) that a structure is compared with.
    columns_changed
        Other columns have something to say now.
    unlocked
        A prediction has ended.
    """

    choice_changed = Signal()
    visibility_changed = Signal(str, bool)
    spread_changed = Signal(str, bool)
    spreads_offered = Signal(bool)
    truth_chosen = Signal(str, object)
    columns_changed = Signal()
    unlocked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Row] = []
        self._layers: list[tuple[str, str]] = []
        self._locked = False
        self._cost = ""
        preference_news().changed.connect(self._on_preferences)

    # what the dock says -------------------------------------------------------

    def set_structures(self, ids: Sequence[str], cost: str = "") -> None:
        """Offer these structures; what was chosen for those that stay is kept.

        Parameters
        ----------
        ids : sequence of str
        cost : str
            What every structure more costs, in words.
        """
        self._cost = cost
        before = {row.structure.id: row for row in self._rows}
        self.beginResetModel()
        self._rows = []
        for id_ in ids:
            few = len(ids) <= FEW
            fresh = Row(structure_or_custom(id_), visible=few or id_ in DEFAULT_VISIBLE)
            self._rows.append(before.get(id_, fresh))
        if self._rows and not any(row.visible for row in self._rows):
            for row in self._rows[:FEW]:
                row.visible = True
        self.endResetModel()
        self._match()

    def set_layers(self, layers: Sequence[tuple[str, str]]) -> None:
        """Tell which layers may hold a truth.

        Parameters
        ----------
        layers : sequence of (key, name)
        """
        self._layers = list(layers)
        self._match()

    def set_scores(self, scores: dict[str, dict[str, Any]]) -> None:
        """Show live scores of some structures."""
        for number, row in enumerate(self._rows):
            found = scores.get(row.structure.id)
            if found is not None:
                row.scores = {key: found.get(key) for key in ("r2", "pcc")}
                self.dataChanged.emit(
                    self.index(number, Column.R2), self.index(number, Column.PCC)
                )
        self.columns_changed.emit()

    def clear_scores(self) -> None:
        """Forget all scores."""
        for row in self._rows:
            row.scores = None
        self._changed(Column.R2, Column.PCC)
        self.columns_changed.emit()

    def set_expected(self, found: Mapping[str, Quality | None]) -> None:
        """Show what the model's card promises, by structure."""
        for row in self._rows:
            row.expected = found.get(row.structure.id)
        self._changed(Column.EXPECTED)
        self.columns_changed.emit()

    def set_spreads(self, shown: Mapping[str, bool]) -> None:
        """Tell which structures have a layer of uncertainty, and which are shown."""
        for row in self._rows:
            row.spread = shown.get(row.structure.id)
        self._changed(Column.SPREAD)
        self.spreads_offered.emit(any(row.spread is not None for row in self._rows))
        self.columns_changed.emit()

    def set_doubts(self, doubts: Mapping[str, Sequence[str]]) -> None:
        """Mark structures whose input was unlike what the model was made for.

        Parameters
        ----------
        doubts : mapping
            Structure id to why, in sentences; where there are none, there is no mark.
        """
        for row in self._rows:
            row.doubts = tuple(doubts.get(row.structure.id, ()))
        self._changed(Column.NAME, Column.EXPECTED)

    def set_locked(self, locked: bool) -> None:
        """Forbid everything but visibility while a prediction runs."""
        freed = self._locked and not locked
        self._locked = locked
        self._changed(Column.NAME)
        self._changed(Column.TRUTH)
        if freed:
            self.unlocked.emit()

    # what others ask ----------------------------------------------------------

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in the model's order."""
        return tuple(self._rows)

    @property
    def layers(self) -> tuple[tuple[str, str], ...]:
        """Layers that may hold a truth, as (key, name)."""
        return tuple(self._layers)

    def columns(self) -> frozenset[Column]:
        """Columns that have something to say."""
        shown = {Column.NAME, Column.VISIBLE, Column.TRUTH}
        if any(row.spread is not None for row in self._rows):
            shown.add(Column.SPREAD)
        if any(row.expected is not None for row in self._rows):
            shown.add(Column.EXPECTED)
        if any(row.scores for row in self._rows):
            shown |= {Column.R2, Column.PCC}
        return frozenset(shown)

    def ticked(self) -> tuple[str, ...]:
        """Ids of the structures to predict."""
        return tuple(row.structure.id for row in self._rows if row.ticked)

    def visible(self) -> tuple[str, ...]:
        """Ids of the structures that are shown."""
        return tuple(row.structure.id for row in self._rows if row.visible)

    def truths(self) -> dict[str, str]:
        """Truth layer's key by structure, for the ticked ones."""
        return {
            row.structure.id: row.truth
            for row in self._rows
            if row.ticked and row.truth is not None
        }

    def insisted(self) -> frozenset[str]:
        """Ids of the structures whose truth the user chose by hand."""
        return frozenset(row.structure.id for row in self._rows if row.chosen)

    def spreads(self) -> tuple[str, ...]:
        """Ids of the structures whose uncertainty is shown."""
        return tuple(row.structure.id for row in self._rows if row.spread)

    def layer_name(self, key: str | None) -> str:
        """Name of a truth layer; a dash for none."""
        return next((name for one, name in self._layers if one == key), "–")

    # what the table does ------------------------------------------------------

    def tick(self, ids: Iterable[str] | None) -> None:
        """Tick these and no others; None ticks all."""
        if self._locked:
            return
        wanted = None if ids is None else set(ids)
        for row in self._rows:
            row.ticked = wanted is None or row.structure.id in wanted
        self._changed(Column.NAME)
        self.choice_changed.emit()

    def set_visible(self, id_: str, visible: bool, *, tell: bool = True) -> None:
        """Show or hide one structure."""
        for number, row in enumerate(self._rows):
            if row.structure.id == id_ and row.visible != visible:
                row.visible = visible
                cell = self.index(number, Column.VISIBLE)
                self.dataChanged.emit(cell, cell)
                if tell:
                    self.visibility_changed.emit(id_, visible)

    def set_spread(self, id_: str, shown: bool, *, tell: bool = True) -> None:
        """Show or hide the uncertainty of one structure, where there is one."""
        for number, row in enumerate(self._rows):
            if row.structure.id == id_ and row.spread not in (None, shown):
                row.spread = shown
                cell = self.index(number, Column.SPREAD)
                self.dataChanged.emit(cell, cell)
                if tell:
                    self.spread_changed.emit(id_, shown)

    def choose_truth(self, number: int, key: str | None) -> None:
        """Let a layer (or none) be the truth of a row, whatever its name."""
        row = self._rows[number]
        row.truth, row.chosen, row.scores = key, True, None
        self.dataChanged.emit(
            self.index(number, Column.TRUTH), self.index(number, Column.PCC)
        )
        self.columns_changed.emit()
        self.truth_chosen.emit(row.structure.id, key)
        self.choice_changed.emit()

    def _match(self) -> None:
        """Find truth layers by name, where the user has not chosen one."""
        keys = [key for key, _ in self._layers]
        names = [name for _, name in self._layers]
        before = self.truths()
        for row in self._rows:
            if row.truth is not None and row.truth not in keys:
                row.truth, row.chosen = None, False
            if not row.chosen:
                found = match_channel(row.structure, names)
                row.truth = None if found is None else keys[found]
        self._changed(Column.TRUTH)
        self.columns_changed.emit()
        if self.truths() != before:
            self.choice_changed.emit()

    def _changed(self, column: Column, last: Column | None = None) -> None:
        if self._rows:
            bottom = self.index(len(self._rows) - 1, column if last is None else last)
            self.dataChanged.emit(self.index(0, column), bottom)

    # Qt -----------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Count the structures."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Count the columns."""
        return 0 if parent is not None and parent.isValid() else len(Column)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Tell what can be done with a cell."""
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        column = Column(index.column())
        spread = self._rows[index.row()].spread is not None
        if column is Column.VISIBLE or (column is Column.SPREAD and spread):
            return flags | Qt.ItemFlag.ItemIsUserCheckable
        if self._locked:
            return flags
        if column is Column.NAME:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        if column is Column.TRUTH:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Tell what a cell shows."""
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], Column(index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return row.text(column, self.layer_name(row.truth))
        if role == Qt.ItemDataRole.CheckStateRole:
            on = {
                Column.NAME: row.ticked,
                Column.VISIBLE: row.visible,
                Column.SPREAD: row.spread,
            }.get(column)
            if on is not None:
                return Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.DecorationRole and column is Column.NAME:
            return QColor(preferences().colour(row.structure.id))
        if role == Qt.ItemDataRole.EditRole and column is Column.TRUTH:
            return row.truth
        if role == Qt.ItemDataRole.UserRole and column is Column.NAME:
            return bool(row.doubts)
        if role == Qt.ItemDataRole.UserRole and column in NUMBERS:
            return row.number(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.tip(column, self._help(column))
        return None

    def setData(
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Change a tick, the visibility or the truth layer."""
        row, column = self._rows[index.row()], Column(index.column())
        if column is Column.VISIBLE and role == Qt.ItemDataRole.CheckStateRole:
            self.set_visible(row.structure.id, _is_checked(value))
            return True
        if column is Column.SPREAD and role == Qt.ItemDataRole.CheckStateRole:
            self.set_spread(row.structure.id, _is_checked(value))
            return True
        if self._locked:
            return False
        if column is Column.NAME and role == Qt.ItemDataRole.CheckStateRole:
            row.ticked = _is_checked(value)
            self.dataChanged.emit(index, self.index(index.row(), Column.PCC))
            self.choice_changed.emit()
            return True
        if column is Column.TRUTH and role == Qt.ItemDataRole.EditRole:
            self.choose_truth(index.row(), value)
            return True
        return False

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Name the columns, and explain them."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return HEADERS[Column(section)]
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._help(Column(section))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            right = Column(section) in NUMBERS
            side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def _on_preferences(self, *_: object) -> None:
        """Show the colours that hold now."""
        if self._rows:
            last = self.index(len(self._rows) - 1, 0)
            self.dataChanged.emit(self.index(0, 0), last)

    def _help(self, column: Column) -> str:
        cost = self._cost if column is Column.NAME else ""
        return f"{TIPS[column]} {cost}".strip()


def _is_checked(value: Any) -> bool:
    return value in (Qt.CheckState.Checked, Qt.CheckState.Checked.value, True)
