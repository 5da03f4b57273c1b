"""What a ratio means, in the words of the interface. Pure: no Qt, no file."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_sparsessp.evaluation.sampling_advice import ImagingCost
from napari_sparsessp.structures import structure_or_custom

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep_report import SweepReport


def nth(ratio: int) -> str:
    """Write ``every plane``, ``2nd``, ``3rd``, ``4th``."""
    if ratio == 1:
        return "every plane"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(ratio % 10, "th")
    if 10 < ratio % 100 < 20:
        ending = "th"
    return f"{ratio}{ending}"


def listed(parts: Sequence[str]) -> str:
    """Write ``a``, ``a and b``, ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def seconds_text(seconds: float) -> str:
    """Write a time with as many digits as one cares for: ``0.4 s``, ``3.2 min``."""
    if seconds < 0.995:
        return f"{seconds:.2g} s"
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds)} s"


def cost_sentence(cost: ImagingCost, predicted: float) -> str:
    """Say what a ratio means at the microscope.

    Parameters
    ----------
    cost : ImagingCost
    predicted : float
        Seconds that predicting the stack took here.

    Returns
    -------
    str
        Such as ``8 of 32 planes: 25 % of the light, 0.4 s instead of 1.6 s a stack…``
    """
    share = f"{100 * cost.light:.3g}"
    planes = f"{cost.planes} of {cost.dense_planes} planes"
    if cost.planes == cost.dense_planes:
        parts = [f"All {cost.dense_planes} planes: all of the light"]
        if cost.plane_ms:
            parts.append(f"{seconds_text(cost.stack_seconds)} a stack")
        if cost.plane_ms and cost.times > 1:
            series = seconds_text(cost.series_seconds)
            parts.append(f"{series} of imaging for {cost.times} stacks")
    else:
        parts = [f"{planes}: {share} % of the light"]
        if cost.plane_ms:
            parts.append(
                f"{seconds_text(cost.stack_seconds)} instead of "
                f"{seconds_text(cost.dense_stack_seconds)} a stack"
            )
        if cost.plane_ms and cost.times > 1:
            parts.append(
                f"{seconds_text(cost.series_seconds)} instead of "
                f"{seconds_text(cost.dense_series_seconds)} of imaging for "
                f"{cost.times} stacks"
            )
    text = f"{', '.join(parts)}."
    if cost.planes < cost.dense_planes:
        more = _short(cost.stacks_for_one)
        text += f" Or {more} times as many stacks with the light of dense ones."
    return f"{text} Predicting one took {seconds_text(predicted)} here."


def each_sentence(report: "SweepReport") -> str:
    """Say how many planes each structure needs, where there are several."""
    if len(report.structures) < 2 or len(report.ratios) < 2:
        return ""
    by_planes: dict[int | None, list[str]] = {}
    for name in report.structures:
        label = structure_or_custom(name).label
        by_planes.setdefault(report.planes_needed[name], []).append(label)
    parts = [
        f"{planes} planes for {listed(by_planes[planes])}"
        for planes in sorted(one for one in by_planes if one is not None)
    ]
    if None in by_planes:
        parts.append(f"nobody can tell for {listed(by_planes[None])}")
    return f"Each by itself: {'; '.join(parts)}."


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
