"""What was predicted in a viewer, as a request that the command line can run.

The layers are looked at in the interface's thread and frozen (`Replay`); files are
opened, headers only, in another (`told_of`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QProgressDialog, QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.writing import disk_error
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
from napari_sparsessp.ui.layers.reading import LeadingAxis, read_layer
from napari_sparsessp.ui.layers.saving import records_of, with_ending
from napari_sparsessp.ui.napari_compat import layer_key, layer_with_key
from napari_sparsessp.ui.predict.foot_menu import FootMenu
from napari_sparsessp.ui.tasks import (
    BackgroundTask,
    TaskProgress,
    readable_error,
)

if TYPE_CHECKING:
    from napari_sparsessp.ui.predict.planning import Choice, Outlook
    from napari_sparsessp.volume import Volume


_CLOSE = 1e-9


class NotInFile(InputError):
    """A layer's voxels are nowhere but in memory."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A layer as it is now.

    Attributes
    ----------
    name : str
    place : FilePlace or None
    volume : Volume
        Lazy.
    """

    name: str
    place: FilePlace | None
    volume: "Volume"

    @classmethod
    def of(cls, layer: Any, volume: "Volume | None" = None) -> "Shown":
        """Look at a layer; `volume` is what was read from it, if it was."""
        read = read_layer(layer).volume if volume is None else volume
        return cls(str(layer.name), file_of(layer), read)


@dataclass(frozen=True, eq=False)
class Replay:
    """A prediction that was, or would be, made in a viewer.

    Attributes
    ----------
    request : PredictionRequest
    source : Shown
    truths : dict
        Structure id to the layer that it is compared with.
    """

    request: PredictionRequest
    source: Shown
    truths: Mapping[str, Shown] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """A request with paths for names, and what it leaves out.

    Attributes
    ----------
    request : PredictionRequest
    out : str
        A name for the output.
    notes : tuple of str
    """

    request: PredictionRequest
    out: str
    notes: tuple[str, ...] = ()


def replay_of(viewer: Any, layers: Iterable[Any]) -> Replay:
    """Freeze what made some predictions of one run.

    Parameters
    ----------
    viewer : napari.Viewer
    layers : iterable of Layer
        Predictions from one source by one model.

    Raises
    ------
    InputError
        They do not say how they were made, or the source is gone.
    """
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
    compared = {id_: Shown.of(one) for id_, one in truths.items() if one is not None}
    return Replay(request, Shown.of(source, _as_then(source, request)), compared)


def replay_ahead(viewer: Any, outlook: "Outlook", choice: "Choice") -> Replay:
    """Freeze what Run would do.

    Raises
    ------
    InputError
        Something is still missing.
    """
    ready = outlook.ready()
    if ready is None:
        if outlook.problem is not None:
            raise outlook.problem
        raise InputError(outlook.waiting or "nothing is chosen yet")
    layers = {id_: layer_with_key(viewer, choice.truths[id_]) for id_ in ready.truth}
    truths = {id_: Shown.of(one) for id_, one in layers.items() if one is not None}
    return Replay(ready.request, Shown.of(ready.layer, ready.reading.volume), truths)


def siblings(viewer: Any, layer: Any) -> list[Any]:
    """Give the predictions of the run that made one of them, itself included."""
    about = layer.metadata[KEY]
    return [
        one
        for one in viewer.layers
        if is_prediction(one)
        and one.metadata[KEY].get("source_id") == about.get("source_id")
        and model_of(one) == model_of(layer)
        and one.metadata[KEY].get("request") == about.get("request")
    ]


def told_of(replay: Replay, progress: TaskProgress | None = None) -> Told:
    """Find the files behind the layers; for a worker thread.

    Parameters
    ----------
    replay : Replay
    progress : callable, optional

    Raises
    ------
    InputError
        The source came from no file, or shows something else than its file.
    """
    source, asked = replay.source, replay.request
    place, volume, channel = _behind(source, asked.channel)
    size = _voxel_size(asked, source.volume, volume)
    truths, notes = {}, []
    for structure, shown in replay.truths.items():
        if progress is not None:
            progress(0.5, what=f"looking at {shown.name}")
        try:
            truths[structure] = _truth_words(shown)
        except InputError:
            notes.append(
                f"{shown.name!r} does not show a file as it is and is left out: the "
                "numbers are the same, only the scores are missing"
            )
    if truths and not np.allclose(source.volume.origin, volume.origin, atol=1e-6):
        notes.append("the stack was moved in napari: scores may differ a little")
    updates = {
        "input": place.path,
        "scene": place.scene,
        "channel": channel,
        "voxel_size": size,
        "truth": truths,
    }
    request = asked.model_copy(update=updates)
    stem = Path(place.path).name.split(".")[0]
    return Told(request, f"{stem}-{Path(request.model).stem}.ome.zarr", tuple(notes))


def _as_then(source: Any, request: PredictionRequest) -> "Volume":
    """Read a source as the run did: a channel was chosen where there were any."""
    volume = read_layer(source).volume
    if ("C" in volume.axes) != (request.channel is not None):
        leading: LeadingAxis = "T" if request.channel is None else "C"
        volume = read_layer(source, leading=leading).volume
    return volume


def _behind(
    shown: Shown, channel: str | int | None
) -> "tuple[FilePlace, Volume, str | int | None]":
    """Open the file behind a layer and see that it holds what the layer shows.

    Returns
    -------
    (FilePlace, Volume, channel)
        The volume is of that channel, where the layer shows a single one.
    """
    from napari_sparsessp.io.reading import load_volume

    place, mine = shown.place, shown.volume
    if place is None or not Path(place.path).exists():
        raise NotInFile(
            f"layer {shown.name!r} is not in a file, which a command needs; save it "
            "first (⋯ > Save with all that belongs to it), then copy again"
        )
    found = load_volume(place.path, scene=place.scene)
    if "C" in found.axes and "C" not in mine.axes:
        channel = place.channel
        if channel is None:
            raise InputError(
                f"{Path(place.path).name} has several channels, and nothing tells "
                f"which of them {shown.name!r} shows; open the file from the dock"
            )
        found = found.channel(channel)
    elif "C" not in found.axes:
        channel = None
    same = (found.axes, found.shape) == (mine.axes, mine.shape)
    if not same or _kind(found.array.dtype) != _kind(mine.array.dtype):
        raise InputError(
            f"layer {shown.name!r} shows {_size_words(mine)}, and its file holds "
            f"{_size_words(found)}; save the layer first, or open the file from the "
            "dock"
        )
    return place, found, channel


def _truth_words(shown: Shown) -> str:
    """Write a truth as ``FILE[:CHANNEL]``."""
    place, found, channel = _behind(shown, None)
    if not _is_close(found.voxel_size, shown.volume.voxel_size):
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
    """Give the voxel size where the file says another than the layer."""
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


def _kind(dtype: Any) -> np.dtype:
    return np.dtype(dtype).newbyteorder("=")


def _size_words(volume: "Volume") -> str:
    size = " × ".join(map(str, volume.shape))
    return f"{size} ({volume.axes}, {np.dtype(volume.array.dtype).name})"


class Takeaway(QObject):
    """Does what a `FootMenu` offers; files are opened and written in a thread.

    Parameters
    ----------
    viewer : napari.Viewer
    menu : FootMenu
    replay : callable
        Gives the `Replay` of what was just run; raises `InputError` where there is
        none.
    source : callable
        Gives the layer whose predictions are saved, or None.
    parent : QWidget

    Signals
    -------
    told : str
        What was done, in one sentence.
    failed : Exception
    """

    told = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        viewer: Any,
        menu: FootMenu,
        replay: Callable[[], Replay],
        source: Callable[[], Any | None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._menu = menu
        self._replay = replay
        self._source = source
        self._task: BackgroundTask | None = None
        self._progress: QProgressDialog | None = None
        self._saving: list[str] = []
        menu.copy_asked.connect(self.copy)
        menu.request_asked.connect(self.ask_request)
        menu.save_asked.connect(self.ask_save)

    @property
    def busy(self) -> bool:
        """Whether something is being looked up or written."""
        return self._task is not None

    def copy(self) -> None:
        """Copy the command line; `told` or `failed` follows."""
        self._look_up(self._on_command)

    def ask_request(self) -> None:
        """Let the user choose a file for the request."""
        path, _ = QFileDialog.getSaveFileName(
            self._window(), "Save request", "request.yaml", "Request (*.yaml *.yml)"
        )
        if path:
            self.save_request(path)

    def save_request(self, path: str | Path) -> None:
        """Save the request; `told` or `failed` follows."""
        self._look_up(lambda told: self._on_request(told, Path(path)))

    def ask_save(self) -> None:
        """Let the user choose a name for the layers."""
        path, _ = QFileDialog.getSaveFileName(
            self._window(),
            "Save with all that belongs to it",
            "prediction.ome.zarr",
            "OME-Zarr (*.ome.zarr *.zarr)",
        )
        if path:
            self.save(path)

    def save(self, path: str | Path) -> None:
        """Save source, truths and what was made of them; `told` or `failed` follows."""
        if self.busy:
            return
        layers = belonging(self._viewer, self._source())
        try:
            tuples = [layer.as_layer_data_tuple() for layer in layers]
            records = records_of(tuples, layers)
        except Exception as error:
            self.failed.emit(readable_error(error, "saving"))
            return
        self._saving = [layer_key(layer) for layer in layers]
        task = BackgroundTask(_write, with_ending(str(path)), records, parent=self)
        task.returned.connect(self._on_saved)
        self._begin(task)
        self._show_progress(task, len(layers))

    # lookups ------------------------------------------------------------------

    def _look_up(self, then: Callable[[Told], None]) -> None:
        if self.busy:
            return
        try:
            replay = self._replay()
        except Exception as error:
            self.failed.emit(readable_error(error, "the command line"))
            return
        task = BackgroundTask(told_of, replay, parent=self)
        task.returned.connect(lambda told: self._on_told(told, then))
        self._begin(task)

    def _begin(self, task: BackgroundTask) -> None:
        self._task = task
        task.failed.connect(self._on_failed)
        task.cancelled.connect(self._on_cancelled)
        task.start()

    def _on_told(self, told: Told, then: Callable[[Told], None]) -> None:
        self._end()
        try:
            then(told)
        except Exception as error:
            self.failed.emit(readable_error(error, "the command line"))

    def _on_command(self, told: Told) -> None:
        text = shell_text(command_of(told.request, told.out))
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(text)
        self.told.emit("; ".join(["The command line is copied", *told.notes]))

    def _on_request(self, told: Told, path: Path) -> None:
        if not path.suffix:
            path = path.with_suffix(".yaml")
        try:
            path.write_text(request_text(told.request), encoding="utf-8")
        except OSError as error:
            raise disk_error(path, error) from error
        self.told.emit("; ".join([f"The request is in {path.name}", *told.notes]))

    # saving -------------------------------------------------------------------

    def _show_progress(self, task: BackgroundTask, count: int) -> None:
        dialog = QProgressDialog(f"Saving {count} layers…", "Cancel", 0, 100)
        dialog.setParent(self._window(), Qt.WindowType.Dialog)
        dialog.setWindowTitle("Saving")
        dialog.setMinimumDuration(600)
        dialog.setAutoReset(False)
        dialog.canceled.connect(task.cancel)
        task.progressed.connect(
            lambda share, _what, _left: dialog.setValue(min(int(100 * share), 99))
        )
        self._progress = dialog

    def _on_saved(self, places: list[FilePlace]) -> None:
        keys, self._saving = self._saving, []
        self._end()
        for key, place in zip(keys, places, strict=True):
            layer = layer_with_key(self._viewer, key)
            if layer is not None and not role_of(layer) and file_of(layer) is None:
                layer.metadata = {**layer.metadata, **place.metadata()}
        self.told.emit(f"{len(places)} layers are in {Path(places[0].path).name}")

    def _on_cancelled(self) -> None:
        self._end()
        self.told.emit("Saving was stopped; nothing is left of it")

    def _on_failed(self, error: Exception) -> None:
        self._end()
        self.failed.emit(readable_error(error, "saving"))
        if isinstance(error, NotInFile):
            self._menu.offer_save()

    def _end(self) -> None:
        task, self._task = self._task, None
        dialog, self._progress = self._progress, None
        if task is not None:
            task.deleteLater()
        if dialog is not None:
            dialog.close()
            dialog.deleteLater()

    def _window(self) -> QWidget | None:
        parent = self.parent()
        return parent if isinstance(parent, QWidget) else None


def belonging(viewer: Any, source: Any | None) -> list[Any]:
    """Give a source, what was made of it and what that is compared with, in order.

    Parameters
    ----------
    viewer : napari.Viewer
    source : Layer or None
        All image layers where it is None.
    """
    from napari.layers import Image

    images = [
        one
        for one in viewer.layers
        if isinstance(one, Image) and role_of(one) != COMPOSED
    ]
    if source is None:
        return images
    key = layer_key(source)
    made = [
        one
        for one in images
        if role_of(one) and one.metadata[KEY].get("source_id") == key
    ]
    wanted = {key, *map(layer_key, made), *map(truth_of, made)}
    return [one for one in images if layer_key(one) in wanted]


def _write(path: str, records: list[Any], progress: TaskProgress) -> list[FilePlace]:
    """Write; for the thread. Tells where each layer's voxels are now."""
    from napari_sparsessp.io.layers import read_layers, write_layers

    folder = write_layers(path, records, progress)
    found = [record for record, _ in read_layers(folder) or ()]
    several = any(record.image for record in found)
    return [
        FilePlace(
            str(folder),
            record.image if several else None,
            None if "C" in record.axes else record.channel,
        )
        for record in found
    ]


