"""The Train dock's form: five steps that read like a sentence, a page to watch, a foot.

*Teach it with these pairs · keep back a part to judge by · begin with this model · for
ten minutes on this device · and call it this → Train.* Only widgets; `train_dock` gives
them their meaning.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, QTimer, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.training.resolve import MINUTES
from napari_sparsessp.ui.inputs.device_box import DeviceBox
from napari_sparsessp.ui.look.dress import Dress
from napari_sparsessp.ui.look.segments import Segments
from napari_sparsessp.ui.look.step import Mark, Step
from napari_sparsessp.ui.look.step_column import StepColumn
from napari_sparsessp.ui.train.choice import TrainChoice
from napari_sparsessp.ui.train.foot import TrainFoot
from napari_sparsessp.ui.train.model_panel import TrainModelPanel
from napari_sparsessp.ui.train.name_panel import TrainNamePanel
from napari_sparsessp.ui.train.options import TrainOptions
from napari_sparsessp.ui.train.pairs_panel import TrainPairsPanel
from napari_sparsessp.ui.train.split_panel import TrainSplitPanel
from napari_sparsessp.ui.train.unfinished_bar import UnfinishedBar
from napari_sparsessp.ui.train.watch import TrainWatch

if TYPE_CHECKING:
    from napari_sparsessp.prediction.device import DeviceInfo

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
        # a long name of a device may be shortened, not widen the dock
        self.device.setMinimumContentsLength(10)
        self.device.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
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
