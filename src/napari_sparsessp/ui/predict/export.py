"""Take a prediction out of the viewer: as a command, as a request, as saved layers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError
from qtpy.QtCore import QObject, QPoint, Signal
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QMenu,
    QProgressDialog,
    QPushButton,
    QWidget,
)

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.prediction.command_line import (
    command_of,
    request_text,
    shell_text,
)
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.layers.metadata import (
    COMPOSED,
    KEY,
    FilePlace,
    file_of,
    is_prediction,
    model_of,
    role_of,
    truth_of,
)
from napari_sparsessp.ui.layers.reading import (
    LayerReading,
    LeadingAxis,
    are_turned,
    read_layer,
)
from napari_sparsessp.ui.layers.saving import records_of, with_ending
from napari_sparsessp.ui.napari_compat import layer_key, layer_with_key
from napari_sparsessp.ui.tasks import BackgroundTask, TaskProgress, readable_error
from napari_sparsessp.ui.widgets.basic import sentence

if TYPE_CHECKING:
    import napari

    from napari_sparsessp.ui.predict.planning import FormState, PredictionPreview
    from napari_sparsessp.volume import Volume

_CLOSE = 1e-9


class NotInFile(InputError):
    """The layer has no file on disk."""


@dataclass(frozen=True, eq=False)
class LayerSnapshot:
    """A layer as it is now; the volume is lazy."""

    name: str
    place: FilePlace | None
    volume: "Volume"

    @classmethod
    def of(cls, layer: Any, volume: "Volume") -> "LayerSnapshot":
        """Take a layer with the volume that was read from it."""
        return cls(str(layer.name), file_of(layer), volume)


@dataclass(frozen=True, eq=False)
class PredictionSnapshot:
    """A prediction that was, or would be, made in a viewer; truths by structure."""

    request: PredictionRequest
    source: LayerSnapshot
    truths: Mapping[str, LayerSnapshot] = field(default_factory=dict)


@dataclass(frozen=True)
class ReproducibleRequest:
    """A request with paths, a name for its output, and notes on what it leaves out."""

    request: PredictionRequest
    out: str
    notes: tuple[str, ...] = ()


def snapshot_of(viewer: Any, layers: Iterable[Any]) -> PredictionSnapshot:
    """Freeze the origin of predictions of one run; InputError where it is unknown."""
    layers = [layer for layer in layers if is_prediction(layer)]
    about = layers[0].metadata[KEY] if layers else {}
    asked = about.get("request") or (about.get("provenance") or {}).get("request")
    if not isinstance(asked, dict):
        raise InputError("nothing is predicted yet; press Run first")
    source = layer_with_key(viewer, about.get("source_id"))
    if source is None:
        raise InputError(
            f"the layer {about.get('source', '')!r} that was predicted from is gone; "
            "open it and predict again"
        )
    try:
        request = PredictionRequest.model_validate(asked)
    except ValidationError as error:
        raise InputError(
            f"layer {layers[0].name!r} says nothing usable of how it was made; predict "
            "again"
        ) from error
    truths = {
        str(one.metadata[KEY]["structure"]): layer_with_key(viewer, truth_of(one))
        for one in layers
    }
    light = read_layer(source)
    if ("C" in light.volume.axes) != (request.channel is not None):
        # read as the run did: a channel was chosen where there were any
        leading: LeadingAxis = "T" if request.channel is None else "C"
        light = read_layer(source, leading=leading)
    return PredictionSnapshot(
        request, LayerSnapshot.of(source, light.volume), _snapshots(truths, light)
    )


def snapshot_of_preview(
    viewer: Any, preview: "PredictionPreview", state: "FormState"
) -> PredictionSnapshot:
    """Freeze what Run would do; InputError where something is missing."""
    ready = preview.ready()
    if ready is None:
        if preview.problem is not None:
            raise preview.problem
        raise InputError(preview.waiting or "nothing is chosen yet")
    source = LayerSnapshot.of(ready.layer, ready.reading.volume)
    truths = {id_: layer_with_key(viewer, state.truths[id_]) for id_ in preview.truth}
    return PredictionSnapshot(
        ready.plan.request, source, _snapshots(truths, ready.reading)
    )


def _snapshots(
    layers: Mapping[str, Any], light: LayerReading
) -> dict[str, LayerSnapshot]:
    snapshots = {}
    for id_, layer in layers.items():
        if layer is not None:
            reading = read_layer(layer)
            snapshot = LayerSnapshot.of(layer, reading.volume)
            if are_turned(reading, light):  # of which its file knows nothing
                snapshot = replace(snapshot, place=None)
            snapshots[id_] = snapshot
    return snapshots


def reproducible_request(
    snapshot: PredictionSnapshot, _progress: object = None
) -> ReproducibleRequest:
    """Return the files behind the layers, or raise InputError; for a worker thread."""
    source, asked = snapshot.source, snapshot.request
    place, volume, channel = _behind(source, asked.channel)
    size = _voxel_size(asked, source.volume, volume)
    truths, notes = {}, []
    for structure, truth in snapshot.truths.items():
        try:
            truths[structure] = _truth_argument(truth)
        except InputError:
            notes.append(
                f"{truth.name!r} does not show a file as it is and is left out: the "
                "numbers are the same, only the scores are missing"
            )
    if truths and not np.allclose(source.volume.origin, volume.origin, atol=1e-6):
        notes.append("the stack was moved in napari: scores may differ a little")
    where = {"input": place.path, "scene": place.scene, "channel": channel}
    request = asked.model_copy(update={**where, "voxel_size": size, "truth": truths})
    stem = Path(place.path).name.split(".")[0]
    out = f"{stem}-{Path(request.model).stem}.ome.zarr"
    return ReproducibleRequest(request, out, tuple(notes))


def _behind(
    layer: LayerSnapshot, channel: str | int | None
) -> "tuple[FilePlace, Volume, str | int | None]":
    """Return a layer's file, the volume in it and the channel that the layer shows."""
    from napari_sparsessp.io.reading import load_volume

    place, mine = layer.place, layer.volume
    if place is None or not Path(place.path).exists():
        raise NotInFile(
            f"layer {layer.name!r} is not in a file, which a command needs; save it "
            "first (⋯ > Save project), then copy again"
        )
    stored = load_volume(place.path, scene=place.scene)
    if "C" in stored.axes and "C" not in mine.axes:
        channel = place.channel
        if channel is None:
            raise InputError(
                f"{Path(place.path).name} has several channels, and nothing says "
                f"which of them {layer.name!r} shows; open the file from the dock"
            )
        stored = stored.channel(channel)
    elif "C" not in stored.axes:
        channel = None
    shown, held = _size_text(mine), _size_text(stored)
    if shown != held:
        raise InputError(
            f"layer {layer.name!r} shows {shown}, and its file holds {held}; save the "
            "layer first, or open the file from the dock"
        )
    return place, stored, channel


