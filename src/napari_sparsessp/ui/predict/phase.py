"""*Layers > Filter > Phase from bright-field*: a layer of phase beside its stack."""

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.ui.layers.reading import (
    LayerReading,
    image_layers,
    read_layer,
    same_place,
)
from napari_sparsessp.ui.napari_compat import layer_key, layer_with_key
from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.ui.widgets.basic import wrapped_label
from napari_sparsessp.ui.widgets.dialog import TaskDialog
from napari_sparsessp.ui.widgets.fit import contrast_named
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.optics import (
    BRIGHT_FIELD,
    Look,
    OpticsOptions,
    PhasePreview,
    look_at,
    recorded,
    remember,
    remembered,
)

if TYPE_CHECKING:
    import napari

_WIDTH_LETTERS = 72
MADE = "phase"
"""Entry in the metadata of a layer of phase: the optics."""

_HINT = (
    "Quantitative phase shows where cells are denser than their medium, as some models "
    "want it. It is made from planes through focus and what is known of the microscope."
)


def phase_layer(viewer: "napari.viewer.Viewer") -> "PhaseDialog":
    """Open the form for a layer of phase; the selected layer is its stack."""
    windows = [
        one for one in QApplication.topLevelWidgets() if isinstance(one, QMainWindow)
    ]
    active = QApplication.activeWindow()
    parent = active if active in windows else next(iter(windows), None)
    dialog = PhaseDialog(viewer, parent)
    dialog.show()
    return dialog


def make_phase(
    reading: LayerReading,
    channel: int | None,
    options: OpticsOptions,
    time: int,
    progress: TaskProgress,
) -> tuple[Any, tuple[float, float]]:
    """Return the array of a layer, of a time-lapse lazy, and contrast limits.

    For a worker thread. The time point in view is made at once, others when they are
    looked at.
    """
    from napari_sparsessp.prediction.phase_stack import NO_IMAGE, phase_volume
    from napari_sparsessp.prediction.plan import one_channel
    from napari_sparsessp.prediction.request import PredictionRequest

    light = one_channel(reading.volume, channel)
    request = PredictionRequest(reconstruct="phase", **vars(options))
    phase, _ = phase_volume(light, request, range(light.sizes["Z"]))
    lapse = "T" in light.axes
    stack = phase.array.stack(time if lapse else None, progress)
    some = stack[:, :: max(1, stack.shape[1] // 256), :: max(1, stack.shape[2] // 256)]
    some = some[np.isfinite(some) & (some > NO_IMAGE)]
    low, high = np.percentile(some, (0.5, 99.8)) if some.size else (0.0, 1.0)
    limits = float(low), float(max(high, low + 1e-6))
    if not lapse:
        return stack, limits
    import dask.array as da

    chunks = phase.array.chunks
    return da.from_array(phase.array, chunks=chunks, name=False), limits


class PhaseDialog(TaskDialog):
    """Optics, a look at one plane, and a new layer."""

    STOPPED = "Stopped; no layer was made."

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__("Phase from bright-field", "the phase", "Make layer", parent)
        self._viewer = viewer
        self._key: str | None = None
        self.form = Form(OpticsOptions)
        self.form.set(remembered())
        self.of_layer = wrapped_label("strong")
        self.preview = PhasePreview(self._look, self.form.values)
        hint = wrapped_label("muted", _HINT)
        self.arrange(hint, self.of_layer, self.form, self.preview, self.message)
        self.start_button.clicked.connect(lambda _on: self.make())
        self.set_busy(False)
        self.resize(_WIDTH_LETTERS * self.fontMetrics().averageCharWidth(), 10)
        viewer.layers.selection.events.active.connect(self._follow)
        self._follow()
        self.fit()

    def _follow(self, _event: object = None) -> None:
        """Take the selected layer, unless one is at work."""
        layer = self._viewer.layers.selection.active
        stacks = [one for one in image_layers(self._viewer) if MADE not in one.metadata]
        if self.busy or layer not in stacks:
            layer = self._layer() if self._key else None
        if layer is None:
            self._key = None
            self.of_layer.setText("Select a bright-field stack in the layer list.")
        elif layer_key(layer) != self._key:
            self._key = layer_key(layer)
            self.of_layer.setText(f"From {layer.name}")
            self.form.set(recorded(layer))
        self.start_button.setEnabled(self._key is not None and not self.busy)

    def _layer(self) -> Any | None:
        return layer_with_key(self._viewer, self._key)

    def _stack(self) -> tuple[Any, LayerReading, int | None]:
        layer = self._layer()
        if layer is None:
            raise InputError("select a bright-field stack in the layer list first")
        reading = read_layer(layer)
        return layer, reading, bright_field_channel(reading)

    def _look(self) -> Look:
        layer, _, channel = self._stack()
        return look_at(self._viewer, layer, channel)

    def make(self) -> None:
        """Make the layer in the background."""
        try:
            layer, reading, channel = self._stack()
            options = self.form.values()
            if missing := options.missing():
                self.status.setText(missing)
                return
            options.optics()
            time = look_at(self._viewer, layer, channel).index.get("T", 0)
        except Exception as error:
            self.on_failed(error)
            return
        remember(options)
        self.preview.stop()
        about = {
            **same_place(layer, reading),
            "name": f"{layer.name} · phase",
            "metadata": {MADE: vars(options)},
        }
        job = (reading, channel, options, time)
        self.run(
            make_phase,
            *job,
            returned=lambda made: self._add(layer, made, about),
            status="Making phase…",
        )

    def _add(
        self, layer: Any, made: tuple[Any, tuple[float, float]], about: dict[str, Any]
    ) -> None:
        array, limits = made
        shown = self._viewer.add_image(array, contrast_limits=limits, **about)
        if layer in self._viewer.layers:
            place = self._viewer.layers.index(layer) + 1
            self._viewer.layers.move(len(self._viewer.layers) - 1, place)
        self.status.setText(f"{shown.name} was added.")

    def done(self, result: int) -> None:
        """Close, and follow the viewer no more."""
        self._viewer.layers.selection.events.active.disconnect(self._follow)
        self.preview.stop()
        super().done(result)


def bright_field_channel(reading: LayerReading) -> int | None:
    """Return the only channel that is called bright-field; None where there is one."""
    count = reading.volume.sizes.get("C", 1)
    if count == 1:
        return None
    named = [
        channel
        for channel in range(count)
        if contrast_named(reading, channel) == BRIGHT_FIELD
    ]
    if len(named) != 1:
        raise InputError(
            f"the layer has {count} channels; split it (right click > Split Stack) and "
            "select the bright-field"
        )
    return named[0]
