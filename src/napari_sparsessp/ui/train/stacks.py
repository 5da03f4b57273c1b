"""Choose the training data: stacks that are open as layers, or files."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.train.choice import (
    FilesChoice,
    FilesScan,
    PairChoice,
    StackKey,
    ViewerStack,
    guess_channels,
    name_as_structure,
    unpaired,
)
from napari_sparsessp.ui.widgets.basic import (
    ElidingComboBox,
    Segments,
    in_a_column,
    in_a_row,
    labelled_row,
    link_button,
    side_by_side,
    wrapped_label,
)
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.structure_fields import StructureBox

LAYERS, FILES = "layers", "files"

_LIST_TIP = (
    "A CSV with a line for each label: path, signal, target, structure, and if you "
    "like path_target, mask and split. RepMode's lists load as they are."
)
_ALIKE = "that all have transmitted light and fluorescence in the same channels."
_IMAGES = "Image stacks (*.tif *.tiff *.nd2 *.czi *.lif *.btf);;All files (*)"


class FilesPanel(QWidget):
    """Three ways to choose files, and their channels where no list says them.

    `changed` is emitted when the user chooses other files, channels or structure.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        buttons = (
            _button("List (CSV)…", _LIST_TIP, self.ask_list),
            _button("Folder…", f"A folder of images {_ALIKE}", self.ask_folder),
            _button("Images…", f"Some images {_ALIKE}", self.ask_images),
        )
        self.title = QLabel("")
        self.title.setProperty("role", "strong")
        self.summary = wrapped_label("small")
        self.channels = Form(FilesChoice)
        rows = side_by_side(*buttons), self.title, self.summary, self.channels
        in_a_column(self, *rows)
        self.choose(FilesChoice())
        self.channels.changed.connect(self.changed)

    def ask_list(self) -> None:
        """Let the user choose a CSV."""
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a list of pairs", "", "Lists (*.csv);;All files (*)"
        )
        if path:
            self.choose(FilesChoice(Path(path)))

    def ask_folder(self) -> None:
        """Let the user choose a folder of images."""
        path = QFileDialog.getExistingDirectory(self, "Choose a folder of images")
        if path:
            self.choose(FilesChoice(Path(path)))

    def ask_images(self) -> None:
        """Let the user choose images."""
        paths, _ = QFileDialog.getOpenFileNames(self, "Choose images", "", _IMAGES)
        images = (Path(path) for path in paths)
        # macOS puts a file of its own beside each on a foreign disk
        if chosen := tuple(one for one in images if not one.name.startswith("._")):
            self.choose(FilesChoice(images=chosen))

    def choose(self, files: FilesChoice) -> None:
        """Take files; their channels are offered after a scan."""
        self._wanted = files
        self._offered: tuple[str, ...] = ()
        self.channels.set(replace(files, signal=None, target=None))
        images = files.images
        if files.path is not None:
            self.title.setText(files.path.name or str(files.path))
            self.title.setToolTip(str(files.path))
        elif images:
            more = f" and {len(images) - 1} more" if len(images) > 1 else ""
            self.title.setText(f"{images[0].name}{more}")
            self.title.setToolTip("\n".join(map(str, images)))
        self.title.setVisible(not files.empty)
        self.summary.hide()
        self.channels.hide()
        self.changed.emit()

    def show_scan(self, scan: FilesScan) -> None:
        """Offer the channels of the files, and say what there is."""
        if scan.channels and scan.channels != self._offered:
            self._offer_channels(scan.channels)
        self.channels.setVisible(bool(scan.channels))
        structures = {name for shape in scan.shapes for name in shape.structures}
        self.summary.setText(
            f"{_counted(len(scan.shapes), 'stack')}, "
            f"{_counted(len(scan.labels), 'label')} of "
            f"{_counted(len(structures), 'structure')}"
        )
        self.summary.setVisible(bool(scan.shapes))

    def _offer_channels(self, channels: tuple[str, ...]) -> None:
        """Offer channels; those that a config names are chosen, else a guess."""
        self._offered, wanted = channels, self._wanted
        light, target, structure = guess_channels(channels)
        for name, guess in (("signal", light), ("target", target)):
            index = _index_of(getattr(wanted, name), channels, guess)
            self.channels.offer(name, [(channel, channel) for channel in channels])
            self.channels.update(**{name: channels[index] if index >= 0 else None})
        if not self.channels.get("structure"):
            self.channels.update(structure=structure)
        self._wanted = FilesChoice()

    def files(self) -> FilesChoice:
        """Return what is chosen."""
        return self.channels.values()


