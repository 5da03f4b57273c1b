"""Layers follow when the preferences give the structures other colours."""

from typing import Any

from qtpy.QtCore import QObject

from napari_sparsessp.structures import CATALOGUE, match_channel
from napari_sparsessp.ui.layers.marks import KEY, PREDICTION, role_of
from napari_sparsessp.ui.preferences import Preferences, preference_news


class Recolouring(QObject):
    """Recolours a viewer's structures; those that the user coloured stay.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject
        Ends it.
    """

    def __init__(self, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        preference_news().changed.connect(self._on_preferences)

    def _on_preferences(self, before: Preferences, now: Preferences) -> None:
        for layer in self._viewer.layers:
            structure = _structure_shown(layer)
            if structure is None or before.colour(structure) == now.colour(structure):
                continue
            if str(layer.colormap.name).lower() == before.colour(structure):
                layer.colormap = now.colour(structure)


def _structure_shown(layer: Any) -> str | None:
    """Tell which structure a layer shows: as marked, or by its name."""
    if not hasattr(layer, "contrast_limits"):  # no image
        return None
    if role_of(layer):
        own = role_of(layer) == PREDICTION
        return str(layer.metadata[KEY]["structure"]) if own else None
    return next(
        (one.id for one in CATALOGUE.values() if match_channel(one, [layer.name]) == 0),
        None,
    )
