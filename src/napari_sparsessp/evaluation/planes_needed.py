"""How many planes do I need? The answer of a sweep, in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOLERANCE = 0.02
"""R² that may be lost. A choice, no law: the sweep's table lets anyone make another."""

NO_PATTERN = 0.2
"""Pearson within planes up to which there is no pattern to keep: 4 % of variance."""


@dataclass(frozen=True)
class Point:
    """One point of a decay curve.

    Attributes
    ----------
    ratio : int
    planes : int
        Imaged.
    value : float or None
        Score there.
    """

    ratio: int
    planes: int
    value: float | None


@dataclass(frozen=True)
class Need:
    """The fewest planes whose score is close to that of the densest stack.

    Attributes
    ----------
    fewest, densest : Point
    sparsest_tried : bool
        Nothing sparser was measured: fewer planes might do as well.
    failed_between : tuple of int
        Numbers of planes above the fewest that did *not* come close.
    """

    fewest: Point
    densest: Point
    sparsest_tried: bool
    failed_between: tuple[int, ...]


def planes_needed(curve: Sequence[Point], tolerance: float = TOLERANCE) -> Need | None:
    """Find the smallest number of planes within a tolerance of the densest.

    Parameters
    ----------
    curve : sequence of Point
        In any order.
    tolerance : float
        How much lower the score may be.

    Returns
    -------
    Need or None
        None where the densest point has no score.
    """
    points = sorted(curve, key=lambda point: point.ratio)
    if not points or points[0].value is None:
        return None
    # Scores that differ by exactly the tolerance are within it, rounding or not.
    least = points[0].value - tolerance - 1e-9
    good = [point for point in points if point.value is not None]
    good = [point for point in good if point.value is not None and point.value >= least]
    fewest = good[-1]
    failed = tuple(
        point.planes
        for point in points
        if point.ratio < fewest.ratio and point not in good
    )
    return Need(fewest, points[0], fewest is points[-1], failed)


def answer(
    r2: Sequence[Point],
    pcc_plane: Sequence[Point],
    tolerance: float,
    what: str,
    trivial: Mapping[str, float | None],
    trivial_pattern: float = 0.0,
) -> str:
    """Say how many planes are needed, or why the scores cannot tell.

    Parameters
    ----------
    r2, pcc_plane : sequence of Point
        Decay curves.
    tolerance : float
        For both.
    what : str
        ``DNA``, or ``the mean of 12 structures``.
    trivial : mapping
        Name to R² of predictors that no model may lose to.
    trivial_pattern : float
        The best Pearson within planes of those predictors.

    Returns
    -------
    str
        One sentence; a second one where R² has no answer but the pattern has.
    """
    need = planes_needed(r2, tolerance)
    if need is None:
        return f"R² of {what} is not defined, so the number of planes cannot be told."
    densest = need.densest
    if len(r2) < 2:
        return (
            f"Only r = {densest.ratio} was measured, so there is nothing to compare: "
            "sweep more ratios."
        )
    assert densest.value is not None
    bar, name = max(
        [(0.0, "a constant")]
        + [(value, key) for key, value in trivial.items() if value is not None]
    )
    if densest.value <= bar:
        text = (
            f"R² cannot tell: even with all {densest.planes} planes the model's R² of "
            f"{what} ({densest.value:.2f}) is no better than that of {name} "
            f"({bar:.2f}), so do not trust its brightness on this stack."
        )
        pattern = planes_needed(pcc_plane, tolerance)
        if pattern is None or pattern.densest.value is None:
            return text
        if pattern.densest.value <= max(NO_PATTERN, trivial_pattern):
            return (
                f"{text} Its pattern is hardly found either: Pearson within planes is "
                f"{pattern.densest.value:.2f}."
            )
        return f"{text} {_enough(pattern, tolerance, what, 'the pattern alone')}"
    return _enough(need, tolerance, what, None)


def _enough(need: Need, tolerance: float, what: str, pattern: str | None) -> str:
    fewest, densest = need.fewest, need.densest
    score = "R²" if pattern is None else "Pearson within planes"
    start = "" if pattern is None else f"For {pattern}, "
    reference = f"r = {densest.ratio}, all {densest.planes} planes"
    if fewest is densest:
        return (
            f"{start}{'a' if start else 'A'}ll {densest.planes} planes (r = "
            f"{densest.ratio}) are needed: every sparser stack tried loses more than "
            f"{tolerance:g} of the {score} of {what}, {densest.value:.2f}."
        )
    text = (
        f"{start}{fewest.planes} of {densest.planes} planes (r = {fewest.ratio}) are "
        f"enough: {score} of {what} is {fewest.value:.2f} there, within {tolerance:g} "
        f"of {densest.value:.2f} at {reference}"
    )
    if need.failed_between:
        some = " and ".join(map(str, need.failed_between))
        text += f", though not with {some} planes, so take it with care"
    if need.sparsest_tried:
        text += "; fewer were not tried"
    return f"{text}."
