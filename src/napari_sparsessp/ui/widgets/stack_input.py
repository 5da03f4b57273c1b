"""Choose the stack: a layer or a file, its channel and, where nobody knows, its size.

The panel shows what was found in it; it reads nothing itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.layers.reading import LayerReading, LeadingAxis
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.widgets.basic import ElidingComboBox, Segments
from napari_sparsessp.ui.widgets.expectation import Expectation, ExpectationTable
from napari_sparsessp.ui.widgets.sampling import ZAxisDrawing

if TYPE_CHECKING:
    from napari_sparsessp.sparse import SparseView


class InputPanel(QWidget):
    """What to predict from.

    Parameters
    ----------
    with_colony : bool
        Offer the sample colony, which is sparse, beside the real samples.

    Signals
    -------
    changed
        Another layer, axis, channel or voxel size was chosen.
    file_asked, sample_asked, samples_asked
        The user wants to open a file, the bundled sample, or to see all samples.
    """

    changed = Signal()
    file_asked = Signal()
    sample_asked = Signal()
    samples_asked = Signal()

    def __init__(self, *, with_colony: bool = True) -> None:
        super().__init__()
        self._with_colony = with_colony
        self.layer_box = ElidingComboBox()
        self.layer_box.setAccessibleName("Stack to predict from")
        self.layer_box.setPlaceholderText("no image layer yet")
        self.open_button = QPushButton("Open file…")
        self.open_button.setToolTip(
            "Open a z-stack with its voxel size: OME-TIFF, TIFF or ND2; of an OME-Zarr "
            "folder, its zarr.json. What was saved with it comes along."
        )
        self.sample_button = QPushButton("No stack? Try the sample colony")
        self.sample_button.setProperty("role", "link")
        self.sample_button.setToolTip(
            "A simulated colony, imaged at every 4th plane, with its ground truth."
        )
        self.samples_button = QPushButton(
            "real stacks…" if with_colony else "No dense stack? Try a real one…"
        )
        self.samples_button.setProperty("role", "link")
        self.samples_button.setToolTip(
            "Real cells from public collections. You see what it is and how large "
            "before anything is downloaded."
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
        self.edit_button = QPushButton("Correct voxel size…")
        self.edit_button.setProperty("role", "link")
        self.edit_button.setCheckable(True)
        self.edit_button.setToolTip(
            "Type in the voxel size where the file has none, or a wrong one."
        )
        self._or = QLabel("or")
        self._or.setProperty("role", "muted")
        self._key: str | None = None
        self._fields = {axis: _size_field(axis) for axis in "zyx"}
        self._axis_row = _row("First axis is", self.axis)
        self._channel_row = _row("Channel", self.channel_box)
        self._size_row = self._make_size_row()
        self._arrange()
        self._connect()

    def _make_size_row(self) -> QWidget:
        unit = QLabel("µm")
        unit.setProperty("role", "muted")
        return _row("Voxel size", *self._fields.values(), unit)

    def _arrange(self) -> None:
        first = QHBoxLayout()
        first.setContentsMargins(0, 0, 0, 0)
        first.setSpacing(6)
        first.addWidget(self.layer_box, 1)
        first.addWidget(self.open_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(first)
        second = QHBoxLayout()
        second.setContentsMargins(0, 0, 0, 0)
        second.setSpacing(0)
        second.addWidget(self.sample_button)
        second.addWidget(self._or)
        second.addWidget(self.samples_button)
        second.addStretch(1)
        column.addLayout(second)
        for row in (self._axis_row, self._channel_row, self.table):
            column.addWidget(row)
        column.addWidget(self._size_row)
        for row in (self._axis_row, self._channel_row, self._size_row, self.table):
            row.hide()
        self.edit_button.hide()

    def _connect(self) -> None:
        self.layer_box.activated.connect(self._on_layer)
        self.open_button.clicked.connect(lambda _on: self.file_asked.emit())
        self.sample_button.clicked.connect(lambda _on: self.sample_asked.emit())
        self.samples_button.clicked.connect(lambda _on: self.samples_asked.emit())
        self.axis.chosen.connect(lambda _key: self.changed.emit())
        self.channel_box.activated.connect(lambda _i: self.changed.emit())
        self.edit_button.toggled.connect(self._size_row.setVisible)
        for field in self._fields.values():
            field.editingFinished.connect(self.changed.emit)

    # what the dock says -------------------------------------------------------

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
        """Choose a layer without telling anyone; None takes the first."""
        place = self.layer_box.findData(key) if key is not None else 0
        self.layer_box.setCurrentIndex(place if self.layer_box.count() else -1)
        self._start_afresh()

    def show_reading(self, reading: LayerReading | None, guess: bool = True) -> None:
        """Show the controls that this layer needs.

        Parameters
        ----------
        reading : LayerReading or None
        guess : bool
            Set the axis buttons to what was guessed.
        """
        guessed = None if reading is None else reading.guessed
        self._axis_row.setVisible(guessed is not None)
        if reading is not None and guessed is not None and guess:
            self.axis.set_value(reading.letters[guessed])
        self._offer_channels(reading)
        self.edit_button.setVisible(reading is not None)
        if reading is not None and reading.volume.voxel_size is None:
            self.edit_button.setChecked(True)
        self._size_row.setVisible(reading is not None and self.edit_button.isChecked())

    def show_expectations(self, rows: Sequence[Expectation]) -> None:
        """Show expected against found; nothing hides the table."""
        self.table.setVisible(bool(rows))
        self.table.show_expectations(rows)

    # what the dock asks -------------------------------------------------------

    def layer_key(self) -> str | None:
        """Key of the chosen layer."""
        return self.layer_box.currentData()

    def leading(self) -> LeadingAxis | None:
        """Tell what the user says the first axis is; None: was not asked."""
        if self._axis_row.isHidden():
            return None
        return "C" if self.axis.value() == "C" else "T"

    def channel(self) -> int | None:
        """Index of the chosen channel; None where there is only one."""
        return None if self._channel_row.isHidden() else self.channel_box.currentData()

    def typed_voxel_size(self) -> tuple[float, float, float] | None:
        """(z, y, x) in µm that the user typed; None unless all three are there."""
        values = []
        for field in self._fields.values():
            text = field.text().strip().replace(",", ".")
            try:
                value = float(text)
            except ValueError:
                return None
            if value <= 0:
                return None
            values.append(value)
        return values[0], values[1], values[2]

    def type_voxel_size(self, size: tuple[float, float, float] | None) -> None:
        """Fill the fields without telling anyone."""
        for number, field in enumerate(self._fields.values()):
            field.setText("" if size is None else f"{size[number]:g}")

    def half_typed(self) -> bool:
        """Whether some, but not all, fields of the voxel size are filled."""
        filled = [bool(field.text().strip()) for field in self._fields.values()]
        return any(filled) and self.typed_voxel_size() is None

    def _on_layer(self, _index: int) -> None:
        self._start_afresh()
        self.changed.emit()

    def _start_afresh(self) -> None:
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
        self._channel_row.setVisible(count > 1)
        if self.channel_box.count() != (count if count > 1 else 0):
            self.channel_box.clear()
            names = reading.volume.channel_names if reading is not None else ()
            for number in range(count if count > 1 else 0):
                label = names[number] if names else f"Channel {number}"
                self.channel_box.addItem(label, number)
            self.channel_box.setCurrentIndex(-1)
            self.channel_box.setPlaceholderText("choose the transmitted light")


def _row(text: str, *widgets: QWidget) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(6)
    label = QLabel(text)
    label.setProperty("role", "muted")
    row.addWidget(label)
    for widget in widgets:
        row.addWidget(widget, 0 if isinstance(widget, QLabel) else 1)
    return holder


def _size_field(axis: str) -> QLineEdit:
    field = QLineEdit()
    field.setPlaceholderText(axis)
    field.setAccessibleName(f"Voxel size along {axis} in µm")
    field.setToolTip(
        f"Distance of two voxels along {axis} in µm; empty where nobody knows."
    )
    validator = QDoubleValidator(0.0, 1000.0, 5, field)
    validator.setNotation(QDoubleValidator.Notation.StandardNotation)
    field.setValidator(validator)
    field.setMinimumWidth(40)
    return field


_EVENTS = ("data", "scale", "translate", "units", "axis_labels")


class InputWatch(QObject):
    """Watches one layer at a time.

    Parameters
    ----------
    parent : QObject, optional

    Signals
    -------
    changed
        What a plan was made of is not what it was.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layer: Any | None = None

    def follow(self, layer: Any | None) -> None:
        """Watch this layer and no other; None watches none."""
        if self._key(layer) == self._key(self._layer):
            return
        for emitter in self._emitters():
            emitter.disconnect(self._on_changed)
        self._layer = layer
        for emitter in self._emitters():
            emitter.connect(self._on_changed)

    def _key(self, layer: Any | None) -> str | None:
        return None if layer is None else layer_key(layer)

    def _emitters(self) -> list[Any]:
        events = getattr(self._layer, "events", None)
        found = [getattr(events, name, None) for name in _EVENTS]
        return [one for one in found if one is not None]

    def _on_changed(self, _event: Any = None) -> None:
        self.changed.emit()


