"""The decay curve: R² over the planes that are left, beside its yardsticks."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sparsessp.evaluation.sweep_report import SweepReport
from napari_sparsessp.evaluation.sweep_verdict import reference_scores
from napari_sparsessp.evaluation.yardsticks import YARDSTICKS
from napari_sparsessp.files import atomic_write
from napari_sparsessp.structures import structure_or_custom

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#20242c"
FAINT = "#8b8f98"
DARKER = 0.72
"""The catalogue's colours are made for black; on paper they are drawn darker."""

LOWEST = -0.5  # R² below it means only "wrong"; the curve is cut there


def decay_figure(report: SweepReport) -> "Figure":
    """Draw R² over the ratio, and R² of each plane along z.

    Parameters
    ----------
    report : SweepReport

    Returns
    -------
    Figure
        Without pyplot, so that it needs no display.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(12, 4.8), dpi=120, layout="constrained")
    FigureCanvasAgg(drawing)
    left, right = drawing.subplots(1, 2)
    _draw_decay(left, report)
    _draw_along_z(right, report)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=9)
    return drawing


def write_figure(report: SweepReport, path: Path) -> None:
    """Write the figure as PNG, in one step.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_write(path, "figure") as part:
        part.write_bytes(figure_png(report))


def figure_png(report: SweepReport) -> bytes:
    """Give the figure as the bytes of a PNG file."""
    content = io.BytesIO()
    decay_figure(report).savefig(content, format="png")
    return content.getvalue()


def _draw_decay(axes: "Axes", report: SweepReport) -> None:
    names = report.structures
    places = range(len(report.ratios))
    lowest = 0.0
    for name in names:
        structure = structure_or_custom(name)
        colour = _darker(structure.colour)
        values = _values([point.value for point in report.curve("r2", name)])
        lowest = min(lowest, float(np.nanmin(values, initial=0)))
        axes.plot(places, values, "o-", color=colour, label=structure.label, ms=4)
        if len(report.ratios[-1].phases) > 1:
            spans = [
                _values([phase.structures[name].get("r2") for phase in one.phases])
                for one in report.ratios
            ]
            low, high = [np.min(s) for s in spans], [np.max(s) for s in spans]
            lowest = min(lowest, float(np.nanmin(low, initial=0)))
            axes.fill_between(places, low, high, color=colour, alpha=0.18, lw=0)
    if len(names) > 1:
        mean = _values([point.value for point in report.curve("r2")])
        axes.plot(places, mean, "s--", color=INK, lw=2, label="mean of structures")
    _draw_ceilings(axes, report)
    lowest = min(lowest, _draw_yardsticks(axes, report))
    axes.axhline(0, color=FAINT, lw=0.8, zorder=0)
    axes.set_ylim(max(LOWEST, lowest - 0.08), 1.0)
    axes.set_xlim(-0.25, len(places) - 0.75)
    axes.set_xticks(
        places, [f"r = {one.ratio}\n{one.planes} planes" for one in report.ratios]
    )
    what = "with the dense prediction" if report.against_dense else "over the stack"
    axes.set_ylabel(f"R² {what}", color=INK)
    axes.set_title("What leaving out planes costs", color=INK, fontsize=11)
    _legend(axes, 3)


def _draw_ceilings(axes: "Axes", report: SweepReport) -> None:
    """Draw the noise ceiling: a line, or a mark a structure where there are several."""
    last = len(report.ratios) - 1
    known = [
        (structure_or_custom(name), ceiling["r2"])
        for name, ceiling in report.yardsticks.ceiling.items()
        if ceiling is not None and ceiling["r2"] is not None
    ]
    for number, (structure, value) in enumerate(known):
        if len(report.structures) == 1:
            axes.axhline(value, color=INK, lw=1.2, ls=":", label="noise ceiling")
            axes.axhspan(value, 1.0, color="#eceef1", zorder=0)
            return
        axes.plot(
            [last + 0.1, last + 0.25],
            [value, value],
            color=_darker(structure.colour),
            lw=3,
            label="noise ceiling of each" if number == 0 else None,
        )


def _draw_yardsticks(axes: "Axes", report: SweepReport) -> float:
    """Draw what a score has to beat; give the lowest value drawn."""
    values = reference_scores(report, "r2")
    several = "" if len(report.structures) == 1 else " (mean)"
    drawn = [0.0]
    for style, (which, (label, _)) in zip(
        ("-.", "--", (0, (1, 3)), (0, (5, 5))), YARDSTICKS.items(), strict=True
    ):
        value = values[which]
        if value is not None and value > LOWEST:
            axes.axhline(value, color=FAINT, lw=1.2, ls=style, label=label + several)
            drawn.append(value)
    return min(drawn)


def _draw_along_z(axes: "Axes", report: SweepReport) -> None:
    """R² within each plane, of every first phase.

    The median of structures: one that is hardly there in a plane would rule the mean.
    """
    count = len(report.ratios)
    lowest = 0.0
    for number, one in enumerate(report.ratios):
        curves = [
            _values(scores.get("r2_per_plane") or [])
            for scores in one.phases[0].structures.values()
        ]
        middle = np.median(curves, axis=0)
        shade = str(0.1 + 0.6 * number / max(1, count - 1))
        axes.plot(middle, color=shade, lw=1.8, label=f"r = {one.ratio}")
        lowest = min(lowest, float(np.nanmin(middle, initial=0)))
    axes.axhline(0, color=FAINT, lw=0.8, zorder=0)
    axes.set_ylim(max(2 * LOWEST, lowest - 0.05), 1.0)
    axes.set_xlabel("plane of the dense stack", color=INK)
    axes.set_ylabel("R² within the plane", color=INK)
    several = "" if len(report.structures) == 1 else ", median of structures"
    axes.set_title(f"Where along z{several}", color=INK, fontsize=11)
    _legend(axes, 4)


def _legend(axes: "Axes", columns: int) -> None:
    """Below the axes, where it hides no curve."""
    axes.legend(
        fontsize=8,
        frameon=False,
        ncol=columns,
        columnspacing=1.2,
        handlelength=1.6,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
    )


def _values(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])


def _darker(colour: str) -> tuple[float, ...]:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return tuple(DARKER * channel for channel in channels)