def copy_command(viewer: Any = None) -> BackgroundTask | None:
    """Copy the command line that gives the numbers of the selected prediction.

    Parameters
    ----------
    viewer : napari.Viewer, optional
        The current one where none is given.

    Returns
    -------
    BackgroundTask or None
        What looks the files up; None where there is nothing to look up.
    """
    if viewer is None:
        from napari import current_viewer

        viewer = current_viewer()
    chosen = None if viewer is None else viewer.layers.selection.active
    return copy_command_of(viewer, chosen)


def copy_command_of(viewer: Any, chosen: Any | None) -> BackgroundTask | None:
    """Copy the command line of a prediction and of what was predicted with it."""
    from napari.utils.notifications import show_warning

    try:
        if chosen is None or not is_prediction(chosen):
            raise InputError("select a predicted layer first")
        replay = replay_of(viewer, siblings(viewer, chosen))
    except Exception as error:
        show_warning(_sentence(readable_error(error, "the command line")))
        return None
    task = BackgroundTask(told_of, replay, parent=QApplication.instance())
    task.returned.connect(_copy)
    task.failed.connect(lambda error: show_warning(_sentence(error)))
    for signal in (task.returned, task.failed):
        signal.connect(lambda _what: task.deleteLater())
    task.start()
    return task


def _copy(told: Told) -> None:
    from napari.utils.notifications import show_info

    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(shell_text(command_of(told.request, told.out)))
    show_info(_sentence("; ".join(["The command line is copied", *told.notes])))


def _sentence(error: object) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