def _truth_argument(layer: LayerSnapshot) -> str:
    """Write a truth as ``FILE[:CHANNEL]``."""
    place, stored, channel = _behind(layer, None)
    if not _is_close(stored.voxel_size, layer.volume.voxel_size):
        raise InputError("a truth's voxel size cannot be given on the command line")
    path = Path(place.path)
    if place.scene is not None:
        path = path / str(place.scene)  # an image of its own in an OME-Zarr series
        if not path.is_dir():
            raise InputError("a truth's scene cannot be given on the command line")
    return str(path) if channel is None else f"{path}:{channel}"


def _voxel_size(
    asked: PredictionRequest, mine: "Volume", file: "Volume"
) -> tuple[float, float, float] | None:
    """Return the voxel size where the file's is not the layer's."""
    if asked.voxel_size is not None:
        return asked.voxel_size
    if mine.voxel_size is not None:
        same = _is_close(mine.voxel_size, file.voxel_size)
        return None if same else mine.voxel_size
    if file.voxel_size is None and _is_close(mine.pixel_size, file.pixel_size):
        return None
    # unknown to the layer, so that the model's own was assumed
    from napari_sparsessp.models.library import read_card

    z, y, x = read_card(asked.model, asked.topology).voxel_size
    step = z if asked.simulate_sparse else z * (asked.ratio or 1.0)
    return (step, *(mine.pixel_size or (y, x)))


def _is_close(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, rtol=_CLOSE, atol=0))


def _size_text(volume: "Volume") -> str:
    size = " × ".join(map(str, volume.shape))
    return f"{size} ({volume.axes}, {np.dtype(volume.array.dtype).name})"


_ENTRIES = {
    "Copy as command line": "The exact `sparsessp predict …` for this prediction; it "
    "gives the same numbers, on a server or for a hundred stacks.",
    "Save request as YAML…": "All settings in a small file, for `sparsessp predict "
    "--request FILE`.",
    "Save project (OME-Zarr)…": "Stack, truths, predictions and uncertainties in one "
    "OME-Zarr folder; opened again, everything is where it was.",
}