def _button(text: str, tip: str, slot: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.clicked.connect(slot)
    return button


def _index_of(wanted: str | None, channels: Sequence[str], guess: int) -> int:
    """Return the index of a channel that is given by its name or number."""
    if wanted in channels:
        return channels.index(wanted)
    number = int(wanted) if wanted and wanted.isdecimal() else -1
    return number if 0 <= number < len(channels) else guess


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


_ALONE = (
    "No other stack is open: open the fluorescence of the same field, too, each "
    "channel as a layer."
)
_NAME = 17
"""Letters of a layer's name that are shown in a row; the tool tip has all."""


class StackCard(QWidget):
    """Choose the light; layers of the same size are offered as its truths."""

    changed = Signal()
    removal_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._stacks: dict[StackKey, ViewerStack] = {}
        self._masks: tuple[ViewerStack, ...] = ()
        self._remembered: dict[StackKey, tuple[bool, str]] = {}
        self.rows: dict[StackKey, tuple[QCheckBox, StructureBox]] = {}
        self.light_box = ElidingComboBox()
        self.light_box.setAccessibleName("Transmitted light")
        self.light_box.setPlaceholderText("no stack yet")
        self.light_box.setToolTip("The transmitted-light z-stack of this pair.")
        self.remove_button = link_button("Remove", "Train without this stack.")
        self.remove_button.hide()
        self.hint = wrapped_label("small")
        self.mask_box = ElidingComboBox()
        self.mask_box.setAccessibleName("Mask")
        self.mask_box.setToolTip(
            "Optional: an image that is above 0 where the fluorescence is reliable; "
            "the rest is left out."
        )
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)
        self._mask_row = labelled_row("Mask", self.mask_box)
        light_row = labelled_row(
            "Transmitted light", self.light_box, self.remove_button
        )
        column = in_a_column(self, light_row, self.hint, self._grid, self._mask_row)
        column.setContentsMargins(0, 0, 0, 4)
        self.light_box.activated.connect(self._offer_truths)
        self.light_box.activated.connect(self.changed)
        self.mask_box.activated.connect(self.changed)
        self.remove_button.clicked.connect(self.removal_asked)

    def set_stacks(
        self,
        stacks: Sequence[ViewerStack],
        light: StackKey | None,
        masks: Sequence[ViewerStack],
    ) -> None:
        """Offer stacks; `light` is taken where the chosen one is gone."""
        before = self.light()
        self._masks = tuple(masks)
        self._stacks = {stack.key: stack for stack in stacks}
        wanted = before if before in self._stacks else light
        self.light_box.clear()
        for stack in stacks:
            self.light_box.addItem(stack.name, stack.key)
        keys = list(self._stacks)
        self.light_box.setCurrentIndex(keys.index(wanted) if wanted in keys else -1)
        self._offer_truths()

    def light(self) -> StackKey | None:
        """Return the key of the chosen light."""
        return self.light_box.currentData()

    def choice(self) -> PairChoice:
        """Return what is chosen."""
        truths = tuple(
            (key, box.typed())
            for key, (tick, box) in self.rows.items()
            if tick.isChecked() and tick.isEnabled()
        )
        mask = self.mask_box.currentData() if self.mask_box.currentIndex() > 0 else None
        return PairChoice(self.light(), truths, mask)

    def _offer_truths(self, _index: int = 0) -> None:
        for row, (tick, box) in self.rows.items():  # whatever light is chosen next
            if tick.isEnabled():
                self._remembered[row] = tick.isChecked(), box.typed()
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        self.rows = {}
        light = None if (key := self.light()) is None else self._stacks.get(key)
        if light is None:
            self.hint.setText(
                "Open a z-stack of transmitted light and its fluorescence."
            )
            self.hint.show()
            self._offer_masks(())
            return
        others = [stack for stack in self._stacks.values() if stack is not light]
        reasons = {stack.key: unpaired(light, stack) for stack in others}
        fitting = [stack for stack in others if not reasons[stack.key]]
        for stack in others:
            self._add_row(stack, reasons[stack.key], len(fitting) == 1)
        self.hint.setText(_ALONE)
        self.hint.setVisible(not others)
        masks = [one for one in self._masks if not unpaired(light, one)]
        self._offer_masks([*masks, *fitting])

    def _add_row(self, stack: ViewerStack, why_not: str, only: bool) -> None:
        label = structure_or_custom(stack.structure).label if stack.structure else ""
        guess = label or (name_as_structure(stack.name) if only else "")
        usual = (bool(label) or only, guess)
        ticked, typed = self._remembered.get(stack.key, usual)
        name, half = stack.name, _NAME // 2
        tick = QCheckBox(
            name if len(name) <= _NAME else f"{name[:half]}…{name[-half:]}"
        )
        tick.setToolTip(why_not or f"{name}\nTrain a model to predict this layer.")
        tick.setAccessibleName(f"Predict {name}")
        tick.setChecked(ticked and not why_not)
        tick.setEnabled(not why_not)
        box = StructureBox()
        box.show_text(typed)
        box.setEnabled(tick.isChecked())
        row = self._grid.rowCount()
        self._grid.addWidget(tick, row, 0)
        self._grid.addWidget(
            wrapped_label("small", why_not) if why_not else box, row, 1
        )
        tick.toggled.connect(box.setEnabled)
        tick.toggled.connect(self.changed)
        box.editTextChanged.connect(self.changed)
        self.rows[stack.key] = tick, box

    def _offer_masks(self, stacks: Sequence[ViewerStack]) -> None:
        before = self.mask_box.currentData() if self.mask_box.count() else None
        self.mask_box.clear()
        self.mask_box.addItem("none", None)
        for stack in stacks:
            self.mask_box.addItem(stack.name, stack.key)
        keys = [None, *(stack.key for stack in stacks)]
        self.mask_box.setCurrentIndex(keys.index(before) if before in keys else 0)
        self._mask_row.setVisible(bool(stacks))


