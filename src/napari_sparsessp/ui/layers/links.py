"""Predictions from files find the layer that they came from, once it is open too."""

from collections.abc import Sequence
from typing import Any

from napari_sparsessp.ui.layers.file import file_of, is_same_file
from napari_sparsessp.ui.layers.marks import (
    KEY,
    PREDICTION,
    UNCERTAINTY,
    add_to,
    is_prediction,
    role_of,
)
from napari_sparsessp.ui.napari_compat import layer_key


def link_orphans(viewer: Any) -> None:
    """Tie predictions without a source, or a truth, to layers from the files they name.

    Files that are not open are left alone: what a file says is no reason to open
    another one.

    Parameters
    ----------
    viewer : napari.Viewer
    """
    others = [(one, file_of(one)) for one in viewer.layers if not role_of(one)]
    known = [(one, place.path) for one, place in others if place is not None]
    for layer in viewer.layers:
        if role_of(layer) and not layer.metadata[KEY].get("source_id"):
            _link(layer, known)


def made_from(viewer: Any, source_key: str | None) -> list[Any]:
    """Give the predictions and uncertainties from a source, by whatever model."""
    return [
        layer
        for layer in viewer.layers
        if role_of(layer) in (PREDICTION, UNCERTAINTY)
        and layer.metadata[KEY].get("source_id") == source_key
    ]


def _link(layer: Any, known: Sequence[tuple[Any, str]]) -> None:
    """Write on a prediction which of the open layers its file means."""
    told = layer.metadata[KEY].get("provenance")
    request = told.get("request") if isinstance(told, dict) else None
    if not isinstance(request, dict):
        return
    source = _meant(str(request.get("input", "")), request.get("channel"), known)
    if source is None:
        return
    found = {"source": str(source.name), "source_id": layer_key(source)}
    truths = request.get("truth")
    structure = layer.metadata[KEY]["structure"]
    if is_prediction(layer) and isinstance(truths, dict) and structure in truths:
        path, channel = str(truths[structure]), None
        if not any(is_same_file(path, place) for _, place in known):
            path, _, channel = path.rpartition(":")
        truth = _meant(path, channel or structure, known)
        if truth is not None and truth is not source:
            found |= {"truth": str(truth.name), "truth_id": layer_key(truth)}
    add_to(layer, **found)


def _meant(path: str, channel: Any, known: Sequence[tuple[Any, str]]) -> Any | None:
    """Find the layer of a file's channel, given by name or number."""
    same = [one for one, place in known if path and is_same_file(path, place)]
    if len(same) < 2:
        return same[0] if same else None
    for one in same:
        place = file_of(one)
        number = None if place is None else place.channel
        if channel is not None and str(channel) in (str(number), str(one.name)):
            return one
    return _named(str(channel), same) if channel is not None else None


def _named(channel: str, layers: Sequence[Any]) -> Any | None:
    """Find the one layer that is named like a channel, or like a structure."""
    from napari_sparsessp.structures import match_channel

    names = [str(one.name) for one in layers]
    ending = [i for i, name in enumerate(names) if name.endswith(f" · {channel}")]
    if len(ending) == 1:
        return layers[ending[0]]
    index = match_channel(channel, names)
    return None if index is None else layers[index]
