"""One stack of the viewer to learn from: its light, its truths, and a mask."""

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.inputs.structure_box import StructureBox
from napari_sparsessp.ui.train.choice import StackPick
from napari_sparsessp.ui.train.layers import (
    LayerPart,
    PartKey,
    fits,
    name_as_structure,
)
from napari_sparsessp.ui.widgets.basic import ElidingComboBox

_NAME = 17
"""Letters of a layer's name that are shown in a row; the tool tip has all."""


class StackCard(QWidget):
    """Choose the light; layers of the same size are offered as its truths.

    Signals
    -------
    changed
    removal_asked
    """

    changed = Signal()
    removal_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._parts: dict[PartKey, LayerPart] = {}
        self._masks: tuple[LayerPart, ...] = ()
        self._said: dict[PartKey, tuple[bool, str]] = {}
        self._rows: dict[PartKey, tuple[QCheckBox, StructureBox]] = {}
        self.light_box = ElidingComboBox()
        self.light_box.setAccessibleName("Transmitted light")
        self.light_box.setPlaceholderText("no stack yet")
        self.light_box.setToolTip("The transmitted-light z-stack of this pair.")
        self.remove_button = QPushButton("Remove")
        self.remove_button.setProperty("role", "link")
        self.remove_button.setToolTip("Learn without this stack.")
        self.remove_button.hide()
        self.none_label = QLabel("")
        self.none_label.setProperty("role", "small")
        self.none_label.setWordWrap(True)
        self.mask_box = ElidingComboBox()
        self.mask_box.setAccessibleName("Mask")
        self.mask_box.setToolTip(
            "Optional: an image that is above 0 where the fluorescence can be trusted; "
            "elsewhere nothing is learnt."
        )
        self._grid = QGridLayout()
        self._mask_row = QWidget()
        self._arrange()
        self.light_box.activated.connect(self._on_light)
        self.mask_box.activated.connect(lambda _i: self.changed.emit())
        self.remove_button.clicked.connect(lambda _on: self.removal_asked.emit())

    def _arrange(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, 0, 0)
        head.setSpacing(6)
        head.addWidget(_muted("Light"))
        head.addWidget(self.light_box, 1)
        head.addWidget(self.remove_button)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)
        mask = QHBoxLayout(self._mask_row)
        mask.setContentsMargins(0, 0, 0, 0)
        mask.setSpacing(6)
        mask.addWidget(_muted("Counts where"))
        mask.addWidget(self.mask_box, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(5)
        column.addLayout(head)
        column.addWidget(self.none_label)
        column.addLayout(self._grid)
        column.addWidget(self._mask_row)

    # what the dock says -------------------------------------------------------

    def set_parts(
        self,
        parts: Sequence[LayerPart],
        light: PartKey | None,
        masks: Sequence[LayerPart] = (),
    ) -> None:
        """Offer these stacks.

        Parameters
        ----------
        parts : sequence of LayerPart
            The likeliest light first.
        light : PartKey or None
            To choose where the one that was chosen is gone.
        masks : sequence of LayerPart
            Labels layers, which are nothing but masks.
        """
        self._masks = tuple(masks)
        before = self.light()
        self._parts = {one.key: one for one in parts}
        wanted = before if before in self._parts else light
        self.light_box.clear()
        for one in parts:
            self.light_box.addItem(one.name, one.key)
        keys = list(self._parts)
        self.light_box.setCurrentIndex(keys.index(wanted) if wanted in keys else -1)
        self._offer_truths()

    def set_removable(self, on: bool) -> None:
        """Offer to remove this card, or not."""
        self.remove_button.setVisible(on)

    # what the dock asks -------------------------------------------------------

    def light(self) -> PartKey | None:
        """Key of the chosen light."""
        return self.light_box.currentData()

    def pick(self) -> StackPick:
        """Tell what is chosen."""
        truths = tuple(
            (key, box.typed())
            for key, (tick, box) in self._rows.items()
            if tick.isChecked() and tick.isEnabled()
        )
        mask = self.mask_box.currentData() if self.mask_box.currentIndex() > 0 else None
        return StackPick(self.light(), truths, mask)

    @property
    def rows(self) -> Mapping[PartKey, tuple[QCheckBox, StructureBox]]:
        """Tick and structure of each layer that is offered as a truth."""
        return self._rows

    # inside -------------------------------------------------------------------

    def _on_light(self, _index: int) -> None:
        self._offer_truths()
        self.changed.emit()

    def _offer_truths(self) -> None:
        self._remember()
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = None if item is None else item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._rows = {}
        key = self.light()
        light = None if key is None else self._parts.get(key)
        others = [one for one in self._parts.values() if light and one is not light]
        fitting = [] if light is None else [
            one for one in others if not fits(light.volume, one.volume)
        ]  # fmt: skip
        for one in others:
            assert light is not None
            self._add_row(one, fits(light.volume, one.volume), len(fitting) == 1)
        self.none_label.setText(_missing(light, others))
        self.none_label.setVisible(bool(self.none_label.text()))
        masks = [
            one for one in self._masks if light and not fits(light.volume, one.volume)
        ]
        self._offer_masks([*masks, *fitting])

    def _add_row(self, part: LayerPart, why_not: str, only: bool) -> None:
        known = structure_or_custom(part.structure).label if part.structure else ""
        guess = known or (name_as_structure(part.name) if only else "")
        ticked, typed = self._said.get(part.key, (bool(known) or only, guess))
        tick = QCheckBox(self._shortened(part.name))
        tick.setToolTip(why_not or f"{part.name}\nLearn to predict this layer.")
        tick.setAccessibleName(f"Learn to predict {part.name}")
        box = StructureBox()
        box.show_text(typed)
        tick.setChecked(ticked and not why_not)
        tick.setEnabled(not why_not)
        box.setEnabled(tick.isChecked())
        row = self._grid.rowCount()
        self._grid.addWidget(tick, row, 0)
        if why_not:
            note = QLabel(why_not)
            note.setProperty("role", "small")
            note.setWordWrap(True)
            self._grid.addWidget(note, row, 1)
            box.hide()
            box.setParent(self)
        else:
            self._grid.addWidget(box, row, 1)
        tick.toggled.connect(box.setEnabled)
        tick.toggled.connect(lambda _on: self.changed.emit())
        box.editTextChanged.connect(lambda _text: self.changed.emit())
        self._rows[part.key] = tick, box

    def _offer_masks(self, parts: Sequence[LayerPart]) -> None:
        before = self.mask_box.currentData() if self.mask_box.count() else None
        self.mask_box.clear()
        self.mask_box.addItem("everywhere", None)
        for one in parts:
            self.mask_box.addItem(f"{one.name} is above 0", one.key)
        keys = [None, *(one.key for one in parts)]
        self.mask_box.setCurrentIndex(keys.index(before) if before in keys else 0)
        self._mask_row.setVisible(bool(parts))

    def _remember(self) -> None:
        """Keep what the user said of layers, whatever light is chosen next."""
        for key, (tick, box) in self._rows.items():
            if tick.isEnabled():
                self._said[key] = tick.isChecked(), box.typed()

    def _shortened(self, name: str) -> str:
        half = _NAME // 2
        return name if len(name) <= _NAME else f"{name[:half]}…{name[-half:]}"


def _missing(light: LayerPart | None, others: Sequence[LayerPart]) -> str:
    if light is None:
        return "Open a z-stack of transmitted light and its fluorescence."
    if not others:
        return (
            "No other stack is open: open the fluorescence of the same field, too, "
            "each channel as a layer."
        )
    return ""


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "muted")
    label.setAlignment(Qt.AlignmentFlag.AlignVCenter)
    return label
