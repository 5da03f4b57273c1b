"""The Compare dock: see where a prediction can be trusted, and say how much.

Wiring only: `comparison` knows what is compared and computes it, `compare_view`
arranges the viewer, `compare_export` saves what was found.
"""

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.compare.comparison import AT_ONCE, SCORES, Comparison
from napari_sparsessp.ui.compare.export import CompareExport
from napari_sparsessp.ui.compare.form import CompareForm
from napari_sparsessp.ui.compare.table import ScoreRow
from napari_sparsessp.ui.compare.view import CompareView
from napari_sparsessp.ui.dock import (
    JoinOthers,
    add_shortcut,
    fill_with,
    open_predict,
    settling,
)
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.layers.reading import truth_choices
from napari_sparsessp.ui.layers.viewport import PlaneLink
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.predict.export import copy_command_of
from napari_sparsessp.ui.tasks import error_details
from napari_sparsessp.ui.widgets.basic import Mark
from napari_sparsessp.ui.widgets.charts import Curve

if TYPE_CHECKING:
    import napari

# Several changes in one go (a run makes twelve layers) are looked at once.
_SETTLE_MS = 80

_FEW = 4

_UNFINISHED = (
    "this prediction is not complete: what is missing counts as 0 in all scores; "
    "resume it in Predict"
)


