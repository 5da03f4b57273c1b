"""Arranges the viewer for a comparison: layouts, the error among them, the border."""

from typing import Any

from qtpy.QtCore import QObject

from napari_sparsessp.ui.compare.comparison import TRUTH, Comparison, Pair
from napari_sparsessp.ui.compare.form import CompareForm
from napari_sparsessp.ui.compare.layers import CompareLayers, SwipeHandle
from napari_sparsessp.ui.layers.metadata import ERROR, KEY
from napari_sparsessp.ui.layouts.arrangement import (
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
_NO_UNCERTAINTY = (
    "There is no uncertainty of this prediction; it is asked for in Predict."
)


class CompareView(QObject):
    """Shows what the user asks for in the Compare dock."""

    def __init__(
        self,
        viewer: Any,
        form: CompareForm,
        comparison: Comparison,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._form = form
        self._comparison = comparison
        self._asked = ""  # a composition that waits for its truths
        self.layouts = layouts_of(viewer)
        self.layers = CompareLayers(viewer, self)
        self.handle = SwipeHandle(viewer, self)
        form.picker.asked.connect(self.show)
        form.composition.changed.connect(self._on_composition)
        form.cells.changed.connect(self.update)
        form.table.shown_changed.connect(self.update)
        form.table.chosen.connect(self._on_chosen)
        self.layouts.changed.connect(self._on_layout)
        self.handle.moved.connect(self._on_moved)
        comparison.computed.connect(self._on_computed)
        comparison.outdated.connect(self._on_outdated)
        self._on_layout(self.layouts.current or "")

    def show(self, name: str) -> None:
        """Show a layout; "" for the user's own view."""
        self._asked = ""
        if not name:
            self.layouts.restore()
        elif name in COMPOSITIONS:
            self._compose(name)
        else:
            self.layouts.apply(name, self.scene(name))
            if name == SIDE_BY_SIDE and self._form.cells.get("error"):
                for id_ in {*self._chosen()} - {*self._errors()}:
                    self._comparison.compute(ERROR, id_)

    def update(self, *_: object) -> None:
        """Show the layout that is on with the layers and options of now."""
        current = self._asked or self.layouts.current or ""
        if current:
            self.show(current)
        self._form.show_options(current)

    def offer(self) -> None:
        """Offer the layouts that can be shown."""
        compared = self._comparison.compared
        if compared is None:
            return
        views = {OVERLAY, SIDE_BY_SIDE, GALLERY}
        views |= set(COMPOSITIONS) if self._comparison.truths() else set()
        self._form.picker.set_possible(views, _NEEDS_TRUTH)
        why_not = "" if compared.uncertainties else _NO_UNCERTAINTY
        self._form.cells.enable_row("uncertainty", not why_not, why_not)

    def scene(self, name: str = SIDE_BY_SIDE) -> Scene:
        """Return the layers that belong together, for a layout."""
        compared = self._comparison.compared
        shown = self._form.table.shown()
        if compared is None:
            return Scene(None, {}, {}, ())
        options = self._form.cells.values()
        chosen = self._chosen() if name == SIDE_BY_SIDE else ()
        agreements = {id_: self._comparison.agreement(id_) for id_ in shown}
        return Scene(
            source=compared.source,
            truths=self._comparison.truths(),
            predictions=compared.predictions,
            shown=shown,
            uncertainties=compared.uncertainties,
            shown_uncertainties=chosen if options.uncertainty else (),
            scales={id_: a.moments for id_, a in agreements.items() if a is not None},
            errors=self._errors(),
            shown_errors=chosen if options.error else (),
            composed=self.layers.composed(),
        )

    def _chosen(self) -> tuple[str, ...]:
        """Return the structure whose error is shown: several in a cell say nothing."""
        shown, chosen = self._form.table.shown(), self._form.table.structure()
        return (chosen,) if chosen in shown else shown[:1]

    def _errors(self) -> dict[str, Any]:
        """Return the errors of predictions and truths as they are now, at this time."""
        compared = self._comparison.compared
        truths, time = self._comparison.truths(), self._comparison.time()
        errors = {}
        for id_, layer in ({} if compared is None else compared.errors).items():
            about = layer.metadata[KEY]
            same = about.get("state") == "done" and about.get("time") == time
            if same and id_ in truths and about["truth_id"] == layer_key(truths[id_]):
                errors[id_] = layer
        return errors

    def _compose(self, name: str) -> None:
        """Show truths and predictions composed; truths that are needed come later."""
        self._asked = name
        self._form.show_options(name)
        truths = self._comparison.truths()
        wanted = [id_ for id_ in self._form.table.shown() if id_ in truths]
        composed = self.layers.composed()
        self.layers.remove_composed([id_ for id_ in composed if id_ not in wanted])
        time = self._comparison.time()
        for id_ in wanted:
            if id_ not in composed or composed[id_].metadata[KEY]["time"] != time:
                self._comparison.compute(TRUTH, id_)
        self._show_composed()

    def _show_composed(self) -> None:
        first, name = next(iter(self.layers.composed().values()), None), self._asked
        if first is None or not name:
            return
        self._set_pattern()
        self.layouts.apply(name, self.scene(name))
        if name == SWIPE and not self.handle.on:
            self.handle.show(first, self._form.composition.get("border"))

    def _set_pattern(self) -> None:
        for layer in list(self.layers.composed().values())[:1]:
            layout = self._asked or self.layouts.current or ""
            options = self._form.composition.values()
            self.layers.set_pattern(options.pattern(layout, layer.data.shape))

    def _on_composition(self) -> None:
        self._set_pattern()
        self.handle.put(self._form.composition.get("border"))

    def _on_moved(self, share: float) -> None:
        self._form.composition.update(border=share)
        self._set_pattern()

    def _on_chosen(self, _structure: object) -> None:
        if self.layouts.current == SIDE_BY_SIDE:
            self.show(SIDE_BY_SIDE)

    def _on_layout(self, name: str) -> None:
        """Follow the viewer: another dock may have asked."""
        self._form.show_layout(name)
        if name not in COMPOSITIONS:
            self.layers.remove_composed()
        if name != SWIPE:
            self.handle.hide()

    def _on_computed(self, what: str, pair: Pair, values: Any) -> None:
        if what == ERROR:
            self.layers.show_error(pair, values)
            self._comparison.refresh()
            if self.layouts.current == SIDE_BY_SIDE:
                self.layouts.apply(SIDE_BY_SIDE, self.scene())
        elif what == TRUTH and self._asked:
            options = self._form.composition.values()
            pattern = options.pattern(self._asked, pair.prediction.shape)
            self.layers.compose(pair, values, pattern)
            self._show_composed()

    def _on_outdated(self, key: str) -> None:
        """Mark errors of a layer that has changed; remove composed layers."""
        self.layers.outdate_errors(key)
        if self.layers.composed() and not self.layouts.arranging:
            self._asked = self.layouts.current or ""
            self.handle.hide()
            self.layers.remove_composed()
