"""Choose which ratios to try; those that the stack cannot give are not shown."""

from collections.abc import Collection, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_sparsessp.ui.plan.words import nth

RATIOS = (2, 3, 4, 6, 8, 12, 16)
"""What can be chosen; every plane is always predicted, to compare with."""

USUAL = (2, 4, 8)

_PHASES_TIP = (
    "Where the first plane lies is chance. Predict from each possible start and take "
    "the mean; the chart shows lowest and highest. It takes as many predictions as "
    "the ratios have planes: 14 more for 2, 4 and 8, not 3."
)


class RatioPicker(QWidget):
    """Buttons of which any number may be down.

    `changed` is emitted when the user changes anything here.
    """

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
            button.setChecked(ratio in USUAL)
            button.setProperty("role", "choice")
            button.setMinimumWidth(30)
            button.setAccessibleName(f"Keep every {nth(ratio)} plane")
            button.setToolTip(
                f"Keep one plane of {ratio} and let the network predict the others; "
                "the planes between are never looked at."
            )
            button.clicked.connect(lambda _on: self.changed.emit())
            self._buttons[ratio] = button
            row.addWidget(button, 1)
        self.phases_box = QCheckBox("Try every starting plane (slower, steadier)")
        self.phases_box.setToolTip(_PHASES_TIP)
        self.phases_box.toggled.connect(lambda _on: self.changed.emit())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.phases_box)

    def ratios(self) -> tuple[int, ...]:
        """Ratios to try, every plane among them, ascending."""
        chosen = [
            ratio
            for ratio, button in self._buttons.items()
            if button.isChecked() and not button.isHidden()
        ]
        return (1, *chosen)

    def set_ratios(self, ratios: Collection[int]) -> None:
        """Choose ratios without telling anyone."""
        for ratio, button in self._buttons.items():
            button.setChecked(ratio in ratios)

    def all_phases(self) -> bool:
        """Whether every starting plane is tried."""
        return self.phases_box.isChecked()

    def offer(self, ratios: Sequence[int]) -> None:
        """Show only the ratios that the stack can give."""
        for ratio, button in self._buttons.items():
            button.setHidden(ratio not in ratios)

    def button(self, ratio: int) -> QPushButton:
        """Return the button of a ratio."""
        return self._buttons[ratio]
