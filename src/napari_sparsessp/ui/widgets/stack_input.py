"""Choose the stack: a layer or a file, its channel and, where unknown, its size."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_sparsessp.models.card import is_foreign
from napari_sparsessp.prediction.modality import is_same_light
from napari_sparsessp.prediction.sampling import FOREIGN_TOLERANCE
from napari_sparsessp.ui.layers.reading import LayerReading, LeadingAxis
from napari_sparsessp.ui.napari_compat import layer_with_key
from napari_sparsessp.ui.widgets.basic import (
    ElidingComboBox,
    Mark,
    MarkDot,
    Segments,
    in_a_column,
    in_a_row,
    labelled_row,
    link_button,
    small_label,
)
from napari_sparsessp.ui.widgets.card_text import ratios_text
from napari_sparsessp.ui.widgets.fit import contrast_named
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.numbers import local, read_number, write_number

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard


# Resampling y/x by more than this turns details into what the model never saw.
_FAR = 3.0
# Below this difference no one would call it resampling.
_SAME = 0.01
_LARGEST_VOXEL = 1000.0  # µm
_TIMES = "\u2009×\u2009"  # thin spaces: three numbers have to fit


@dataclass(frozen=True)
class Expectation:
    """One line of expected against found; the tool tip says what to do."""

    name: str
    found: str
    expected: str
    mark: Mark
    advice: str = ""


def size_text(size: Sequence[float]) -> str:
    """Write a voxel size: ``0.29 µm`` for a cube, else ``1.16 × 0.29 × 0.29 µm``."""
    if max(size) - min(size) <= _SAME * max(size):
        size = size[:1]
    return _sizes_text(size)


def _sizes_text(size: Sequence[float]) -> str:
    numbers = (
        f"{v:.2f}".rstrip("0").rstrip(".") if v >= 0.1 else f"{v:.3g}" for v in size
    )
    return local(_TIMES.join(numbers)) + " µm"


def expectations(
    card: "ModelCard | None",
    reading: "LayerReading",
    channel: int | None = None,
    ratio: float | None = None,
    *,
    makes_phase: bool = False,
) -> list[Expectation]:
    """Compare a layer with a model's card: voxel size, planes, channels."""
    found, mark, advice = _voxel_size(card, reading)
    expected = "" if card is None else size_text(card.voxel_size)
    return [
        Expectation("Voxel size", found, expected, mark, advice),
        Expectation("Planes", *_planes(card, reading, ratio)),
        Expectation("Channel", *_channels(card, reading, channel, makes_phase)),
    ]


def _voxel_size(
    card: "ModelCard | None", reading: "LayerReading"
) -> tuple[str, Mark, str]:
    volume = reading.volume
    if volume.pixel_size is None:
        advice = (
            "The layer has no scale, so its pixels are taken for the model's own. "
            "Type the size in below if you know it: a wrong one costs quality."
        )
        return "not recorded", Mark.WARN, advice
    if volume.voxel_size is None:
        advice = (
            "The distance between planes is not recorded: choose the ratio yourself, "
            "or type the size in below."
        )
        return f"?{_TIMES}{_sizes_text(volume.pixel_size)}", Mark.WARN, advice
    found = size_text(volume.voxel_size)
    if reading.unit_assumed:
        advice = "The layer's scale has no unit: it was taken for µm."
        return found, Mark.WARN, advice
    if card is None:
        return found, Mark.GOOD, ""
    pixels = zip(volume.pixel_size, card.voxel_size[1:], strict=True)
    factors = [have / want for have, want in pixels]
    mark, far = Mark.GOOD, FOREIGN_TOLERANCE if is_foreign(card) else _FAR
    advice = "y and x are resampled to the model's pixels; nothing for you to do."
    if max(factors) > far or min(factors) < 1 / far:
        mark = Mark.WARN
        advice = (
            "The pixels are much larger or smaller than those the model learnt from: "
            "check the scale, and do not expect much."
        )
    elif all(abs(factor - 1) <= _SAME for factor in factors):
        advice = "y and x are as the model learnt them; z follows from the ratio."
    return found, mark, advice


