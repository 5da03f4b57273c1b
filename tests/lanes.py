"""Which of many cases run every time; `make test-exhaustive` runs the others too."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import pytest

EXHAUSTIVE = pytest.mark.exhaustive


def sample(cases: Iterable[tuple[Any, ...]], together: int = 2) -> list[Any]:
    """Mark `exhaustive` what a sample of the cases has covered already.

    Most faults come from a single value, nearly all others from two that meet.

    Parameters
    ----------
    cases
        Each the values that are combined in it.
    together
        So many values at a time meet in the sample in each way that they ever do.
    """
    cases = list(cases)
    meetings = [set(combinations(enumerate(case), together)) for case in cases]
    missing = set().union(*meetings)
    sampled: set[int] = set()
    while missing:
        best = max(range(len(cases)), key=lambda i: (len(meetings[i] & missing), -i))
        sampled.add(best)
        missing -= meetings[best]
    return [
        pytest.param(*case, marks=() if number in sampled else EXHAUSTIVE)
        for number, case in enumerate(cases)
    ]
