"""The Compare dock's form: what is compared, how it is seen, and how good it is.

*Compare this prediction · seen this way · it agrees this well · and here.* Only
widgets; `compare_dock` gives them their meaning.
"""

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.compare.layers import Checkerboard, Pattern, Swipe
from napari_sparsessp.ui.compare.table import CompareTable, ScoreModel
from napari_sparsessp.ui.layouts.arrangement import COMPOSITIONS, SWIPE
from napari_sparsessp.ui.layouts.picker import LayoutPicker
from napari_sparsessp.ui.widgets.basic import (
    SHARES,
    ElidingComboBox,
    Foot,
    Mark,
    Step,
    StepColumn,
    in_a_row,
    put_above,
)
from napari_sparsessp.ui.widgets.charts import Chart, DensityPlot
from napari_sparsessp.ui.widgets.style import Dress

_STEPS = 200
_FIELDS = (4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40)
"""Fields along the longer side."""


class CompositionPanel(QWidget):
    """One slider, with the words for what it does.

    Signals
    -------
    changed
        The user moved it.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._layout = ""
        self._places = {SWIPE: _STEPS // 2, "": 0}
        self.label = QLabel("")
        self.label.setProperty("role", "muted")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.valueChanged.connect(lambda _value: self.changed.emit())
        self.note = QLabel("")
        self.note.setProperty("role", "small")
        self.note.setWordWrap(True)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.label)
        row.addWidget(self.slider, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(row)
        column.addWidget(self.note)
        self.hide()

    def show_layout(self, layout: str) -> None:
        """Show what belongs to a layout; nothing for those that divide nothing."""
        if layout == self._layout:
            return
        self._places[self._layout] = self.slider.value()
        self._layout = layout
        self.setVisible(layout in COMPOSITIONS)
        self.slider.blockSignals(True)
        if layout == SWIPE:
            self.label.setText("Border")
            self.note.setText(
                "Left: truth · right: predicted. Drag the border here or there."
            )
            self.slider.setRange(0, _STEPS)
            self.slider.setToolTip(
                "Move the border between truth (left) and prediction (right); it can "
                "also be dragged in the picture."
            )
        else:
            self.label.setText("Fields")
            self.note.setText("The field in the upper left corner is truth.")
            self.slider.setRange(0, len(_FIELDS) - 1)
            self.slider.setToolTip("More and smaller fields, or fewer and larger ones.")
        self.slider.setAccessibleName(self.label.text())
        self.slider.setValue(self._places.get(layout, 3))
        self.slider.blockSignals(False)

    def share(self) -> float:
        """Where the border is, from 0 to 1."""
        return self.slider.value() / _STEPS

    def set_share(self, share: float) -> None:
        """Put the border where it was dragged to."""
        self.slider.setValue(round(share * _STEPS))

    def pattern(self, shape: tuple[int, ...]) -> Pattern:
        """Give the pattern for a stack.

        Parameters
        ----------
        shape : tuple of int
            (..., height, width).
        """
        if self._layout == SWIPE:
            return Swipe(self.share())
        return Checkerboard(max(shape[-2:]) / _FIELDS[self.slider.value()])


EXPORTS = {
    "csv": ("Table (CSV)…", "One line for each structure, for a spreadsheet."),
    "json": (
        "Report (JSON)…",
        "All scores, plane by plane, with what was compared, for programs.",
    ),
    "html": (
        "Page to look at (HTML)…",
        "One file with pictures of all planes, for any browser; needs no network.",
    ),
    "figure": (
        "Figure (PNG, SVG, PDF)…",
        "Light, truth, prediction and error of the ticked structures in the plane on "
        "screen, with the plots.",
    ),
}
"""Entry and tool tip by kind of file."""


class CompareFoot(Foot):
    """Bar, status, message and buttons.

    Signals
    -------
    export_asked : str
        A key of `EXPORTS`.
    copy_asked
    command_asked
        Copy the command line that gives what is compared.
    stop_asked
    """

    export_asked = Signal(str)
    copy_asked = Signal()
    command_asked = Signal()
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__("the comparison")
        self.stop_button = QPushButton("Cancel")
        self.stop_button.setToolTip("Stop computing; what is done stays (Esc).")
        self.export_button = QPushButton("Export")
        self.export_button.setToolTip(
            "Save the scores, or a page or figure to show them (Ctrl+E)."
        )
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        for kind, (text, tip) in EXPORTS.items():
            action = self.menu.addAction(text)
            assert action is not None
            action.setToolTip(tip)
            action.triggered.connect(
                lambda _on=False, kind=kind: self.export_asked.emit(kind)
            )
        self.menu.addSeparator()
        self.command_action = self.menu.addAction("Copy as command line")
        self.command_action.setToolTip(
            "The exact `sparsessp predict …` that gives the same numbers and scores."
        )
        self.command_action.triggered.connect(lambda _on: self.command_asked.emit())
        self.export_button.setMenu(self.menu)
        self.copy_button = QPushButton("Copy table")
        self.copy_button.setToolTip(
            "Copy the scores with all digits, to paste into a spreadsheet."
        )
        self.stack(
            self.bar,
            in_a_row(self.status, self.stop_button),
            in_a_row(self.export_button, self.copy_button, stretched=2),
        )
        self.stop_button.clicked.connect(lambda _on: self.stop_asked.emit())
        self.copy_button.clicked.connect(lambda _on: self.copy_asked.emit())
        self.set_busy(False)
        self.set_exportable(False)

    def set_busy(self, busy: bool, text: str = "") -> None:
        """Show that something is computed, or what came of it."""
        self.bar.setVisible(busy)
        self.stop_button.setVisible(busy)
        self.set_status(text)
        self.status.setVisible(bool(text))

    def show_progress(
        self, share: float, text: str, _seconds_left: float | None = None
    ) -> None:
        """Move the bar."""
        self.bar.setValue(round(SHARES * share))
        self.set_status(text)

    def set_exportable(self, on: bool) -> None:
        """Allow what needs scores."""
        self.export_button.setEnabled(on)
        self.copy_button.setEnabled(on)


_WIDTH = 412
_PLANES_HIGH, _DENSITY_HIGH = 170, 270
_NOTHING = (
    "There is no prediction in this viewer yet. Predict one, or open one from a file; "
    "it appears here by itself."
)


class CompareForm(QWidget):
    """All widgets of the dock, arranged; the steps scroll, the foot stays.

    Signals
    -------
    family_chosen : str
        Key of what is to be compared.
    truth_chosen : str
        Key of the layer that is the chosen structure's truth; "" for none.
    cells_changed
        The error or the uncertainty is to be shown, or no more.
    predict_asked
        There is nothing to compare; open the Predict dock.
    """

    family_chosen = Signal(str)
    truth_chosen = Signal(str)
    cells_changed = Signal()
    predict_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        Dress(self)
        self.scores = ScoreModel()
        self.table = CompareTable(self.scores)
        self.families = _box("What is compared")
        self.truths = _box("Truth layer of the chosen structure")
        self.truth_label = QLabel("Truth")
        self.picker = LayoutPicker()
        self.composition = CompositionPanel()
        self.error_box = QCheckBox("Error")
        self.spread_box = QCheckBox("Uncertainty")
        self.planes = Chart("plane", "R² within the plane")
        self.density = DensityPlot()
        self.density_title = QLabel("")
        self.legend = QLabel(
            "Error: <b>blue</b> too dark · black right · <b>orange</b> too bright, "
            "up to ±2 SD of the truth"
        )
        self.plane_note = QLabel(
            "Ticks below: measured planes. Click a plane to go there."
        )
        self.nothing = QLabel(_NOTHING)
        self.predict_button = QPushButton("Open Predict")
        self.compute_button = QPushButton("Compute scores")
        self.foot = CompareFoot()
        self.family_step = Step("Compare <b>this prediction</b>")
        self.view_step = Step("with its truth, <b>seen this way</b>")
        self.score_step = Step("it agrees <b>this well</b>")
        self.plane_step = Step("in <b>these planes</b>")
        self.value_step = Step("and at <b>these values</b>", last=True)
        self._tell()
        self._arrange()
        self._connect()
        self.set_cells_shown(False)

    def _tell(self) -> None:
        self.families.setToolTip(
            "An input and the model that predicted from it. Two models' predictions "
            "of one input are compared one after the other."
        )
        self.truths.setToolTip(
            "The layer that shows the real structure. Scores, error and pictures are "
            "computed against it."
        )
        self.error_box.setToolTip(
            "A cell with prediction − truth of the chosen structure, in standard "
            "deviations of the truth."
        )
        self.spread_box.setToolTip(
            "A cell with the predicted uncertainty of the chosen structure, where it "
            "was asked for in Predict."
        )
        self.planes.setToolTip(
            "R² of each plane by itself. A plane without structure has little to "
            "explain and scores low even where the picture is right."
        )
        self.compute_button.setToolTip(
            "Score all structures; so many voxels take a while."
        )
        self.error_box.setChecked(True)
        self.planes.setFixedHeight(_PLANES_HIGH)
        self.density.setFixedHeight(_DENSITY_HIGH)
        for label in (self.legend, self.plane_note, self.density_title):
            label.setProperty("role", "small")
            label.setWordWrap(True)
        self.nothing.setProperty("role", "muted")
        self.nothing.setWordWrap(True)
        self.truth_label.setProperty("role", "muted")

    def _arrange(self) -> None:
        self.family_step.body.addWidget(self.families)
        self.family_step.body.addWidget(self.nothing)
        self.family_step.body.addWidget(self.predict_button)
        self.view_step.body.addWidget(self.picker)
        self.view_step.body.addWidget(self.composition)
        cells = QHBoxLayout()
        cells.setSpacing(14)
        cells.addWidget(self.error_box)
        cells.addWidget(self.spread_box)
        cells.addStretch(1)
        self.view_step.body.addLayout(cells)
        self.view_step.body.addWidget(self.legend)
        truth = QHBoxLayout()
        truth.setSpacing(6)
        truth.addWidget(self.truth_label)
        truth.addWidget(self.truths, 1)
        self.score_step.body.addWidget(self.table)
        self.score_step.body.addLayout(truth)
        self.score_step.body.addWidget(self.compute_button)
        self.plane_step.body.addWidget(self.planes)
        self.plane_step.body.addWidget(self.plane_note)
        self.value_step.body.addWidget(self.density_title)
        self.value_step.body.addWidget(self.density)
        self.scroll = StepColumn(self.steps(), 6)
        self.scroll.end()
        put_above(self, self.scroll, self.foot)

    def _connect(self) -> None:
        self.families.activated.connect(
            lambda _row: self.family_chosen.emit(self.family())
        )
        self.truths.activated.connect(
            lambda _row: self.truth_chosen.emit(str(self.truths.currentData() or ""))
        )
        self.error_box.toggled.connect(lambda _on: self.cells_changed.emit())
        self.spread_box.toggled.connect(lambda _on: self.cells_changed.emit())
        self.predict_button.clicked.connect(lambda _on: self.predict_asked.emit())

    def sizeHint(self) -> QSize:
        """Ask for a width at which nothing is cut."""
        return QSize(_WIDTH, 760)

    def steps(self) -> tuple[Step, ...]:
        """Give the steps from top to bottom."""
        return (
            self.family_step,
            self.view_step,
            self.score_step,
            self.plane_step,
            self.value_step,
        )

    def family(self) -> str:
        """Key of what is chosen to be compared; "" for nothing."""
        return str(self.families.currentData() or "")

    def set_families(self, offers: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer what can be compared, as (key, label)."""
        _fill(self.families, offers, chosen)
        some = bool(offers)
        self.families.setVisible(some)
        self.nothing.setVisible(not some)
        self.predict_button.setVisible(not some)
        self.family_step.set_mark(Mark.GOOD if some else Mark.WAITING)
        for step in self.steps()[1:]:
            step.setVisible(some)
        self.foot.setEnabled(some)

    def set_truths(
        self, structure: str, offers: Sequence[tuple[str, str]], chosen: str
    ) -> None:
        """Offer layers as truth of the chosen structure, named by its label."""
        self.truth_label.setText(f"Truth of {structure}")
        _fill(self.truths, [*offers, ("", "none")], chosen)

    def set_cells_shown(self, on: bool) -> None:
        """Show what can be chosen of the cells side by side."""
        self.error_box.setVisible(on)
        self.spread_box.setVisible(on)
        self.legend.setVisible(on and self.error_box.isChecked())


def _box(name: str) -> ElidingComboBox:
    box = ElidingComboBox()
    box.setAccessibleName(name)
    return box


def _fill(box: ElidingComboBox, offers: Sequence[tuple[str, str]], chosen: str) -> None:
    """Offer entries anew, unless they are there already."""
    now = [(box.itemData(row), box.itemText(row)) for row in range(box.count())]
    if now != list(offers):
        box.clear()
        for key, label in offers:
            box.addItem(label, key)
            box.setItemData(box.count() - 1, label, Qt.ItemDataRole.ToolTipRole)
    box.setCurrentIndex(box.findData(chosen))
