"""From a `Volume` to napari layers: one for each channel, with scale and units."""

from typing import Any

from napari_sparsessp.structures import CATALOGUE, match_channel
from napari_sparsessp.ui.layers.file import FilePlace
from napari_sparsessp.ui.preferences import preferences
from napari_sparsessp.volume import Volume

LayerData = tuple[Any, dict[str, Any], str]


def layers_of(
    volume: Volume, *, suffix: str = "", visible: bool | None = None
) -> list[LayerData]:
    """Give one image layer for each channel.

    Parameters
    ----------
    volume : Volume
    suffix : str
        Added to the names of channels that are structures, such as ``" · truth"``.
    visible : bool, optional
        Show the layers; where left out, the first one that is no stained structure.

    Returns
    -------
    list of (data, attributes, "image")
        As napari's readers and samples give them.
    """
    count = volume.sizes.get("C", 1)
    result, first = [], True
    for number in range(count):
        one = volume.channel(number) if "C" in volume.axes else volume
        name = one.channel_names[0] if one.channel_names else ""
        structure = next(
            (s for s in CATALOGUE.values() if match_channel(s, [name]) is not None),
            None,
        )
        attributes = spatial_attributes(one)
        if volume.source:
            shown = number if "C" in volume.axes else None
            attributes["metadata"] = FilePlace(volume.source, None, shown).metadata()
        if structure is not None:
            attributes |= {
                "name": f"{structure.label}{suffix}" if suffix else name,
                "colormap": preferences().colour(structure.id),
                "blending": "additive",
                "visible": bool(visible),
            }
        else:
            label = " · ".join(filter(None, [volume.name, name]))
            attributes |= {
                "name": label or "image",
                "colormap": "gray",
                "visible": first if visible is None else visible,
            }
            first = False
        result.append((one.array, attributes, "image"))
    return result


def spatial_attributes(volume: Volume) -> dict[str, Any]:
    """Give scale, translate, units and axis labels of a volume without channels.

    An unknown voxel size stays 1 pixel: nothing is made up.
    """
    size = volume.voxel_size
    scale, units = [1.0, 1.0, 1.0], ["pixel"] * 3
    if size is not None:
        scale, units = list(size), ["um"] * 3
    elif volume.pixel_size is not None:
        scale, units = [1.0, *volume.pixel_size], ["pixel", "um", "um"]
    origin = list(volume.origin)
    extra = len(volume.axes) - 3
    return {
        "scale": [1.0] * extra + scale,
        "translate": [0.0] * extra + origin,
        "units": ["pixel"] * extra + units,
        "axis_labels": [letter.lower() for letter in volume.axes],
    }
