"""The Train dock's form: five steps that read like a sentence, and a page to watch."""

from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QPushButton, QVBoxLayout, QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.training.config import FineTune, Recipe, TrainConfig
from napari_sparsessp.training.resolve import RATE, QuickOptions
from napari_sparsessp.ui.dock import StepForm
from napari_sparsessp.ui.models.import_form import checked_id, model_id
from napari_sparsessp.ui.train.choice import FilesChoice, TrainChoice, named_structures
from napari_sparsessp.ui.train.split import SplitPanel
from napari_sparsessp.ui.train.stacks import FILES, PairsPanel
from napari_sparsessp.ui.train.watch import TrainWatch
from napari_sparsessp.ui.widgets.basic import (
    SHARES,
    Mark,
    Segments,
    Step,
    WorkFoot,
    in_a_column,
    in_a_row,
    labelled_row,
    link_button,
    wrapped_label,
)
from napari_sparsessp.ui.widgets.device import DeviceBox
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.style import take_role

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.device import DeviceInfo
    from napari_sparsessp.training.checkpoints import RunInfo

SET_UP, WATCH = "set up", "watch"

_LEARNING = ("ratios", "patch", "learning_rate", "loss")


class TrainState(Enum):
    """State of a training."""

    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    STOPPING = "stopping"
    WRITING = "writing"


_LOOKS = {
    TrainState.BLOCKED: ("Train", "run", ""),
    TrainState.READY: ("Train", "run", "Start training (Ctrl+R)."),
    TrainState.RUNNING: (
        "Stop and keep the best",
        "stop",
        "Stop after this step, and make a model of the best state so far (Esc).",
    ),
    TrainState.STOPPING: ("Stopping…", "stop", "Stops after this step."),
    TrainState.WRITING: (
        "Writing the model…",
        "stop",
        "Its card is measured and written.",
    ),
}


class TrainFoot(WorkFoot):
    """The buttons to train, stop, pause and predict, with progress and messages."""

    def __init__(self) -> None:
        super().__init__("the training", TrainState.BLOCKED)
        self.pause_button = QPushButton("Pause")
        self.pause_button.setToolTip(
            "Stop after this step and save; resume later, also after a restart."
        )
        self.predict_button = QPushButton("Predict with it")
        self.predict_button.setProperty("role", "run")
        self.predict_button.setToolTip("Open Predict with the new model chosen.")
        buttons = (self.predict_button, self.button, self.pause_button)
        self.stack(in_a_row(*buttons, stretched=2), self.bar, self.status)
        self.predict_button.hide()
        self.set_state(TrainState.BLOCKED)

    def set_state(self, state: TrainState, why: str = "") -> None:
        """Change the button to what it does now; `why` is what keeps it off."""
        text, role, tip = _LOOKS[state]
        on = state in (TrainState.READY, TrainState.RUNNING)
        self.take_state(state, (text, role, why or tip), on)
        self.pause_button.setVisible(state in (TrainState.RUNNING, TrainState.STOPPING))
        self.pause_button.setEnabled(state is TrainState.RUNNING)

    def offer_predict(self, on: bool) -> None:
        """Offer to predict with the new model, in place of the great button."""
        self.predict_button.setVisible(on)
        take_role(self.button, "" if on else "run")
        self.button.setText("Train another" if on else "Train")

    def show_share(self, share: float | None) -> None:
        """Move the bar; None where it cannot be known how much is done."""
        self.bar.setRange(0, 0 if share is None else SHARES)
        if share is not None:
            self.bar.setValue(round(SHARES * min(max(share, 0.0), 1.0)))


