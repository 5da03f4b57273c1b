"""Measure predictions and truths where the user has drawn: regions and lines.

Intensities are in the truth's own units, and in standard deviations of a z-scored truth
where there is none.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from qtpy.QtWidgets import QPushButton, QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.layers.reading import LayerReading, micrometres, read_layer
from napari_sparsessp.ui.preferences import preferences
from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.ui.widgets.basic import in_a_column, wrapped_label
from napari_sparsessp.ui.widgets.charts import Chart, Curve
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.numbers import local
from napari_sparsessp.ui.widgets.table import Column, Kind, RowsModel
from napari_sparsessp.ui.widgets.table_view import RowsView
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    import napari.layers

Stacks = tuple[str, Volume, Volume | None]
"""A structure, its prediction and its truth, ZYX."""
_NOWHERE = (
    "no label, shape or line of this layer lies on the prediction; draw one there, or "
    "set the layer's scale and units"
)
_CORNERS = 64  # of an ellipse
_CHART_HIGH = 170


@dataclass(frozen=True, eq=False)
class Line:
    """A line in one plane: corners (n, 2) in y and x, and width, in pixels."""

    name: str
    plane: int
    corners: np.ndarray
    width: int


@dataclass(frozen=True, eq=False)
class Drawn:
    """The shapes drawn in a layer, in voxels of a prediction's grid."""

    regions: dict[str, np.ndarray] = field(default_factory=dict)  # (n, 3) voxels
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class RegionRow:
    """One region of one structure; sums are integrated intensities."""

    region: str
    structure: str
    size: float
    unit: str
    predicted_mean: float
    predicted_sum: float
    true_mean: float | None = None
    true_sum: float | None = None


@dataclass(frozen=True, eq=False)
class Profile:
    """Intensities of one structure along one line."""

    line: str
    structure: str
    unit: str
    distance: np.ndarray
    predicted: np.ndarray
    true: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Measured:
    """All that was measured in one layer."""

    rows: tuple[RegionRow, ...] = ()
    profiles: tuple[Profile, ...] = ()

    def csv(self, kind: str) -> str:
        """Return a table: of `regions`, or points of every `profile`."""
        if kind == "regions":
            names = tuple(RegionRow.__dataclass_fields__)
            lines = [[getattr(row, name) for name in names] for row in self.rows]
            return _csv(names, lines)
        lines = [
            [one.line, one.structure, at, one.unit, predicted, true]
            for one in self.profiles
            for at, predicted, true in zip(
                one.distance,
                one.predicted,
                [None] * len(one.distance) if one.true is None else one.true,
                strict=True,
            )
        ]
        return _csv(
            ("line", "structure", "distance", "unit", "predicted", "true"), lines
        )


