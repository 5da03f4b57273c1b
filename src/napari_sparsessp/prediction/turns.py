"""The eight symmetries of a square field: what may be done to an image in y and x.

A field has no up and no left, so a prediction should turn with its image. What eight
predictions of one field have in common counts (``--tta``); where they differ, the
network is not sure (``--uncertainty``).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Turn:
    """A mirror image or not, then quarter turns.

    Sides of the field change places where `quarters` is odd; extents that are
    multiples of a network's stride remain so.

    Attributes
    ----------
    mirrored : bool
        Along x, before it is turned.
    quarters : int
        Turns by 90° from y to x, 0 to 3.
    """

    mirrored: bool
    quarters: int

    def apply(self, field: "torch.Tensor") -> "torch.Tensor":
        """Turn the last two axes (…, H, W); a view where nothing changes."""
        turned = field.flip(-1) if self.mirrored else field
        return turned.rot90(self.quarters, (-2, -1)) if self.quarters else turned

    def undo(self, field: "torch.Tensor") -> "torch.Tensor":
        """Turn back what `apply` turned, exactly."""
        turned = field.rot90(-self.quarters, (-2, -1)) if self.quarters else field
        return turned.flip(-1) if self.mirrored else turned


TURNS = tuple(Turn(mirrored, n) for mirrored in (False, True) for n in range(4))
"""All eight; the first leaves the field as it is."""


class Spread:
    """Mean and standard deviation of arrays that come one after the other.

    The memory of two arrays, however many come (Welford, Technometrics 4:419, 1962).

    Attributes
    ----------
    mean : Tensor or None
        Of what has come.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: torch.Tensor | None = None
        self._squares: torch.Tensor | None = None

    def add(self, values: "torch.Tensor") -> None:
        """Count one more array; all are of one shape."""
        import torch

        self.count += 1
        if self.mean is None or self._squares is None:
            # A copy: in a mean that is updated in place, nobody else's array may be.
            self.mean = values.clone()
            self._squares = torch.zeros_like(values)
            return
        offset = values - self.mean
        self.mean += offset / self.count
        self._squares += offset * (values - self.mean)

    def deviation(self) -> "torch.Tensor":
        """Give the root mean square deviation from the mean."""
        assert self._squares is not None
        return (self._squares / self.count).sqrt()
