"""How a comparison is seen: layouts, the error that belongs to them, the border."""

from typing import Any

from qtpy.QtCore import QObject

from napari_sparsessp.ui.compare.comparison import ERROR_COMPARISON as ERROR
from napari_sparsessp.ui.compare.comparison import TRUTH, Comparison, Pair
from napari_sparsessp.ui.compare.form import CompareForm
from napari_sparsessp.ui.compare.layers import CompareLayers, SwipeHandle
from napari_sparsessp.ui.layers.metadata import KEY, role_of
from napari_sparsessp.ui.layouts.arrangement import (
    CHECKERBOARD,
    COMPOSITIONS,
    GALLERY,
    OVERLAY,
    SIDE_BY_SIDE,
    SWIPE,
    Scene,
    layouts_of,
)
from napari_sparsessp.ui.napari_compat import layer_key

_NEEDS_TRUTH = "It needs a truth: choose one below the table."


class CompareView(QObject):
    """Arranges the viewer as the user asks in the Compare dock.

    Parameters
    ----------
    viewer : napari.Viewer
    form : CompareForm
    comparison : Comparison
    parent : QObject, optional
    """

    def __init__(
        self,
        viewer: Any,
        form: CompareForm,
        comparison: Comparison,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._form = form
        self._comparison = comparison
        self._asked = ""  # a composition that waits for its truths
        self.layouts = layouts_of(viewer)
        self.layers = CompareLayers(viewer, self)
        self.handle = SwipeHandle(viewer, self)
        form.picker.asked.connect(self.show)
        form.composition.changed.connect(self._on_pattern)
        form.cells_changed.connect(self.renew)
        form.scores.shown_changed.connect(self.renew)
        form.table.chosen.connect(lambda _id: self._on_chosen())
        self.layouts.changed.connect(self._on_layout)
        self.handle.moved.connect(form.composition.set_share)
        comparison.made.connect(self._on_made)
        comparison.stale.connect(self._on_stale)
        self._on_layout(self.layouts.current or "")

    # asked for by the user ----------------------------------------------------

    def show(self, name: str) -> None:
        """Show a layout; "" for the user's own view."""
        self._asked = ""
        if not name:
            self.layouts.restore()
            return
        if name in COMPOSITIONS:
            self._compose(name)
            return
        self.layouts.apply(name, self.scene(name))
        if name == SIDE_BY_SIDE:
            self._ask_error()

    def renew(self) -> None:
        """Show the layout that is on with what is to be seen now."""
        current = self._asked or self.layouts.current
        if current:
            self.show(current)
        self._form.set_cells_shown(current == SIDE_BY_SIDE)

    def offer(self) -> None:
        """Offer the layouts that can be shown."""
        if self._comparison.family is None:
            return
        views = {OVERLAY, SIDE_BY_SIDE, GALLERY}
        if self._comparison.truths():
            views |= {SWIPE, CHECKERBOARD}
        self._form.picker.set_possible(views, _NEEDS_TRUTH)
        self._form.spread_box.setEnabled(bool(self._comparison.family.uncertainties))

    def scene(self, name: str = SIDE_BY_SIDE) -> Scene:
        """Tell which layers belong together."""
        family = self._comparison.family
        shown = self._form.scores.shown()
        if family is None:
            return Scene(None, {}, {}, ())
        cells = name == SIDE_BY_SIDE
        one = self._one()
        wrong = cells and self._form.error_box.isChecked()
        unsure = cells and self._form.spread_box.isChecked()
        results = {id_: self._comparison.result(id_) for id_ in shown}
        return Scene(
            source=family.source,
            truths=self._comparison.truths(),
            predictions=family.predictions,
            shown=shown,
            uncertainties=family.uncertainties,
            unsure=one if unsure else (),
            scales={id_: r.moments for id_, r in results.items() if r is not None},
            errors=self._fresh_errors(),
            wrong=one if wrong else (),
            composed=self.layers.composed(),
        )

    def _one(self) -> tuple[str, ...]:
        """The structure whose error is shown: several in one cell tell nothing."""
        shown, chosen = self._form.scores.shown(), self._form.table.structure()
        return (chosen,) if chosen in shown else shown[:1]

    def _on_chosen(self) -> None:
        if self.layouts.current == SIDE_BY_SIDE:
            self.show(SIDE_BY_SIDE)

    def _on_layout(self, name: str) -> None:
        """Follow the viewer: another dock may have asked."""
        self._form.picker.show_layout(name)
        self._form.set_cells_shown(name == SIDE_BY_SIDE)
        self._form.composition.show_layout(name)
        if name not in COMPOSITIONS:
            self._clear()
        if name != SWIPE:
            self.handle.take_away()

    # errors -------------------------------------------------------------------

    def _fresh_errors(self) -> dict[str, Any]:
        """Errors of predictions and truths as they are now, at this time."""
        family = self._comparison.family
        if family is None:
            return {}
        truths, time = self._comparison.truths(), self._comparison.time()
        found = {}
        for id_, layer in family.errors.items():
            about = layer.metadata[KEY]
            same = about.get("state") == "done" and about.get("time") == time
            if same and id_ in truths and about["truth_id"] == layer_key(truths[id_]):
                found[id_] = layer
        return found

    def _ask_error(self) -> None:
        if not self._form.error_box.isChecked():
            return
        fresh = self._fresh_errors()
        for id_ in self._one():
            if id_ not in fresh:
                self._comparison.ask(ERROR, id_)

    def _on_made(self, what: str, pair: Pair, values: Any) -> None:
        if what == ERROR:
            self.layers.show_error(pair, values)
            self._comparison.look()
            if self.layouts.current == SIDE_BY_SIDE:
                self.layouts.apply(SIDE_BY_SIDE, self.scene())
        elif what == TRUTH and self._asked:
            pattern = self._form.composition.pattern(pair.prediction.shape)
            self.layers.compose(pair, values, pattern)
            self._show_composed()

    def _on_stale(self, key: str) -> None:
        """An error of what is no more says so; what was composed of it goes."""
        for layer in list(self._viewer.layers):
            about = layer.metadata.get(KEY)
            if role_of(layer) == ERROR and key in (
                about.get("of_id"),
                about.get("truth_id"),
            ):
                self.layers.outdate(layer)
        if self.layers.composed() and not self.layouts.arranging:
            self._asked = self.layouts.current or ""
            self._clear()

    # compositions -------------------------------------------------------------

    def _compose(self, name: str) -> None:
        """Ask for the truths that are needed, then show them with the predictions."""
        self._asked = name
        self._form.composition.show_layout(name)
        wanted = [
            id_ for id_ in self._form.scores.shown() if id_ in self._comparison.truths()
        ]
        for id_ in [one for one in self.layers.composed() if one not in wanted]:
            self.layers.remove_composed(id_)
        ready = self.layers.composed()
        for id_ in wanted:
            if id_ not in ready or ready[id_].metadata[KEY]["time"] != (
                self._comparison.time()
            ):
                self._comparison.ask(TRUTH, id_)
        self._show_composed()

    def _show_composed(self) -> None:
        """Show what there is by now; the rest comes when its truth has been read."""
        composed = self.layers.composed()
        if not composed or not self._asked:
            return
        name = self._asked
        self._set_pattern(composed)
        self.layouts.apply(name, self.scene(name))
        first = next(iter(composed.values()))
        if name == SWIPE and not self.handle.on:
            self.handle.lay_over(first, self._form.composition.share())

    def _set_pattern(self, composed: dict[str, Any]) -> None:
        first = next(iter(composed.values()))
        self.layers.set_pattern(self._form.composition.pattern(first.data.shape))

    def _on_pattern(self) -> None:
        composed = self.layers.composed()
        if composed:
            self._set_pattern(composed)
            self.handle.put(self._form.composition.share())

    def _clear(self) -> None:
        self.handle.take_away()
        self.layers.remove_composed()
