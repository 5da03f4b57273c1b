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
    QPushButton,
    QWidget,
)

from napari_sparsessp.ui.compare.composition_panel import CompositionPanel
from napari_sparsessp.ui.compare.foot import CompareFoot
from napari_sparsessp.ui.compare.model import ScoreModel
from napari_sparsessp.ui.compare.table import CompareTable
from napari_sparsessp.ui.layouts.picker import LayoutPicker
from napari_sparsessp.ui.widgets.basic import (
    ElidingComboBox,
    Mark,
    Step,
    StepColumn,
    put_above,
)
from napari_sparsessp.ui.widgets.charts import Chart, DensityPlot
from napari_sparsessp.ui.widgets.style import Dress

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
