"""The microscope of a bright-field stack, and a look at the phase that it gives."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import ValidationError
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel, QWidget

from napari_sparsessp.errors import InputError, SparseSSPError, invalid_field
from napari_sparsessp.files import atomic_write, folders_file, read_yaml
from napari_sparsessp.ui.layers.metadata import file_of
from napari_sparsessp.ui.layers.reading import LayerReading, read_layer
from napari_sparsessp.ui.layers.viewport import layer_index
from napari_sparsessp.ui.tasks import BackgroundTask, TaskProgress, readable_error
from napari_sparsessp.ui.widgets.basic import (
    in_a_column,
    in_a_row,
    link_button,
    sentence,
    small_label,
)
from napari_sparsessp.ui.widgets.fit import contrast_named
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.numbers import read_number, write_number

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.phase import Optics
    from napari_sparsessp.prediction.request import PredictionRequest

BRIGHT_FIELD = "bright-field"

_SIDE = 168  # pixels of the stack that a look shows, at most, and of the screen


def _number(text: str) -> float:
    value = read_number(text)
    if value is None or value <= 0:
        raise ValueError(f"{text[:20]!r} is no number above 0")
    return value


def _row(label: str, typical: str, tooltip: str) -> dict[str, Any]:
    return {
        "label": label,
        "none": typical,
        "tooltip": tooltip,
        "read": _number,
        "write": write_number,
    }


@dataclass(frozen=True)
class OpticsOptions:
    """Optics as far as they are chosen; fields as in a `PredictionRequest`."""

    na: Annotated[
        float | None,
        _row(
            "NA of the objective",
            "1.25 of a 100×, 0.75 of a 20×",
            "Numerical aperture, as it is written on the objective.",
        ),
    ] = None
    na_condenser: Annotated[
        float | None,
        _row(
            "NA of the condenser",
            "about 0.5; 0.3 for a 20×",
            "As far as the condenser's diaphragm was open. For bright-field it is "
            "closed to half of the objective's NA or less.",
        ),
    ] = None
    wavelength: Annotated[
        float | None,
        _row(
            "Wavelength (µm)",
            "0.55, or 0.6 of white light",
            "Of the light, in µm; of white light its middle.",
        ),
    ] = None
    index: Annotated[
        float | None,
        _row(
            "Refractive index",
            "air 1, water 1.33, oil 1.515",
            "Of the immersion; of cells far from the cover slip that of their medium.",
        ),
    ] = None
    planes_downwards: Annotated[
        bool,
        {
            "label": "Planes run downwards",
            "tooltip": "Plane 0 is the farthest from the objective. Where this is "
            "wrong nuclei turn dark: look at the preview.",
        },
    ] = False
    regularisation: Annotated[
        float,
        _row(
            "Strength",
            "0.01",
            "Of the regularisation: more is smoother, less has more slow clouds and "
            "more noise.",
        ),
    ] = 1e-2

    def missing(self) -> str:
        """Return the next thing to fill in, as a sentence; "" for nothing."""
        from napari_sparsessp.prediction.phase_stack import TYPICAL

        for name, (words, usual) in TYPICAL.items():
            if getattr(self, name) is None:
                return f"Fill in the {words}: {usual}."
        return ""

    def optics(self) -> "Optics":
        """Return the optics; InputError says what is missing or cannot be."""
        from napari_sparsessp.prediction.phase_stack import optics_of
        from napari_sparsessp.prediction.request import PredictionRequest

        try:
            return optics_of(PredictionRequest(**asdict(self)))
        except ValidationError as error:
            where, why = invalid_field(error)
            name = where.replace("_", " ")
            raise InputError(f"the {name} cannot be used: {why}; correct it") from error


def options_of(request: "PredictionRequest") -> OpticsOptions | None:
    """Return the optics of a request; None where it makes no phase."""
    if request.reconstruct is None:
        return None
    return OpticsOptions(**{n: getattr(request, n) for n in asdict(OpticsOptions())})


def remembered() -> OpticsOptions:
    """Return what was used last, in this session or an earlier one."""
    try:
        kept = read_yaml(_file(), "file of optics")
        return OpticsOptions(**{
            name: type(kept[name])(kept[name])
            for name in asdict(OpticsOptions())
            if isinstance(kept.get(name), bool | int | float)
        })  # fmt: skip
    except (SparseSSPError, AttributeError, TypeError):
        return OpticsOptions()


def remember(options: OpticsOptions) -> None:
    """Keep what is used for the next time."""
    import yaml

    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(_file(), "the optics") as part:
            part.write_text(yaml.safe_dump(asdict(options)), encoding="utf-8")
    except (OSError, SparseSSPError):  # A folder that nothing can be written into
        return


def _file() -> Path:
    return folders_file().with_name("optics.yaml")


def recorded(layer: Any) -> OpticsOptions:
    """Return what was used last, with what the layer's file says of its objective."""
    from napari_sparsessp.io.tiff_reading import read_objective

    options, place = remembered(), file_of(layer)
    if place is None or not place.path.lower().endswith((".tif", ".tiff")):
        return options
    na, index = read_objective(Path(place.path), place.scene or 0)
    return replace(options, na=na or options.na, index=index or options.index)


