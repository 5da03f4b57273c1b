"""Look into files of pairs in a worker thread: only headers and lists are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import CATALOGUE, match_channel
from napari_sparsessp.ui.inputs.structure_fields import structure_id
from napari_sparsessp.ui.train.choice import FilesPick
from napari_sparsessp.volume import channel_key

if TYPE_CHECKING:
    from napari_sparsessp.training.pairs import Label
    from napari_sparsessp.training.split import StackShape

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
    pick: FilesPick, voxel_size: tuple[float, float, float], meter: Any
) -> FilesFound:
    """Read lists and headers; for a worker thread.

    Parameters
    ----------
    pick : FilesPick
    voxel_size : tuple of float
        (z, y, x) in µm of the model's grid.
    meter : callable
        Told what is done; what it raises ends the looking.

    Raises
    ------
    InputError
        A list, folder or image cannot be used.
    """
    from napari_sparsessp.training.data import look_at_stacks

    meter("looking into the files", 0.0)
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
        signal, target = channel_key(pick.signal), channel_key(pick.target)
        return [Label(one, signal, one, target, structure) for one in pick.images]
    assert pick.path is not None
    if pick.is_list:
        return read_labels(pick.path)
    return read_labels(
        pick.path,
        structure=structure,
        signal=channel_key(pick.signal),
        target=channel_key(pick.target),
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
