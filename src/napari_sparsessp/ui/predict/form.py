"""The Predict dock's form: five steps that read like a sentence, and a footer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QWidget

from napari_sparsessp.prediction.inference import TRANSFORMS
from napari_sparsessp.ui.dock import StepForm
from napari_sparsessp.ui.layouts.arrangement import OVERLAY, SIDE_BY_SIDE
from napari_sparsessp.ui.layouts.picker import OWN, VIEWS
from napari_sparsessp.ui.napari_compat import open_preferences
from napari_sparsessp.ui.predict.export import ExportMenu
from napari_sparsessp.ui.predict.planning import (
    FormState,
    PredictionPreview,
    SpeedEstimate,
    fast_windows,
    structures_text,
)
from napari_sparsessp.ui.preferences import (
    PRECISIONS,
    Preferences,
    preference_news,
    preferences,
)
from napari_sparsessp.ui.widgets.basic import (
    Mark,
    Segments,
    Step,
    WorkFoot,
    in_a_column,
    in_a_row,
    link_button,
    single_shot,
    small_label,
)
from napari_sparsessp.ui.widgets.card_text import (
    TOPOLOGIES,
    cost_words,
    expected_quality,
    mean_quality,
    structure_names,
)
from napari_sparsessp.ui.widgets.device import DeviceBox
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.model_picker import TopologyPicker
from napari_sparsessp.ui.widgets.optics import PhasePanel
from napari_sparsessp.ui.widgets.sampling import SamplingPanel
from napari_sparsessp.ui.widgets.stack_input import InputPanel, expectations
from napari_sparsessp.ui.widgets.structures import StructureModel, StructureTable
from napari_sparsessp.ui.widgets.style import duration_text

if TYPE_CHECKING:
    from napari_sparsessp.prediction.device import DeviceInfo
    from napari_sparsessp.prediction.plan import Plan

_GB = 10**9
_TIMES = len(TRANSFORMS)

ENDINGS = {2: "nd", 3: "rd", 21: "st"}
"""Of ordinal numbers; ``th`` otherwise."""


@dataclass(frozen=True)
class PredictOptions:
    """Options that few users need."""

    fast: Annotated[bool, {"label": "Fast"}] = False
    tta: Annotated[
        bool,
        {
            "label": f"Average {_TIMES} rotations and flips, {_TIMES}× slower",
            "tooltip": "Test-time augmentation: predict the stack rotated by 90° and "
            "mirrored too, and show the mean. Less noise, a little better.",
        },
    ] = False
    uncertainty: Annotated[
        bool,
        {
            "label": "Uncertainty: a ± layer for each structure",
            "tooltip": "Add a hidden layer to each structure: how far off the "
            "prediction may be, in standard deviations of the truth. It comes from "
            f"{_TIMES} rotations and flips too, so that it costs nothing more where "
            "they are averaged.",
        },
    ] = False
    mask_invalid: Annotated[
        bool,
        {
            "label": "Leave out NaN and infinite values",
            "tooltip": "Predict in spite of values that are no numbers, such as the "
            "border of a stitched image: they are filled for the network, and the "
            "prediction is NaN there.",
        },
    ] = False
    memory_gb: Annotated[
        float | None,
        {
            "label": "Memory, at most",
            "name": "Most memory to take",
            "tooltip": "The most memory that a prediction may take. Less means smaller "
            "tiles, not another result.",
            "unit": " GB",
            "decimals": 1,
            "step": 0.5,
            "max": 4096.0,
            "none": "automatic",
        },
    ] = None

    @property
    def memory_limit(self) -> int | None:
        """Bytes; None for automatic."""
        return None if self.memory_gb is None else round(self.memory_gb * _GB)


class OptionsPanel(QWidget):
    """Folded options; a line of text shows those that are not as usual."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._windows: int | None = None
        self.more_button = link_button(
            "More…", "Averaging, uncertainty, and a limit of memory."
        )
        self.more_button.setCheckable(True)
        self.rows = Form(PredictOptions)
        self.preferences_button = link_button(
            "Preferences…",
            "Settings for all docks: device, precision, memory, folders, colours "
            "and how often a filling layer is drawn.",
        )
        self.unload_button = link_button(
            "Unload model",
            "Free the memory of the model. It stays loaded so that the next run starts "
            "at once; after a quarter of an hour without one it goes by itself.",
        )
        self.unload_button.hide()
        self.memory_note, self.summary = small_label(), small_label()
        self.body = QWidget()
        links = in_a_row(self.preferences_button, self.unload_button, stretched=0)
        links.addStretch(1)
        in_a_column(self.body, self.rows, self.memory_note, links, spacing=4)
        in_a_column(self, self.summary, self.body, spacing=4)
        news = preference_news()
        self._show_limit(news.now)
        self.show_windows(None)
        self.preferences_button.setVisible(news.has_page)
        self.preferences_button.clicked.connect(lambda _on: open_preferences(self))
        news.changed.connect(self._on_preferences)
        self.rows.changed.connect(self._on_changed)
        self.more_button.toggled.connect(self._on_more)
        self._on_more(False)

    def show_windows(self, step: int | None) -> None:
        """Offer to move windows by `step` planes where a model moves them by one."""
        self.rows.show_row("fast", step is not None)
        if step is not None:
            nth = f"{step}{ENDINGS.get(step, 'th')}"
            self.rows.native("fast").setText(f"Fast: every {nth} window")
            self.rows.native("fast").setToolTip(
                f"As published, the windows of this model move by one plane and their "
                f"mean is taken. By {step} planes it takes a {nth} of the time; three "
                "windows see each plane, so that the result is a little noisier and "
                "not exactly the published method's."
            )
        self._windows = step
        self._summarise()

    @property
    def fast(self) -> bool:
        """Whether fewer windows are asked for, of a model that has such."""
        return self.rows.values().fast and self._windows is not None

    def show_memory(self, text: str) -> None:
        """Show how much memory a plan takes; "" without a plan."""
        self.memory_note.setText(text and f"Plan: {text}")
        self.memory_note.setVisible(bool(text))

    def _on_preferences(self, before: Preferences, now: Preferences) -> None:
        """Take over a new limit, unless another one was typed in here."""
        if self.rows.values().memory_limit == before.memory_limit:
            self._show_limit(now)
        self._on_changed()

    def _show_limit(self, chosen: Preferences) -> None:
        self.rows.update(memory_gb=(chosen.memory_limit or 0) / _GB or None)

    def _on_more(self, on: bool) -> None:
        self.body.setVisible(on)
        self.more_button.setText("Less" if on else "More…")
        self._summarise()

    def _summarise(self) -> None:
        options, precision = self.rows.values(), preferences().precision
        parts = [
            f"every {self._windows} planes" if self.fast else "",
            f"average of {_TIMES}" if options.tta else "",
            "with uncertainty" if options.uncertainty else "",
            f"at most {options.memory_gb:.1f} GB" if options.memory_gb else "",
            *(
                f"in {label}"
                for label, value in PRECISIONS.items()
                if value == precision != "auto"
            ),
        ]
        self.summary.setText(" · ".join(filter(None, parts)))
        folded = self.body.isHidden()
        self.summary.setVisible(folded and bool(self.summary.text()))
        self.setVisible(not folded or bool(self.summary.text()))

    def _on_changed(self) -> None:
        self._summarise()
        self.changed.emit()