class ExportMenu(QPushButton):
    """A button with three dots that opens a menu: command line, request, layers."""

    def __init__(self) -> None:
        super().__init__("⋯")
        self.setToolTip(
            "Export: as a command line, as a saved request, or all layers "
            "in one OME-Zarr to continue with later."
        )
        self.setAccessibleName("Export the prediction")
        # no arrow beside three dots that say the same
        self.setProperty("role", "dots")
        self.entries = QMenu(self)
        self.entries.setToolTipsVisible(True)
        actions: list[Any] = [self.entries.addAction(text) for text in _ENTRIES]
        self.copy_action, self.request_action, self.save_action = actions
        for action, tip in zip(actions, _ENTRIES.values(), strict=True):
            action.setToolTip(tip)
        self.entries.insertSeparator(self.save_action)
        self.clicked.connect(self.unfold)

    def unfold(self) -> None:
        """Open the menu above the button, which is at the foot of its dock."""
        size = self.entries.sizeHint()
        left = self.width() - size.width()
        self.entries.popup(self.mapToGlobal(QPoint(left, -size.height())))


class Export(QObject):
    """Exports what an `ExportMenu` offers, in a background task."""

    exported = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        viewer: Any,
        menu: ExportMenu,
        snapshot: Callable[[], PredictionSnapshot],
        source: Callable[[], Any | None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._menu = viewer, menu
        self._snapshot, self._source = snapshot, source
        self._window = parent
        self._task: BackgroundTask | None = None
        self._progress: QProgressDialog | None = None
        self._then: Callable[[Any], None] = self._on_command
        menu.copy_action.triggered.connect(self.copy)
        menu.request_action.triggered.connect(self._ask_request)
        menu.save_action.triggered.connect(self._ask_save)

    @property
    def busy(self) -> bool:
        """Whether something is being looked up or written."""
        return self._task is not None

    def copy(self) -> None:
        """Copy the command line; `exported` or `failed` follows."""
        self._find_files(self._on_command)

    def _ask_request(self) -> None:
        kind = "Request (*.yaml *.yml)"
        self._ask(self.save_request, "Save request", "request.yaml", kind)

    def save_request(self, path: str | Path) -> None:
        """Save the request; `exported` or `failed` follows."""
        self._find_files(partial(self._on_request, Path(path)))

    def _ask_save(self) -> None:
        title, kind = "Save project", "OME-Zarr (*.ome.zarr *.zarr)"
        self._ask(self.save, title, "prediction.ome.zarr", kind)

    def _ask(self, save: Callable[[str], None], *asked: str) -> None:
        if path := QFileDialog.getSaveFileName(self._window, *asked)[0]:
            save(path)

    def save(self, path: str | Path) -> None:
        """Save source, truths and predictions; `exported` or `failed` follows."""
        if self.busy:
            return
        layers = belonging(self._viewer, self._source())
        try:
            tuples = [layer.as_layer_data_tuple() for layer in layers]
            records = records_of(tuples, layers)
        except Exception as error:
            self.failed.emit(readable_error(error, "saving"))
            return
        saved = partial(self._on_saved, [layer_key(layer) for layer in layers])
        self._start(saved, _write, with_ending(str(path)), records)
        self._show_progress(len(layers))

    def _find_files(self, then: Callable[[ReproducibleRequest], None]) -> None:
        if self.busy:
            return
        try:
            snapshot = self._snapshot()
        except Exception as error:
            self.failed.emit(readable_error(error, "the command line"))
            return
        self._start(then, reproducible_request, snapshot)

    def _start(self, then: Callable[[Any], None], *call: Any) -> None:
        self._then = then
        self._task = task = BackgroundTask(*call, parent=self)
        task.returned.connect(self._on_returned)
        task.failed.connect(self._on_failed)
        task.cancelled.connect(self._on_cancelled)
        task.start()

    def _on_returned(self, value: Any) -> None:
        self._end()
        try:
            self._then(value)
        except Exception as error:
            self.failed.emit(readable_error(error, "the export"))

    def _on_command(self, result: ReproducibleRequest) -> None:
        self.exported.emit(_copy(result))

    def _on_request(self, path: Path, result: ReproducibleRequest) -> None:
        if not path.suffix:
            path = path.with_suffix(".yaml")
        with atomic_write(path, "request") as part:
            part.write_text(request_text(result.request), encoding="utf-8")
        self.exported.emit("; ".join([f"The request is in {path.name}", *result.notes]))

    def _show_progress(self, count: int) -> None:
        assert self._task is not None
        text = f"Saving {count} layers…"
        dialog = QProgressDialog(text, "Cancel", 0, 100, self._window)
        dialog.setWindowTitle("Saving")
        dialog.setMinimumDuration(600)
        dialog.setAutoReset(False)
        dialog.canceled.connect(self._task.cancel)
        self._task.progressed.connect(
            lambda share, *_: dialog.setValue(min(int(100 * share), 99))
        )
        self._progress = dialog

    def _on_saved(self, keys: list[str], places: list[FilePlace]) -> None:
        for key, place in zip(keys, places, strict=True):
            layer = layer_with_key(self._viewer, key)
            if layer is not None and not role_of(layer) and file_of(layer) is None:
                layer.metadata = {**layer.metadata, **place.metadata()}
        name = Path(places[0].path).name
        self.exported.emit(f"{len(places)} layers are in {name}")

    def _on_cancelled(self) -> None:
        self._end()
        self.exported.emit("Saving was stopped; nothing is left of it")

    def _on_failed(self, error: Exception) -> None:
        self._end()
        self.failed.emit(readable_error(error, "saving"))
        if isinstance(error, NotInFile):
            self._menu.unfold()
            self._menu.entries.setActiveAction(self._menu.save_action)

    def _end(self) -> None:
        task, self._task = self._task, None
        dialog, self._progress = self._progress, None
        if task is not None:
            task.deleteLater()
        if dialog is not None:
            dialog.close()
            dialog.deleteLater()


def belonging(viewer: Any, source: Any | None) -> list[Any]:
    """Return a source, its predictions and truths, or all image layers without it."""
    from napari.layers import Image

    own = (layer for layer in viewer.layers if role_of(layer) != COMPOSED)
    images = [layer for layer in own if isinstance(layer, Image)]
    if source is None:
        return images
    key, marked = layer_key(source), filter(role_of, images)
    made = [one for one in marked if one.metadata[KEY].get("source_id") == key]
    wanted = {key, *map(layer_key, made), *map(truth_of, made)}
    return [layer for layer in images if layer_key(layer) in wanted]


def _write(path: str, records: list[Any], progress: TaskProgress) -> list[FilePlace]:
    from napari_sparsessp.io.layers import read_layers, write_layers

    folder = str(write_layers(path, records, progress))
    written = [record for record, _ in read_layers(Path(folder)) or ()]
    several = any(record.image for record in written)
    channels = (None if "C" in one.axes else one.channel for one in written)
    return [
        FilePlace(folder, record.image if several else None, channel)
        for record, channel in zip(written, channels, strict=True)
    ]


def copy_command(viewer: "napari.viewer.Viewer") -> BackgroundTask | None:
    """Copy the command line that gives the numbers of the selected prediction."""
    return copy_command_of(viewer, viewer.layers.selection.active)


def copy_command_of(viewer: Any, chosen: Any | None) -> BackgroundTask | None:
    """Copy the command line of a prediction and of all that its run has predicted."""
    from napari.utils.notifications import show_info, show_warning

    def warn(error: Exception) -> None:
        show_warning(sentence(str(readable_error(error, "the command line"))))

    def copy(result: ReproducibleRequest) -> None:
        show_info(sentence(_copy(result)))

    try:
        if chosen is None or not is_prediction(chosen):
            raise InputError("select a predicted layer first")
        predictions = filter(is_prediction, viewer.layers)
        run = [one for one in predictions if _run_of(one) == _run_of(chosen)]
        snapshot = snapshot_of(viewer, run)
    except Exception as error:
        warn(error)
        return None
    task = BackgroundTask(
        reproducible_request, snapshot, parent=QApplication.instance()
    )
    task.returned.connect(copy)
    task.failed.connect(warn)
    for ended in (task.returned, task.failed, task.cancelled):
        ended.connect(task.deleteLater)
    task.start()
    return task


def _run_of(layer: Any) -> tuple[Any, ...]:
    about = layer.metadata[KEY]
    return about.get("source_id"), model_of(layer), about.get("request")


def _copy(result: ReproducibleRequest) -> str:
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(shell_text(command_of(result.request, result.out)))
    return "; ".join(["The command line is copied", *result.notes])
