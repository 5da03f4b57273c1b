"""What was predicted in a viewer, as a request that the command line can run.

The layers are looked at in the interface's thread and frozen (`Replay`); files are
opened, headers only, in another (`told_of`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.compat import layer_with_key
from napari_sparsessp.ui.layers.file import FilePlace, file_of
from napari_sparsessp.ui.layers.marks import KEY, is_prediction, model_of, truth_of
from napari_sparsessp.ui.layers.volume import LeadingAxis, read_layer

if TYPE_CHECKING:
    from napari_sparsessp.ui.predict.outlook import Choice, Outlook
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


def told_of(replay: Replay, meter: Any = None) -> Told:
    """Find the files behind the layers; for a worker thread.

    Parameters
    ----------
    replay : Replay
    meter : callable, optional

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
        if meter is not None:
            meter(f"looking at {shown.name}", 0.5)
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
