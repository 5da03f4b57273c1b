"""The structures that a model can predict, as a Qt table model.

It knows nothing of napari: layers appear as keys and names.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from qtpy.QtCore import (
    QAbstractItemModel,
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QPointF,
    QRectF,
    QSize,
    QStringListModel,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtGui import QColor, QFontMetrics, QPainter, QPainterPath, QPen
from qtpy.QtWidgets import (
    QComboBox,
    QCompleter,
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import (
    CATALOGUE,
    Structure,
    find_structure,
    match_channel,
    structure_or_custom,
)
from napari_sparsessp.ui.layers.metadata import DEFAULT_VISIBLE
from napari_sparsessp.ui.preferences import preference_news, preferences
from napari_sparsessp.ui.widgets.basic import Mark, draw_mark
from napari_sparsessp.ui.widgets.model_picker import Quality, r2_text
from napari_sparsessp.ui.widgets.style import Tones, mix

FEW = 4


class Column(IntEnum):
    """Columns of the table."""

    NAME = 0
    VISIBLE = 1
    SPREAD = 2
    TRUTH = 3
    EXPECTED = 4
    R2 = 5
    PCC = 6


NUMBERS = (Column.EXPECTED, Column.R2, Column.PCC)


@dataclass
class Row:
    """One structure.

    Attributes
    ----------
    structure : Structure
    ticked : bool
        Whether it is to be predicted.
    visible : bool
        Whether its layers are shown.
    truth : str or None
        Key of the layer that holds its ground truth.
    chosen : bool
        The user chose `truth`: names no longer decide.
    scores : dict
        Running ``r2`` and ``pcc``; None where undefined.
    spread : bool or None
        Whether the layer of its uncertainty is shown; None where there is none.
    doubts : tuple of str
        How the input was unlike what the model was made for.
    expected : Quality or None
        What the model's card promises.
    """

    structure: Structure
    ticked: bool = True
    visible: bool = True
    truth: str | None = None
    chosen: bool = False
    scores: dict[str, float | None] | None = None
    spread: bool | None = None
    doubts: tuple[str, ...] = ()
    expected: Quality | None = None

    def number(self, column: Column) -> float | None:
        """Value of one of the columns `NUMBERS`; None where nothing is known."""
        if column is Column.EXPECTED:
            return None if self.expected is None else self.expected.r2
        key = {Column.R2: "r2", Column.PCC: "pcc"}[column]
        return None if self.scores is None else self.scores.get(key)

    def text(self, column: Column, truth: str) -> str | None:
        """What a cell says; `truth` is the name of the truth layer."""
        if column is Column.NAME:
            return self.structure.label
        if column is Column.TRUTH:
            return truth
        if column in NUMBERS:
            value = self.number(column)
            # what was measured on other images says little of an unfamiliar one
            doubt = "?" if column is Column.EXPECTED and self.doubts else ""
            return "" if value is None else r2_text(value) + doubt
        return None

    def tip(self, column: Column, explained: str) -> str:
        """What a cell's tool tip says, before what the column means."""
        if column is Column.NAME:
            known = [self.structure.protein, self.structure.cell_line]
            title = " · ".join([self.structure.label, *filter(None, known)])
            doubts = ["Unfamiliar input:", *self.doubts] if self.doubts else []
            return "\n".join([title, *doubts, explained])
        if column is Column.EXPECTED:
            if self.expected is None:
                return f"The model's card says nothing of it here.\n{explained}"
            value = r2_text(self.expected.r2)
            told = f"R² {value} on {self.expected.measured_on}."
            if self.doubts:
                told += " This stack is unlike those images: expect less."
            return f"{told}\n{explained}"
        if column in (Column.R2, Column.PCC) and self.scores:
            numbers = [
                f"{word} {r2_text(value)}"
                for word, value in (
                    ("R²", self.number(Column.R2)),
                    ("PCC", self.number(Column.PCC)),
                    ("expected R²", self.number(Column.EXPECTED)),
                )
                if value is not None
            ]
            return "\n".join([", ".join(numbers), explained])
        return explained


