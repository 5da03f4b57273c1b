"""Stacks that change while a training goes on."""

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import overload

from napari_sparsessp.training.patches import Pair


class RenewedPairs(Sequence[Pair]):
    """Some stacks that stay, and others that follow from the step.

    As a sequence it is what it was when it was last asked for a step.

    Parameters
    ----------
    fixed : sequence of Pair
    draw : callable
        Gives the others for a step, the same for the same step, with labels and sizes
        that never change. It may wait; it raises `CancelledError` once the event is
        set.
    step : int
        Where the training begins.
    """

    def __init__(
        self,
        fixed: Sequence[Pair],
        draw: Callable[[int, Event], Sequence[Pair]],
        step: int = 0,
    ) -> None:
        self._fixed, self._draw = list(fixed), draw
        self._now: list[Pair] = self.at(step, Event())

    def at(self, step: int, ended: Event) -> list[Pair]:
        """Give the stacks of a step.

        Raises
        ------
        CancelledError
            `ended` was set while this waited.
        """
        self._now = [*self._fixed, *self._draw(step, ended)]
        return self._now

    def __len__(self) -> int:
        return len(self._now)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._now)

    @overload
    def __getitem__(self, index: int) -> Pair: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Pair]: ...

    def __getitem__(self, index: int | slice) -> Pair | Sequence[Pair]:
        return self._now[index]
