"""What a difference between two networks is worth: means and spread over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from napari_sparsessp.errors import InputError


@dataclass(frozen=True)
class Summary:
    """Scores of one network over seeds.

    Attributes
    ----------
    mean : float
    deviation : float or None
        Standard deviation of a sample; None for a single seed.
    count : int
    """

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class Comparison:
    """One network against another.

    Attributes
    ----------
    difference : float
        Of the means.
    spread : float or None
        √(s₁² + s₂²), the combined standard deviation; None where a network has one
        seed only.
    """

    difference: float
    spread: float | None

    @property
    def shown(self) -> bool:
        """Whether the difference is larger than the combined spread.

        No test of significance: with three seeds there is none worth the name.
        """
        return self.spread is not None and abs(self.difference) > self.spread


def summarise(values: Sequence[float]) -> Summary:
    """Take mean and standard deviation.

    Raises
    ------
    InputError
        There is no value.
    """
    if not values:
        raise InputError("there are no scores to summarise; run at least one seed")
    deviation = stdev(values) if len(values) > 1 else None
    return Summary(fmean(values), deviation, len(values))


def compare(one: Summary, other: Summary) -> Comparison:
    """Compare two networks; positive where the first has more.

    Examples
    --------
    >>> better, worse = summarise([0.50, 0.52]), summarise([0.40, 0.41])
    >>> compare(better, worse).shown
    True
    """
    spread = None
    if one.deviation is not None and other.deviation is not None:
        spread = math.hypot(one.deviation, other.deviation)
    return Comparison(one.mean - other.mean, spread)