TIPS = {
    Column.NAME: "Tick what is to be predicted.",
    Column.VISIBLE: "Show or hide this structure's layers (V).",
    Column.SPREAD: "Show or hide how far off the prediction may be: a layer of the "
    "standard deviation (U).",
    Column.TRUTH: "A layer that shows the real structure. Choose one and R² is "
    "computed while the prediction runs.",
    Column.EXPECTED: "The R² that this model reached at this sampling, on the images "
    "that its card names. Other images may fare worse: compare with a truth.",
    Column.R2: "R² over all predicted voxels against the z-scored truth: 1 is perfect, "
    "0 is no better than a flat grey image, below 0 is worse than that.",
    Column.PCC: "Pearson's correlation with the truth: 1 where both rise and fall "
    "together, whatever their brightness.",
}
HEADERS = {
    Column.NAME: "Structure",
    Column.VISIBLE: "",
    Column.SPREAD: "±",
    Column.TRUTH: "Truth",
    Column.EXPECTED: "Expected",
    Column.R2: "R²",
    Column.PCC: "PCC",
}
SHORT = {Column.EXPECTED: "Exp."}


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


ROW_HEIGHT = 22
NARROW_TRUTH = 36
"""Width of the truth's column where only a mark has room."""
_LIST_WIDTH = 190


class Cell(QStyledItemDelegate):
    """A cell that paints itself: all of them share back, ink and clicks."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint the row's back, then the cell."""
        view = self.parent()
        tones = Tones.of(view)
        area = QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(view.font())
        if view.hasFocus() and view.currentIndex().row() == index.row():
            painter.fillRect(area, mix(tones.panel, tones.accent, 0.22))
        ticked = index.siblingAtColumn(Column.NAME).data(Qt.ItemDataRole.CheckStateRole)
        on = ticked == Qt.CheckState.Checked
        ink = tones.text if on else mix(tones.back, tones.text, 0.55)
        self.draw(painter, area, index, tones, ink)
        painter.restore()

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint what the cell is about."""
        raise NotImplementedError

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:
        """Give every row the same height."""
        return QSize(40, ROW_HEIGHT)

    def editorEvent(
        self,
        event: QEvent,
        model: QAbstractItemModel,
        option: QStyleOptionViewItem,
        index: QModelIndex,
    ) -> bool:
        """Toggle a checkable cell wherever it is clicked, not only on its box."""
        checkable = index.flags() & Qt.ItemFlag.ItemIsUserCheckable
        if event.type() == QEvent.Type.MouseButtonRelease and checkable:
            toggle(model, index)
            return True
        return super().editorEvent(event, model, option, index)


def toggle(model: QAbstractItemModel, index: QModelIndex) -> None:
    """Turn a checkable cell over."""
    role = Qt.ItemDataRole.CheckStateRole
    on = index.data(role) == Qt.CheckState.Checked
    model.setData(index, Qt.CheckState.Unchecked if on else Qt.CheckState.Checked, role)


class NameCell(Cell):
    """A box filled with the structure's colour where it is ticked, and its name.

    A mark behind the name warns that the input is unlike what the model knows.
    """

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint box and name."""
        colour = index.data(Qt.ItemDataRole.DecorationRole)
        on = index.data(Qt.ItemDataRole.CheckStateRole) == Qt.CheckState.Checked
        box = QRectF(area.left() + 6, area.center().y() - 6.5, 14, 14)
        edge = mix(colour, tones.text, 0.45)
        painter.setPen(QPen(edge, 1.2))
        painter.setBrush(colour if on else mix(tones.panel, colour, 0.12))
        painter.drawRoundedRect(box, 3, 3)
        if on:
            dark = colour.lightnessF() > 0.42
            pen = QPen(QColor("#101418" if dark else "#ffffff"), 2.0)
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            painter.setPen(pen)
            x, y = box.center().x(), box.center().y()
            painter.drawPolyline(
                [
                    QPointF(x - 3.4, y + 0.2),
                    QPointF(x - 0.8, y + 2.9),
                    QPointF(x + 3.8, y - 2.8),
                ]
            )
        text = area.adjusted(27, 0, -2, 0)
        if index.data(Qt.ItemDataRole.UserRole):
            text.setRight(text.right() - 15)
            centre = QPointF(text.right() + 7, area.center().y() + 0.5)
            draw_mark(painter, centre, 6, Mark.WARN, tones)
        painter.setPen(ink)
        metrics = QFontMetrics(painter.font())
        name = metrics.elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, int(text.width())
        )
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, name)


