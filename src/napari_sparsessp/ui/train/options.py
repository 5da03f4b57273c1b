"""What few people change about a training, folded away."""

from typing import cast

from qtpy.QtCore import QRegularExpression, Signal
from qtpy.QtGui import QRegularExpressionValidator
from qtpy.QtWidgets import (
    QGridLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_sparsessp.training.resolve import LossName
from napari_sparsessp.ui.look.eliding_box import ElidingComboBox
from napari_sparsessp.ui.models.question_row import numbers

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
