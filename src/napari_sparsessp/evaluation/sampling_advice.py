"""Advise how many planes to image: the answer of a sweep in one sentence, and its cost.

What counts as enough is a choice, no law: a share of the densest stack's score that is
to be kept (`KeepShare`), or a difference that may be lost (`LoseAtMost`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from napari_sparsessp.errors import InputError

SHARE = 0.95
"""Of the densest stack's score that is to be kept, where nobody says otherwise."""

NO_PATTERN = 0.2
"""PCC in planes up to which there is no pattern to keep: 4 % of variance."""

SELF_CONSISTENCY = (
    "Measured against the model's own dense prediction, no truth: this tells whether "
    "fewer planes change the picture, not whether the picture is right."
)
"""Said wherever a prediction is scored against another prediction."""


@dataclass(frozen=True)
class KeepShare:
    """Enough is what keeps a share of the densest stack's score."""

    share: float = SHARE  # Above 0, at most 1

    def __post_init__(self) -> None:
        """Refuse a number that is no share."""
        if not 0 < self.share <= 1:
            raise InputError(
                f"{self.share:g} is no share of a score to keep; give one above 0 and "
                "at most 1, for example 0.95"
            )

    def least(self, densest: float) -> float | None:
        """Return the lowest score that is enough; None: there is no share to keep."""
        return self.share * densest if densest > 0 else None

    def passed(self, value: float, densest: float) -> str:
        """Describe a score that is enough, beside the densest stack's."""
        return f"{100 * value / densest:.0f} % of {densest:.2f}"

    @property
    def missed(self) -> str:
        """Description of a score that is not enough."""
        return f"keeps less than {100 * self.share:g} %"


@dataclass(frozen=True)
class LoseAtMost:
    """Enough is what loses no more than a difference from the densest stack's score."""

    tolerance: float  # 0 or more

    def __post_init__(self) -> None:
        """Refuse a negative tolerance."""
        if not self.tolerance >= 0:
            raise InputError(
                f"{self.tolerance:g} cannot be lost from a score; give 0 or more, for "
                "example 0.02"
            )

    def least(self, densest: float) -> float | None:
        """Return the lowest score that is enough."""
        return densest - self.tolerance

    def passed(self, value: float, densest: float) -> str:
        """Describe a score that is enough, beside the densest stack's."""
        return f"within {self.tolerance:g} of {densest:.2f}"

    @property
    def missed(self) -> str:
        """Description of a score that is not enough."""
        return f"loses more than {self.tolerance:g}"


Rule = KeepShare | LoseAtMost
"""Rule by which a score counts as enough."""


@dataclass(frozen=True)
class Point:
    """One point of a decay curve: the score at a ratio, with so many imaged planes."""

    ratio: int
    planes: int
    value: float | None


@dataclass(frozen=True)
class Need:
    """The fewest planes whose score is close to that of the densest stack."""

    fewest: Point
    densest: Point
    sparsest_tried: bool  # Nothing sparser was measured: fewer planes might do as well
    # Numbers of planes above the fewest that did *not* come close
    failed_between: tuple[int, ...]


@dataclass(frozen=True)
class ImagingCost:
    """Imaging every r-th plane, beside imaging every plane."""

    planes: int  # planes, dense_planes: Of one stack: imaged, and of the dense stack
    dense_planes: int
    # Milliseconds for each plane: exposure, moving the stage and reading out
    plane_ms: float = 0.0
    times: int = 1  # Stacks of the time-lapse; 1 for a single stack

    @property
    def light(self) -> float:
        """Light dose as a share of that of the dense stack."""
        return self.planes / self.dense_planes

    @property
    def stack_seconds(self) -> float:
        """Seconds to image one stack."""
        return self.planes * self.plane_ms / 1000

    @property
    def dense_stack_seconds(self) -> float:
        """Seconds to image the dense stack."""
        return self.dense_planes * self.plane_ms / 1000

    @property
    def series_seconds(self) -> float:
        """Seconds of imaging in the whole time-lapse."""
        return self.stack_seconds * self.times

    @property
    def dense_series_seconds(self) -> float:
        """Seconds of imaging in the whole time-lapse of dense stacks."""
        return self.dense_stack_seconds * self.times

    @property
    def stacks_for_one(self) -> float:
        """Stacks that can be imaged with the light of one dense stack."""
        return self.dense_planes / self.planes


