"""Choose what to learn from: stacks of the viewer, or files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.training.split import SHARE, StackParts
from napari_sparsessp.ui.train.choice import (
    AUTO,
    FilesFound,
    FilesPick,
    LayerPart,
    Part,
    PartKey,
    StackPick,
    fits,
    guess_channels,
    name_as_structure,
)
from napari_sparsessp.ui.widgets.basic import ElidingComboBox, Segments
from napari_sparsessp.ui.widgets.structure_fields import StructureBox
from napari_sparsessp.ui.widgets.style import Tones, mix

_IMAGES = "Image stacks (*.tif *.tiff *.nd2 *.czi *.lif *.btf);;All files (*)"
_LIST_TIP = (
    "A CSV with a line for each label: path, signal, target, structure, and if you "
    "like path_target, mask and split. RepMode's lists load as they are."
)


class TrainFilesPanel(QWidget):
    """Three ways to name files, and the channels where no list says them.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self._images: tuple[Path, ...] = ()
        self._channels: tuple[str, ...] = ()
        self._wanted: FilesPick | None = None
        self.list_button = QPushButton("List (CSV)…")
        self.list_button.setToolTip(_LIST_TIP)
        self.folder_button = QPushButton("Folder…")
        self.folder_button.setToolTip(
            "A folder of images that all have light and fluorescence in the same "
            "channels."
        )
        self.images_button = QPushButton("Images…")
        self.images_button.setToolTip(
            "Some images that all have light and fluorescence in the same channels."
        )
        self.what = QLabel("")
        self.what.setProperty("role", "strong")
        self.found = QLabel("")
        self.found.setProperty("role", "small")
        self.found.setWordWrap(True)
        self.signal = _channel_box("Channel of the transmitted light")
        self.target = _channel_box("Channel of the fluorescence")
        self.structure = StructureBox()
        self._channel_rows = QWidget()
        self._arrange()
        self.list_button.clicked.connect(lambda _on: self.ask_list())
        self.folder_button.clicked.connect(lambda _on: self.ask_folder())
        self.images_button.clicked.connect(lambda _on: self.ask_images())
        self.signal.activated.connect(lambda _i: self.changed.emit())
        self.target.activated.connect(lambda _i: self.changed.emit())
        self.structure.editTextChanged.connect(lambda _text: self.changed.emit())

    def _arrange(self) -> None:
        buttons = QHBoxLayout()
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.setSpacing(6)
        for button in (self.list_button, self.folder_button, self.images_button):
            buttons.addWidget(button, 1)
        grid = QGridLayout(self._channel_rows)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        rows = (
            ("Light is", self.signal),
            ("Fluorescence is", self.target),
            ("It shows", self.structure),
        )
        for number, (text, widget) in enumerate(rows):
            label = QLabel(text)
            label.setProperty("role", "muted")
            grid.addWidget(label, number, 0)
            grid.addWidget(widget, number, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addLayout(buttons)
        for widget in (self.what, self.found, self._channel_rows):
            column.addWidget(widget)
            widget.hide()

    # choosing -----------------------------------------------------------------

    def ask_list(self) -> None:
        """Let the user choose a CSV."""
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a list of pairs", "", "Lists (*.csv);;All files (*)"
        )
        if path:
            self.choose(Path(path))

    def ask_folder(self) -> None:
        """Let the user choose a folder of images."""
        path = QFileDialog.getExistingDirectory(self, "Choose a folder of images")
        if path:
            self.choose(Path(path))

    def ask_images(self) -> None:
        """Let the user choose images."""
        paths, _ = QFileDialog.getOpenFileNames(self, "Choose images", "", _IMAGES)
        if paths:
            self.choose(None, [Path(one) for one in paths])

    def choose(self, path: Path | None, images: Sequence[Path] = ()) -> None:
        """Take a CSV, a folder or images."""
        self._path, self._images, self._channels = path, tuple(images), ()
        self._channel_rows.hide()
        self.found.hide()
        if path is not None:
            self.what.setText(path.name or str(path))
            self.what.setToolTip(str(path))
        else:
            first = self._images[0].name if self._images else ""
            more = len(self._images) - 1
            self.what.setText(f"{first} and {more} more" if more > 0 else first)
            self.what.setToolTip("\n".join(map(str, self._images)))
        self.what.setVisible(bool(self.what.text()))
        self.changed.emit()

    # what the dock says and asks ----------------------------------------------

    def show_found(self, found: FilesFound) -> None:
        """Offer the channels of what was looked at, and say what is there."""
        if found.channels and found.channels != self._channels:
            self._offer_channels(found.channels)
        self._channel_rows.setVisible(bool(found.channels))
        stacks = len(found.shapes)
        structures = {name for one in found.shapes for name in one.structures}
        self.found.setText(
            f"{stacks} stack{'s' * (stacks != 1)}, {len(found.labels)} label"
            f"{'s' * (len(found.labels) != 1)} of {len(structures)} structure"
            f"{'s' * (len(structures) != 1)}"
        )
        self.found.setVisible(bool(found.shapes))

    def pick(self) -> FilesPick:
        """Tell what is chosen."""
        if not self._channels:
            return FilesPick(self._path, self._images)
        return FilesPick(
            self._path,
            self._images,
            self.signal.currentText(),
            self.target.currentText(),
            self.structure.typed(),
        )

    def show_pick(self, pick: FilesPick) -> None:
        """Choose what a config names; channels follow when the files were looked at."""
        self._wanted = pick
        self.structure.blockSignals(True)
        self.structure.show_structure(pick.structure)
        self.structure.blockSignals(False)
        self.choose(pick.path, pick.images)

    def _offer_channels(self, channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        light, target, structure = guess_channels(channels)
        for box, place in ((self.signal, light), (self.target, target)):
            box.clear()
            box.addItems(list(channels))
            box.setCurrentIndex(place)
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            for box, name in (
                (self.signal, wanted.signal), (self.target, wanted.target)
            ):  # fmt: skip
                number = int(name) if name.isdecimal() else box.findText(name)
                if 0 <= number < box.count():
                    box.setCurrentIndex(number)
        self.structure.blockSignals(True)
        if not self.structure.typed():
            self.structure.show_structure(structure)
        self.structure.blockSignals(False)
        self.changed.emit()


def _channel_box(name: str) -> QComboBox:
    box = ElidingComboBox()
    box.setAccessibleName(name)
    box.setPlaceholderText("choose…")
    return box


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


LAYERS, FILES = "layers", "files"


class TrainPairsPanel(QWidget):
    """Cards of stacks that are open, or the panel of files.

    Signals
    -------
    changed
    file_asked, sample_asked
        The user wants to open a stack, or a public pair.
    """

    changed = Signal()
    file_asked = Signal()
    sample_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._parts: tuple[LayerPart, ...] = ()
        self._masks: tuple[LayerPart, ...] = ()
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
        self.add_button = QPushButton("Add another stack")
        self.add_button.setProperty("role", "link")
        self.add_button.setToolTip("Learn from a second field of view as well.")
        self.sample_button = QPushButton("No pair at hand? Try a public one")
        self.sample_button.setProperty("role", "link")
        self.sample_button.setToolTip(
            "Bright-field and DNA of an hiPSC colony (Allen Institute); asks before "
            "it is fetched."
        )
        self.files = TrainFilesPanel()
        self._layers = QWidget()
        self._cards_column = QVBoxLayout()
        self._arrange()
        self.source.chosen.connect(self._on_source)
        self.open_button.clicked.connect(lambda _on: self.file_asked.emit())
        self.sample_button.clicked.connect(lambda _on: self.sample_asked.emit())
        self.add_button.clicked.connect(lambda _on: self.add_card())
        self.files.changed.connect(self.changed)
        self._add(StackCard())
        self._on_source(LAYERS, tell=False)

    def _arrange(self) -> None:
        self._cards_column.setContentsMargins(0, 0, 0, 0)
        self._cards_column.setSpacing(6)
        foot = QHBoxLayout()
        foot.setContentsMargins(0, 0, 0, 0)
        foot.addWidget(self.open_button)
        foot.addStretch(1)
        foot.addWidget(self.add_button)
        inside = QVBoxLayout(self._layers)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(5)
        inside.addLayout(self._cards_column)
        inside.addLayout(foot)
        inside.addWidget(self.sample_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(7)
        column.addWidget(self.source)
        column.addWidget(self._layers)
        column.addWidget(self.files)

    # what the dock says -------------------------------------------------------

    def set_parts(
        self, parts: Sequence[LayerPart], masks: Sequence[LayerPart] = ()
    ) -> None:
        """Offer these stacks, and these masks, of the viewer."""
        self._parts, self._masks = tuple(parts), tuple(masks)
        taken: set[PartKey] = set()
        for card in self.cards:
            free = self._next_light(taken)
            card.set_parts(self._parts, free, self._masks)
            light = card.light()
            if light is not None:
                taken.add(light)
        self._settle()

    def show_files(self) -> None:
        """Turn to the files."""
        self.source.set_value(FILES)
        self._on_source(FILES, tell=False)

    def add_card(self) -> StackCard:
        """Add a card for another stack."""
        card = StackCard()
        taken = {one.light() for one in self.cards}
        self._add(card)
        card.set_parts(self._parts, self._next_light(taken), self._masks)
        self._settle()
        self.changed.emit()
        return card

    # what the dock asks -------------------------------------------------------

    def from_files(self) -> bool:
        """Whether the pairs are in files."""
        return self.source.value() == FILES

    def picks(self) -> tuple[StackPick, ...]:
        """Tell what is chosen of the layers."""
        return tuple(card.pick() for card in self.cards)

    # inside -------------------------------------------------------------------

    def _add(self, card: StackCard) -> None:
        if self.cards:
            line = QFrame()
            line.setProperty("role", "line")
            card.layout().insertWidget(0, line)
        self.cards.append(card)
        self._cards_column.addWidget(card)
        card.changed.connect(self.changed)
        card.removal_asked.connect(lambda: self._remove(card))

    def _remove(self, card: StackCard) -> None:
        self.cards.remove(card)
        card.hide()
        card.deleteLater()
        self._settle()
        self.changed.emit()

    def _settle(self) -> None:
        for card in self.cards:
            card.set_removable(len(self.cards) > 1)
        self.add_button.setVisible(len(self._parts) > 2)
        self.sample_button.setVisible(not self._parts)

    def _next_light(self, taken: set[PartKey | None] | set[PartKey]) -> PartKey | None:
        """Give the likeliest light that no other card has."""
        free = [one for one in self._parts if one.key not in taken]
        plain = [one for one in free if not one.structure]
        return next((one.key for one in [*plain, *free]), None)

    def _on_source(self, key: str, *, tell: bool = True) -> None:
        self._layers.setVisible(key == LAYERS)
        self.files.setVisible(key == FILES)
        if tell:
            self.changed.emit()


_HEIGHT = 74
_CUT_MOST = 3
"""So many stacks that are cut are drawn; the others are cut alike."""
_GAP = 6.0
_LEARN, _JUDGE = "learn", "judge"


class SplitDrawing(QWidget):
    """Stacks seen from above; filled: learn, hatched: judge, empty: the gap.

    Shape and words tell the parts apart, colour only helps.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parts: tuple[StackParts, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)

    @property
    def parts(self) -> tuple[StackParts, ...]:
        """What is drawn."""
        return self._parts

    def show_parts(self, parts: Sequence[StackParts]) -> None:
        """Draw the split of these stacks; none hides the picture."""
        self._parts = tuple(parts)
        self.setVisible(bool(parts))
        words = split_words(self._parts)
        self.setAccessibleName(words)
        self.setToolTip(
            f"{words}\nNever by patch: parts that overlap would be in both, and the "
            "score would only show how well the network remembers."
        )
        self.update()

    def sizeHint(self) -> QSize:
        """Ask for room for a field of view."""
        return QSize(300, _HEIGHT)

    def paintEvent(self, _event: object) -> None:
        """Draw the stacks side by side."""
        if not self._parts:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        cut = [one for one in self._parts if one.axis]
        if cut:
            self._draw_cut(painter, cut[:_CUT_MOST])
        else:
            self._draw_whole(painter)

    def _draw_cut(self, painter: QPainter, parts: Sequence[StackParts]) -> None:
        room = (self.width() - _GAP * (len(parts) - 1)) / len(parts)
        for number, one in enumerate(parts):
            _, height, width = one.stack.shape
            scale = min(room / width, (self.height() - 2) / height)
            # a narrow stack is widened, so that its words have room
            wide = min(room, max(scale * width, 0.7 * room))
            tall = min(self.height() - 2.0, max(scale * height, 34.0))
            left = number * (room + _GAP)
            area = QRectF(left + 1, (self.height() - tall) / 2, wide - 2, tall)
            _draw_stack(painter, area, one, Tones.of(self))

    def _draw_whole(self, painter: QPainter) -> None:
        """Draw small squares in rows, those that judge at the end."""
        tones = Tones.of(self)
        ordered = sorted(self._parts, key=lambda one: one.judge is not None)
        count = len(ordered)
        rows = 1 if count <= 10 else 2 if count <= 30 else 3
        columns = -(-count // rows)
        side = min((self.width() - 4) / columns, (self.height() - 20) / rows)
        side = max(min(side, 40.0), 4.0)
        for number, one in enumerate(ordered):
            row, column = divmod(number, columns)
            area = QRectF(1 + column * side, 1 + row * side, side - 3, side - 3)
            _fill(painter, area, _JUDGE if one.judge else _LEARN, tones)
        kept = sum(one.judge is not None for one in ordered)
        painter.setPen(tones.muted)
        words = f"{count - kept} to learn from · {kept} hatched: to judge by"
        foot = QRectF(0, 2 + rows * side, self.width(), 18)
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(foot, int(left), words)


def split_words(parts: Sequence[StackParts]) -> str:
    """Say in words what is drawn."""
    cut = next((one for one in parts if one.axis), None)
    if cut is None:
        kept = sum(one.judge is not None for one in parts)
        return f"{len(parts) - kept} stacks to learn from, {kept} to judge by."
    assert cut.learn is not None
    assert cut.judge is not None
    many = f"of each of {len(parts)} stacks, " if len(parts) > 1 else ""
    gap = cut.judge[0] - cut.learn[1]
    between = f" a gap of {gap} in neither," if gap else ""
    return (
        f"{many}pixels {cut.learn[0]} to {cut.learn[1]} in {cut.axis} to learn from,"
        f"{between} {cut.judge[0]} to {cut.judge[1]} to judge by."
    )


def _draw_stack(
    painter: QPainter, area: QRectF, parts: StackParts, tones: Tones
) -> None:
    along_x = parts.axis == "x"
    size = parts.stack.shape[2 if along_x else 1]
    for kind, part in ((_LEARN, parts.learn), (_JUDGE, parts.judge)):
        if part is None:
            continue
        begin, end = part[0] / size, part[1] / size
        piece = QRectF(area)
        if along_x:
            piece.setLeft(area.left() + begin * area.width())
            piece.setRight(area.left() + end * area.width())
        else:
            piece.setTop(area.top() + begin * area.height())
            piece.setBottom(area.top() + end * area.height())
        _fill(painter, piece, kind, tones)
        _write(painter, piece, kind, tones)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(tones.line, 1.0))
    painter.drawRect(area)


def _fill(painter: QPainter, area: QRectF, kind: str, tones: Tones) -> None:
    colour = QColor(tones.accent if kind == _LEARN else tones.warn)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(mix(tones.back, colour, 0.42 if kind == _LEARN else 0.16))
    painter.drawRect(area)
    if kind == _JUDGE:
        painter.save()
        painter.setClipRect(area)
        painter.setPen(QPen(mix(tones.back, colour, 0.75), 1.1))
        x = area.left() - area.height()
        while x < area.right():
            painter.drawLine(
                round(x), round(area.bottom()), round(x + area.height()),
                round(area.top()),
            )  # fmt: skip
            x += 7.0
        painter.restore()


def _write(painter: QPainter, area: QRectF, text: str, tones: Tones) -> None:
    metrics = painter.fontMetrics()
    wide = metrics.horizontalAdvance(text) + 8
    tall = metrics.height() + 2
    if area.width() < wide or area.height() < tall:
        return
    box = QRectF(0, 0, wide, tall)
    box.moveCenter(area.center())
    back = QColor(tones.back)
    back.setAlpha(215)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(back)
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(tones.text)
    painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)


_TIP = (
    "How much is kept back. What is kept back is never learnt from: it shows at every "
    "moment how well the network does on cells that it has not seen."
)


class TrainSplitPanel(QWidget):
    """Which part judges: by itself, whole stacks, or an end in x or y.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.by = Segments(
            [
                (AUTO, "By itself", "Whole stacks of three or more, else one end."),
                ("stack", "Stacks", "Keep back whole stacks: the strictest test."),
                ("x", "End in x", "Keep back the right end of each stack."),
                ("y", "End in y", "Keep back the lower end of each stack."),
            ],
            "Kept back",
        )
        self.share = QSpinBox()
        self.share.setRange(5, 50)
        self.share.setValue(round(100 * SHARE))
        self.share.setSuffix(" %")
        self.share.setMinimumWidth(100)
        self.share.setToolTip(_TIP)
        self.share.setAccessibleName("Share that is kept back")
        self.share.setKeyboardTracking(False)
        self.drawing = SplitDrawing()
        self.words = QLabel("")
        self.words.setProperty("role", "small")
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self._share_row = QWidget()
        row = QHBoxLayout(self._share_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        label = QLabel("Keep back")
        label.setProperty("role", "muted")
        row.addWidget(label)
        row.addWidget(self.share)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addWidget(self.by)
        column.addWidget(self._share_row)
        column.addWidget(self.drawing)
        column.addWidget(self.words)
        self.show_parts(())
        self.by.chosen.connect(self._on_by)
        self.share.valueChanged.connect(lambda _value: self.changed.emit())
        self._share_row.hide()

    def part(self) -> Part:
        """Tell which part is kept back."""
        return cast(Part, self.by.value())

    def fraction(self) -> float:
        """Share that is kept back."""
        return self.share.value() / 100

    def set_part(self, part: Part, share: float) -> None:
        """Choose without telling anyone."""
        self.by.set_value(part)
        self.share.blockSignals(True)
        self.share.setValue(round(100 * share))
        self.share.blockSignals(False)
        self._share_row.setVisible(part != AUTO)

    def show_parts(self, parts: Sequence[StackParts], note: str = "") -> None:
        """Draw the split; none hides it.

        Parameters
        ----------
        parts : sequence of StackParts
        note : str
            What should be known of it, in a sentence.
        """
        self.drawing.show_parts(parts)
        # of whole stacks the picture itself has the words
        words = split_words(parts) if any(one.axis for one in parts) else ""
        self.words.setText(f"{words[:1].upper()}{words[1:]} {note}".strip())
        self.words.setVisible(bool(self.words.text()))

    def _on_by(self, key: str) -> None:
        self._share_row.setVisible(key != AUTO)
        self.changed.emit()
