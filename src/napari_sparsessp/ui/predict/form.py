"""The Predict dock's form: five steps that read like a sentence, and a foot.

*From this stack · sampled at every r-th plane · predict these structures · with this
network · on this device → Run.* Only widgets; `predict_dock` gives them their meaning.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.prediction.inference import TRANSFORMS as TURNS
from napari_sparsessp.ui.layouts.arrangement import OVERLAY, SIDE_BY_SIDE
from napari_sparsessp.ui.napari_compat import open_preferences
from napari_sparsessp.ui.predict.foot_menu import FootMenu
from napari_sparsessp.ui.predict.planning import Choice, Outlook, Pace, turns_of
from napari_sparsessp.ui.preferences import (
    PRECISIONS,
    Precision,
    Preferences,
    preference_news,
    preferences,
)
from napari_sparsessp.ui.widgets.basic import (
    Mark,
    Segments,
    Step,
    StepColumn,
    WorkFoot,
    in_a_row,
    put_above,
)
from napari_sparsessp.ui.widgets.card_text import (
    TOPOLOGIES,
    cost_words,
    expected_quality,
    is_pass_each,
    mean_quality,
)
from napari_sparsessp.ui.widgets.device import DeviceBox
from napari_sparsessp.ui.widgets.model_picker import TopologyPicker
from napari_sparsessp.ui.widgets.sampling import SamplingPanel, ordinal
from napari_sparsessp.ui.widgets.stack_input import InputPanel, expectations
from napari_sparsessp.ui.widgets.structures import StructureModel, StructureTable
from napari_sparsessp.ui.widgets.style import Dress, duration_text

if TYPE_CHECKING:
    from napari_sparsessp.prediction.device import DeviceInfo


_GB = 10**9
_MOST_GB = 4096.0
_TTA_TIP = (
    f"Predict the stack in {len(TURNS)} turns (mirrored, and turned by 90°) and show "
    "their mean: steadier, a little better, and as many times slower."
)
_UNCERTAINTY_TIP = (
    "Add a hidden layer to each structure: how far off the prediction may be, in "
    f"standard deviations of the truth. It comes from {len(TURNS)} turns of the stack "
    "too, so that it costs nothing more where they are averaged."
)
_MEMORY_TIP = (
    "The most memory that a prediction may take. Less means smaller tiles, not "
    "another result."
)


class OptionsPanel(QWidget):
    """Options with sensible defaults; a line of text tells those that are not.

    Attributes
    ----------
    more_button : QPushButton
        Folds this panel; stands elsewhere.

    Signals
    -------
    changed
        The user changed an option, or a preference.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.more_button = QPushButton("More…")
        self.more_button.setProperty("role", "link")
        self.more_button.setCheckable(True)
        self.more_button.setToolTip("More turns, uncertainty, and a limit of memory.")
        self.tta_box = QCheckBox(f"Steadier: {len(TURNS)} turns, {len(TURNS)}× slower")
        self.tta_box.setToolTip(_TTA_TIP)
        self.uncertainty_box = QCheckBox("Uncertainty: a ± layer for each structure")
        self.uncertainty_box.setToolTip(_UNCERTAINTY_TIP)
        self.memory_spin = QDoubleSpinBox()
        self.memory_spin.setRange(0.0, _MOST_GB)
        self.memory_spin.setDecimals(1)
        self.memory_spin.setSingleStep(0.5)
        self.memory_spin.setSuffix(" GB")
        self.memory_spin.setSpecialValueText("automatic")
        self.memory_spin.setToolTip(_MEMORY_TIP)
        self.memory_spin.setAccessibleName("Most memory to take")
        # a limit half typed would be planned with
        self.memory_spin.setKeyboardTracking(False)
        self.preferences_button = QPushButton("Preferences…")
        self.preferences_button.setProperty("role", "link")
        self.preferences_button.setToolTip(
            "What holds for all docks: device, precision, memory, folders, colours "
            "and how often a filling layer is drawn."
        )
        self.unload_button = QPushButton("Unload model")
        self.unload_button.setProperty("role", "link")
        self.unload_button.setToolTip(
            "Free the memory of the model. It stays loaded so that the next run starts "
            "at once; after a quarter of an hour without one it goes by itself."
        )
        self.unload_button.hide()
        self.memory_note = QLabel("")
        self.memory_note.setProperty("role", "small")
        self.memory_note.setWordWrap(True)
        self.memory_note.setTextFormat(Qt.TextFormat.PlainText)
        self.summary = QLabel("")
        self.summary.setProperty("role", "small")
        self.summary.setTextFormat(Qt.TextFormat.PlainText)
        self.body = QWidget()
        self._arrange()
        self._follow_preferences()
        self.tta_box.toggled.connect(self._tell)
        self.uncertainty_box.toggled.connect(self._tell)
        self.memory_spin.valueChanged.connect(self._tell)
        self.more_button.toggled.connect(self._on_more)
        self._on_more(False)

    def _arrange(self) -> None:
        memory = QHBoxLayout()
        memory.setContentsMargins(0, 0, 0, 0)
        memory.setSpacing(6)
        label = QLabel("At most")
        label.setProperty("role", "muted")
        of = QLabel("of memory")
        of.setProperty("role", "muted")
        memory.addWidget(label)
        memory.addWidget(self.memory_spin)
        memory.addWidget(of)
        memory.addStretch(1)
        inner = QVBoxLayout(self.body)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(4)
        inner.addWidget(self.tta_box)
        inner.addWidget(self.uncertainty_box)
        inner.addLayout(memory)
        inner.addWidget(self.memory_note)
        links = QHBoxLayout()
        links.setContentsMargins(0, 0, 0, 0)
        links.addWidget(self.preferences_button)
        links.addWidget(self.unload_button)
        links.addStretch(1)
        inner.addLayout(links)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.summary)
        column.addWidget(self.body)

    def tta(self) -> bool:
        """Whether to average over turns."""
        return self.tta_box.isChecked()

    def uncertainty(self) -> bool:
        """Whether to give an uncertainty for each structure."""
        return self.uncertainty_box.isChecked()

    def memory_limit(self) -> int | None:
        """Most memory to take in bytes; None: whatever is sensible."""
        value = float(self.memory_spin.value())
        return round(value * _GB) if value > 0 else None

    def precision(self) -> Precision:
        """Give the precision that the preferences ask for."""
        return preferences().precision

    def show_memory(self, text: str) -> None:
        """Say what a plan takes of the memory; nothing where there is no plan."""
        self.memory_note.setText(f"Plan: {text}" if text else "")
        self.memory_note.setVisible(bool(text))

    def _follow_preferences(self) -> None:
        news = preference_news()
        self._show_limit(news.now)
        self.preferences_button.setVisible(news.has_page)
        self.preferences_button.clicked.connect(lambda _on: open_preferences(self))
        news.changed.connect(self._on_preferences)

    def _on_preferences(self, before: Preferences, now: Preferences) -> None:
        """Take over a new limit, unless another one was typed in here."""
        if self.memory_limit() == before.memory_limit:
            self._show_limit(now)
        self._tell()

    def _show_limit(self, wish: Preferences) -> None:
        self.memory_spin.blockSignals(True)
        self.memory_spin.setValue((wish.memory_limit or 0) / _GB)
        self.memory_spin.blockSignals(False)

    def _on_more(self, on: bool) -> None:
        self.body.setVisible(on)
        self.more_button.setText("Less" if on else "More…")
        self._sum_up()

    def _sum_up(self) -> None:
        """Say what is not as usual, where the controls are folded away."""
        said = [
            f"mean of {len(TURNS)} turns" if self.tta() else "",
            "with uncertainty" if self.uncertainty() else "",
            f"at most {self.memory_spin.text()}" if self.memory_limit() else "",
            "" if self.precision() == "auto" else f"in {_in_words(self.precision())}",
        ]
        self.summary.setText(" · ".join(filter(None, said)))
        folded = self.body.isHidden()
        self.summary.setVisible(folded and bool(self.summary.text()))
        self.setVisible(not folded or bool(self.summary.text()))

    def _tell(self, *_: object) -> None:
        self._sum_up()
        self.changed.emit()


