"""The Plan dock's form: steps that read like a sentence, then what was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_sparsessp.ui.dock import StepForm
from napari_sparsessp.ui.plan.curves import nth
from napari_sparsessp.ui.plan.job import PlanChoice
from napari_sparsessp.ui.plan.result import PlanResult
from napari_sparsessp.ui.predict.planning import FormState
from napari_sparsessp.ui.preferences import preferences
from napari_sparsessp.ui.widgets.basic import (
    Segments,
    Step,
    WorkFoot,
    in_a_column,
    link_button,
    wrapped_label,
)
from napari_sparsessp.ui.widgets.card_text import cost_words
from napari_sparsessp.ui.widgets.device import DeviceBox
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.model_picker import TopologyPicker
from napari_sparsessp.ui.widgets.stack_input import InputPanel
from napari_sparsessp.ui.widgets.structures import StructureModel, StructureTable

if TYPE_CHECKING:
    from napari_sparsessp.prediction.device import DeviceInfo

TRUTH, DENSE = "truth", "dense"

RATIOS = (2, 3, 4, 6, 8, 12, 16)
"""Ratios on offer; every plane is always predicted, to compare with."""

_USUAL = (2, 4, 8)

EMPTY = (
    "One dense stack tells how sparsely all the others may be imaged. It is predicted "
    "from every plane and from 1 plane in r, planes between are never looked at, and "
    "the results are compared. The curve appears here."
)
_TRUTH_TIP = "Layers that show the real structures, imaged with the stack."
_DENSE_TIP = (
    "Where there is no truth: how much does the prediction from fewer planes differ "
    "from the one from every plane?"
)
_DENSE_NOTE = (
    "No truth: this tells whether fewer planes change the picture, not whether the "
    "picture is right."
)


class PlanState(Enum):
    """Where the measurement stands: ready, blocked, known, running or stopping."""

    READY = "ready"
    BLOCKED = "blocked"
    KNOWN = "known"
    RUNNING = "running"
    STOPPING = "stopping"


_MEASURE_TIP = (
    "Predict the stack from every plane and from 1 plane in r, and compare (Ctrl+R)."
)
_LOOKS = {
    PlanState.READY: ("Find the ratio", "run", _MEASURE_TIP),
    PlanState.BLOCKED: ("Find the ratio", "run", ""),
    PlanState.KNOWN: (
        "Check again",
        "",
        "This was measured already. The pixels are read again; only where they "
        "have changed is anything predicted anew (Ctrl+R).",
    ),
    PlanState.RUNNING: ("Stop", "stop", "Stop; ratios that are done stay (Esc)."),
    PlanState.STOPPING: ("Stopping…", "stop", "Stops before the next layer."),
}


class PlanFoot(WorkFoot):
    """One button that measures or stops, its progress, and messages."""

    run_asked = Signal()
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__("the measurement", PlanState.BLOCKED)
        self.stack(self.button, self.bar, self.status)
        self.button.clicked.connect(self._on_clicked)
        self.set_state(PlanState.BLOCKED)

    def set_state(self, state: PlanState, why: str = "") -> None:
        """Change the button to what it does now; `why` is what keeps it off."""
        text, role, tip = _LOOKS[state]
        on = state not in (PlanState.BLOCKED, PlanState.STOPPING)
        self.take_state(state, (text, role, tip or why), on)

    def _on_clicked(self, _on: bool) -> None:
        if self._state is PlanState.RUNNING:
            self.set_state(PlanState.STOPPING)
            self.stop_asked.emit()
        elif self._state in (PlanState.READY, PlanState.KNOWN):
            self.run_asked.emit()


@dataclass(frozen=True)
class PlanOptions:
    """Options of a plan, declared for their form."""

    all_phases: Annotated[
        bool,
        {
            "label": "Try every starting plane (slower, steadier)",
            "tooltip": "Where the first plane lies is chance. Predict from each "
            "possible start and take the mean; the chart shows lowest and highest. It "
            "takes as many predictions as the ratios have planes: 14 more for 2, 4 "
            "and 8, not 3.",
        },
    ] = False


class RatioPicker(QWidget):
    """Buttons of which any number may be down, and the options of a sweep."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Ratios to try")
        self._buttons: dict[int, QPushButton] = {}
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        for ratio in RATIOS:
            button = QPushButton(nth(ratio))
            button.setCheckable(True)
            button.setChecked(ratio in _USUAL)
            button.setProperty("role", "choice")
            button.setMinimumWidth(30)
            button.setAccessibleName(f"Keep every {nth(ratio)} plane")
            button.setToolTip(
                f"Keep one plane of {ratio} and let the network predict the others; "
                "the planes between are never looked at."
            )
            button.clicked.connect(self.changed)
            self._buttons[ratio] = button
            row.addWidget(button, 1)
        self.options = Form(PlanOptions)
        self.options.changed.connect(self.changed)
        in_a_column(self, row, self.options, spacing=4)

    def ratios(self) -> tuple[int, ...]:
        """Return the ratios to try, every plane among them, ascending."""
        down = {
            r for r, b in self._buttons.items() if b.isChecked() and not b.isHidden()
        }
        return (1, *sorted(down))

    def offer(self, ratios: Sequence[int]) -> None:
        """Show only the ratios that the stack can give."""
        for ratio, button in self._buttons.items():
            button.setHidden(ratio not in ratios)

    def button(self, ratio: int) -> QPushButton:
        """Return the button of a ratio."""
        return self._buttons[ratio]


