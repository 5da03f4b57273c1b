"""Draw results with matplotlib: a prediction, a comparison, a sweep.

All figures are drawn without pyplot, so that they need no display, and on white.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.evaluation.agreement import (
    ComparisonReport,
    ScoredStructure,
    aligned,
    on_the_same_grid,
)
from napari_sparsessp.evaluation.baselines import BASELINES
from napari_sparsessp.evaluation.sweep_report import SweepReport, reference_scores
from napari_sparsessp.files import atomic_write
from napari_sparsessp.prediction.report import Report
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
"""Endings that a figure's name may have."""

CONTRAST = (1.0, 99.7)
"""Percentiles of the whole stack that become black and full colour."""

LIGHT = (0.3, 99.7)
"""The same for transmitted light: all but its few glints and specks."""

ERROR_LIMIT = 2.0
"""Standard deviations of the truth at which the error map is fully coloured."""

TOO_LOW, TOO_HIGH = (38, 110, 210), (214, 72, 32)
"""Blue and orange: told apart by colour-blind eyes."""

LOWEST = -0.5  # R² below it means only "wrong"; curves are cut there

_INK, _FAINT, _MEASURED = "#20242c", "#667080", "#3566b0"
SCALES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_STRUCTURES_ACROSS = 3  # in the figure of a prediction, each as truth and prediction
# Of the figure of a comparison, inches.
_WIDE, _LOW, _HIGH, _GAP = 2.3, 1.2, 4.0, 0.12
_HEAD, _LABEL, _KEY, _CURVES = 0.42, 0.34, 0.45, 2.3

Limits = tuple[float, float]


def new_figure(width: float, height: float, layout: Any = "constrained") -> Figure:
    """Return an empty figure of this size in inches that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Figure, path: Path, dpi: int = 120) -> Path:
    """Write a figure in one step; the ending of `path` is one of `FORMATS`."""
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise OutputError(
            f"cannot write figure {path.name}: its ending does not say how to draw it; "
            f"end it in {', '.join(FORMATS)}"
        )
    with atomic_write(path, "figure") as part:
        figure.savefig(part, format=kind[1:], dpi=dpi)
    return path


def figure_uri(figure: Figure) -> str:
    """Return a figure as a data URI for a page."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return data_uri("png", content.getvalue())


