"""What a model expects against what was found, told before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QSizePolicy, QWidget

from napari_sparsessp.ui.widgets.basic import Mark, MarkDot
from napari_sparsessp.ui.widgets.model_picker import ratios_text

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.ui.layers.reading import LayerReading


# Resampling y/x by more than this turns details into what the model never saw.
_FAR = 3.0
# Below this difference no one would call it resampling.
_SAME = 0.01
_TIMES = "\u2009×\u2009"  # thin spaces: three numbers have to fit


@dataclass(frozen=True)
class Expectation:
    """One line of expected against found.

    Attributes
    ----------
    name, found, expected : str
    mark : Mark
    advice : str
        What it means and what to do; the tool tip.
    """

    name: str
    found: str
    expected: str
    mark: Mark
    advice: str = ""


def size_text(size: Sequence[float]) -> str:
    """Write a voxel size: ``0.29 µm`` for a cube, else ``1.16 × 0.29 × 0.29 µm``."""
    if max(size) - min(size) <= _SAME * max(size):
        return f"{_number(size[0])} µm"
    return _TIMES.join(map(_number, size)) + " µm"


def _number(value: float) -> str:
    """Write a size in µm with as many digits as one cares for."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value >= 0.1 else f"{value:.3g}"


def _pair_text(pixel: Sequence[float]) -> str:
    return _TIMES.join(map(_number, pixel)) + " µm"


def expectations(
    card: "ModelCard | None",
    reading: "LayerReading",
    channel: int | None = None,
    ratio: float | None = None,
) -> list[Expectation]:
    """Hold a layer against a model's card.

    Parameters
    ----------
    card : ModelCard or None
    reading : LayerReading
    channel : int, optional
        Channel that the user chose.
    ratio : float, optional
        Sparsity ratio of the plan, where there is one.

    Returns
    -------
    list of Expectation
        Voxel size, planes, channels, in this order.
    """
    return [
        _voxel_size(card, reading),
        _planes(card, reading, ratio),
        _channels(card, reading, channel),
    ]


def _voxel_size(card: "ModelCard | None", reading: "LayerReading") -> Expectation:
    volume = reading.volume
    expected = "" if card is None else size_text(card.voxel_size)
    name = "Voxel size"
    if volume.pixel_size is None:
        return Expectation(
            name,
            "not recorded",
            expected,
            Mark.WARN,
            "The layer has no scale, so its pixels are taken for the model's own. "
            "Type the size in below if you know it: a wrong one costs quality.",
        )
    if volume.voxel_size is None:
        return Expectation(
            name,
            f"?{_TIMES}{_pair_text(volume.pixel_size)}",
            expected,
            Mark.WARN,
            "The distance between planes is not recorded: choose the ratio yourself, "
            "or type the size in below.",
        )
    found = size_text(volume.voxel_size)
    if reading.unit_assumed:
        return Expectation(
            name,
            found,
            expected,
            Mark.WARN,
            "The layer's scale has no unit: it was taken for µm.",
        )
    if card is None:
        return Expectation(name, found, expected, Mark.GOOD)
    factors = [
        have / want
        for have, want in zip(volume.pixel_size, card.voxel_size[1:], strict=True)
    ]
    if max(factors) > _FAR or min(factors) < 1 / _FAR:
        return Expectation(
            name,
            found,
            expected,
            Mark.WARN,
            "The pixels are much larger or smaller than those the model learnt from: "
            "check the scale, and do not expect much.",
        )
    same = all(abs(factor - 1) <= _SAME for factor in factors)
    advice = (
        "y and x are as the model learnt them; z follows from the ratio."
        if same
        else "y and x are resampled to the model's pixels; nothing for you to do."
    )
    return Expectation(name, found, expected, Mark.GOOD, advice)


