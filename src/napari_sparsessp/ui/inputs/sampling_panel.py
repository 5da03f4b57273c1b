"""How sparsely the stack was imaged, or is to be thinned out for a trial."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.sparse import SparseView
from napari_sparsessp.ui.inputs.z_axis_drawing import ZAxisDrawing, sampling_sentence
from napari_sparsessp.ui.widgets.basic import Segments

AUTO, OTHER = "auto", "other"
RATIOS = (1, 2, 4, 8)

_AUTO_TIP = (
    "Take the ratio from the voxel size: the z step of this stack over the z step of "
    "the model's grid."
)
_SIMULATE_TIP = (
    "For a stack that is dense: use only every r-th plane and never look at the "
    "others. This is the honest way to find out how sparsely you may image."
)


def ordinal(ratio: float) -> str:
    """Write a ratio as in "every 4th plane" (rich text)."""
    if abs(ratio - 1) < 0.02:
        return "at <b>every plane</b>"
    if abs(ratio - round(ratio)) < 0.02:
        number = round(ratio)
        ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
        if 10 < number % 100 < 20:
            ending = "th"
        return f"at every <b>{number}{ending} plane</b>"
    return f"with <b>1 plane for every {ratio:.3g}</b> of the model"


class SamplingPanel(QWidget):
    """Choose the sparsity ratio and see what it means.

    `changed` is emitted when the user changes anything here.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        choices = [(AUTO, "Auto", _AUTO_TIP)]
        choices += [
            (
                str(r),
                str(r),
                "Every plane of the model's grid was imaged."
                if r == 1
                else f"One plane imaged for every {r} of the model's grid.",
            )
            for r in RATIOS
        ]
        choices.append((OTHER, "Other", "Any ratio from 1 on, also a broken one."))
        self.segments = Segments(choices, "Sparsity ratio r")
        self.spin = QDoubleSpinBox()
        self.spin.setRange(0.0, 64.0)
        self.spin.setDecimals(2)
        self.spin.setValue(3.0)
        self.spin.setPrefix("r = ")
        self.spin.setToolTip("Planes of the model's grid for each plane imaged.")
        self.spin.setAccessibleName("Sparsity ratio r")
        self.spin.hide()
        self.simulate_box = QCheckBox("Simulate it from this dense stack")
        self.simulate_box.setToolTip(_SIMULATE_TIP)
        self.drawing = ZAxisDrawing()
        self.sentence = QLabel("")
        self.sentence.setProperty("role", "small")
        self.sentence.setWordWrap(True)
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self._arrange()
        self._dense: bool | None = None
        self.segments.chosen.connect(self._on_chosen)
        self.spin.valueChanged.connect(self._tell)
        self.simulate_box.toggled.connect(self._on_simulate)

    def _arrange(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.segments, 1)
        row.addWidget(self.spin)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.simulate_box)
        column.addWidget(self.drawing)
        column.addWidget(self.sentence)

    def ratio(self) -> float | None:
        """Sparsity ratio that the user asks for; None: from the voxel size."""
        key = self.segments.value()
        if key == AUTO:
            return None
        return float(self.spin.value()) if key == OTHER else float(key)

    def set_ratio(self, ratio: float | None) -> None:
        """Choose a ratio without telling anyone."""
        if ratio is None:
            key = AUTO
        elif ratio in RATIOS:
            key = str(int(ratio))
        else:
            key = OTHER
            self.spin.blockSignals(True)
            self.spin.setValue(ratio)
            self.spin.blockSignals(False)
        self.segments.set_value(key)
        self.spin.setVisible(key == OTHER)

    def simulate(self) -> bool:
        """Whether to thin out a dense stack."""
        return self.simulate_box.isChecked()

    def set_simulate(self, on: bool) -> None:
        """Tick the box without telling anyone."""
        self.simulate_box.blockSignals(True)
        self.simulate_box.setChecked(on)
        self.simulate_box.blockSignals(False)

    def set_stack(self, dense: bool | None) -> None:
        """Tell what is known of the stack.

        Parameters
        ----------
        dense : bool or None
            True: its planes are as close as the model's, so that a ratio can only be
            meant as a trial. False: it is sparse already. None: nobody knows.
        """
        if dense is False and self.simulate():
            self.set_simulate(False)
        if dense and self.simulate() is False and (self.ratio() or 1) > 1:
            self.set_simulate(True)
        self._dense = dense
        self.simulate_box.setVisible(dense is not False)

    def show_view(
        self,
        view: SparseView | None,
        step_um: float | None = None,
        flat: bool = False,
    ) -> None:
        """Draw the planes and say what they mean; None clears the drawing.

        Parameters
        ----------
        view : SparseView or None
        step_um : float or None
            Distance of two dense planes in µm.
        flat : bool
            The model predicts one projection of the planes.
        """
        self.drawing.show_view(view, step_um, flat)
        self.sentence.setText("" if view is None else sampling_sentence(view, flat))

    def _on_chosen(self, key: str) -> None:
        self.spin.setVisible(key == OTHER)
        if self._dense and (self.ratio() or 1) > 1:
            self.set_simulate(True)
        elif self.ratio() in (None, 1.0):
            self.set_simulate(False)
        self._tell()

    def _on_simulate(self, on: bool) -> None:
        if on and (self.ratio() or 1) <= 1:
            self.set_ratio(4.0)
        elif not on and self._dense:
            self.set_ratio(None)
        self._tell()

    def _tell(self, *_: object) -> None:
        self.changed.emit()