def prediction_figure(
    transmitted: Volume,
    prediction: Mapping[str, Volume],
    truth: Mapping[str, Volume],
    report: Report,
) -> Figure:
    """Draw the middle plane of every structure beside its truth, with R²."""
    rows = -(-len(prediction) // _STRUCTURES_ACROSS)
    figure = new_figure(16, 3.6 + 2.6 * rows)
    parts: Any = figure.subfigures(2, 1, height_ratios=(3.6, 2.6 * rows))
    head, body = parts
    depth = report.shape.output[1]
    guessed = [z for z in range(depth) if z not in report.measured_planes]
    plane = min(guessed or range(depth), key=lambda z: abs(z - depth / 2))
    top = head.add_gridspec(1, 3)
    axes = head.add_subplot(top[0, 0])
    index = plane if report.request.simulate_sparse else round(plane / report.ratio)
    light = transmitted.array[min(index, transmitted.shape[0] - 1)]
    _picture(axes, light, "gray", contrast(np.asarray(light), LIGHT))
    axes.set_title(
        f"Transmitted light: {len(report.measured_planes)} of {depth} planes measured "
        f"(r = {report.ratio:.3g})",
        fontsize=10,
    )
    axes = head.add_subplot(top[0, 1:])
    draw_curves(axes, _r2_curves(report.structures), report.measured_planes)
    if not report.structures:
        text = "no ground truth: nothing is scored"
        axes.text(0.5, 0.5, text, color=_FAINT, transform=axes.transAxes, ha="center")
    grid = body.add_gridspec(rows, 2 * _STRUCTURES_ACROSS)
    for number, (name, volume) in enumerate(prediction.items()):
        row, column = divmod(number, _STRUCTURES_ACROSS)
        structure = structure_or_custom(name)
        left = body.add_subplot(grid[row, 2 * column])
        right = body.add_subplot(grid[row, 2 * column + 1])
        position = volume.origin[0] + plane * report.voxel_size[0]
        if name in truth:
            image = _plane_at(truth[name], position)
            _picture(left, image, _ink(structure.colour), contrast(image))
            left.set_title(f"{structure.label}, truth", fontsize=9)
        else:
            left.set_axis_off()
        image = np.asarray(volume.array[plane])
        _picture(right, image, _ink(structure.colour), contrast(image))
        r2 = report.structures.get(name, {}).get("r2")
        title = (
            f"{structure.label}, predicted"
            if r2 is None
            else (f"predicted, R² {_text(r2)}")
        )
        right.set_title(title, color=_on_white(structure.colour), fontsize=9)
    return figure


def _plane_at(volume: Volume, position: float) -> np.ndarray:
    step = volume.voxel_size[0] if volume.voxel_size else 1.0
    index = round((position - volume.origin[0]) / step)
    return np.asarray(volume.array[min(max(index, 0), volume.shape[0] - 1)])


def comparison_figure(report: ComparisonReport, plane: int) -> Figure:
    """Draw a row of one plane for each structure, and R² over the planes below them."""
    if not report.items:
        raise InputError("nothing is scored yet, so there is nothing to draw")
    depth, rows, columns = report.items[0].prediction.shape
    high = min(max(_WIDE * rows / columns, _LOW), _HIGH)
    light = light_stack(report)
    count = len(report.items)
    curves = _CURVES if depth > 1 else 0.0
    end = 0.0 if curves else 0.15
    width = 5 * (_WIDE + _GAP) + 0.75
    height = _HEAD + count * (high + _LABEL) + _KEY + curves + end
    figure = new_figure(width, height, None)

    def place(left: float, top: float, wide: float, tall: float) -> Axes:
        """Return axes at inches from the upper left corner."""
        box = left / width, 1 - (top + tall) / height, wide / width, tall / height
        return figure.add_axes(box)

    lefts = [_GAP + column * (_WIDE + _GAP) for column in range(4)]
    for number, item in enumerate(report.items):
        top = _HEAD + number * (high + _LABEL) + _LABEL
        axes = [place(left, top, _WIDE, high) for left in lefts]
        square = min(_WIDE, high) - 0.3
        axes.append(place(lefts[3] + _WIDE + _GAP + 0.5, top, square, square))
        error = _draw_row(axes, item, light, plane, unit=report.unit, first=not number)
    bottom = _HEAD + count * (high + _LABEL) + 0.1
    key = place(lefts[3] + 0.2, bottom, _WIDE - 0.4, 0.09)
    figure.colorbar(error, cax=key, orientation="horizontal")
    key.tick_params(labelsize=6)
    key.set_xlabel(
        "SD of the truth: underestimated – overestimated", fontsize=7, labelpad=1
    )
    if curves:
        axes_below = place(0.6, bottom + _KEY + 0.05, width - 0.9, curves - 0.75)
        draw_curves(axes_below, _r2_curves(report.scores()), report.measured, plane)
    parts = [report.input, report.model]
    parts += [f"plane {plane + 1} of {depth}"] * (depth > 1)
    parts += [] if report.time is None else [f"time point {report.time + 1}"]
    title = " · ".join(part for part in parts if part)
    figure.text(_GAP / width, 1 - 0.12 / height, title, fontsize=10, va="top")
    return figure


def comparison_curves(report: ComparisonReport) -> Figure:
    """Draw R² over the planes, and predicted against true values, for a page."""
    columns = min(len(report.items), 4)
    rows = -(-len(report.items) // columns)
    figure = new_figure(12, 2.6 + 2.9 * rows)
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[2.4] + [2.9] * rows)
    top = figure.add_subplot(grid[0, :])
    draw_curves(top, _r2_curves(report.scores()), report.measured)
    for number, item in enumerate(report.items):
        row, column = divmod(number, columns)
        axes = figure.add_subplot(grid[1 + row, column])
        _draw_density(axes, item)
        axes.set_title(structure_or_custom(item.name).label, fontsize=9)
    return figure


def light_stack(report: ComparisonReport) -> np.ndarray | None:
    """Return the input on the prediction's grid; None where it cannot be had."""
    if report.light is None or not report.items:
        return None
    try:
        (stack,) = on_the_same_grid(
            report.light,
            report.items[0].prediction,
            lambda _note: None,
            survey=False,
        )
    except InputError:
        return None
    return np.asarray(stack, np.float32)


def _draw_row(
    axes: list[Axes],
    item: ScoredStructure,
    light: np.ndarray | None,
    plane: int,
    *,
    unit: str,
    first: bool,
) -> Any:
    structure = structure_or_custom(item.name)
    truth, stack = aligned(item.truth, item.prediction)
    predicted = np.asarray(stack[plane], np.float32)
    limits = contrast(truth)
    if light is None:
        axes[0].set_axis_off()
    else:
        _picture(axes[0], light[plane], "gray", contrast(light, LIGHT))
        _scale_bar(axes[0], item.prediction, unit)
    _picture(axes[1], truth[plane], _ink(structure.colour), limits)
    _picture(axes[2], predicted, _ink(structure.colour), limits)
    low, high = (f"#{r:02x}{g:02x}{b:02x}" for r, g, b in (TOO_LOW, TOO_HIGH))
    error = _picture(
        axes[3],
        predicted - truth[plane],
        _colours(low, "white", high),
        (-ERROR_LIMIT, ERROR_LIMIT),
    )
    _draw_density(axes[4], item)
    figure: Any = axes[0].figure
    size = figure.get_size_inches()

    def above(number: int, inches: float, text: str, x: float, **style: Any) -> None:
        box = axes[number].get_position().height * size[1]
        axes[number].text(
            x, 1 + inches / box, text, transform=axes[number].transAxes, fontsize=9,
            **style,
        )  # fmt: skip

    titles = ("Transmitted light", "Truth", "Predicted", "Predicted − truth")
    for number, title in enumerate((*titles, "All voxels") if first else ()):
        above(number, 0.32, title, 0.5, ha="center")
    r2, pcc, ssim = (_text(item.agreement.scores[k]) for k in ("r2", "pcc", "ssim"))
    text = f"{structure.label}:   R² {r2}   PCC {pcc}   SSIM {ssim}"
    above(0, 0.07, text, 0.0, fontweight="bold")
    return error


def _draw_density(axes: Axes, item: ScoredStructure) -> None:
    density = item.agreement.density
    ends = (density.low, density.high)
    counts = np.where(density.counts > 0, density.counts, np.nan)
    axes.imshow(
        np.log10(counts).T, origin="lower", extent=(*ends, *ends), cmap="viridis_r",
        interpolation="nearest",
    )  # fmt: skip
    axes.plot(ends, ends, color=_FAINT, linewidth=1, linestyle="--")
    axes.set_xlabel("true, SD", fontsize=7)
    axes.set_ylabel("predicted, SD", fontsize=7)
    _plain(axes)


def _r2_curves(structures: Mapping[str, Mapping[str, Any]]) -> dict[str, np.ndarray]:
    return {
        name: _values(scores.get("r2_per_plane") or [])
        for name, scores in structures.items()
    }


def draw_curves(
    axes: Axes,
    curves: Mapping[str, np.ndarray],
    measured: Sequence[int] | None,
    plane: int | None = None,
) -> None:
    """Draw R² of each plane by structure, measured planes marked by ticks."""
    lowest = 0.0
    # darkened for white paper, some of twelve colours are alike: dashes keep them apart
    dashes = cycle(("-", "--", ":"))
    for name, values in curves.items():
        structure = structure_or_custom(name)
        colour = _on_white(structure.colour)
        axes.plot(values, next(dashes), color=colour, lw=1.7, label=structure.label)
        lowest = min(lowest, float(np.nanmin(values, initial=0.0)))
    for z in measured or ():
        axes.axvline(z, ymax=0.05, color=_MEASURED, linewidth=1.2)
    if plane is not None:
        axes.axvline(plane, color=_FAINT, linewidth=1, linestyle=":")
    axes.set_ylim(max(lowest, LOWEST), 1)
    axes.set_xlabel("plane" + " (ticks: measured)" * bool(measured), fontsize=8)
    axes.set_ylabel("R² within the plane", fontsize=8)
    axes.locator_params(axis="x", integer=True)
    _plain(axes)
    if len(curves) > 1:
        axes.legend(fontsize=7, frameon=False, ncol=4, loc="lower right")


def sweep_figure(report: SweepReport) -> Figure:
    """Draw R² over the ratio beside its baselines, and R² of each plane along z."""
    figure = new_figure(12, 4.8)
    left, right = figure.subplots(1, 2)
    _draw_decay(left, report)
    _draw_along_z(right, report)
    for axes, columns in ((left, 3), (right, 4)):
        _plain(axes)
        axes.tick_params(labelsize=9)
        # Below the axes, where it hides no curve.
        axes.legend(
            fontsize=8, frameon=False, ncol=columns, columnspacing=1.2,
            handlelength=1.6, loc="upper center", bbox_to_anchor=(0.5, -0.16),
        )  # fmt: skip
    return figure


def _draw_decay(axes: Axes, report: SweepReport) -> None:
    names = report.structures
    places = range(len(report.ratios))
    lowest = 0.0
    for name in names:
        structure = structure_or_custom(name)
        colour = _on_white(structure.colour)
        values = _values([point.value for point in report.curve("r2", name)])
        axes.plot(places, values, "o-", color=colour, label=structure.label, ms=4)
        spans = [
            _values([phase.structures[name].get("r2") for phase in step.phases])
            for step in report.ratios
        ]
        low, high = [np.min(s) for s in spans], [np.max(s) for s in spans]
        lowest = min(lowest, float(np.nanmin(np.array([*values, *low]), initial=0)))
        if len(report.ratios[-1].phases) > 1:
            axes.fill_between(places, low, high, color=colour, alpha=0.18, lw=0)
    if len(names) > 1:
        mean = _values([point.value for point in report.curve("r2")])
        axes.plot(places, mean, "s--", color=_INK, lw=2, label="mean of structures")
    _draw_ceilings(axes, report)
    several = " (mean)" if len(names) > 1 else ""
    scores = reference_scores(report, "r2")
    styles: tuple[Any, ...] = ("-.", "--", (0, (1, 3)), (0, (5, 5)))
    for style, (which, (label, _)) in zip(styles, BASELINES.items(), strict=True):
        value = scores[which]
        if value is not None and value > LOWEST:
            axes.axhline(value, color=_FAINT, lw=1.2, ls=style, label=label + several)
            lowest = min(lowest, value)
    axes.axhline(0, color=_FAINT, lw=0.8, zorder=0)
    axes.set_ylim(max(LOWEST, lowest - 0.08), 1.0)
    axes.set_xlim(-0.25, len(places) - 0.75)
    axes.set_xticks(
        places, [f"r = {s.ratio}\n{s.planes} planes" for s in report.ratios]
    )
    over = "with the dense prediction" if report.against_dense else "over the stack"
    axes.set_ylabel(f"R² {over}")
    axes.set_title("What leaving out planes costs", fontsize=11)


def _draw_ceilings(axes: Axes, report: SweepReport) -> None:
    """Draw the noise ceiling: a line, or a mark a structure where there are several."""
    last = len(report.ratios) - 1
    known = [
        (structure_or_custom(name), ceiling["r2"])
        for name, ceiling in report.baselines.ceiling.items()
        if ceiling is not None and ceiling["r2"] is not None
    ]
    if len(report.structures) == 1 and known:
        axes.axhline(known[0][1], color=_INK, lw=1.2, ls=":", label="noise ceiling")
        axes.axhspan(known[0][1], 1.0, color="#eceef1", zorder=0)
        return
    for number, (structure, value) in enumerate(known):
        label = "noise ceiling of each" if number == 0 else None
        ends = [last + 0.1, last + 0.25]
        colour = _on_white(structure.colour)
        axes.plot(ends, [value, value], color=colour, lw=3, label=label)


def _draw_along_z(axes: Axes, report: SweepReport) -> None:
    """R² within each plane, of every first phase.

    The median of structures: one that is hardly there in a plane would rule the mean.
    """
    lowest = 0.0
    for number, step in enumerate(report.ratios):
        curves = list(_r2_curves(step.phases[0].structures).values())
        middle = np.median(curves, axis=0)
        shade = str(0.1 + 0.6 * number / max(1, len(report.ratios) - 1))
        axes.plot(middle, color=shade, lw=1.8, label=f"r = {step.ratio}")
        lowest = min(lowest, float(np.nanmin(middle, initial=0)))
    axes.axhline(0, color=_FAINT, lw=0.8, zorder=0)
    axes.set_ylim(max(2 * LOWEST, lowest - 0.05), 1.0)
    axes.set_xlabel("plane of the dense stack")
    axes.set_ylabel("R² within the plane")
    several = ", median of structures" if len(report.structures) > 1 else ""
    axes.set_title(f"Where along z{several}", fontsize=11)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=7, colors=_FAINT)
    axes.spines[["top", "right"]].set_visible(False)