@dataclass(frozen=True, eq=False)
class Look:
    """All that a look at one plane needs: it is taken in a thread."""

    reading: LayerReading
    channel: int | None
    index: dict[str, int]  # of the point in view, by axis
    field: tuple[slice, slice]


def look_at(viewer: Any, layer: Any, channel: int | None, **how: Any) -> Look:
    """Return the middle of what is on screen of a layer."""
    reading = read_layer(layer, **how)
    point = dict(zip(reading.letters, layer_index(viewer, layer), strict=True))
    corners = np.asarray(layer.corner_pixels, float)
    if getattr(layer, "multiscale", False):
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])
    field = []
    for letter in "YX":
        axis, size = reading.letters.find(letter), reading.volume.sizes[letter]
        low, high = corners[0, axis], corners[1, axis] + 1
        middle = (low + high) / 2 if high - low > 2 else size / 2
        side = int(min(_SIDE, size, max(64, high - low) if high - low > 2 else size))
        start = int(min(max(0, middle - side / 2), size - side))
        field.append(slice(start, start + side))
    return Look(reading, channel, point, (field[0], field[1]))


def take_look(
    look: Look, options: OpticsOptions, progress: TaskProgress
) -> tuple[np.ndarray, np.ndarray]:
    """Return the plane in view as it is and as phase; for a worker thread."""
    from napari_sparsessp.prediction.phase_stack import phase_of_crop
    from napari_sparsessp.prediction.plan import one_channel

    volume = one_channel(look.reading.volume, look.channel)
    if volume.voxel_size is None:
        raise InputError("phase needs the voxel size: correct it in the layer first")
    if "T" in volume.axes:
        volume = volume.time(look.index.get("T", 0))
    plane = look.index.get("Z", 0)
    optics, voxel = options.optics(), volume.voxel_size
    assert voxel is not None
    return phase_of_crop(volume, optics, voxel, plane, look.field, progress)