def _in_words(precision: Precision) -> str:
    return next(words for words, one in PRECISIONS.items() if one == precision)


_PART_TIP = (
    "Predict the field that is on screen, in all its planes, at this time point "
    "(Ctrl+Shift+R). The numbers are those of the whole; Resume adds the rest."
)
_NO_PART_TIP = (
    "In 3D all of the stack is in sight. Go back to 2D (the square below the layer "
    "list) and zoom in on what you want to see."
)


class RunState(Enum):
    """Where a prediction stands."""

    READY = "ready"
    BLOCKED = "blocked"
    RESUMABLE = "resumable"
    RUNNING = "running"
    CANCELLING = "cancelling"


class RunPanel(WorkFoot):
    """Button, progress bar, status, message and layout switch.

    Signals
    -------
    run_asked, resume_asked, cancel_asked
    part_asked
        Predict only what is on screen.
    layout_asked : str
        ``overlay`` or ``side``.
    restore_asked
    """

    run_asked = Signal()
    resume_asked = Signal()
    cancel_asked = Signal()
    part_asked = Signal()
    layout_asked = Signal(str)
    restore_asked = Signal()

    def __init__(self) -> None:
        super().__init__("the prediction", RunState.BLOCKED)
        self.again_button = QPushButton("Start over")
        self.again_button.setToolTip(
            "Predict everything anew; what is there is predicted over."
        )
        self.part_button = QPushButton("Only what I see")
        self._flat = True
        self.layouts = Segments(
            [
                (
                    OVERLAY,
                    "Overlay",
                    "The shown structures in colour on the transmitted light.",
                ),
                (
                    SIDE_BY_SIDE,
                    "Side by side",
                    "Transmitted light, ground truth and prediction in one cell each.",
                ),
            ],
            "View",
        )
        self.layouts.clear()
        self.restore_button = QPushButton("My view")
        self.restore_button.setToolTip(
            "Give back the view that you had before: grid, order, visibility."
        )
        self.restore_button.setEnabled(False)
        self.menu = FootMenu()
        self._arrange()
        self.button.clicked.connect(self._on_clicked)
        self.again_button.clicked.connect(lambda _on: self.run_asked.emit())
        self.part_button.clicked.connect(lambda _on: self.part_asked.emit())
        self.layouts.chosen.connect(self.layout_asked)
        self.restore_button.clicked.connect(lambda _on: self.restore_asked.emit())
        self.set_state(RunState.BLOCKED)

    def _arrange(self) -> None:
        label = QLabel("View")
        label.setProperty("role", "muted")
        view = in_a_row(
            label, self.layouts, self.restore_button, self.menu, stretched=0
        )
        view.setStretch(1, 1)
        buttons = in_a_row(self.button, self.again_button, self.part_button)
        self.stack(buttons, self.bar, self.status, view)

    def set_state(self, state: RunState, why: str = "") -> None:
        """Change the button to what it does now.

        Parameters
        ----------
        state : RunState
        why : str
            What keeps the button off, for its tool tip.
        """
        look = {
            RunState.READY: ("Run", "run", "Predict the ticked structures (Ctrl+R)."),
            RunState.BLOCKED: ("Run", "run", why),
            RunState.RESUMABLE: (
                "Resume",
                "run",
                "Go on where it stopped; what is done is not done again (Ctrl+R).",
            ),
            RunState.RUNNING: ("Cancel", "stop", "Stop; what is done stays (Esc)."),
            RunState.CANCELLING: ("Cancelling…", "stop", "Stops after this tile."),
        }[state]
        off = state in (RunState.BLOCKED, RunState.CANCELLING)
        self.take_state(state, look, not off)
        self.again_button.setVisible(state is RunState.RESUMABLE)
        self._offer_part()
        if state is RunState.CANCELLING:
            self.set_status("Cancelling after this tile…")

    def set_flat(self, flat: bool) -> None:
        """Tell whether the viewer shows a slice; in 3D all of a stack is in sight."""
        self._flat = flat
        self._offer_part()

    def _offer_part(self) -> None:
        busy = self._state in (RunState.RUNNING, RunState.CANCELLING)
        self.part_button.setVisible(not busy)
        self.part_button.setEnabled(self._flat and self._state is not RunState.BLOCKED)
        self.part_button.setToolTip(_PART_TIP if self._flat else _NO_PART_TIP)

    def begin(self, done: int = 0, total: int = 0) -> None:
        """Show that a run has begun; of one that goes on, how far it is already."""
        self.message.clear()
        self.set_state(RunState.RUNNING)
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        what = f"Going on at {done} of {total} tiles" if total else "Loading the model"
        self.set_status(f"{what}…")

    def show_progress(self, done: int, total: int, seconds_left: float) -> None:
        """Move the bar; a total of 0 shows that work goes on, not how much."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        if total:
            left = "" if done >= total else f" · {duration_text(seconds_left)} left"
            self.set_status(f"{done} of {total} tiles{left}")

    def show_stopped(self, done: int, total: int, why: str) -> None:
        """Show how far a run came that was stopped."""
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)
        if done:
            self.set_status(f"{why}: {done} of {total} tiles are done and stay.")
        else:
            self.set_status(f"{why} before the first tile.")

    def show_part_done(self, done: int, total: int) -> None:
        """Show that what was in sight is predicted, and what Resume would add."""
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)
        self.set_status(f"What you saw is done: {done} of {total} tiles.")

    def reset_progress(self) -> None:
        """Empty the bar."""
        self.bar.setRange(0, 1)
        self.bar.setValue(0)

    def show_layout(self, name: str | None) -> None:
        """Show which layout is on; None or "": the user's own view."""
        if name in (OVERLAY, SIDE_BY_SIDE):
            self.layouts.set_value(str(name))
        else:  # the user's own, or one of the Compare dock
            self.layouts.clear()
        self.restore_button.setEnabled(bool(name))

    def _on_clicked(self, _on: bool) -> None:
        if self._state is RunState.RUNNING:
            self.set_state(RunState.CANCELLING)
            self.cancel_asked.emit()
        elif self._state is RunState.RESUMABLE:
            self.resume_asked.emit()
        elif self._state is RunState.READY:
            self.run_asked.emit()


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