_SETTLE_MS = 25


class PlaneCursor(QObject):
    """Moves a mark on the drawing with the z slider, and the slider with a click.

    Parameters
    ----------
    viewer : napari.Viewer
    drawing : ZAxisDrawing
    parent : QObject, optional
    """

    def __init__(
        self, viewer: Any, drawing: ZAxisDrawing, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._drawing = drawing
        self._layer: Any | None = None
        self._axis = 0
        self._view: SparseView | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.timeout.connect(self.look)
        viewer.dims.events.point.connect(self._on_moved)
        viewer.dims.events.ndisplay.connect(self._on_moved)
        drawing.plane_asked.connect(self.go)

    def follow(self, layer: Any | None, axis: int, view: "SparseView | None") -> None:
        """Follow the z slider in terms of this input.

        Parameters
        ----------
        layer : napari.layers.Image or None
            The input; None follows nothing.
        axis : int
            Its z axis.
        view : SparseView or None
        """
        self._layer = layer if view is not None and axis >= 0 else None
        self._axis, self._view = axis, view
        self.look()

    def look(self) -> None:
        """Mark the plane that is on screen."""
        place = None
        if self._layer is not None and self._viewer.dims.ndisplay == 2:
            place = self._dense_position()
        self._drawing.show_position(place)

    def go(self, position: float) -> None:
        """Show the plane at a position, in dense planes."""
        if self._layer is None or self._view is None:
            return
        layer, view = self._layer, self._view
        index = np.zeros(layer.ndim)
        index[self._axis] = view.planes[0] + (position - view.positions[0]) / self._pace
        world = float(np.asarray(layer.data_to_world(index))[self._axis])
        offset = self._viewer.dims.ndim - layer.ndim
        self._viewer.dims.set_point(
            offset + self._axis, world * self._world_per_layer_unit()
        )

    @property
    def _pace(self) -> float:
        """Dense planes from one plane of the input to the next."""
        view = self._view
        if view is None or len(view.planes) < 2:
            return 1.0 if view is None else view.ratio
        rise = view.positions[1] - view.positions[0]
        return rise / (view.planes[1] - view.planes[0])

    def _dense_position(self) -> float | None:
        layer, view, dims = self._layer, self._view, self._viewer.dims
        if layer is None or view is None or layer not in self._viewer.layers:
            return None
        point = np.asarray(dims.point[dims.ndim - layer.ndim :], float)
        point[self._axis] /= self._world_per_layer_unit()
        index = float(np.asarray(layer.world_to_data(point))[self._axis])
        place = view.positions[0] + (index - view.planes[0]) * self._pace
        return place if -1 < place < view.depth + self._pace else None

    def _world_per_layer_unit(self) -> float:
        """How many of the viewer's units one of the layer's is, along z."""
        world = getattr(self._viewer.dims, "units", None)
        if self._layer is None or world is None:
            return 1.0
        unit = world[self._viewer.dims.ndim - self._layer.ndim + self._axis]
        own = self._layer.units[self._axis]
        try:
            return float((1 * own).to(unit).magnitude)
        except Exception:  # pint's errors of several kinds: pixels against µm
            return 1.0

    def _on_moved(self, _event: object = None) -> None:
        self._timer.start()
