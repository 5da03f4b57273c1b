"""One figure that says what went in, what came out and how good it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import OutputError
from napari_sparsessp.prediction.report import Report
from napari_sparsessp.structures import Structure, structure_or_custom
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BACKGROUND = "#14161a"
INK = "#e8e8ea"
FAINT = "#8b8f98"
CONTRAST = (1.0, 99.7)
"""Percentiles that become black and full colour."""

LIGHT = (0.3, 99.7)
"""The same for transmitted light: all but its few glints and specks."""

COLUMNS = 3  # structures side by side, each as truth and prediction


def figure(
    path: Path,
    transmitted: Volume,
    prediction: Mapping[str, Volume],
    truth: Mapping[str, Volume],
    report: Report,
) -> Path:
    """Draw the middle plane of every structure beside its truth, with R².

    Parameters
    ----------
    path : Path
        ``.png``, ``.svg`` or ``.pdf``; an existing file is replaced.
    transmitted : Volume
        ZYX, the input.
    prediction, truth : mapping
        Structure id to ZYX volume; a structure may lack a truth.
    report : Report

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        The figure cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(prediction) // COLUMNS)
    drawing = Figure(
        figsize=(16, 3.6 + 2.6 * rows),
        dpi=110,
        facecolor=BACKGROUND,
        layout="constrained",
    )
    FigureCanvasAgg(drawing)
    parts: Any = drawing.subfigures(2, 1, height_ratios=(3.6, 2.6 * rows))
    head, body = parts
    for part in parts:
        part.set_facecolor(BACKGROUND)
    grid = body.add_gridspec(rows, 2 * COLUMNS)
    top = head.add_gridspec(1, 3)
    plane = _plane(report)
    _draw_input(head.add_subplot(top[0, 0]), transmitted, report, plane)
    _draw_curves(head.add_subplot(top[0, 1:]), report)
    for index, (name, volume) in enumerate(prediction.items()):
        row, column = index // COLUMNS, 2 * (index % COLUMNS)
        structure = structure_or_custom(name)
        predicted = np.asarray(volume.array[plane])
        left = body.add_subplot(grid[row, column])
        right = body.add_subplot(grid[row, column + 1])
        if name in truth:
            position = volume.origin[0] + plane * report.voxel_size[0]
            _draw_plane(left, _nearest_plane(truth[name], position), structure)
            left.set_title(f"{structure.label}, truth", color=INK, fontsize=9)
        else:
            left.set_axis_off()
        _draw_plane(right, predicted, structure)
        right.set_title(_caption(report, name), color=structure.colour, fontsize=9)
    _save(drawing, path)
    return path


def _plane(report: Report) -> int:
    """The dense plane to show: the middle one that was not measured, if any."""
    depth = report.shape.output[1]
    guessed = [z for z in range(depth) if z not in report.measured_planes]
    return min(guessed or range(depth), key=lambda z: abs(z - depth / 2))


def _nearest_plane(volume: Volume, position: float) -> np.ndarray:
    step = volume.voxel_size[0] if volume.voxel_size else 1.0
    index = round((position - volume.origin[0]) / step)
    return np.asarray(volume.array[min(max(index, 0), volume.shape[0] - 1)])


def _draw_plane(axes: "Axes", image: np.ndarray, structure: Structure) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, CONTRAST) if finite.size else (0.0, 1.0)
    colours = LinearSegmentedColormap.from_list("ink", ["#000000", structure.colour])
    axes.imshow(image, cmap=colours, vmin=low, vmax=max(high, low + 1e-9))
    axes.set_axis_off()


def _draw_input(axes: "Axes", transmitted: Volume, report: Report, plane: int) -> None:
    step = report.ratio * report.voxel_size[0]
    index = min(round(plane * report.voxel_size[0] / step), transmitted.shape[0] - 1)
    if report.request.simulate_sparse:
        index = min(plane, transmitted.shape[0] - 1)
    image = np.asarray(transmitted.array[index], dtype=np.float32)
    low, high = np.nanpercentile(image, LIGHT)
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-9))
    count = len(report.measured_planes)
    axes.set_title(
        f"Transmitted light: {count} of {report.shape.output[1]} planes measured "
        f"(r = {report.ratio:.3g})",
        color=INK,
        fontsize=10,
    )
    axes.set_axis_off()


def _draw_curves(axes: "Axes", report: Report) -> None:
    """R² over z for each scored structure, measured planes marked."""
    axes.set_facecolor(BACKGROUND)
    for plane in report.measured_planes:
        axes.axvline(plane, color="#3a3f48", linewidth=1, zorder=0)
    for name, scores in report.structures.items():
        curve = [np.nan if r2 is None else r2 for r2 in scores.get("r2_per_plane", [])]
        structure = structure_or_custom(name)
        axes.plot(curve, color=structure.colour, linewidth=1.6, label=structure.label)
    axes.set_ylim(-0.5, 1)
    axes.set_xlabel("plane (grey lines: measured)", color=FAINT, fontsize=9)
    axes.set_ylabel("R² within the plane", color=FAINT, fontsize=9)
    axes.tick_params(colors=FAINT, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color("#3a3f48")
    if report.structures:
        axes.legend(
            ncol=4, fontsize=8, frameon=False, labelcolor=INK, loc="lower center"
        )
    else:
        axes.text(
            0.5, 0.5, "no ground truth: nothing is scored", color=FAINT,
            transform=axes.transAxes, ha="center",
        )  # fmt: skip


def _caption(report: Report, name: str) -> str:
    scores: dict[str, Any] = report.structures.get(name, {})
    r2 = scores.get("r2")
    if r2 is None:
        return f"{structure_or_custom(name).label}, predicted"
    return f"predicted, R² {r2:.2f}"


def _save(drawing: "Figure", path: Path) -> None:
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        drawing.savefig(part)
        part.replace(path)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"cannot write figure {path}: {error}; choose another place"
        ) from error
    finally:
        part.unlink(missing_ok=True)
