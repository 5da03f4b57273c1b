"""The Train dock's form: five steps that read like a sentence, a page to watch, a foot.

*Teach it with these pairs · keep back a part to judge by · begin with this model · for
ten minutes on this device · and call it this → Train.* Only widgets; `train_dock` gives
them their meaning.
"""

import re
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import TYPE_CHECKING, cast

from qtpy.QtCore import QRegularExpression, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QRegularExpressionValidator
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.training.resolve import MINUTES, LossName
from napari_sparsessp.ui.models.import_dialog import model_id, numbers
from napari_sparsessp.ui.train.choice import TrainChoice
from napari_sparsessp.ui.train.stacks import TrainPairsPanel, TrainSplitPanel
from napari_sparsessp.ui.train.watch import TrainWatch
from napari_sparsessp.ui.widgets.basic import (
    SHARES,
    ElidingComboBox,
    Mark,
    Segments,
    Step,
    StepColumn,
    WorkFoot,
    in_a_row,
)
from napari_sparsessp.ui.widgets.device import DeviceBox
from napari_sparsessp.ui.widgets.style import Dress, take_role

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.device import DeviceInfo
    from napari_sparsessp.training.checkpoints import RunInfo


class TrainState(Enum):
    """Where a training stands."""

    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    STOPPING = "stopping"
    WRITING = "writing"


_LOOKS = {
    TrainState.BLOCKED: ("Train", "run", ""),
    TrainState.READY: ("Train", "run", "Begin to learn (Ctrl+R)."),
    TrainState.RUNNING: (
        "Stop and keep the best",
        "stop",
        "Stop after this step, and make a model of the best state so far (Esc).",
    ),
    TrainState.STOPPING: ("Stopping…", "stop", "Stops after this step."),
    TrainState.WRITING: ("Writing the model…", "stop", "It takes some seconds."),
}


class TrainFoot(WorkFoot):
    """The button, what it did, and what comes after.

    Signals
    -------
    train_asked, stop_asked, pause_asked, predict_asked
    """

    train_asked = Signal()
    stop_asked = Signal()
    pause_asked = Signal()
    predict_asked = Signal()

    def __init__(self) -> None:
        super().__init__("the training", TrainState.BLOCKED)
        self.pause_button = QPushButton("Pause")
        self.pause_button.setToolTip(
            "Stop after this step and save; go on later, also after a restart."
        )
        self.predict_button = QPushButton("Predict with it")
        self.predict_button.setProperty("role", "run")
        self.predict_button.setToolTip("Open Predict with the new model chosen.")
        buttons = in_a_row(
            self.predict_button, self.button, self.pause_button, stretched=2
        )
        self.stack(buttons, self.bar, self.status)
        self.button.clicked.connect(self._on_clicked)
        self.pause_button.clicked.connect(self._on_pause)
        self.predict_button.clicked.connect(lambda _on: self.predict_asked.emit())
        self.predict_button.hide()
        self.set_state(TrainState.BLOCKED)

    def set_state(self, state: TrainState, why: str = "") -> None:
        """Change the button to what it does now.

        Parameters
        ----------
        state : TrainState
        why : str
            What keeps the button off, for its tool tip.
        """
        text, role, tip = _LOOKS[state]
        on = state in (TrainState.READY, TrainState.RUNNING)
        self.take_state(state, (text, role, why or tip), on)
        busy = state in (TrainState.RUNNING, TrainState.STOPPING)
        self.pause_button.setVisible(busy)
        self.pause_button.setEnabled(state is TrainState.RUNNING)

    def offer_predict(self, on: bool) -> None:
        """Offer to predict with the new model, in place of the great button."""
        self.predict_button.setVisible(on)
        text, role, _ = _LOOKS[TrainState(self.state)]
        take_role(self.button, "" if on else role)
        self.button.setText("Train another" if on else text)

    def show_share(self, share: float | None) -> None:
        """Move the bar; None: work goes on, nobody knows how much."""
        self.bar.setRange(0, 0 if share is None else SHARES)
        if share is not None:
            self.bar.setValue(round(SHARES * min(max(share, 0.0), 1.0)))

    def _on_clicked(self, _on: bool) -> None:
        if self._state is TrainState.READY:
            self.train_asked.emit()
        elif self._state is TrainState.RUNNING:
            self.set_state(TrainState.STOPPING)
            self.stop_asked.emit()

    def _on_pause(self, _on: bool) -> None:
        self.set_state(TrainState.STOPPING)
        self.pause_asked.emit()


