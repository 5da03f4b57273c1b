"""Which layers of a viewer may be the input, and which a ground truth."""

from typing import Any

from napari_sparsessp.structures import CATALOGUE, match_channel
from napari_sparsessp.ui.layers.marks import role_of
from napari_sparsessp.ui.napari_compat import layer_key

Named = list[tuple[str, str]]

_LIGHT_WORDS = (
    *("bright", "brightfield", "phase", "dic", "transmitted", "light", "tl", "bf"),
    *("mono", "sparse"),
)


def image_layers(viewer: Any) -> list[Any]:
    """Give the image layers that are not our own, lowest first."""
    return [one for one in viewer.layers if _is_image(one) and not role_of(one)]


def input_choices(viewer: Any) -> Named:
    """Give the layers to predict from as (key, name), the likeliest first."""
    layers = sorted(image_layers(viewer), key=_unlikely_input)
    return [(layer_key(layer), str(layer.name)) for layer in layers]


def truth_choices(viewer: Any, source_key: str | None) -> Named:
    """Give the layers that may hold a ground truth as (key, name)."""
    return [
        (layer_key(layer), str(layer.name))
        for layer in image_layers(viewer)
        if layer_key(layer) != source_key and not getattr(layer, "rgb", False)
    ]


def _unlikely_input(layer: Any) -> tuple[int, int]:
    """Sort transmitted light first and what is named like a structure last."""
    name = str(layer.name)
    words = name.lower().replace("-", " ").replace("_", " ").split()
    if any(word.strip(".,;:()[]×") in _LIGHT_WORDS for word in words):
        return 0, 0
    stained = any(match_channel(one, [name]) is not None for one in CATALOGUE.values())
    return (2 if stained else 1), 0 if layer.ndim >= 3 else 1


def _is_image(layer: Any) -> bool:
    from napari.layers import Image

    return isinstance(layer, Image)
