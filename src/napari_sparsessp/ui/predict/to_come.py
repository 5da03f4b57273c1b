"""A layer that is still to be made, or to get the data of a new run."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sparsessp.ui.layers.marks import KEY


@dataclass(frozen=True, eq=False)
class ToCome:
    """What a layer will be.

    Attributes
    ----------
    id : str
        Channel.
    view : ndarray
        Its voxels, filled while the prediction runs.
    place : dict
        Where it lies: scale, translate and the rest.
    about : dict
        What is written on it.
    visible : bool
    old : str or None
        Key of the layer of an earlier run that gets new data.
    """

    id: str
    view: np.ndarray
    place: dict[str, Any]
    about: dict[str, Any]
    visible: bool
    old: str | None

    def renew(self, layer: Any) -> None:
        """Give an old layer the data; its looks stay as the user has made them."""
        own = isinstance(layer.data, np.ndarray)  # what was opened may be lazy
        if not (own and np.may_share_memory(layer.data, self.view)):
            layer.data = self.view
        for name, value in self.place.items():
            if not np.array_equal(getattr(layer, name), value):
                setattr(layer, name, value)
        layer.metadata = {**layer.metadata, KEY: self.about}
