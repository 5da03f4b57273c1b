"""One figure of a comparison: light, truth, prediction, error and how values agree."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.evaluation.agreement import aligned_truth, on_the_same_grid
from napari_sparsessp.evaluation.findings import Finding, Findings
from napari_sparsessp.evaluation.gallery import (
    CONTRAST,
    ERROR_LIMIT,
    TOO_HIGH,
    TOO_LOW,
)
from napari_sparsessp.files import atomic_write
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = (".png", ".svg", ".pdf")
"""Endings that a figure's name may have."""

LIGHT = (0.3, 99.7)
_FAINT = "#667080"
# Inches.
_WIDE, _LOWEST, _HIGHEST, _GAP = 2.3, 1.2, 4.0, 0.12
_HEAD, _LABEL, _KEY, _CURVES = 0.42, 0.34, 0.45, 2.3
_NICE = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def write_figure(findings: Findings, plane: int, path: Path) -> None:
    """Draw the figure into a file, in one step.

    Parameters
    ----------
    findings : Findings
    plane : int
        Of the prediction, to be shown.
    path : Path
        Its ending says what it is: one of `KINDS`.

    Raises
    ------
    InputError
        The two can no longer be compared, or there is nothing to draw.
    OutputError
        The ending is another, or the file cannot be written.
    """
    if path.suffix.lower() not in KINDS:
        raise OutputError(
            f"{path.name} has no ending that says how to draw it; "
            f"end it in {', '.join(KINDS)}"
        )
    drawing = draw(findings, plane)
    with atomic_write(path, "figure") as part:
        drawing.savefig(part, format=path.suffix[1:].lower(), dpi=200)