def _picture(axes: Axes, image: Any, colours: Any, limits: Limits) -> Any:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes.imshow(
        np.asarray(image, np.float32), cmap=colours, vmin=limits[0], vmax=limits[1]
    )


def _scale_bar(axes: Axes, volume: Volume, unit: str) -> None:
    if volume.voxel_size is None:
        return
    height, width = volume.shape[-2:]
    step = volume.voxel_size[2]
    length = max((n for n in SCALES if n <= width * step / 3), default=0)
    if length:
        end, level = 0.95 * width, 0.92 * height
        axes.plot([end - length / step, end], [level] * 2, color="white", linewidth=2.5)
        axes.text(
            end - length / step / 2, level - 0.02 * height, f"{length} {unit}",
            color="white", fontsize=7, ha="center", va="bottom",
        )  # fmt: skip


def contrast(stack: np.ndarray, percentiles: Limits = CONTRAST) -> Limits:
    """Return the values of a stack that become black and full colour."""
    finite = stack[np.isfinite(stack)]
    sample = finite[:: max(1, finite.size // 1_000_000)]
    low, high = np.percentile(sample, percentiles) if sample.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))


def _values(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])


def rgb(colour: str) -> tuple[int, ...]:
    """Return the channels of ``#rrggbb``, 0 to 255."""
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def _on_white(colour: str) -> str:
    """Darken a colour that would hardly be seen on paper."""
    red, green, blue = rgb(colour)
    brightness = (0.3 * red + 0.59 * green + 0.11 * blue) / 255
    share = min(1.0, 0.5 / max(brightness, 1e-6))
    return "#" + "".join(f"{round(share * part):02x}" for part in (red, green, blue))


def _ink(colour: str) -> Any:
    return _colours("#000000", colour)


def _colours(*stops: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("stops", list(stops))


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def data_uri(kind: str, content: bytes) -> str:
    """Return an encoded picture as a data URI for a page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
