"""The pairs to learn from, stacks of the viewer or files: plain values, no widgets."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import CATALOGUE, match_channel, structure_or_custom
from napari_sparsessp.tasks import Progress
from napari_sparsessp.ui.layers.metadata import structure_named
from napari_sparsessp.ui.layers.reading import (
    LayerReading,
    image_layers,
    input_choices,
    lie_apart,
    read_layer,
)
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.widgets.structure_fields import structure_id
from napari_sparsessp.volume import Volume, channel_key

if TYPE_CHECKING:
    from napari_sparsessp.training.pairs import Label
    from napari_sparsessp.training.split import StackShape

_LIGHT_WORDS = ("bright", "light", "phase", "dic", "trans", "mono", "bf", "tl")

_MOST_NAMED = 3

AUTO = "auto"
Part = Literal["auto", "stack", "y", "x"]


@dataclass(frozen=True)
class StackKey:
    """Identify a layer by its `layer_key`, or a channel of it."""

    layer: str
    channel: int | None = None


@dataclass(frozen=True, eq=False)
class ViewerStack:
    """A z-stack in the viewer: a layer, or a channel of it."""

    key: StackKey
    name: str
    volume: Volume  # ZYX, lazy
    reading: LayerReading  # where it lies

    @property
    def structure(self) -> str:
        """Id of the structure that its name says, or ""."""
        named = structure_named(self.name)
        return named.id if named else ""


def stacks_in(viewer: Any) -> list[ViewerStack]:
    """List the stacks of a viewer, the likeliest transmitted light first.

    Our own predictions are left out, and what `left_out` names.
    """
    layers = {layer_key(layer): layer for layer in image_layers(viewer)}
    stacks: list[ViewerStack] = []
    for key, _ in input_choices(viewer):
        with suppress(InputError):
            stacks += _stacks_of(layers[key], key)
    return stacks


def left_out(viewer: Any) -> list[str]:
    """Say of each image layer that is no stack for training why not."""
    reasons = []
    for layer in image_layers(viewer):
        try:
            _stacks_of(layer, layer_key(layer))
        except InputError as error:
            reasons.append(str(error))
    return reasons


def masks_in(viewer: Any) -> list[ViewerStack]:
    """List the labels layers of a viewer: they can only be masks."""
    from napari.layers import Labels

    stacks: list[ViewerStack] = []
    for layer in viewer.layers:
        with suppress(InputError):
            if isinstance(layer, Labels):
                stacks += _stacks_of(layer, layer_key(layer))
    return stacks


def _stacks_of(layer: Any, key: str) -> list[ViewerStack]:
    name, reading = str(layer.name), read_layer(layer)
    volume = reading.volume
    if "T" in volume.axes:
        raise InputError(
            f"{name} is a time-lapse and training takes z-stacks; open single time "
            "points of it"
        )
    if "C" not in volume.axes:
        return [ViewerStack(StackKey(key), name, volume, reading)]
    stacks = []
    for index in range(volume.sizes["C"]):
        one = volume.channel(index)
        channel = one.channel_names[0] if one.channel_names else f"channel {index}"
        place, title = StackKey(key, index), f"{name} · {channel}"
        stacks.append(ViewerStack(place, title, one, reading))
    return stacks


def name_as_structure(name: str) -> str:
    """Return the last words of a layer's name, without file endings."""
    last = re.split(r"[·|:]", name)[-1].strip()
    return re.sub(r"\.(ome\.)?(tiff?|zarr|nd2)$", "", last)[:60]


def named_structures(ids: Sequence[str]) -> str:
    """Name the first structures, and count the others."""
    labels = [structure_or_custom(id_).label for id_ in ids]
    more = f" and {len(labels) - _MOST_NAMED} more" if len(labels) > _MOST_NAMED else ""
    return f"{', '.join(labels[:_MOST_NAMED])}{more}"


def unpaired(light: ViewerStack, other: ViewerStack) -> str:
    """Return why a stack in the viewer cannot be the truth of a light, or ""."""
    why = misfit(light.volume, other.volume)
    if not why and lie_apart(light.reading, other.reading):
        why = "lies elsewhere (scale, translation, rotation or affine): resample it"
    return why


def misfit(light: Volume, other: Volume) -> str:
    """Return why a stack cannot be the truth of a light, or ""."""
    depth, *area = light.shape
    planes, *field = other.shape
    if field != area:
        return f"another size: {field[1]} × {field[0]} pixels"
    if planes not in (1, depth):
        return f"{planes} planes, but {depth} of transmitted light: all are needed"
    return ""