def _planes(
    card: "ModelCard | None", reading: "LayerReading", ratio: float | None
) -> tuple[str, str, Mark, str]:
    planes = reading.volume.sizes["Z"]
    times = reading.volume.sizes.get("T", 1)
    found = str(planes) + (f" × {times} times" if times > 1 else "")
    if planes < 2:
        advice = (
            "One plane shows nothing of the depth: load the whole z-stack, or expect "
            "a rough guess."
        )
        return f"{found} (no stack)", "2 or more", Mark.WARN, advice
    if card is None or ratio is None:
        return found, "2 or more", Mark.GOOD, "A z-stack."
    found, expected = f"{found}, r = {ratio:.3g}", ratios_text(card.ratios)
    low, high = min(card.ratios), max(card.ratios)
    if low * 0.95 <= ratio <= high * 1.05:
        return found, expected, Mark.GOOD, "As sparse as the model learnt it."
    if ratio < 1.05 < high:
        advice = (
            f"This stack is dense: choose r = {high:g} and simulate it, or choose a "
            "model for dense stacks."
        )
    else:
        more = "more planes than the model uses"
        fewer = "fewer planes than the model needs"
        advice = f"The stack has {more if ratio < low else fewer}."
    made = (
        f"The model was made for {expected}, not for r = {ratio:.3g}: whatever it "
        "answers has to be checked against something you know."
    )
    return found, expected, Mark.WARN, f"{made} {advice}"


def _channels(
    card: "ModelCard | None",
    reading: "LayerReading",
    channel: int | None,
    makes_phase: bool,
) -> tuple[str, str, Mark, str]:
    count = reading.volume.sizes.get("C", 1)
    expected = "1" if card is None else card.modality
    if count > 1 and channel is None:
        return str(count), expected, Mark.BAD, "Choose the channel above."
    light = contrast_named(reading, channel)
    names, found = reading.volume.channel_names, light or "1"
    if count > 1:
        found = f"{names[channel or 0] if names else f'number {channel}'} of {count}"
    if card is None or is_same_light(light, card.modalities):
        return found, expected, Mark.GOOD, "The contrast that the model learned from."
    if makes_phase:
        return found, expected, Mark.GOOD, "Phase is made from it first."
    if light:
        advice = (
            f"By its name this is {light}, and the model learned from {expected}: "
            "choose another channel or model, or trust nothing of it."
        )
        return found, expected, Mark.WARN, advice
    advice = f"The name does not say the contrast; the model learned from {expected}."
    return found, expected, Mark.WAITING, advice


