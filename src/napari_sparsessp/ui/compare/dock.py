"""The Compare dock: see where a prediction can be trusted, and by how much."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError, OutputError, SparseSSPError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.compare.comparison import (
    SCORES,
    UNASKED_VOXELS,
    Comparison,
    has_length,
    light_of,
)
from napari_sparsessp.ui.compare.form import EXPORTS, CompareForm
from napari_sparsessp.ui.compare.movie import Filming, write_pictures
from napari_sparsessp.ui.compare.regions import Measured, drawn_in, measure
from napari_sparsessp.ui.compare.table import ScoreRow
from napari_sparsessp.ui.compare.view import CompareView
from napari_sparsessp.ui.dock import Dock, open_predict
from napari_sparsessp.ui.layers.metadata import KEY, model_of
from napari_sparsessp.ui.layers.saving import ask_path
from napari_sparsessp.ui.layers.viewport import PlaneLink, layer_index
from napari_sparsessp.ui.layouts.arrangement import SIDE_BY_SIDE
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.predict.export import copy_command_of
from napari_sparsessp.ui.tasks import BackgroundTask, TaskProgress
from napari_sparsessp.ui.widgets.basic import Mark
from napari_sparsessp.ui.widgets.charts import Curve

if TYPE_CHECKING:
    import napari

    from napari_sparsessp.evaluation.agreement import ComparisonReport

# A run makes twelve layers, which are looked at once.
_SETTLE_MS = 80

# Fewer structures than this are all ticked at first, where none is visible.
_FEW = 4

_UNFINISHED = (
    "this prediction is not complete: what is missing counts as 0 in all scores; "
    "resume it in Predict"
)


class CompareDock(Dock):
    """Compares predictions with the truth."""

    form: CompareForm

    def __init__(
        self, napari_viewer: "napari.viewer.Viewer", engine: Any | None = None
    ) -> None:
        super().__init__(napari_viewer, settle_ms=_SETTLE_MS)
        self._cancelled = False
        self._writing: BackgroundTask | None = None
        self._measured_of: object = None
        self.comparison = Comparison(napari_viewer, self)
        self.fill(CompareForm(napari_viewer, self._can_be_truth))
        self.view = CompareView(napari_viewer, self.form, self.comparison, self)
        self.planes = PlaneLink(napari_viewer, self)
        self.filming = Filming(napari_viewer, self)
        self._connect()
        self.follow_layers()
        self.refresh_now()

    def _connect(self) -> None:
        form, comparison = self.form, self.comparison
        form.compared.changed.connect(self._on_set)
        # the box also changes with the layers: only a choice by hand counts
        form.truth.native("layer").activated.connect(self._on_truth)
        form.table.chosen.connect(self._show_structure)
        form.table.shown_changed.connect(self._show_planes)
        form.planes.clicked.connect(self.planes.go)
        form.predict_button.clicked.connect(
            lambda: open_predict(self._viewer, beside=self)
        )
        form.compute_button.clicked.connect(self.compute)
        form.regions.button.clicked.connect(self.measure)
        form.foot.cancel_button.clicked.connect(self.cancel)
        form.foot.copy_button.clicked.connect(form.table.copy)
        form.foot.export_asked.connect(self._on_export)
        form.foot.command_action.triggered.connect(self._copy_command)
        comparison.changed.connect(self.settle)
        comparison.scored.connect(self._on_scored)
        comparison.failed.connect(self._show_result)
        comparison.queue.progressed.connect(form.foot.show_progress)
        self.filming.progressed.connect(form.foot.show_progress)
        self.filming.stopped.connect(self._show_busy)
        comparison.queue.idle.connect(self._show_busy)
        self.planes.plane_changed.connect(form.planes.set_cursor)
        self.planes.plane_changed.connect(self.view.show_section)
        self.planes.time_changed.connect(self.settle)
        self.add_shortcut("Esc", self.cancel)
        self.add_shortcut("Ctrl+E", form.foot.export_button.showMenu)

    def _can_be_truth(self, layer: Any) -> bool:
        return layer_key(layer) in dict(self.comparison.truth_choices())

    def _on_layers(self, _event: Any = None) -> None:
        if not self.view.layouts.arranging:
            super()._on_layers()

    def showEvent(self, event: Any) -> None:
        """Score what was hidden until now."""
        super().showEvent(event)
        self.settle()

    def refresh(self) -> None:
        """Show what the viewer holds, and compute scores that are missing."""
        sets = self.comparison.refresh()
        compared, table = self.comparison.compared, self.form.table
        chosen = "" if compared is None else compared.key
        first = not table.rows
        self.form.offer_sets([(one.key, one.label) for one in sets], chosen)
        table.set_rows(self._rows())
        if self._measured_of != self._compared_now():
            self._measured_of = self._compared_now()
            self.form.regions.show_measured(Measured(), "")
        if not table.structure() or first:
            truths = self.comparison.truths()  # one with scores and an error, if any
            ids = list(table.shown() or self.comparison.predictions())
            ids.sort(key=lambda id_: id_ not in truths)
            table.choose(next(iter(ids), None))
        self.view.offer()
        self._show_structure()
        if self.isVisible():
            self.compute(asked=False)
        layouts = self.view.layouts
        if not first and layouts.current and not layouts.arranging:
            self.view.update()

    def _rows(self) -> list[ScoreRow]:
        layers, truths = self.comparison.predictions(), self.comparison.truths()
        ids = list(layers)
        visible = [id_ for id_ in ids if layers[id_].visible]
        ticked = visible or ids[: len(ids) if len(ids) < _FEW else 1]
        rows = []
        for id_ in ids:
            structure = structure_or_custom(id_)
            truth = str(truths[id_].name) if id_ in truths else ""
            about = id_, structure.label, structure.colour, id_ in ticked, truth
            scores, state = self.comparison.scores(id_), self.comparison.state(id_)
            rows.append(ScoreRow(*about, scores, state))
        return rows

    def compute(self, *, asked: bool = True) -> None:
        """Compute missing scores; large stacks, or after Cancel, only when asked."""
        self._cancelled = self._cancelled and not asked
        large = self.comparison.voxels() > UNASKED_VOXELS
        waits = not asked and (self._cancelled or large)
        unscored = self.comparison.unscored()
        if not waits:
            for id_ in unscored:
                self.comparison.compute(SCORES, id_)
        idle = not self.comparison.queue.busy
        self.form.compute_button.setVisible(bool(waits and unscored and idle))
        self._show_busy()

    def cancel(self) -> None:
        """Compute nothing more; what is done stays."""
        self.filming.cancel()
        if self.comparison.queue.busy:
            self._cancelled = True
            self.comparison.queue.cancel()
            self.form.compute_button.setVisible(bool(self.comparison.unscored()))
            self._refresh_scores()

    def _refresh_scores(self) -> None:
        for row in self.form.table.rows:
            row.scores = self.comparison.scores(row.id)
            row.state = self.comparison.state(row.id)
        self.form.table.rows_model.refresh()
        self._show_busy()

    def _show_busy(self) -> None:
        comparison, busy = self.comparison, self.comparison.queue.busy
        time = comparison.time()
        text = "Reading…" if busy else ""
        if not busy and time is not None:
            text = f"Scores of time point {time + 1}; move the slider for others."
        scored = any(row.scores for row in self.form.table.rows)
        self.form.foot.set_busy(busy, text)
        self.form.foot.set_exportable(bool(comparison.predictions()), scored)
        marks = {True: Mark.GOOD, False: Mark.WAITING}
        self.form.score_step.set_mark(marks[scored])
        self.form.view_step.set_mark(marks[self.view.layouts.current is not None])

    def _show_structure(self, *_: object) -> None:
        """Show truth, density and notes of the chosen structure, and all planes."""
        id_, form = self.form.table.structure(), self.form
        label = structure_or_custom(id_).label if id_ else ""
        if id_:
            form.truth.rename_row("layer", f"Truth of {label}")
            form.truth.offer_layers()
            form.truth.update(layer=self.comparison.truth(id_))
        form.regions.show_profile(id_)
        agreement = self.comparison.agreement(id_) if id_ else None
        form.density.set_density(None if agreement is None else agreement.density)
        form.value_step.setVisible(agreement is not None)
        form.value_step.set_mark(Mark.GOOD)
        form.density_title.setText(
            f"{label}: all voxels; dashed: predicted equals true"
        )
        problem = self.comparison.problem(id_) if id_ else None
        if problem is not None:
            self.show_error(problem)
        else:
            prediction = self.comparison.predictions().get(id_)
            about = {} if prediction is None else prediction.metadata[KEY]
            unfinished = about.get("state") in ("cancelled", "failed", "partial")
            doubts = [_UNFINISHED] if unfinished else []
            doubts += map(str, about.get("unfamiliar") or ())
            notes = () if agreement is None else agreement.notes
            form.foot.message.show_notices([*doubts, *notes])
        self._show_planes()

    def _show_planes(self, *_: object) -> None:
        """Draw R² over z of the ticked structures and the chosen one."""
        form, chosen = self.form, self.form.table.structure()
        wanted = {*form.table.shown(), chosen}
        curves = []
        for row in form.table.rows:
            values = (row.scores or {}).get("r2_per_plane") or ()
            if row.id in wanted and len(values) > 1:
                y = [float("nan") if value is None else value for value in values]
                curves.append(Curve(row.label, range(len(y)), y, row.colour))
        layer = self.comparison.predictions().get(chosen)
        form.plane_step.setVisible(bool(curves))
        form.plane_step.set_mark(Mark.GOOD)
        if curves:
            low = min(min(y for y in curve.y if y == y) for curve in curves)
            form.planes.set_y_range(max(min(low, 0.0), -0.5), 1.0)
            planes = () if layer is None else measured_planes(layer)
            form.planes.set_curves(curves, [float(plane) for plane in planes])
        self.planes.follow(layer)

    def _compared_now(self) -> object:
        """Return what measured regions belong to."""
        comparison = self.comparison
        truths = {id_: layer_key(one) for id_, one in comparison.truths().items()}
        compared = comparison.compared
        return compared and compared.key, truths, comparison.time()

    def measure(self) -> None:
        """Measure the ticked structures where the user has drawn."""
        comparison, panel = self.comparison, self.form.regions
        layer, wanted = panel.place.get("layer"), self.form.table.shown()
        try:
            if layer is None or not wanted:
                raise InputError(
                    "nothing to measure; draw in a Labels or Shapes layer and tick a "
                    "structure in the table of scores"
                )
            first = comparison.predictions()[wanted[0]]
            stacks = [(id_, *comparison.volumes(id_)) for id_ in wanted]
            plane = int(layer_index(self._viewer, first)[-3])
            reading = comparison.reading(wanted[0])
            find = drawn_in(layer, reading, plane, comparison.time())
        except SparseSSPError as error:
            self.show_error(error)
            return
        self.form.foot.set_busy(comparison.queue.busy, "Measuring…")
        unit = "µm" if has_length(first) else "px"
        where = f", in plane {plane + 1}" if layer.ndim < 3 else ""
        note = f"Measured in {layer.name}{where}."
        self.run_task(
            *(measure, stacks, find, unit),
            returned=partial(self._on_measured, note),
            what="the measurement",
        )

    def _on_measured(self, note: str, measured: Measured) -> None:
        chosen = self.form.table.structure()
        self.form.regions.show_measured(measured, chosen, note)
        self.form.region_step.set_mark(Mark.GOOD)
        self._show_busy()

    def _on_set(self) -> None:
        self._cancelled = False
        self.comparison.choose(self.form.compared.get("key"))

    def _on_truth(self, _row: int) -> None:
        self._cancelled = False
        layer = self.form.truth.get("layer")
        key = None if layer is None else layer_key(layer)
        self.comparison.choose_truth(self.form.table.structure(), key)

    def _on_scored(self, structure: str) -> None:
        self._show_result(structure)
        if self.view.layouts.current == SIDE_BY_SIDE:
            self.view.update()  # now truth and prediction can be as bright

    def _show_result(self, structure: str) -> None:
        self._refresh_scores()
        if structure == self.form.table.structure():
            self._show_structure()
        else:
            self._show_planes()

    def _copy_command(self, _on: bool) -> None:
        layers = self.comparison.predictions().values()
        copy_command_of(self._viewer, next(iter(layers), None))

    def _on_export(self, kind: str) -> None:
        text, _, kinds = EXPORTS[kind]
        try:
            path = ask_path(self, f"Export: {text}", "comparison", kinds)
        except OutputError as error:
            self.show_error(error)
        else:
            if path is not None:
                self.save(kind, path)

    def save(self, kind: str, path: Path) -> None:
        """Write a file of a kind in the background, in place of one that is there."""
        try:
            if self._writing is not None and self._writing.running:
                raise OutputError("a file is being written; wait until it is done")
            if kind in ("regions", "profile"):
                self._save_measured(kind, path)
                return
            if kind in ("picture", "z", "time"):
                self._save_pictures(kind, path)
                return
            # a figure has room for what is ticked, all other files hold all
            shown = self.form.table.shown() if kind == "figure" else ()
            wanted = shown or tuple(self.comparison.predictions())
            report = report_of(self.comparison, wanted)
        except SparseSSPError as error:
            self.show_error(error)
            return
        first = self.comparison.predictions()[report.items[0].name]
        plane = int(layer_index(self._viewer, first)[-3])
        self._show_saving(f"Writing {path.name}…")
        what = "the writing of the file"
        work = write, report, kind, path, plane
        self._writing = self.run_task(*work, returned=self._on_saved, what=what)

    def _save_measured(self, kind: str, path: Path) -> None:
        measured = self.form.regions.measured
        if not (measured.rows if kind == "regions" else measured.profiles):
            raise InputError(
                "nothing is measured yet; draw regions or lines, choose their layer "
                "and press Measure"
            )
        with atomic_write(path, kind) as part:
            part.write_text(measured.csv(kind), encoding="utf-8")
        self._on_saved(path)

    def _save_pictures(self, kind: str, path: Path) -> None:
        if kind == "picture":
            self._write_pictures("Z", path, [self.filming.picture()])
            return
        layer = next(iter(self.comparison.predictions().values()))
        if kind == "time" and layer.ndim < 4:
            raise InputError("this prediction has no time points; film it through z")
        if self._viewer.dims.ndisplay == 3 and kind == "z":
            raise InputError("a 3D view shows all planes at once; go to the 2D view")
        if self.filming.busy:
            raise InputError("a movie is being made; wait until it is done")
        dims = self._viewer.dims
        # in an orthogonal view the slider is that of rows or columns
        slider = dims.order[-3] - (dims.ndim - layer.ndim)
        axis, letter = (slider, "Z") if kind == "z" else (0, "T")
        self.form.foot.set_busy(True, "Making the movie…")
        write = partial(self._write_pictures, letter, path)
        self.filming.start(layer, axis, write)

    def _write_pictures(self, axis: str, path: Path, frames: Any) -> None:
        work = write_pictures, frames, path, axis
        what = "the writing of the pictures"
        self._show_saving(f"Writing {path.name}…")
        self._writing = self.run_task(*work, returned=self._on_saved, what=what)

    def _on_saved(self, path: Path) -> None:
        self._show_saving(f"Saved {path.name} in {path.parent}.")

    def _show_saving(self, text: str) -> None:
        self.form.foot.set_busy(self.comparison.queue.busy, text)


def report_of(comparison: Comparison, wanted: Sequence[str]) -> "ComparisonReport":
    """Collect the scored ones of the structures; InputError where there are none."""
    from napari_sparsessp.evaluation.agreement import ComparisonReport, ScoredStructure

    items = []
    for id_ in wanted:
        truth, agreement = comparison.truth(id_), comparison.agreement(id_)
        if truth is not None and agreement is not None:
            pair = comparison.pair(id_)
            volumes = pair.prediction, pair.truth
            items.append(ScoredStructure(id_, *volumes, str(truth.name), agreement))
    compared = comparison.compared
    if compared is None or not items:
        raise InputError(
            "nothing is scored yet; choose a truth below the table and wait for "
            "the scores"
        )
    first, source = compared.predictions[items[0].name], compared.source
    about = first.metadata[KEY]
    return ComparisonReport(
        tuple(items),
        str(about.get("source", "") if source is None else source.name),
        model_of(first),
        light_of(compared, items[0].name, comparison.time()),
        about.get("provenance") or {},
        tuple(map(int, measured_planes(first))) or None,
        comparison.time(),
        "µm" if has_length(first) else "pixels",
    )


def measured_planes(layer: Any) -> Sequence[float]:
    """Return the planes that were imaged, on the prediction's grid."""
    about = layer.metadata[KEY]
    provenance = about.get("provenance") or {}
    return provenance.get("measured_planes") or about.get("measured_planes") or ()


def write(
    report: "ComparisonReport",
    kind: str,
    path: Path,
    plane: int,
    progress: TaskProgress,
) -> Path:
    """Write the file, in place of one that is there; return its path."""
    progress(0.0, what=f"Writing {path.name}…")
    if kind == "html":
        from napari_sparsessp.evaluation.html import write_comparison_page

        write_comparison_page(report, path)
    elif kind == "figure":
        from napari_sparsessp.evaluation.figures import comparison_figure, write_figure

        write_figure(comparison_figure(report, plane), path, dpi=200)
    else:
        text = report.to_json() if kind == "json" else report.to_csv()
        with atomic_write(path, kind) as part:
            part.write_text(text, encoding="utf-8")
    return path