class EyeCell(Cell):
    """An open eye for shown, a struck one for hidden."""

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint the eye, where there is something to see."""
        state = index.data(Qt.ItemDataRole.CheckStateRole)
        if state is None:
            return
        on = state == Qt.CheckState.Checked
        colour = ink if on else mix(tones.back, tones.text, 0.38)
        middle = area.center()
        eye = QPainterPath()
        left, right = middle - QPointF(7.5, 0), middle + QPointF(7.5, 0)
        eye.moveTo(left)
        eye.quadTo(middle - QPointF(0, 9), right)
        eye.quadTo(middle + QPointF(0, 9), left)
        painter.setPen(QPen(colour, 1.3))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(eye)
        if on:
            painter.setBrush(colour)
            painter.drawEllipse(middle, 2.2, 2.2)
        else:
            painter.drawLine(middle + QPointF(-6, 5), middle + QPointF(6, -5))


class TruthCell(Cell):
    """Name of the truth layer, or a mark where there is no room for a name.

    A click opens a list of the layers.

    Parameters
    ----------
    view : QWidget
    model : StructureModel
        Knows the layers.
    """

    def __init__(self, view: QWidget, model: StructureModel) -> None:
        super().__init__(view)
        self._model = model

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint the name and a chevron."""
        chosen = index.data(Qt.ItemDataRole.EditRole) is not None
        painter.setPen(ink if chosen else tones.muted)
        if chosen and area.width() < NARROW_TRUTH + 12:
            centre = QPointF(area.left() + 12, area.center().y() + 0.5)
            draw_mark(painter, centre, 6, Mark.GOOD, tones)
            self._draw_chevron(painter, area, index, tones)
            return
        text = area.adjusted(4, 0, -16, 0)
        metrics = QFontMetrics(painter.font())
        name = metrics.elidedText(
            str(index.data()), Qt.TextElideMode.ElideRight, int(text.width())
        )
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, name)
        self._draw_chevron(painter, area, index, tones)

    def _draw_chevron(
        self, painter: QPainter, area: QRectF, index: QModelIndex, tones: Tones
    ) -> None:
        if index.flags() & Qt.ItemFlag.ItemIsEditable:
            x, y = area.right() - 9, area.center().y() + 0.5
            painter.setPen(QPen(tones.muted, 1.3))
            painter.drawPolyline(
                [
                    QPointF(x - 3.2, y - 1.6),
                    QPointF(x, y + 1.6),
                    QPointF(x + 3.2, y - 1.6),
                ]
            )

    def createEditor(
        self, parent: QWidget, _option: QStyleOptionViewItem, index: QModelIndex
    ) -> QComboBox:
        """Open a list of layers."""
        box = QComboBox(parent)
        box.addItem("– no truth –", None)
        for key, name in self._model.layers:
            box.addItem(name, key)
        box.view().setMinimumWidth(_LIST_WIDTH)  # a cell may be narrow
        box.activated.connect(lambda _i: self._commit(box))
        QTimer.singleShot(0, box.showPopup)
        return box

    def setEditorData(self, editor: QComboBox, index: QModelIndex) -> None:
        """Start from the layer that is chosen."""
        place = editor.findData(index.data(Qt.ItemDataRole.EditRole))
        editor.setCurrentIndex(max(place, 0))

    def setModelData(
        self, editor: QComboBox, model: QAbstractItemModel, index: QModelIndex
    ) -> None:
        """Take the chosen layer over."""
        if editor.currentData() != index.data(Qt.ItemDataRole.EditRole):
            model.setData(index, editor.currentData(), Qt.ItemDataRole.EditRole)

    def _commit(self, box: QComboBox) -> None:
        self.commitData.emit(box)
        self.closeEditor.emit(box)


