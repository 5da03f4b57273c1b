"""The structures of the Plan dock: which are measured, and whose curve is shown."""

from napari_sparsessp.ui.widgets.structure_model import Column, StructureModel


class PlanStructures(StructureModel):
    """As in Predict; the eye shows a curve, and truths may be of no account."""

    _with_truths = True

    def set_with_truths(self, on: bool) -> None:
        """Show the column of truth layers, or not."""
        if on != self._with_truths:
            self._with_truths = on
            self.columns_changed.emit()

    def columns(self) -> frozenset[Column]:
        """Columns that have something to say."""
        found = super().columns() - {Column.EXPECTED}
        return found if self._with_truths else found - {Column.TRUTH}
