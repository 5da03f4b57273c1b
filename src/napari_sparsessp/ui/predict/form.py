"""The Predict dock's form: five steps that read like a sentence, and a foot.

*From this stack · sampled at every r-th plane · predict these structures · with this
network · on this device → Run.* Only widgets; `predict_dock` gives them their meaning.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QLabel,
    QPushButton,
    QWidget,
)

from napari_sparsessp.ui.engine.model_words import cost_words
from napari_sparsessp.ui.inputs.device_box import DeviceBox
from napari_sparsessp.ui.inputs.input_panel import InputPanel
from napari_sparsessp.ui.inputs.sampling_panel import SamplingPanel
from napari_sparsessp.ui.inputs.structure_model import StructureModel
from napari_sparsessp.ui.inputs.structure_table import StructureTable
from napari_sparsessp.ui.inputs.topology_picker import TopologyPicker
from napari_sparsessp.ui.predict.options_panel import OptionsPanel
from napari_sparsessp.ui.predict.outlook import Choice
from napari_sparsessp.ui.predict.run_panel import RunPanel
from napari_sparsessp.ui.widgets.basic import Step, StepColumn, put_above
from napari_sparsessp.ui.widgets.style import Dress

if TYPE_CHECKING:
    from napari_sparsessp.prediction.device import DeviceInfo

_WIDTH = 424


class PredictForm(QWidget):
    """All widgets of the dock, arranged; the steps scroll, the foot stays.

    Parameters
    ----------
    find_devices : callable
        Gives the devices of this machine, slowly.
    """

    def __init__(self, find_devices: "Callable[[], Sequence[DeviceInfo]]") -> None:
        super().__init__()
        Dress(self)
        self.structures = StructureModel()
        self.input = InputPanel()
        self.sampling = SamplingPanel()
        self.table = StructureTable(self.structures)
        self.topology = TopologyPicker()
        self.device = DeviceBox(find_devices)
        self.options = OptionsPanel()
        self.measured_note = QLabel("")
        self.measured_note.setProperty("role", "small")
        self.measured_note.setWordWrap(True)
        self.measured_note.setTextFormat(Qt.TextFormat.PlainText)
        self.foot = RunPanel()
        self.all_button = _link("All", "Tick all structures")
        self.none_button = _link("None", "Tick no structure")
        self.all_button.clicked.connect(lambda _on: self.structures.tick(None))
        self.none_button.clicked.connect(lambda _on: self.structures.tick(()))
        self.stack_step = Step("From <b>this stack</b>")
        self.sampling_step = Step("sampled at <b>every r-th plane</b>")
        self.structure_step = Step("predict <b>these structures</b>")
        self.topology_step = Step("with <b>this network</b>")
        self.device_step = Step("on", last=True)
        self._arrange()
        self.options.more_button.toggled.connect(self._on_more)

    def _arrange(self) -> None:
        self.stack_step.title_row.addWidget(self.input.edit_button)
        self.structure_step.title_row.addWidget(self.all_button)
        self.structure_step.title_row.addWidget(self.none_button)
        for step, body in (
            (self.stack_step, self.input),
            (self.sampling_step, self.sampling),
            (self.structure_step, self.table),
            (self.topology_step, self.topology),
        ):
            step.body.addWidget(body)
        self.structure_step.body.addWidget(self.measured_note)
        self.device_step.title_row.addWidget(self.device, 12)
        self.device_step.title_row.addWidget(self.options.more_button)
        self.device_step.body.addWidget(self.options)
        self.scroll = StepColumn(
            (
                self.stack_step,
                self.sampling_step,
                self.structure_step,
                self.topology_step,
                self.device_step,
            )
        )
        self.scroll.end()
        put_above(self, self.scroll, self.foot)

    def sizeHint(self) -> QSize:
        """Ask for a width at which nothing is cut."""
        return QSize(_WIDTH, 760)

    def _on_more(self, on: bool) -> None:
        """Scroll to what was unfolded, once it has its place."""
        if on:
            QTimer.singleShot(0, self._to_options)

    def _to_options(self) -> None:
        self.scroll.ensureWidgetVisible(self.options, 0, 8)

    def choice(self) -> Choice:
        """Tell what the user has chosen."""
        return Choice(
            layer=self.input.layer_key(),
            leading=self.input.leading(),
            channel=self.input.channel(),
            voxel_size=self.input.typed_voxel_size(),
            ratio=self.sampling.ratio(),
            simulate=self.sampling.simulate(),
            structures=self.structures.ticked(),
            truths=self.structures.truths(),
            insisted=self.structures.insisted(),
            card=self.topology.card(),
            device=self.device.device(),
            precision=self.options.precision(),
            tta=self.options.tta(),
            uncertainty=self.options.uncertainty(),
            memory_limit=self.options.memory_limit(),
        )

    def steps(self) -> tuple[Step, ...]:
        """Give the steps from top to bottom."""
        return (
            self.stack_step,
            self.sampling_step,
            self.structure_step,
            self.topology_step,
            self.device_step,
        )

    def show_model(self) -> None:
        """Offer the structures of the chosen model, and say what they cost."""
        card = self.topology.card()
        ids = () if card is None else card.structures
        cost = "" if card is None else cost_words(card)
        self.structures.set_structures(ids, cost)

    def show_measured_on(self, images: str) -> None:
        """Say where expected values come from; nothing where there are none."""
        short = images.split(", ")[0]
        told = f"Expected: the R² that was reached on {short}." if short else ""
        self.measured_note.setText(told)
        self.measured_note.setToolTip(images)
        self.measured_note.setVisible(bool(told))

    def set_locked(self, locked: bool) -> None:
        """Lock the form while a prediction runs; what is shown can still be chosen."""
        self.input.edit_button.setEnabled(not locked)
        for panel in (self.input, self.sampling, self.topology, self.device):
            panel.setEnabled(not locked)
        self.options.body.setEnabled(not locked)
        self.all_button.setEnabled(not locked)
        self.none_button.setEnabled(not locked)
        self.structures.set_locked(locked)


def _link(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setProperty("role", "link")
    button.setToolTip(tip)
    return button