_FREEZE_TIP = (
    "Only the second half of the network learns: faster, needs less memory, and "
    "forgets less of what it knew. It also learns less, so leave it off unless you are "
    "in a hurry."
)


class TrainModelPanel(QWidget):
    """A list of models, what the chosen one is, and a tick to leave its encoder.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: dict[str, ModelCard] = {}
        self.model_box = ElidingComboBox()
        self.model_box.setAccessibleName("Model to begin with")
        self.model_box.setToolTip(
            "What the new model knows before it learns from your pairs. It stays as it "
            "is; a new one is made."
        )
        self.about = QLabel("")
        self.about.setProperty("role", "small")
        self.about.setWordWrap(True)
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.freeze_box = QCheckBox("Freeze its first half (the encoder)")
        self.freeze_box.setToolTip(_FREEZE_TIP)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        for widget in (self.model_box, self.about, self.freeze_box):
            column.addWidget(widget)
        self.model_box.activated.connect(self._on_model)
        self.freeze_box.toggled.connect(lambda _on: self.changed.emit())

    def offer(self, cards: "Sequence[ModelCard]") -> None:
        """Offer these models; the chosen one stays if it can, else the first."""
        before = self.model_id()
        self._cards = {one.id: one for one in cards}
        self.model_box.clear()
        for one in cards:
            self.model_box.addItem(one.name, one.id)
        ids = list(self._cards)
        self.model_box.setCurrentIndex(ids.index(before) if before in ids else 0)
        self._tell()

    def model_id(self) -> str:
        """Id of the chosen model; "" where there is none."""
        return str(self.model_box.currentData() or "")

    def card(self) -> "ModelCard | None":
        """Card of the chosen model."""
        return self._cards.get(self.model_id())

    def choose(self, id_: str) -> None:
        """Choose a model without telling anyone, if it is there."""
        place = self.model_box.findData(id_)
        if place >= 0:
            self.model_box.setCurrentIndex(place)
            self._tell()

    def _on_model(self, _index: int) -> None:
        self._tell()
        self.changed.emit()

    def _tell(self) -> None:
        card = self.card()
        if card is None:
            self.about.setText("")
            return
        count = len(card.structures)
        ratios = ", ".join(f"{one:g}" for one in card.ratios)
        several = f"{count} structures" if count > 1 else "one structure"
        self.about.setText(
            f"Knows {several}; every plane or fewer, r = {ratios}. "
            f"Licence: {card.licence}."
        )


_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_LICENCES = ("CC BY 4.0", "CC0", "CC BY-NC 4.0", "own data, not to be shared")
_MOST_NAMED = 3


class TrainNamePanel(QWidget):
    """Name, id and licence; name and id suggest themselves until they are typed.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._taken: frozenset[str] = frozenset()
        self._own_name = self._own_id = False
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the new model")
        self.name.setMaxLength(120)
        self.name.setToolTip("What you call the new model in the lists.")
        self.id = QLineEdit()
        self.id.setAccessibleName("Id of the new model")
        self.id.setMaxLength(80)
        self.id.setToolTip(
            "How files and the command line call it. It has to be a new one: a model "
            "that is there is never replaced."
        )
        self.licence = QComboBox()
        self.licence.setEditable(True)
        self.licence.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.licence.setMinimumContentsLength(8)
        self.licence.setAccessibleName("Licence of the data")
        self.licence.addItems(list(_LICENCES))
        self.licence.setCurrentIndex(-1)
        # the longest of them must not make the whole form wider than a narrow dock
        self.licence.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.licence.setMinimumContentsLength(8)
        self.licence.setToolTip(
            "Under what licence your images are: whoever gets the model has to know."
        )
        field = self.licence.lineEdit()
        assert field is not None
        field.setPlaceholderText("not stated")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        rows = (("Name", self.name), ("Id", self.id), ("Data licence", self.licence))
        for number, (text, widget) in enumerate(rows):
            label = QLabel(text)
            label.setProperty("role", "muted")
            grid.addWidget(label, number, 0)
            grid.addWidget(widget, number, 1)
        self.name.textEdited.connect(self._on_name)
        self.id.textEdited.connect(self._on_id)
        self.licence.editTextChanged.connect(lambda _text: self.changed.emit())

    def suggest(self, structures: Sequence[str], taken: Collection[str]) -> None:
        """Suggest a name for what will be learnt, and an id that is free.

        Parameters
        ----------
        structures : sequence of str
        taken : collection of str
            Ids of models and trainings that are there.
        """
        self._taken = frozenset(taken)
        if not self._own_name:
            labels = [structure_or_custom(one).label for one in structures]
            few = ", ".join(labels[:_MOST_NAMED])
            more = len(labels) - _MOST_NAMED
            what = f"{few} and {more} more" if more > 0 else few
            self.name.setText(f"My {what}" if what else "")
            self.name.setCursorPosition(0)  # a long name is read from its beginning
        if not self._own_id:
            self._suggest_id()

    def take_new(self) -> None:
        """Suggest another id: that of the last model is taken now."""
        self._own_id = False

    def show_values(self, name: str, id_: str, licence: str) -> None:
        """Fill the fields without telling anyone; they count as typed."""
        self._own_name = self._own_id = True
        self.name.setText(name)
        self.id.setText(id_)
        self.licence.blockSignals(True)
        self.licence.setEditText("" if licence == "not stated" else licence)
        self.licence.blockSignals(False)

    def problem(self) -> str:
        """Say what is wrong; "" where nothing is."""
        id_ = self.id.text().strip()
        if not self.name.text().strip():
            return "give the new model a name"
        if not _ID.fullmatch(id_):
            return (
                "the id needs lower-case letters, digits, '.', '_' or '-', and begins "
                "with a letter or digit"
            )
        if id_ in self._taken:
            return (
                f"a model or training with the id {id_} is there already and is never "
                "replaced; choose another id"
            )
        return ""

    def _suggest_id(self) -> None:
        name = self.name.text().strip()
        self.id.setText(model_id(name, self._taken) if name else "")
        self.id.setCursorPosition(0)

    def _on_name(self, text: str) -> None:
        self._own_name = bool(text.strip())
        if not self._own_id:
            self._suggest_id()
        self.changed.emit()

    def _on_id(self, text: str) -> None:
        self._own_id = bool(text.strip())
        self.changed.emit()


