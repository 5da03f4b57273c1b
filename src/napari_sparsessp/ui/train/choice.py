"""What the user chose in the Train dock; plain values without widgets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import CATALOGUE, match_channel
from napari_sparsessp.tasks import Progress
from napari_sparsessp.training.resolve import MINUTES, LossName
from napari_sparsessp.ui.layers.reading import image_layers, input_choices, read_layer
from napari_sparsessp.ui.napari_compat import layer_key, layer_with_key
from napari_sparsessp.ui.samples import TRUTH_SUFFIX
from napari_sparsessp.ui.widgets.structure_fields import structure_id
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.training.pairs import Label
    from napari_sparsessp.training.split import StackShape


@dataclass(frozen=True)
class PartKey:
    """Names a layer, or a channel of it, for good.

    Attributes
    ----------
    layer : str
        As `napari_sparsessp.ui.napari_compat.layer_key` gives it.
    channel : int or None
    """

    layer: str
    channel: int | None = None


@dataclass(frozen=True, eq=False)
class LayerPart:
    """A z-stack in the viewer.

    Attributes
    ----------
    key : PartKey
    name : str
        What a person calls it.
    volume : Volume
        ZYX, lazy.
    structure : str
        Id of the structure that its name tells; "" where it tells none.
    """

    key: PartKey
    name: str
    volume: Volume
    structure: str


def layer_parts(viewer: Any) -> list[LayerPart]:
    """List all stacks of a viewer, the likeliest transmitted light first.

    Layers that are no z-stacks (RGB, time-lapses, our own predictions) are left out.
    """
    order = [key for key, _ in input_choices(viewer)]
    layers = {layer_key(one): one for one in image_layers(viewer)}
    return [part for key in order if key in layers for part in _parts(layers[key], key)]


def mask_parts(viewer: Any) -> list[LayerPart]:
    """List the labels layers of a viewer, which may say what counts."""
    from napari.layers import Labels

    return [
        part
        for layer in viewer.layers
        if isinstance(layer, Labels)
        for part in _parts(layer, layer_key(layer))
    ]


def part_volume(viewer: Any, key: PartKey) -> Volume:
    """Give the stack of a part as it is now.

    Raises
    ------
    InputError
        The layer is gone, or is no stack any more.
    """
    layer = layer_with_key(viewer, key.layer)
    if layer is None:
        raise InputError("a chosen layer is gone; choose another one")
    volume = read_layer(layer).volume
    if "T" in volume.axes:
        raise InputError(
            f"layer {layer.name!r} is a time-lapse; crop one time point to learn from"
        )
    if key.channel is not None and "C" in volume.axes:
        volume = volume.channel(key.channel)
    if volume.axes != "ZYX":
        raise InputError(f"layer {layer.name!r} is no z-stack any more; choose another")
    return volume


def structure_named(name: str) -> str:
    """Give the structure that a layer's or channel's name tells; "" for none."""
    text = name.removesuffix(TRUTH_SUFFIX)
    for one in CATALOGUE.values():
        if match_channel(one, [text]) is not None:
            return one.id
    return ""


def name_as_structure(name: str) -> str:
    """Make a structure's name of a layer's: the last words, without file endings."""
    last = re.split(r"[·|:]", name)[-1].strip()
    return re.sub(r"\.(ome\.)?(tiff?|zarr|nd2)$", "", last)[:60]


def fits(light: Volume, other: Volume) -> str:
    """Say why a part cannot be the truth of a light; "" where it can."""
    depth, *area = light.shape
    planes, *its = other.shape
    if its != area:
        return f"another size: {its[1]} × {its[0]} pixels"
    if planes not in (1, depth):
        return f"{planes} planes, the light has {depth}"
    return ""


def _parts(layer: Any, key: str) -> list[LayerPart]:
    try:
        volume = read_layer(layer).volume
    except InputError:
        return []
    if "T" in volume.axes:
        return []
    name = str(layer.name)
    if "C" not in volume.axes:
        return [LayerPart(PartKey(key), name, volume, structure_named(name))]
    parts = []
    for number in range(volume.sizes["C"]):
        one = volume.channel(number)
        called = one.channel_names[0] if one.channel_names else f"channel {number}"
        told = structure_named(called)
        parts.append(LayerPart(PartKey(key, number), f"{name} · {called}", one, told))
    return parts


AUTO = "auto"
Part = Literal["auto", "stack", "y", "x"]


@dataclass(frozen=True)
class StackPick:
    """One stack of the viewer.

    Attributes
    ----------
    light : PartKey or None
    truths : tuple of (PartKey, str)
        Stacks to learn from, each with the structure as it was typed.
    mask : PartKey or None
    """

    light: PartKey | None
    truths: tuple[tuple[PartKey, str], ...] = ()
    mask: PartKey | None = None


@dataclass(frozen=True)
class FilesPick:
    """Stacks in files.

    Attributes
    ----------
    path : Path or None
        A CSV, or a folder.
    images : tuple of Path
        Picked one by one, in place of a path.
    signal, target : str
        Channels, where no list says them.
    structure : str
    """

    path: Path | None = None
    images: tuple[Path, ...] = ()
    signal: str = ""
    target: str = ""
    structure: str = ""

    @property
    def is_list(self) -> bool:
        """Whether a CSV says everything."""
        return self.path is not None and not self.path.is_dir()

    @property
    def empty(self) -> bool:
        """Whether nothing was chosen."""
        return self.path is None and not self.images


@dataclass(frozen=True)
class TrainChoice:
    """All that the form says.

    Attributes
    ----------
    from_files : bool
    stacks : tuple of StackPick
    files : FilesPick
    part : {"auto", "stack", "y", "x"}
        What is kept back.
    share : float
        Of it.
    model : str
        Id of the model to begin with; "" where there is none.
    freeze : bool
    minutes : float
    device : str
    name, id, licence : str
    ratios : tuple of int or None
    patch : int or None
    learning_rate : float or None
    loss : str
    """

    from_files: bool
    stacks: tuple[StackPick, ...]
    files: FilesPick
    part: Part
    share: float
    model: str
    freeze: bool = False
    minutes: float = MINUTES
    device: str = AUTO
    name: str = ""
    id: str = ""
    licence: str = ""
    ratios: tuple[int, ...] | None = None
    patch: int | None = None
    learning_rate: float | None = None
    loss: LossName = "mse"


_LIGHT_WORDS = ("bright", "light", "phase", "dic", "trans", "mono", "bf", "tl")


@dataclass(frozen=True, eq=False)
class FilesFound:
    """What lies in the chosen files.

    Attributes
    ----------
    pick : FilesPick
        What was looked at.
    channels : tuple of str
        Of the first image, where no list says which to take.
    labels : list of Label
        Empty while channels or structure are not chosen.
    shapes : list of StackShape
    """

    pick: FilesPick
    channels: tuple[str, ...]
    labels: "list[Label]"
    shapes: "list[StackShape]"


def look_at_files(
    pick: FilesPick, voxel_size: tuple[float, float, float], progress: Progress
) -> FilesFound:
    """Read lists and headers; for a worker thread.

    Parameters
    ----------
    pick : FilesPick
    voxel_size : tuple of float
        (z, y, x) in µm of the model's grid.
    progress : callable
        Told what is done; what it raises ends the looking.

    Raises
    ------
    InputError
        A list, folder or image cannot be used.
    """
    from napari_sparsessp.training.data import look_at_stacks

    progress(0.0, what="looking into the files")
    channels: tuple[str, ...] = ()
    if not pick.is_list:
        channels = _channels(pick)
        if not (pick.signal and pick.target and pick.structure):
            return FilesFound(pick, channels, [], [])
    labels = labels_of(pick)
    return FilesFound(pick, channels, labels, look_at_stacks(labels, voxel_size))


def labels_of(pick: FilesPick) -> "list[Label]":
    """List the pairs of what was chosen.

    Raises
    ------
    InputError
        A list or folder cannot be used.
    """
    from napari_sparsessp.training.pairs import Label, read_labels

    structure = structure_id(pick.structure)
    if pick.images:
        signal, target = _channel(pick.signal), _channel(pick.target)
        return [Label(one, signal, one, target, structure) for one in pick.images]
    assert pick.path is not None
    if pick.is_list:
        return read_labels(pick.path)
    return read_labels(
        pick.path,
        structure=structure,
        signal=_channel(pick.signal),
        target=_channel(pick.target),
    )


def guess_channels(channels: Sequence[str]) -> tuple[int, int, str]:
    """Guess transmitted light, fluorescence and structure from channel names.

    Returns
    -------
    light, target : int
        -1 where nothing tells.
    structure : str
        Label of the structure, or "".
    """
    light = next(
        (
            number
            for number, name in enumerate(channels)
            if any(word in name.lower() for word in _LIGHT_WORDS)
        ),
        -1,
    )
    for one in CATALOGUE.values():
        found = match_channel(one, channels)
        if found is not None and found != light:
            return light, found, one.label
    others = [number for number in range(len(channels)) if number != light]
    return light, others[0] if light >= 0 and len(others) == 1 else -1, ""


def _channels(pick: FilesPick) -> tuple[str, ...]:
    """Names of the channels of the first image; numbers where it has no names."""
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.training.pairs import images_in

    images = pick.images
    if not images and pick.path is not None:
        images = tuple(images_in(pick.path))
    if not images:
        raise InputError(f"folder {pick.path} holds no image; choose another one")
    volume = load_volume(images[0])
    count = volume.sizes.get("C", 1)
    if count < 2:
        raise InputError(
            f"{images[0].name} has one channel; training needs the light and the "
            "fluorescence: choose files with both, or a CSV that says where each is"
        )
    return volume.channel_names or tuple(str(number) for number in range(count))


def _channel(text: str) -> str | int:
    return int(text) if text.isdecimal() else text