class RunState(Enum):
    """State of a prediction."""

    READY = "ready"
    BLOCKED = "blocked"
    RESUMABLE = "resumable"
    RUNNING = "running"
    CANCELLING = "cancelling"


_LOOKS = {
    RunState.READY: ("Run", "run", "Predict the ticked structures (Ctrl+R)."),
    RunState.BLOCKED: ("Run", "run", ""),
    RunState.RESUMABLE: (
        "Resume",
        "run",
        "Continue where it stopped; what is done is not done again (Ctrl+R).",
    ),
    RunState.RUNNING: ("Cancel", "stop", "Stop; what is done stays (Esc)."),
    RunState.CANCELLING: ("Cancelling…", "stop", "Stops after this tile."),
}
_PART_TIP = (
    "Predict the field that is on screen, in all its planes, at this time point "
    "(Ctrl+Shift+R). The numbers are those of the whole; Resume adds the rest."
)
_NO_PART_TIP = (
    "In 3D all of the stack is in sight. Go back to 2D (the square below the layer "
    "list) and zoom in on what you want to see."
)


class PredictFoot(WorkFoot):
    """Buttons, progress bar, status, message and layout switch."""

    run_asked = Signal()
    resume_asked = Signal()
    cancel_asked = Signal()
    part_asked = Signal()
    layout_asked = Signal(str)
    restore_asked = Signal()

    def __init__(self) -> None:
        super().__init__("the prediction", RunState.BLOCKED)
        self.again_button = QPushButton("Start over")
        self.again_button.setToolTip("Predict everything again, over what is there.")
        self.part_button = QPushButton("Predict visible region")
        self._flat = True
        views = [(name, *VIEWS[name]) for name in (OVERLAY, SIDE_BY_SIDE)]
        self.layouts = Segments(views, "View")
        self.layouts.clear()
        label, tip = VIEWS[OWN]
        self.restore_button = QPushButton(label)
        self.restore_button.setToolTip(tip)
        self.restore_button.setEnabled(False)
        self.menu = ExportMenu()
        view = in_a_row(self.layouts, self.restore_button, self.menu)
        buttons = in_a_row(self.button, self.again_button, self.part_button)
        # nothing that wraps lies below the buttons, so that they never move
        self.stack(self.status, self.bar, buttons, view)
        self.button.clicked.connect(self._on_clicked)
        self.again_button.clicked.connect(self.run_asked)
        self.part_button.clicked.connect(self.part_asked)
        self.layouts.chosen.connect(self.layout_asked)
        self.restore_button.clicked.connect(self.restore_asked)
        self.set_state(RunState.BLOCKED)

    def set_state(self, state: RunState, why: str = "") -> None:
        """Change the button to what it does now; `why` it is off is its tool tip."""
        text, role, tip = _LOOKS[state]
        off = state in (RunState.BLOCKED, RunState.CANCELLING)
        self.take_state(state, (text, role, tip or why), not off)
        self.again_button.setVisible(state is RunState.RESUMABLE)
        self._offer_part()
        if state is RunState.CANCELLING:
            self.set_status("Cancelling after this tile…")

    def set_flat(self, flat: bool) -> None:
        """Offer a part where the viewer shows a slice; in 3D all is in sight."""
        self._flat = flat
        self._offer_part()

    def _offer_part(self) -> None:
        busy = self._state in (RunState.RUNNING, RunState.CANCELLING)
        self.part_button.setVisible(not busy)
        self.part_button.setEnabled(self._flat and self._state is not RunState.BLOCKED)
        self.part_button.setToolTip(_PART_TIP if self._flat else _NO_PART_TIP)

    def begin(self, done: int = 0, total: int = 0) -> None:
        """Show that a run has begun; of a resumed one, how far it is already."""
        self.message.clear()
        self.set_state(RunState.RUNNING)
        self.move_bar(done, total)
        self.set_status(
            f"Resuming at {done} of {total} tiles…" if total else "Loading the model…"
        )

    def show_tiles(self, done: int, total: int, seconds_left: float) -> None:
        """Show tiles that are done."""
        self.move_bar(done, total)
        left = "" if done >= total else f" · {duration_text(seconds_left)} left"
        self.set_status(f"{done} of {total} tiles{left}")

    def show_stopped(self, done: int, total: int, why: str) -> None:
        """Show how far a run came that was stopped."""
        self.move_bar(done, max(total, 1))
        after = f": {done} of {total} tiles are done and stay."
        self.set_status(why + (after if done else " before the first tile."))

    def move_bar(self, done: int, total: int) -> None:
        """Show tiles that are done; a total of 0 moves for ever."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)

    def show_layout(self, name: str | None) -> None:
        """Show which layout is on; None or "" for the user's own view."""
        if name in (OVERLAY, SIDE_BY_SIDE):
            self.layouts.set_value(str(name))
        else:  # the user's own, or one of the Compare dock
            self.layouts.clear()
        self.restore_button.setEnabled(bool(name))

    def _on_clicked(self) -> None:
        if self._state is RunState.RUNNING:
            self.set_state(RunState.CANCELLING)
            self.cancel_asked.emit()
        elif self._state is RunState.RESUMABLE:
            self.resume_asked.emit()
        elif self._state is RunState.READY:
            self.run_asked.emit()