class PlanForm(StepForm):
    """All widgets of the dock, arranged; the steps scroll, the footer stays."""

    def __init__(self, find_devices: "Callable[[], Sequence[DeviceInfo]]") -> None:
        super().__init__()
        self.structures = StructureModel()
        self.input = InputPanel(with_colony=False)
        self.input.layer_box.setAccessibleName("Dense stack to plan from")
        self.ratios = RatioPicker()
        self.judge = Segments(
            [
                (TRUTH, "Ground truth", _TRUTH_TIP),
                (DENSE, "Dense prediction", _DENSE_TIP),
            ],
            "Compared with",
        )
        self.judge_note = wrapped_label("small", _DENSE_NOTE)
        self.table = StructureTable(self.structures)
        self.topology = TopologyPicker()
        self.device = DeviceBox(find_devices)
        self.result = PlanResult()
        self.empty = wrapped_label("muted", EMPTY)
        self.all_button = link_button("All", "Tick all structures")
        self.none_button = link_button("None", "Tick no structure")
        self.all_button.clicked.connect(lambda _on: self.structures.tick(None))
        self.none_button.clicked.connect(lambda _on: self.structures.tick(()))
        self._arrange()
        self.show_judge(False)

    def _arrange(self) -> None:
        self.stack_step = Step("<b>Dense stack</b>")
        self.ratio_step = Step("z-sampling")
        self.judge_step = Step("Compared with <b>ground truth</b>")
        self.topology_step = Step("Model")
        self.device_step = Step("Device")
        self.result_step = Step("<b>Sparsest sampling that is enough</b>", last=True)
        self.stack_step.title_row.addWidget(self.input.edit_button)
        self.judge_step.title_row.addWidget(self.all_button)
        self.judge_step.title_row.addWidget(self.none_button)
        self.device_step.title_row.addWidget(self.device, 12)
        steps: list[tuple[Step, list[QWidget]]] = [
            (self.stack_step, [self.input]),
            (self.ratio_step, [self.ratios]),
            (self.judge_step, [self.judge, self.judge_note, self.table]),
            (self.topology_step, [self.topology]),
            (self.device_step, []),
            (self.result_step, [self.empty, self.result]),
        ]
        self.arrange(steps, PlanFoot())

    def choice(self, time: int = 0) -> PlanChoice:
        """Return what the user has chosen, for the time point on screen."""
        chosen = preferences()
        stack = FormState(
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
            all_phases=self.ratios.options.values().all_phases,
            time=time,
        )

    def show_judge(self, against_dense: bool) -> None:
        """Show what goes with the chosen judge."""
        self.judge.set_value(DENSE if against_dense else TRUTH)
        self.judge_note.setVisible(against_dense)
        hidden = {"expected", "truth"} if against_dense else {"expected"}
        self.table.hide_columns(hidden)
        what = "dense prediction" if against_dense else "ground truth"
        self.judge_step.set_headline(f"Compared with <b>{what}</b>")

    def show_model(self) -> None:
        """Offer the structures of the chosen model, and say what they cost."""
        card = self.topology.card()
        ids = () if card is None else card.structures
        self.structures.set_structures(ids, "" if card is None else cost_words(card))

    def to_result(self) -> None:
        """Scroll to what was measured."""
        self.scroll_to(self.result_step)

    def set_locked(self, locked: bool) -> None:
        """Lock the form while something is measured; curves can still be shown."""
        for widget in (
            *(self.input, self.ratios, self.judge, self.topology, self.device),
            *(self.input.edit_button, self.all_button, self.none_button),
        ):
            widget.setEnabled(not locked)
        self.structures.set_locked(locked)
