"""Which layers of a viewer belong to a stack, and which to another one."""

from os.path import commonprefix
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparsessp.ui.layers.metadata import (
    KEY,
    file_of,
    is_prediction,
    role_of,
    structure_named,
    truth_of,
)
from napari_sparsessp.ui.layers.reading import image_layers, is_light
from napari_sparsessp.ui.napari_compat import drawn_once, layer_key

# Names of files that have less in common are not of one stack for that.
_LEAST_IN_COMMON = 3


def strangers(viewer: Any, source: Any) -> list[Any]:
    """Return the layers of other stacks: themselves, their truths and predictions.

    A layer that may be the truth of several stacks belongs to the nearest of them: in
    the same file or sample, or else in the same folder and by a name that begins alike.
    """
    key = layer_key(source)
    made = [layer for layer in viewer.layers if role_of(layer)]
    sources = {
        layer_key(one): one.metadata[KEY].get("source_id") or key for one in made
    }
    truths: dict[bool, set[str | None]] = {True: set(), False: set()}
    for layer in filter(is_prediction, made):
        truths[sources[layer_key(layer)] == key].add(truth_of(layer))
    images = [one for one in image_layers(viewer) if layer_key(one) != key]
    stacks = [
        one
        for one in images
        if layer_key(one) in sources.values() or _is_other_stack(one, source, images)
    ]
    elsewhere = {layer_key(one) for one in stacks} | (truths[False] - truths[True])
    for layer in images:
        nearest = max((_nearness(layer, one) for one in stacks), default=())
        if nearest > _nearness(layer, source) and layer_key(layer) not in truths[True]:
            elsewhere.add(layer_key(layer))
    elsewhere |= {one for one, origin in sources.items() if origin != key}
    return [layer for layer in viewer.layers if layer_key(layer) in elsewhere]


def stack_name(source: Any) -> str:
    """Return the file's part of a layer's name; "" for a layer that is in no file."""
    name, found, _ = str(source.name).partition(" · ")
    place = file_of(source)
    if found or place is None:
        return name if found else ""
    return Path(place.path).name.split(".")[0]


def _is_other_stack(layer: Any, source: Any, images: list[Any]) -> bool:
    """Return whether an image is another transmitted-light stack, by all we know."""
    origin = _origin(layer)
    if layer.ndim < 3 or (origin is not None and origin == _origin(source)):
        return False
    if origin is None or _origin(source) is None:
        extents = layer.extent.world[:, -2:], source.extent.world[:, -2:]
        return is_light(layer) and not np.allclose(*extents)
    beside = [one for one in images if _origin(one) == origin]
    return is_light(layer) or not any(structure_named(one.name) for one in beside)


def _origin(layer: Any) -> Any:
    """Return the sample or the file that a layer was opened from; None for neither."""
    place = file_of(layer)
    return layer.source.sample or (None if place is None else place.path)


def _nearness(layer: Any, stack: Any) -> tuple[bool, bool, int]:
    origin, files = _origin(layer), (file_of(layer), file_of(stack))
    same = origin is not None and origin == _origin(stack)
    if files[0] is None or files[1] is None:
        return same, False, 0
    paths = [Path(one.path) for one in files if one is not None]
    begin = len(commonprefix([path.name for path in paths]))
    folder = paths[0].parent == paths[1].parent
    return same, folder, begin if begin >= _LEAST_IN_COMMON else 0


class StackFocus:
    """Hides the layers of other stacks, and shows them again with theirs."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._hidden: set[str] = set()

    def on(self, source: Any) -> None:
        """Show one stack with what belongs to it and nothing of another."""
        others = list(map(layer_key, strangers(self._viewer, source)))
        with drawn_once(self._viewer):
            for layer in self._viewer.layers:
                key = layer_key(layer)
                if key in others and layer.visible:
                    self._hidden.add(key)
                    layer.visible = False
                elif key in self._hidden and key not in others:
                    self._hidden.remove(key)
                    layer.visible = True