# A stack whose z step is at most this much above the model's counts as dense.
_DENSE = 1.25


def show_outlook(form: PredictForm, choice: Choice, seen: Outlook, pace: Pace) -> None:
    """Show everything but the foot.

    Parameters
    ----------
    form : PredictForm
    choice : Choice
        What the user chose.
    seen : Outlook
        What comes of it.
    pace : Pace
        How long it takes here.
    """
    view = None if seen.plan is None else seen.plan.view
    rows = []
    if seen.reading is not None:
        ratio = None if view is None else view.ratio
        rows = expectations(choice.card, seen.reading, choice.channel, ratio)
    form.input.show_expectations(rows)
    known = seen.reading is not None and seen.reading.volume.voxel_size is not None
    step = seen.plan.card.voxel_size[0] if seen.plan is not None and known else None
    flat = choice.card is not None and choice.card.z_projection != "none"
    form.sampling.show_view(view, step, flat)
    memory = None if seen.plan is None else seen.plan.memory
    form.options.show_memory("" if memory is None else memory.text)
    _show_quality(form, choice, seen, pace)
    _show_headlines(form, choice, seen)
    _show_marks(form, choice, seen, [row.mark for row in rows])


def _show_quality(form: PredictForm, choice: Choice, seen: Outlook, pace: Pace) -> None:
    """Say what R² and what time are to be expected, of each topology."""
    ratio = choice.ratio if seen.plan is None else seen.plan.view.ratio
    ids = () if choice.card is None else choice.card.structures
    form.structures.set_expected(
        {id_: expected_quality(choice.card, id_, ratio) for id_ in ids}
    )
    wanted = choice.structures or ids
    mean = mean_quality(choice.card, wanted, ratio)
    form.show_measured_on("" if mean is None else mean.measured_on)
    found = {}
    for topology, card in form.topology.served().items():
        seconds = None if seen.plan is None else pace.expected(seen.plan, card)
        found[topology] = (mean_quality(card, wanted, ratio), seconds)
    form.topology.show_prospects(found)