def planes_needed(curve: Sequence[Point], rule: Rule | None = None) -> Need | None:
    """Find the smallest number of planes whose score is enough.

    None where the densest point has no score, or none of which a share could be
    kept.
    """
    points = sorted(curve, key=lambda point: point.ratio)
    if not points or points[0].value is None:
        return None
    least = (rule or KeepShare()).least(points[0].value)
    if least is None:
        return None
    least -= 1e-9  # what is just enough is enough, rounding or not
    good = [point for point in points if point.value is not None]
    good = [point for point in good if point.value is not None and point.value >= least]
    fewest = good[-1]
    failed = tuple(
        point.planes
        for point in points
        if point.ratio < fewest.ratio and point not in good
    )
    return Need(fewest, points[0], fewest is points[-1], failed)


def has_pattern(pcc_plane: Sequence[Point], trivial: float = 0.0) -> bool:
    """Return whether the densest prediction has a pattern that could be lost."""
    densest = min(pcc_plane, key=lambda point: point.ratio, default=None)
    if densest is None or densest.value is None:
        return False
    return densest.value > max(NO_PATTERN, trivial)


def answer(
    r2: Sequence[Point],
    pcc_plane: Sequence[Point],
    rule: Rule,
    subject: str,
    trivial: Mapping[str, float | None],
    trivial_pattern: float = 0.0,
) -> str:
    """Say how many planes are needed, or why the scores cannot tell.

    One sentence; a second one where R² has no answer but the pattern has.
    """
    points = sorted(r2, key=lambda point: point.ratio)
    densest = points[0] if points else None
    if densest is None or densest.value is None:
        return (
            f"R² of {subject} is not defined, so the number of planes cannot be told."
        )
    if len(points) < 2:
        return (
            f"Only r = {densest.ratio} was measured, so there is nothing to compare: "
            "sweep more ratios."
        )
    bar, name = max(
        [(0.0, "a constant")]
        + [(value, key) for key, value in trivial.items() if value is not None]
    )
    need = planes_needed(points, rule)
    if densest.value > bar and need is not None:
        return _enough(need, rule, subject)
    text = (
        f"R² cannot tell: even with all {densest.planes} planes the model's R² of "
        f"{subject} ({densest.value:.2f}) is no better than that of {name} "
        f"({bar:.2f}), so do not trust its brightness on this stack."
    )
    if not has_pattern(pcc_plane, trivial_pattern):
        value = min(pcc_plane, key=lambda point: point.ratio, default=densest).value
        if not pcc_plane or value is None:
            return text
        return (
            f"{text} Its pattern is hardly found either: PCC in planes is {value:.2f}."
        )
    pattern = planes_needed(pcc_plane, rule)
    assert pattern is not None, "a pattern's Pearson is above 0"
    return f"{text} {_enough(pattern, rule, subject, pattern=True)}"


def _enough(need: Need, rule: Rule, subject: str, pattern: bool = False) -> str:
    fewest, densest = need.fewest, need.densest
    assert fewest.value is not None
    assert densest.value is not None
    score = f"{'PCC in planes' if pattern else 'R²'} of {subject}"
    start = "For the pattern alone, " if pattern else ""
    if fewest is densest:
        return (
            f"{start}{'a' if start else 'A'}ll {densest.planes} planes (r = "
            f"{densest.ratio}) are needed: every sparser stack tried {rule.missed} of "
            f"the {score}, {densest.value:.2f}."
        )
    text = (
        f"{start}{fewest.planes} of {densest.planes} planes (r = {fewest.ratio}) are "
        f"enough: {score} is {fewest.value:.2f} there, "
        f"{rule.passed(fewest.value, densest.value)} at r = {densest.ratio}, all "
        f"{densest.planes} planes"
    )
    if need.failed_between:
        some = " and ".join(map(str, need.failed_between))
        text += f", though not with {some} planes, so take it with care"
    if need.sparsest_tried:
        text += "; fewer were not tried"
    return f"{text}."