class PredictForm(StepForm):
    """All widgets of the dock; the steps scroll, the footer stays."""

    def __init__(self, find_devices: "Callable[[], Sequence[DeviceInfo]]") -> None:
        super().__init__(width=424)
        self.structures = StructureModel()
        self.input = InputPanel()
        self.sampling = SamplingPanel()
        self.table = StructureTable(self.structures)
        self.topology = TopologyPicker()
        self.device = DeviceBox(find_devices)
        self.options = OptionsPanel()
        self.measured_note = small_label()
        self.all_button = link_button("All", "Tick all structures")
        self.none_button = link_button("None", "Tick no structure")
        self.all_button.clicked.connect(lambda _on: self.structures.tick(None))
        self.none_button.clicked.connect(lambda _on: self.structures.tick(()))
        self.stack_step = Step("From <b>this stack</b>")
        self.sampling_step = Step("z-sampling: <b>1 plane in r</b> acquired")
        self.structure_step = Step("predict <b>these structures</b>")
        self.topology_step = Step("model")
        self.device_step = Step("on", last=True)
        self.phase = PhasePanel()
        self.stack_step.title_row.addWidget(self.input.edit_button)
        self.structure_step.title_row.addWidget(self.all_button)
        self.structure_step.title_row.addWidget(self.none_button)
        self.device_step.title_row.addWidget(self.device, 12)
        self.device_step.title_row.addWidget(self.options.more_button)
        steps: list[tuple[Step, list[QWidget]]] = [
            (self.stack_step, [self.input, self.phase]),
            (self.sampling_step, [self.sampling]),
            (self.structure_step, [self.table, self.measured_note]),
            (self.topology_step, [self.topology]),
            (self.device_step, [self.options]),
        ]
        self.arrange(steps, PredictFoot(), below=0)
        # a column still counts as shown when its header says that it goes
        fitted = single_shot(self, self._show_caption)
        self.table.horizontalHeader().sectionResized.connect(lambda *_: fitted.start())
        # once the options have their size
        unfolded = single_shot(self, self._to_options)
        self.options.more_button.clicked.connect(lambda _on: unfolded.start())

    def _to_options(self) -> None:
        self.scroll.ensureWidgetVisible(self.options, 0, 8)

    def state(self) -> FormState:
        """Return all choices of the user."""
        options = self.options.rows.values()
        card = self.topology.card()
        windows = fast_windows(card) if self.options.fast else None
        return FormState(
            layer=self.input.layer_key(),
            leading=self.input.leading(),
            channel=self.input.channel(),
            voxel_size=self.input.typed_voxel_size(),
            ratio=self.sampling.ratio(),
            simulate=self.sampling.simulate(),
            structures=self.structures.ticked(),
            truths=self.structures.truths(),
            card=card,
            device=self.device.device(),
            precision=preferences().precision,
            tta=options.tta,
            overlap=None if windows is None else windows[1],
            mask_invalid=options.mask_invalid,
            uncertainty=options.uncertainty,
            memory_limit=options.memory_limit,
            optics=self.phase.chosen(),
        )

    def show_model(self) -> None:
        """Offer the structures of the chosen model, and show their cost."""
        card = self.topology.card()
        ids = () if card is None else card.structures
        cost = "" if card is None else cost_words(card)
        self.structures.set_structures(ids, cost)
        windows = fast_windows(card)
        self.options.show_windows(None if windows is None else windows[0])

    def set_locked(self, locked: bool) -> None:
        """Lock the form while a prediction runs; eyes and truths stay free."""
        links = self.input.edit_button, self.all_button, self.none_button
        panels = self.input, self.phase, self.sampling, self.topology, self.device
        for widget in (*links, *panels, self.options.body):
            widget.setEnabled(not locked)
        self.structures.set_locked(locked)

    def show_preview(
        self, state: FormState, preview: PredictionPreview, speed: SpeedEstimate
    ) -> None:
        """Show expected and found values in all steps; the footer stays."""
        plan, reading = preview.plan, preview.reading
        view = None if plan is None else plan.view
        ratio = state.ratio if view is None else view.ratio
        rows = []
        if reading is not None:
            known = None if view is None else view.ratio
            made = state.optics is not None
            rows = expectations(
                state.card, reading, state.channel, known, makes_phase=made
            )
        self.input.show_expectations(rows)
        others = [name for _, name in self.structures.layers]
        self.topology.show_fit(reading, state.channel, others)
        sized = reading is not None and reading.volume.voxel_size is not None
        step = plan.card.voxel_size[0] if plan is not None and sized else None
        flat = state.card is not None and state.card.z_projection != "none"
        self.sampling.show_view(view, step, flat)
        self.options.show_memory("" if plan is None else plan.memory.text)
        self._show_quality(state, plan, ratio, speed)
        planes = f"1 plane in {'r' if ratio is None else format(ratio, '.3g')}"
        self.sampling_step.set_headline(f"z-sampling: <b>{planes}</b> acquired")
        what = structures_text(len(state.structures))
        self.structure_step.set_headline(f"predict <b>{what}</b>")
        label = "" if state.card is None else TOPOLOGIES[state.card.topology][0]
        self.topology_step.set_headline(f"model: <b>{label}</b>")
        self._show_marks(state, preview, [row.mark for row in rows])

    def _show_quality(
        self,
        state: FormState,
        plan: "Plan | None",
        ratio: float | None,
        speed: SpeedEstimate,
    ) -> None:
        card, ids = state.card, () if state.card is None else state.card.structures
        quality = {id_: expected_quality(card, id_, ratio) for id_ in ids}
        self.structures.set_expected(quality)
        wanted = state.structures or ids
        known = {i: one for i in wanted if (one := quality.get(i)) is not None}
        kinds: dict[str, list[str]] = {}
        for id_, one in known.items():
            kinds.setdefault(one.cells, []).append(id_)
        most, *others = sorted(kinds, key=lambda one: -len(kinds[one])) or [""]
        parts = [
            f"R² on {most}",
            *(f"{structure_names(kinds[cells])}: on {cells}" for cells in others),
        ]
        self.measured_note.setText(most and f"Expected: {'; '.join(parts)}.")
        images = dict.fromkeys(one.measured_on for one in known.values())
        self.measured_note.setToolTip("\n".join(images))
        self._show_caption()
        self.topology.show_prospects(
            {
                topology: (
                    mean_quality(one, wanted, ratio),
                    None if plan is None else speed.seconds(plan, one),
                )
                for topology, one in self.topology.served().items()
            }
        )

    def _show_caption(self) -> None:
        """Let the column of expected scores and its caption go and stay together."""
        there = "expected" in self.table.shown_columns()
        self.measured_note.setVisible(there and bool(self.measured_note.text()))

    def _show_marks(
        self, state: FormState, preview: PredictionPreview, marks: list[Mark]
    ) -> None:
        planned = Mark.GOOD if preview.plan is not None else Mark.WAITING
        self.stack_step.set_mark(max(marks, key=list(Mark).index, default=planned))
        self.sampling_step.set_mark(planned)
        self.structure_step.set_mark(Mark.GOOD if state.structures else Mark.WAITING)
        self.topology_step.set_mark(Mark.BAD if state.card is None else Mark.GOOD)
        self.device_step.set_mark(Mark.GOOD)
        if preview.problem is not None:
            self._step_of(str(preview.problem).lower()).set_mark(Mark.BAD)

    def _step_of(self, problem: str) -> Step:
        """Return the step that a message is about: the stack where no word matches."""
        words = {
            **dict.fromkeys(("device", "memory"), self.device_step),
            **dict.fromkeys(("truth", "structure"), self.structure_step),
            **dict.fromkeys(("ratio", "simulat"), self.sampling_step),
        }
        steps = (step for word, step in words.items() if word in problem)
        return next(steps, self.stack_step)
