"""A prediction over as many runs as it takes: what a stopped one leaves to go on with.

It holds the buffer that the layers look into and what the engine keeps of the work, so
that Resume continues where the last run stopped, with the result of a single run.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.ui.layers.contrast import ContrastEstimate
from napari_sparsessp.ui.napari_compat import layer_with_key
from napari_sparsessp.ui.predict.outlook import Choice, Outlook, Ready

if TYPE_CHECKING:
    import numpy as np

# The first that differs is told: what comes first weighs more.
_CHANGES = {
    "layer": "another stack is chosen",
    "leading": "the stack's first axis means something else now",
    "channel": "another channel is chosen",
    "voxel_size": "the voxel size is another",
    "ratio": "the sampling is another",
    "simulate": "the sampling is another",
    "structures": "other structures are ticked",
    "truths": "the truth layers are others",
    "device": "another device is chosen",
    "precision": "the precision is another",
    "tta": "an option is another",
    "uncertainty": "an option is another",
    "memory_limit": "an option is another",
}


@dataclass(eq=False)
class Undertaking:
    """What lives from Run to the last tile, however often it is stopped between.

    Attributes
    ----------
    choice : Choice
        What the user had chosen.
    ready : Ready
    buffer : ndarray
        float32, shape ``ready.plan.output_shape``; the layers look into it.
    progress
        The engine's own; it knows which tiles are done.
    contrast : ContrastEstimate
    pixels
        The input's array as it was: another one is another stack.
    done, total : int
        Tiles.
    runs : int
        How often it was begun or gone on with.
    """

    choice: Choice
    ready: Ready
    buffer: "np.ndarray"
    progress: Any
    contrast: ContrastEstimate
    pixels: Any
    done: int = 0
    total: int = 0
    runs: int = 0

    @classmethod
    def of(cls, choice: Choice, ready: Ready, progress: Any) -> "Undertaking":
        """Take the memory for the result of what is ready to run.

        Raises
        ------
        InputError
            When there is not enough memory.
        """
        return cls(
            choice,
            ready,
            ready.new_buffer(),
            progress,
            ContrastEstimate(
                ready.plan.channels,
                [deviation_channel(one) for one in ready.plan.structures],
            ),
            pixels_of(ready.layer),
        )

    @property
    def resumable(self) -> bool:
        """Whether something is done, and something left to do."""
        return self.progress is not None and 0 < self.done < self.total

    def truths(self) -> dict[str, str]:
        """Key of the layer that each structure is compared with, by structure."""
        chosen = self.choice.truths
        return {id_: key for id_, key in chosen.items() if id_ in self.ready.truth}

    def change(self, choice: Choice, seen: Outlook) -> str:
        """Tell what keeps this from going on.

        Parameters
        ----------
        choice : Choice
            What the user has chosen now.
        seen : Outlook
            What comes of it.

        Returns
        -------
        str
            "" where nothing that matters has changed.
        """
        for name, words in _CHANGES.items():
            if getattr(choice, name) != getattr(self.choice, name):
                return words
        if _model(choice) != _model(self.choice):
            return "another model is chosen"
        if seen.layer is None or seen.reading is None:
            return "the stack cannot be read any more"
        if pixels_of(seen.layer) is not self.pixels:
            return "the stack holds another image"
        was, now = self.ready.reading.volume, seen.reading.volume
        if (was.voxel_size, was.origin) != (now.voxel_size, now.origin):
            return "the stack was moved or scaled"
        return ""

    def lost(self, viewer: Any) -> bool:
        """Whether the input is gone for good."""
        return layer_with_key(viewer, self.choice.layer) is None


def pixels_of(layer: Any) -> Any:
    """Give a layer's array; of a multiscale layer its finest level."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def _model(choice: Choice) -> str:
    return "" if choice.card is None else choice.card.id