def _planes(
    card: "ModelCard | None", reading: "LayerReading", ratio: float | None
) -> Expectation:
    planes = reading.volume.sizes["Z"]
    times = reading.volume.sizes.get("T", 1)
    found = str(planes) + (f" × {times} times" if times > 1 else "")
    if planes < 2:
        return Expectation(
            "Planes",
            f"{found} (no stack)",
            "2 or more",
            Mark.WARN,
            "One plane shows nothing of the depth: load the whole z-stack, or expect "
            "a rough guess.",
        )
    if card is None or ratio is None:
        return Expectation("Planes", found, "2 or more", Mark.GOOD, "A z-stack.")
    found += f", r = {ratio:.3g}"
    expected = ratios_text(card.ratios)
    if _trained_for(card, ratio):
        return Expectation(
            "Planes", found, expected, Mark.GOOD, "As sparse as the model learnt it."
        )
    return Expectation("Planes", found, expected, Mark.WARN, _off_ratio(card, ratio))


def _trained_for(card: "ModelCard", ratio: float) -> bool:
    low, high = min(card.ratios), max(card.ratios)
    return low * 0.95 <= ratio <= high * 1.05


def _off_ratio(card: "ModelCard", ratio: float) -> str:
    """Say what it means that a model knows other ratios, and what to do."""
    high = max(card.ratios)
    advice = (
        f"The model was made for {ratios_text(card.ratios)}, not for r = {ratio:.3g}: "
        "whatever it answers has to be checked against something you know. "
    )
    if ratio < 1.05 < high:
        return (
            f"{advice}This stack is dense: choose r = {high:g} and simulate it, or "
            "choose a model for dense stacks."
        )
    if ratio < min(card.ratios):
        return f"{advice}The stack has more planes than the model uses."
    return f"{advice}The stack has fewer planes than the model needs."


def _channels(
    card: "ModelCard | None", reading: "LayerReading", channel: int | None
) -> Expectation:
    count = reading.volume.sizes.get("C", 1)
    expected = "1" if card is None else card.modality
    if count == 1:
        return Expectation(
            "Channel",
            "1",
            expected,
            Mark.GOOD,
            f"One channel. The model learnt from {expected} images: others may work, "
            "but check them.",
        )
    if channel is None:
        return Expectation(
            "Channel", f"{count}", expected, Mark.BAD, "Choose the channel above."
        )
    names = reading.volume.channel_names
    name = names[channel] if names else f"number {channel}"
    return Expectation(
        "Channel", f"{name} of {count}", expected, Mark.GOOD, "The others are not used."
    )


class ExpectationTable(QFrame):
    """Rows of name, found, expected and a mark whose shape tells as well."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "panel")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(9, 6, 9, 7)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(3)
        for column, title in enumerate(("", "found", "expected", "")):
            self._grid.addWidget(_label(title, "muted"), 0, column)
        self._grid.setColumnStretch(1, 1)
        self._rows: list[tuple[QLabel, QLabel, QLabel, MarkDot]] = []

    def show_expectations(self, rows: Sequence[Expectation]) -> None:
        """Show these lines in place of the former ones."""
        while len(self._rows) < len(rows):
            number = len(self._rows) + 1
            parts = (_label("", "muted"), _label("", ""), _label("", "muted"))
            dot = MarkDot()
            for column, part in enumerate((*parts, dot)):
                self._grid.addWidget(part, number, column)
            self._rows.append((*parts, dot))
        for number, widgets in enumerate(self._rows):
            row = rows[number] if number < len(rows) else None
            for widget in widgets:
                widget.setVisible(row is not None)
            if row is None:
                continue
            for widget, text in zip(
                widgets, (row.name, row.found, row.expected), strict=False
            ):
                widget.setText(text)
                widget.setToolTip(f"{text}\n{row.advice}".strip())
            widgets[3].set_mark(row.mark)
            widgets[3].setToolTip(f"{row.mark.value.capitalize()}. {row.advice}")

    def marks(self) -> list[Mark]:
        """Tell the marks of the lines that are shown."""
        return [dot.mark for *_, dot in self._rows if not dot.isHidden()]


def _label(text: str, role: str) -> QWidget:
    label = QLabel(text)
    if role:
        label.setProperty("role", role)
    label.setTextFormat(Qt.TextFormat.PlainText)
    if not role:  # the only column that may take two lines, in a narrow dock
        label.setMinimumWidth(60)
        label.setWordWrap(True)
        label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return label
