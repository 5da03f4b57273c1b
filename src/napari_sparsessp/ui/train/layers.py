"""Which layers of a viewer show transmitted light, and which the truth beside it.

A layer with channels counts as one part for each of them.
"""

import re
from dataclasses import dataclass
from typing import Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import CATALOGUE, match_channel
from napari_sparsessp.ui.layers.catalogue import image_layers, input_choices
from napari_sparsessp.ui.layers.volume import read_layer
from napari_sparsessp.ui.napari_compat import layer_key, layer_with_key
from napari_sparsessp.ui.samples import TRUTH_SUFFIX
from napari_sparsessp.volume import Volume


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