class ModelPanel(QWidget):
    """A list of models, what the chosen one is, and a tick to freeze its encoder."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: dict[str, ModelCard] = {}
        self.options = Form(QuickOptions, only=["source", "freeze_encoder"])
        self.about = wrapped_label("small")
        in_a_column(self, self.options, self.about)
        self.options.changed.connect(self._show_about)
        self.options.changed.connect(self.changed)

    def offer(self, cards: "Sequence[ModelCard]") -> None:
        """Offer models; the chosen one stays if it can, else the first is taken."""
        self._cards = {card.id: card for card in cards}
        names = [card.name for card in cards]
        alike = {id_ for id_, card in self._cards.items() if names.count(card.name) > 1}
        labels = [f"{c.name} ({c.id})" if c.id in alike else c.name for c in cards]
        self.options.offer("source", list(zip(self._cards, labels, strict=True)))
        self._show_about()

    def card(self) -> "ModelCard | None":
        """Return the card of the chosen model."""
        return self._cards.get(self.options.get("source"))

    def choose(self, source: str, freeze_encoder: bool) -> None:
        """Show another choice without emitting `changed`."""
        if source not in self._cards:
            raise InputError(
                f"the file starts from {source}, which is not among the models here; "
                "import it first"
            )
        self.options.update(source=source, freeze_encoder=freeze_encoder)
        self._show_about()

    def _show_about(self) -> None:
        card = self.card()
        if card is None:
            self.about.setText("")
            return
        count = len(card.structures)
        several = f"{count} structures" if count > 1 else "one structure"
        ratios = ", ".join(f"{ratio:g}" for ratio in card.ratios)
        self.about.setText(
            f"Knows {several}; every plane or fewer, r = {ratios}. "
            f"Licence: {card.licence}."
        )


class NameForm(Form[QuickOptions]):
    """Name, id and licence; name and id suggest themselves until they are typed."""

    def __init__(self) -> None:
        super().__init__(QuickOptions, only=["name", "id", "licence"])
        self._taken: frozenset[str] = frozenset()
        self._suggested = {"name": "", "id": ""}
        self.native("name").setMaxLength(120)
        self.native("id").setMaxLength(80)

    def suggest(self, structures: Sequence[str], taken: Collection[str]) -> None:
        """Suggest a name for these structures, and an id that is free."""
        self._taken = frozenset(taken)
        what = named_structures(structures)
        self._suggest("name", f"My {what}" if what else "")
        name = self.get("name")
        self._suggest("id", model_id(name, self._taken) if name else "")

    def _suggest(self, field: str, text: str) -> None:
        if self.get(field) in ("", self._suggested[field]):
            self._suggested[field] = text
            if self.get(field) != text:
                self.update(**{field: text})

    def suggest_another_id(self) -> None:
        """Suggest another id from now on: that of the last model is taken."""
        self._suggested["id"] = self.get("id")

    def show_typed(self, name: str, id_: str, licence: str) -> None:
        """Show other values as though they were typed."""
        self._suggested = {"name": "", "id": ""}
        licence = "" if licence == "not stated" else licence
        self.update(name=name, id=id_, licence=licence)

    def name_problem(self) -> str:
        """Return what is wrong with name or id, or ""."""
        if not self.get("name"):
            return "give the new model a name"
        try:
            checked_id(self.get("id"), self._taken)
        except ValueError as error:
            return str(error)
        return ""


class UnfinishedBar(QFrame):
    """The last training that can be resumed; hidden where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.run: RunInfo | None = None
        self.setProperty("role", "notice")
        self.text = wrapped_label("")
        self.resume_button = QPushButton("Resume")
        self.resume_button.setToolTip(
            "Resume where it stopped, with the settings that it was begun with."
        )
        tip = "Move its folder to the system's trash."
        self.discard_button = link_button("Discard", tip)
        row = in_a_row(self.discard_button, self.resume_button, stretched=0)
        row.insertStretch(0, 1)
        column = in_a_column(self, self.text, row, spacing=3)
        column.setContentsMargins(9, 7, 9, 7)
        self.hide()

    def show_run(self, run: "RunInfo | None") -> None:
        """Show a training, or hide."""
        self.run = run
        self.setVisible(run is not None)
        if run is None:
            return
        model, budget = run.config.model, run.config.budget
        of = f"{budget.minutes:g} min" if budget.minutes else f"{budget.steps} steps"
        score = "" if run.best is None else f", best R² {run.best:.2f}"
        name, share = model.name or model.id, f"{run.share:.0%} of {of}"
        self.text.setText(f"“{name}” is not finished: {share}{score}.")
        self.text.setToolTip(str(run.folder))