class ExpectationTable(QFrame):
    """Rows of name, found, expected and a mark with a shape of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "panel")
        grid = QGridLayout(self)
        grid.setContentsMargins(7, 6, 7, 7)
        grid.setHorizontalSpacing(5)
        grid.setVerticalSpacing(3)
        for column, title in enumerate(("", "your image", "model needs")):
            grid.addWidget(_label(title, "muted"), 0, column)
        grid.setColumnStretch(1, 1)
        self._rows: list[tuple[QLabel, QLabel, QLabel, MarkDot]] = []
        for number in range(1, 4):
            found = small_label("", "")  # the only column that may take two lines
            found.setMinimumWidth(60)
            policy = QSizePolicy.Policy
            found.setSizePolicy(policy.Expanding, policy.Preferred)
            line = (_label("", "muted"), found, _label("", "muted"), MarkDot())
            self._rows.append(line)
            for column, widget in enumerate(line):
                grid.addWidget(widget, number, column)

    def show_expectations(self, rows: Sequence[Expectation]) -> None:
        """Show these lines in place of the former ones."""
        for row, (*labels, dot) in zip(rows, self._rows, strict=False):
            texts = (row.name, row.found, row.expected)
            for label, text in zip(labels, texts, strict=True):
                label.setText(text)
                label.setToolTip(f"{text}\n{row.advice}".strip())
            dot.set_mark(row.mark)
            dot.setToolTip(f"{row.mark.value.capitalize()}. {row.advice}")


def _micrometres(text: str) -> float | None:
    """Read a length; None while it is half typed."""
    value = read_number(text)
    return value if value is not None and 0 < value <= _LARGEST_VOXEL else None


def _size_row(axis: str) -> dict[str, Any]:
    return {
        "name": f"Voxel size along {axis} in µm",
        "tooltip": f"Distance of two voxels along {axis} in µm; empty if not known.",
        "none": axis,
        "read": _micrometres,
        "write": write_number,
    }


@dataclass(frozen=True)
class _VoxelSize:
    z: Annotated[float | None, _size_row("z")] = None
    y: Annotated[float | None, _size_row("y")] = None
    x: Annotated[float | None, _size_row("x")] = None


class InputPanel(QWidget):
    """Choose what to predict from; with a sparse sample `with_colony`."""

    changed = Signal()
    file_asked = Signal(str)  # a `Use` of what is opened
    sample_asked = Signal()
    samples_asked = Signal()

    def __init__(self, *, with_colony: bool = True) -> None:
        super().__init__()
        self._with_colony = with_colony
        self._key: str | None = None
        self._letters = ""  # of the chosen layer's dimensions
        self.layer_box = ElidingComboBox()
        self.layer_box.setAccessibleName("Stack to predict from")
        self.layer_box.setPlaceholderText("no image layer yet")
        self.layer_box.setMinimumWidth(100)
        self.open_button = QPushButton("Open file…")
        self.open_button.setToolTip(
            "Open a z-stack with its voxel size: OME-TIFF, TIFF or ND2; of an OME-Zarr "
            "folder, its zarr.json. What was saved with it comes along."
        )
        self.more_button = QPushButton("⋯")
        self.more_button.setProperty("role", "dots")
        self.more_button.setAccessibleName("Open something else")
        self.more_button.setToolTip("Open a ground truth, or an image to look at.")
        self.more_button.setMenu(QMenu(self))
        self.sample_button = link_button(
            "No stack? Try the sample colony",
            "A simulated colony, imaged at every 4th plane, with its ground truth.",
        )
        self.samples_button = link_button(
            "real stacks…" if with_colony else "No dense stack? Try a sample…",
            "Real cells from public collections. You see what it is and how large "
            "before anything is downloaded.",
        )
        self.axis = Segments(
            [
                ("C", "Channels", "The first axis of this layer counts channels."),
                ("T", "Time", "The first axis of this layer counts time points."),
            ],
            "First axis",
        )
        self.channel_box = QComboBox()
        self.channel_box.setAccessibleName("Channel")
        self.table = ExpectationTable()
        # stands beside the headline, outside this panel
        self.edit_button = link_button(
            "Correct voxel size…",
            "Type in the voxel size where the file has none, or a wrong one.",
        )
        self.edit_button.setCheckable(True)
        self.apply_button = link_button(
            "Apply voxel size to the layer",
            "Give the layer, and the others of its file, this voxel size: the scale "
            "bar and other plugins know it then.",
        )
        self.size = Form(_VoxelSize, beside=True)
        for axis in fields(_VoxelSize):
            self.size.native(axis.name).setMinimumWidth(40)
        self._or = _label("or", "muted")
        self._axis_row = labelled_row("First axis is", self.axis)
        self._channel_row = labelled_row("Channel", self.channel_box)
        self._size_row = labelled_row("Voxel size", self.size, _label("µm", "muted"))
        self._arrange()
        self._connect()

    def _arrange(self) -> None:
        samples = in_a_row(self.sample_button, self._or, self.samples_button)
        samples.setSpacing(0)
        samples.setStretch(0, 0)
        samples.addStretch(1)
        size = self._size_row, self.apply_button
        rows = self._axis_row, self._channel_row, self.table, *size
        layer = in_a_row(self.layer_box, self.open_button, self.more_button)
        in_a_column(self, layer, samples, *rows, spacing=6)
        for row in rows:
            row.hide()
        self.edit_button.hide()

    def _connect(self) -> None:
        self.layer_box.activated.connect(self._start_afresh)
        self.layer_box.activated.connect(self.changed)
        self.open_button.clicked.connect(lambda _on: self.file_asked.emit("input"))
        ask, menu = self.file_asked.emit, self.more_button.menu()
        menu.addAction("Open as ground truth…", partial(ask, "truth"))
        menu.addAction("Open image…", partial(ask, "image"))
        self.sample_button.clicked.connect(self.sample_asked)
        self.samples_button.clicked.connect(self.samples_asked)
        self.axis.chosen.connect(self.changed)
        self.channel_box.activated.connect(self.changed)
        self.edit_button.toggled.connect(self._size_row.setVisible)
        self.size.changed.connect(self.changed)

    def set_layers(self, layers: Sequence[tuple[str, str]]) -> None:
        """Offer these layers as (key, name); the chosen one stays if it can."""
        key = self._key
        self.layer_box.clear()
        for one, name in layers:
            self.layer_box.addItem(name, one)
        self.choose_layer(key if key in dict(layers) else None)
        self.samples_button.setVisible(not layers)
        for widget in (self.sample_button, self._or):
            widget.setVisible(self._with_colony and not layers)

    def choose_layer(self, key: str | None) -> None:
        """Choose a layer without emitting `changed`; None takes the first."""
        place = self.layer_box.findData(key) if key is not None else 0
        self.layer_box.setCurrentIndex(place if self.layer_box.count() else -1)
        self._start_afresh()

    def show_reading(self, reading: LayerReading | None, guess: bool = True) -> None:
        """Show the controls that this layer needs; set its axis where it is a guess."""
        guessed = None if reading is None else reading.guessed
        self._axis_row.setVisible(guessed is not None)
        if reading is not None and guessed is not None and guess:
            self.axis.set_value(reading.letters[guessed])
        self._offer_channels(reading)
        self.edit_button.setVisible(reading is not None)
        if reading is not None and reading.volume.voxel_size is None:
            self.edit_button.setChecked(True)
        self._size_row.setVisible(reading is not None and self.edit_button.isChecked())
        self._letters = "" if reading is None else reading.letters
        self.apply_button.setVisible(self.typed_voxel_size() is not None)

    def show_expectations(self, rows: "Sequence[Expectation]") -> None:
        """Show expected against found; no rows hide the table."""
        self.table.setVisible(bool(rows))
        self.table.show_expectations(rows)

    def layer_key(self) -> str | None:
        """Return the key of the chosen layer."""
        return self.layer_box.currentData()

    def leading(self) -> LeadingAxis | None:
        """Return what the user says the first axis is; None: was not asked."""
        key: Any = None if self._axis_row.isHidden() else self.axis.value()
        return key

    def channel(self) -> int | None:
        """Return the index of the chosen channel; None where there is only one."""
        return None if self._channel_row.isHidden() else self.channel_box.currentData()

    def typed_voxel_size(self) -> tuple[float, float, float] | None:
        """Return the typed (z, y, x) in µm; None unless all three can be read."""
        z, y, x = astuple(self.size.values())
        return None if None in (z, y, x) else (z, y, x)

    def type_voxel_size(self, size: tuple[float, float, float] | None) -> None:
        """Fill the fields without emitting `changed`."""
        self.size.set(_VoxelSize(*(size or ())))

    def apply_voxel_size(self, viewer: Any) -> None:
        """Set the typed voxel size on the chosen layer and those of its file."""
        size, chosen = self.typed_voxel_size(), layer_with_key(viewer, self._key)
        if chosen is None or size is None:
            return
        path, step = chosen.source.path, tuple(chosen.scale)
        for layer in list(viewer.layers):
            beside = path and layer.source.path == path and tuple(layer.scale) == step
            if layer is not chosen and not beside:
                continue
            scale, origin, units = list(step), list(layer.translate), list(layer.units)
            for letter, value in zip("ZYX", size, strict=True):
                if (axis := self._letters.find(letter)) >= 0:
                    if str(units[axis]) == "pixel":
                        origin[axis] *= value / scale[axis]
                    scale[axis], units[axis] = value, "um"
            layer.units, layer.scale, layer.translate = units, scale, origin
        self.type_voxel_size(None)
        self.edit_button.setChecked(False)
        self.changed.emit()

    def half_typed(self) -> bool:
        """Return whether some, but not all, fields of the voxel size are filled."""
        typed = [self.size.native(one.name).text() for one in fields(_VoxelSize)]
        return any(map(str.strip, typed)) and self.typed_voxel_size() is None

    def _start_afresh(self, _index: int = 0) -> None:
        """Forget what the user said of another layer."""
        self.layer_box.setToolTip(
            f"{self.layer_box.currentText()}\n"
            "The transmitted-light z-stack: any image layer of this viewer."
        )
        if self._key == self.layer_key():
            return
        self._key = self.layer_key()
        self.type_voxel_size(None)
        self.edit_button.setChecked(False)
        self._axis_row.hide()
        self.channel_box.clear()

    def _offer_channels(self, reading: LayerReading | None) -> None:
        count = 1 if reading is None else reading.volume.sizes.get("C", 1)
        count = count if count > 1 else 0
        self._channel_row.setVisible(count > 1)
        if reading is not None and self.channel_box.count() != count:
            self.channel_box.clear()
            names = reading.volume.channel_names
            for number in range(count):
                label = names[number] if names else f"Channel {number}"
                self.channel_box.addItem(label, number)
            self.channel_box.setCurrentIndex(-1)
            self.channel_box.setPlaceholderText("choose the transmitted light")


def _label(text: str, role: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", role)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


_EVENTS = (
    *("data", "scale", "translate", "rotate", "shear", "affine", "units"),
    "axis_labels",
)


class InputWatch(QObject):
    """Watch voxels and place of one layer at a time."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layer: Any | None = None

    def follow(self, layer: Any | None) -> None:
        """Watch this layer and no other; None watches none."""
        if layer is self._layer:
            return
        for emitter in self._emitters():
            emitter.disconnect(self._on_changed)
        self._layer = layer
        for emitter in self._emitters():
            emitter.connect(self._on_changed)

    def _emitters(self) -> list[Any]:
        if self._layer is None:
            return []
        return [getattr(self._layer.events, name) for name in _EVENTS]

    def _on_changed(self, _event: Any = None) -> None:
        self.changed.emit()