def _csv(names: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    import csv
    import io

    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(names)
    table.writerows(lines)
    return text.getvalue()


def drawn_in(
    layer: Any, onto: LayerReading, plane: int, time: int | None
) -> Callable[[], Drawn]:
    """Return what brings a labels or shapes layer onto the grid of a prediction.

    It reads labels, in any thread. The whole transform of both layers counts. What has
    no z is taken to lie in `plane`, the one on screen; labels of a time-lapse are those
    of `time`.
    """
    if hasattr(layer, "shape_type"):
        shapes = _shapes(layer, onto, plane)
        return lambda: shapes
    return partial(_labels, read_layer(layer, leading="T"), onto, plane, time)


def _labels(
    reading: LayerReading, onto: LayerReading, plane: int, time: int | None
) -> Drawn:
    from skimage.measure import regionprops

    volume = reading.volume
    if "T" in volume.axes:
        volume = volume.time(min(time or 0, volume.sizes["T"] - 1))
    numbers = volume.numpy()
    depth, *area = onto.volume.shape[-3:]
    result = np.zeros((depth, *area), numbers.dtype)
    flat = "Z" not in reading.letters
    rows, columns = np.indices(area)
    for z in [plane] if flat else range(depth):
        voxels = np.stack([np.full(area, z), rows, columns], axis=-1)
        world = (onto.volume.origin + onto.steps * voxels) @ onto.frame.T
        at = np.rint(_voxels(reading, world)).astype(int)
        at[..., 0] = 0 if flat else at[..., 0]
        inside = ((at >= 0) & (at < numbers.shape)).all(axis=-1)
        result[z][inside] = numbers[tuple(at[inside].T)]
    return Drawn({str(one.label): one.coords for one in regionprops(result)})


def _shapes(layer: Any, onto: LayerReading, plane: int) -> Drawn:
    from skimage.draw import polygon

    regions, lines = {}, []
    depth, *area = onto.volume.shape[-3:]
    units = [micrometres(unit) or 1.0 for unit in layer.units[-3:]]
    each = zip(layer.data, layer.shape_type, layer.edge_width, strict=True)
    for number, (corners, kind, width) in enumerate(each, start=1):
        world = np.array([layer.data_to_world(corner) for corner in corners], float)
        world = world[:, -3:] * units
        flat = world.shape[1] < 3
        if flat:
            world = np.pad(world, ((0, 0), (1, 0)))
        voxels = _voxels(onto, world)
        z = plane if flat else round(float(voxels[:, 0].mean()))
        if not 0 <= z < depth:
            continue
        yx = voxels[:, 1:]
        if kind in ("line", "path"):
            pixel = abs(float(layer.scale[-1])) * units[-1] / onto.steps[-1]
            lines.append(Line(str(number), z, yx, max(1, round(width * pixel))))
            continue
        if kind == "ellipse":
            turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
            one, other = (yx[1] - yx[0]) / 2, (yx[2] - yx[1]) / 2
            yx = yx.mean(axis=0) + np.cos(turn) * one + np.sin(turn) * other
        inside = np.stack(polygon(yx[:, 0], yx[:, 1], area), axis=-1)
        if len(inside):
            regions[str(number)] = np.insert(inside, 0, z, axis=1)
    return Drawn(regions, tuple(lines))


def _voxels(reading: LayerReading, world: np.ndarray) -> np.ndarray:
    """Return voxels, (…, 3), of a layer at places in the world."""
    along = world @ np.linalg.inv(reading.frame).T
    return (along - reading.volume.origin) / reading.steps


def measure(
    stacks: Sequence[Stacks],
    find: Callable[[], Drawn],
    unit: str,
    progress: TaskProgress,
) -> Measured:
    """Measure structures in regions and along lines; reads the planes they lie in.

    `unit` is that of all voxel sizes, ``µm`` or ``px``.
    """
    progress(0.0, what="Reading what is drawn…")
    drawn = find()
    if not drawn.regions and not drawn.lines:
        raise InputError(_NOWHERE)
    rows: list[RegionRow] = []
    profiles: list[Profile] = []
    planes = {int(z) for voxels in drawn.regions.values() for z in voxels[:, 0]}
    planes |= {line.plane for line in drawn.lines}
    for done, (structure, prediction, truth) in enumerate(stacks):
        label = structure_or_custom(structure).label
        progress(done, len(stacks), f"Measuring {label}…")
        predicted, true = _planes(prediction, truth, sorted(planes))
        size = np.array(prediction.voxel_size or (1.0, 1.0, 1.0))
        for name, voxels in drawn.regions.items():
            measured = _row(voxels, size, predicted, true)
            power = "³" if len({*voxels[:, 0]}) > 1 else "²"
            area, *intensities = measured
            row = RegionRow(name, structure, area, unit + power, *intensities)
            rows.append(row)
        for line in drawn.lines:
            values = _profile(line, size[1:], predicted, true)
            profiles.append(Profile(line.name, structure, unit, *values))
    return Measured(tuple(rows), tuple(profiles))


Planes = dict[int, np.ndarray]


def _planes(
    prediction: Volume, truth: Volume | None, wanted: Sequence[int]
) -> tuple[Planes, Planes | None]:
    """Read planes of a prediction and its truth, in the truth's units."""
    from napari_sparsessp.evaluation.agreement import (
        in_truth_units,
        moments,
        on_the_same_grid,
    )

    if truth is None:
        stack = prediction.array
        return {z: np.asarray(stack[z], np.float64) for z in wanted}, None
    (true,) = on_the_same_grid(truth, prediction, lambda _note: None)
    mean, deviation = moments(true)
    scaled = in_truth_units(prediction, true)
    return (
        {z: mean + deviation * np.asarray(scaled[z], np.float64) for z in wanted},
        {z: np.asarray(true[z], np.float64) for z in wanted},
    )


def _row(
    voxels: np.ndarray, size: np.ndarray, predicted: Planes, true: Planes | None
) -> tuple[float, ...]:
    """Return size, mean and sum of the prediction, and of the truth if there is one."""
    planes = np.unique(voxels[:, 0])
    each = float(np.prod(size if len(planes) > 1 else size[1:]))

    def statistics(stack: Planes) -> tuple[float, float]:
        parts = [stack[z][tuple(voxels[voxels[:, 0] == z, 1:].T)] for z in planes]
        values = np.concatenate(parts)
        values = values[np.isfinite(values)]
        return float(values.mean()) if values.size else np.nan, float(values.sum())

    known = [stack for stack in (predicted, true) if stack is not None]
    values = [value for stack in known for value in statistics(stack)]
    return (len(voxels) * each, *values)


def _profile(
    line: Line, pixel: np.ndarray, predicted: Planes, true: Planes | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return distance along a line, the prediction there, and the truth if any."""
    from skimage.measure import profile_line

    ends = list(zip(line.corners[:-1], line.corners[1:], strict=True))

    def along(stack: Planes) -> np.ndarray:
        plane = stack[line.plane]
        how = {"linewidth": line.width, "mode": "constant", "cval": np.nan, "order": 1}
        parts = [profile_line(plane, *pair, **how) for pair in ends]
        return np.concatenate(parts)

    distance, start = [], 0.0
    for one, other in ends:
        length = float(np.linalg.norm((other - one) * pixel))
        points = int(np.ceil(np.linalg.norm(other - one) + 1))
        distance.append(start + np.linspace(0, length, points))
        start += length
    reference = None if true is None else along(true)
    return np.concatenate(distance), along(predicted), reference


def _number(value: float | None) -> str:
    if value is None or np.isnan(value):
        return "–"
    text = f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return local(text).replace("-", "\u2212")


def _column(key: str, title: str, tip: str, gives_way: int = 0) -> Column:
    value: Callable[[RegionRow], Any] = lambda row: getattr(row, key)  # noqa: E731
    return Column(
        key,
        title,
        lambda row: _number(value(row)),
        tip,
        kind=Kind.NUMBER,
        value=value,
        gives_way=gives_way,
    )


COLUMNS = (
    Column(
        "region",
        "Region",
        lambda row: f"{row.region} · {structure_or_custom(row.structure).label}",
        "Number of the label or shape, and the structure.",
    ),
    Column(
        "size",
        "Size",
        lambda row: f"{_number(row.size)} {row.unit}",
        "Area of a region in one plane, volume of one in several.",
        kind=Kind.NUMBER,
    ),
    _column("predicted_mean", "Predicted", "Mean intensity of the prediction."),
    _column("true_mean", "True", "Mean intensity of the truth."),
    _column("predicted_sum", "Σ pred.", "Integrated intensity of the prediction.", 2),
    _column("true_sum", "Σ true", "Integrated intensity of the truth.", 1),
)


@dataclass(frozen=True)
class Place:
    """Layer in which the user has drawn."""

    layer: Annotated[
        "napari.layers.Layer | None",
        {
            "label": "Measure in",
            "name": "Labels or shapes layer to measure in",
            "tooltip": "Every label, or every shape, is a region; a line gives an "
            "intensity profile, as wide as its edge. A region without z lies in the "
            "plane on screen.",
            "none": "draw in a Labels or Shapes layer",
        },
    ] = None


def _is_drawn(layer: Any) -> bool:
    from napari.layers import Labels, Shapes

    return isinstance(layer, (Labels, Shapes)) and not layer.metadata.get("sparsessp")


class RegionsPanel(QWidget):
    """Choose a layer, measure in it, and see regions as a table and lines as curves."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.place = Form(Place, viewer, {"layer": {"layers": _is_drawn}})
        self.button = QPushButton("Measure")
        self.button.setToolTip("Measure the ticked structures in this layer.")
        self.note = wrapped_label("small")
        self.table = RowsModel(COLUMNS, key=lambda row: (row.region, row.structure))
        self.view = RowsView(self.table, "Regions: size and intensities")
        self.chart = Chart("distance, µm", "intensity")
        self.chart.setFixedHeight(_CHART_HIGH)
        self.measured = Measured()
        self.place.changed.connect(self.show_place)
        parts = self.place, self.button, self.note, self.view, self.chart
        in_a_column(self, *parts, spacing=6)
        self.show_measured(Measured(), "")

    def show_place(self) -> None:
        """Enable the button where there is a layer to measure in."""
        self.button.setEnabled(self.place.get("layer") is not None)

    def show_measured(self, measured: Measured, chosen: str, note: str = "") -> None:
        """Show all regions, and the profile of the chosen structure along each line."""
        self.measured = measured
        self.show_place()
        self.table.set_rows(measured.rows)
        self.view.setVisible(bool(measured.rows))
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.show_profile(chosen)

    def show_profile(self, chosen: str) -> None:
        """Show intensities of a structure along each line, if it was measured."""
        profiles = [one for one in self.measured.profiles if one.structure == chosen]
        curves = []
        for one in profiles:
            which = f" {one.line}" if len(profiles) > 1 else ""
            distance = one.distance.tolist()
            if one.true is not None:
                curves.append(Curve(f"true{which}", distance, one.true.tolist()))
            name = f"{structure_or_custom(chosen).label}, predicted{which}"
            values, colour = one.predicted.tolist(), preferences().colour(chosen)
            curves.append(Curve(name, distance, values, colour, dashed=True))
            self.chart.set_labels(f"distance, {one.unit}", "intensity")
        self.chart.setVisible(bool(curves))
        self.chart.set_curves(curves)
