"""The Plan dock's form: steps that read like a sentence, then what they found.

*From this dense stack · keep every 2nd, 4th and 8th plane · judged by the truth · with
this network · on this device → how sparsely may I image?* Only widgets.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QLabel,
    QPushButton,
    QWidget,
)

from napari_sparsessp.ui.plan.choice import PlanChoice
from napari_sparsessp.ui.plan.foot import PlanFoot
from napari_sparsessp.ui.plan.ratio_picker import RatioPicker
from napari_sparsessp.ui.plan.result import PlanResult
from napari_sparsessp.ui.plan.structures import PlanStructures
from napari_sparsessp.ui.predict.planning import Choice
from napari_sparsessp.ui.preferences import preferences
from napari_sparsessp.ui.widgets.basic import Segments, Step, StepColumn, put_above
from napari_sparsessp.ui.widgets.device import DeviceBox
from napari_sparsessp.ui.widgets.model_picker import TopologyPicker, cost_words
from napari_sparsessp.ui.widgets.stack_input import InputPanel
from napari_sparsessp.ui.widgets.structures import StructureTable
from napari_sparsessp.ui.widgets.style import Dress

if TYPE_CHECKING:
    from napari_sparsessp.prediction.device import DeviceInfo

TRUTH, DENSE = "truth", "dense"

_WIDTH = 412

_EMPTY = (
    "One dense stack tells how sparsely all the others may be imaged. It is predicted "
    "from every plane and from every r-th one, planes between are never looked at, and "
    "the results are compared. The curve appears here."
)
_DENSE_NOTE = (
    "No truth: this tells whether fewer planes change the picture, not whether the "
    "picture is right."
)


class PlanForm(QWidget):
    """All widgets of the dock, arranged; the steps scroll, the foot stays.

    Parameters
    ----------
    find_devices : callable
        Gives the devices of this machine, slowly.
    """

    def __init__(self, find_devices: "Callable[[], Sequence[DeviceInfo]]") -> None:
        super().__init__()
        Dress(self)
        self.structures = PlanStructures()
        self.input = InputPanel(with_colony=False)
        self.input.layer_box.setAccessibleName("Dense stack to plan from")
        self.ratios = RatioPicker()
        self.judge = Segments(
            [
                (
                    TRUTH,
                    "Ground truth",
                    "Layers that show the real structures, imaged with the stack.",
                ),
                (
                    DENSE,
                    "Dense prediction",
                    "Where there is no truth: how much does the prediction from fewer "
                    "planes differ from the one from every plane?",
                ),
            ],
            "Judged by",
        )
        self.judge_note = QLabel(_DENSE_NOTE)
        self.judge_note.setProperty("role", "small")
        self.judge_note.setWordWrap(True)
        self.table = StructureTable(self.structures)
        self.topology = TopologyPicker()
        self.device = DeviceBox(find_devices)
        self.result = PlanResult()
        self.empty = QLabel(_EMPTY)
        self.empty.setProperty("role", "muted")
        self.empty.setWordWrap(True)
        self.foot = PlanFoot()
        self.all_button = _link("All", "Tick all structures")
        self.none_button = _link("None", "Tick no structure")
        self.all_button.clicked.connect(lambda _on: self.structures.tick(None))
        self.none_button.clicked.connect(lambda _on: self.structures.tick(()))
        self.stack_step = Step("From <b>this dense stack</b>")
        self.ratio_step = Step("keep <b>every r-th plane</b>")
        self.judge_step = Step("judged by <b>the truth</b>")
        self.topology_step = Step("with <b>this network</b>")
        self.device_step = Step("on")
        self.result_step = Step("<b>How sparsely may I image?</b>", last=True)
        self._arrange()
        self.show_judge(False)

    def _arrange(self) -> None:
        self.stack_step.title_row.addWidget(self.input.edit_button)
        self.judge_step.title_row.addWidget(self.all_button)
        self.judge_step.title_row.addWidget(self.none_button)
        self.device_step.title_row.addWidget(self.device, 12)
        for step, bodies in (
            (self.stack_step, (self.input,)),
            (self.ratio_step, (self.ratios,)),
            (self.judge_step, (self.judge, self.judge_note, self.table)),
            (self.topology_step, (self.topology,)),
            (self.device_step, ()),
            (self.result_step, (self.empty, self.result)),
        ):
            for body in bodies:
                step.body.addWidget(body)
        self.scroll = StepColumn(self.steps(), 8)
        self.scroll.end()
        put_above(self, self.scroll, self.foot)

    def sizeHint(self) -> QSize:
        """Ask for a width at which nothing is cut."""
        return QSize(_WIDTH, 760)

    def steps(self) -> tuple[Step, ...]:
        """Give the steps from top to bottom."""
        return (
            self.stack_step,
            self.ratio_step,
            self.judge_step,
            self.topology_step,
            self.device_step,
            self.result_step,
        )

    def choice(self, time: int = 0) -> PlanChoice:
        """Tell what the user has chosen, for the time point on screen."""
        chosen = preferences()
        stack = Choice(
            layer=self.input.layer_key(),
            leading=self.input.leading(),
            channel=self.input.channel(),
            voxel_size=self.input.typed_voxel_size(),
            structures=self.structures.ticked(),
            truths=self.structures.truths(),
            insisted=self.structures.insisted(),
            card=self.topology.card(),
            device=self.device.device(),
            precision=chosen.precision,
            memory_limit=chosen.memory_limit,
        )
        return PlanChoice(
            stack,
            against_dense=self.judge.value() == DENSE,
            ratios=self.ratios.ratios(),
            all_phases=self.ratios.all_phases(),
            time=time,
        )

    def show_judge(self, against_dense: bool) -> None:
        """Show what goes with the chosen judge."""
        self.judge.set_value(DENSE if against_dense else TRUTH)
        self.judge_note.setVisible(against_dense)
        self.structures.set_with_truths(not against_dense)
        what = "the dense prediction" if against_dense else "the ground truth"
        self.judge_step.set_headline(f"judged by <b>{what}</b>")

    def show_model(self) -> None:
        """Offer the structures of the chosen model, and say what they cost."""
        card = self.topology.card()
        ids = () if card is None else card.structures
        self.structures.set_structures(ids, "" if card is None else cost_words(card))

    def show_empty(self) -> None:
        """Say again what the dock does."""
        self.empty.setText(_EMPTY)

    def to_result(self) -> None:
        """Scroll to what was found."""
        self.scroll.ensureWidgetVisible(self.result_step, 0, 0)
        bar = self.scroll.verticalScrollBar()
        bar.setValue(min(self.result_step.y(), bar.maximum()))

    def set_locked(self, locked: bool) -> None:
        """Lock the form while something is measured; curves can still be shown."""
        self.input.edit_button.setEnabled(not locked)
        for panel in (self.input, self.ratios, self.judge, self.topology, self.device):
            panel.setEnabled(not locked)
        self.all_button.setEnabled(not locked)
        self.none_button.setEnabled(not locked)
        self.structures.set_locked(locked)


def _link(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setProperty("role", "link")
    button.setToolTip(tip)
    return button
