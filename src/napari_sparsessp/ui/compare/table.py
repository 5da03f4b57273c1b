"""The view of the table of scores: choose, tick, sort and copy."""

from qtpy.QtCore import QEvent, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QKeySequence, QResizeEvent, QShortcut, QShowEvent
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableView

from napari_sparsessp.ui.compare.model import COLUMNS, ScoreModel

_MOST_ROWS = 12

_BEFORE_NAME = 48
_FEWEST_LETTERS = "Endoplasm…"

_CAN_WAIT = ("mse", "ssim")
"""Scores that a narrow table leaves to its tips and to what is copied."""

# R² and PCC: only they can be negative.
_SIGNED = (1, 2)


class CompareTable(QTableView):
    """Shows a `ScoreModel`.

    Parameters
    ----------
    model : ScoreModel

    Signals
    -------
    chosen : str
        The structure that the user looks at; its plots are shown.
    """

    chosen = Signal(str)

    def __init__(self, model: ScoreModel) -> None:
        super().__init__()
        self._scores = model
        self.setModel(model)
        self.setProperty("role", "scores")
        self.setAccessibleName("Scores by structure")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setIconSize(QSize(10, 10))
        header = self.horizontalHeader()
        assert header is not None
        # unsorted at first: in the model's order
        header.setSortIndicator(-1, Qt.SortOrder.DescendingOrder)
        self.setSortingEnabled(True)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        side = self.verticalHeader()
        assert side is not None
        side.hide()
        side.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        copy = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self)
        copy.setContext(Qt.ShortcutContext.WidgetShortcut)
        copy.activated.connect(self.copy)
        model.modelReset.connect(self._fit)
        model.dataChanged.connect(lambda *_: self._fit())

    def choose(self, id_: str) -> None:
        """Choose a structure; where it is not there, the first one."""
        row = max(self._scores.row_of(id_), 0)
        if self._scores.rows:
            self.setCurrentIndex(self._scores.index(row, 0))

    def structure(self) -> str:
        """Id of the chosen structure; "" for none."""
        row = self.currentIndex().row()
        return self._scores.rows[row].id if 0 <= row < len(self._scores.rows) else ""

    def copy(self) -> None:
        """Copy the whole table, with all digits, for a spreadsheet."""
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self._scores.as_text())

    def currentChanged(self, now: QModelIndex, before: QModelIndex) -> None:
        """Tell which structure is looked at."""
        super().currentChanged(now, before)
        if now.isValid() and now.row() != before.row():
            self.chosen.emit(self.structure())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Leave room for the names in a narrow dock."""
        super().resizeEvent(event)
        self._set_widths()

    def sizeHint(self) -> QSize:
        """Be as high as the rows are, up to twelve."""
        header = self.horizontalHeader()
        side = self.verticalHeader()
        assert header is not None
        assert side is not None
        rows = range(min(len(self._scores.rows), _MOST_ROWS))
        height = sum(side.sectionSize(row) for row in rows)
        return QSize(300, height + header.sizeHint().height() + 4)

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the size of the font."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._set_widths()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the font of the place where it is shown."""
        super().showEvent(event)
        self._set_widths()

    def _set_widths(self) -> None:
        """Leave to names what numbers do not need."""
        header = self.horizontalHeader()
        assert header is not None
        text = self.fontMetrics().horizontalAdvance
        room = self.width() - text(_FEWEST_LETTERS) - _BEFORE_NAME
        for column in range(1, len(COLUMNS)):
            widest = "−0.00" if column in _SIGNED else "0.00"
            header.resizeSection(column, text(widest) + 9)
            room -= text(widest) + 9
        for key in _CAN_WAIT:  # names that cannot be told apart are worse
            column = next(n for n, one in enumerate(COLUMNS) if one[0] == key)
            self.setColumnHidden(column, room < 0)
            room += text("0.00") + 9

    def _fit(self) -> None:
        height = self.sizeHint().height()
        if self.height() != height:
            self.setFixedHeight(height)
