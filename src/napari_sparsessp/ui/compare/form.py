"""The Compare dock's form: what is compared, how it is seen, and how good it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QPushButton

from napari_sparsessp.ui.compare.regions import RegionsPanel
from napari_sparsessp.ui.compare.table import ScoreTable
from napari_sparsessp.ui.dock import StepForm
from napari_sparsessp.ui.layouts.arrangement import (
    CHECKERBOARD,
    COMPOSITIONS,
    SIDE_BY_SIDE,
    SWIPE,
)
from napari_sparsessp.ui.layouts.picker import LayoutPicker
from napari_sparsessp.ui.widgets.basic import (
    Foot,
    Mark,
    Segments,
    Step,
    in_a_row,
    wrapped_label,
)
from napari_sparsessp.ui.widgets.charts import Chart, DensityPlot
from napari_sparsessp.ui.widgets.forms import Form

if TYPE_CHECKING:
    import napari.layers

_PLANES_HIGH, _DENSITY_HIGH = 170, 270

_NOTHING = (
    "There is no prediction in this viewer yet. Predict one, or open one from a file; "
    "it appears here by itself."
)


@dataclass(frozen=True)
class ComparedSet:
    """Predictions to compare."""

    key: Annotated[
        str,
        {
            "name": "What is compared",
            "tooltip": "An input and the model that predicted from it. Two models' "
            "predictions of one input are compared one after the other.",
            "choices": (),
        },
    ] = ""


@dataclass(frozen=True)
class CompositionOptions:
    """How truth and prediction are composed."""

    border: Annotated[
        float,
        {
            "label": "Border",
            "tooltip": "Move the border between truth (left) and prediction (right); "
            "it can also be dragged in the picture.",
            "widget_type": "FloatSlider",
            "max": 1.0,
            "step": 0.005,
            "readout": False,
        },
    ] = 0.5
    fields: Annotated[
        int,
        {
            "label": "Fields",
            "tooltip": "More and smaller fields along the longer side, or fewer and "
            "larger ones.",
            "widget_type": "Slider",
            "min": 4,
            "max": 40,
            "readout": False,
        },
    ] = 8


@dataclass(frozen=True)
class CellOptions:
    """Cells side by side, beside those of input, truth and prediction."""

    error: Annotated[
        bool,
        {
            "label": "Error",
            "tooltip": "A cell with prediction − truth of the chosen structure, in "
            "standard deviations of the truth.",
        },
    ] = True
    uncertainty: Annotated[
        bool,
        {
            "label": "Uncertainty",
            "tooltip": "A cell with the predicted uncertainty of the chosen structure, "
            "where it was asked for in Predict.",
        },
    ] = False


SECTIONS = {
    "xy": "Planes as they were imaged.",
    "xz": "Orthogonal view: depth from top to bottom, at one row of the image.",
    "yz": "Orthogonal view: depth from left to right, at one column of the image.",
}
"""Tool tip by the axes that are shown."""
_NOTES = {
    SWIPE: "Left: truth · right: predicted. Drag the border here or there.",
    CHECKERBOARD: "The field in the upper left corner is truth.",
    SIDE_BY_SIDE: "Error: blue underestimated · black correct · orange overestimated, "
    "up to ±2 SD of the truth",
}


@dataclass(frozen=True)
class TruthChoice:
    """Truth of the chosen structure."""

    layer: Annotated[
        "napari.layers.Image | None",
        {
            "label": "Truth",
            "name": "Truth layer of the chosen structure",
            "tooltip": "The image layer that shows the real structure; scores, error "
            "and pictures are computed against it. A Labels layer is no truth, for its "
            "numbers are no brightness: measure in it below.",
            "none": "none",
        },
    ] = None


EXPORTS = {
    "csv": (
        "Table (CSV)…",
        "One line for each structure, for a spreadsheet.",
        "Table (*.csv)",
    ),
    "json": (
        "Report (JSON)…",
        "All scores, plane by plane, with what was compared, for programs.",
        "Report (*.json)",
    ),
    "html": (
        "Page to look at (HTML)…",
        "One file with pictures of all planes, for any browser; needs no network.",
        "Page (*.html)",
    ),
    "figure": (
        "Figure (PNG, SVG, PDF)…",
        "Light, truth, prediction and error of the ticked structures in the plane on "
        "screen, with the plots.",
        "Picture (*.png);;Drawing (*.svg);;Document (*.pdf)",
    ),
    "picture": (
        "Picture of the view (PNG, TIFF)…",
        "What the canvas shows: the layout with its names and scale bar.",
        "Picture (*.png);;Picture (*.tif)",
    ),
    "z": (
        "Movie through the stack (GIF, TIFF)…",
        "The view at each plane, or each row or column of an orthogonal view.",
        "Movie (*.gif);;Stack of pictures (*.tif)",
    ),
    "time": (
        "Movie over time (GIF, TIFF)…",
        "The view at each time point of a time-lapse, one after the other.",
        "Movie (*.gif);;Stack of pictures (*.tif)",
    ),
    "regions": (
        "Regions (CSV)…",
        "Size, mean and integrated intensity of each measured region and structure.",
        "Table (*.csv)",
    ),
    "profile": (
        "Line profiles (CSV)…",
        "Predicted and true intensity along each measured line.",
        "Table (*.csv)",
    ),
}
"""Entry, tool tip and kinds of file names."""


class CompareFoot(Foot):
    """Message, progress, status and buttons."""

    export_asked = Signal(str)  # a key of `EXPORTS`

    def __init__(self) -> None:
        super().__init__("the comparison")
        self.cancel_button = _button(
            "Cancel", "Stop computing; what is done stays (Esc)."
        )
        self.export_button = _button(
            "Export", "Save the scores, or a page or figure to show them (Ctrl+E)."
        )
        self.copy_button = _button(
            "Copy table",
            "Copy the scores with all digits, to paste into a spreadsheet.",
        )
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        for kind, (text, tip, _) in EXPORTS.items():
            action = self.menu.addAction(text)
            action.setToolTip(tip)
            action.setData(kind)
        self.menu.addSeparator()
        self.command_action = self.menu.addAction("Copy as command line")
        self.command_action.setToolTip(
            "The exact `sparsessp predict …` that gives the same numbers and scores."
        )
        self.menu.triggered.connect(
            lambda action: action.data() and self.export_asked.emit(action.data())
        )
        self.export_button.setMenu(self.menu)
        self.stack(
            self.bar,
            in_a_row(self.status, self.cancel_button),
            in_a_row(self.export_button, self.copy_button, stretched=2),
        )
        self.set_busy(False)
        self.set_exportable(False, False)

    def set_busy(self, busy: bool, text: str = "") -> None:
        """Show that something is computed, or a status."""
        self.bar.setVisible(busy)
        self.cancel_button.setVisible(busy)
        self.set_status(text)
        self.status.setVisible(bool(text))

    def set_exportable(self, some: bool, scored: bool) -> None:
        """Enable what needs a prediction, and what needs scores."""
        self.export_button.setEnabled(some)
        self.copy_button.setEnabled(scored)


class CompareForm(StepForm):
    """All widgets of the dock; the steps scroll, the foot stays."""

    def __init__(self, viewer: Any, can_be_truth: Callable[[Any], bool]) -> None:
        super().__init__()
        self.compared = Form(ComparedSet)
        self.nothing = wrapped_label("muted", _NOTHING)
        self.predict_button = predict = QPushButton("Open Predict")
        self.picker = LayoutPicker()
        self.section = Segments(
            [(key, f"{key.upper()} view", tip) for key, tip in SECTIONS.items()],
            "Axes shown",
        )
        self.composition = Form(CompositionOptions)
        self.cells = Form(CellOptions, beside=True)
        self.view_note = note = wrapped_label("small")
        self.table = ScoreTable()
        self.truth = Form(TruthChoice, viewer, {"layer": {"layers": can_be_truth}})
        self.compute_button = _button(
            "Compute scores", "Score all structures; so many voxels take a while."
        )
        self.planes = Chart("plane", "R² within the plane")
        self.planes.setToolTip(
            "R² of each plane by itself. A plane without structure has little to "
            "explain and scores low even where the picture is right."
        )
        self.planes.setFixedHeight(_PLANES_HIGH)
        plane_note = wrapped_label(
            "small", "Ticks below: measured planes. Click a plane to go there."
        )
        self.density_title = wrapped_label("small")
        self.density = DensityPlot()
        self.density.setFixedHeight(_DENSITY_HIGH)
        self.compared_step = Step("<b>Prediction</b>")
        self.view_step = Step("<b>View</b>")
        self.score_step = Step("<b>Scores</b>")
        self.plane_step = Step("<b>R² per plane</b>")
        self.value_step = Step("<b>Predicted against true intensity</b>")
        self.regions = RegionsPanel(viewer)
        self.region_step = Step("<b>Regions and line profiles</b>", last=True)
        options = self.composition, self.cells, note
        self.arrange(
            [
                (self.compared_step, [self.compared, self.nothing, predict]),
                (self.view_step, [self.picker, self.section, *options]),
                (self.score_step, [self.table, self.truth, self.compute_button]),
                (self.plane_step, [self.planes, plane_note]),
                (self.value_step, [self.density_title, self.density]),
                (self.region_step, [self.regions]),
            ],
            CompareFoot(),
            below=6,
        )
        self.show_options("")

    def offer_sets(self, offers: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer what can be compared, as (key, label)."""
        some = bool(offers)
        self.compared.offer("key", [(key, text, text) for key, text in offers])
        self.compared.update(key=chosen)
        self.compared.setVisible(some)
        self.nothing.setVisible(not some)
        self.predict_button.setVisible(not some)
        self.compared_step.set_mark(Mark.GOOD if some else Mark.WAITING)
        shown = self.view_step, self.score_step, self.plane_step, self.value_step
        for step in (*shown, self.region_step):
            step.setVisible(some)
        self.foot.setEnabled(some)

    def show_options(self, layout: str, no_error: str = "") -> None:
        """Show the options of a layout, and why there is no error where one is wanted.

        Also of a layout that is still being made.
        """
        self.composition.setVisible(layout in COMPOSITIONS)
        self.composition.show_row("border", layout == SWIPE)
        self.composition.show_row("fields", layout == CHECKERBOARD)
        self.cells.setVisible(layout == SIDE_BY_SIDE)
        hidden = layout == SIDE_BY_SIDE and not self.cells.get("error")
        note = "" if hidden else no_error or _NOTES.get(layout, "")
        self.view_note.setText(note)
        self.view_note.setVisible(bool(note))


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