class PairsPanel(QWidget):
    """Cards of stacks that are open, or the panel of files."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._stacks: tuple[ViewerStack, ...] = ()
        self._masks: tuple[ViewerStack, ...] = ()
        self.cards: list[StackCard] = []
        self.source = Segments(
            [
                (LAYERS, "Layers of this viewer", "Stacks that are open here."),
                (FILES, "Files", "Many stacks: a list, a folder or images."),
            ],
            "Where the pairs are",
        )
        self.open_button = QPushButton("Open file…")
        self.open_button.setToolTip(
            "Open a stack with its voxel size; each channel becomes a layer."
        )
        self.add_button = link_button(
            "Add another stack", "Train on a second field of view as well."
        )
        self.sample_button = link_button(
            "No pair at hand? Try a simulated one",
            "A colony of simulated cells with twelve structures; nothing is fetched.",
        )
        self.files = FilesPanel()
        self._layers = QWidget()
        self._column = QVBoxLayout()
        self._column.setSpacing(6)
        foot = in_a_row(self.open_button, self.add_button, stretched=0)
        foot.insertStretch(1, 1)
        in_a_column(self._layers, self._column, foot, self.sample_button)
        in_a_column(self, self.source, self._layers, self.files, spacing=7)
        self.source.chosen.connect(self.show_source)
        self.source.chosen.connect(self.changed)
        self.add_button.clicked.connect(self.add_card)
        self.files.changed.connect(self.changed)
        self._add()
        self.show_source(LAYERS)

    def set_stacks(
        self, stacks: Sequence[ViewerStack], masks: Sequence[ViewerStack] = ()
    ) -> None:
        """Offer the stacks and the masks of the viewer."""
        self._stacks, self._masks = tuple(stacks), tuple(masks)
        taken: set[StackKey | None] = set()
        for card in self.cards:
            card.set_stacks(self._stacks, self._free_light(taken), self._masks)
            taken.add(card.light())
        self._show_buttons()

    def show_source(self, key: str) -> None:
        """Show the layers or the files."""
        self.source.set_value(key)
        self._layers.setVisible(key == LAYERS)
        self.files.setVisible(key == FILES)

    def add_card(self, *_: object) -> StackCard:
        """Add a card for another stack."""
        card = self._add()
        self.set_stacks(self._stacks, self._masks)
        self.changed.emit()
        return card

    def from_files(self) -> bool:
        """Whether the pairs are in files."""
        return self.source.value() == FILES

    def choices(self) -> tuple[PairChoice, ...]:
        """Return what is chosen of the layers."""
        return tuple(card.choice() for card in self.cards)

    def _add(self) -> StackCard:
        card = StackCard()
        if self.cards:
            line = QFrame()
            line.setProperty("role", "line")
            cast(QVBoxLayout, card.layout()).insertWidget(0, line)
        self.cards.append(card)
        self._column.addWidget(card)
        card.changed.connect(self.changed)
        card.removal_asked.connect(partial(self._remove, card))
        return card

    def _remove(self, card: StackCard, *_: object) -> None:
        self.cards.remove(card)
        card.hide()
        card.deleteLater()
        self._show_buttons()
        self.changed.emit()

    def _show_buttons(self) -> None:
        for card in self.cards:
            card.remove_button.setVisible(len(self.cards) > 1)
        self.add_button.setVisible(len(self._stacks) > 2)
        self.sample_button.setVisible(not self._stacks)

    def _free_light(self, taken: set[StackKey | None]) -> StackKey | None:
        """Return the likeliest light that no other card has."""
        free = [stack for stack in self._stacks if stack.key not in taken]
        free.sort(key=lambda stack: bool(stack.structure))
        return free[0].key if free else None