def draw(findings: Findings, plane: int) -> "Figure":
    """Draw a row for each structure, and R² over the planes below them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not findings.items:
        raise InputError("nothing is scored yet, so there is nothing to draw")
    depth, rows, columns = findings.items[0].prediction.shape
    high = min(max(_WIDE * rows / columns, _LOWEST), _HIGHEST)
    light = light_stack(findings)
    count = len(findings.items)
    curves = _CURVES if depth > 1 else 0.0
    end = 0.0 if curves else 0.15
    size = (
        5 * (_WIDE + _GAP) + 0.75,
        _HEAD + count * (high + _LABEL) + _KEY + curves + end,
    )
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)

    def place(left: float, top: float, width: float, height: float) -> "Axes":
        """Give axes at inches from the upper left corner."""
        box = left / size[0], 1 - (top + height) / size[1]
        return figure.add_axes((*box, width / size[0], height / size[1]))

    for number, one in enumerate(findings.items):
        top = _HEAD + number * (high + _LABEL) + _LABEL
        lefts = [_GAP + column * (_WIDE + _GAP) for column in range(4)]
        axes = [place(left, top, _WIDE, high) for left in lefts]
        square = min(_WIDE, high) - 0.3
        axes.append(place(lefts[3] + _WIDE + _GAP + 0.5, top, square, square))
        error = _draw_row(
            axes, one, light, plane, unit=findings.unit, first=number == 0
        )
    bottom = _HEAD + count * (high + _LABEL) + 0.1
    key = place(lefts[3] + 0.2, bottom, _WIDE - 0.4, 0.09)
    figure.colorbar(error, cax=key, orientation="horizontal")
    key.tick_params(labelsize=6)
    key.set_xlabel("SD of the truth: too dark – too bright", fontsize=7, labelpad=1)
    if curves:
        top = bottom + _KEY + 0.05
        draw_curves(place(0.6, top, size[0] - 0.9, curves - 0.75), findings, plane)
    figure.text(
        _GAP / size[0], 1 - 0.12 / size[1], _title(findings, plane), fontsize=10,
        va="top",
    )  # fmt: skip
    return figure


def _title(findings: Findings, plane: int) -> str:
    depth = findings.items[0].prediction.shape[0]
    parts = [findings.input, findings.model]
    if depth > 1:
        parts.append(f"plane {plane + 1} of {depth}")
    if findings.time is not None:
        parts.append(f"time point {findings.time + 1}")
    return " · ".join(part for part in parts if part)


def curves_png(findings: Findings) -> bytes:
    """Draw R² over the planes and the densities as a picture of a page."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(len(findings.items), 4)
    rows = -(-len(findings.items) // columns)
    figure = Figure(figsize=(12, 2.6 + 2.9 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[2.4] + [2.9] * rows)
    draw_curves(figure.add_subplot(grid[0, :]), findings, None)
    for number, one in enumerate(findings.items):
        row, column = divmod(number, columns)
        axes = figure.add_subplot(grid[1 + row, column])
        _draw_density(axes, one)
        axes.set_title(structure_or_custom(one.name).label, fontsize=9)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def light_stack(findings: Findings) -> np.ndarray | None:
    """Give the input on the prediction's grid; None where it cannot be had."""
    if findings.light is None or not findings.items:
        return None
    try:
        (stack,) = on_the_same_grid(
            findings.light, findings.items[0].prediction, lambda _note: None
        )
    except InputError:
        return None
    return np.asarray(stack, np.float32)


def draw_curves(axes: "Axes", findings: Findings, plane: int | None) -> None:
    """Draw R² of each plane, measured planes marked by ticks."""
    lowest = 0.0
    for one in findings.items:
        values = [
            np.nan if r2 is None else r2 for r2 in one.agreement.scores["r2_per_plane"]
        ]
        known = structure_or_custom(one.name)
        colour = _on_white(known.colour)
        axes.plot(values, color=colour, linewidth=1.7, label=known.label)
        lowest = min(lowest, float(np.nanmin(values, initial=0.0)))
    for measured in findings.measured or ():
        axes.axvline(measured, ymax=0.05, color="#3566b0", linewidth=1.2)
    if plane is not None:
        axes.axvline(plane, color=_FAINT, linewidth=1, linestyle=":")
    axes.set_ylim(max(lowest, -0.5), 1)
    axes.set_xlabel(
        "plane" + (" (ticks: measured)" if findings.measured else ""), fontsize=8
    )
    axes.set_ylabel("R² within the plane", fontsize=8)
    axes.tick_params(labelsize=7, colors=_FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    if len(findings.items) > 1:
        axes.legend(fontsize=7, frameon=False, ncol=4, loc="lower right")


def _draw_row(
    axes: "list[Axes]",
    one: Finding,
    light: np.ndarray | None,
    plane: int,
    *,
    unit: str,
    first: bool,
) -> Any:
    known = structure_or_custom(one.name)
    truth = aligned_truth(one.truth, one.prediction)
    found = np.asarray(one.prediction.array[plane], np.float32)
    window = _window(truth, CONTRAST)
    titles = (
        "Transmitted light",
        "Truth",
        "Predicted",
        "Predicted − truth",
        "All voxels",
    )
    if light is None:
        axes[0].set_axis_off()
    else:
        _picture(axes[0], light[plane], "gray", _window(light, LIGHT))
        _scale_bar(axes[0], one.prediction, unit)
    ink = _ink(known.colour)
    _picture(axes[1], truth[plane], ink, window)
    _picture(axes[2], found, ink, window)
    limits = (-ERROR_LIMIT, ERROR_LIMIT)
    image = _picture(axes[3], found - truth[plane], _error_ink(), limits)
    _draw_density(axes[4], one)
    for ax, title in zip(axes, titles, strict=True):
        if first:
            ax.text(
                0.5, 1 + 0.32 / _inches(ax), title, transform=ax.transAxes, fontsize=9,
                ha="center",
            )  # fmt: skip
    scores = one.agreement.scores
    axes[0].text(
        0.0, 1 + 0.07 / _inches(axes[0]), f"{known.label}:   R² {_text(scores['r2'])}"
        f"   PCC {_text(scores['pcc'])}   SSIM {_text(scores['ssim'])}",
        transform=axes[0].transAxes, fontsize=9, fontweight="bold",
    )  # fmt: skip
    return image


def _inches(axes: "Axes") -> float:
    """Height of axes."""
    figure: Any = axes.figure
    return float(axes.get_position().height * figure.get_size_inches()[1])


def _draw_density(axes: "Axes", one: Finding) -> None:
    density = one.agreement.density
    ends = (density.low, density.high)
    counts = np.where(density.counts > 0, density.counts, np.nan)
    axes.imshow(
        np.log10(counts).T, origin="lower", extent=(*ends, *ends), cmap="viridis_r",
        interpolation="nearest",
    )  # fmt: skip
    axes.plot(ends, ends, color=_FAINT, linewidth=1, linestyle="--")
    axes.set_xlabel("true, SD", fontsize=7)
    axes.set_ylabel("predicted, SD", fontsize=7)
    axes.tick_params(labelsize=6, colors=_FAINT)
    axes.spines[["top", "right"]].set_visible(False)


def _picture(
    axes: "Axes", image: np.ndarray, colours: Any, window: tuple[float, float]
) -> Any:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes.imshow(image, cmap=colours, vmin=window[0], vmax=window[1])


def _scale_bar(axes: "Axes", volume: Volume, unit: str) -> None:
    if volume.voxel_size is None:
        return
    height, width = volume.shape[-2:]
    step = volume.voxel_size[2]
    length = max((one for one in _NICE if one <= width * step / 3), default=0)
    if length:
        end, level = 0.95 * width, 0.92 * height
        axes.plot([end - length / step, end], [level] * 2, color="white", linewidth=2.5)
        axes.text(
            end - length / step / 2, level - 0.02 * height, f"{length} {unit}",
            color="white", fontsize=7, ha="center", va="bottom",
        )  # fmt: skip


def _window(stack: np.ndarray, percent: tuple[float, float]) -> tuple[float, float]:
    some = stack[np.isfinite(stack)]
    some = some[:: max(1, some.size // 1_000_000)]
    low, high = np.percentile(some, percent) if some.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))


def _on_white(colour: str) -> str:
    """Darken what would hardly be seen on paper."""
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    light = (0.3 * parts[0] + 0.59 * parts[1] + 0.11 * parts[2]) / 255
    share = min(1.0, 0.6 / max(light, 1e-6))
    return "#" + "".join(f"{round(share * part):02x}" for part in parts)


def _ink(colour: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ink", ["#000000", colour])


def _error_ink() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    low, high = (f"#{r:02x}{g:02x}{b:02x}" for r, g, b in (TOO_LOW, TOO_HIGH))
    return LinearSegmentedColormap.from_list("error", [low, "white", high])


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")