@dataclass(frozen=True)
class PairChoice:
    """Layers of one field of view."""

    light: StackKey | None
    truths: tuple[tuple[StackKey, str], ...] = ()  # with what was typed as structure
    mask: StackKey | None = None


_CHANNEL = {"choices": (), "none": "choose…"}  # the choices come with a scan


@dataclass(frozen=True)
class FilesChoice:
    """Files to learn from: a CSV or a folder, or images.

    Channels and structure are asked for where no CSV says them.
    """

    path: Path | None = None
    images: tuple[Path, ...] = ()
    signal: Annotated[
        str | None,
        {
            "label": "Transmitted light",
            "name": "Channel of the transmitted light",
            **_CHANNEL,
        },
    ] = None
    target: Annotated[
        str | None,
        {"label": "Fluorescence", "name": "Channel of the fluorescence", **_CHANNEL},
    ] = None
    structure: Annotated[
        str,
        {
            "label": "Structure",
            "name": "Structure",
            "none": "shows…",
            "suggestions": [structure.label for structure in CATALOGUE.values()],
            "tooltip": "What the fluorescence shows. Choose from the catalogue, or "
            "type a name of your own, such as the stain.",
        },
    ] = ""

    @property
    def is_list(self) -> bool:
        """Whether a CSV says everything."""
        return self.path is not None and not self.path.is_dir()

    def said(self) -> dict[str, Any]:
        """Return structure and channels of each image, as `Pairs` and `Label` do."""
        return {
            "structure": structure_id(self.structure),
            "signal": channel_key(self.signal or ""),
            "target": channel_key(self.target or ""),
        }

    @property
    def empty(self) -> bool:
        """Whether nothing was chosen."""
        return self.path is None and not self.images


@dataclass(frozen=True)
class TrainChoice:
    """Stacks for training, and their validation region."""

    from_files: bool
    pairs: tuple[PairChoice, ...]
    files: FilesChoice
    part: Part  # for validation
    share: float  # of it; does not count for "auto"


@dataclass(frozen=True, eq=False)
class FilesScan:
    """Contents of the chosen files."""

    files: FilesChoice
    channels: tuple[str, ...]  # of the first image, where no CSV says which to take
    labels: "list[Label]"  # none while channels or structure are not chosen
    shapes: "list[StackShape]"


def scan_files(
    files: FilesChoice, voxel_size: tuple[float, float, float], progress: Progress
) -> FilesScan:
    """Read lists and headers; for a background task."""
    from napari_sparsessp.training.data import look_at_stacks
    from napari_sparsessp.training.pairs import Label, read_labels

    progress(0.0, what="looking into the files")
    channels: tuple[str, ...] = ()
    if not files.is_list:
        channels = _channels(files)
        if not (files.signal and files.target and files.structure):
            return FilesScan(files, channels, [], [])
    said = {} if files.is_list else files.said()
    if files.path is not None:
        labels = read_labels(files.path, **said)
    else:
        labels = [Label(path=one, path_target=one, **said) for one in files.images]
    return FilesScan(files, channels, labels, look_at_stacks(labels, voxel_size))


def _channels(files: FilesChoice) -> tuple[str, ...]:
    """Return the channels of the first image; numbers where it has no names."""
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.training.pairs import images_in

    images = files.images or tuple(images_in(files.path) if files.path else ())
    if not images:
        raise InputError(f"folder {files.path} holds no image; choose another one")
    volume = load_volume(images[0])
    count = volume.sizes.get("C", 1)
    if count < 2:
        raise InputError(
            f"{images[0].name} has one channel; training needs the light and the "
            "fluorescence: choose files with both, or a CSV that says where each is"
        )
    return volume.channel_names or tuple(map(str, range(count)))


def guess_channels(channels: Sequence[str]) -> tuple[int, int, str]:
    """Guess light, fluorescence (indices, or -1) and structure from channel names."""
    lit = [any(word in name.lower() for word in _LIGHT_WORDS) for name in channels]
    light = lit.index(True) if True in lit else -1
    for structure in CATALOGUE.values():
        target = match_channel(structure, channels)
        if target is not None and target != light:
            return light, target, structure.label
    others = [index for index in range(len(channels)) if index != light]
    return light, others[0] if light >= 0 and len(others) == 1 else -1, ""