def is_dense(choice: Choice, seen: Outlook) -> bool | None:
    """Tell whether the stack's planes are as close as the model's; None: unknown."""
    if seen.reading is None or choice.card is None:
        return None
    size = seen.reading.volume.voxel_size
    return None if size is None else size[0] <= _DENSE * choice.card.voxel_size[0]


def work_text(plan: Any, seconds: float | None = None) -> str:
    """Say how much a plan will predict, and how long that takes if it is known."""
    depth, height, width = plan.output_shape[-3:]
    times = plan.output_shape[0] if plan.output_axes.startswith("T") else 1
    count = len(plan.structures)
    what = "1 structure" if count == 1 else f"{count} structures"
    at = f" at {times} times" if times > 1 else ""
    passes = f" in {count} passes" if count > 1 and is_pass_each(plan.card) else ""
    turns = turns_of(plan)
    cost = f" · {turns}× slower" if turns > 1 else ""
    if seconds is not None:
        cost = f" · {duration_text(seconds)}"
    return f"Ready: {what}{passes}{at}, {depth} × {height} × {width} voxels{cost}"


def done_text(report: Any) -> str:
    """Say how long it took and how good it is."""
    found = [one.get("r2") for one in report.structures.values()]
    values = [value for value in found if value is not None]
    text = f"Done in {duration_text(report.seconds.total)}"
    if values:
        mean = sum(values) / len(values)
        text += f" · mean R² {mean:.2f} of {len(values)} with truth"
    return text.replace("-", "\u2212")