class PhasePreview(QWidget):
    """Bright-field and phase of the middle of the view, beside each other."""

    def __init__(
        self, look: Callable[[], Look], options: Callable[[], OpticsOptions]
    ) -> None:
        super().__init__()
        self._look, self._options = look, options
        self._task: BackgroundTask | None = None
        self.button = link_button(
            "Preview", "Make phase of the plane and the place on screen, as a look."
        )
        self.note = small_label()
        self.pictures = [QLabel(), QLabel()]
        for picture, name in zip(self.pictures, ("Bright-field", "Phase"), strict=True):
            picture.setAccessibleName(f"{name} of the plane on screen")
            picture.hide()
        top = in_a_row(self.button, self.note, stretched=0)
        top.setStretch(1, 1)
        row = in_a_row(*self.pictures, stretched=0)
        row.addStretch(1)
        in_a_column(self, top, row, spacing=4)
        self.button.clicked.connect(lambda _on: self.start())

    @property
    def busy(self) -> bool:
        """Whether a look is being taken."""
        return self._task is not None

    def start(self) -> None:
        """Take a look in place of one that is under way."""
        self.stop()
        try:
            look, options = self._look(), self._options()
            missing = options.missing()
        except SparseSSPError as error:
            self._show_error(error)
            return
        if missing:
            self.note.setText(missing)
            return
        self.note.setText("Making phase…")
        self._task = task = BackgroundTask(take_look, look, options, parent=self)
        task.returned.connect(self._on_returned)
        task.failed.connect(self._show_error)
        task.start()

    def stop(self) -> None:
        """End a look that is under way."""
        if self._task is not None:
            self._task.abandon()
            self._task.deleteLater()
            self._task = None

    def _on_returned(self, planes: tuple[np.ndarray, np.ndarray]) -> None:
        self.stop()
        self.note.setText("bright-field and phase: nuclei should be bright")
        for picture, plane in zip(self.pictures, planes, strict=True):
            picture.setPixmap(_picture(plane))
            picture.show()

    def _show_error(self, error: Exception) -> None:
        self.stop()
        for picture in self.pictures:
            picture.hide()
        self.note.setText(sentence(str(readable_error(error, "the preview"))))


def _picture(plane: np.ndarray) -> QPixmap:
    """Draw a plane in grey, without its most extreme values."""
    low, high = np.percentile(plane, (0.5, 99.5))
    grey = np.clip((plane - low) / max(high - low, 1e-12), 0, 1) * 255
    grey = np.ascontiguousarray(grey.astype(np.uint8))
    height, width = grey.shape
    image = QImage(
        grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8
    )
    return QPixmap.fromImage(image.copy()).scaled(
        _SIDE,
        _SIDE,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )


def offers_phase(
    card: "ModelCard | None", reading: LayerReading | None, channel: int | None
) -> bool:
    """Whether a model wants phase, and a layer is, or may be, bright-field."""
    from napari_sparsessp.prediction.phase_stack import wants_phase

    if card is None or reading is None or not wants_phase(card):
        return False
    return contrast_named(reading, channel) in ("", BRIGHT_FIELD)


class PhasePanel(QWidget):
    """A tick that makes phase from bright-field first, and the optics for it."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.look: Callable[[], Look]  # What to take a look at, set by the dock
        self._offered = False
        self._source: Any = None
        self._given = False  # Chosen for a stack that comes with what was made of it
        self.tick = Form(_First)
        self.optics = Form(OpticsOptions)
        self.preview = PhasePreview(lambda: self.look(), self.optics.values)
        self.body = QWidget()
        in_a_column(self.body, self.optics, self.preview, spacing=4)
        in_a_column(self, self.tick, self.body, spacing=4)
        self.body.hide()
        self.hide()
        self.tick.changed.connect(self._on_tick)
        self.optics.changed.connect(self.changed)

    def offer(self, on: bool, layer: Any) -> None:
        """Offer the step, or not; another stack's file may say its objective."""
        self._offered = on
        if on and layer is not self._source:
            self._source = layer
            if not self._given:
                self.optics.set(recorded(layer))
            self._given = False
        if not on:
            self.preview.stop()
        self.setVisible(on)

    def chosen(self) -> OpticsOptions | None:
        """Return the optics; None where phase is not to be made."""
        if not (self._offered and self.tick.get("on")):
            return None
        return replace(OpticsOptions(), **self.optics.chosen())

    def choose(self, options: OpticsOptions | None) -> None:
        """Show a choice without emitting `changed`."""
        self.tick.update(on=options is not None)
        self.body.setVisible(options is not None)
        self._given = options is not None
        if options is not None:
            self.optics.set(options)

    def _on_tick(self) -> None:
        self.body.setVisible(self.tick.get("on"))
        self.changed.emit()


@dataclass(frozen=True)
class _First:
    on: Annotated[
        bool,
        {
            "label": "Make phase from bright-field first",
            "tooltip": "This model learned from quantitative phase, which can be made "
            "from a bright-field stack and what is known of the microscope.",
        },
    ] = False