_LOSSES: tuple[tuple[LossName, str, str], ...] = (
    ("mse", "squared error (as published)", "What R² measures."),
    ("l1", "absolute error", "Minds bright outliers less."),
    ("l1_msssim", "absolute error and structure", "Half of it compares patterns."),
    (
        "foreground",
        "foreground counts more",
        "For structures that fill little of a stack; costs R².",
    ),
)
_MOST_RATIO = 64


class TrainOptions(QWidget):
    """Ratios, patch, learning rate and loss; all have a default.

    Attributes
    ----------
    more_button : QPushButton
        Folds this panel; stands elsewhere.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.more_button = QPushButton("More…")
        self.more_button.setProperty("role", "link")
        self.more_button.setCheckable(True)
        self.more_button.setToolTip("Sampling, patch, learning rate and loss.")
        self.ratios = QLineEdit()
        self.ratios.setPlaceholderText("those of the model")
        self.ratios.setAccessibleName("Sampling to learn, every r-th plane")
        self.ratios.setToolTip(
            "Every r-th plane is shown to the network while it learns, so that it can "
            "predict from so few. 1, 2, 4, 8 makes it good at all of them."
        )
        self.patch = QSpinBox()
        self.patch.setRange(0, 1024)
        self.patch.setSingleStep(16)
        self.patch.setSpecialValueText("automatic")
        self.patch.setSuffix(" pixels")
        self.patch.setMinimumWidth(90)
        self.patch.setAccessibleName("Patch")
        self.patch.setToolTip(
            "Side of the pieces that are learnt from, 128 by itself. Smaller needs "
            "less memory; "
            "stacks that are smaller are taken whole."
        )
        self.rate = QLineEdit()
        self.rate.setPlaceholderText("automatic (0.0001)")
        self.rate.setAccessibleName("Learning rate")
        self.rate.setToolTip(
            "How fast the weights change. Lower it where the loss jumps, or is no "
            "number."
        )
        number = QRegularExpression(r"[0-9]*([.,][0-9]*)?([eE]-?[0-9]*)?")
        self.rate.setValidator(QRegularExpressionValidator(number, self.rate))
        self.loss = ElidingComboBox()
        self.loss.setAccessibleName("Loss")
        for place, (key, text, tip) in enumerate(_LOSSES):
            self.loss.addItem(text, key)
            self.loss.setItemData(place, tip, 3)  # the role of tool tips
        self.loss.setToolTip("What is made small while it learns.")
        self._arrange()
        self.more_button.toggled.connect(self._on_more)
        for field in (self.ratios, self.rate):
            field.editingFinished.connect(self.changed.emit)
        self.patch.editingFinished.connect(self.changed.emit)
        self.loss.activated.connect(lambda _i: self.changed.emit())
        self._on_more(False)

    def _arrange(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        rows = (
            ("Every r-th plane", self.ratios),
            ("Patch", self.patch),
            ("Learning rate", self.rate),
            ("Loss", self.loss),
        )
        for number, (text, widget) in enumerate(rows):
            label = QLabel(text)
            label.setProperty("role", "muted")
            grid.addWidget(label, number, 0)
            grid.addWidget(widget, number, 1)

    def chosen_ratios(self) -> tuple[int, ...] | None:
        """Ratios to learn; None: those of the model."""
        values = numbers(self.ratios.text()) if self.ratios.text().strip() else None
        if not values:
            return None
        return tuple(sorted({round(one) for one in values}))

    def chosen_patch(self) -> int | None:
        """Pixels along a side of a patch; None: automatic."""
        return self.patch.value() or None

    def chosen_rate(self) -> float | None:
        """Peak of the learning rate; None: automatic."""
        values = numbers(self.rate.text()) if self.rate.text().strip() else None
        return values[0] if values and values[0] > 0 else None

    def chosen_loss(self) -> LossName:
        """Id of the loss."""
        return cast(LossName, self.loss.currentData())

    def problem(self) -> str:
        """Say what cannot be used; "" where nothing is wrong."""
        text = self.ratios.text().strip()
        values = numbers(text) if text else (1.0,)
        if not values or any(
            one != int(one) or not 1 <= one <= _MOST_RATIO for one in values
        ):
            return (
                f"r has to be whole numbers from 1 to {_MOST_RATIO}, such as 1, 2, 4, 8"
            )
        if 0 < self.patch.value() < 8:
            return "a patch needs at least 8 pixels"
        if self.rate.text().strip() and self.chosen_rate() is None:
            return "the learning rate has to be a number above 0, such as 0.0001"
        return ""

    def show_values(
        self,
        ratios: tuple[int, ...] | None,
        patch: int | None,
        rate: float | None,
        loss: str,
    ) -> None:
        """Fill the fields without telling anyone."""
        self.ratios.setText(", ".join(map(str, ratios or ())))
        self.patch.setValue(patch or 0)
        self.rate.setText("" if rate is None else f"{rate:g}")
        self.loss.setCurrentIndex(max(self.loss.findData(loss), 0))
        if ratios or patch or rate or loss != "mse":
            self.more_button.setChecked(True)

    def _on_more(self, on: bool) -> None:
        self.setVisible(on)
        self.more_button.setText("Less" if on else "More…")


class UnfinishedBar(QFrame):
    """Tells of the last training that can go on; hidden where there is none.

    Signals
    -------
    resume_asked, discard_asked
    """

    resume_asked = Signal()
    discard_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.run: RunInfo | None = None
        self.setProperty("role", "notice")
        self.text = QLabel("")
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.resume_button = QPushButton("Go on")
        self.resume_button.setToolTip(
            "Go on where it stopped, with the settings that it was begun with."
        )
        self.discard_button = QPushButton("Discard")
        self.discard_button.setProperty("role", "link")
        self.discard_button.setToolTip("Move its folder to the system's trash.")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addStretch(1)
        row.addWidget(self.discard_button)
        row.addWidget(self.resume_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(9, 7, 9, 7)
        column.setSpacing(3)
        column.addWidget(self.text)
        column.addLayout(row)
        self.resume_button.clicked.connect(lambda _on: self.resume_asked.emit())
        self.discard_button.clicked.connect(lambda _on: self.discard_asked.emit())
        self.hide()

    def show_run(self, run: "RunInfo | None") -> None:
        """Tell of a training, or hide."""
        self.run = run
        self.setVisible(run is not None)
        if run is None:
            return
        model, budget = run.config.model, run.config.budget
        of = f"{budget.minutes:g} min" if budget.minutes else f"{budget.steps} steps"
        score = "" if run.best is None else f", best R² {run.best:.2f}"
        self.text.setText(
            f"“{model.name or model.id}” is not finished: {run.share:.0%} of "
            f"{of}{score}."
        )
        self.text.setToolTip(str(run.folder))


SET_UP, WATCH = "set up", "watch"
_WIDTH = 412
_MOST_MINUTES = 10_000.0


class TrainForm(QWidget):
    """All widgets of the dock, arranged.

    Parameters
    ----------
    find_devices : callable
        Gives the devices of this machine, slowly.

    Signals
    -------
    changed
        Something was chosen or typed.
    save_asked, load_asked
        The user wants the settings as YAML, or from it.
    """

    changed = Signal()
    save_asked = Signal()
    load_asked = Signal()

    def __init__(self, find_devices: "Callable[[], Sequence[DeviceInfo]]") -> None:
        super().__init__()
        Dress(self)
        self.unfinished = UnfinishedBar()
        self.pages = Segments(
            [
                (SET_UP, "Set up", "What to learn from, and for how long."),
                (WATCH, "Watch", "Curves and a patch, while it learns."),
            ],
            "Page",
        )
        self.pairs = TrainPairsPanel()
        self.split = TrainSplitPanel()
        self.model = TrainModelPanel()
        self.minutes = QDoubleSpinBox()
        self.device = DeviceBox(find_devices)
        self.options = TrainOptions()
        self.name = TrainNamePanel()
        self.save_button = _link("Save as YAML…", "For `sparsessp train`, elsewhere.")
        self.load_button = _link("Load YAML…", "Take all settings from such a file.")
        self.watch = TrainWatch()
        self.foot = TrainFoot()
        self.pairs_step = Step("Teach it with <b>these pairs</b>")
        self.split_step = Step("keep back <b>a part to judge by</b>")
        self.model_step = Step("begin with <b>this model</b>")
        self.time_step = Step("for")
        self.name_step = Step("and <b>call it</b>", last=True)
        self.stack = QStackedWidget()
        self._make_minutes()
        self._arrange()
        self._connect()

    def _make_minutes(self) -> None:
        self.minutes.setRange(0.1, _MOST_MINUTES)
        self.minutes.setDecimals(1)
        self.minutes.setValue(MINUTES)
        self.minutes.setSuffix(" min")
        self.minutes.setKeyboardTracking(False)
        self.minutes.setMinimumWidth(112)
        self.minutes.setAccessibleName("Minutes to learn")
        self.minutes.setToolTip(
            "How long to learn. Ten minutes on a CPU are enough for one small pair; "
            "many stacks want an hour and a graphics card. You can stop at any moment."
        )

    def _arrange(self) -> None:
        bodies = (
            (self.pairs_step, self.pairs),
            (self.split_step, self.split),
            (self.model_step, self.model),
            (self.time_step, self.options),
            (self.name_step, self.name),
        )
        for step, body in bodies:
            step.body.addWidget(body)
        self._arrange_time()
        files = QHBoxLayout()
        files.addStretch(1)
        files.addWidget(self.load_button)
        files.addWidget(self.save_button)
        self.scroll = StepColumn(step for step, _ in bodies)
        self.scroll.column.addLayout(files)
        self.scroll.end()
        self.stack.addWidget(self.scroll)
        self.stack.addWidget(self.watch)
        head = QVBoxLayout()
        head.setContentsMargins(12, 8, 12, 2)
        head.setSpacing(7)
        head.addWidget(self.pages)
        head.addWidget(self.unfinished)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(head)
        outer.addWidget(self.stack, 1)
        outer.addWidget(self.foot)
        self.setMinimumWidth(340)

    def _arrange_time(self) -> None:
        on = QLabel("on")
        on.setProperty("role", "muted")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(on)
        row.addWidget(self.device, 1)
        self.time_step.title_row.addWidget(self.minutes)
        self.time_step.title_row.addStretch(1)
        self.time_step.title_row.addWidget(self.options.more_button)
        self.time_step.body.insertLayout(0, row)

    def _connect(self) -> None:
        self.pages.chosen.connect(lambda key: self.show_page(key))
        for panel in (
            self.pairs, self.split, self.model, self.options, self.name, self.device
        ):  # fmt: skip
            panel.changed.connect(self.changed)
        self.minutes.valueChanged.connect(lambda _value: self.changed.emit())
        self.save_button.clicked.connect(lambda _on: self.save_asked.emit())
        self.load_button.clicked.connect(lambda _on: self.load_asked.emit())
        self.options.more_button.toggled.connect(self._on_more)

    def sizeHint(self) -> QSize:
        """Ask for a width at which nothing is cut."""
        return QSize(_WIDTH, 760)

    def steps(self) -> dict[str, Step]:
        """Give the steps by the names that problems have."""
        return {
            "pairs": self.pairs_step,
            "part": self.split_step,
            "model": self.model_step,
            "time": self.time_step,
            "name": self.name_step,
        }

    def choice(self) -> TrainChoice:
        """Tell what the user has chosen."""
        return TrainChoice(
            from_files=self.pairs.from_files(),
            stacks=self.pairs.picks(),
            files=self.pairs.files.pick(),
            part=self.split.part(),
            share=self.split.fraction(),
            model=self.model.model_id(),
            freeze=self.model.freeze_box.isChecked(),
            minutes=float(self.minutes.value()),
            device=self.device.device() or "auto",
            name=self.name.name.text().strip(),
            id=self.name.id.text().strip(),
            licence=self.name.licence.currentText().strip(),
            ratios=self.options.chosen_ratios(),
            patch=self.options.chosen_patch(),
            learning_rate=self.options.chosen_rate(),
            loss=self.options.chosen_loss(),
        )

    def show_page(self, key: str) -> None:
        """Turn to a page."""
        self.pages.set_value(key)
        self.stack.setCurrentIndex(1 if key == WATCH else 0)

    def set_marks(self, marks: dict[str, Mark]) -> None:
        """Say how settled each step is."""
        for name, step in self.steps().items():
            step.set_mark(marks.get(name, Mark.WAITING))

    def set_locked(self, locked: bool) -> None:
        """Lock what is chosen while a training runs."""
        for panel in (self.pairs, self.split, self.model, self.options, self.name):
            panel.setEnabled(not locked)
        for widget in (self.minutes, self.device, self.load_button, self.unfinished):
            widget.setEnabled(not locked)

    def _on_more(self, on: bool) -> None:
        """Scroll to what was unfolded, once it has its place."""
        if on:
            QTimer.singleShot(0, self._to_options)

    def _to_options(self) -> None:
        self.scroll.ensureWidgetVisible(self.options, 0, 8)
        bar = self.scroll.horizontalScrollBar()
        if bar is not None:  # only up and down
            bar.setValue(0)


def _link(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setProperty("role", "link")
    button.setToolTip(tip)
    return button