def _show_headlines(form: PredictForm, choice: Choice, seen: Outlook) -> None:
    ratio = choice.ratio if seen.plan is None else seen.plan.view.ratio
    form.sampling_step.set_headline(
        "sampled at <b>every r-th plane</b>"
        if ratio is None
        else f"sampled {ordinal(ratio)}"
    )
    count = len(choice.structures)
    form.structure_step.set_headline(
        "predict <b>1 structure</b>"
        if count == 1
        else f"predict <b>{count or 'no'} structures</b>"
    )
    label = "" if choice.card is None else TOPOLOGIES[choice.card.topology][0]
    form.topology_step.set_headline(f"with a <b>{label} network</b>")


def _show_marks(
    form: PredictForm, choice: Choice, seen: Outlook, marks: list[Mark]
) -> None:
    settled = Mark.GOOD if seen.plan is not None else Mark.WAITING
    order = list(Mark)
    form.stack_step.set_mark(max(marks, key=order.index) if marks else settled)
    form.sampling_step.set_mark(settled)
    form.structure_step.set_mark(Mark.GOOD if choice.structures else Mark.WAITING)
    form.topology_step.set_mark(Mark.BAD if choice.card is None else Mark.GOOD)
    form.device_step.set_mark(Mark.GOOD)
    if seen.problem is not None:
        _culprit(form, str(seen.problem).lower()).set_mark(Mark.BAD)


def _culprit(form: PredictForm, text: str) -> Any:
    """Guess from a message which step it is about; the stack where nothing tells."""
    for word, step in (
        ("device", form.device_step),
        ("memory", form.device_step),
        ("truth", form.structure_step),
        ("structure", form.structure_step),
        ("ratio", form.sampling_step),
        ("simulat", form.sampling_step),
    ):
        if word in text:
            return step
    return form.stack_step
