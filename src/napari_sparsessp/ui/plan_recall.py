"""What was measured of which choice: switching back shows it again at once."""

import weakref
from collections.abc import Sequence
from typing import Any

from napari_sparsessp.evaluation.sweep_memory import SweepMemory, SweepRecord
from napari_sparsessp.ui.compat import layer_with_key
from napari_sparsessp.ui.plan_choice import PlanChoice
from napari_sparsessp.ui.undertaking import pixels_of


class Recall:
    """Finds sweeps by what is chosen, without reading a pixel.

    It tells images apart by being the same arrays, and keeps none of them alive. What
    was painted into an array since is only noticed by measuring again, which reads it.

    Parameters
    ----------
    memory : SweepMemory
    """

    def __init__(self, memory: SweepMemory) -> None:
        self.memory = memory
        self._known: dict[tuple[Any, ...], tuple[str, list[Any]]] = {}

    def note(self, choice: PlanChoice, arrays: Sequence[Any], key: str) -> None:
        """Remember by which key the sweep of a choice can be found."""
        try:
            references = [weakref.ref(one) for one in arrays]
        except TypeError:  # an array that cannot be followed is measured again
            return
        self._known[choice.identity] = key, references

    def find(self, choice: PlanChoice, arrays: Sequence[Any]) -> SweepRecord | None:
        """Give the sweep of a choice; None where these images were not swept so."""
        key, references = self._known.get(choice.identity, ("", []))
        same = len(references) == len(arrays) and all(
            reference() is one
            for reference, one in zip(references, arrays, strict=True)
        )
        return self.memory.get(key) if key and same else None

    def forget(self) -> None:
        """Trust no name any more: a model's file has changed."""
        self._known.clear()


def arrays_of(viewer: Any, choice: PlanChoice) -> list[Any]:
    """Give the arrays that a choice depends on: the stack, then its truths."""
    truths = {} if choice.against_dense else choice.stack.truths
    keys = [choice.stack.layer, *(truths[id_] for id_ in sorted(truths))]
    layers = [layer_with_key(viewer, key) for key in keys]
    return [pixels_of(layer) for layer in layers if layer is not None]