class CompareDock(QWidget):
    """Hold predictions against what is known to be there.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari gives it by this name.
    engine : optional
        Not needed here; docks are made alike.
    """

    def __init__(
        self, napari_viewer: "napari.viewer.Viewer", engine: Any | None = None
    ) -> None:
        super().__init__()
        JoinOthers(self)
        self._viewer = napari_viewer
        self._declined = False
        self.form = CompareForm()
        self.comparison = Comparison(napari_viewer, self)
        self.view = CompareView(napari_viewer, self.form, self.comparison, self)
        self.planes = PlaneLink(napari_viewer, self)
        shown = self.form.scores.shown
        self.export = CompareExport(napari_viewer, self.comparison, shown, self)
        self._settle = settling(self, self.look, _SETTLE_MS)
        fill_with(self, self.form)
        self._connect()
        self.look()

    def _connect(self) -> None:
        form, comparison = self.form, self.comparison
        form.family_chosen.connect(self._on_family)
        form.truth_chosen.connect(self._on_truth)
        form.table.chosen.connect(lambda _id: self._show_structure())
        form.scores.shown_changed.connect(self._show_planes)
        form.planes.clicked.connect(self.planes.go)
        form.predict_button.clicked.connect(lambda _on: self._open_predict())
        form.compute_button.clicked.connect(lambda _on: self.compute())
        form.foot.stop_asked.connect(self.stop)
        form.foot.copy_asked.connect(form.table.copy)
        form.foot.export_asked.connect(self.export.ask)
        form.foot.command_asked.connect(self._copy_command)
        comparison.changed.connect(self._settle.start)
        comparison.judged.connect(self._on_judged)
        comparison.failed.connect(self._on_failed)
        comparison.queue.progressed.connect(form.foot.show_progress)
        comparison.queue.idle.connect(self._show_busy)
        self.planes.plane_changed.connect(form.planes.set_cursor)
        self.planes.time_changed.connect(self._settle.start)
        self.export.told.connect(self._on_export)
        events = self._viewer.layers.events
        for name in ("inserted", "removed", "reordered", "renamed"):
            getattr(events, name).connect(self._on_layers)
        add_shortcut(form, "Esc", self.stop)
        add_shortcut(form, "Ctrl+E", form.foot.export_button.showMenu)

    def _copy_command(self) -> None:
        family = self.comparison.family
        made = [] if family is None else list(family.predictions.values())
        copy_command_of(self._viewer, made[0] if made else None)

    # what is there ------------------------------------------------------------

    def _on_layers(self, _event: Any = None) -> None:
        if not self.view.layouts.arranging:
            self._settle.start()

    def look(self) -> None:
        """Show what the viewer holds, and compute what is not known of it."""
        self._settle.stop()
        found = self.comparison.look()
        family = self.comparison.family
        chosen = "" if family is None else family.key
        before = self.form.scores.rows
        self.form.set_families([(one.key, one.label) for one in found], chosen)
        self.form.scores.set_rows(self._rows())
        if not self.form.table.structure() or not before:
            shown = self.form.scores.shown()
            self.form.table.choose(shown[0] if shown else "")
        self.view.offer()
        self._show_structure()
        if self.isVisible():
            self.compute(unasked=True)
        if before and self.view.layouts.current and not self.view.layouts.arranging:
            self.view.renew()

    def _rows(self) -> list[ScoreRow]:
        ids, truths = self.comparison.structures(), self.comparison.truths()
        family = self.comparison.family
        assert family is not None or not ids
        seen = [id_ for id_ in ids if family and family.predictions[id_].visible]
        wanted = seen or list(ids if len(ids) < _FEW else ids[:1])
        rows = []
        for id_ in ids:
            known = structure_or_custom(id_)
            truth = str(truths[id_].name) if id_ in truths else ""
            rows.append(
                ScoreRow(
                    id_,
                    known.label,
                    known.colour,
                    id_ in wanted,
                    truth,
                    self.comparison.scores(id_),
                    self.comparison.state(id_),
                )
            )
        return rows

    def showEvent(self, event: Any) -> None:
        """Compute what nobody had looked at before."""
        super().showEvent(event)
        self._settle.start()

    def compute(self, *, unasked: bool = False) -> None:
        """Score what is not scored yet; large stacks only when the user says so.

        Parameters
        ----------
        unasked : bool
            The user has not asked for it, and may have cancelled it before.
        """
        self._declined = self._declined and unasked
        waits = unasked and (self._declined or self.comparison.voxels() > AT_ONCE)
        unknown = self.comparison.unknown()
        if not waits:
            for id_ in unknown:
                self.comparison.ask(SCORES, id_)
        idle = not self.comparison.queue.busy
        self.form.compute_button.setVisible(bool(waits and unknown and idle))
        self._show_busy()

    def stop(self) -> None:
        """Compute nothing more; what is known stays."""
        if self.comparison.queue.busy:
            self._declined = True
            self.comparison.queue.cancel()
            self.form.compute_button.setVisible(bool(self.comparison.unknown()))
            self._refresh()

    # what is known ------------------------------------------------------------

    def _on_judged(self, structure: str) -> None:
        self._refresh()
        if structure == self.form.table.structure():
            self._show_structure()
        else:
            self._show_planes()
        if self.view.layouts.current == "side":
            self.view.renew()  # now truth and prediction can be as bright

    def _refresh(self) -> None:
        for id_ in self.comparison.structures():
            self.form.scores.update_row(
                id_,
                scores=self.comparison.scores(id_),
                state=self.comparison.state(id_),
            )
        self._show_busy()

    def _show_busy(self) -> None:
        busy = self.comparison.queue.busy
        family, time = self.comparison.family, self.comparison.time()
        known = [id_ for id_ in self.comparison.structures() if self._scored(id_)]
        text = "Reading…" if busy else ""
        if not busy and family is not None and time is not None:
            text = f"Scores of time point {time + 1}; move the slider for others."
        self.form.foot.set_busy(busy, text)
        self.form.foot.set_exportable(bool(known))
        marks = {True: Mark.GOOD, False: Mark.WAITING}
        self.form.score_step.set_mark(marks[bool(known)])
        self.form.view_step.set_mark(marks[self.view.layouts.current is not None])

    def _scored(self, structure: str) -> bool:
        return self.comparison.scores(structure) is not None

    def _show_structure(self) -> None:
        """Show truth, density and notes of the chosen structure, and all planes."""
        id_ = self.form.table.structure()
        if id_:
            self._offer_truths(id_)
        result = self.comparison.result(id_) if id_ else None
        self.form.density.set_density(None if result is None else result.density)
        some = result is not None
        self.form.value_step.setVisible(some)
        self.form.value_step.set_mark(Mark.GOOD)
        self.form.density_title.setText(
            f"{structure_or_custom(id_).label}: predicted against true, all voxels; "
            "dashed: equal"
            if some
            else ""
        )
        foot = self.form.foot
        problem = self.comparison.problem(id_) if id_ else None
        if problem is not None:
            foot.message.show_error(str(problem), error_details(problem))
        else:
            notes = () if result is None else result.notes
            foot.message.show_notices([*self._doubts(id_), *notes])
        self._show_planes()

    def _doubts(self, id_: str) -> list[str]:
        """What the layer itself says against its scores."""
        family = self.comparison.family
        if family is None or id_ not in family.predictions:
            return []
        about = family.predictions[id_].metadata[KEY]
        unfinished = about.get("state") in ("cancelled", "failed", "partial")
        doubts = [_UNFINISHED] if unfinished else []
        return [*doubts, *(str(one) for one in about.get("unfamiliar") or ())]

    def _offer_truths(self, id_: str) -> None:
        family, truth = self.comparison.family, self.comparison.truth(id_)
        source = family.source if family is not None else None
        offers = truth_choices(
            self._viewer, None if source is None else layer_key(source)
        )
        label = structure_or_custom(id_).label
        self.form.set_truths(label, offers, "" if truth is None else layer_key(truth))

    def _show_planes(self) -> None:
        """Draw R² over z of what is ticked, the chosen structure among it."""
        family = self.comparison.family
        chosen = self.form.table.structure()
        wanted = set(self.form.scores.shown()) | {chosen}
        curves = []
        for id_ in self.comparison.structures():
            scores = self.comparison.scores(id_) if id_ in wanted else None
            values = (scores or {}).get("r2_per_plane") or ()
            if len(values) > 1:
                known = structure_or_custom(id_)
                y = [float("nan") if one is None else one for one in values]
                curves.append(Curve(known.label, range(len(y)), y, known.colour))
        layer = None if family is None else family.predictions.get(chosen)
        self.form.plane_step.setVisible(bool(curves))
        self.form.plane_step.set_mark(Mark.GOOD)
        if curves:
            low = min(min(one for one in c.y if one == one) for c in curves)
            self.form.planes.set_y_range(max(min(low, 0.0), -0.5), 1.0)
            self.form.planes.set_curves(curves, _measured(layer))
        self.planes.follow(layer)

    def _on_family(self, key: str) -> None:
        self._declined = False
        self.comparison.choose(key)

    def _on_truth(self, key: str) -> None:
        self._declined = False
        self.comparison.choose_truth(self.form.table.structure(), key or None)

    def _on_failed(self, structure: str) -> None:
        self._refresh()
        if structure == self.form.table.structure():
            self._show_structure()

    def _on_export(self, text: str, error: Any) -> None:
        if error is not None:
            self.form.foot.message.show_error(text, error_details(error))
        else:
            self.form.foot.set_busy(self.comparison.queue.busy, text)

    def _open_predict(self) -> None:
        open_predict(self._viewer, beside=self)


def _measured(layer: Any | None) -> tuple[float, ...]:
    """Planes that were imaged, on the prediction's grid."""
    if layer is None:
        return ()
    about = layer.metadata[KEY]
    provenance = about.get("provenance") or {}
    found = provenance.get("measured_planes") or about.get("measured_planes") or ()
    return tuple(float(plane) for plane in found)
