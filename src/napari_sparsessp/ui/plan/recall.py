"""What was measured of which choice: switching back shows it again at once."""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sparsessp.ui.compat import layer_with_key
from napari_sparsessp.ui.plan.choice import PlanChoice
from napari_sparsessp.ui.predict.undertaking import pixels_of

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.html import Gallery
    from napari_sparsessp.evaluation.sweep_report import SweepReport

MOST = 12
"""Sweeps that are remembered; the pictures of one take some 10 MB."""


@dataclass(frozen=True, eq=False)
class SweepRecord:
    """A sweep as it is kept: scores, and small pictures where they are drawn."""

    report: "SweepReport"
    gallery: "Gallery | None" = None


class SweepMemory(OrderedDict[str, SweepRecord]):
    """The last sweeps of a session by `sweep_key`; the least recently used go first."""

    def recall(self, key: str) -> SweepRecord | None:
        """Return a sweep; None where it was not done."""
        if key in self:
            self.move_to_end(key)
        return self.get(key)

    def remember(self, key: str, record: SweepRecord) -> None:
        """Keep a sweep, if it is finished."""
        if record.report.finished:
            self[key] = record
            self.move_to_end(key)
        while len(self) > MOST:
            self.popitem(last=False)


class Imprint:
    """What a sweep was made of: a choice, and arrays that it does not keep alive.

    Parameters
    ----------
    choice : PlanChoice
    arrays : sequence
        The stack, then its truths.
    """

    def __init__(self, choice: PlanChoice, arrays: Sequence[Any]) -> None:
        self.choice = choice
        self._references = [_reference(one) for one in arrays]

    def fits(self, choice: PlanChoice, arrays: Sequence[Any]) -> bool:
        """Whether this is the same choice of the same arrays."""
        return (
            choice.identity == self.choice.identity
            and len(self._references) == len(arrays)
            and all(
                reference() is one
                for reference, one in zip(self._references, arrays, strict=True)
            )
        )


class Recall:
    """Finds sweeps by what is chosen, without reading a pixel.

    It tells images apart by being the same arrays. What was painted into an array
    since is only noticed by measuring again, which reads it.

    Parameters
    ----------
    memory : SweepMemory
    """

    def __init__(self, memory: SweepMemory) -> None:
        self.memory = memory
        self._known: dict[tuple[Any, ...], tuple[Imprint, str]] = {}

    def note(self, imprint: Imprint, key: str) -> None:
        """Remember by which key the sweep of a choice can be found."""
        self._known[imprint.choice.identity] = imprint, key

    def find(self, choice: PlanChoice, arrays: Sequence[Any]) -> SweepRecord | None:
        """Give the sweep of a choice; None where these images were not swept so."""
        if choice.identity not in self._known:
            return None
        imprint, key = self._known[choice.identity]
        return self.memory.recall(key) if imprint.fits(choice, arrays) else None

    def forget(self) -> None:
        """Trust no name any more: a model's file has changed."""
        self._known.clear()


def arrays_of(viewer: Any, choice: PlanChoice) -> list[Any]:
    """Give the arrays that a choice depends on: the stack, then its truths."""
    truths = {} if choice.against_dense else choice.stack.truths
    keys = [choice.stack.layer, *(truths[id_] for id_ in sorted(truths))]
    layers = [layer_with_key(viewer, key) for key in keys]
    return [pixels_of(layer) for layer in layers if layer is not None]


def _reference(array: Any) -> Callable[[], Any]:
    """Give what finds an array while it lives; one that cannot be followed is lost."""
    try:
        return weakref.ref(array)
    except TypeError:
        return object