class ScoreCell(Cell):
    """R² as a number over a small bar from 0 to 1; a notch shows what was expected."""

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint bar and number."""
        score = index.data(Qt.ItemDataRole.UserRole)
        if score is None:
            return
        whole = QRectF(area.left() + 4, area.bottom() - 5, area.width() - 10, 2.5)
        painter.fillRect(whole, tones.line)
        bar = QRectF(whole)
        bar.setWidth(whole.width() * min(max(score, 0.0), 1.0))
        painter.fillRect(bar, tones.good if score > 0 else tones.bad)
        card = index.siblingAtColumn(Column.EXPECTED).data(Qt.ItemDataRole.UserRole)
        if card is not None and card > 0:
            x = whole.left() + whole.width() * min(card, 1.0)
            painter.fillRect(QRectF(x - 1, whole.top() - 1.5, 2, 5), tones.text)
        painter.setPen(ink if score > 0 else tones.bad)
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(
            area.adjusted(0, 0, -6, -3),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight,
            str(index.data()),
        )


class NumberCell(Cell):
    """A number and nothing else."""

    def draw(
        self,
        painter: QPainter,
        area: QRectF,
        index: QModelIndex,
        tones: Tones,
        ink: QColor,
    ) -> None:
        """Paint the number; what was only promised is paler than what was found."""
        promised = index.column() == Column.EXPECTED
        painter.setPen(tones.muted if promised else ink)
        painter.drawText(
            area.adjusted(0, 0, -6, 0),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight,
            str(index.data()),
        )


_BEFORE_PROTEIN = " – "
_ROW = 30
_MOST_ROWS = 7


def structure_id(text: str) -> str:
    """Give the id of what was typed; a name outside the catalogue makes its own.

    Parameters
    ----------
    text : str
        Any name of a structure; "" gives "".
    """
    name = text.split(_BEFORE_PROTEIN)[0].strip()
    try:
        return find_structure(name).id if name else ""
    except InputError:
        return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60]


class StructureFields(QWidget):
    """One field for each output; completes from the catalogue, takes any name.

    A list with commas that is typed or pasted into one field fills those below it.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[QLineEdit] = []
        self._words = QStringListModel(
            [
                f"{one.label}{_BEFORE_PROTEIN}{one.protein}" if one.protein else one.id
                for one in CATALOGUE.values()
            ]
        )
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._area)

    def offer(self, count: int, ids: Sequence[str] = ()) -> None:
        """Make fields.

        Parameters
        ----------
        count : int
            Outputs of the network.
        ids : sequence of str
            What suggests itself, in the order of the outputs.
        """
        columns = 1 if count < 4 else 2
        rows = -(-count // columns)
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 1, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        self.fields = []
        for number in range(count):
            row, column = number % rows, 2 * (number // rows)
            label = QLabel(str(number + 1))
            label.setProperty("role", "muted")
            label.setVisible(count > 1)
            field = self._field(number)
            field.setText(
                structure_or_custom(ids[number]).label if number < len(ids) else ""
            )
            grid.addWidget(label, row, column, Qt.AlignmentFlag.AlignRight)
            grid.addWidget(field, row, column + 1)
            grid.setColumnStretch(column + 1, 1)
            self.fields.append(field)
        self._area.setWidget(holder)
        self._area.setFixedHeight(_ROW * min(rows, _MOST_ROWS) + 2)

    def ids(self) -> tuple[str, ...]:
        """Ids of what the fields say; "" for an empty one."""
        return tuple(structure_id(field.text()) for field in self.fields)

    def problem(self) -> str:
        """Say what keeps the fields from being used; "" where nothing does."""
        ids = self.ids()
        empty = [str(number + 1) for number, id_ in enumerate(ids) if not id_]
        if empty:
            if len(ids) == 1:
                return "Name the structure that this network predicts."
            few = ", ".join(empty[:4]) + (", …" if len(empty) > 4 else "")
            number = f"number {few} has" if len(empty) == 1 else f"numbers {few} have"
            return f"Name every output of the network; {number} no name yet."
        for id_ in ids:
            if ids.count(id_) > 1:
                label = structure_or_custom(id_).label
                return f"{label} stands there twice; each output needs its own name."
        return ""

    def _field(self, number: int) -> QLineEdit:
        field = QLineEdit()
        field.setMaxLength(400)
        field.setAccessibleName(f"Structure of output {number + 1}")
        field.setToolTip(
            "What this output of the network shows. Choose from the catalogue, or "
            "type a name of your own; a list with commas fills the fields below."
        )
        field.setPlaceholderText("name of the structure")
        completer = QCompleter(self._words, field)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        field.setCompleter(completer)
        field.textChanged.connect(lambda _text: self.changed.emit())
        field.editingFinished.connect(lambda: self._settle(number))
        return field

    def _settle(self, number: int) -> None:
        """Spread a list, and write names as the catalogue does."""
        text = self.fields[number].text()
        if not text.strip():
            return
        parts = [part for part in re.split(r"[,;\t\n]+", text) if part.strip()]
        for field, part in zip(self.fields[number:], parts, strict=False):
            id_ = structure_id(part)
            label = structure_or_custom(id_).label if id_ else ""
            if field.text() != label:
                field.setText(label)