class TrainForm(StepForm):
    """All widgets of the dock, arranged."""

    changed = Signal()

    def __init__(self, find_devices: "Callable[[], Sequence[DeviceInfo]]") -> None:
        super().__init__()
        self.unfinished = UnfinishedBar()
        self.pages = Segments(
            [
                (SET_UP, "Set up", "Training data, and for how long."),
                (WATCH, "Watch", "Curves and a patch, during training."),
            ],
            "Page",
        )
        self.pairs = PairsPanel()
        self.split = SplitPanel()
        self.model = ModelPanel()
        self.time = Form(QuickOptions, only=["minutes"])
        self.device = DeviceBox(find_devices)
        self.options = Form(QuickOptions, only=_LEARNING)
        tip = "Sampling, patch, learning rate and loss."
        self.more_button = link_button("More…", tip)
        self.name = NameForm()
        tip = "For `sparsessp train`, elsewhere."
        self.save_button = link_button("Save as YAML…", tip)
        tip = "Take all settings from such a file."
        self.load_button = link_button("Load YAML…", tip)
        self.watch = TrainWatch()
        self._panels = (
            *(self.pairs, self.split, self.model, self.time),
            *(self.options, self.name, self.device),
        )
        self._arrange()
        self.pages.chosen.connect(self.show_page)
        for panel in self._panels:
            panel.changed.connect(self.changed)
        self.more_button.toggled.connect(self._on_more)
        self.show_page(SET_UP)

    def _arrange(self) -> None:
        self.steps = {
            "pairs": Step("Train on <b>these pairs</b>"),
            "part": Step("with this <b>validation region</b>"),
            "model": Step("starting from <b>this model</b>"),
            "time": Step("for"),
            "name": Step("and <b>call it</b>", last=True),
        }
        self.time.native("minutes").setMinimumWidth(112)
        self.more_button.setCheckable(True)
        self.options.hide()
        row = self.steps["time"].title_row
        row.addWidget(self.time)
        row.addStretch(1)
        row.addWidget(self.more_button)
        files = in_a_row(self.load_button, self.save_button, stretched=0)
        files.insertStretch(0, 1)
        files.setSpacing(0)
        time: list[QWidget] = [labelled_row("on", self.device), self.options]
        bodies = ([self.pairs], [self.split], [self.model], time, [self.name])
        self.arrange(zip(self.steps.values(), bodies, strict=True), TrainFoot(), 0)
        self.scroll.column.insertLayout(len(self.steps), files)
        pages = QWidget()
        head = in_a_column(pages, self.pages, self.unfinished, spacing=7)
        head.setContentsMargins(12, 8, 12, 2)
        outer = cast(QVBoxLayout, self.layout())
        outer.insertWidget(0, pages)
        outer.insertWidget(2, self.watch, 1)

    def choice(self) -> TrainChoice:
        """Return the stacks for training, and the validation region."""
        return TrainChoice(
            from_files=self.pairs.from_files(),
            pairs=self.pairs.choices(),
            files=self.pairs.files.files(),
            part=self.split.part(),
            share=self.split.share(),
        )

    def chosen_options(self) -> dict[str, Any]:
        """Return the fields of `QuickOptions` that have a row and can be read."""
        options: dict[str, Any] = {"device": self.device.device() or "auto"}
        for form in (self.model.options, self.time, self.options, self.name):
            options |= form.chosen()
        return options

    def show_page(self, key: str) -> None:
        """Show the steps or the curves."""
        self.pages.set_value(key)
        self.scroll.setVisible(key == SET_UP)
        self.watch.setVisible(key == WATCH)

    def set_marks(self, marks: dict[str, Mark]) -> None:
        """Say how settled each step is."""
        for name, step in self.steps.items():
            step.set_mark(marks.get(name, Mark.WAITING))

    def set_locked(self, locked: bool) -> None:
        """Lock what is chosen while a training runs."""
        for widget in (*self._panels, self.load_button, self.unfinished):
            widget.setEnabled(not locked)

    def show_config(self, config: TrainConfig) -> list[str]:
        """Fill the form with a config; return sentences on what has no row here."""
        network, pairs = config.network, config.data.pairs
        if not isinstance(network, FineTune) or pairs is None or config.data.simulated:
            raise InputError(
                "this file trains a new network or uses simulated colonies, which the "
                "dock has no fields for; run it with: sparsessp train FILE"
            )
        self.model.choose(network.source, network.freeze_encoder)
        self.pairs.show_source(FILES)
        signal, target = (
            None if channel is None else str(channel)
            for channel in (pairs.signal, pairs.target)
        )
        structure = pairs.structure and structure_or_custom(pairs.structure).label
        self.pairs.files.choose(
            FilesChoice(pairs.path, (), signal, target, structure or "")
        )
        self.split.set_part(config.validation.by, config.validation.share)
        if config.budget.minutes is not None:
            self.time.update(minutes=config.budget.minutes)
        recipe = config.recipe
        rate, patch = recipe.learning_rate, recipe.patch
        shown = {
            "ratios": config.ratios,
            "patch": patch[0] if patch != Recipe().patch else None,
            "learning_rate": rate if rate != RATE else None,
            "loss": config.loss,
        }
        self.options.update(**shown)
        if shown != dict.fromkeys(_LEARNING) | {"loss": "mse"}:
            self.more_button.setChecked(True)
        model = config.model
        self.name.show_typed(model.name or model.id, model.id, model.licence)
        return _not_shown(config)

    def _on_more(self, on: bool) -> None:
        self.options.setVisible(on)
        self.more_button.setText("Less" if on else "More…")


def _not_shown(config: TrainConfig) -> list[str]:
    """Say what of a config the form has no rows for."""
    notes = []
    if config.budget.steps is not None:
        notes.append(
            f"The file's budget is {config.budget.steps} steps; the dock counts "
            "minutes: look at them."
        )
    if config.data.pairs is not None and config.data.pairs.crop:
        notes.append(
            "The file crops its images; the dock takes them whole. sparsessp train "
            "crops them."
        )
    usual, given = Recipe(name="fast").model_dump(), config.recipe.model_dump()
    other = {name for name in usual if given[name] != usual[name]}
    if other := other - {"patch", "learning_rate"}:
        notes.append(
            f"The file's recipe has its own {', '.join(sorted(other))}; here they are "
            "as usual. sparsessp train keeps them."
        )
    return notes
