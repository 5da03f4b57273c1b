"""What few people need to change, folded away: more turns, uncertainty, memory."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.prediction.inference import TRANSFORMS
from napari_sparsessp.ui.compat import open_preferences
from napari_sparsessp.ui.preferences import (
    PRECISIONS,
    Precision,
    Preferences,
    preference_news,
    preferences,
)

_GB = 10**9
_MOST_GB = 4096.0

_TURNS = len(TRANSFORMS)

_TTA_TIP = (
    f"Predict the stack in {_TURNS} turns (mirrored, and turned by 90°) and show "
    "their mean: steadier, a little better, and as many times slower."
)
_UNCERTAINTY_TIP = (
    "Add a hidden layer to each structure: how far off the prediction may be, in "
    f"standard deviations of the truth. It comes from {_TURNS} turns of the stack "
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
        self.tta_box = QCheckBox(f"Steadier: {_TURNS} turns, {_TURNS}× slower")
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
            f"mean of {_TURNS} turns" if self.tta() else "",
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
